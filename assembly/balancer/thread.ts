// What one thread knows about itself: its worker index and where its own columns begin.
//
// Globals of a Wasm module are private to its instance, and each thread has its own instance over the shared memory.
// The main thread never calls `startThread`: its columns stay 0, and everything that would count asserts.

import {
  CELL_COLUMN_BYTES,
  CELLS,
  GAUGE_COLUMN_BYTES,
  GAUGES,
  LOAD_COLUMN_BYTES,
  LOADS,
  SERVICE_COUNT_COLUMN_BYTES,
  SERVICE_COUNTS,
  STAT_COLUMN_BYTES,
  STATS,
  WORKER_BYTES,
  WORKERS,
  WORKERS_MAX,
} from "../abi/balancer-table.ts";

// Per instance (thread), all of them; 0 until `start`.
export let workerIndex: u32 = 0;
export let ownRecord: u32 = 0;
export let ownGauges: u32 = 0;
export let ownLoads: u32 = 0;
export let ownCounts: u32 = 0;
export let ownCells: u32 = 0;
export let ownStats: u32 = 0;

/** Where worker `worker`'s record is. */
export function workerRecord(worker: u32): u32 {
  return WORKERS + worker * WORKER_BYTES;
}

/** Binds this thread to the columns of `worker`. */
export function startThread(worker: u32): void {
  assert(worker < u32(WORKERS_MAX));
  workerIndex = worker;
  ownRecord = workerRecord(worker);
  ownGauges = GAUGES + worker * GAUGE_COLUMN_BYTES;
  ownLoads = LOADS + worker * LOAD_COLUMN_BYTES;
  ownCounts = SERVICE_COUNTS + worker * SERVICE_COUNT_COLUMN_BYTES;
  ownCells = CELLS + worker * CELL_COLUMN_BYTES;
  ownStats = STATS + worker * STAT_COLUMN_BYTES;
}
