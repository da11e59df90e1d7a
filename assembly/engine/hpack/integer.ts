// Integers with a prefix (RFC 7541 §5.1).
//
// At most five octets, the prefix among them: 2^28 is far above every length and index that can occur, so longer ones,
// zero-padded ones included, are refused instead of carried on.

import { HPACK_BAD_INTEGER, HPACK_TRUNCATED } from "../../abi/hpack-codes.ts";
import { HPACK_INTEGER_OCTETS_MAX } from "../../abi/limits.ts";

/** What decodeInteger read. */
export let integer: u32 = 0;
/** Why it returned 0. */
export let integerError: i32 = 0;

/** Reads at `ptr` with the prefix `mask` (2^N - 1); returns the address behind it, or 0. */
export function decodeInteger(ptr: u32, end: u32, mask: u32): u32 {
  if (ptr >= end) return failInteger(HPACK_TRUNCATED);
  let value = u32(load<u8>(ptr)) & mask;
  let at = ptr + 1;
  if (value == mask) {
    let shift: u32 = 0;
    let octet: u32;
    do {
      if (shift == 7 * HPACK_INTEGER_OCTETS_MAX) return failInteger(HPACK_BAD_INTEGER);
      if (at >= end) return failInteger(HPACK_TRUNCATED);
      octet = load<u8>(at);
      at += 1;
      value += (octet & 127) << shift;
      shift += 7;
    } while (octet & 128);
  }
  integer = value;
  return at;
}

/** Writes `value` with the prefix `mask` under the bits of `pattern`; returns the new `out`. At most 5 octets. */
export function encodeInteger(out: u32, pattern: u32, mask: u32, value: u32): u32 {
  if (value < mask) {
    store<u8>(out, u8(pattern | value));
    return out + 1;
  }
  store<u8>(out, u8(pattern | mask));
  let rest = value - mask;
  let at = out + 1;
  while (rest >= 128) {
    store<u8>(at, u8(128 | (rest & 127)));
    at += 1;
    rest >>= 7;
  }
  store<u8>(at, u8(rest));
  return at + 1;
}

function failInteger(code: i32): u32 {
  integerError = code;
  return 0;
}
