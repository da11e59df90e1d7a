// A clock whose time passes when the test says so.

import type { Clock, Timer } from "../../src/base/index.ts";

export interface VirtualClock extends Clock {
  /** Lets time pass; what is due runs in order, and may arrange for more. */
  advance(durationMs: number): void;
}

/** Starts at zero. */
export function createVirtualClock(): VirtualClock {
  let now = 0;
  const due = new Set<{ atMs: number; readonly action: () => void; readonly periodMs: number | undefined }>();
  const add = (delayMs: number, action: () => void, periodMs?: number): Timer => {
    const timer = { atMs: now + delayMs, action, periodMs };
    due.add(timer);
    return { cancel: () => due.delete(timer) };
  };
  return {
    wallMs: () => now,
    nowMs: () => now,
    after: (delayMs, action) => add(delayMs, action),
    every: (periodMs, action) => add(periodMs, action, periodMs),
    sleep: (delayMs, signal) =>
      new Promise((resolve) => {
        const timer = add(delayMs, resolve);
        signal?.addEventListener("abort", () => {
          timer.cancel();
          resolve();
        });
      }),
    advance(durationMs) {
      const endMs = now + durationMs;
      for (;;) {
        const next = [...due].filter(({ atMs }) => atMs <= endMs).sort((left, right) => left.atMs - right.atMs)[0];
        if (next === undefined) break;
        now = Math.max(now, next.atMs);
        if (next.periodMs === undefined) due.delete(next);
        else next.atMs += next.periodMs;
        next.action();
      }
      now = endMs;
    },
  };
}
