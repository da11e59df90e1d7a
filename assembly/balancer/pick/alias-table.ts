// A weighted draw in constant time: Walker's alias table, built by Vose's method (IEEE TSE 17.9, 1991).
//
// Each entry holds a threshold and an alias: draw an entry uniformly, then either the entry itself (below the
// threshold) or its alias. Everything is integers: a share is exact to 2^-32. With equal weights there is no table.

import { NO_INSTANCE } from "../../abi/balancer-codes.ts";
import { STAGED_BYTES, STAGED_WEIGHT_OFFSET } from "../../abi/balancer-table.ts";
import { randomBelow, randomNext } from "../../core/random.ts";
import { lookupLength, lookupPtr, memberCount, memberSlot, memberWeight } from "../block.ts";
import { isWanted } from "../eligible.ts";

/** u32 threshold, u32 alias. */
export const ALIAS_BYTES: u32 = 8;
const ALIAS_OTHER: u32 = 4;
/** Per member: its u64 share that is still to be placed, and one entry of the work lists. */
export const ALIAS_SCRATCH_BYTES: u32 = 12;

/** Draws before the exact scan; at half eligible, one pick in 256 scans. */
const DRAWS_MAX: u32 = 8;

/** Draws a member index, weighted. */
export function drawMember(block: u32): u32 {
  const index = randomBelow(memberCount(block));
  if (lookupLength(block) == 0) return index;
  const entry = lookupPtr(block) + index * ALIAS_BYTES;
  return randomNext() < load<u32>(entry) ? index : load<u32>(entry, ALIAS_OTHER);
}

/** Draws a member index among the candidates, weighted; NO_INSTANCE when there is none. */
export function drawCandidate(block: u32): i32 {
  for (let draw: u32 = 0; draw < DRAWS_MAX; draw += 1) {
    const index = drawMember(block);
    if (isWanted(memberSlot(block, index))) return index;
  }
  return scanCandidate(block);
}

/** The same distribution by a scan: each candidate replaces the one held with its share of the sum so far. */
function scanCandidate(block: u32): i32 {
  const count = memberCount(block);
  let held: i32 = NO_INSTANCE;
  let sum: u32 = 0;
  for (let index: u32 = 0; index < count; index += 1) {
    if (!isWanted(memberSlot(block, index))) continue;
    const weight = memberWeight(block, index);
    sum += weight;
    if (randomBelow(sum) < weight) held = index;
  }
  return held;
}

/** As many entries as members, or 0 when all weights are equal. */
export function measureAlias(staged: u32, count: u32): u32 {
  const first = load<u32>(staged, STAGED_WEIGHT_OFFSET);
  for (let index: u32 = 1; index < count; index += 1) {
    if (load<u32>(staged + index * STAGED_BYTES, STAGED_WEIGHT_OFFSET) != first) return count;
  }
  return 0;
}

/** Fills the table from the block's members. */
export function compileAlias(block: u32, scratch: u32): void {
  const count = memberCount(block);
  const table = lookupPtr(block);
  const lists = scratch + count * 8;
  let total: u64 = 0;
  for (let index: u32 = 0; index < count; index += 1) total += u64(memberWeight(block, index));

  // Shares are scaled by the count, so that the average is `total`. Those below it are listed from the left, the
  // others from the right; a share moves from right to left at most once, so the lists never meet.
  let small: u32 = 0;
  let large: u32 = count;
  for (let index: u32 = 0; index < count; index += 1) {
    const share = u64(memberWeight(block, index)) * u64(count);
    store<u64>(scratch + index * 8, share);
    store<u32>(table + index * ALIAS_BYTES, 0xffffffff);
    store<u32>(table + index * ALIAS_BYTES, index, ALIAS_OTHER);
    if (share < total) {
      store<u32>(lists + small * 4, index);
      small += 1;
    } else {
      large -= 1;
      store<u32>(lists + large * 4, index);
    }
  }
  while (small > 0 && large < count) {
    small -= 1;
    const less = load<u32>(lists + small * 4);
    const more = load<u32>(lists + large * 4);
    const lessShare = load<u64>(scratch + less * 8);
    store<u32>(table + less * ALIAS_BYTES, u32((lessShare << 32) / total));
    store<u32>(table + less * ALIAS_BYTES, more, ALIAS_OTHER);
    const rest = load<u64>(scratch + more * 8) - (total - lessShare);
    store<u64>(scratch + more * 8, rest);
    if (rest >= total) continue;
    large += 1;
    store<u32>(lists + small * 4, more);
    small += 1;
  }
}
