// Goal: no attack of the catalogue holds the sidecar up: its author is cut off or bounded, and nobody else notices.
// Method: raw sockets through one real sidecar with one worker. Beside the attacks a bystander asks 200 times a second
// and may see no error; memory may grow by 64 MiB at most; `pillion_glitches_total` names the attack; no worker dies.
//
// PILLION_FULL=1: ten times as much of everything that could be shorter. How long the bystander waited is told at the
// end, not judged.

import { afterAll, beforeAll, describe, test } from "vitest";
import { type Arena, createArena, type Verdict } from "./attacks/arena.ts";
import type { Attack } from "./attacks/attack.ts";
import { HEAD_ATTACKS } from "./attacks/heads.ts";
import { STREAM_ATTACKS } from "./attacks/streams.ts";

const ATTACKS: readonly Attack[] = [...STREAM_ATTACKS, ...HEAD_ATTACKS];
const nameOf = ({ id, title }: Attack) => `${id} ${title}`;
const table = (attacks: readonly Attack[]) => attacks.map((attack) => [nameOf(attack), attack] as const);

let arena: Arena;
const verdicts = new Map<Attack, Verdict>();

beforeAll(async () => {
  arena = await createArena(ATTACKS);
});

afterAll(async () => {
  await arena[Symbol.asyncDispose]();
  const worst = [...verdicts].sort(([, a], [, b]) => b.bystander.p99 - a.bystander.p99).slice(0, 5);
  const told = worst.map(([{ id, title }, { bystander }]) => `${bystander.p99} (${id} ${title})`);
  process.stdout.write(`bystander p99 ms: ${arena.quiet.p99} before; the longest: ${told.join(", ")}\n`);
});

describe("by clients", () => {
  test.each(table(ATTACKS))("%s", async (_, attack) => {
    verdicts.set(attack, await arena.face(attack));
  });
});
