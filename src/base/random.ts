// Randomness as an argument: one number reproduces a run.
//
// The generator is sfc32 (Chris Doty-Humphrey's "small fast counting", the 32-bit member of PractRand's set): 128 bits
// of state, passes PractRand, four additions and three shifts. It is for jitter, sampling and simulation. It is not for
// secrets; ids that others must not guess come from `uniqueId`, which asks the operating system.

import { assert } from "./errors.ts";

/** A seeded source of numbers. */
export interface Random {
  /** A number in [0, 1) with 32 bits. */
  fraction(): number;
  /** An integer in [0, limit). */
  below(limit: number): number;
  /** A number in [min, max). */
  between(min: number, max: number): number;
}

const TWO_32 = 0x1_0000_0000;
/** Rounds to mix a seed before the first output; 12 is the author's own choice for sfc32. */
const MIX_ROUNDS = 12;

/**
 * Makes a generator; without a seed V8 gives one, whose own came from the operating system. (node:crypto's are better
 * than jitter needs, and it takes 5 ms of a start and a megabyte: who asks for a `uniqueId` loads it.)
 */
export function createRandom(seed: number = Math.floor(Math.random() * TWO_32)): Random {
  assert(Number.isInteger(seed), `a seed must be an integer, not ${seed}`);
  let a = 0;
  let b = seed | 0;
  let c = Math.trunc(seed / TWO_32) | 0;
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return sum >>> 0;
  };
  for (let round = 0; round < MIX_ROUNDS; round += 1) next();
  const fraction = () => next() / TWO_32;
  return Object.freeze({
    fraction,
    below(limit: number): number {
      assert(Number.isInteger(limit) && limit > 0 && limit <= TWO_32, `a limit must be 1 to 2^32, not ${limit}`);
      return Math.floor(fraction() * limit);
    },
    between: (min: number, max: number) => min + fraction() * (max - min),
  });
}

/** A name that nobody else has: lower-case hexadecimal, `bytes` long before encoding. */
export function uniqueId(bytes = 8): string {
  return process.getBuiltinModule("node:crypto").randomBytes(bytes).toString("hex");
}
