// Quantiles out of an instance's latency buckets (abi/metrics.ts: four to the octave).
//
// Counts only grow and may wrap at 2^32, so what happened between two looks is a difference, bucket by bucket.

import {
  INSTANCE_BUCKET_FIRST_LOG2,
  INSTANCE_BUCKETS,
  INSTANCE_BUCKETS_PER_OCTAVE,
} from "../../assembly/abi/metrics.ts";

/** What was counted after `before` was read. */
export function differenceOf(now: Uint32Array, before: Uint32Array): Uint32Array {
  return now.map((count, bucket) => count - (before[bucket] ?? 0)); // wraps as the counts do
}

/**
 * The latency in microseconds that a share `quantile` (0 to 1) of the samples does not exceed; the geometric middle of
 * its bucket, so at most 9.1 % off between 8 µs and 134 s. Undefined without samples.
 */
export function quantileUs(buckets: Uint32Array, quantile: number): number | undefined {
  const total = buckets.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  const rank = Math.max(1, Math.ceil(total * quantile));
  let seen = 0;
  for (let bucket = 0; bucket < INSTANCE_BUCKETS; bucket += 1) {
    seen += buckets[bucket] ?? 0;
    if (seen >= rank) return bucketMiddleUs(bucket);
  }
  return bucketMiddleUs(INSTANCE_BUCKETS - 1);
}

function bucketMiddleUs(bucket: number): number {
  return 2 ** (INSTANCE_BUCKET_FIRST_LOG2 + (bucket + 0.5) / INSTANCE_BUCKETS_PER_OCTAVE);
}
