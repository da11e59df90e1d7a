// The budgets: retries may add a share of the requests to a service, and a few a second besides.
//
// A token bucket for each service, in 1/1024 of a retry: every request puts in `ratio`, time puts in
// `minimumPerSecond`, a retry takes 1,024. So a service that fails altogether sees at most 1 + ratio of its load
// (Envoy's and Linkerd's budget is 20 %). A bucket holds ten seconds of the floor and begins full, as Linkerd's does:
// the first failures of a quiet service are saved. Per worker: each worker's share of the requests fills its own
// bucket.
//
// Hedges have a bucket beside it, filled by requests alone and empty at first: they never are more than their share.
//
// What was proven not processed takes nothing: it put no load on anybody (gRPC's transparent retries, proposal A6).

import { HEDGE_BURST } from "../../abi/limits.ts";
import { POLICY_BUDGET_MIN, POLICY_BUDGET_RATIO, POLICY_HEDGE_BUDGET, POLICY_SERVICE } from "../../abi/policy.ts";
import { allocate } from "../../core/pool.ts";
import { now } from "../http/event.ts";

const SERVICES_MAX: u32 = 2048;
const BUCKET_BYTES: u32 = 16; // u64 time of the last refill, u32 tokens, u32 tokens for hedges
const RETRY_TOKENS: u32 = 1024;
const HEDGE_TOKENS: u32 = 1024;
/** Seconds of the floor that a bucket holds; Linkerd's budget has a time to live of 10 s. */
const BURST_SECONDS: u32 = 10;
/** A floor of none still lets the ratio gather a little. */
const BURST_RETRIES_MIN: u32 = 10;

// Per-instance state of this worker.
let buckets: u32 = 0;

/** Takes the table's memory; called once at start. */
export function createBudgets(): void {
  buckets = allocate(SERVICES_MAX * BUCKET_BYTES);
  memory.fill(buckets, 0, SERVICES_MAX * BUCKET_BYTES);
}

/** A request to this policy's service began. */
export function fillBudget(policy: u32): void {
  addTokens(policy, bucketOf(policy), load<u32>(policy, POLICY_BUDGET_RATIO));
}

/** Whether a retry is within the budget; takes it. */
export function takeBudget(policy: u32): bool {
  const bucket = bucketOf(policy);
  const lastUs = load<u64>(bucket);
  const burstUs = u64(BURST_SECONDS) * 1000000;
  const elapsedUs = lastUs == 0 ? burstUs : min<u64>(now - lastUs, burstUs); // a bucket begins full
  const refill = (elapsedUs * u64(load<u32>(policy, POLICY_BUDGET_MIN)) * RETRY_TOKENS) / 1000000;
  if (refill != 0) {
    store<u64>(bucket, now);
    addTokens(policy, bucket, u32(min<u64>(refill, u64(tokensMax(policy)))));
  }
  const tokens = load<u32>(bucket, 8);
  if (tokens < RETRY_TOKENS) return false;
  store<u32>(bucket, tokens - RETRY_TOKENS, 8);
  return true;
}

/** A request to this policy's service began, which hedges. */
export function fillHedgeBudget(policy: u32): void {
  const bucket = bucketOf(policy);
  const tokens = load<u32>(bucket, 12) + load<u32>(policy, POLICY_HEDGE_BUDGET);
  store<u32>(bucket, min<u32>(tokens, HEDGE_BURST * HEDGE_TOKENS), 12);
}

/** Whether a hedge is within the budget. */
export function hasHedgeBudget(policy: u32): bool {
  return load<u32>(bucketOf(policy), 12) >= HEDGE_TOKENS;
}

/** Takes a hedge, which `hasHedgeBudget` allowed. */
export function takeHedgeBudget(policy: u32): void {
  const bucket = bucketOf(policy);
  store<u32>(bucket, load<u32>(bucket, 12) - HEDGE_TOKENS, 12);
}

function bucketOf(policy: u32): u32 {
  return buckets + (load<u32>(policy, POLICY_SERVICE) & (SERVICES_MAX - 1)) * BUCKET_BYTES;
}

function addTokens(policy: u32, bucket: u32, tokens: u32): void {
  store<u32>(bucket, min(load<u32>(bucket, 8) + tokens, tokensMax(policy)), 8);
}

function tokensMax(policy: u32): u32 {
  const floor = min<u32>(load<u32>(policy, POLICY_BUDGET_MIN), 100000);
  return RETRY_TOKENS * max(floor * BURST_SECONDS, BURST_RETRIES_MIN);
}
