// Goal: every timer fires once, not before its time and at most one slot of the wheel after it, also beyond a round of
// the wheel and after a long sleep; the next deadline is never later than the first timer.
// Method: random arming, moving, disarming and passing of time against a naive map of deadlines.

import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { loadTestingModule } from "../../support/wasm.ts";

interface Exports {
  start(nowUs: number): void;
  arm(timer: number, deadlineUs: number): void;
  disarm(timer: number): void;
  takeDue(nowUs: number): number;
  deadline(): number;
}

/** One slot of the wheel, and one for rounding up. */
const LATE_MAX_US = 2 * 4096;
const TIMERS = 40;

let wheel: Exports;
beforeAll(async () => {
  wheel = (await loadTestingModule<Exports>("core")).exports;
});

const timer = fc.nat({ max: TIMERS - 1 });
const delayUs = fc.oneof(
  fc.integer({ min: 0, max: 10_000 }),
  fc.integer({ min: 0, max: 20_000_000 }),
  fc.integer({ min: 0, max: 4_000_000_000 }),
);
const step = fc.oneof(
  fc.record({ arm: timer, delayUs }),
  fc.record({ disarm: timer }),
  fc.record({ passUs: delayUs }),
  fc.constant({ untilNext: true as const }),
);

test("fires what is due, when it is due", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e12 }), fc.array(step, { maxLength: 200 }), (startUs, steps) => {
      let nowUs = startUs;
      const armed = new Map<number, number>();
      for (let index = 0; index < TIMERS; index += 1) wheel.disarm(index);
      wheel.start(nowUs);
      for (const one of steps) {
        if ("arm" in one) {
          wheel.arm(one.arm, nowUs + one.delayUs);
          armed.set(one.arm, nowUs + one.delayUs);
        } else if ("disarm" in one) {
          wheel.disarm(one.disarm);
          armed.delete(one.disarm);
        } else {
          nowUs = "passUs" in one ? nowUs + one.passUs : Math.max(nowUs, wheel.deadline());
          for (let fired = wheel.takeDue(nowUs); fired !== -1; fired = wheel.takeDue(nowUs)) {
            expect(armed.get(fired)).toBeLessThanOrEqual(nowUs);
            armed.delete(fired);
          }
          for (const deadlineUs of armed.values()) expect(deadlineUs).toBeGreaterThan(nowUs - LATE_MAX_US);
        }
        const first = Math.min(...armed.values());
        if (armed.size === 0) expect(wheel.deadline()).toBe(0);
        else expect(wheel.deadline()).toBeLessThanOrEqual(Math.max(first, nowUs) + LATE_MAX_US);
      }
    }),
    { numRuns: 500 },
  );
});
