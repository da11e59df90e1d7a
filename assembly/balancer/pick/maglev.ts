// Maglev hashing (Eisenbud et al., NSDI 2016, §3.4): a table that shares keys out more evenly than a ring.
//
// Each member walks the table in an order of its own (offset and skip from its hash) and takes the next free entry
// when it is its turn; turns go round until the table is full. Weights set how many entries a member may take in
// all. Looking up is one load. When a member goes, nearly only its keys move, a few others besides.

import { NO_INSTANCE } from "../../abi/balancer-codes.ts";
import {
  MAGLEV_LARGE,
  MAGLEV_SMALL,
  MAGLEV_SMALL_MEMBERS_MAX,
  STAGED_BYTES,
  STAGED_HASH_OFFSET,
} from "../../abi/balancer-table.ts";
import { mixHash } from "../../core/hash.ts";
import { lookupLength, lookupPtr, memberCount, memberSlot, memberWeight } from "../block.ts";
import { isCandidate } from "../eligible.ts";
import { hasRoom, openBound } from "./bounded-load.ts";

/** A u16 member index. */
export const MAGLEV_ENTRY_BYTES: u32 = 2;
const FREE: u32 = 0xffff;

// Compiling, per member that may still take entries: index, place in its walk, skip, entries left.
const WALK_INDEX: u32 = 0;
const WALK_PLACE: u32 = 4;
const WALK_SKIP: u32 = 8;
const WALK_LEFT: u32 = 12;
export const MAGLEV_SCRATCH_BYTES: u32 = 16;

/** Makes a member's skip independent of its offset. */
const SKIP_SALT: u32 = 0x9e3779b9;

/** Picks the candidate that owns `hash`; when it may not be taken or has no room, the owner of the next that may. */
export function pickMaglev(block: u32, hash: u32, service: u32): i32 {
  const length = lookupLength(block);
  const table = lookupPtr(block);
  let entry = mixHash(hash) % length;
  openBound(service);
  let owner: i32 = NO_INSTANCE;
  for (let seen: u32 = 0; seen < length; seen += 1) {
    const index = u32(load<u16>(table + entry * MAGLEV_ENTRY_BYTES));
    const slot = memberSlot(block, index);
    if (isCandidate(slot)) {
      if (hasRoom(block, index, slot)) return slot;
      if (owner == NO_INSTANCE) owner = slot;
    }
    entry = entry + 1 == length ? 0 : entry + 1;
  }
  return owner;
}

/** The table's size: about a hundred entries to a member, as the paper asks, at least up to 6,553 members. */
export function measureMaglev(count: u32): u32 {
  return count <= u32(MAGLEV_SMALL_MEMBERS_MAX) ? MAGLEV_SMALL : MAGLEV_LARGE;
}

/** Fills the table. */
export function compileMaglev(block: u32, staged: u32, scratch: u32): void {
  const length = lookupLength(block);
  const table = lookupPtr(block);
  memory.fill(table, 0xff, length * MAGLEV_ENTRY_BYTES);
  let walking = startWalks(block, staged, scratch);
  let filled: u32 = 0;
  while (filled < length) {
    // Members that have all their entries drop out; the rest keep their order.
    let staying: u32 = 0;
    for (let at: u32 = 0; at < walking && filled < length; at += 1) {
      const walk = scratch + at * MAGLEV_SCRATCH_BYTES;
      takeEntry(table, length, walk);
      filled += 1;
      if (load<u32>(walk, WALK_LEFT) == 0) continue;
      memory.copy(scratch + staying * MAGLEV_SCRATCH_BYTES, walk, MAGLEV_SCRATCH_BYTES);
      staying += 1;
    }
    walking = staying;
    assert(walking > 0 || filled == length);
  }
}

/** Sets every member at the start of its walk with its number of entries; they add up to the table or more. */
function startWalks(block: u32, staged: u32, scratch: u32): u32 {
  const length = lookupLength(block);
  const count = memberCount(block);
  let total: u64 = 0;
  for (let index: u32 = 0; index < count; index += 1) total += u64(memberWeight(block, index));
  for (let index: u32 = 0; index < count; index += 1) {
    const hash = mixHash(load<u32>(staged + index * STAGED_BYTES, STAGED_HASH_OFFSET));
    const walk = scratch + index * MAGLEV_SCRATCH_BYTES;
    // Rounded up: nobody is left without an entry, and the last round ends when the table is full.
    const left = (u64(memberWeight(block, index)) * u64(length) + total - 1) / total;
    store<u32>(walk, index, WALK_INDEX);
    store<u32>(walk, hash % length, WALK_PLACE);
    store<u32>(walk, (mixHash(hash ^ SKIP_SALT) % (length - 1)) + 1, WALK_SKIP);
    store<u32>(walk, u32(left), WALK_LEFT);
  }
  return count;
}

function takeEntry(table: u32, length: u32, walk: u32): void {
  let place = load<u32>(walk, WALK_PLACE);
  const skip = load<u32>(walk, WALK_SKIP);
  while (load<u16>(table + place * MAGLEV_ENTRY_BYTES) != FREE) {
    place += skip;
    if (place >= length) place -= length;
  }
  store<u16>(table + place * MAGLEV_ENTRY_BYTES, u16(load<u32>(walk, WALK_INDEX)));
  store<u32>(walk, place, WALK_PLACE);
  store<u32>(walk, load<u32>(walk, WALK_LEFT) - 1, WALK_LEFT);
}
