// A small random generator: PCG-XSH-RR 64/32 (O'Neill 2014), one multiplication a draw.
//
// The state is a global, so each thread's instance has its own and draws need no atomics. It is never secret:
// nothing that an outsider must not guess may come from here. Same seed, same draws.

/** O'Neill's multiplier and default increment. */
// biome-ignore lint/correctness/noPrecisionLoss: asc reads all 64 bits
const MULTIPLIER: u64 = 6364136223846793005;
// biome-ignore lint/correctness/noPrecisionLoss: asc reads all 64 bits
const INCREMENT: u64 = 1442695040888963407;

// Per instance (thread). A worker seeds it before the first draw.
let state: u64 = 0;

/** Starts the draws of this thread anew. */
export function startRandom(seed: u32): void {
  state = u64(seed) + INCREMENT;
  randomNext(); // two steps spread neighbouring seeds over the whole state
  randomNext();
}

/** Draws 32 uniform bits. */
export function randomNext(): u32 {
  const drawn = state;
  state = drawn * MULTIPLIER + INCREMENT;
  return rotr<u32>(u32(((drawn >> 18) ^ drawn) >> 27), u32(drawn >> 59));
}

/**
 * Draws from 0 to `bound` − 1 (Lemire's multiply-shift, without its rejection: the bias is below bound / 2^32, some
 * millionths for the counts that are drawn from here).
 */
export function randomBelow(bound: u32): u32 {
  return u32((u64(randomNext()) * u64(bound)) >> 32);
}
