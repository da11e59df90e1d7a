// Text that the engine writes itself, outside the hot path: bodies of own answers.
//
// String literals are static data in UTF-16; they are copied byte by byte, and only ASCII is written here. No string is
// ever made at run time.

import { writeDecimal } from "../../core/bytes.ts";

// Per-instance state of this worker: where the text under way begins and ends.
let first: u32 = 0;
let cursor: u32 = 0;

/** Begins a text at `ptr`; the caller provides room. */
export function beginText(ptr: u32): void {
  first = ptr;
  cursor = ptr;
}

/** Appends a literal. */
export function appendText(text: string): void {
  const from = changetype<usize>(text);
  const length = text.length;
  for (let index = 0; index < length; index += 1) {
    store<u8>(cursor, u8(load<u16>(from + usize(index) * 2)));
    cursor += 1;
  }
}

/** Appends bytes. */
export function appendBytes(ptr: u32, length: u32): void {
  memory.copy(cursor, ptr, length);
  cursor += length;
}

/** Appends a number in decimal. */
export function appendNumber(value: u64): void {
  cursor += writeDecimal(cursor, value);
}

/** Length of the text under way. */
export function textBytes(): u32 {
  return cursor - first;
}
