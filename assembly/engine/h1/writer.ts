// Heads out: a head of our tables as HTTP/1.1 text. Pure: from a head and a plan to bytes at an address.
//
// What belongs to this hop only (framing, Connection, Upgrade, TE) is written here from the plan, never taken from the
// list: a field of that kind that strayed into it is skipped. Names are written as they are kept, in lower case.

import { NAME_CONTENT_LENGTH, NAME_COOKIE, NAME_OTHER, NAME_TRAILER } from "../../abi/field-names.ts";
import { writeDecimal } from "../../core/bytes.ts";
import {
  FIELD_BYTES,
  FIELD_FLAGS,
  FIELD_NAME,
  FIELD_NAME_BYTES,
  FIELD_NAME_ID,
  FIELD_REMOVED,
  FIELD_VALUE,
  FIELD_VALUE_BYTES,
  fieldAt,
  fieldsEnd,
  HEAD_AUTHORITY,
  HEAD_AUTHORITY_BYTES,
  HEAD_METHOD,
  HEAD_METHOD_BYTES,
  HEAD_METHOD_ID,
  HEAD_PATH,
  HEAD_PATH_BYTES,
  HEAD_PROTOCOL,
  HEAD_PROTOCOL_BYTES,
  HEAD_REASON,
  HEAD_REASON_BYTES,
  HEAD_STATUS,
  METHOD_CONNECT,
} from "../http/head.ts";
import { valueEnd } from "../http/syntax.ts";
import { phraseLen, phrasePtr } from "./phrases.ts";
import {
  COLON_SPACE,
  COMMA_SPACE,
  COPY_SLACK_BYTES,
  CRLF,
  copyText,
  HTTP_1_1,
  SEMICOLON_SPACE,
  TEXT_CHUNKED,
  TEXT_CHUNKED_BYTES,
  TEXT_CLOSE,
  TEXT_CLOSE_BYTES,
  TEXT_CONNECTION,
  TEXT_CONNECTION_BYTES,
  TEXT_CONTENT_LENGTH,
  TEXT_CONTENT_LENGTH_BYTES,
  TEXT_COOKIE,
  TEXT_COOKIE_BYTES,
  TEXT_HOST,
  TEXT_HOST_BYTES,
  TEXT_KEEP_ALIVE,
  TEXT_KEEP_ALIVE_BYTES,
  TEXT_TE_TRAILERS,
  TEXT_TE_TRAILERS_BYTES,
  TEXT_UPGRADE,
  TEXT_UPGRADE_BYTES,
} from "./text.ts";

// What `writeHop` is told: bits, the length apart.
export const WRITE_CHUNKED: u32 = 1;
export const WRITE_LENGTH: u32 = 2;
export const WRITE_CLOSE: u32 = 4;
export const WRITE_KEEP_ALIVE: u32 = 8;
export const WRITE_UPGRADE: u32 = 16;
export const WRITE_TE: u32 = 32;

/** Everything of a head but method, target, authority, reason and fields, generously. */
const FIXED_BYTES: u32 = 256 + COPY_SLACK_BYTES;

/** How many bytes writing this head may touch at most. */
export function headBound(head: u32): u32 {
  let bytes = FIXED_BYTES + load<u32>(head, HEAD_METHOD_BYTES) + load<u32>(head, HEAD_PATH_BYTES);
  bytes += load<u32>(head, HEAD_PROTOCOL_BYTES) + load<u32>(head, HEAD_REASON_BYTES);
  bytes += 2 * load<u32>(head, HEAD_AUTHORITY_BYTES);
  const end = fieldsEnd(head);
  for (let field = fieldAt(head, 0); field < end; field += FIELD_BYTES) {
    bytes += u32(load<u16>(field, FIELD_NAME_BYTES)) + load<u16>(field, FIELD_VALUE_BYTES) + 4;
  }
  return bytes;
}

/** `method SP target SP HTTP/1.1`, then Host, which RFC 9110 §7.2 wants first. */
export function writeRequestLine(out: u32, head: u32): u32 {
  const authority = load<u32>(head, HEAD_AUTHORITY);
  const authorityBytes = load<u32>(head, HEAD_AUTHORITY_BYTES);
  let at = copyText(out, load<u32>(head, HEAD_METHOD), load<u32>(head, HEAD_METHOD_BYTES));
  store<u8>(at, 32);
  if (load<u32>(head, HEAD_METHOD_ID) == METHOD_CONNECT) at = copyText(at + 1, authority, authorityBytes);
  else at = copyText(at + 1, load<u32>(head, HEAD_PATH), load<u32>(head, HEAD_PATH_BYTES));
  store<u8>(at, 32);
  store<u64>(at, HTTP_1_1, 1);
  store<u16>(at, CRLF, 9);
  at = copyText(at + 11, TEXT_HOST, TEXT_HOST_BYTES);
  at = copyText(at, authority, authorityBytes);
  store<u16>(at, CRLF);
  return at + 2;
}

