// Weighted round robin: nginx's smooth sequence, computed once per member set, walked by one atomic cursor.
//
// nginx adds its weight to every member's current value at each pick, takes the largest (the first of equals) and
// subtracts the total from it. The sequence repeats after total / gcd picks, so it can be written down and shared:
// then a pick is one atomic addition, and shares are exact across threads.
//
// Computed that way, each entry would cost a look at every member. Members of equal weight take turns, though: the
// one with the fewest picks is ahead, the first of these foremost. So only one member per distinct weight is looked
// at, and its current value follows from the step: step × weight − total × picks.
//
// A sequence longer than SEQUENCE_MAX is avoided by scaling the weights down (rounded, at least 1): each share then
// stays within one part in 65,536 of its due, and members far below the average get one entry.

import { NO_INSTANCE } from "../../abi/balancer-codes.ts";
import {
  BLOCK_LOOKUP_LENGTH_OFFSET,
  SEQUENCE_MAX,
  STAGED_BYTES,
  STAGED_SHARE_OFFSET,
  STAGED_WEIGHT_OFFSET,
} from "../../abi/balancer-table.ts";
import { lookupLength, lookupPtr, memberCount, memberSlot } from "../block.ts";
import { isWanted } from "../eligible.ts";
import { pickRoundRobin } from "./round-robin.ts";

/** A u16 member index. */
export const SEQUENCE_ENTRY_BYTES: u32 = 2;

// A class: the members of one weight. Distinct weights of a sum below 2 × SEQUENCE_MAX are fewer than 512.
const CLASSES_MAX: u32 = 512;
const CLASS_WEIGHT: u32 = 0;
const CLASS_COUNT: u32 = 4;
/** Where its members begin in the order. */
const CLASS_FIRST: u32 = 8;
/** Whose turn it is within the class. */
const CLASS_TURN: u32 = 12;
/** Picks that the member has had whose turn it is. */
const CLASS_PICKS: u32 = 16;
const CLASS_BYTES: u32 = 24;

export const SEQUENCE_SCRATCH_BYTES: u32 = CLASSES_MAX * CLASS_BYTES;
/** Per member: its class, and its place in the order by class. */
export const SEQUENCE_MEMBER_SCRATCH_BYTES: u32 = 8;

/** Picks the next candidate of the sequence. */
export function pickWeightedRoundRobin(block: u32, cursorPtr: u32): i32 {
  const length = lookupLength(block);
  if (length == 0) return pickRoundRobin(block, cursorPtr); // all weights are equal
  const sequence = lookupPtr(block);
  const ticksMax = length * 2;
  for (let tick: u32 = 0; tick < ticksMax; tick += 1) {
    const turn = u32(atomic.add<u64>(cursorPtr, 1) % u64(length));
    const slot = memberSlot(block, load<u16>(sequence + turn * SEQUENCE_ENTRY_BYTES));
    if (isWanted(slot)) return slot;
  }
  return NO_INSTANCE;
}

/** Reduces the weights into STAGED_SHARE and returns their sum, the sequence's length; 0 when all are equal. */
export function measureSequence(staged: u32, count: u32): u32 {
  let sum: u64 = 0;
  for (let index: u32 = 0; index < count; index += 1) {
    const weight = load<u32>(staged + index * STAGED_BYTES, STAGED_WEIGHT_OFFSET);
    store<u32>(staged + index * STAGED_BYTES, weight, STAGED_SHARE_OFFSET);
    sum += u64(weight);
  }
  let length = reduceShares(staged, count);
  if (length > u32(SEQUENCE_MAX)) {
    scaleShares(staged, count, sum);
    length = reduceShares(staged, count);
  }
  return length == count ? 0 : length; // as many entries as members: one each
}

/** Divides the shares by their greatest common divisor; returns their sum. */
function reduceShares(staged: u32, count: u32): u32 {
  let divisor: u32 = 0;
  for (let index: u32 = 0; index < count; index += 1) {
    divisor = gcd(divisor, load<u32>(staged + index * STAGED_BYTES, STAGED_SHARE_OFFSET));
  }
  let sum: u32 = 0;
  for (let index: u32 = 0; index < count; index += 1) {
    const ptr = staged + index * STAGED_BYTES;
    const share = load<u32>(ptr, STAGED_SHARE_OFFSET) / divisor;
    store<u32>(ptr, share, STAGED_SHARE_OFFSET);
    sum += share;
  }
  return sum;
}

