// What time it is: said by the caller at the beginning of each turn, asked of nobody.
//
// Microseconds of one monotonic clock for all threads of the process, because they stand in shared memory: the time
// at which one worker ejected an instance is compared with another worker's now.

/** µs; per instance (thread). 0 until it is said for the first time. */
export let now: u64 = 0;

/** Says what time it is. */
export function setTime(us: f64): void {
  now = u64(us);
}

/** The same in milliseconds, of which 32 bits are kept where space is short: differences hold for 24 days. */
export function nowMs(): u32 {
  return u32(now / 1000);
}
