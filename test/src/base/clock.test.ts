// Waiting can be cut short and cancelled; the order of things is asserted, never their time.

import { expect, test } from "vitest";
import { systemClock } from "../../../src/base/clock.ts";

test("a pause ends at once when it is no longer wanted", async () => {
  const unwanted = new AbortController();
  const hour = systemClock.sleep(3_600_000, unwanted.signal);
  unwanted.abort();
  await hour;
  await systemClock.sleep(3_600_000, unwanted.signal);
});

test("a cancelled timer never fires, the others fire in order", async () => {
  const fired: string[] = [];
  const cancelled = systemClock.after(1, () => fired.push("cancelled"));
  cancelled.cancel();
  await new Promise<void>((resolve) => {
    systemClock.after(5, () => fired.push("first"));
    systemClock.after(15, () => {
      fired.push("second");
      resolve();
    });
  });
  expect(fired).toEqual(["first", "second"]);
  cancelled.cancel();
});

test("a periodic timer repeats until it is cancelled", async () => {
  let count = 0;
  await new Promise<void>((resolve) => {
    const timer = systemClock.every(1, () => {
      count += 1;
      if (count < 3) return;
      timer.cancel();
      resolve();
    });
  });
  await systemClock.sleep(10);
  expect(count).toBe(3);
});

test("the monotonic clock never goes back", async () => {
  const before = systemClock.nowMs();
  await systemClock.sleep(2);
  expect(systemClock.nowMs()).toBeGreaterThan(before);
});
