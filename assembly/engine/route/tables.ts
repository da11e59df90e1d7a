// The hash tables of the route program: linear probing over (hash, entry), the entry's text compared at the end.

import { BUCKET_BYTES, BUCKET_ENTRY, BUCKET_HASH } from "../../abi/route-program.ts";
import { equalBytes } from "../../core/bytes.ts";
import { program } from "./program.ts";

/**
 * The next entry with this hash in the table whose offset and mask stand at `table` of the header, 0 = no more.
 * `step` counts the probes: start with 0, go on with `probeStep` when the entry turns out to be another's.
 */
export function probe(table: u32, hash: u32, step: u32): u32 {
  const buckets = program + load<u32>(program + table);
  const mask = load<u32>(program + table, 4);
  for (let count = step; count <= mask; count += 1) {
    const bucket = buckets + ((hash + count) & mask) * BUCKET_BYTES;
    const entry = load<u32>(bucket, BUCKET_ENTRY);
    if (entry == 0) return 0;
    if (load<u32>(bucket, BUCKET_HASH) == hash) {
      probeStep = count + 1;
      return program + entry;
    }
  }
  return 0;
}

/** Result register of `probe`. */
export let probeStep: u32 = 0;

/** Whether a text of the program (offset and length at `at`) equals these bytes. */
export function isText(at: u32, ptr: u32, length: u32): bool {
  return load<u32>(at, 4) == length && equalBytes(program + load<u32>(at), ptr, length);
}
