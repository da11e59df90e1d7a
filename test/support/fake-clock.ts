// A clock that a test moves: timers fire in order when `pass` reaches them, and promises get their turn in between.

import type { Clock, Timer } from "../../src/base/index.ts";

export interface FakeClock extends Clock {
  /** Lets time pass; resolves when everything that became due has run. */
  pass(ms: number): Promise<void>;
}

interface Waiting {
  atMs: number;
  readonly periodMs: number | undefined;
  readonly action: () => void;
}

export function createFakeClock(): FakeClock {
  let nowMs = 0;
  const waiting = new Set<Waiting>();
  const add = (delayMs: number, periodMs: number | undefined, action: () => void): Timer => {
    const entry = { atMs: nowMs + delayMs, periodMs, action };
    waiting.add(entry);
    return { cancel: () => waiting.delete(entry) };
  };
  // Promise chains of the code under test are a few links long; setImmediate comes after all of them.
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    wallMs: () => 1_700_000_000_000 + nowMs,
    nowMs: () => nowMs,
    after: (delayMs, action) => add(delayMs, undefined, action),
    every: (periodMs, action) => add(periodMs, periodMs, action),
    sleep: (delayMs, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) return resolve();
        const timer = add(delayMs, undefined, resolve);
        signal?.addEventListener("abort", () => {
          timer.cancel();
          resolve();
        });
      }),
    async pass(ms) {
      const endMs = nowMs + ms;
      await settle();
      for (;;) {
        const [next] = [...waiting].filter(({ atMs }) => atMs <= endMs).sort((left, right) => left.atMs - right.atMs);
        if (next === undefined) break;
        nowMs = Math.max(nowMs, next.atMs);
        if (next.periodMs === undefined) waiting.delete(next);
        else next.atMs += next.periodMs;
        next.action();
        await settle();
      }
      nowMs = endMs;
    },
  };
}
