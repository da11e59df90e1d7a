// When a member block may be freed: after every worker that could still read it has let go.
//
// A worker pins the current epoch with its first pick of a turn and lets go at the end of the turn (`quiesce`), so
// a turn pays for one pair of atomic stores however many picks it makes, and an idle worker holds nothing back.
// The main thread swaps a set's pointer, retires the old block under the current epoch, then advances the epoch.
//
// Why that is enough: pin stores the worker's epoch and then loads the set's pointer; the main thread stores the
// pointer and then loads the workers' epochs; all four are sequentially consistent. A worker seen with 0, or with a
// later epoch than the block's, must therefore load the new pointer.
//
//   worker      0 ──pick──► e ──quiesce──► 0 ──pick──► e′
//   block       published ──retire(epoch)──► queue ──every worker 0 or > epoch──► arena

import {
  BLOCK_EPOCH_OFFSET,
  BLOCK_NEXT_OFFSET,
  BLOCK_SIZE_OFFSET,
  EPOCH_OFFSET,
  RETIRED_FIRST_OFFSET,
  RETIRED_LAST_OFFSET,
  WORKER_EPOCH_OFFSET,
  WORKERS_HIGH_OFFSET,
} from "../abi/balancer-table.ts";
import { releaseRange } from "./arena.ts";
import { ownRecord, workerRecord } from "./thread.ts";

// Per instance (thread): whether this worker's record holds an epoch.
let isPinned: bool = false;

/** Keeps every block that is published now from being freed, until `quiesce`. */
export function pin(): void {
  if (isPinned) return;
  assert(ownRecord != 0); // `start` comes first
  atomic.store<u32>(ownRecord + WORKER_EPOCH_OFFSET, atomic.load<u32>(EPOCH_OFFSET));
  isPinned = true;
}

/** Ends a turn: this thread holds no reference into member blocks. */
export function quiesce(): void {
  if (!isPinned) return;
  atomic.store<u32>(ownRecord + WORKER_EPOCH_OFFSET, 0);
  isPinned = false;
}

/** Ends the present epoch and returns it: what is retired under it is unreachable from now on. Main thread. */
export function advanceEpoch(): u32 {
  const epoch = load<u32>(EPOCH_OFFSET);
  const next = epoch + 1;
  atomic.store<u32>(EPOCH_OFFSET, next == 0 ? 1 : next); // 0 means "reads nothing"
  return epoch;
}

/** Whether no worker can still hold what was retired under `epoch`. */
export function hasPassed(epoch: u32): bool {
  const workers = atomic.load<u32>(WORKERS_HIGH_OFFSET);
  for (let worker: u32 = 0; worker < workers; worker += 1) {
    const pinned = atomic.load<u32>(workerRecord(worker) + WORKER_EPOCH_OFFSET);
    if (pinned != 0 && i32(pinned - epoch) <= 0) return false;
  }
  return true;
}

/** Queues a block that no set points to any more. Main thread. */
export function retireBlock(block: u32): void {
  store<u32>(block, 0, BLOCK_NEXT_OFFSET);
  store<u32>(block, advanceEpoch(), BLOCK_EPOCH_OFFSET);
  const last = load<u32>(RETIRED_LAST_OFFSET);
  if (last == 0) store<u32>(RETIRED_FIRST_OFFSET, block);
  else store<u32>(last, block, BLOCK_NEXT_OFFSET);
  store<u32>(RETIRED_LAST_OFFSET, block);
}

/** Frees the retired blocks whose epoch every worker has passed; returns how many. Main thread. */
export function reclaim(): u32 {
  let freed: u32 = 0;
  let block = load<u32>(RETIRED_FIRST_OFFSET);
  while (block != 0 && hasPassed(load<u32>(block, BLOCK_EPOCH_OFFSET))) {
    const next = load<u32>(block, BLOCK_NEXT_OFFSET);
    releaseRange(block, load<u32>(block, BLOCK_SIZE_OFFSET));
    block = next;
    freed += 1;
  }
  store<u32>(RETIRED_FIRST_OFFSET, block);
  if (block == 0) store<u32>(RETIRED_LAST_OFFSET, 0);
  return freed;
}
