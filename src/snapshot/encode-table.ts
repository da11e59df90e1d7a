// Hash tables of the route program: open addressing, linear probing, at most half full.

import { BUCKET_BYTES, BUCKET_ENTRY, BUCKET_HASH } from "../../assembly/abi/route-program.ts";
import type { ProgramWriter } from "./writer.ts";

export interface TableEntry {
  readonly hash: number;
  readonly offset: number;
}

/** Writes the buckets for entries that are already written. */
export function encodeTable(writer: ProgramWriter, entries: readonly TableEntry[]): { offset: number; mask: number } {
  let capacity = 1;
  while (capacity < 2 * entries.length) capacity *= 2;
  const mask = capacity - 1;
  const buckets = writer.reserve(BUCKET_BYTES * capacity);
  const taken = new Uint8Array(capacity);
  for (const { hash, offset } of entries) {
    let index = hash & mask;
    while (taken[index] === 1) index = (index + 1) & mask;
    taken[index] = 1;
    writer.putU32(buckets + BUCKET_BYTES * index + BUCKET_HASH, hash);
    writer.putU32(buckets + BUCKET_BYTES * index + BUCKET_ENTRY, offset);
  }
  return { offset: buckets, mask };
}
