// Limits that hold over all threads: at most N requests, waiting requests, connections, retries of a service.
//
// Add to the own column, add up all columns, take back if the sum is above the limit. With sequentially consistent
// additions the last of those who are in has seen all the others, so never more than N are in. Two who arrive
// together for the last place may both see N + 1; they take back and try again a few times before they give up.
//
// Who was refused and queues instead is woken: `waitForAdmission`, then `admit` once more (a place may have become
// free between the two), then sleep until the wake word of the own record grows. A worker's own `leave` does not
// wake itself: it looks at its own queue.

import { COUNTERS_COUNT } from "../abi/balancer-codes.ts";
import {
  LIMIT_RECORD_BYTES,
  LIMITS,
  SERVICE_COUNT_BYTES,
  SERVICE_COUNT_COLUMN_BYTES,
  SERVICE_COUNTS,
  SERVICES_MAX,
  WAITING,
  WORKER_WAKE_OFFSET,
  WORKERS_HIGH_OFFSET,
} from "../abi/balancer-table.ts";
import { ownCounts, workerIndex, workerRecord } from "./thread.ts";

/** Tries of two or more threads that race for one place; each loses only to another that moved. */
const ADMIT_TRIES: u32 = 8;

/** Sets how many may be in at once; 0xffffffff = no limit. Those who are in stay in. Main thread. */
export function setLimit(service: u32, counter: u32, limit: u32): void {
  atomic.store<u32>(limitPtr(service, counter), limit + 1); // stored plus one: zeroed memory is "no limit"
  wakeWaiters(service, ~0);
}

/** Counts one in and returns 1, or returns 0 and counts nothing when the limit is reached. */
export function admit(service: u32, counter: u32): i32 {
  assert(ownCounts != 0); // `start` comes first
  const limitPlusOne = atomic.load<u32>(limitPtr(service, counter));
  const own = ownCounts + service * SERVICE_COUNT_BYTES + counter * 4;
  if (limitPlusOne == 0) {
    atomic.add<u32>(own, 1);
    return 1;
  }
  for (let tries: u32 = 0; tries < ADMIT_TRIES; tries += 1) {
    if (countOf(service, counter) + 1 >= limitPlusOne) return 0;
    atomic.add<u32>(own, 1);
    if (countOf(service, counter) < limitPlusOne) return 1;
    atomic.sub<u32>(own, 1);
    // Somebody may have been refused because of the place we held for a moment.
    wakeOthers(service);
  }
  return 0;
}

/** Counts one out that `admit` let in; in the same worker. */
export function leave(service: u32, counter: u32): void {
  assert(service < u32(SERVICES_MAX) && counter < u32(COUNTERS_COUNT));
  assert(ownCounts != 0); // `start` comes first
  const own = ownCounts + service * SERVICE_COUNT_BYTES + counter * 4;
  assert(load<u32>(own) > 0); // else: left twice, or in another worker than it entered
  atomic.sub<u32>(own, 1);
  wakeOthers(service);
}

/** How many are in, over all workers. */
export function countOf(service: u32, counter: u32): u32 {
  assert(service < u32(SERVICES_MAX) && counter < u32(COUNTERS_COUNT));
  const workers = atomic.load<u32>(WORKERS_HIGH_OFFSET);
  let sum: u32 = 0;
  let ptr: u32 = SERVICE_COUNTS + service * SERVICE_COUNT_BYTES + counter * 4;
  for (let worker: u32 = 0; worker < workers; worker += 1) {
    sum += atomic.load<u32>(ptr);
    ptr += SERVICE_COUNT_COLUMN_BYTES;
  }
  return sum;
}

/** Asks to be woken once, when another worker leaves any limit of `service`. */
export function waitForAdmission(service: u32): void {
  assert(service < u32(SERVICES_MAX));
  assert(ownCounts != 0);
  atomic.or<u32>(WAITING + service * 4, 1 << workerIndex);
}

/** Wakes all who wait, for any service, but `worker`, which is dead. Main thread. */
export function wakeEveryone(worker: u32): void {
  for (let service: u32 = 0; service < u32(SERVICES_MAX); service += 1) {
    atomic.and<u32>(WAITING + service * 4, ~(1 << worker));
    wakeWaiters(service, ~0);
  }
}

function wakeOthers(service: u32): void {
  wakeWaiters(service, ~(1 << workerIndex));
}

function wakeWaiters(service: u32, mask: u32): void {
  const ptr = WAITING + service * 4;
  if ((atomic.load<u32>(ptr) & mask) == 0) return;
  let waiting = atomic.and<u32>(ptr, ~mask) & mask;
  while (waiting != 0) {
    const wake = workerRecord(ctz(waiting)) + WORKER_WAKE_OFFSET;
    atomic.add<u32>(wake, 1);
    atomic.notify(wake, -1);
    waiting &= waiting - 1;
  }
}

function limitPtr(service: u32, counter: u32): u32 {
  assert(service < u32(SERVICES_MAX) && counter < u32(COUNTERS_COUNT));
  return LIMITS + service * LIMIT_RECORD_BYTES + counter * 4;
}
