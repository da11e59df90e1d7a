// The field lines of a head or a trailer section (RFC 9112 §5): `name ":" OWS value OWS CRLF`, up to the empty line.
//
// A head that lies wholly in the input is read where it lies: fields point into it, names are folded to lower case in
// place. Names and values are walked sixteen bytes at a time. Obsolete folding, a space before the colon, an empty
// name, bare CR or LF and controls are refused (§5.1, §5.2, §2.2): each has smuggled a message somewhere.
//
// Limits are looked at before the byte that ends the excess, so that a refusal does not depend on how bytes were cut.

import { HEAD_REQUEST, REASON_BAD_REQUEST, REASON_HEADER_TOO_LARGE, REASON_NONE } from "../../abi/engine-codes.ts";
import { NAME_COOKIE } from "../../abi/field-names.ts";
import {
  ENGINE_MEMORY_BYTES,
  FIELD_BYTES_MAX,
  HEAD_BYTES_MAX,
  HEAD_CRUMBS_MAX,
  HEAD_FIELDS_MAX,
} from "../../abi/limits.ts";
import { lowerCase } from "../../core/bytes.ts";
import { HEAD_CRUMBS, HEAD_KIND } from "../http/head.ts";
import { nameIdOf } from "../http/names.ts";
import { isTokenByte, valueEnd } from "../http/syntax.ts";
import { advance, PARSE_MORE, refuse } from "./first-line.ts";
import { takeField } from "./framing.ts";

// Registers of the parser.
/** Decoded size of the fields so far (name + value + 32 each), earlier 1xx heads of this message included. */
export let fieldBytes: u32 = 0;

/**
 * Reads the fields from `ptr` to the empty line into `head`. `bytesBefore` counts against HEAD_BYTES_MAX: a response's
 * informational heads share one budget with the final one.
 */
export function parseFields(head: u32, ptr: u32, end: u32, bytesBefore: u32): i32 {
  fieldBytes = bytesBefore;
  const isRequest = load<u8>(head, HEAD_KIND) == HEAD_REQUEST;
  let fields: u32 = 0;
  let at = ptr;
  while (at < end) {
    if (load<u8>(at) == 13) {
      if (at + 1 == end) return PARSE_MORE;
      return load<u8>(at, 1) == 10 ? advance(at + 2) : refuse(REASON_BAD_REQUEST);
    }
    const colon = foldName(at, end);
    const nameBytes = colon - at;
    if (nameBytes > <u32>FIELD_BYTES_MAX) return refuse(REASON_HEADER_TOO_LARGE);
    if (colon == end) return PARSE_MORE;
    if (nameBytes == 0 || load<u8>(colon) != 58) return refuse(REASON_BAD_REQUEST);
    let value = colon + 1;
    while (value < end && isSpace(load<u8>(value))) value += 1;
    const stop = valueEnd(value, end);
    if (stop - value > <u32>FIELD_BYTES_MAX) return refuse(REASON_HEADER_TOO_LARGE);
    if (stop == end) return PARSE_MORE;
    if (load<u8>(stop) != 13) return refuse(REASON_BAD_REQUEST);
    if (stop + 1 == end) return PARSE_MORE;
    if (load<u8>(stop, 1) != 10) return refuse(REASON_BAD_REQUEST);
    let valueStop = stop;
    while (valueStop > value && isSpace(load<u8>(valueStop - 1))) valueStop -= 1;
    const valueBytes = valueStop - value;
    fieldBytes += nameBytes + valueBytes + 32;
    if (fieldBytes > <u32>HEAD_BYTES_MAX) return refuse(REASON_HEADER_TOO_LARGE);
    const id = nameIdOf(at, nameBytes);
    if (isRequest && id == NAME_COOKIE) {
      const crumbs = load<u32>(head, HEAD_CRUMBS) + 1;
      if (crumbs > <u32>HEAD_CRUMBS_MAX) return refuse(REASON_HEADER_TOO_LARGE);
      store<u32>(head, crumbs, HEAD_CRUMBS);
    } else {
      fields += 1;
      if (fields > <u32>HEAD_FIELDS_MAX) return refuse(REASON_HEADER_TOO_LARGE);
    }
    const reason = takeField(head, id, at, nameBytes, value, valueBytes);
    if (reason != REASON_NONE) return refuse(reason);
    at = stop + 2;
  }
  return PARSE_MORE;
}

/** Folds the token at `ptr` to lower case; returns where it ends. */
function foldName(ptr: u32, end: u32): u32 {
  // tchar by nibbles: bit h of `low[l]` says whether byte (h << 4 | l) may stand in a token; `high[h]` = 1 << h.
  const low = i8x16(-24, -4, -8, -4, -4, -4, -4, -4, -8, -8, -12, 84, -48, 84, -12, 112);
  const high = i8x16(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
  let at = ptr;
  // Bytes behind `end` are read and written back as they were; only the end of memory must not be crossed.
  while (at < end && at + 16 <= <u32>ENGINE_MEMORY_BYTES) {
    const bytes = v128.load(at);
    const lowBits = i8x16.swizzle(low, v128.and(bytes, i8x16.splat(15)));
    const highBits = i8x16.swizzle(high, i8x16.shr_u(bytes, 4));
    const foreign = i8x16.bitmask(i8x16.eq(v128.and(lowBits, highBits), i8x16.splat(0)));
    const length = min(ctz<u32>(foreign | 0x10000), end - at);
    const lanes = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const inName = i8x16.lt_u(lanes, i8x16.splat(<i8>length));
    const isUpper = i8x16.lt_u(i8x16.sub(bytes, i8x16.splat(65)), i8x16.splat(26));
    const bit = v128.and(v128.and(isUpper, inName), i8x16.splat(32));
    v128.store(at, v128.or(bytes, bit));
    at += length;
    if (length != 16) return at;
  }
  while (at < end && isTokenByte(load<u8>(at))) {
    store<u8>(at, u8(lowerCase(load<u8>(at))));
    at += 1;
  }
  return at;
}

function isSpace(byte: u32): bool {
  return byte == 32 || byte == 9;
}
