// Draws for the simulator: one seed, one world. mulberry32 (Ettinger, public domain) and what is made of it.

export interface Draws {
  /** 0 ≤ x < 1. */
  next(): number;
  /** A whole number below `bound`. */
  below(bound: number): number;
  /** Exponential with this mean. */
  exponential(mean: number): number;
  /** Log-normal with this mean; `sigma` 0.6 makes a p99 of three and a half times the mean. */
  logNormal(mean: number, sigma: number): number;
}

export function createDraws(seed: number): Draws {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const exponential = (mean: number) => -mean * Math.log(1 - next());
  return {
    next,
    below: (bound) => Math.floor(next() * bound),
    exponential,
    logNormal(mean, sigma) {
      const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
      return mean * Math.exp(sigma * normal - (sigma * sigma) / 2);
    },
  };
}
