// What an instance has done: requests, failures, and a histogram of latencies fine enough for p50 and p99.
//
// Four buckets to the octave, bounds at 2^(k/4): the geometric middle of a bucket is at most 9.1 % off. Each worker
// adds to its own copy with plain stores; the main thread sums and computes quantiles (src/wasm/latency.ts).
// What the attempt says of the instance goes on from here: to its latency's average and to outlier detection.

import { RESULT_FAILED, RESULT_UNKNOWN } from "../abi/balancer-codes.ts";
import {
  INSTANCES_MAX,
  STAT_BUCKETS_OFFSET,
  STAT_BYTES,
  STAT_COLUMN_BYTES,
  STAT_FAILURES_OFFSET,
  STAT_REQUESTS_OFFSET,
  STAT_SUM_OFFSET,
  STATS,
  WORKERS_HIGH_OFFSET,
} from "../abi/balancer-table.ts";
import { INSTANCE_BUCKET_FIRST_LOG2, INSTANCE_BUCKETS, INSTANCE_BUCKETS_PER_OCTAVE } from "../abi/metrics.ts";
import { learnLatency } from "./load.ts";
import { judge } from "./outlier.ts";
import { ownStats } from "./thread.ts";

// 2^(1/4), 2^(2/4), 2^(3/4) as fractions of 2^31: where an octave's mantissa passes into its next bucket.
const QUARTER_FIRST: u32 = 0x9837f052;
const QUARTER_SECOND: u32 = 0xb504f334;
const QUARTER_THIRD: u32 = 0xd744fccb;

/**
 * Records one finished attempt and its RESULT_*, before its `release`: the slot may be another's afterwards. One that
 * was never sent is RESULT_UNKNOWN after 0 µs, and only ends a trial: it has no latency to learn from.
 */
export function observeInstance(slot: u32, us: u32, result: u32): void {
  assert(slot < u32(INSTANCES_MAX));
  assert(ownStats != 0); // `start` comes first
  if (result == RESULT_UNKNOWN && us == 0) {
    judge(slot, result);
    return;
  }
  const ptr = ownStats + slot * STAT_BYTES;
  store<u64>(ptr, load<u64>(ptr, STAT_REQUESTS_OFFSET) + 1, STAT_REQUESTS_OFFSET);
  if (result == RESULT_FAILED) store<u64>(ptr, load<u64>(ptr, STAT_FAILURES_OFFSET) + 1, STAT_FAILURES_OFFSET);
  store<u64>(ptr, load<u64>(ptr, STAT_SUM_OFFSET) + u64(us), STAT_SUM_OFFSET);
  const bucketPtr = ptr + STAT_BUCKETS_OFFSET + bucketOf(us) * 4;
  store<u32>(bucketPtr, load<u32>(bucketPtr) + 1);
  judge(slot, result); // first: who comes back by this answer is known by it alone
  if (result != RESULT_UNKNOWN) learnLatency(slot, us, result);
}

/** Requests (below) and failures (above) of a slot over all workers, 32 bits of each: for differences. */
export function workOf(slot: u32): u64 {
  const workers = atomic.load<u32>(WORKERS_HIGH_OFFSET);
  let requests: u32 = 0;
  let failures: u32 = 0;
  let ptr: u32 = STATS + slot * STAT_BYTES;
  for (let worker: u32 = 0; worker < workers; worker += 1) {
    requests += u32(load<u64>(ptr, STAT_REQUESTS_OFFSET));
    failures += u32(load<u64>(ptr, STAT_FAILURES_OFFSET));
    ptr += STAT_COLUMN_BYTES;
  }
  return (u64(failures) << 32) | u64(requests);
}

/** Zeroes a slot's statistics in every column. Main thread, while the slot is idle. */
export function clearStats(slot: u32): void {
  const workers = atomic.load<u32>(WORKERS_HIGH_OFFSET);
  let ptr: u32 = STATS + slot * STAT_BYTES;
  for (let worker: u32 = 0; worker < workers; worker += 1) {
    // Untouched memory stays untouched: a fill would back its page.
    if (load<u64>(ptr, STAT_REQUESTS_OFFSET) != 0) memory.fill(ptr, 0, STAT_BYTES);
    ptr += STAT_COLUMN_BYTES;
  }
}

function bucketOf(us: u32): u32 {
  if (us < 1 << INSTANCE_BUCKET_FIRST_LOG2) return 0;
  const log2 = 31 - clz(us);
  const mantissa = us << (31 - log2);
  const quarter = u32(mantissa >= QUARTER_FIRST) + u32(mantissa >= QUARTER_SECOND) + u32(mantissa >= QUARTER_THIRD);
  const bucket = (log2 - INSTANCE_BUCKET_FIRST_LOG2) * INSTANCE_BUCKETS_PER_OCTAVE + quarter;
  return min<u32>(bucket, INSTANCE_BUCKETS - 1);
}
