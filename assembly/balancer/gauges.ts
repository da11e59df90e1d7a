// What is open right now, per instance: requests in flight, requests that wait for a connection, connections.
//
// A worker writes its own column only, with plain aligned stores (they do not tear); a reader adds up the columns
// of all workers. Sums may lag by what other threads did within the last nanoseconds, and lose nothing. A crash
// leaves its counts in one column, which `clearWorker` zeroes.

import {
  GAUGE_BYTES,
  GAUGE_COLUMN_BYTES,
  GAUGE_CONNECTIONS_OFFSET,
  GAUGE_INFLIGHT_OFFSET,
  GAUGE_PENDING_OFFSET,
  GAUGES,
  INSTANCES_MAX,
  LOAD_COLUMN_BYTES,
  LOADS,
  SERVICE_COUNT_BYTES,
  SERVICE_COUNT_COLUMN_BYTES,
  SERVICE_COUNTS,
  SERVICE_INFLIGHT_OFFSET,
  SERVICES_MAX,
  WORKERS_HIGH_OFFSET,
} from "../abi/balancer-table.ts";
import { ownCounts, ownGauges, ownLoads } from "./thread.ts";
import { serviceOfSlot } from "./vitals.ts";

/** Counts one request in flight that no pick counted (a stream that is bound to an instance). */
export function adopt(slot: u32): void {
  addGauge(slot, GAUGE_INFLIGHT_OFFSET, 1);
  addLoad(slot, 1);
  const service = serviceOfSlot(slot);
  if (service == 0) return;
  const ptr = ownCounts + (service - 1) * SERVICE_COUNT_BYTES + SERVICE_INFLIGHT_OFFSET;
  store<u32>(ptr, load<u32>(ptr) + 1);
}

/** Ends what `pick` or `adopt` began; in the same worker. */
export function release(slot: u32): void {
  addGauge(slot, GAUGE_INFLIGHT_OFFSET, -1);
  addLoad(slot, -1);
  const service = serviceOfSlot(slot);
  if (service == 0) return;
  const ptr = ownCounts + (service - 1) * SERVICE_COUNT_BYTES + SERVICE_INFLIGHT_OFFSET;
  // What was adopted before its slot was in any set was counted for no service.
  const value = load<u32>(ptr);
  if (value != 0) store<u32>(ptr, value - 1);
}

export function connectionOpened(slot: u32): void {
  addGauge(slot, GAUGE_CONNECTIONS_OFFSET, 1);
}

export function connectionClosed(slot: u32): void {
  addGauge(slot, GAUGE_CONNECTIONS_OFFSET, -1);
}

export function pendingAdded(slot: u32): void {
  addGauge(slot, GAUGE_PENDING_OFFSET, 1);
  addLoad(slot, 1);
}

export function pendingRemoved(slot: u32): void {
  addGauge(slot, GAUGE_PENDING_OFFSET, -1);
  addLoad(slot, -1);
}

/** Requests in flight at `slot`, over all workers. */
export function inflightOf(slot: u32): u32 {
  return sumGauge(slot, GAUGE_INFLIGHT_OFFSET);
}

/** Requests in flight at all instances of `service`, over all workers. */
export function inflightOfService(service: u32): u32 {
  assert(service < u32(SERVICES_MAX));
  const workers = atomic.load<u32>(WORKERS_HIGH_OFFSET);
  let sum: u32 = 0;
  let ptr: u32 = SERVICE_COUNTS + service * SERVICE_COUNT_BYTES + SERVICE_INFLIGHT_OFFSET;
  for (let worker: u32 = 0; worker < workers; worker += 1) {
    sum += atomic.load<u32>(ptr);
    ptr += SERVICE_COUNT_COLUMN_BYTES;
  }
  return sum;
}

export function connectionsOf(slot: u32): u32 {
  return sumGauge(slot, GAUGE_CONNECTIONS_OFFSET);
}

export function pendingOf(slot: u32): u32 {
  return sumGauge(slot, GAUGE_PENDING_OFFSET);
}

/** In flight + pending over all workers: the load that policies compare. Plain loads: a pick is a snapshot anyway. */
export function loadOf(slot: u32): u32 {
  const workers = atomic.load<u32>(WORKERS_HIGH_OFFSET);
  let sum: u32 = 0;
  let ptr: u32 = slot * 4;
  for (let worker: u32 = 0; worker < workers; worker += 1) {
    sum += load<u32>(ptr, LOADS);
    ptr += LOAD_COLUMN_BYTES;
  }
  return sum;
}

function addLoad(slot: u32, delta: i32): void {
  const ptr = ownLoads + slot * 4;
  store<i32>(ptr, load<i32>(ptr) + delta);
}

function addGauge(slot: u32, offset: u32, delta: i32): void {
  assert(slot < u32(INSTANCES_MAX));
  assert(ownGauges != 0); // `start` comes first
  const ptr = ownGauges + slot * GAUGE_BYTES + offset;
  const value = load<i32>(ptr) + delta;
  assert(value >= 0); // else: ended twice, or in another worker than it began
  store<i32>(ptr, value);
}

function sumGauge(slot: u32, offset: u32): u32 {
  assert(slot < u32(INSTANCES_MAX));
  const workers = atomic.load<u32>(WORKERS_HIGH_OFFSET);
  let sum: u32 = 0;
  let ptr: u32 = GAUGES + slot * GAUGE_BYTES + offset;
  for (let worker: u32 = 0; worker < workers; worker += 1) {
    sum += atomic.load<u32>(ptr);
    ptr += GAUGE_COLUMN_BYTES;
  }
  return sum;
}
