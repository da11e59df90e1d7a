// The lives of workers: a thread binds itself to a column, and the supervisor clears the column of a dead one.
//
// What a dead worker had open is gone with its sockets, so its gauges and limit counts go to zero and its epoch
// stops holding blocks back. Metric cells and statistics stay: counters never go back, and the worker that is
// started again under the same index goes on adding to them.

import {
  EPOCH_OFFSET,
  GAUGE_BYTES,
  GAUGE_COLUMN_BYTES,
  GAUGES,
  INSTANCES_HIGH_OFFSET,
  LOAD_COLUMN_BYTES,
  LOADS,
  SERVICE_COUNT_COLUMN_BYTES,
  SERVICE_COUNTS,
  WORKER_EPOCH_OFFSET,
  WORKER_LIVE_OFFSET,
  WORKERS_HIGH_OFFSET,
  WORKERS_MAX,
} from "../abi/balancer-table.ts";
import { startRandom } from "../core/random.ts";
import { wakeEveryone } from "./admission.ts";
import { createArena } from "./arena.ts";
import { startThread, workerRecord } from "./thread.ts";

/** Prepares a new, zeroed memory. Main thread, once, before any worker starts. */
export function create(): void {
  assert(load<u32>(EPOCH_OFFSET) == 0);
  store<u32>(EPOCH_OFFSET, 1);
  createArena();
}

/** Binds this thread's instance to column `worker`. A column has one live thread at a time. */
export function start(worker: u32, seed: u32): void {
  assert(atomic.load<u32>(EPOCH_OFFSET) != 0); // `create` comes first
  startThread(worker);
  startRandom(seed);
  const record = workerRecord(worker);
  const before = atomic.xchg<u32>(record + WORKER_LIVE_OFFSET, 1);
  assert(before == 0); // else: two threads on one column, or a dead one was not cleared
  let high = atomic.load<u32>(WORKERS_HIGH_OFFSET);
  while (high <= worker) {
    const seen = atomic.cmpxchg<u32>(WORKERS_HIGH_OFFSET, high, worker + 1);
    if (seen == high) break;
    high = seen;
  }
}

/** Forgets what a dead worker had open. Main thread, after that thread has ended. */
export function clearWorker(worker: u32): void {
  assert(worker < u32(WORKERS_MAX));
  memory.fill(GAUGES + worker * GAUGE_COLUMN_BYTES, 0, load<u32>(INSTANCES_HIGH_OFFSET) * GAUGE_BYTES);
  memory.fill(LOADS + worker * LOAD_COLUMN_BYTES, 0, load<u32>(INSTANCES_HIGH_OFFSET) * 4);
  memory.fill(SERVICE_COUNTS + worker * SERVICE_COUNT_COLUMN_BYTES, 0, SERVICE_COUNT_COLUMN_BYTES);
  const record = workerRecord(worker);
  atomic.store<u32>(record + WORKER_EPOCH_OFFSET, 0);
  atomic.store<u32>(record + WORKER_LIVE_OFFSET, 0);
  wakeEveryone(worker);
}
