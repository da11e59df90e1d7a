// Decodes field blocks (RFC 7541 §3, §6): pulled one field at a time, copied only where it must be.
//
// A field's text stays where it is: static memory, the block itself, the dynamic table. Only Huffman-coded text is
// written out, to the area that the caller gives. The dynamic table never moves text within a block (dynamic-table.ts);
// blocks of it that are replaced meanwhile are kept until the next startBlock.
//
// A block is decoded to its end even when its head is over some limit, since the table must stay in step with its peer.
// Where text finds no room any more (HPACK_FIELD_LOST) it still enters the table.

import { NAME_OTHER } from "../../abi/field-names.ts";
import {
  HPACK_BAD_HUFFMAN,
  HPACK_BAD_INDEX,
  HPACK_BAD_SIZE_UPDATE,
  HPACK_DECODER_BYTES_MAX,
  HPACK_END,
  HPACK_ENTRY_OVERHEAD_BYTES,
  HPACK_FIELD,
  HPACK_FIELD_LOST,
  HPACK_NO_MEMORY,
  HPACK_STATIC_ENTRIES,
  HPACK_TRUNCATED,
} from "../../abi/hpack-codes.ts";
import { HPACK_SIZE_UPDATES_MAX } from "../../abi/limits.ts";
import { copyBytes } from "../../core/bytes.ts";
import { release } from "../../core/pool.ts";
import { FIELD_NEVER_INDEXED } from "../http/head.ts";
import { nameIdOf, nameLen, namePtr } from "../http/names.ts";
import {
  compactTable,
  E_NAME_BYTES,
  E_NAME_ID,
  E_VALUE_BYTES,
  entryAt,
  entryNamePtr,
  entryValuePtr,
  evictDownTo,
  replacedBlock,
  reserveEntry,
  resizeTable,
  setEntryName,
  T_COUNT,
  T_LIMIT,
  T_MAX,
} from "./dynamic-table.ts";
import { decodeHuffman, HUFFMAN_COUNT, HUFFMAN_KEEP } from "./huffman.ts";
import { decodeInteger, integer, integerError } from "./integer.ts";
import { staticNameId, staticValueLen, staticValuePtr } from "./static-table.ts";

/**
 * Replaced blocks kept at once. Each is replaced after 2 KiB or more of inserted text, and a head of HEAD_BYTES_MAX
 * holds 60 KiB; beyond, the head is over its limit and its fields are declared lost.
 */
const REPLACED_BLOCKS_MAX: u32 = 32;

// The field that nextField has just returned. Pointers hold until the next startBlock of any table.
export let fieldNameId: u32 = 0; // NAME_*
export let fieldNamePtr: u32 = 0;
export let fieldNameLen: u32 = 0;
export let fieldValuePtr: u32 = 0;
export let fieldValueLen: u32 = 0;
export let fieldFlags: u32 = 0; // 0 or FIELD_NEVER_INDEXED

/** How far the text area is used. */
export let textPtr: u32 = 0;

// Per-instance state: one block is decoded at a time.
let textEnd: u32 = 0;
let table: u32 = 0;
let cursor: u32 = 0;
let blockEnd: u32 = 0;
let sizeUpdates: u32 = 0;
let isAtStart: bool = false;
let isLost: bool = false;
const replacedBlocks: usize = memory.data(4 * 32); // REPLACED_BLOCKS_MAX
let replacedCount: u32 = 0;

// The string literal that readString has just read: its text, or (stringPtr 0) the Huffman code that found no room.
let stringPtr: u32 = 0;
let stringLen: u32 = 0;
let codedPtr: u32 = 0;
let codedLen: u32 = 0;
const countingScratch: usize = memory.data(4);

/** Our SETTINGS_HEADER_TABLE_SIZE, once the peer has acknowledged it. */
export function setDecoderLimit(decoder: u32, bytes: u32): void {
  assert(bytes <= <u32>HPACK_DECODER_BYTES_MAX);
  store<u32>(decoder, bytes, T_LIMIT);
}

/** Where Huffman-coded text is written. Set before startBlock; `textPtr` is how far it was used. */
export function setTextArea(ptr: u32, end: u32): void {
  textPtr = ptr;
  textEnd = end;
}

