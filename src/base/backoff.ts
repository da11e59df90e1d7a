// How long to wait before the next try.
//
// Exponential with full jitter over a floor: the n-th pause is drawn evenly from [base, min(max, base · 2ⁿ)].
// A thousand sidecars that lose etcd in the same instant then come back spread over the whole interval instead of in
// step, and the floor keeps a lucky draw from turning into a tight loop. Pure: the caller does the waiting.

import { assert } from "./errors.ts";
import type { Random } from "./random.ts";

/** The state of one thing that is tried again and again. */
export interface Backoff {
  /** The pause before the next try; the interval grows with each call. */
  nextMs(): number;
  /** It worked: the next failure starts from the base. */
  reset(): void;
  /** Pauses handed out since the last reset. */
  readonly tries: number;
}

export interface BackoffOptions {
  readonly baseMs: number;
  readonly maxMs: number;
  readonly random: Random;
}

/** Makes a backoff at its base. */
export function createBackoff({ baseMs, maxMs, random }: BackoffOptions): Backoff {
  assert(baseMs > 0 && maxMs >= baseMs, `a backoff needs 0 < base <= max, not ${baseMs} and ${maxMs}`);
  let tries = 0;
  return {
    nextMs() {
      // 2^30 is beyond any sensible max / base; the bound keeps the power finite after a week of failures.
      const ceilingMs = Math.min(maxMs, baseMs * 2 ** Math.min(tries + 1, 30));
      tries += 1;
      return random.between(baseMs, ceilingMs);
    },
    reset() {
      tries = 0;
    },
    get tries() {
      return tries;
    },
  };
}
