// Consistent hashing on a ring (Karger et al., STOC 1997): a member comes or goes, and only its keys move.
//
// Each member has points on a circle of 2^32, from its own hash alone, so every sidecar of the mesh builds the same
// ring from the same members. A key belongs to the first point at or after it; when that member may not be taken, or
// is overloaded (bounded-load.ts), the walk goes on to the next point: its keys spread over all others and come back.
//
// 160 points for weight 100. Where the largest weight is below 100 all are doubled until it is not, and where the
// ring would pass RING_POINTS_MAX all shrink: both depend on the whole set, so crossing such a border moves keys.

import { NO_INSTANCE } from "../../abi/balancer-codes.ts";
import {
  RING_POINTS_MAX,
  RING_POINTS_PER_WEIGHT_100,
  STAGED_BYTES,
  STAGED_HASH_OFFSET,
  STAGED_SHARE_OFFSET,
  STAGED_WEIGHT_OFFSET,
} from "../../abi/balancer-table.ts";
import { mixHash } from "../../core/hash.ts";
import { lookupLength, lookupPtr, memberCount, memberSlot } from "../block.ts";
import { isCandidate } from "../eligible.ts";
import { hasRoom, openBound } from "./bounded-load.ts";

// The ring is two arrays, so that the binary search touches hashes only: u32 hash × n, then u16 member × n.
const HASH_BYTES: u32 = 4;
const MEMBER_INDEX_BYTES: u32 = 2;
export const POINT_BYTES: u32 = HASH_BYTES + MEMBER_INDEX_BYTES;

/** Sorting: two arrays of u64 (hash above, member below), and 256 counts. */
export const POINT_SCRATCH_BYTES: u32 = 16;
export const RING_SCRATCH_BYTES: u32 = 1024;

/** 2^32 / golden ratio: steps a member's hash from point to point. */
const POINT_STEP: u32 = 0x9e3779b9;

/** Picks the candidate that owns `hash`, or the next one that has room. */
export function pickRingHash(block: u32, hash: u32, service: u32): i32 {
  const length = lookupLength(block);
  const hashes = lookupPtr(block);
  const members = hashes + length * HASH_BYTES;
  let point = findPoint(hashes, length, mixHash(hash));
  openBound(service);
  let owner: i32 = NO_INSTANCE;
  for (let seen: u32 = 0; seen < length; seen += 1) {
    const index = u32(load<u16>(members + point * MEMBER_INDEX_BYTES));
    const slot = memberSlot(block, index);
    if (isCandidate(slot)) {
      if (hasRoom(block, index, slot)) return slot;
      if (owner == NO_INSTANCE) owner = slot;
    }
    point = point + 1 == length ? 0 : point + 1;
  }
  return owner;
}

/** Index of the first point at or after `hash`; past the last it wraps to the first. */
function findPoint(hashes: u32, length: u32, hash: u32): u32 {
  let low: u32 = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (load<u32>(hashes + middle * HASH_BYTES) < hash) low = middle + 1;
    else high = middle;
  }
  return low == length ? 0 : low;
}

/** Gives each member its number of points in STAGED_SHARE; returns the sum. */
export function measureRing(staged: u32, count: u32): u32 {
  let largest: u32 = 0;
  for (let index: u32 = 0; index < count; index += 1) {
    largest = max<u32>(largest, load<u32>(staged + index * STAGED_BYTES, STAGED_WEIGHT_OFFSET));
  }
  let scale: u64 = RING_POINTS_PER_WEIGHT_100;
  while (u64(largest) * scale < u64(RING_POINTS_PER_WEIGHT_100 * 100)) scale *= 2;

  let wanted: u64 = 0;
  for (let index: u32 = 0; index < count; index += 1) {
    const weight = load<u32>(staged + index * STAGED_BYTES, STAGED_WEIGHT_OFFSET);
    wanted += max<u64>((u64(weight) * scale) / 100, 1);
  }
  let sum: u32 = 0;
  for (let index: u32 = 0; index < count; index += 1) {
    const ptr = staged + index * STAGED_BYTES;
    let points = max<u64>((u64(load<u32>(ptr, STAGED_WEIGHT_OFFSET)) * scale) / 100, 1);
    if (wanted > u64(RING_POINTS_MAX)) points = max<u64>((points * RING_POINTS_MAX) / wanted, 1);
    store<u32>(ptr, u32(points), STAGED_SHARE_OFFSET);
    sum += u32(points);
  }
  return sum;
}

/** Places and sorts the points. */
export function compileRing(block: u32, staged: u32, scratch: u32): void {
  const length = lookupLength(block);
  const points = scratch + RING_SCRATCH_BYTES;
  let out = points;
  for (let index: u32 = 0; index < memberCount(block); index += 1) {
    const ptr = staged + index * STAGED_BYTES;
    const share = load<u32>(ptr, STAGED_SHARE_OFFSET);
    let seed = mixHash(load<u32>(ptr, STAGED_HASH_OFFSET));
    for (let point: u32 = 0; point < share; point += 1) {
      store<u64>(out, (u64(mixHash(seed)) << 32) | u64(index));
      seed += POINT_STEP;
      out += 8;
    }
  }
  sortPoints(points, points + length * 8, length, scratch);

  const hashes = lookupPtr(block);
  const members = hashes + length * HASH_BYTES;
  for (let point: u32 = 0; point < length; point += 1) {
    const entry = load<u64>(points + point * 8);
    store<u32>(hashes + point * HASH_BYTES, u32(entry >> 32));
    store<u16>(members + point * MEMBER_INDEX_BYTES, u16(entry));
  }
}

/** Sorts by the upper 32 bits: radix sort, four passes of a byte; stable, so equal hashes stay in member order. */
function sortPoints(points: u32, other: u32, length: u32, counts: u32): void {
  let source = points;
  let target = other;
  for (let shift: u64 = 32; shift < 64; shift += 8) {
    memory.fill(counts, 0, RING_SCRATCH_BYTES);
    for (let point: u32 = 0; point < length; point += 1) {
      const count = counts + u32((load<u64>(source + point * 8) >> shift) & 255) * 4;
      store<u32>(count, load<u32>(count) + 1);
    }
    let first: u32 = 0;
    for (let digit: u32 = 0; digit < 256; digit += 1) {
      const count = load<u32>(counts + digit * 4);
      store<u32>(counts + digit * 4, first);
      first += count;
    }
    for (let point: u32 = 0; point < length; point += 1) {
      const entry = load<u64>(source + point * 8);
      const next = counts + u32((entry >> shift) & 255) * 4;
      store<u64>(target + load<u32>(next) * 8, entry);
      store<u32>(next, load<u32>(next) + 1);
    }
    const sorted = target;
    target = source;
    source = sorted;
  }
  assert(source == points); // an even number of passes ends where it began
}
