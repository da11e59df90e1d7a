// The loads of a set's members, four at a time: what least connections scans where all weights are equal.
//
// Loads lie by slot, four to a vector, so the lookup names groups of four neighbouring slots and which of them are
// members: (group << 4) | members, a bit each. Neighbours in a set mostly have neighbouring slots; where they do not,
// there are more groups, at most one for each member.
//
// A first pass finds the least load and how many have it, each of the four lanes for itself and without a branch; one
// draw says which of them it will be, and a second pass finds it.

import { NO_INSTANCE } from "../../abi/balancer-codes.ts";
import {
  BLOCK_LOOKUP_LENGTH_OFFSET,
  INSTANCES_MAX,
  LOAD_COLUMN_BYTES,
  LOADS,
  STAGED_BYTES,
  STAGED_WEIGHT_OFFSET,
  WORKERS_HIGH_OFFSET,
} from "../../abi/balancer-table.ts";
import { randomBelow } from "../../core/random.ts";
import { lookupLength, lookupPtr, memberCount, memberSlot } from "../block.ts";

export const GROUP_BYTES: u32 = 4;
/** Of each group, which slots are members: a byte. */
export const GROUPS_SCRATCH_BYTES: u32 = u32(INSTANCES_MAX) / 4;

const GROUP_SLOTS_LOG2: u32 = 2;
const SLOT_IN_GROUP: u32 = 3;
const MEMBERS_BITS: u32 = 4;
const MEMBERS_MASK: u32 = 15;

/** Groups that there may be; 0 where weights differ, and loads are compared by them. */
export function measureGroups(staged: u32, count: u32): u32 {
  const first = load<u32>(staged, STAGED_WEIGHT_OFFSET);
  for (let index: u32 = 1; index < count; index += 1) {
    if (load<u32>(staged + index * STAGED_BYTES, STAGED_WEIGHT_OFFSET) != first) return 0;
  }
  return count;
}

/** Fills the lookup; what of its length is not needed is cut off. */
export function compileGroups(block: u32, scratch: u32): void {
  memory.fill(scratch, 0, GROUPS_SCRATCH_BYTES);
  const count = memberCount(block);
  for (let index: u32 = 0; index < count; index += 1) {
    const slot = memberSlot(block, index);
    const ptr = scratch + (slot >> GROUP_SLOTS_LOG2);
    store<u8>(ptr, u32(load<u8>(ptr)) | (1 << (slot & SLOT_IN_GROUP)));
  }
  const from = lookupPtr(block);
  let end = from;
  for (let group: u32 = 0; group < GROUPS_SCRATCH_BYTES; group += 1) {
    const members = u32(load<u8>(scratch + group));
    if (members == 0) continue;
    store<u32>(end, (group << MEMBERS_BITS) | members);
    end += GROUP_BYTES;
  }
  store<u32>(block, (end - from) / GROUP_BYTES, BLOCK_LOOKUP_LENGTH_OFFSET);
}

/** Picks one of the members with the least load; NO_INSTANCE when loads changed too much meanwhile. */
export function pickOfGroups(block: u32): i32 {
  const columns = atomic.load<u32>(WORKERS_HIGH_OFFSET);
  const from = lookupPtr(block);
  const end = from + lookupLength(block) * GROUP_BYTES;
  let least = i32x4.splat(-1);
  let ties = i32x4.splat(0);
  for (let entry = from; entry < end; entry += GROUP_BYTES) {
    const loads = readLoads(load<u32>(entry), columns);
    const next = i32x4.min_u(least, loads);
    // A comparison gives −1 in each lane where it holds. Ties are forgotten where there is a new least, else counted.
    ties = i32x4.sub(v128.and(ties, i32x4.eq(next, least)), i32x4.eq(loads, next));
    least = next;
  }
  const lowest = lowestOf(least);
  const isLowest = i32x4.eq(least, i32x4.splat(lowest));
  return findTie(from, end, columns, lowest, randomBelow(sumOf(v128.and(ties, isLowest))));
}

/** The `rank`th member, from 0, whose load is `lowest`; the last one if others changed theirs meanwhile. */
function findTie(from: u32, end: u32, columns: u32, lowest: i32, rank: u32): i32 {
  const wanted = i32x4.splat(lowest);
  let found: i32 = NO_INSTANCE;
  for (let entry = from; entry < end; entry += GROUP_BYTES) {
    const group = load<u32>(entry);
    let hits = i32x4.bitmask(i32x4.eq(readLoads(group, columns), wanted));
    if (hits == 0) continue;
    const first = (group >> MEMBERS_BITS) << GROUP_SLOTS_LOG2;
    const count = u32(popcnt<i32>(hits));
    if (rank >= count) {
      rank -= count;
      found = i32(first + u32(ctz<i32>(hits)));
      continue;
    }
    for (; rank > 0; rank -= 1) hits &= hits - 1;
    return i32(first + u32(ctz<i32>(hits)));
  }
  return found;
}

/** In flight + pending of a group's members over all workers; of the other slots more than anybody has. */
function readLoads(group: u32, columns: u32): v128 {
  const ptr = group & ~MEMBERS_MASK; // four loads of four bytes each: a group's own number of bytes
  let loads = v128.load(ptr, LOADS);
  if (columns > 1) loads = i32x4.add(loads, v128.load(ptr, LOADS + LOAD_COLUMN_BYTES));
  if (columns > 2) loads = i32x4.add(loads, readFurther(ptr, columns));
  const isMember = v128.and(i32x4.splat(group), i32x4(1, 2, 4, 8));
  return v128.or(loads, i32x4.eq(isMember, i32x4.splat(0)));
}

/** Not in `readLoads`: a loop within the loop, even one that is never run, costs. */
function readFurther(ptr: u32, columns: u32): v128 {
  let loads = i32x4.splat(0);
  for (let column: u32 = 2; column < columns; column += 1) {
    loads = i32x4.add(loads, v128.load(ptr + column * LOAD_COLUMN_BYTES, LOADS));
  }
  return loads;
}

function lowestOf(lanes: v128): i32 {
  const halves = i32x4.min_u(lanes, i32x4.shuffle(lanes, lanes, 2, 3, 0, 1));
  return i32x4.extract_lane(i32x4.min_u(halves, i32x4.shuffle(halves, halves, 1, 0, 3, 2)), 0);
}

function sumOf(lanes: v128): u32 {
  const halves = i32x4.add(lanes, i32x4.shuffle(lanes, lanes, 2, 3, 0, 1));
  return u32(i32x4.extract_lane(halves, 0) + i32x4.extract_lane(halves, 1));
}
