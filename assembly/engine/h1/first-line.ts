// The first line: `method SP target SP HTTP/1.1` (RFC 9112 §3) or `HTTP/1.1 SP status SP reason` (§4).
//
// Read strictly from left to right, so that the same bytes give the same refusal however they were cut: what is said
// about a byte never depends on bytes behind it. One space between the parts, CRLF at the end, nothing tolerated.

import {
  REASON_BAD_REQUEST,
  REASON_NONE,
  REASON_URI_TOO_LONG,
  REASON_VERSION_UNSUPPORTED,
} from "../../abi/engine-codes.ts";
import { METHOD_BYTES_MAX, TARGET_BYTES_MAX } from "../../abi/limits.ts";
import {
  HEAD_METHOD,
  HEAD_METHOD_BYTES,
  HEAD_METHOD_ID,
  HEAD_REASON,
  HEAD_REASON_BYTES,
  HEAD_STATUS,
  HEAD_VERSION,
} from "../http/head.ts";
import { methodIdOf } from "../http/message.ts";
import { isDigitByte, targetEnd, tokenEnd, valueEnd } from "../http/syntax.ts";
import { parseTarget } from "./target.ts";

/** Result of reading: done, not enough bytes, or a reason in `parseReason`. */
export const PARSE_DONE: i32 = 0;
export const PARSE_MORE: i32 = 1;
export const PARSE_BAD: i32 = 2;

/** "HTTP/1.1" and "HTTP/1.0" as little-endian words. */
const HTTP_1_1: u64 = (u64(0x312e312f) << 32) | 0x50545448;
const HTTP_1_0: u64 = (u64(0x302e312f) << 32) | 0x50545448;
/** "HTTP/" in the lower five bytes. */
const HTTP_SLASH: u64 = 0x2f50545448;

// Registers of the parser, valid right after a call.
/** Where reading stopped. */
export let parseEnd: u32 = 0;
/** REASON_* of PARSE_BAD; REASON_NONE: it is not HTTP, and nobody is to be answered. */
export let parseReason: u32 = 0;

export function refuse(reason: u32): i32 {
  parseReason = reason;
  return PARSE_BAD;
}

export function advance(to: u32): i32 {
  parseEnd = to;
  return PARSE_DONE;
}

/** Reads a request line into `head`; the target's form is checked too. */
export function parseRequestLine(head: u32, ptr: u32, end: u32): i32 {
  const methodStop = tokenEnd(ptr, min(end, ptr + <u32>METHOD_BYTES_MAX + 1));
  const methodBytes = methodStop - ptr;
  if (methodBytes > <u32>METHOD_BYTES_MAX) return refuse(REASON_BAD_REQUEST);
  if (methodStop == end) return PARSE_MORE;
  if (methodBytes == 0 || load<u8>(methodStop) != 32) return refuse(REASON_BAD_REQUEST);
  const target = methodStop + 1;
  const stop = targetEnd(target, end);
  if (stop - target > <u32>TARGET_BYTES_MAX) return refuse(REASON_URI_TOO_LONG);
  if (stop == end) return PARSE_MORE;
  if (stop == target || load<u8>(stop) != 32) return refuse(REASON_BAD_REQUEST);
  const versionAt = stop + 1;
  const result = parseVersion(head, versionAt, end);
  if (result == PARSE_BAD && isForeign(target, stop, versionAt)) return refuse(REASON_NONE);
  if (result != PARSE_DONE) return result;
  const lineEnd = versionAt + 8;
  if (lineEnd == end) return PARSE_MORE;
  if (load<u8>(lineEnd) != 13) return refuse(REASON_BAD_REQUEST);
  if (lineEnd + 1 == end) return PARSE_MORE;
  if (load<u8>(lineEnd, 1) != 10) return refuse(REASON_BAD_REQUEST);
  if (load<u8>(head, HEAD_VERSION) == 0) return refuse(REASON_VERSION_UNSUPPORTED);
  const methodId = methodIdOf(ptr, methodBytes);
  store<u32>(head, ptr, HEAD_METHOD);
  store<u32>(head, methodBytes, HEAD_METHOD_BYTES);
  store<u32>(head, methodId, HEAD_METHOD_ID);
  const reason = parseTarget(head, methodId, target, stop - target);
  if (reason != REASON_NONE) return refuse(reason);
  return advance(lineEnd + 2);
}

