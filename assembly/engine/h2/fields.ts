// A field block becomes a head: RFC 9113 §8.2 and §8.3, the strict column of reliability.md §2.2.
//
// Every block is decoded to its end, whatever is found in it, because HPACK's table is shared by all of them; only a
// compression error or a decoded size beyond four times the limit (a bomb) ends the connection instead. Names known by
// number are valid by that. A field out of HPACK's table may stem from a malformed message, so it is checked again.

import {
  HEAD_REQUEST,
  HEAD_RESPONSE,
  HEAD_TRAILERS,
  REASON_HEADER_TOO_LARGE,
  REASON_NONE,
  REASON_URI_TOO_LONG,
} from "../../abi/engine-codes.ts";
import { SCRATCH_HEAD, SCRATCH_HEAD_BYTES } from "../../abi/engine-memory.ts";
import {
  NAME_AUTHORITY,
  NAME_CONTENT_LENGTH,
  NAME_CONTENT_TYPE,
  NAME_COOKIE,
  NAME_EXPECT,
  NAME_HOP_FIRST,
  NAME_HOP_LAST,
  NAME_HOST,
  NAME_HTTP2_SETTINGS,
  NAME_METHOD,
  NAME_OTHER,
  NAME_PATH,
  NAME_PROTOCOL,
  NAME_PSEUDO_LAST,
  NAME_SCHEME,
  NAME_STATUS,
  NAME_TE,
} from "../../abi/field-names.ts";
import { HPACK_END, HPACK_FIELD } from "../../abi/hpack-codes.ts";
import {
  FIELD_BYTES_MAX,
  HEAD_BYTES_MAX,
  HEAD_CRUMBS_MAX,
  HEAD_FIELDS_MAX,
  TARGET_BYTES_MAX,
  TRAILER_BYTES_MAX,
} from "../../abi/limits.ts";
import { equalBytes, equalIgnoringCase } from "../../core/bytes.ts";
import {
  fieldFlags,
  fieldNameId,
  fieldNameLen,
  fieldNamePtr,
  fieldValueLen,
  fieldValuePtr,
  nextField,
  setTextArea,
  startBlock,
  textPtr,
} from "../hpack/decoder.ts";
import { isAuthority, isSameAuthority } from "../http/authority.ts";
import {
  addField,
  FIELD_FLAGS,
  fieldAt,
  HEAD_AUTHORITY,
  HEAD_AUTHORITY_BYTES,
  HEAD_CONTENT_LENGTH,
  HEAD_COUNT,
  HEAD_CRUMBS,
  HEAD_EXPECTS_CONTINUE,
  HEAD_HAS_TE_TRAILERS,
  HEAD_IS_EXTENDED_CONNECT,
  HEAD_IS_GRPC,
  HEAD_METHOD,
  HEAD_METHOD_BYTES,
  HEAD_METHOD_ID,
  HEAD_PATH,
  HEAD_PATH_BYTES,
  HEAD_PROTOCOL,
  HEAD_PROTOCOL_BYTES,
  HEAD_SCHEME,
  HEAD_STATUS,
  HEAD_TEXT_END,
  HEAD_VERSION,
  METHOD_CONNECT,
  METHOD_OPTIONS,
  METHOD_OTHER,
  setHeadFlag,
  startHead,
} from "../http/head.ts";
import { isForbiddenTrailer, isGrpcContentType, methodIdOf } from "../http/message.ts";
import { hasEscapedNul, isTokenByte, targetEnd, tokenEnd, valueEnd } from "../http/syntax.ts";
import { H_DECODER } from "./state.ts";

/** The head is whole and sound. */
export const DECODED_OK: i32 = 0;
/** The message is malformed (RFC 9113 §8.1.1): a stream error. */
export const DECODED_MALFORMED: i32 = 1;
/** It exceeds our limits: `refusal` is the reason. */
export const DECODED_TOO_LARGE: i32 = 2;
/** HPACK is out of step: a connection error. */
export const DECODED_BROKEN: i32 = 3;
/** So far beyond the limits that reading on is the attack (reliability.md §1.2, A5 and A6). */
export const DECODED_BOMB: i32 = 4;

