// How loaded an instance is, as far as we can know: what it reported, and what we have seen of it ourselves.
//
// Reports (pushed by inbound sidecars, DESIGN §2) say how many requests an instance has of all its callers and how long
// one takes there. From the count our own part at that moment is taken off; what is left is the others'. Adding our
// requests of now to it compensates for all that we sent since, and for what came back. As a report ages the others'
// part is taken for the average more and more: a queue lives about as long as its requests do.
//
// A report is good for a number of picks only. Beyond it, an instance that looked idle counts as the average one, so
// that a caller with much to send does not pour it all onto the one that reported last.
//
// Our own view is a peak-EWMA (Finagle): up at once, down over ten seconds, and towards zero while nobody asks, so that
// an instance that was slow is tried again. Failures count as slow. One peak (a collection of garbage, a connection
// that was just opened) would keep an instance idle for half a minute where there is little to do: so an average that
// is older than a second is doubted, the less often the slower it says the instance is. Failures are not. An average of
// one sample, the first answer of a process that has just started, is by then none.

import { RESULT_FAILED, RESULT_SLOW } from "../abi/balancer-codes.ts";
import {
  INSTANCES_MAX,
  TUNING_REPORTED_OFFSET,
  TUNING_SPREAD_OFFSET,
  VITAL_EWMA_OFFSET,
  VITAL_FAILED_AT_OFFSET,
  VITAL_REPORT_OFFSET,
  VITAL_REPORT_USES_OFFSET,
  VITAL_REPORTED_AT_OFFSET,
} from "../abi/balancer-table.ts";
import { randomNext } from "../core/random.ts";
import { loadOf } from "./gauges.ts";
import { now, nowMs } from "./time.ts";
import { tuningOf } from "./tuning.ts";
import { serviceOfSlot, vitalOf } from "./vitals.ts";

/** Time constant of the average (Finagle's and Linkerd's 10 s). */
const DECAY_MS: f32 = 10000;
/** What nobody has measured for so long is a memory. */
const FRESH_MS: u32 = 1000;
/** Bit of an average that is one sample: it may have been a cold start. Older than FRESH_MS it says nothing. */
const FIRST: u32 = 1;
/** A failure counts as so many times slower than what is known, at least and at most. */
const FAILURE_FACTOR: f32 = 8;
const FAILURE_US_MIN: f32 = 10000;
const FAILURE_US_MAX: f32 = 1000000;
/** How long a failure makes our own view count beside the instance's. */
const FAILURE_MEMORY_MS: u32 = 10000;
/** Idle connections report once a second: after three without, an instance is one that does not report. */
const REPORT_AGE_MAX_US: u64 = 3000000;
/** Picks for which an idle-looking report is believed. */
const REPORT_USES_MAX: u32 = 16;
/** A report's count fades over so many times the latency it tells, at least REPORT_FADE_US_MIN. */
const REPORT_FADE: i32 = 2;
const REPORT_FADE_US_MIN: i32 = 20000;
/** What tells hot from cold is this quantile of the reported counts (Prequal: 0.84; 0.6 to 0.9 do well). */
const HOT_QUANTILE: f32 = 0.75;
/** What is believed of a latency, µs: ten minutes. */
const LATENCY_US_MAX: u32 = 600000000;
/** Weight of one report in the service's average. */
const SPREAD_STEP: f32 = 0.0625;

// Per instance (thread): what the others of the service have on average, read by `openSpread`.
let meanOthers: f32 = 0;

// Per instance (thread): results of `readLoad`.
/** Requests at the instance, of all callers as far as known. */
export let loadRequests: f32 = 0;
/** What one takes there, µs; 0 = unknown. */
export let loadLatency: f32 = 0;
/** Whether that is what the instance itself says. */
export let loadIsReported: bool = false;

