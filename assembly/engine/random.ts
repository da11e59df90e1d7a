// This worker's random numbers: xorshift128, seeded once. The same seed gives the same run.
//
// Not for secrets: request ids, backoff, weighted splits. (Marsaglia, "Xorshift RNGs", 2003.)

// Per-instance state of this worker.
let x: u32 = 123456789;
let y: u32 = 362436069;
let z: u32 = 521288629;
let w: u32 = 88675123;

/** Seeds the generator. */
export function seedRandom(seed: u32): void {
  x = seed ^ 123456789;
  y = 362436069;
  z = 521288629;
  w = 88675123;
  for (let index: u32 = 0; index < 16; index += 1) randomU32();
}

/** The next 32 random bits. */
export function randomU32(): u32 {
  const t = x ^ (x << 11);
  x = y;
  y = z;
  z = w;
  w = w ^ (w >> 19) ^ t ^ (t >> 8);
  return w;
}

/** A number below `bound`, without modulo bias worth speaking of (Lemire's multiplication). */
export function randomBelow(bound: u32): u32 {
  return u32((u64(randomU32()) * u64(bound)) >> 32);
}
