// Encodes field blocks (RFC 7541 §6).
//
// One encoder serves many callers over a shared connection, so what enters the dynamic table is a matter of trust: a
// caller that can watch sizes could guess what others sent. Only names of a list do, whose values repeat and are no
// secrets (DESIGN §2 rule 8). Fields that came never-indexed leave so (§6.2.3), credentials always do.
//
// Entries are found by a hash of name and value: 128 buckets, each the place in the ring of its newest entry, chained
// to older ones. What was evicted falls out by its age, so nothing is ever removed from a chain.

import {
  NAME_ACCEPT,
  NAME_ACCEPT_CHARSET,
  NAME_ACCEPT_ENCODING,
  NAME_ACCEPT_LANGUAGE,
  NAME_ACCEPT_RANGES,
  NAME_ACCESS_CONTROL_ALLOW_ORIGIN,
  NAME_ALLOW,
  NAME_AUTHORITY,
  NAME_AUTHORIZATION,
  NAME_CACHE_CONTROL,
  NAME_CONTENT_ENCODING,
  NAME_CONTENT_LANGUAGE,
  NAME_CONTENT_TYPE,
  NAME_COOKIE,
  NAME_GRPC_ACCEPT_ENCODING,
  NAME_GRPC_ENCODING,
  NAME_GRPC_STATUS,
  NAME_METHOD,
  NAME_OTHER,
  NAME_PROTOCOL,
  NAME_PROXY_AUTHORIZATION,
  NAME_SCHEME,
  NAME_SERVER,
  NAME_SET_COOKIE,
  NAME_STATUS,
  NAME_STRICT_TRANSPORT_SECURITY,
  NAME_TE,
  NAME_USER_AGENT,
  NAME_VARY,
  NAME_X_FORWARDED_HOST,
  NAME_X_FORWARDED_PROTO,
  NAME_X_PILLION_HOPS,
  NAME_X_PILLION_INSTANCE,
  NAME_X_PILLION_REASON,
  NAME_X_PILLION_SERVICE,
  NAME_X_PILLION_UNPROCESSED,
  NAME_X_PILLION_VERSION,
} from "../../abi/field-names.ts";
import { HPACK_ENTRY_OVERHEAD_BYTES, HPACK_STATIC_ENTRIES } from "../../abi/hpack-codes.ts";
import { HPACK_TABLE_BYTES_MAX } from "../../abi/limits.ts";
import { copyBytes, equalBytes } from "../../core/bytes.ts";
import { allocate, release } from "../../core/pool.ts";
import { FIELD_NEVER_INDEXED } from "../http/head.ts";
import { nameLen, namePtr, staticIndexOf } from "../http/names.ts";
import {
  compactTable,
  E_HASH,
  E_NAME_ID,
  E_NEXT,
  E_VALUE_BYTES,
  entryAt,
  entryValuePtr,
  replacedBlock,
  reserveEntry,
  resizeTable,
  T_BUCKETS,
  T_COUNT,
  T_FLAGS,
  T_INSERTED,
  T_LIMIT,
  T_MAX,
} from "./dynamic-table.ts";
import { encodeHuffman, huffmanLength } from "./huffman.ts";
import { encodeInteger } from "./integer.ts";
import { findStatic } from "./static-table.ts";

// T_FLAGS
const ENCODER_USES_HUFFMAN: u32 = 1;
const ENCODER_OWES_UPDATE: u32 = 2; // the size changed since the last block

// Representations (§6).
const INDEXED: u32 = 0x80;
const LITERAL_INSERTED: u32 = 0x40;
const SIZE_UPDATE: u32 = 0x20;
const LITERAL_NEVER_INDEXED: u32 = 0x10;
const LITERAL: u32 = 0;

/** As many buckets as a table of HPACK_TABLE_BYTES_MAX can hold entries; u16 each. */
const BUCKETS: u32 = 128;
/** Entries of one chain that are looked at; one that is further back is entered again. */
const CHAIN_STEPS_MAX: u32 = 8;
/** Shorter strings are not worth the look whether Huffman code is shorter still: at best three bytes are saved. */
const HUFFMAN_BYTES_MIN: u32 = 8;
/** Shorter cookies could be guessed (nghttp2). */
const COOKIE_BYTES_MIN: u32 = 20;

// Odd multipliers: the golden ratio, and MurmurHash3's. In halves, since a number of TypeScript holds 53 bits.
const NAME_MIX: u64 = (u64(0x9e3779b9) << 32) | 0x7f4a7c15;
const VALUE_MIX: u64 = (u64(0xff51afd7) << 32) | 0xed558ccd;
const FINAL_MIX: u64 = (u64(0xc4ceb9fe) << 32) | 0x1a85ec53;

// What is done with a field, by its name.
const WAY_LITERAL: u32 = 0;
const WAY_INSERT: u32 = 1;
const WAY_NEVER: u32 = 2;
const WAY_COOKIE: u32 = 3;

const statusDigits: usize = memory.data(4);