/**
 * Whether a line names neither a target nor a version of HTTP: somebody speaks another protocol, a preface of HTTP/2
 * with a mistake in it for one, and has no use for an answer in ours.
 */
function isForeign(target: u32, stop: u32, versionAt: u32): bool {
  if ((u32(load<u8>(versionAt)) | 0x20) == 104) return false; // h
  const first = u32(load<u8>(target));
  if (first == 47 || first == 42) return false; // "/", "*"
  for (let at = target; at < stop; at += 1) if (load<u8>(at) == 58) return false; // absolute, authority
  return true;
}

/** Reads a status line into `head`. A missing reason phrase may lack its space too: servers of old do that. */
export function parseStatusLine(head: u32, ptr: u32, end: u32): i32 {
  const result = parseVersion(head, ptr, end);
  if (result != PARSE_DONE) return result;
  if (load<u8>(head, HEAD_VERSION) == 0) return refuse(REASON_VERSION_UNSUPPORTED);
  let at = ptr + 8;
  if (at == end) return PARSE_MORE;
  if (load<u8>(at) != 32) return refuse(REASON_BAD_REQUEST);
  let status: u32 = 0;
  for (let digits = 0; digits < 3; digits += 1) {
    at += 1;
    if (at == end) return PARSE_MORE;
    const byte = u32(load<u8>(at));
    if (!isDigitByte(byte)) return refuse(REASON_BAD_REQUEST);
    status = status * 10 + (byte - 48);
    if (status == 0) return refuse(REASON_BAD_REQUEST);
  }
  at += 1;
  if (at == end) return PARSE_MORE;
  store<u16>(head, u16(status), HEAD_STATUS);
  if (load<u8>(at) == 32) at += 1;
  else if (load<u8>(at) != 13) return refuse(REASON_BAD_REQUEST);
  const stop = valueEnd(at, end);
  if (stop - at > <u32>TARGET_BYTES_MAX) return refuse(REASON_BAD_REQUEST);
  if (stop == end) return PARSE_MORE;
  if (load<u8>(stop) != 13) return refuse(REASON_BAD_REQUEST);
  if (stop + 1 == end) return PARSE_MORE;
  if (load<u8>(stop, 1) != 10) return refuse(REASON_BAD_REQUEST);
  store<u32>(head, at, HEAD_REASON);
  store<u32>(head, stop - at, HEAD_REASON_BYTES);
  return advance(stop + 2);
}

/** `HTTP/` DIGIT `.` DIGIT (RFC 9112 §2.3); HEAD_VERSION stays 0 for one that we do not speak. */
function parseVersion(head: u32, ptr: u32, end: u32): i32 {
  if (ptr + 8 <= end) {
    const word = load<u64>(ptr);
    if (word == HTTP_1_1) {
      store<u8>(head, 11, HEAD_VERSION);
      return PARSE_DONE;
    }
    if (word == HTTP_1_0) {
      store<u8>(head, 10, HEAD_VERSION);
      return PARSE_DONE;
    }
  }
  for (let index: u32 = 0; index < 8; index += 1) {
    if (ptr + index == end) return PARSE_MORE;
    const byte = u32(load<u8>(ptr + index));
    if (index < 5) {
      if (byte != u32((HTTP_SLASH >> (8 * index)) & 0xff)) return refuse(REASON_BAD_REQUEST);
    } else if (index == 6) {
      if (byte != 46) return refuse(REASON_BAD_REQUEST);
    } else if (!isDigitByte(byte)) return refuse(REASON_BAD_REQUEST);
  }
  store<u8>(head, 0, HEAD_VERSION);
  return PARSE_DONE;
}
