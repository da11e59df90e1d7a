// The insides of HPACK and of the known names, for test/assembly/hpack and test/assembly/http.

import { ENCODE_BUFFER, SCRATCH_HEAD } from "../abi/engine-memory.ts";
import { HPACK_END } from "../abi/hpack-codes.ts";
import { allocate, createPool, poolUsedBytes, release } from "../core/pool.ts";
import {
  fieldFlags,
  fieldNameId,
  fieldNameLen,
  fieldNamePtr,
  fieldValueLen,
  fieldValuePtr,
  nextField,
  setDecoderLimit,
  setTextArea,
  startBlock,
  textPtr,
} from "../engine/hpack/decoder.ts";
import { T_COUNT, T_MAX, T_SIZE } from "../engine/hpack/dynamic-table.ts";
import { encodeField, encodeSizeUpdates, encodeStatus, setEncoderLimit, setHuffman } from "../engine/hpack/encoder.ts";
import { decodeHuffman, encodeHuffman, huffmanLength } from "../engine/hpack/huffman.ts";
import { decodeInteger, encodeInteger, integer, integerError } from "../engine/hpack/integer.ts";
import { createTables, decoderOf, destroyTables, encoderOf } from "../engine/hpack/tables.ts";
import { nameIdOf, nameLen, namePtr, staticIndexOf } from "../engine/http/names.ts";

export {
  allocate,
  createPool,
  createTables,
  decodeHuffman,
  decodeInteger,
  decoderOf,
  destroyTables,
  encodeField,
  encodeHuffman,
  encodeInteger,
  encoderOf,
  encodeSizeUpdates,
  encodeStatus,
  fieldFlags,
  fieldNameId,
  fieldNameLen,
  fieldNamePtr,
  fieldValueLen,
  fieldValuePtr,
  huffmanLength,
  integer,
  integerError,
  nameIdOf,
  nameLen,
  namePtr,
  nextField,
  poolUsedBytes,
  release,
  setDecoderLimit,
  setEncoderLimit,
  setHuffman,
  setTextArea,
  startBlock,
  staticIndexOf,
  textPtr,
};

/** Decodes a block `times` times, for the bench; the number of fields. */
export function decodeRepeatedly(table: u32, ptr: u32, length: u32, times: u32): u32 {
  let fields: u32 = 0;
  for (let time: u32 = 0; time < times; time += 1) {
    setTextArea(SCRATCH_HEAD, SCRATCH_HEAD + 131072);
    startBlock(table, ptr, length);
    while (nextField() > HPACK_END) fields += 1;
  }
  return fields;
}

/** Encodes `count` fields of five words (name id, name, length, value, length) each time; bytes of the last block. */
export function encodeRepeatedly(table: u32, fields: u32, count: u32, times: u32): u32 {
  let out: u32 = 0;
  for (let time: u32 = 0; time < times; time += 1) {
    out = encodeSizeUpdates(table, ENCODE_BUFFER);
    for (let index: u32 = 0; index < count; index += 1) {
      const at = fields + index * 20;
      const name = load<u32>(at, 4);
      out = encodeField(table, out, load<u32>(at), name, load<u32>(at, 8), load<u32>(at, 12), load<u32>(at, 16), 0);
    }
  }
  return out - ENCODE_BUFFER;
}

/** Size of a table by RFC 7541 §4.1. */
export function tableSize(table: u32): u32 {
  return load<u32>(table, T_SIZE);
}

/** Size in force. */
export function tableMax(table: u32): u32 {
  return load<u32>(table, T_MAX);
}

/** Entries. */
export function tableCount(table: u32): u32 {
  return load<u32>(table, T_COUNT);
}
