// Who may be picked: the members of a set that no state bit takes out, less those a retry has tried already.
//
// Looking at every member's state on each pick would make it O(n). Instead the block remembers how it stood (its
// mode) and under which state version: only after some instance's state changed is a set looked at again, by the
// first pick that comes along. In the common mode, ALL, no state is read at all.
//
// Never the last one: when more than half of those that stay (neither draining nor removed) are ejected or
// unhealthy, the fault is likelier ours or everybody's, and spreading over all of them beats crushing the rest.

import {
  MODE_ALL,
  MODE_NONE,
  MODE_PANIC,
  MODE_SOME,
  MODE_UNKNOWN,
  STATE_GONE,
  STATE_INELIGIBLE,
} from "../abi/balancer-codes.ts";
import { BLOCK_MODE_OFFSET, STATE_VERSION_OFFSET } from "../abi/balancer-table.ts";
import { memberCount, memberSlot } from "./block.ts";
import { stateOf } from "./instances.ts";
import { openRamp, passesRamp } from "./ramp.ts";

/** Empty entry of a skip list: NO_INSTANCE as u32. */
const NO_SKIP: u32 = 0xffffffff;

/** The block's mode word: 29 bits of state version, 3 bits of mode. */
const MODE_BITS: u32 = 3;
const VERSION_MASK: u32 = 0x1fffffff;

// Per instance (thread): the filter of the pick that is under way; `openFilter` sets it before anybody reads it.
let isFiltered: bool = false;
let isRamping: bool = false;
let stateMask: u32 = 0;
let skipFirst: u32 = 0;
let skipSecond: u32 = 0;
let skipThird: u32 = 0;

/** How a block stands, MODE_ALL to MODE_NONE; looks at all members only after a change of state. */
export function blockMode(block: u32): u32 {
  const version = atomic.load<u32>(STATE_VERSION_OFFSET) & VERSION_MASK;
  const known = atomic.load<u32>(block + BLOCK_MODE_OFFSET);
  const mode = known & ((1 << MODE_BITS) - 1);
  if (mode != MODE_UNKNOWN && known >> MODE_BITS == version) return mode;
  return scanMode(block, version);
}

/** Opens the filter of one pick. */
export function openFilter(block: u32, mode: u32, skip0: u32, skip1: u32, skip2: u32): void {
  isRamping = false;
  const hasSkips = (skip0 & skip1 & skip2) != NO_SKIP;
  isFiltered = mode != MODE_ALL || hasSkips;
  if (!isFiltered) return;
  stateMask = maskOf(mode);
  skipFirst = skip0;
  skipSecond = skip1;
  skipThird = skip2;
  // Better the same instance once more than none.
  if (hasSkips && !hasCandidate(block)) openFilter(block, mode, NO_SKIP, NO_SKIP, NO_SKIP);
}

/** Has newcomers stepped over by chance, in the pick whose filter was just opened. */
export function openNewcomers(service: u32): void {
  isRamping = true;
  openRamp(service);
}

/** Takes newcomers like all others: everybody else was stepped over. */
export function closeNewcomers(): void {
  isRamping = false;
}

/** Widens the filter to all that are neither draining nor removed: states changed while a pick was under way. */
export function widenFilter(block: u32): void {
  openFilter(block, MODE_PANIC, NO_SKIP, NO_SKIP, NO_SKIP);
}

/** Whether the pick under way takes whomever it comes to: then a long scan need not ask for each. */
export function takesAll(): bool {
  return !isFiltered && !isRamping;
}

/** Whether the pick under way takes `slot`, were it its turn: a candidate, and not stepped over for being new. */
export function isWanted(slot: u32): bool {
  if (!isCandidate(slot)) return false;
  return !isRamping || passesRamp(slot);
}

/** Whether the pick under way may take `slot`. */
export function isCandidate(slot: u32): bool {
  if (!isFiltered) return true;
  if ((stateOf(slot) & stateMask) != 0) return false;
  return slot != skipFirst && slot != skipSecond && slot != skipThird;
}

function hasCandidate(block: u32): bool {
  const count = memberCount(block);
  for (let index: u32 = 0; index < count; index += 1) {
    if (isCandidate(memberSlot(block, index))) return true;
  }
  return false;
}

function maskOf(mode: u32): u32 {
  if (mode == MODE_ALL) return 0;
  return mode == MODE_SOME ? STATE_INELIGIBLE : STATE_GONE;
}

/** Looks at all members; `version` was read before, so a change meanwhile makes the result stale, not wrong. */
function scanMode(block: u32, version: u32): u32 {
  const count = memberCount(block);
  let gone: u32 = 0;
  let failing: u32 = 0;
  for (let index: u32 = 0; index < count; index += 1) {
    const state = stateOf(memberSlot(block, index));
    if ((state & STATE_GONE) != 0) gone += 1;
    else if ((state & STATE_INELIGIBLE) != 0) failing += 1;
  }
  const staying = count - gone;
  let mode: u32 = MODE_SOME;
  if (staying == 0) mode = MODE_NONE;
  else if (failing * 2 > staying) mode = MODE_PANIC;
  else if (staying == count && failing == 0) mode = MODE_ALL;
  atomic.store<u32>(block + BLOCK_MODE_OFFSET, (version << MODE_BITS) | mode);
  return mode;
}
