// How a part is timed: short rounds of one loop, after others have warmed it up.

import { type Spread, spreadOf } from "../load/statistics.ts";

/** One line of the table. */
export interface Row {
  readonly part: string;
  readonly what: string;
  /** Nanoseconds for each operation. */
  readonly ns: Spread;
}

/** Long enough that the clock's own cost and grain are nothing. */
const ROUND_MS = 8;
const WARM_UP_MS = 60;
const ROUNDS = 15;

/** Times `loop(times)`, which does something so often; each call is one round. */
export function timeLoop(part: string, what: string, loop: (times: number) => void): Row {
  let times = 16;
  const warmMs = performance.now() + WARM_UP_MS;
  for (;;) {
    const tookMs = timeOnce(loop, times);
    if (tookMs < ROUND_MS / 2) times *= 2;
    else if (performance.now() > warmMs) break;
  }
  const rounds = Array.from({ length: ROUNDS }, () => (timeOnce(loop, times) * 1e6) / times);
  return { part, what, ns: spreadOf(rounds) };
}

function timeOnce(loop: (times: number) => void, times: number): number {
  const startMs = performance.now();
  loop(times);
  return performance.now() - startMs;
}