/** Multiple of HEAD_BYTES_MAX from which a block is a bomb (h2 #915). */
const BOMB_FACTOR: u32 = 4;
/** Sixteen digits: 2^53 - 1 is the largest length that everybody can count. */
const LENGTH_DIGITS_MAX: u32 = 16;
const LENGTH_MAX: i64 = 9007199254740991;

const SEEN_REGULAR: u32 = 1; // bit 0; pseudo-headers use 1 << NAME_*
const SEEN_HOST: u32 = 1 << 8;

const HTTP: u32 = 0x70747468; // "http", little-endian
const TRAILERS: u32 = <u32>memory.data<u8>([116, 114, 97, 105, 108, 101, 114, 115]);
const CONTINUE: u32 = <u32>memory.data<u8>([49, 48, 48, 45, 99, 111, 110, 116, 105, 110, 117, 101]);

// transfer_encoding, content_length
const TRANSFER_UNDERSCORE: u32 = <u32>(
  memory.data<u8>([116, 114, 97, 110, 115, 102, 101, 114, 95, 101, 110, 99, 111, 100, 105, 110, 103])
);
const LENGTH_UNDERSCORE: u32 = <u32>(
  memory.data<u8>([99, 111, 110, 116, 101, 110, 116, 95, 108, 101, 110, 103, 116, 104])
);

/** With DECODED_TOO_LARGE: REASON_*. */
export let refusal: u32 = REASON_NONE;
/** With DECODED_BROKEN: HPACK_*. */
export let brokenBy: i32 = 0;

// Per-instance state of one decodeHead.
let seen: u32 = 0;
let host: u32 = 0;
let hostBytes: u32 = 0;

/** Decodes a block into SCRATCH_HEAD; `kind` = HEAD_*. Returns DECODED_*. */
export function decodeHead(connection: u32, kind: u32, ptr: u32, length: u32): i32 {
  const head: u32 = SCRATCH_HEAD;
  startHead(head, kind);
  store<u8>(head, 20, HEAD_VERSION);
  const text = load<u32>(head, HEAD_TEXT_END);
  const bytesMax: u32 = kind == HEAD_TRAILERS ? TRAILER_BYTES_MAX : HEAD_BYTES_MAX;
  setTextArea(text, head + SCRATCH_HEAD_BYTES);
  startBlock(connection + H_DECODER, ptr, length);
  seen = 0;
  refusal = REASON_NONE;
  let bytes: u32 = 0;
  let verdict: i32 = DECODED_OK;
  while (true) {
    const got = nextField();
    if (got == HPACK_END) break;
    if (got < 0) return broken(got);
    bytes += fieldNameLen + fieldValueLen + 32;
    if (bytes > bytesMax) {
      if (bytes > <u32>HEAD_BYTES_MAX * BOMB_FACTOR) return DECODED_BOMB;
      if (verdict == DECODED_OK) verdict = tooLarge(REASON_HEADER_TOO_LARGE);
    }
    if (verdict != DECODED_OK) {
      setTextArea(text, head + SCRATCH_HEAD_BYTES); // nobody will look at it
      continue;
    }
    if (got != HPACK_FIELD) verdict = tooLarge(REASON_HEADER_TOO_LARGE);
    else if (fieldNameId <= <u32>NAME_PSEUDO_LAST && fieldNameId != NAME_OTHER) verdict = takePseudo(head, kind);
    else verdict = takeField(head, kind);
  }
  store<u32>(head, textPtr, HEAD_TEXT_END);
  if (verdict != DECODED_OK) return verdict;
  if (kind == HEAD_REQUEST) return finishRequest(head);
  if (kind == HEAD_RESPONSE && (seen & (1 << NAME_STATUS)) == 0) return DECODED_MALFORMED;
  return DECODED_OK;
}

