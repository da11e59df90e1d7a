// The two histograms of abi/metrics.ts, as numbers: bounds for Prometheus, percentiles for people.
//
// The bounds repeat what assembly/balancer/metrics.ts and stats.ts count into; the model tests of the balancer compare.

import {
  INSTANCE_BUCKET_FIRST_LOG2,
  INSTANCE_BUCKETS_PER_OCTAVE,
  LATENCY_BUCKETS,
} from "../../assembly/abi/metrics.ts";

const STEPS = [1, 1.5, 2.5, 4, 6.5];

/** Upper bounds of a service's latency buckets, in seconds: four decades from 100 µs, then 1, 2.5, 10 and 60 s. */
export const LATENCY_BOUNDS_SECONDS: readonly number[] = [
  ...[100, 1_000, 10_000, 100_000].flatMap((decadeUs) => STEPS.map((step) => (decadeUs * step) / 1e6)),
  ...[1, 2.5, 10, 60],
].slice(0, LATENCY_BUCKETS);

/** The value in microseconds below which `fraction` of the samples lie; undefined without samples. */
export function percentileUs(buckets: ArrayLike<number>, fraction: number): number | undefined {
  let total = 0;
  for (let index = 0; index < buckets.length; index += 1) total += buckets[index]!;
  if (total === 0) return undefined;
  const rank = Math.ceil(total * fraction);
  let below = 0;
  for (let index = 0; index < buckets.length; index += 1) {
    below += buckets[index]!;
    if (below >= rank) return middleUs(index);
  }
  return middleUs(buckets.length - 1);
}

/** Geometric middle of a bucket: at most 9.1 % off. */
function middleUs(index: number): number {
  return 2 ** (INSTANCE_BUCKET_FIRST_LOG2 + (index + 0.5) / INSTANCE_BUCKETS_PER_OCTAVE);
}