/** Scales the shares, still the weights divided by one number, to a sum near SEQUENCE_MAX. */
function scaleShares(staged: u32, count: u32, weightSum: u64): void {
  for (let index: u32 = 0; index < count; index += 1) {
    const ptr = staged + index * STAGED_BYTES;
    const weight = u64(load<u32>(ptr, STAGED_WEIGHT_OFFSET));
    const share = u32((weight * SEQUENCE_MAX + weightSum / 2) / weightSum);
    store<u32>(ptr, max<u32>(share, 1), STAGED_SHARE_OFFSET);
  }
}

function gcd(left: u32, right: u32): u32 {
  let larger = left;
  let smaller = right;
  while (smaller != 0) {
    const rest = larger % smaller;
    larger = smaller;
    smaller = rest;
  }
  return larger;
}

/** Writes the sequence down. */
export function compileSequence(block: u32, staged: u32, scratch: u32): void {
  const length = load<u32>(block, BLOCK_LOOKUP_LENGTH_OFFSET);
  const count = memberCount(block);
  const classOf = scratch + SEQUENCE_SCRATCH_BYTES;
  const order = classOf + count * 4;
  const classes = sortIntoClasses(staged, count, scratch, classOf, order);

  let out = lookupPtr(block);
  for (let step: u32 = 1; step <= length; step += 1) {
    let best: u32 = 0;
    let bestMember: u32 = 0;
    let bestCurrent: i64 = i64.MIN_VALUE;
    for (let index: u32 = 0; index < classes; index += 1) {
      const ptr = scratch + index * CLASS_BYTES;
      const current = i64(step) * i64(load<u32>(ptr, CLASS_WEIGHT)) - i64(length) * i64(load<u32>(ptr, CLASS_PICKS));
      if (current < bestCurrent) continue;
      const member = load<u32>(order + (load<u32>(ptr, CLASS_FIRST) + load<u32>(ptr, CLASS_TURN)) * 4);
      if (current == bestCurrent && member > bestMember) continue;
      best = ptr;
      bestMember = member;
      bestCurrent = current;
    }
    store<u16>(out, u16(bestMember));
    out += SEQUENCE_ENTRY_BYTES;
    advanceClass(best);
  }
}

function advanceClass(ptr: u32): void {
  const turn = load<u32>(ptr, CLASS_TURN) + 1;
  const isRound = turn == load<u32>(ptr, CLASS_COUNT);
  store<u32>(ptr, isRound ? 0 : turn, CLASS_TURN);
  if (isRound) store<u32>(ptr, load<u32>(ptr, CLASS_PICKS) + 1, CLASS_PICKS);
}

/** Groups the members by share, in their order within each; returns the number of classes. */
function sortIntoClasses(staged: u32, count: u32, scratch: u32, classOf: u32, order: u32): u32 {
  let classes: u32 = 0;
  for (let index: u32 = 0; index < count; index += 1) {
    const share = load<u32>(staged + index * STAGED_BYTES, STAGED_SHARE_OFFSET);
    let at: u32 = 0;
    while (at < classes && load<u32>(scratch + at * CLASS_BYTES, CLASS_WEIGHT) != share) at += 1;
    const ptr = scratch + at * CLASS_BYTES;
    if (at == classes) {
      assert(classes < CLASSES_MAX);
      memory.fill(ptr, 0, CLASS_BYTES);
      store<u32>(ptr, share, CLASS_WEIGHT);
      classes += 1;
    }
    store<u32>(ptr, load<u32>(ptr, CLASS_COUNT) + 1, CLASS_COUNT);
    store<u32>(classOf + index * 4, at);
  }
  let first: u32 = 0;
  for (let at: u32 = 0; at < classes; at += 1) {
    const ptr = scratch + at * CLASS_BYTES;
    store<u32>(ptr, first, CLASS_FIRST);
    first += load<u32>(ptr, CLASS_COUNT);
  }
  for (let index: u32 = 0; index < count; index += 1) {
    const ptr = scratch + load<u32>(classOf + index * 4) * CLASS_BYTES;
    const turn = load<u32>(ptr, CLASS_TURN);
    store<u32>(order + (load<u32>(ptr, CLASS_FIRST) + turn) * 4, index);
    store<u32>(ptr, turn + 1 == load<u32>(ptr, CLASS_COUNT) ? 0 : turn + 1, CLASS_TURN);
  }
  return classes;
}