/** Decodes a block that nobody wants, to keep HPACK in step. DECODED_OK, DECODED_BROKEN or DECODED_BOMB. */
export function decodeNothing(connection: u32, ptr: u32, length: u32): i32 {
  const head: u32 = SCRATCH_HEAD;
  startHead(head, HEAD_TRAILERS);
  const text = load<u32>(head, HEAD_TEXT_END);
  setTextArea(text, head + SCRATCH_HEAD_BYTES);
  startBlock(connection + H_DECODER, ptr, length);
  let bytes: u32 = 0;
  while (true) {
    const got = nextField();
    if (got == HPACK_END) return DECODED_OK;
    if (got < 0) return broken(got);
    bytes += fieldNameLen + fieldValueLen + 32;
    if (bytes > <u32>HEAD_BYTES_MAX * BOMB_FACTOR) return DECODED_BOMB;
    setTextArea(text, head + SCRATCH_HEAD_BYTES);
  }
}

function broken(by: i32): i32 {
  brokenBy = by;
  return DECODED_BROKEN;
}

function tooLarge(reason: u32): i32 {
  refusal = reason;
  return DECODED_TOO_LARGE;
}

function takePseudo(head: u32, kind: u32): i32 {
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
  store<u32>(head, ptr, HEAD_METHOD);
  store<u32>(head, length, HEAD_METHOD_BYTES);
  store<u32>(head, methodId, HEAD_METHOD_ID);
  return DECODED_OK;
}