/** `HTTP/1.1 SP status SP reason`: the phrase that came with the head, or the registered one. */
export function writeStatusLine(out: u32, head: u32): u32 {
  const status = u32(load<u16>(head, HEAD_STATUS));
  store<u64>(out, HTTP_1_1);
  store<u8>(out, 32, 8);
  let at = out + 9 + writeDecimal(out + 9, status);
  store<u8>(at, 32);
  const given = load<u32>(head, HEAD_REASON_BYTES);
  if (given != 0) at = copyText(at + 1, load<u32>(head, HEAD_REASON), given);
  else at = copyText(at + 1, phrasePtr(status), phraseLen(status));
  store<u16>(at, CRLF);
  return at + 2;
}

/** The fields of the list. A request's cookie crumbs become one field (RFC 9113 §8.2.3). */
export function writeFields(out: u32, head: u32, joinsCookies: bool): u32 {
  let at = out;
  let cookies = joinsCookies;
  const end = fieldsEnd(head);
  for (let field = fieldAt(head, 0); field < end; field += FIELD_BYTES) {
    if ((load<u8>(field, FIELD_FLAGS) & FIELD_REMOVED) != 0) continue;
    const id = u32(load<u16>(field, FIELD_NAME_ID));
    if (id != NAME_OTHER && id <= <u32>NAME_CONTENT_LENGTH && id != NAME_TRAILER) continue;
    if (id == NAME_COOKIE && joinsCookies) {
      if (cookies) at = writeCookies(at, field, end);
      cookies = false;
      continue;
    }
    const value = load<u32>(field, FIELD_VALUE);
    const valueBytes = u32(load<u16>(field, FIELD_VALUE_BYTES));
    if (ASC_OPTIMIZE_LEVEL == 0) assert(valueEnd(value, value + valueBytes) == value + valueBytes); // else injection
    at = copyText(at, load<u32>(field, FIELD_NAME), load<u16>(field, FIELD_NAME_BYTES));
    store<u16>(at, COLON_SPACE);
    at = copyText(at + 2, value, valueBytes);
    store<u16>(at, CRLF);
    at += 2;
  }
  return at;
}

/** The fields of this hop, and the empty line. */
export function writeHop(out: u32, head: u32, plan: u32, length: u64): u32 {
  let at = out;
  if ((plan & WRITE_LENGTH) != 0) {
    at = copyText(at, TEXT_CONTENT_LENGTH, TEXT_CONTENT_LENGTH_BYTES);
    at += writeDecimal(at, length);
    store<u16>(at, CRLF);
    at += 2;
  } else if ((plan & WRITE_CHUNKED) != 0) at = copyText(at, TEXT_CHUNKED, TEXT_CHUNKED_BYTES);
  if ((plan & WRITE_UPGRADE) != 0) {
    at = copyText(at, TEXT_UPGRADE, TEXT_UPGRADE_BYTES);
    at = copyText(at, load<u32>(head, HEAD_PROTOCOL), load<u32>(head, HEAD_PROTOCOL_BYTES));
    store<u16>(at, CRLF);
    at += 2;
  }
  if ((plan & WRITE_TE) != 0) at = copyText(at, TEXT_TE_TRAILERS, TEXT_TE_TRAILERS_BYTES);
  if ((plan & (WRITE_CLOSE | WRITE_KEEP_ALIVE | WRITE_UPGRADE | WRITE_TE)) != 0) at = writeConnection(at, plan);
  store<u16>(at, CRLF);
  return at + 2;
}

function writeConnection(out: u32, plan: u32): u32 {
  let at = copyText(out, TEXT_CONNECTION, TEXT_CONNECTION_BYTES);
  const first = at;
  // Of "upgrade: " and "te: trailers" the option is the beginning.
  if ((plan & WRITE_UPGRADE) != 0) at = copyText(at, TEXT_UPGRADE, 7);
  if ((plan & WRITE_TE) != 0) at = copyText(separate(at, first), TEXT_TE_TRAILERS, 2);
  if ((plan & WRITE_CLOSE) != 0) at = copyText(separate(at, first), TEXT_CLOSE, TEXT_CLOSE_BYTES);
  else if ((plan & WRITE_KEEP_ALIVE) != 0) at = copyText(separate(at, first), TEXT_KEEP_ALIVE, TEXT_KEEP_ALIVE_BYTES);
  store<u16>(at, CRLF);
  return at + 2;
}

function separate(at: u32, first: u32): u32 {
  if (at == first) return at;
  store<u16>(at, COMMA_SPACE);
  return at + 2;
}

function writeCookies(out: u32, first: u32, end: u32): u32 {
  let at = copyText(out, TEXT_COOKIE, TEXT_COOKIE_BYTES);
  for (let field = first; field < end; field += FIELD_BYTES) {
    if (load<u16>(field, FIELD_NAME_ID) != NAME_COOKIE) continue;
    if ((load<u8>(field, FIELD_FLAGS) & FIELD_REMOVED) != 0) continue;
    if (field != first) {
      store<u16>(at, SEMICOLON_SPACE);
      at += 2;
    }
    at = copyText(at, load<u32>(field, FIELD_VALUE), load<u16>(field, FIELD_VALUE_BYTES));
  }
  store<u16>(at, CRLF);
  return at + 2;
}
