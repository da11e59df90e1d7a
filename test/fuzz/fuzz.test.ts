// Goal: no bytes make the engine trap, leak, or read something else than a strict reader does.
// Method: each fuzzer runs a fixed number of seeds (PILLION_FUZZ_SEED begins elsewhere; `npm run fuzz` goes on for
// minutes). Canaries: a bug planted in the engine's sources must be found, one for each fuzzer; all, PILLION_FULL=1.

import { describe, expect, test } from "vitest";
import { fuzz, seedsUntilFound } from "./fuzzer.ts";
import { createFuzzer, FUZZERS } from "./fuzzers.ts";
import { MUTANTS } from "./mutants.ts";

const FIRST_SEED = Number(process.env.PILLION_FUZZ_SEED ?? 1);
/** About a second each; conversations have a test file of their own. */
const SEEDS = { h1: 10_000, hpack: 4_000, h2: 1_000, conversation: 10 } as const;

describe.each(FUZZERS)("%s", (name) => {
  test("finds nothing", async () => {
    const fuzzer = await createFuzzer(name);
    const { executions } = fuzz(fuzzer, FIRST_SEED, (done) => done < SEEDS[name]);
    expect(executions).toBeGreaterThan(SEEDS[name]);
  });

  const mutants = MUTANTS.filter(({ fuzzer }) => fuzzer === name);
  const tried = process.env.PILLION_FULL === "1" ? mutants : mutants.slice(0, 1);
  test.each(tried)("canary: $name", async (mutant) => {
    const fuzzer = await createFuzzer(name, mutant);
    expect(seedsUntilFound(fuzzer, mutant.seedsMax)).toBeLessThanOrEqual(mutant.seedsMax);
  });

  test("a seed is one input: the same number of executions each time", async () => {
    const fuzzer = await createFuzzer(name);
    expect(fuzzer.run(FIRST_SEED + 7)).toBe(fuzzer.run(FIRST_SEED + 7));
  });
});
