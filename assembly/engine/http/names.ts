// Known field names: text to number and back.
//
// A perfect hash (names-table.ts, generated) leaves one candidate, and one comparison decides. The numbers are those of
// abi/field-names.ts; the texts lie in static memory, so a pointer to one never ends.

import { NAME_OTHER } from "../../abi/field-names.ts";
import { equalBytes } from "../../core/bytes.ts";
import {
  NAMES_FIRST_MULTIPLIER,
  NAMES_LENGTH_MAX,
  NAMES_PLACES,
  NAMES_SECOND_MULTIPLIER,
  NAMES_SLOT_SHIFT,
  NAMES_SLOTS,
  NAMES_STATIC,
  NAMES_TEXT,
} from "./names-table.ts";

/** The NAME_* of a name in lower case (pseudo-headers with their colon); NAME_OTHER when it is none of them. */
export function nameIdOf(ptr: u32, length: u32): u32 {
  if (length - 2 > NAMES_LENGTH_MAX - 2) return NAME_OTHER; // shorter than 2 wraps
  let head: u32;
  let tail: u32;
  if (length >= 4) {
    head = load<u32>(ptr);
    tail = load<u32>(ptr + length - 4);
  } else {
    head = load<u16>(ptr);
    tail = load<u8>(ptr + length - 1);
  }
  const slot = (head * NAMES_FIRST_MULTIPLIER + (tail + length) * NAMES_SECOND_MULTIPLIER) >> NAMES_SLOT_SHIFT;
  const id = u32(load<u8>(NAMES_SLOTS + slot));
  if (nameLen(id) != length || !equalBytes(ptr, namePtr(id), length)) return NAME_OTHER;
  return id;
}

/** Where the text of a known name lies, with the colon of a pseudo-header. */
export function namePtr(id: u32): u32 {
  return <u32>NAMES_TEXT + load<u16>(NAMES_PLACES + id * 4);
}

/** How long it is; 0 for NAME_OTHER. */
export function nameLen(id: u32): u32 {
  return load<u16>(NAMES_PLACES + id * 4, 2);
}

/** The first index of HPACK's static table with this name, 0 when there is none (RFC 7541 Appendix A). */
export function staticIndexOf(id: u32): u32 {
  return load<u8>(NAMES_STATIC + id);
}
