// The four forms of a request target (RFC 9112 §3.2), told apart by method and first byte.
//
//   origin      /path?query                 everything else
//   absolute    http://host:port/path       requests to a proxy: its authority replaces Host
//   authority   host:port                   CONNECT, and only CONNECT
//   asterisk    *                           OPTIONS, and only OPTIONS
//
// Bytes were checked by the caller (no space, control, `#`, `\`, nor anything outside ASCII).

import { REASON_BAD_REQUEST, REASON_NONE } from "../../abi/engine-codes.ts";
import { equalIgnoringCase } from "../../core/bytes.ts";
import { hostEndOf, isAuthority } from "../http/authority.ts";
import {
  HEAD_AUTHORITY,
  HEAD_AUTHORITY_BYTES,
  HEAD_IS_ABSOLUTE,
  HEAD_PATH,
  HEAD_PATH_BYTES,
  HEAD_SCHEME,
  METHOD_CONNECT,
  METHOD_OPTIONS,
  setHeadFlag,
  takeText,
} from "../http/head.ts";
import { hasEscapedNul } from "../http/syntax.ts";

const HTTP_SCHEME = <u32>memory.data<u8>([104, 116, 116, 112, 58, 47, 47]); // http://
const HTTPS_SCHEME = <u32>memory.data<u8>([104, 116, 116, 112, 115, 58, 47, 47]); // https://
const SLASH = <u32>memory.data<u8>([47]);
const ASTERISK = <u32>memory.data<u8>([42]);

/** Reads a target into `head`; REASON_NONE, or why the request is refused. */
export function parseTarget(head: u32, methodId: u32, ptr: u32, length: u32): u32 {
  const first = u32(load<u8>(ptr));
  if (methodId == METHOD_CONNECT) return parseAuthorityForm(head, ptr, length);
  if (first == 47) {
    if (hasEscapedNul(ptr, ptr + length)) return REASON_BAD_REQUEST;
    setPath(head, ptr, length);
    return REASON_NONE;
  }
  if (first == 42) {
    if (length != 1 || methodId != METHOD_OPTIONS) return REASON_BAD_REQUEST;
    setPath(head, ptr, 1);
    return REASON_NONE;
  }
  return parseAbsoluteForm(head, methodId, ptr, length);
}

function parseAuthorityForm(head: u32, ptr: u32, length: u32): u32 {
  // A port must be there (RFC 9110 §9.3.6): there is no scheme that would have a default.
  if (!isAuthority(ptr, length) || hostEndOf(ptr, ptr + length) == ptr + length) return REASON_BAD_REQUEST;
  store<u32>(head, ptr, HEAD_AUTHORITY);
  store<u32>(head, length, HEAD_AUTHORITY_BYTES);
  return REASON_NONE;
}

function parseAbsoluteForm(head: u32, methodId: u32, ptr: u32, length: u32): u32 {
  let schemeBytes: u32 = 0;
  if (length > 7 && equalIgnoringCase(ptr, HTTP_SCHEME, 7)) schemeBytes = 7;
  else if (length > 8 && equalIgnoringCase(ptr, HTTPS_SCHEME, 8)) {
    schemeBytes = 8;
    store<u8>(head, 1, HEAD_SCHEME);
  } else return REASON_BAD_REQUEST;
  const end = ptr + length;
  const authority = ptr + schemeBytes;
  let at = authority;
  while (at < end && load<u8>(at) != 47 && load<u8>(at) != 63) at += 1;
  if (!isAuthority(authority, at - authority) || hasEscapedNul(at, end)) return REASON_BAD_REQUEST;
  store<u32>(head, authority, HEAD_AUTHORITY);
  store<u32>(head, at - authority, HEAD_AUTHORITY_BYTES);
  setHeadFlag(head, HEAD_IS_ABSOLUTE);
  if (at == end) {
    // RFC 9112 §3.2.4: OPTIONS on an absolute URI without path and query means the server as a whole.
    setPath(head, methodId == METHOD_OPTIONS ? ASTERISK : SLASH, 1);
    return REASON_NONE;
  }
  if (load<u8>(at) == 47) {
    setPath(head, at, end - at);
    return REASON_NONE;
  }
  const path = takeText(head, end - at + 1);
  assert(path != 0); // a target is far smaller than a scratch head's text
  store<u8>(path, 47);
  memory.copy(path + 1, at, end - at);
  setPath(head, path, end - at + 1);
  return REASON_NONE;
}

function setPath(head: u32, ptr: u32, length: u32): void {
  store<u32>(head, ptr, HEAD_PATH);
  store<u32>(head, length, HEAD_PATH_BYTES);
}
