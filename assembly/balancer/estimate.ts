// How long a request takes at the app beside us, by how many it has: the latency in our load reports.
//
// As Prequal's server module does it (Wydrowski et al., NSDI 2024): for each number of requests in flight the last few
// latencies are kept; the estimate is the median of those seen lately at or beside the present number. Without a
// fresh sample it is 0, never an old value: a stale high one would keep callers away for ever.

import { ESTIMATE_LOADS, ESTIMATE_RINGS, ESTIMATE_SAMPLES, ESTIMATES } from "../abi/balancer-table.ts";
import { inflightOf } from "./gauges.ts";
import { nowMs } from "./time.ts";

/** Age beyond which a sample is not of the present any more (Prequal's age limit of a probe). */
const SAMPLE_AGE_MS: u32 = 1000;

/** Records what a request took, before its `release`. */
export function recordEstimate(slot: u32, us: u32): void {
  const load = loadIndex(inflightOf(slot));
  const turn = atomic.add<u32>(ESTIMATES + load * 4, 1) % ESTIMATE_SAMPLES;
  atomic.store<u64>(samplePtr(load, turn), (u64(nowMs()) << 32) | u64(max<u32>(us, 1)));
}

/** Median of the fresh samples at the app's present load, µs; 0 = there are none. */
export function estimateLatency(slot: u32): u32 {
  const load = loadIndex(inflightOf(slot));
  const begin: u32 = (load == 0 ? 0 : load - 1) * ESTIMATE_SAMPLES;
  const end: u32 = (min<u32>(load + 1, ESTIMATE_LOADS - 1) + 1) * ESTIMATE_SAMPLES;
  let fresh: u32 = 0;
  for (let at = begin; at < end; at += 1) fresh += u32(isFresh(at));
  if (fresh == 0) return 0;
  // The sample that has as many below it as the median: at most 48, so counting beats sorting.
  const rank = (fresh - 1) >> 1;
  for (let at = begin; at < end; at += 1) {
    if (!isFresh(at)) continue;
    const us = usAt(at);
    let below: u32 = 0;
    let equal: u32 = 0;
    for (let other = begin; other < end; other += 1) {
      if (!isFresh(other)) continue;
      below += u32(usAt(other) < us);
      equal += u32(usAt(other) == us);
    }
    if (below <= rank && rank < below + equal) return us;
  }
  return 0; // another thread has just replaced what we counted
}

/** 0 to 31 exactly, then by the two bits behind the highest. */
function loadIndex(inflight: u32): u32 {
  if (inflight < 32) return inflight;
  const log2 = 31 - clz<u32>(inflight);
  return min<u32>(32 + (log2 - 5) * 4 + ((inflight >> (log2 - 2)) & 3), ESTIMATE_LOADS - 1);
}

function samplePtr(load: u32, turn: u32): u32 {
  return ESTIMATE_RINGS + (load * ESTIMATE_SAMPLES + turn) * 8;
}

function usAt(at: u32): u32 {
  return u32(atomic.load<u64>(ESTIMATE_RINGS + at * 8));
}

function isFresh(at: u32): bool {
  const sample = atomic.load<u64>(ESTIMATE_RINGS + at * 8);
  return sample != 0 && nowMs() - u32(sample >> 32) <= SAMPLE_AGE_MS;
}
