// Time as an argument.
//
// Everything that waits or measures receives a `Clock`, so that a test can be the one who lets time pass. Durations are
// always measured on the monotonic clock: the wall clock may step by an hour (NTP, a resumed laptop), and a lease or a
// watchdog must not notice. The wall clock is for stamps that people read.

/** A timer that has not fired yet. */
export interface Timer {
  /** Harmless when the timer has fired or was cancelled. */
  cancel(): void;
}

/** The two times and the waiting; the only source of them outside of the data plane. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. For stamps, never for durations. */
  wallMs(): number;
  /** Monotonic milliseconds since an arbitrary point, with fractions. */
  nowMs(): number;
  /** Runs `action` once, `delayMs` from now. It does not keep the process alive. */
  after(delayMs: number, action: () => void): Timer;
  /** Runs `action` every `periodMs`, first after one period. It does not keep the process alive. */
  every(periodMs: number, action: () => void): Timer;
  /** Resolves after `delayMs`, or at once when `signal` aborts; tells which by `signal.aborted`. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** What this thread's `performance.now()` lacks to the machine's monotonic clock, µs. */
const ORIGIN_US = Number(process.hrtime.bigint() / 1_000n) - performance.now() * 1_000;

/** Microseconds of the machine's monotonic clock: the same on every thread, for times that stand in shared memory. */
export function monotonicUs(): number {
  return ORIGIN_US + performance.now() * 1_000;
}

/** The machine's clock. */
export const systemClock: Clock = Object.freeze({
  wallMs: () => Date.now(),
  nowMs: () => performance.now(),
  after(delayMs: number, action: () => void): Timer {
    const timer = setTimeout(action, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  every(periodMs: number, action: () => void): Timer {
    const timer = setInterval(action, periodMs);
    timer.unref();
    return { cancel: () => clearInterval(timer) };
  },
  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", end);
        resolve();
      };
      // Not unref'd: whoever awaits a pause has the process wait with it.
      const timer = setTimeout(end, delayMs);
      signal?.addEventListener("abort", end);
    });
  },
});