/** Takes a load report: requests in flight at `slot`, µs that one takes there (0 = unknown). */
export function learnReport(slot: u32, inflight: u32, latencyUs: u32): void {
  assert(slot < u32(INSTANCES_MAX));
  const vital = vitalOf(slot);
  const own = loadOf(slot);
  const others: u32 = inflight > own ? inflight - own : 0;
  const latency = min<u32>(latencyUs, LATENCY_US_MAX);
  atomic.store<u64>(vital + VITAL_REPORT_OFFSET, (u64(latency) << 32) | u64(min<u32>(others, i32.MAX_VALUE)));
  atomic.store<u64>(vital + VITAL_REPORTED_AT_OFFSET, now);
  atomic.store<u32>(vital + VITAL_REPORT_USES_OFFSET, 0);
  const service = serviceOfSlot(slot);
  if (service == 0) return;
  const tuning = tuningOf(service - 1);
  learnSpread(tuning + TUNING_SPREAD_OFFSET, f32(inflight), f32(others));
  atomic.store<u64>(tuning + TUNING_REPORTED_OFFSET, now);
}

/** Whether instances of a service report at present. */
export function hasReports(service: u32): bool {
  const at = atomic.load<u64>(tuningOf(service) + TUNING_REPORTED_OFFSET);
  return at != 0 && now < at + REPORT_AGE_MAX_US;
}

/** Begins a pick by reports; returns the requests in flight above which an instance of the service is hot. */
export function openSpread(service: u32): f32 {
  const spread = atomic.load<u64>(tuningOf(service) + TUNING_SPREAD_OFFSET);
  meanOthers = reinterpret<f32>(u32(spread >> 32));
  return reinterpret<f32>(u32(spread));
}

/** Reads what is known of an instance into `loadRequests`, `loadLatency`, `loadIsReported`; after `openSpread`. */
export function readLoad(slot: u32): void {
  const bits = loadBits(slot, loadOf(slot), meanOthers);
  loadIsReported = isReported(vitalOf(slot));
  loadRequests = reinterpret<f32>(u32(bits >> 32));
  loadLatency = reinterpret<f32>(u32(bits));
}

/** What the service's instances have of the others' requests on average. */
export function meanOfOthers(): f32 {
  return meanOthers;
}

/**
 * The same as the bits of two f32, requests above and latency below; `own`: our requests there, `mean`:
 * `meanOfOthers`. Plain loads of whole words, which do not tear: what is read is a moment old anyway.
 */
export function loadBits(slot: u32, ownCount: u32, mean: f32): u64 {
  const vital = vitalOf(slot);
  const own = f32(i32(ownCount));
  if (!isReported(vital)) return (u64(reinterpret<u32>(own)) << 32) | u64(reinterpret<u32>(ownLatency(slot)));
  const told = load<u64>(vital, VITAL_REPORT_OFFSET);
  const age = larger(i32(now - load<u64>(vital, VITAL_REPORTED_AT_OFFSET)), 0);
  const reportedUs = i32(told >> 32); // signed conversions are one instruction; neither reaches 2^31
  const fade = larger(REPORT_FADE_US_MIN, reportedUs * REPORT_FADE);
  const others = mean + (f32(i32(told)) - mean) * (f32(fade) / f32(fade + age));
  // Of numbers that are not negative the bits are in the same order.
  const bound = load<u32>(vital, VITAL_REPORT_USES_OFFSET) >= REPORT_USES_MAX ? reinterpret<i32>(mean) : 0;
  const bounded = reinterpret<f32>(larger(reinterpret<i32>(others), bound));
  let latency = f32(reportedUs);
  if (reportedUs == 0) latency = ownLatency(slot);
  else if (hasFailed(slot)) latency = max<f32>(latency, ownLatency(slot));
  return (u64(reinterpret<u32>(bounded + own)) << 32) | u64(reinterpret<u32>(latency));
}

/** The larger of two, without a jump; they are less than 2^31 apart. */
function larger(left: i32, right: i32): i32 {
  const difference = left - right;
  return left - (difference & (difference >> 31));
}

/** Whether what the instance said of itself is still of the present. */
function isReported(vital: u32): bool {
  const at = load<u64>(vital, VITAL_REPORTED_AT_OFFSET);
  return at != 0 && now < at + REPORT_AGE_MAX_US;
}

/** Whether an instance has failed lately. */
function hasFailed(slot: u32): bool {
  const at = load<u32>(vitalOf(slot), VITAL_FAILED_AT_OFFSET);
  return at != 0 && nowMs() - at < FAILURE_MEMORY_MS;
}