/** The peer's SETTINGS_HEADER_TABLE_SIZE: we use it up to our own maximum, and say so in the next block (§4.2). */
export function setEncoderLimit(table: u32, bytes: u32): void {
  const size = min(bytes, <u32>HPACK_TABLE_BYTES_MAX);
  if (size == load<u32>(table, T_MAX)) return;
  const flags = load<u32>(table, T_FLAGS);
  const least = flags & ENCODER_OWES_UPDATE ? min(load<u32>(table, T_LIMIT), size) : size;
  store<u32>(table, least, T_LIMIT);
  store<u32>(table, flags | ENCODER_OWES_UPDATE, T_FLAGS);
  resizeTable(table, size);
}

/** Whether literals are Huffman-coded where that is shorter; off at first: between sidecars bytes are cheap. */
export function setHuffman(table: u32, on: bool): void {
  const flags = load<u32>(table, T_FLAGS) & ~ENCODER_USES_HUFFMAN;
  store<u32>(table, on ? flags | ENCODER_USES_HUFFMAN : flags, T_FLAGS);
}

/** To be called first for every block: writes the table size updates that are due. Returns the new `out`. */
export function encodeSizeUpdates(table: u32, out: u32): u32 {
  const flags = load<u32>(table, T_FLAGS);
  if ((flags & ENCODER_OWES_UPDATE) == 0) return out;
  store<u32>(table, flags & ~ENCODER_OWES_UPDATE, T_FLAGS);
  const size = load<u32>(table, T_MAX);
  const least = load<u32>(table, T_LIMIT);
  const at = least < size ? encodeInteger(out, SIZE_UPDATE, 31, least) : out;
  return encodeInteger(at, SIZE_UPDATE, 31, size);
}

/**
 * Writes one field at `out`, returns the new `out`. At most nameLen + valueLen + 12 bytes. `nameId` NAME_OTHER: the
 * name is [namePtr, nameLen), in lower case; else those two are not looked at. `flags`: FIELD_NEVER_INDEXED counts.
 */
export function encodeField(
  table: u32,
  out: u32,
  nameId: u32,
  otherNamePtr: u32,
  otherNameLen: u32,
  valuePtr: u32,
  valueLen: u32,
  flags: u32,
): u32 {
  let pattern = LITERAL;
  const way = wayOf(nameId);
  if (flags & FIELD_NEVER_INDEXED || way == WAY_NEVER) pattern = LITERAL_NEVER_INDEXED;
  else if (way == WAY_COOKIE) pattern = valueLen < COOKIE_BYTES_MIN ? LITERAL_NEVER_INDEXED : LITERAL;
  else if (nameId != NAME_OTHER) {
    const index = findStatic(nameId, valuePtr, valueLen);
    if (index != 0) {
      store<u8>(out, u8(INDEXED | index));
      return out + 1;
    }
    if (way == WAY_INSERT) {
      const hash = hashOf(nameId, valuePtr, valueLen);
      const dynamicIndex = findEntry(table, hash, nameId, valuePtr, valueLen);
      if (dynamicIndex != 0) return encodeInteger(out, INDEXED, 127, dynamicIndex);
      if (insertEntry(table, hash, nameId, valuePtr, valueLen)) pattern = LITERAL_INSERTED;
    }
  }
  const nameIndex = staticIndexOf(nameId);
  let at = encodeInteger(out, pattern, pattern == LITERAL_INSERTED ? 63 : 15, nameIndex);
  if (nameIndex == 0) {
    at =
      nameId == NAME_OTHER
        ? encodeString(table, at, otherNamePtr, otherNameLen)
        : encodeString(table, at, namePtr(nameId), nameLen(nameId));
  }
  return encodeString(table, at, valuePtr, valueLen);
}

/** Writes `:status`, three digits. */
export function encodeStatus(table: u32, out: u32, status: u32): u32 {
  store<u8>(statusDigits, u8(48 + status / 100));
  store<u8>(statusDigits, u8(48 + ((status / 10) % 10)), 1);
  store<u8>(statusDigits, u8(48 + (status % 10)), 2);
  return encodeField(table, out, NAME_STATUS, 0, 0, <u32>statusDigits, 3, 0);
}

