// The dynamic table (RFC 7541 §2.3.2, §4), for decoder and encoder alike: a queue of entries, the newest has index 62.
//
//   table (48 bytes)          block of the pool, 512 bytes to twice the table's size, by use; none before an entry
//   ┌──────────────────┐      ┌──────────────────────────────┬────────────────────────────────────────────┐
//   │ block, sizes, …  │ ───► │ ring of entries, 16 bytes    │ text: … gone │ oldest … newest │ free       │
//   └──────────────────┘      │ each, a quarter of the block │                                            │
//                             └──────────────────────────────┴────────────────────────────────────────────┘
//
// Text is only appended, never moved within a field block: so the decoder may hand out pointers into it, even to
// entries that were evicted meanwhile. Where it does not fit any more, what lives moves to another block, and the
// caller keeps the old one as long as it needs to. Names with a NAME_* have their text in static memory and take no
// room here.

import { NAME_OTHER } from "../../abi/field-names.ts";
import { HPACK_ENTRY_OVERHEAD_BYTES } from "../../abi/hpack-codes.ts";
import { allocate, release } from "../../core/pool.ts";
import { namePtr } from "../http/names.ts";

// ── Table ────────────────────────────────────────────────────────────────────────────────────────
export const T_BLOCK: u32 = 0; // 0 = nothing allocated
export const T_CAPACITY: u32 = 4; // bytes of the block
export const T_MAX: u32 = 8; // size in force
export const T_SIZE: u32 = 12; // sum over entries (§4.1)
export const T_COUNT: u32 = 16; // entries
export const T_INSERTED: u32 = 20; // entries that ever were; wraps, its low bits are the place in the ring
export const T_ORIGIN: u32 = 24; // text position p lies at address T_ORIGIN + p (wraps)
export const T_TEXT_END: u32 = 28; // address behind the newest text
export const T_LIMIT: u32 = 32; // decoder: our SETTINGS. encoder: smallest size since the last block
export const T_FLAGS: u32 = 36; // encoder: ENCODER_*
export const T_BUCKETS: u32 = 40; // encoder: block of its hash, 0 = none
export const TABLE_BYTES: u32 = 48;

// ── Entry ────────────────────────────────────────────────────────────────────────────────────────
export const E_TEXT: u32 = 0; // text position
export const E_NAME_BYTES: u32 = 4; // u16
export const E_VALUE_BYTES: u32 = 6; // u16
export const E_NAME_ID: u32 = 8; // u16
export const E_NEXT: u32 = 10; // u16, encoder: next older entry of its bucket
export const E_HASH: u32 = 12; // u32, encoder
const ENTRY_BYTES: u32 = 16;

/** Smallest block: eight entries, and 384 bytes of text. */
const BLOCK_BYTES_MIN: u32 = 512;
/** Room kept behind the text: the Huffman decoder may write one byte too far. */
const TEXT_SLACK_BYTES: u32 = 2;

/** The block that reserveEntry left behind, or 0: the caller releases it when nothing points into it any more. */
export let replacedBlock: u32 = 0;

/** Empties a table without looking at what it held. */
export function createTable(table: u32, bytes: u32): void {
  memory.fill(table, 0, TABLE_BYTES);
  store<u32>(table, bytes, T_MAX);
  store<u32>(table, bytes, T_LIMIT);
}

/** Gives the block back. */
export function destroyTable(table: u32): void {
  const block = load<u32>(table, T_BLOCK);
  if (block != 0) release(block);
  createTable(table, 0);
}

/** Changes the size in force (§4.3); a table of size 0 keeps no memory. */
export function resizeTable(table: u32, bytes: u32): void {
  evictDownTo(table, bytes);
  store<u32>(table, bytes, T_MAX);
  if (bytes != 0) return;
  const block = load<u32>(table, T_BLOCK);
  if (block == 0) return;
  release(block);
  store<u32>(table, 0, T_BLOCK);
  store<u32>(table, 0, T_CAPACITY);
}

/** Evicts the oldest entries until no more than `bytes` are left. */
export function evictDownTo(table: u32, bytes: u32): void {
  let size = load<u32>(table, T_SIZE);
  if (size <= bytes) return;
  let count = load<u32>(table, T_COUNT);
  do {
    const entry = entryAt(table, count - 1);
    size -= u32(load<u16>(entry, E_NAME_BYTES)) + load<u16>(entry, E_VALUE_BYTES) + HPACK_ENTRY_OVERHEAD_BYTES;
    count -= 1;
  } while (size > bytes);
  assert(count != 0 || size == 0);
  store<u32>(table, size, T_SIZE);
  store<u32>(table, count, T_COUNT);
}

/** The entry of an age: 0 is the newest. */
export function entryAt(table: u32, age: u32): u32 {
  const sequence = load<u32>(table, T_INSERTED) - 1 - age;
  const ringMask = (load<u32>(table, T_CAPACITY) >> 6) - 1;
  return load<u32>(table, T_BLOCK) + (sequence & ringMask) * ENTRY_BYTES;
}

/** Where an entry's name lies: here, or in static memory. */
export function entryNamePtr(table: u32, entry: u32): u32 {
  const nameId = u32(load<u16>(entry, E_NAME_ID));
  return nameId == NAME_OTHER ? load<u32>(table, T_ORIGIN) + load<u32>(entry, E_TEXT) : namePtr(nameId);
}

