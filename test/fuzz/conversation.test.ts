// Goal: whatever clients, servers and networks do, the engine traps, hangs, leaks, mixes up and repeats nothing.
// Method: whole conversations by seed (conversation.ts), a few seconds of them from a fixed seed. A failure names its
// seed and the command that replays it; PILLION_FUZZ_SEED begins elsewhere. Canaries prove that a fault would be seen.

import { expect, test } from "vitest";
import { prepareWorlds } from "../support/world.ts";
import { runConversation } from "./conversation.ts";

const FIRST_SEED = Number(process.env.PILLION_FUZZ_SEED ?? 1);
/** What a build has time for; `npm run fuzz` goes on. */
const BUDGET_MS = 5_000;
const CONVERSATIONS_MIN = 20;
/** Two conversations of three notice changed bytes (the others are short, or break off anyway): so many settle it. */
const CANARY_SEEDS = 24;

test("no conversation breaks the engine", async () => {
  const make = await prepareWorlds();
  const startedMs = performance.now();
  let seed = FIRST_SEED;
  let whole = 0;
  for (; seed < FIRST_SEED + CONVERSATIONS_MIN || performance.now() - startedMs < BUDGET_MS; seed += 1) {
    try {
      whole += runConversation(make, seed).whole;
    } catch (error) {
      throw new Error(`replay with: npm run fuzz -- --only conversation --seed ${seed} --count 1`, { cause: error });
    }
  }
  expect(whole).toBeGreaterThan(0); // else nobody ever got an answer, and nothing was tested
});

test("canary: one changed byte is noticed", async () => {
  const make = await prepareWorlds();
  let noticed = 0;
  for (let seed = 1; seed <= CANARY_SEEDS; seed += 1) {
    try {
      runConversation(make, seed, { corruptEvery: 2 });
    } catch {
      noticed += 1;
    }
  }
  expect(noticed).toBeGreaterThan(CANARY_SEEDS / 4);
});

test("canary: a socket that is never reported closed is noticed", async () => {
  const make = await prepareWorlds();
  let noticed = 0;
  for (let seed = 1; seed <= CANARY_SEEDS; seed += 1) {
    try {
      runConversation(make, seed, { forgetsCloses: true });
    } catch {
      noticed += 1;
    }
  }
  expect(noticed).toBeGreaterThan(CANARY_SEEDS / 2);
});

test("a seed is one conversation: the same figures each time", async () => {
  const make = await prepareWorlds();
  expect(runConversation(make, 77)).toEqual(runConversation(make, 77));
});
