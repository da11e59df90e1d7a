// How a service wants its instances treated: outlier detection and slow start. Written by the main thread.

import {
  SERVICES_MAX,
  TUNING_BYTES,
  TUNING_EJECTION_MAX_OFFSET,
  TUNING_EJECTION_OFFSET,
  TUNING_FAILURES_OFFSET,
  TUNING_SHARE_MAX_OFFSET,
  TUNING_SLOW_START_OFFSET,
  TUNING_SUCCESS_RATE_OFFSET,
  TUNING_WINDOW_OFFSET,
  TUNINGS,
} from "../abi/balancer-table.ts";

/** Where the tuning of `service` is. */
export function tuningOf(service: u32): u32 {
  return TUNINGS + service * TUNING_BYTES;
}

/** Sets outlier detection; `failures` 0 = off. Rates and shares in 1/1024, times in ms. Main thread. */
export function setOutlier(
  service: u32,
  failures: u32,
  successRate: u32,
  windowMs: u32,
  ejectionMs: u32,
  ejectionMsMax: u32,
  shareMax: u32,
): void {
  assert(service < u32(SERVICES_MAX));
  const tuning = tuningOf(service);
  atomic.store<u32>(tuning + TUNING_SUCCESS_RATE_OFFSET, successRate);
  atomic.store<u32>(tuning + TUNING_WINDOW_OFFSET, windowMs);
  atomic.store<u32>(tuning + TUNING_EJECTION_OFFSET, ejectionMs);
  atomic.store<u32>(tuning + TUNING_EJECTION_MAX_OFFSET, ejectionMsMax);
  atomic.store<u32>(tuning + TUNING_SHARE_MAX_OFFSET, shareMax);
  atomic.store<u32>(tuning + TUNING_FAILURES_OFFSET, failures);
}

/** Sets over how many milliseconds newcomers ramp up; 0 = at once. Counts from the next `commitSet`. Main thread. */
export function setSlowStart(service: u32, ms: u32): void {
  assert(service < u32(SERVICES_MAX));
  store<u32>(tuningOf(service), ms, TUNING_SLOW_START_OFFSET);
}