/** Begins a whole block of contiguous bytes. It must be decoded to its end, or the connection given up. */
export function startBlock(decoder: u32, ptr: u32, length: u32): void {
  while (replacedCount != 0) {
    replacedCount -= 1;
    release(load<u32>(replacedBlocks + (replacedCount << 2)));
  }
  compactTable(decoder);
  table = decoder;
  cursor = ptr;
  blockEnd = ptr + length;
  sizeUpdates = 0;
  isAtStart = true;
  isLost = false;
}

/** HPACK_FIELD, HPACK_FIELD_LOST, HPACK_END or a negative error (abi/hpack-codes.ts). */
export function nextField(): i32 {
  while (cursor != blockEnd) {
    const first = u32(load<u8>(cursor));
    if ((first & 0xe0) == 0x20) {
      const failure = readSizeUpdate();
      if (failure != 0) return failure;
      continue;
    }
    if (isAtStart) {
      // A limit that we lowered is due now (§4.2).
      if (load<u32>(table, T_MAX) > load<u32>(table, T_LIMIT)) return HPACK_BAD_SIZE_UPDATE;
      isAtStart = false;
    }
    return first & 0x80 ? readIndexed(first) : readLiteral(first);
  }
  return HPACK_END;
}

/** §6.3. */
function readSizeUpdate(): i32 {
  if (!isAtStart || sizeUpdates == HPACK_SIZE_UPDATES_MAX) return HPACK_BAD_SIZE_UPDATE;
  sizeUpdates += 1;
  cursor = decodeInteger(cursor, blockEnd, 31);
  if (cursor == 0) return fail(integerError);
  if (integer > load<u32>(table, T_LIMIT)) return HPACK_BAD_SIZE_UPDATE;
  resizeTable(table, integer);
  return 0;
}

/** §6.1. */
function readIndexed(first: u32): i32 {
  let index = first & 127;
  if (index == 127) {
    cursor = decodeInteger(cursor, blockEnd, 127);
    if (cursor == 0) return fail(integerError);
    index = integer;
  } else cursor += 1;
  fieldFlags = 0;
  if (index - 1 < <u32>HPACK_STATIC_ENTRIES) {
    setStaticName(index);
    fieldValuePtr = staticValuePtr(index);
    fieldValueLen = staticValueLen(index);
  } else {
    const age = index - HPACK_STATIC_ENTRIES - 1;
    if (index == 0 || age >= load<u32>(table, T_COUNT)) return HPACK_BAD_INDEX;
    const entry = entryAt(table, age);
    setDynamicName(entry);
    fieldValuePtr = entryValuePtr(table, entry);
    fieldValueLen = load<u16>(entry, E_VALUE_BYTES);
  }
  return isLost ? HPACK_FIELD_LOST : HPACK_FIELD;
}

/** §6.2. */
function readLiteral(first: u32): i32 {
  const isInserted = (first & 0x40) != 0;
  fieldFlags = !isInserted && (first & 0x10) != 0 ? FIELD_NEVER_INDEXED : 0;
  cursor = decodeInteger(cursor, blockEnd, isInserted ? 63 : 15);
  if (cursor == 0) return fail(integerError);
  let codedNamePtr: u32 = 0;
  let codedNameLen: u32 = 0;
  if (integer == 0) {
    const failure = readString();
    if (failure != 0) return failure;
    fieldNameLen = stringLen;
    fieldNamePtr = stringPtr;
    fieldNameId = NAME_OTHER;
    codedNamePtr = codedPtr;
    codedNameLen = codedLen;
    if (stringPtr != 0) {
      fieldNameId = nameIdOf(stringPtr, stringLen);
      if (fieldNameId != NAME_OTHER) fieldNamePtr = namePtr(fieldNameId);
    }
  } else if (integer <= <u32>HPACK_STATIC_ENTRIES) setStaticName(integer);
  else {
    const age = integer - HPACK_STATIC_ENTRIES - 1;
    if (age >= load<u32>(table, T_COUNT)) return HPACK_BAD_INDEX;
    setDynamicName(entryAt(table, age));
  }
  const failure = readString();
  if (failure != 0) return failure;
  fieldValuePtr = stringPtr;
  fieldValueLen = stringLen;
  if (isInserted && !insertField(codedNamePtr, codedNameLen)) return fail(HPACK_NO_MEMORY);
  return isLost ? HPACK_FIELD_LOST : HPACK_FIELD;
}

