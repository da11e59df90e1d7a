// Counting into metric cells (abi/metrics.ts): one plain 64-bit addition in this worker's column.

import { LATENCY_BUCKETS, LATENCY_OVERFLOW_CELL, LATENCY_SUM_CELL, METRIC_CELLS } from "../abi/metrics.ts";
import { ownCells } from "./thread.ts";

/** Adds `delta` to a cell. */
export function count(cell: u32, delta: u32): void {
  assert(cell < u32(METRIC_CELLS));
  assert(ownCells != 0); // `start` comes first
  const ptr = ownCells + cell * 8;
  store<u64>(ptr, load<u64>(ptr) + u64(delta));
}

/** Adds one sample to the histogram whose first cell is `cellBase`. */
export function observeLatency(cellBase: u32, us: u32): void {
  count(cellBase + latencyBucketOf(us), 1);
  count(cellBase + LATENCY_SUM_CELL, us);
}

/** The bucket whose inclusive upper bound is the first at or above `us`; code, because a table would be data. */
function latencyBucketOf(us: u32): u32 {
  if (us > 1000000) {
    if (us <= 2500000) return LATENCY_BUCKETS - 3;
    if (us <= 10000000) return LATENCY_BUCKETS - 2;
    return us <= 60000000 ? LATENCY_BUCKETS - 1 : LATENCY_OVERFLOW_CELL;
  }
  let decade: u32 = 100;
  let bucket: u32 = 0;
  while (us > decade * 10) {
    decade *= 10;
    bucket += 5;
  }
  bucket += u32(us > decade) + u32(us * 2 > decade * 3) + u32(us * 2 > decade * 5);
  return bucket + u32(us > decade * 4) + u32(us * 2 > decade * 13);
}
