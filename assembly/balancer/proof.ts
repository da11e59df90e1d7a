// Who is known to answer: where a request goes that can be sent only once.
//
// What may be repeated finds out who fails, and is saved by a retry. What may not (a POST that was read is never sent
// again) should meet nobody whose last answer was a failure, who has yet to answer at all, or who owes answers and has
// been quiet for longer than its requests take. So such a pick draws again, a few times, when it came to one of those;
// a preference, no rule: where nobody is known to be good, the first choice stands.
//
// A service whose requests can all be sent only once (gRPC) has nobody else to find out. Then who is not known gets one
// at a time; after a failure, not for a while.

import {
  INSTANCES_MAX,
  TUNING_REPEATABLE_AT_OFFSET,
  VITAL_FAILED_AT_OFFSET,
  VITAL_OK_AT_OFFSET,
} from "../abi/balancer-table.ts";
import { loadOf } from "./gauges.ts";
import { ownLatency } from "./load.ts";
import { nowMs } from "./time.ts";
import { tuningOf } from "./tuning.ts";
import { vitalOf } from "./vitals.ts";

/** Owing answers, an instance may be quiet for so long, or for so many times what it takes. */
const QUIET_MS_MIN: u32 = 25;
const QUIET_FACTOR: f32 = 4;
/** After a failure it is for others to find out whether it answers again. */
const DOUBT_MS: u32 = 1000;
/** Requests that may be repeated have come lately, and will come again: they find out. */
const REPEATABLE_RECENT_MS: u32 = 50;

/** An attempt ended well. */
export function noteOk(vital: u32): void {
  const time = max<u32>(nowMs(), 1);
  if (load<u32>(vital + VITAL_OK_AT_OFFSET) != time) atomic.store<u32>(vital + VITAL_OK_AT_OFFSET, time);
}

/** It failed, or is silent: from now on its last answer is none. */
export function noteDoubt(vital: u32): void {
  atomic.store<u32>(vital + VITAL_OK_AT_OFFSET, 0);
  atomic.store<u32>(vital + VITAL_FAILED_AT_OFFSET, nowMs());
}

/** A request that may be repeated was placed in the service. */
export function noteRepeatable(service: u32): void {
  const ptr = tuningOf(service) + TUNING_REPEATABLE_AT_OFFSET;
  const time = max<u32>(nowMs(), 1);
  if (load<u32>(ptr) != time) atomic.store<u32>(ptr, time);
}

/** Whether the last attempt on it that ended, ended well; any thread. */
export function isProven(slot: u32): i32 {
  assert(slot < u32(INSTANCES_MAX));
  return atomic.load<u32>(vitalOf(slot) + VITAL_OK_AT_OFFSET) != 0 ? 1 : 0;
}

/** Whether it owes other answers than one, and has been quiet for longer than they take; any thread. */
export function isQuiet(slot: u32): i32 {
  assert(slot < u32(INSTANCES_MAX));
  if (loadOf(slot) <= 1) return 0;
  return hasBeenQuiet(slot, atomic.load<u32>(vitalOf(slot) + VITAL_OK_AT_OFFSET)) ? 1 : 0;
}

function hasBeenQuiet(slot: u32, okAt: u32): bool {
  return nowMs() - okAt > max<u32>(QUIET_MS_MIN, u32((ownLatency(slot) * QUIET_FACTOR) / 1000));
}

/** Whether a request that can be sent only once may go there. */
export function isTrusted(slot: u32, service: u32): bool {
  const vital = vitalOf(slot);
  const time = nowMs();
  const okAt = atomic.load<u32>(vital + VITAL_OK_AT_OFFSET);
  if (okAt != 0) return loadOf(slot) == 0 || !hasBeenQuiet(slot, okAt);
  const failedAt = atomic.load<u32>(vital + VITAL_FAILED_AT_OFFSET);
  if (failedAt != 0 && time - failedAt < DOUBT_MS) return false;
  const repeatableAt = atomic.load<u32>(tuningOf(service) + TUNING_REPEATABLE_AT_OFFSET);
  if (repeatableAt != 0 && time - repeatableAt < REPEATABLE_RECENT_MS) return false;
  return loadOf(slot) == 0;
}
