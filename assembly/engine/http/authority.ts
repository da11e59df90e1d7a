// host[:port] of Host, :authority and absolute-form targets: RFC 3986 §3.2 narrowed to what names a host in practice.
//
// No userinfo, no percent escapes, no sub-delims (a comma would be two hosts to some servers, RFC 9110 §7.2), no empty
// host. IPv6 in brackets, without a zone.

import { equalIgnoringCase } from "../../core/bytes.ts";
import { isDigitByte, isHexByte, isHostByte } from "./syntax.ts";

/** 65535 has five digits. */
const PORT_DIGITS_MAX: u32 = 5;

/** Whether [ptr, ptr + length) is a host with or without a port. */
export function isAuthority(ptr: u32, length: u32): bool {
  const end = ptr + length;
  const hostEnd = hostEndOf(ptr, end);
  if (hostEnd == ptr) return false;
  return hostEnd == end || isPort(hostEnd, end);
}

/** Where the host of a valid authority ends: at the colon before its port, or at `end`. */
export function hostEndOf(ptr: u32, end: u32): u32 {
  let at = ptr;
  if (at < end && load<u8>(at) == 91) {
    at += 1;
    while (at < end && (isHexByte(load<u8>(at)) || load<u8>(at) == 58 || load<u8>(at) == 46)) at += 1;
    return at < end && at > ptr + 2 && load<u8>(at) == 93 ? at + 1 : ptr;
  }
  while (at < end && isHostByte(load<u8>(at))) at += 1;
  return at;
}

/** Whether two valid authorities name the same: case apart, and apart from `defaultPort` (0: ports must be equal). */
export function isSameAuthority(left: u32, leftBytes: u32, right: u32, rightBytes: u32, defaultPort: u32): bool {
  const a = trimPort(left, leftBytes, defaultPort);
  const b = trimPort(right, rightBytes, defaultPort);
  return a == b && equalIgnoringCase(left, right, a);
}

/** The number behind a valid authority's colon; 0 when there is none. */
export function portOf(ptr: u32, length: u32): u32 {
  const end = ptr + length;
  let at = hostEndOf(ptr, end) + 1;
  let port: u32 = 0;
  for (; at < end; at += 1) port = port * 10 + (load<u8>(at) - 48);
  return port;
}

function trimPort(ptr: u32, length: u32, defaultPort: u32): u32 {
  if (defaultPort == 0 || portOf(ptr, length) != defaultPort) return length;
  return hostEndOf(ptr, ptr + length) - ptr;
}

function isPort(ptr: u32, end: u32): bool {
  if (load<u8>(ptr) != 58) return false;
  const digits = end - ptr - 1;
  if (digits == 0 || digits > PORT_DIGITS_MAX) return false;
  let port: u32 = 0;
  for (let at = ptr + 1; at < end; at += 1) {
    const byte = u32(load<u8>(at));
    if (!isDigitByte(byte)) return false;
    port = port * 10 + (byte - 48);
  }
  return port <= 65535;
}