function takePath(head: u32, ptr: u32, length: u32): i32 {
  if (length == 0) return DECODED_MALFORMED;
  if (length > <u32>TARGET_BYTES_MAX) return tooLarge(REASON_URI_TOO_LONG);
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

function takeField(head: u32, kind: u32): i32 {
  seen |= SEEN_REGULAR;
  const id = fieldNameId;
  const value = fieldValuePtr;
  const valueBytes = fieldValueLen;
  if (id == NAME_OTHER && !isName(fieldNamePtr, fieldNameLen)) return DECODED_MALFORMED;
  if (valueBytes != 0 && !isValue(value, valueBytes)) return DECODED_MALFORMED;
  if (valueBytes > <u32>FIELD_BYTES_MAX) return tooLarge(REASON_HEADER_TOO_LARGE);
  // Unknown names and those that mean nothing here go straight into the list.
  if (id >= <u32>NAME_HOP_FIRST && id <= <u32>NAME_COOKIE) {
    const verdict = takeKnown(head, kind, id, value, valueBytes);
    if (verdict != KEEP) return verdict;
  } else if (kind == HEAD_TRAILERS && isForbiddenTrailer(id)) return DECODED_OK; // dropped (RFC 9110 §6.5.1)
  const count = load<u32>(head, HEAD_COUNT);
  if (count - load<u32>(head, HEAD_CRUMBS) > <u32>HEAD_FIELDS_MAX - 1 && id != NAME_COOKIE) {
    return tooLarge(REASON_HEADER_TOO_LARGE);
  }
  if (!addField(head, id, fieldNamePtr, fieldNameLen, value, valueBytes)) return tooLarge(REASON_HEADER_TOO_LARGE);
  if (fieldFlags != 0) store<u8>(fieldAt(head, count), u8(fieldFlags), FIELD_FLAGS);
  return DECODED_OK;
}

/** takeKnown: the field belongs into the list. */
const KEEP: i32 = -1;

function takeKnown(head: u32, kind: u32, id: u32, value: u32, valueBytes: u32): i32 {
  if (id <= <u32>NAME_HOP_LAST) return takeHop(head, kind, id, value, valueBytes);
  if (kind == HEAD_TRAILERS) return isForbiddenTrailer(id) ? DECODED_OK : KEEP;
  switch (id) {
    case NAME_HOST: {
      if (kind != HEAD_REQUEST) return DECODED_OK;
      if ((seen & SEEN_HOST) != 0 || !isAuthority(value, valueBytes)) return DECODED_MALFORMED;
      seen |= SEEN_HOST;
      host = value;
      hostBytes = valueBytes;
      return DECODED_OK;
    }
    case NAME_CONTENT_LENGTH:
      return takeLength(head, value, valueBytes);
    case NAME_CONTENT_TYPE: {
      if (isGrpcContentType(value, valueBytes)) setHeadFlag(head, HEAD_IS_GRPC);
      return KEEP;
    }
    case NAME_EXPECT: {
      if (valueBytes == 12 && equalIgnoringCase(value, CONTINUE, 12)) setHeadFlag(head, HEAD_EXPECTS_CONTINUE);
      return KEEP;
    }
    case NAME_COOKIE: {
      const crumbs = load<u32>(head, HEAD_CRUMBS) + 1;
      if (crumbs > <u32>HEAD_CRUMBS_MAX) return tooLarge(REASON_HEADER_TOO_LARGE);
      store<u32>(head, crumbs, HEAD_CRUMBS);
      return KEEP;
    }
    default:
      return KEEP;
  }
}

/** Connection-specific fields make a message malformed, `te: trailers` apart (RFC 9113 §8.2.2). */
function takeHop(head: u32, kind: u32, id: u32, value: u32, valueBytes: u32): i32 {
  // HTTP2-Settings belongs to the upgrade that RFC 9113 §3.1 removed: it means nothing and goes no further.
  if (id == NAME_HTTP2_SETTINGS) return DECODED_OK;
  if (id != NAME_TE || kind != HEAD_REQUEST) return DECODED_MALFORMED;
  if (valueBytes != 8 || !equalIgnoringCase(value, TRAILERS, 8)) return DECODED_MALFORMED;
  setHeadFlag(head, HEAD_HAS_TE_TRAILERS);
  return DECODED_OK;
}

function takeLength(head: u32, value: u32, valueBytes: u32): i32 {
  if (load<i64>(head, HEAD_CONTENT_LENGTH) >= 0) return DECODED_MALFORMED; // a second one
  if (valueBytes == 0 || valueBytes > LENGTH_DIGITS_MAX) return DECODED_MALFORMED;
  let length: i64 = 0;
  for (let at = value; at < value + valueBytes; at += 1) {
    const digit = u32(load<u8>(at)) - 48;
    if (digit > 9) return DECODED_MALFORMED;
    length = length * 10 + i64(digit);
  }
  if (length > LENGTH_MAX) return DECODED_MALFORMED;
  store<i64>(head, length, HEAD_CONTENT_LENGTH);
  return DECODED_OK;
}

/** What must be there, and what must not, once the whole block is known (RFC 9113 §8.3.1, §8.5; RFC 8441 §4). */
function finishRequest(head: u32): i32 {
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

/** A field name: token characters, none in upper case (RFC 9113 §8.2.1); unknown pseudo-headers fail too. */
function isName(ptr: u32, length: u32): bool {
  if (length == 0) return false;
  // To servers that read CGI's variables these two frame a message, as their twins with a dash do.
  if (length == 17 && equalBytes(ptr, TRANSFER_UNDERSCORE, 17)) return false;
  if (length == 14 && equalBytes(ptr, LENGTH_UNDERSCORE, 14)) return false;
  for (let at = ptr; at < ptr + length; at += 1) {
    const byte = u32(load<u8>(at));
    if (!isTokenByte(byte) || byte - 65 < 26) return false;
  }
  return true;
}

/** A field value: no control but HTAB, no white space at either end (RFC 9113 §8.2.1, RFC 9110 §5.5). */
function isValue(ptr: u32, length: u32): bool {
  const first = u32(load<u8>(ptr));
  const last = u32(load<u8>(ptr + length - 1));
  if (first == 32 || first == 9 || last == 32 || last == 9) return false;
  return valueEnd(ptr, ptr + length) == ptr + length;
}