/** Where an entry's value lies. */
export function entryValuePtr(table: u32, entry: u32): u32 {
  const text = load<u32>(table, T_ORIGIN) + load<u32>(entry, E_TEXT);
  return load<u16>(entry, E_NAME_ID) == NAME_OTHER ? text + load<u16>(entry, E_NAME_BYTES) : text;
}

/**
 * Makes room by eviction and appends an entry whose text the caller then writes (entryNamePtr if NAME_OTHER,
 * entryValuePtr). It must not be larger than T_MAX. 0 when the pool is exhausted. See replacedBlock.
 */
export function reserveEntry(table: u32, nameId: u32, nameLen: u32, valueLen: u32): u32 {
  const size = nameLen + valueLen + HPACK_ENTRY_OVERHEAD_BYTES;
  assert(size <= load<u32>(table, T_MAX));
  evictDownTo(table, load<u32>(table, T_MAX) - size);
  const textBytes = nameId == NAME_OTHER ? nameLen + valueLen : valueLen;
  replacedBlock = 0;
  const capacity = load<u32>(table, T_CAPACITY);
  const end = load<u32>(table, T_TEXT_END) + textBytes + TEXT_SLACK_BYTES;
  const fits = end <= load<u32>(table, T_BLOCK) + capacity && load<u32>(table, T_COUNT) < capacity >> 6;
  if (!fits && !replaceBlock(table, textBytes)) return 0;
  const text = load<u32>(table, T_TEXT_END);
  store<u32>(table, text + textBytes, T_TEXT_END);
  store<u32>(table, load<u32>(table, T_SIZE) + size, T_SIZE);
  store<u32>(table, load<u32>(table, T_COUNT) + 1, T_COUNT);
  store<u32>(table, load<u32>(table, T_INSERTED) + 1, T_INSERTED);
  const entry = entryAt(table, 0);
  store<u32>(entry, text - load<u32>(table, T_ORIGIN), E_TEXT);
  store<u16>(entry, u16(nameLen), E_NAME_BYTES);
  store<u16>(entry, u16(valueLen), E_VALUE_BYTES);
  store<u16>(entry, u16(nameId), E_NAME_ID);
  return entry;
}

/** Says that the name which was written to an entry as text is a known one after all. */
export function setEntryName(entry: u32, nameId: u32): void {
  if (load<u16>(entry, E_NAME_ID) != NAME_OTHER) return;
  store<u32>(entry, load<u32>(entry, E_TEXT) + load<u16>(entry, E_NAME_BYTES), E_TEXT);
  store<u16>(entry, u16(nameId), E_NAME_ID);
}

/** Moves the text to the front of its block when little room is left. Only while nobody holds pointers into it. */
export function compactTable(table: u32): void {
  const block = load<u32>(table, T_BLOCK);
  if (block == 0) return;
  const capacity = load<u32>(table, T_CAPACITY);
  const end = load<u32>(table, T_TEXT_END);
  if (block + capacity - end >= capacity >> 2) return;
  const live = liveBytes(table);
  const front = block + (capacity >> 2);
  memory.copy(front, end - live, live);
  store<u32>(table, load<u32>(table, T_ORIGIN) - (end - live - front), T_ORIGIN);
  store<u32>(table, front + live, T_TEXT_END);
  if (ASC_OPTIMIZE_LEVEL == 0) memory.fill(front + live, 0xdb, block + capacity - front - live);
}

function liveBytes(table: u32): u32 {
  const count = load<u32>(table, T_COUNT);
  if (count == 0) return 0;
  const oldest = load<u32>(table, T_ORIGIN) + load<u32>(entryAt(table, count - 1), E_TEXT);
  return load<u32>(table, T_TEXT_END) - oldest;
}

/** Moves what lives into a fresh block with room for one more entry. */
function replaceBlock(table: u32, textBytes: u32): bool {
  const live = liveBytes(table);
  const count = load<u32>(table, T_COUNT);
  const capacity = capacityFor(load<u32>(table, T_MAX), count + 1, live + textBytes);
  const block = allocate(capacity);
  if (block == 0) return false;
  const ringMask = (capacity >> 6) - 1;
  const inserted = load<u32>(table, T_INSERTED);
  for (let age: u32 = 0; age < count; age += 1) {
    v128.store(block + ((inserted - 1 - age) & ringMask) * ENTRY_BYTES, v128.load(entryAt(table, age)));
  }
  const front = block + (capacity >> 2);
  const from = load<u32>(table, T_TEXT_END) - live;
  memory.copy(front, from, live);
  store<u32>(table, load<u32>(table, T_ORIGIN) + (front - from), T_ORIGIN);
  store<u32>(table, front + live, T_TEXT_END);
  replacedBlock = load<u32>(table, T_BLOCK);
  store<u32>(table, block, T_BLOCK);
  store<u32>(table, capacity, T_CAPACITY);
  return true;
}

/**
 * The block for so many entries and so much text, with as much text again free, so that each byte is moved about once.
 * Twice the table's size is always enough: 32 bytes of each entry's size are not text.
 */
function capacityFor(sizeMax: u32, entries: u32, textBytes: u32): u32 {
  let capacity = BLOCK_BYTES_MIN;
  while (capacity < 2 * sizeMax) {
    if (capacity >> 6 >= entries && (capacity >> 2) * 3 >= 2 * (textBytes + TEXT_SLACK_BYTES)) break;
    capacity <<= 1;
  }
  return capacity;
}
