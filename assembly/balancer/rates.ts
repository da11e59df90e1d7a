// Rate limits, exact over threads: a token bucket for each key, kept as one time (GCRA, ITU-T I.371).
//
// The theoretical arrival time (TAT) of a key is when its bucket will be full again. A request is let through when TAT
// lies at most the tolerance ahead of now, and moves it on by one interval: requests per second are 1/interval, and
// the burst is 1 + tolerance/interval. No timer refills anything, and a key that was not used for a while has a TAT in
// the past, which says the same as no entry: so such entries are free for others.
//
//   bucket (64 bytes, a cache line)
//   ┌───────────┬───────────┬───────────┬───────────┐
//   │ key │ TAT │ key │ TAT │ key │ TAT │ key │ TAT │      all u64; key 0 = never used; TAT in nanoseconds
//   └───────────┴───────────┴───────────┴───────────┘
//
// Any thread, compare-and-swap only. Where all four entries of a bucket are in use, the one that is full again first is
// taken over with its TAT: who comes to a full table may be told to wait a little early, and nobody gets more than the
// limit by filling it. An entry that is taken over in the very moment in which its owner uses it charges the newcomer
// for that one request.

import { RATE_BUCKET_BYTES, RATE_BUCKETS, RATE_ENTRY_BYTES, RATE_TAT_OFFSET, RATES } from "../abi/balancer-table.ts";
import { now } from "./time.ts";

/** Longest wait that is told, ms: what is beyond it has no more meaning. */
const WAIT_MS_MAX: u64 = 0x7fffffff;

/**
 * Takes a token of `key` (not 0): 0 when there was one, else the milliseconds until there is, rounded up. `interval`
 * and `tolerance` in nanoseconds, `interval` not 0. Any thread.
 */
export function takeToken(key: u64, interval: u64, tolerance: u64): u32 {
  assert(key != 0 && interval != 0);
  const nowNs = now * 1000;
  const tat = entryOf(key, nowNs) + RATE_TAT_OFFSET;
  let seen = atomic.load<u64>(tat);
  while (max<u64>(seen, nowNs) - nowNs <= tolerance) {
    const found = atomic.cmpxchg<u64>(tat, seen, max<u64>(seen, nowNs) + interval);
    if (found == seen) return 0;
    seen = found;
  }
  return waitMs(seen - nowNs - tolerance);
}

/** The key's entry; taken, if it has none. */
function entryOf(key: u64, nowNs: u64): u32 {
  // Another thread may take the free entry first, for this key even: then look again.
  let entry = lookFor(key, nowNs);
  while (entry == 0) entry = lookFor(key, nowNs);
  return entry;
}

/** The same, or 0 where another thread was quicker. */
function lookFor(key: u64, nowNs: u64): u32 {
  const bucket = u32(RATES) + (u32(key) & u32(RATE_BUCKETS - 1)) * RATE_BUCKET_BYTES;
  let free: u32 = 0;
  let freeKey: u64 = 0;
  let freeTat: u64 = u64.MAX_VALUE;
  for (let entry = bucket; entry < bucket + RATE_BUCKET_BYTES; entry += RATE_ENTRY_BYTES) {
    const owner = atomic.load<u64>(entry);
    if (owner == key) return entry;
    const tat = max<u64>(atomic.load<u64>(entry + RATE_TAT_OFFSET), nowNs);
    // The first of those that are full already: threads that come with one key at once choose alike.
    if (tat >= freeTat) continue;
    free = entry;
    freeKey = owner;
    freeTat = tat;
  }
  return atomic.cmpxchg<u64>(free, freeKey, key) == freeKey ? free : 0;
}

function waitMs(ns: u64): u32 {
  return u32(min<u64>((ns + 999999) / 1000000, WAIT_MS_MAX));
}
