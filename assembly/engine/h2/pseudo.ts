// Pseudo-headers (RFC 9113 §8.3, RFC 8441 §4), and Host, which says the same as one of them.
//
// Each at most once, before all other fields, only those of the kind of head, and nothing in them that another parser
// might read otherwise.

import { HEAD_REQUEST, HEAD_RESPONSE, REASON_URI_TOO_LONG } from "../../abi/engine-codes.ts";
import {
  NAME_AUTHORITY,
  NAME_METHOD,
  NAME_PATH,
  NAME_PROTOCOL,
  NAME_SCHEME,
  NAME_STATUS,
} from "../../abi/field-names.ts";
import { METHOD_BYTES_MAX, TARGET_BYTES_MAX } from "../../abi/limits.ts";
import { equalBytes } from "../../core/bytes.ts";
import { fieldNameId, fieldValueLen, fieldValuePtr } from "../hpack/decoder.ts";
import { isAuthority, isSameAuthority } from "../http/authority.ts";
import {
  HEAD_AUTHORITY,
  HEAD_AUTHORITY_BYTES,
  HEAD_CONTENT_LENGTH,
  HEAD_IS_EXTENDED_CONNECT,
  HEAD_METHOD,
  HEAD_METHOD_BYTES,
  HEAD_METHOD_ID,
  HEAD_PATH,
  HEAD_PATH_BYTES,
  HEAD_PROTOCOL,
  HEAD_PROTOCOL_BYTES,
  HEAD_SCHEME,
  HEAD_STATUS,
  METHOD_CONNECT,
  METHOD_OPTIONS,
  METHOD_OTHER,
  setHeadFlag,
} from "../http/head.ts";
import { methodIdOf } from "../http/message.ts";
import { hasEscapedNul, targetEnd, tokenEnd } from "../http/syntax.ts";
import { DECODED_MALFORMED, DECODED_OK, refuse } from "./verdict.ts";

const SEEN_REGULAR: u32 = 1; // bit 0; pseudo-headers use 1 << NAME_*
const SEEN_HOST: u32 = 1 << 8;

const HTTP: u32 = 0x70747468; // "http", little-endian

// Per-instance state of one decodeHead.
let seen: u32 = 0;
let host: u32 = 0;
let hostBytes: u32 = 0;

/** A new head. */
export function startPseudo(): void {
  seen = 0;
}

/** A regular field came: no pseudo-header may follow. */
export function stopPseudo(): void {
  seen |= SEEN_REGULAR;
}

/** Whether :status came. */
export function hasStatus(): bool {
  return (seen & (1 << NAME_STATUS)) != 0;
}

/** The pseudo-header that HPACK has just given. */
export function takePseudo(head: u32, kind: u32): i32 {
  const bit: u32 = 1 << fieldNameId;
  // Once each, before all regular fields, and only those of this kind of head (RFC 9113 §8.3).
  if ((seen & (bit | SEEN_REGULAR)) != 0) return DECODED_MALFORMED;
  seen |= bit;
  const ptr = fieldValuePtr;
  const length = fieldValueLen;
  if (kind == HEAD_RESPONSE) return fieldNameId == NAME_STATUS ? takeStatus(head, ptr, length) : DECODED_MALFORMED;
  if (kind != HEAD_REQUEST) return DECODED_MALFORMED;
  switch (fieldNameId) {
    case NAME_METHOD:
      return takeMethod(head, ptr, length);
    case NAME_PATH:
      return takePath(head, ptr, length);
    case NAME_SCHEME: {
      const isHttp = length >= 4 && load<u32>(ptr) == HTTP;
      if (!isHttp || length > 5 || (length == 5 && load<u8>(ptr, 4) != 115)) return DECODED_MALFORMED;
      store<u8>(head, u8(length - 4), HEAD_SCHEME);
      return DECODED_OK;
    }
    case NAME_AUTHORITY: {
      if (!isAuthority(ptr, length)) return DECODED_MALFORMED;
      store<u32>(head, ptr, HEAD_AUTHORITY);
      store<u32>(head, length, HEAD_AUTHORITY_BYTES);
      return DECODED_OK;
    }
    case NAME_PROTOCOL: {
      if (length == 0 || tokenEnd(ptr, ptr + length) != ptr + length) return DECODED_MALFORMED;
      store<u32>(head, ptr, HEAD_PROTOCOL);
      store<u32>(head, length, HEAD_PROTOCOL_BYTES);
      return DECODED_OK;
    }
    default:
      return DECODED_MALFORMED;
  }
}