/** A pick went by the report of `slot`. Not a locked addition: a use lost between two threads is no harm. */
export function useReport(slot: u32): void {
  const ptr = vitalOf(slot) + VITAL_REPORT_USES_OFFSET;
  store<u32>(ptr, load<u32>(ptr) + 1);
}

/** What we have seen of an instance ourselves is of the past: its next answer is the first. */
export function forgetSeen(slot: u32): void {
  const vital = vitalOf(slot);
  atomic.store<u64>(vital + VITAL_EWMA_OFFSET, 0);
  atomic.store<u32>(vital + VITAL_FAILED_AT_OFFSET, 0);
}

/** So is what it reported. */
export function forgetReport(slot: u32): void {
  atomic.store<u64>(vitalOf(slot) + VITAL_REPORTED_AT_OFFSET, 0);
}

/** Takes one sample into the average of `slot`. */
export function learnLatency(slot: u32, us: u32, result: u32): void {
  const ptr = vitalOf(slot) + VITAL_EWMA_OFFSET;
  const at = nowMs();
  let seen = atomic.load<u64>(ptr);
  for (let tries = 0; tries < 4; tries += 1) {
    const isStale = (u32(seen) & FIRST) != 0 && at - u32(seen >> 32) >= FRESH_MS;
    const known: f32 = isStale ? 0 : reinterpret<f32>(u32(seen));
    const weight = decay(at - u32(seen >> 32));
    let sample = f32(us);
    if (result == RESULT_FAILED) {
      const slow = min<f32>(FAILURE_US_MAX, max<f32>(FAILURE_US_MIN, known * weight * FAILURE_FACTOR));
      sample = max<f32>(sample, slow);
    }
    if (result == RESULT_SLOW && sample < known * weight) return; // "at least" lowers nothing
    const average = sample >= known * weight ? sample : known * weight + sample * (1 - weight);
    const bits = (reinterpret<u32>(average) & ~FIRST) | (seen == 0 ? FIRST : 0);
    const next = (u64(at) << 32) | u64(bits);
    const found = atomic.cmpxchg<u64>(ptr, seen, next);
    if (found == seen) return;
    seen = found; // another thread's sample is as good as ours: it is not tried for ever
  }
}

/** Our own view of what a request takes at `slot`, µs, fading while nobody asks; 0 = never seen. */
export function ownLatency(slot: u32): f32 {
  const seen = atomic.load<u64>(vitalOf(slot) + VITAL_EWMA_OFFSET);
  const age = nowMs() - u32(seen >> 32);
  const average = reinterpret<f32>(u32(seen)) * decay(age);
  if (age < FRESH_MS || average == 0 || hasFailed(slot)) return average;
  if ((u32(seen) & FIRST) != 0) return 0;
  return average * doubt();
}

/** The largest of three draws: below 1 / x once in x³. */
function doubt(): f32 {
  const draws = randomNext();
  const largest = max<u32>(draws & 1023, max<u32>((draws >> 10) & 1023, (draws >> 20) & 1023));
  return f32(i32(largest) + 1) * (1 / 1024);
}

/** e^(−age / DECAY_MS), near enough, without a table (a table would be data). */
function decay(ageMs: u32): f32 {
  const x = f32(ageMs) / DECAY_MS;
  return 1 / (1 + x + x * x * 0.5);
}

/** Moves the service's threshold and average by one report: a quantile found by steps (Robbins and Monro, 1951). */
function learnSpread(ptr: u32, inflight: f32, others: f32): void {
  const seen = atomic.load<u64>(ptr);
  let hot = reinterpret<f32>(u32(seen));
  let mean = reinterpret<f32>(u32(seen >> 32));
  mean += (others - mean) * SPREAD_STEP;
  const step = max<f32>(0.25, hot * 0.1);
  hot = max<f32>(0, hot + step * (inflight > hot ? HOT_QUANTILE : HOT_QUANTILE - 1));
  // One try: of two reports at once, one moves it.
  atomic.cmpxchg<u64>(ptr, seen, (u64(reinterpret<u32>(mean)) << 32) | u64(reinterpret<u32>(hot)));
}