/** The allow-list, and the names that are secrets by themselves. */
function wayOf(nameId: u32): u32 {
  switch (nameId) {
    case NAME_AUTHORITY:
    case NAME_METHOD:
    case NAME_SCHEME:
    case NAME_STATUS:
    case NAME_PROTOCOL:
    case NAME_TE:
    case NAME_CONTENT_TYPE:
    case NAME_SERVER:
    case NAME_USER_AGENT:
    case NAME_ACCEPT:
    case NAME_ACCEPT_ENCODING:
    case NAME_ACCEPT_LANGUAGE:
    case NAME_CONTENT_ENCODING:
    case NAME_CACHE_CONTROL:
    case NAME_VARY:
    case NAME_GRPC_STATUS:
    case NAME_GRPC_ENCODING:
    case NAME_GRPC_ACCEPT_ENCODING:
    case NAME_X_FORWARDED_PROTO:
    case NAME_X_FORWARDED_HOST:
    case NAME_X_PILLION_REASON:
    case NAME_X_PILLION_UNPROCESSED:
    case NAME_X_PILLION_HOPS:
    case NAME_X_PILLION_VERSION:
    case NAME_X_PILLION_SERVICE:
    case NAME_X_PILLION_INSTANCE:
    case NAME_ACCEPT_CHARSET:
    case NAME_ACCEPT_RANGES:
    case NAME_ACCESS_CONTROL_ALLOW_ORIGIN:
    case NAME_ALLOW:
    case NAME_CONTENT_LANGUAGE:
    case NAME_STRICT_TRANSPORT_SECURITY:
      return WAY_INSERT;
    case NAME_AUTHORIZATION:
    case NAME_PROXY_AUTHORIZATION:
    case NAME_SET_COOKIE:
      return WAY_NEVER;
    case NAME_COOKIE:
      return WAY_COOKIE;
    default:
      return WAY_LITERAL;
  }
}

/** §5.2. */
function encodeString(table: u32, out: u32, ptr: u32, length: u32): u32 {
  if (length >= HUFFMAN_BYTES_MIN && load<u32>(table, T_FLAGS) & ENCODER_USES_HUFFMAN) {
    const coded = huffmanLength(ptr, length);
    if (coded < length) return encodeHuffman(encodeInteger(out, 0x80, 127, coded), ptr, length);
  }
  const at = encodeInteger(out, 0, 127, length);
  copyBytes(at, ptr, length);
  return at + length;
}

/** Length, both ends and the middle of a value: user agents differ in there. */
function hashOf(nameId: u32, ptr: u32, length: u32): u32 {
  let mixed = u64(nameId) * NAME_MIX + u64(length);
  if (length >= 8) {
    mixed = (mixed ^ load<u64>(ptr)) * VALUE_MIX;
    mixed ^= rotl<u64>(load<u64>(ptr + length - 8), 29) + rotl<u64>(load<u64>(ptr + ((length - 8) >> 1)), 47);
  } else if (length >= 4) {
    mixed ^= (u64(load<u32>(ptr)) << 32) | u64(load<u32>(ptr + length - 4));
  } else {
    for (let at: u32 = 0; at < length; at += 1) mixed ^= u64(load<u8>(ptr + at)) << u64(8 * at + 8);
  }
  mixed = (mixed ^ (mixed >> 32)) * FINAL_MIX;
  return u32(mixed >> 32);
}

/** The index of an entry with this name and value, 0 when there is none. */
function findEntry(table: u32, hash: u32, nameId: u32, valuePtr: u32, valueLen: u32): u32 {
  const count = load<u32>(table, T_COUNT);
  if (count == 0) return 0;
  const newest = load<u32>(table, T_INSERTED) - 1;
  let place = u32(load<u16>(bucketOf(table, hash)));
  for (let steps: u32 = 0; steps < CHAIN_STEPS_MAX; steps += 1) {
    const age = (newest - place) & 0xffff;
    if (age >= count) return 0;
    const entry = entryAt(table, age);
    if (
      load<u32>(entry, E_HASH) == hash &&
      load<u16>(entry, E_NAME_ID) == nameId &&
      load<u16>(entry, E_VALUE_BYTES) == valueLen &&
      equalBytes(entryValuePtr(table, entry), valuePtr, valueLen)
    ) {
      return HPACK_STATIC_ENTRIES + 1 + age;
    }
    place = load<u16>(entry, E_NEXT);
  }
  return 0;
}

/** Enters a field with a known name; false when it is too large for its use, or the pool is exhausted. */
function insertEntry(table: u32, hash: u32, nameId: u32, valuePtr: u32, valueLen: u32): bool {
  const size = nameLen(nameId) + valueLen + HPACK_ENTRY_OVERHEAD_BYTES;
  // More than three quarters of the table for one entry would evict nearly all others (nghttp2).
  if (size > (load<u32>(table, T_MAX) >> 2) * 3) return false;
  if (load<u32>(table, T_BUCKETS) == 0) {
    const buckets = allocate(2 * BUCKETS);
    if (buckets == 0) return false;
    memory.fill(buckets, 0, 2 * BUCKETS); // whatever a bucket says, the entry there is compared
    store<u32>(table, buckets, T_BUCKETS);
  }
  compactTable(table);
  const entry = reserveEntry(table, nameId, nameLen(nameId), valueLen);
  if (entry == 0) return false; // what was evicted for it the peer still has: a shorter queue of the same order
  if (replacedBlock != 0) release(replacedBlock);
  copyBytes(entryValuePtr(table, entry), valuePtr, valueLen);
  const bucket = bucketOf(table, hash);
  store<u32>(entry, hash, E_HASH);
  store<u16>(entry, load<u16>(bucket), E_NEXT);
  store<u16>(bucket, u16(load<u32>(table, T_INSERTED) - 1));
  return true;
}

function bucketOf(table: u32, hash: u32): u32 {
  return load<u32>(table, T_BUCKETS) + ((hash & (BUCKETS - 1)) << 1);
}
