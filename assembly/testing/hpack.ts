// The insides of HPACK and of the known names, for test/assembly/hpack and test/assembly/http.

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
