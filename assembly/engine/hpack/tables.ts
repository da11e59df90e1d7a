// The two HPACK tables of a connection: where they lie in its record, and their life.
//
//   at           at + 48        at + 96
//   ├ decoder    ┼ encoder      ┤            memory for entries: core/pool, from the first insertion on

import { HPACK_TABLE_BYTES_DEFAULT } from "../../abi/hpack-codes.ts";
import { release } from "../../core/pool.ts";
import { createTable, destroyTable, T_BUCKETS, TABLE_BYTES } from "./dynamic-table.ts";

export const HPACK_TABLES_BYTES: u32 = 96;

/** Makes both tables empty, 4,096 bytes, Huffman off. `at` is zeroed memory or not; nothing is allocated. */
export function createTables(at: u32): void {
  createTable(decoderOf(at), HPACK_TABLE_BYTES_DEFAULT);
  createTable(encoderOf(at), HPACK_TABLE_BYTES_DEFAULT);
}

/** Gives their memory back; harmless when called twice, or on zeroed memory. */
export function destroyTables(at: u32): void {
  const buckets = load<u32>(encoderOf(at), T_BUCKETS);
  if (buckets != 0) release(buckets);
  destroyTable(decoderOf(at));
  destroyTable(encoderOf(at));
}

/** The table for startBlock and setDecoderLimit. */
export function decoderOf(at: u32): u32 {
  return at;
}

/** The table for encodeField and its like. */
export function encoderOf(at: u32): u32 {
  return at + TABLE_BYTES;
}