function setStaticName(index: u32): void {
  fieldNameId = staticNameId(index);
  fieldNamePtr = namePtr(fieldNameId);
  fieldNameLen = nameLen(fieldNameId);
}

function setDynamicName(entry: u32): void {
  fieldNameId = load<u16>(entry, E_NAME_ID);
  fieldNamePtr = entryNamePtr(table, entry);
  fieldNameLen = load<u16>(entry, E_NAME_BYTES);
}

/** §5.2. Reads a string literal to stringPtr and stringLen; 0, or an error. */
function readString(): i32 {
  if (cursor == blockEnd) return HPACK_TRUNCATED;
  const isCoded = (load<u8>(cursor) & 0x80) != 0;
  const from = decodeInteger(cursor, blockEnd, 127);
  if (from == 0) return fail(integerError);
  const length = integer;
  if (length > blockEnd - from) return HPACK_TRUNCATED;
  cursor = from + length;
  if (!isCoded) {
    stringPtr = from;
    stringLen = length;
    return 0;
  }
  codedPtr = from;
  codedLen = length;
  // No symbol has less than 5 bits; one byte is the decoder's slack.
  let decoded: i32;
  if (textPtr + (length * 8) / 5 < textEnd) decoded = decodeHuffman(from, length, textPtr, HUFFMAN_KEEP);
  else {
    decoded = decodeHuffman(from, length, <u32>countingScratch, HUFFMAN_COUNT);
    if (decoded < 0) return HPACK_BAD_HUFFMAN;
    if (textPtr + decoded >= textEnd) {
      isLost = true;
      stringPtr = 0;
      stringLen = decoded;
      return 0;
    }
    decodeHuffman(from, length, textPtr, HUFFMAN_KEEP);
  }
  if (decoded < 0) return HPACK_BAD_HUFFMAN;
  stringPtr = textPtr;
  stringLen = decoded;
  textPtr += decoded;
  return 0;
}

/** Enters the field into the table (§4.4); false when the pool is exhausted. */
function insertField(codedNamePtr: u32, codedNameLen: u32): bool {
  const codedValuePtr = codedPtr;
  const codedValueLen = codedLen;
  const max = load<u32>(table, T_MAX);
  if (fieldNameLen + fieldValueLen + HPACK_ENTRY_OVERHEAD_BYTES > max) {
    evictDownTo(table, 0);
    return true;
  }
  if (fieldNamePtr == 0) fieldNameId = NAME_OTHER;
  const entry = reserveEntry(table, fieldNameId, fieldNameLen, fieldValueLen);
  if (entry == 0) return false;
  if (fieldNameId == NAME_OTHER) {
    const name = entryNamePtr(table, entry);
    if (fieldNamePtr != 0) copyBytes(name, fieldNamePtr, fieldNameLen);
    else {
      decodeHuffman(codedNamePtr, codedNameLen, name, HUFFMAN_KEEP);
      fieldNameId = nameIdOf(name, fieldNameLen);
    }
  }
  const value = entryValuePtr(table, entry);
  if (fieldValuePtr != 0) copyBytes(value, fieldValuePtr, fieldValueLen);
  else decodeHuffman(codedValuePtr, codedValueLen, value, HUFFMAN_KEEP);
  if (fieldNameId != NAME_OTHER) setEntryName(entry, fieldNameId);
  if (replacedBlock != 0) keepReplaced(replacedBlock);
  return true;
}

/** Keeps a block of the table that fields of this head may point into. */
function keepReplaced(block: u32): void {
  if (replacedCount == REPLACED_BLOCKS_MAX) {
    release(block); // fields were declared lost before this block was filled
    return;
  }
  store<u32>(replacedBlocks + (replacedCount << 2), block);
  replacedCount += 1;
  if (replacedCount == REPLACED_BLOCKS_MAX) isLost = true;
}

function fail(code: i32): i32 {
  cursor = blockEnd;
  return code;
}