function takeMethod(head: u32, ptr: u32, length: u32): i32 {
  const methodId = methodIdOf(ptr, length);
  if (methodId == METHOD_OTHER && (length == 0 || tokenEnd(ptr, ptr + length) != ptr + length))
    return DECODED_MALFORMED;
  if (length > <u32>METHOD_BYTES_MAX) return DECODED_MALFORMED; // as HTTP/1.1, which may be the next hop
  store<u32>(head, ptr, HEAD_METHOD);
  store<u32>(head, length, HEAD_METHOD_BYTES);
  store<u32>(head, methodId, HEAD_METHOD_ID);
  return DECODED_OK;
}

function takePath(head: u32, ptr: u32, length: u32): i32 {
  if (length == 0) return DECODED_MALFORMED;
  if (length > <u32>TARGET_BYTES_MAX) return refuse(REASON_URI_TOO_LONG);
  const first = u32(load<u8>(ptr));
  // Origin-form, or "*" (RFC 9113 §8.3.1); which method may say "*" is seen at the end.
  if (first != 47 && (first != 42 || length != 1)) return DECODED_MALFORMED;
  const end = ptr + length;
  if (targetEnd(ptr, end) != end || hasEscapedNul(ptr, end)) return DECODED_MALFORMED;
  store<u32>(head, ptr, HEAD_PATH);
  store<u32>(head, length, HEAD_PATH_BYTES);
  return DECODED_OK;
}

function takeStatus(head: u32, ptr: u32, length: u32): i32 {
  if (length != 3) return DECODED_MALFORMED;
  const hundreds = u32(load<u8>(ptr)) - 48;
  const tens = u32(load<u8>(ptr, 1)) - 48;
  const ones = u32(load<u8>(ptr, 2)) - 48;
  // Three digits from 100 (RFC 9110 §15); unsigned, so that bytes below "0" are large.
  if (hundreds - 1 > 8 || tens > 9 || ones > 9) return DECODED_MALFORMED;
  store<u16>(head, u16(hundreds * 100 + tens * 10 + ones), HEAD_STATUS);
  return DECODED_OK;
}

/** Host of a request. */
export function takeHost(value: u32, valueBytes: u32): i32 {
  if ((seen & SEEN_HOST) != 0 || !isAuthority(value, valueBytes)) return DECODED_MALFORMED;
  seen |= SEEN_HOST;
  host = value;
  hostBytes = valueBytes;
  return DECODED_OK;
}

/** What must be there, and what must not, once the whole block is known (RFC 9113 §8.3.1, §8.5; RFC 8441 §4). */
export function finishRequest(head: u32): i32 {
  const methodId = load<u32>(head, HEAD_METHOD_ID);
  const target: u32 = seen & ((1 << NAME_SCHEME) | (1 << NAME_PATH));
  if ((seen & (1 << NAME_METHOD)) == 0) return DECODED_MALFORMED;
  if (methodId == METHOD_CONNECT) {
    // Its bytes are a tunnel's, so a length could only mislead (RFC 9110 §9.3.6).
    if (load<i64>(head, HEAD_CONTENT_LENGTH) >= 0) return DECODED_MALFORMED;
    if ((seen & (1 << NAME_AUTHORITY)) == 0) return DECODED_MALFORMED;
    if ((seen & (1 << NAME_PROTOCOL)) != 0) setHeadFlag(head, HEAD_IS_EXTENDED_CONNECT);
    else return target == 0 && joinHost(head) ? DECODED_OK : DECODED_MALFORMED;
  } else if ((seen & (1 << NAME_PROTOCOL)) != 0) return DECODED_MALFORMED;
  if (target != ((1 << NAME_SCHEME) | (1 << NAME_PATH))) return DECODED_MALFORMED;
  if (load<u8>(load<u32>(head, HEAD_PATH)) == 42 && methodId != METHOD_OPTIONS) return DECODED_MALFORMED;
  return joinHost(head) ? DECODED_OK : DECODED_MALFORMED;
}

/** One authority out of :authority and host; false when they differ. */
function joinHost(head: u32): bool {
  if ((seen & SEEN_HOST) == 0) return true;
  if ((seen & (1 << NAME_AUTHORITY)) == 0) {
    store<u32>(head, host, HEAD_AUTHORITY);
    store<u32>(head, hostBytes, HEAD_AUTHORITY_BYTES);
    return true;
  }
  const authority = load<u32>(head, HEAD_AUTHORITY);
  const authorityBytes = load<u32>(head, HEAD_AUTHORITY_BYTES);
  if (authorityBytes == hostBytes && equalBytes(authority, host, hostBytes)) return true;
  return isSameAuthority(authority, authorityBytes, host, hostBytes, load<u8>(head, HEAD_SCHEME) == 0 ? 80 : 443);
}
