// How long the instances of a service take to answer: percentiles of the last thousand or so, for hedging.
//
//   512 µs                    one bucket for each eighth of an octave                   33 s
//   ├─┬─┬─┬─┬─┬─┬─┬─╫───┬───┬───┬───┬───┬───┬───┬───╫ …  u16 each, halved when they hold 1,024 samples in all
//
// A sample is what one attempt took until the head of its response, connecting included. An attempt that was given up
// for a faster rival counts with the time that it had taken by then: it was to take longer, and without it the
// percentiles would be those of the fast alone. Per worker, and only of requests that may be hedged.

import { RESPONSE_TIMES, RESPONSE_TIMES_BYTES, RESPONSE_TIMES_MAX } from "../../abi/engine-memory.ts";
import { HEDGE_SAMPLES_MIN } from "../../abi/limits.ts";
import { HEDGE_P50, HEDGE_P75, HEDGE_P90, HEDGE_P95, HEDGE_P99 } from "../../abi/policy.ts";

const T_SAMPLES: u32 = 0; // u32 in the buckets
const T_FRESH: u32 = 4; // u32 since the percentiles were computed
const T_PERCENTILES: u32 = 8; // u32 µs × 5, HEDGE_P50 first; 0 = not known
const T_BUCKETS: u32 = 64; // u16 each
const BUCKETS: u32 = 128;
const PER_OCTAVE_LOG2: u32 = 3;
const FIRST_LOG2: u32 = 9;
const SAMPLES_MAX: u32 = 1024;
/** Samples between two computations: a scan of 128 numbers then costs four steps for each request. */
const FRESH_MAX: u32 = 32;

/** An attempt on an instance of `service` took so long, or longer. */
export function noteResponseTime(service: u32, us: u32): void {
  const record = recordOf(service);
  const bucket = record + T_BUCKETS + bucketOf(us) * 2;
  store<u16>(bucket, load<u16>(bucket) + 1);
  const samples = load<u32>(record, T_SAMPLES) + 1;
  store<u32>(record, samples, T_SAMPLES);
  const fresh = load<u32>(record, T_FRESH) + 1;
  store<u32>(record, fresh, T_FRESH);
  if (fresh < FRESH_MAX) return;
  store<u32>(record, 0, T_FRESH);
  if (samples >= <u32>HEDGE_SAMPLES_MIN) computePercentiles(record, samples);
  if (samples >= SAMPLES_MAX) halve(record);
}

/** A percentile, HEDGE_P50 … HEDGE_P99, of a service's response times, µs, at most an eighth too long; 0 = unknown. */
export function responseTimeOf(service: u32, percentile: u32): u32 {
  assert(percentile >= <u32>HEDGE_P50 && percentile <= <u32>HEDGE_P99);
  return load<u32>(recordOf(service) + T_PERCENTILES + (percentile - HEDGE_P50) * 4);
}

function computePercentiles(record: u32, samples: u32): void {
  let percentile: u32 = HEDGE_P50;
  let rank = rankOf(percentile, samples);
  let below: u32 = 0;
  for (let bucket: u32 = 0; bucket < BUCKETS; bucket += 1) {
    below += u32(load<u16>(record + T_BUCKETS + bucket * 2));
    while (below >= rank) {
      store<u32>(record + T_PERCENTILES + (percentile - HEDGE_P50) * 4, boundOf(bucket));
      if (percentile == <u32>HEDGE_P99) return;
      percentile += 1;
      rank = rankOf(percentile, samples);
    }
  }
}

/** How many samples are at or below a percentile. */
function rankOf(percentile: u32, samples: u32): u32 {
  return (samples * percentOf(percentile) + 99) / 100;
}

function percentOf(percentile: u32): u32 {
  switch (percentile) {
    case HEDGE_P50:
      return 50;
    case HEDGE_P75:
      return 75;
    case HEDGE_P90:
      return 90;
    case HEDGE_P95:
      return 95;
    default:
      return 99;
  }
}

/** Old samples count for half from now on. */
function halve(record: u32): void {
  let samples: u32 = 0;
  for (let bucket: u32 = 0; bucket < BUCKETS; bucket += 1) {
    const ptr = record + T_BUCKETS + bucket * 2;
    const half = load<u16>(ptr) >> 1;
    store<u16>(ptr, half);
    samples += u32(half);
  }
  store<u32>(record, samples, T_SAMPLES);
}

function bucketOf(us: u32): u32 {
  if (us < 1 << FIRST_LOG2) return 0;
  const log2 = 31 - clz(us);
  const within = (us >> (log2 - PER_OCTAVE_LOG2)) & ((1 << PER_OCTAVE_LOG2) - 1);
  return min<u32>(((log2 - FIRST_LOG2) << PER_OCTAVE_LOG2) + within, BUCKETS - 1);
}

/** Upper bound of a bucket, µs. */
function boundOf(bucket: u32): u32 {
  const log2 = FIRST_LOG2 + (bucket >> PER_OCTAVE_LOG2);
  const within = bucket & ((1 << PER_OCTAVE_LOG2) - 1);
  return ((1 << PER_OCTAVE_LOG2) + within + 1) << (log2 - PER_OCTAVE_LOG2);
}

function recordOf(service: u32): u32 {
  return RESPONSE_TIMES + (service & (RESPONSE_TIMES_MAX - 1)) * RESPONSE_TIMES_BYTES;
}
