// What the known fields of one message mean together: where its body ends, whom it is for, whether there is another.
//
// `startFraming` empties the registers, `takeField` is told every field, `finishRequest` and `finishResponse` judge the
// whole. Whatever two readers could read differently is refused (RFC 9112 §6.3, §11.2; reliability.md §2.1): a length
// that is not one plain number, a length beside a coding, a coding other than `chunked`, a coding in HTTP/1.0.
// Hop-by-hop fields and those that Connection names never reach the list (RFC 9110 §7.6.1).

import {
  HEAD_REQUEST,
  HEAD_TRAILERS,
  REASON_BAD_REQUEST,
  REASON_NONE,
  REASON_NOT_IMPLEMENTED,
} from "../../abi/engine-codes.ts";
import {
  NAME_CONNECTION,
  NAME_CONTENT_LENGTH,
  NAME_CONTENT_TYPE,
  NAME_EXPECT,
  NAME_HOP_LAST,
  NAME_HOST,
  NAME_KEEP_ALIVE,
  NAME_OTHER,
  NAME_PSEUDO_LAST,
  NAME_TE,
  NAME_TRANSFER_ENCODING,
  NAME_UPGRADE,
} from "../../abi/field-names.ts";
import { CONTENT_LENGTH_DIGITS_MAX } from "../../abi/limits.ts";
import { equalBytes, equalIgnoringCase } from "../../core/bytes.ts";
import { hostEndOf, isAuthority, isSameAuthority } from "../http/authority.ts";
import {
  addField,
  HEAD_AUTHORITY,
  HEAD_AUTHORITY_BYTES,
  HEAD_CONTENT_LENGTH,
  HEAD_EXPECTS_CONTINUE,
  HEAD_HAS_BODY,
  HEAD_HAS_TE_TRAILERS,
  HEAD_IS_ABSOLUTE,
  HEAD_IS_CHUNKED,
  HEAD_IS_GRPC,
  HEAD_IS_UPGRADE,
  HEAD_KEEPS_ALIVE,
  HEAD_KIND,
  HEAD_METHOD_ID,
  HEAD_PROTOCOL,
  HEAD_PROTOCOL_BYTES,
  HEAD_SCHEME,
  HEAD_STATUS,
  HEAD_VERSION,
  hasHeadFlag,
  METHOD_CONNECT,
  METHOD_TRACE,
  setHeadFlag,
} from "../http/head.ts";
import { isBodyless, isForbiddenTrailer, isGrpcContentType } from "../http/message.ts";
import { isDigitByte, tokenEnd } from "../http/syntax.ts";
import {
  dropNamed,
  hasOption,
  OPTION_CLOSE,
  OPTION_KEEP_ALIVE,
  OPTION_UPGRADE,
  startOptions,
  takeConnection,
} from "./options.ts";

/** How the body of the message just judged ends. */
export const BODY_NONE: u32 = 0;
export const BODY_LENGTH: u32 = 1;
export const BODY_CHUNKED: u32 = 2;
export const BODY_UNTIL_CLOSE: u32 = 3;
export const BODY_TUNNEL: u32 = 4;

/** 2^53 - 1: what JavaScript on either side can still count. */
const CONTENT_LENGTH_MAX: u64 = 9007199254740991;

const CHUNKED = <u32>memory.data<u8>([99, 104, 117, 110, 107, 101, 100]); // chunked
const CONTINUE = <u32>memory.data<u8>([49, 48, 48, 45, 99, 111, 110, 116, 105, 110, 117, 101]); // 100-continue
const TRAILERS = <u32>memory.data<u8>([116, 114, 97, 105, 108, 101, 114, 115]); // trailers
const TIMEOUT = <u32>memory.data<u8>([116, 105, 109, 101, 111, 117, 116, 61]); // timeout=
const H2C = <u32>memory.data<u8>([104, 50, 99]); // h2c
// transfer_encoding and content_length: some servers read "_" as "-" (CGI does).
const TRANSFER_UNDERSCORE = <u32>(
  memory.data<u8>([116, 114, 97, 110, 115, 102, 101, 114, 95, 101, 110, 99, 111, 100, 105, 110, 103])
);
const LENGTH_UNDERSCORE = <u32>memory.data<u8>([99, 111, 110, 116, 101, 110, 116, 95, 108, 101, 110, 103, 116, 104]);

// Registers of the message being read.
let hostAt: u32 = 0; // 0 = none seen
let hostLength: u32 = 0;
let contentLength: i64 = -1;
let isChunked: bool = false;
let upgradeAt: u32 = 0;
let upgradeLength: u32 = 0;

/** Seconds of the `timeout` that a keep-alive field announced; 0 = none. */
export let keepAliveSeconds: u32 = 0;

/** BODY_* of the message judged last. */
export let bodyKind: u32 = 0;

/** Forgets the message before. */
export function startFraming(): void {
  hostAt = 0;
  contentLength = -1;
  isChunked = false;
  upgradeAt = 0;
  keepAliveSeconds = 0;
  startOptions();
}

/** Takes one field: into the list, into a register, or nowhere. REASON_NONE, or why the message is refused. */
export function takeField(head: u32, id: u32, name: u32, nameBytes: u32, value: u32, valueBytes: u32): u32 {
  const kind = u32(load<u8>(head, HEAD_KIND));
  if (kind == HEAD_TRAILERS) {
    if (!isForbiddenTrailer(id)) addField(head, id, name, nameBytes, value, valueBytes);
    return REASON_NONE;
  }
  if (id == NAME_OTHER) {
    if (nameBytes == 17 && equalBytes(name, TRANSFER_UNDERSCORE, 17)) return REASON_BAD_REQUEST;
    if (nameBytes == 14 && equalBytes(name, LENGTH_UNDERSCORE, 14)) return REASON_BAD_REQUEST;
  } else if (id <= <u32>NAME_HOP_LAST) {
    if (id > <u32>NAME_PSEUDO_LAST) return takeHopField(head, id, value, valueBytes);
  } else {
    switch (id) {
      case NAME_HOST:
        if (kind != HEAD_REQUEST) return REASON_NONE;
        if (hostAt != 0) return REASON_BAD_REQUEST;
        hostAt = value;
        hostLength = valueBytes;
        return REASON_NONE;
      case NAME_CONTENT_LENGTH:
        return takeContentLength(value, valueBytes);
      case NAME_CONTENT_TYPE:
        if (isGrpcContentType(value, valueBytes)) setHeadFlag(head, HEAD_IS_GRPC);
        break;
      case NAME_EXPECT:
        if (kind != HEAD_REQUEST) break;
        // RFC 9110 §10.1.1 would have 417; that some expectation cannot be met is the sender's error all the same.
        if (valueBytes != 12 || !equalIgnoringCase(value, CONTINUE, 12)) return REASON_BAD_REQUEST;
        if (load<u8>(head, HEAD_VERSION) == 10) return REASON_NONE; // "MUST ignore" in HTTP/1.0
        setHeadFlag(head, HEAD_EXPECTS_CONTINUE);
        break;
      default:
        break;
    }
  }
  addField(head, id, name, nameBytes, value, valueBytes);
  return REASON_NONE;
}

/** Judges a request; REASON_NONE, or why it is refused. Then `bodyKind` and the head's flags are set. */
export function finishRequest(head: u32): u32 {
  const isOld = load<u8>(head, HEAD_VERSION) == 10;
  const methodId = load<u32>(head, HEAD_METHOD_ID);
  const isConnect = methodId == METHOD_CONNECT;
  let reason = checkHost(head, isOld, isConnect);
  if (reason != REASON_NONE) return reason;
  reason = checkFraming(isOld);
  if (reason != REASON_NONE) return reason;
  const hasContent = isChunked || contentLength > 0;
  // A CONNECT request has no content whose end could be told (RFC 9110 §9.3.6); TRACE must not have any (§9.3.8).
  if (isConnect && (isChunked || contentLength >= 0)) return REASON_BAD_REQUEST;
  if (methodId == METHOD_TRACE && hasContent) return REASON_BAD_REQUEST;
  store<i64>(head, contentLength, HEAD_CONTENT_LENGTH);
  if (keepsAlive(isOld)) setHeadFlag(head, HEAD_KEEPS_ALIVE);
  if (isConnect) bodyKind = BODY_TUNNEL;
  else if (isChunked) bodyKind = BODY_CHUNKED;
  else bodyKind = hasContent ? BODY_LENGTH : BODY_NONE;
  if (isChunked) setHeadFlag(head, HEAD_IS_CHUNKED);
  if (hasContent) setHeadFlag(head, HEAD_HAS_BODY);
  // Upgrade may be ignored (RFC 9110 §7.8), and is where its bytes could not be told from a body's.
  if (bodyKind == BODY_NONE && !isOld && hasOption(OPTION_UPGRADE) && takeUpgrade(head)) bodyKind = BODY_TUNNEL;
  return dropNamed(head);
}

/** Judges a response to a HEAD (`isHead`) or CONNECT request, or to one that asked for an upgrade. */
export function finishResponse(head: u32, isHead: bool, isConnect: bool, isUpgrade: bool): u32 {
  const isOld = load<u8>(head, HEAD_VERSION) == 10;
  const status = u32(load<u16>(head, HEAD_STATUS));
  const reason = checkFraming(isOld);
  if (reason != REASON_NONE) return reason;
  // A 204 has no body (§6.3), whatever it announces against the rules (§6.1): should one come, nobody stands behind it.
  const isContrary = status == 204 && (isChunked || contentLength > 0);
  if (keepsAlive(isOld) && !isContrary) setHeadFlag(head, HEAD_KEEPS_ALIVE);
  if (status == 101) {
    if (!isUpgrade || isOld || !takeUpgrade(head)) return REASON_BAD_REQUEST;
    bodyKind = BODY_TUNNEL;
    return dropNamed(head);
  }
  const isTunnel = isConnect && status >= 200 && status < 300;
  if (isTunnel) bodyKind = BODY_TUNNEL;
  else if (isHead || isBodyless(status)) bodyKind = BODY_NONE;
  else if (isChunked) bodyKind = BODY_CHUNKED;
  else if (contentLength < 0) bodyKind = BODY_UNTIL_CLOSE;
  else bodyKind = contentLength > 0 ? BODY_LENGTH : BODY_NONE;
  // A length says something about a HEAD's or a 304's representation; on 1xx, 204 and in a tunnel it is void (§8.6).
  const isVoid = isTunnel || status < 200 || status == 204;
  store<i64>(head, isVoid ? -1 : contentLength, HEAD_CONTENT_LENGTH);
  if (isChunked && !isVoid) setHeadFlag(head, HEAD_IS_CHUNKED);
  if (bodyKind != BODY_NONE && !isTunnel) setHeadFlag(head, HEAD_HAS_BODY);
  return dropNamed(head);
}

/** Host, and what the target said already (RFC 9112 §3.2). */
function checkHost(head: u32, isOld: bool, isConnect: bool): u32 {
  if (hostAt == 0) return isOld ? REASON_NONE : REASON_BAD_REQUEST;
  if (isOld && hostLength == 0) return REASON_NONE;
  if (!isAuthority(hostAt, hostLength)) return REASON_BAD_REQUEST;
  const target = load<u32>(head, HEAD_AUTHORITY);
  const targetBytes = load<u32>(head, HEAD_AUTHORITY_BYTES);
  if (targetBytes == 0) {
    store<u32>(head, hostAt, HEAD_AUTHORITY);
    store<u32>(head, hostLength, HEAD_AUTHORITY_BYTES);
    return REASON_NONE;
  }
  if (isConnect) {
    // Clients name the host with or without the port that the target has.
    const hasPort = hostEndOf(hostAt, hostAt + hostLength) != hostAt + hostLength;
    const bytes = hasPort ? targetBytes : hostEndOf(target, target + targetBytes) - target;
    return bytes == hostLength && equalIgnoringCase(target, hostAt, bytes) ? REASON_NONE : REASON_BAD_REQUEST;
  }
  assert(hasHeadFlag(head, HEAD_IS_ABSOLUTE));
  const defaultPort: u32 = load<u8>(head, HEAD_SCHEME) == 1 ? 443 : 80;
  const same = isSameAuthority(target, targetBytes, hostAt, hostLength, defaultPort);
  return same ? REASON_NONE : REASON_BAD_REQUEST;
}

function checkFraming(isOld: bool): u32 {
  return isChunked && (isOld || contentLength >= 0) ? REASON_BAD_REQUEST : REASON_NONE;
}

/** RFC 9112 §9.3. */
function keepsAlive(isOld: bool): bool {
  if (hasOption(OPTION_CLOSE)) return false;
  return !isOld || hasOption(OPTION_KEEP_ALIVE);
}

/** `timeout=5, max=1000` (RFC 2068 §19.7.1.1, as Apache, nginx and Node write it): 5; 0 = not said. */
function announcedSeconds(value: u32, valueBytes: u32): u32 {
  if (valueBytes < 9 || !equalIgnoringCase(value, TIMEOUT, 8)) return 0;
  let seconds: u32 = 0;
  for (let at: u32 = 8; at < min<u32>(valueBytes, 13) && isDigitByte(load<u8>(value + at)); at += 1) {
    seconds = seconds * 10 + (u32(load<u8>(value + at)) - 48);
  }
  return min<u32>(seconds, 0xffff);
}

function takeHopField(head: u32, id: u32, value: u32, valueBytes: u32): u32 {
  switch (id) {
    case NAME_CONNECTION:
      return takeConnection(value, valueBytes);
    case NAME_TRANSFER_ENCODING:
      if (valueBytes == 7 && !isChunked && equalIgnoringCase(value, CHUNKED, 7)) {
        isChunked = true;
        return REASON_NONE;
      }
      // One other coding, plainly written: we do not implement it (RFC 9112 §6.1). Anything else is a trick.
      if (isChunked || valueBytes == 0 || tokenEnd(value, value + valueBytes) != value + valueBytes) {
        return REASON_BAD_REQUEST;
      }
      return REASON_NOT_IMPLEMENTED;
    case NAME_UPGRADE:
      if (upgradeAt == 0) {
        upgradeAt = value;
        upgradeLength = valueBytes;
      }
      return REASON_NONE;
    case NAME_KEEP_ALIVE:
      keepAliveSeconds = announcedSeconds(value, valueBytes);
      return REASON_NONE;
    case NAME_TE:
      if (takesTrailers(value, value + valueBytes)) setHeadFlag(head, HEAD_HAS_TE_TRAILERS);
      return REASON_NONE;
    default:
      return REASON_NONE;
  }
}

/** One number of digits alone, no leading zero (octal to some), at most 2^53 - 1; a second field is refused. */
function takeContentLength(value: u32, valueBytes: u32): u32 {
  if (contentLength >= 0 || valueBytes == 0 || valueBytes > <u32>CONTENT_LENGTH_DIGITS_MAX) return REASON_BAD_REQUEST;
  if (valueBytes > 1 && load<u8>(value) == 48) return REASON_BAD_REQUEST;
  let number: u64 = 0;
  for (let at = value; at < value + valueBytes; at += 1) {
    const byte = u32(load<u8>(at));
    if (!isDigitByte(byte)) return REASON_BAD_REQUEST;
    number = number * 10 + (byte - 48);
  }
  if (number > CONTENT_LENGTH_MAX) return REASON_BAD_REQUEST;
  contentLength = i64(number);
  return REASON_NONE;
}

/** Whether a TE value lists `trailers` (RFC 9110 §10.1.4); transfer codings in it are ours to ignore. */
function takesTrailers(ptr: u32, end: u32): bool {
  let at = ptr;
  while (at < end) {
    const stop = tokenEnd(at, end);
    if (stop - at == 8 && equalIgnoringCase(at, TRAILERS, 8)) return true;
    at = stop;
    while (at < end && load<u8>(at) != 44) at += 1;
    at += 1;
    while (at < end && (load<u8>(at) == 32 || load<u8>(at) == 9)) at += 1;
  }
  return false;
}

/** Takes the first protocol of Upgrade, name and version; none when it is h2c, which is not spoken this way. */
function takeUpgrade(head: u32): bool {
  if (upgradeAt == 0) return false;
  const end = upgradeAt + upgradeLength;
  let stop = tokenEnd(upgradeAt, end);
  const nameBytes = stop - upgradeAt;
  if (nameBytes == 0) return false;
  // RFC 9113 §3.1 has removed h2c's Upgrade: forwarded, it smuggles.
  if (nameBytes == 3 && equalIgnoringCase(upgradeAt, H2C, 3)) return false;
  if (stop < end && load<u8>(stop) == 47) stop = tokenEnd(stop + 1, end);
  if (stop != end && load<u8>(stop) != 44 && load<u8>(stop) != 32) return false;
  store<u32>(head, upgradeAt, HEAD_PROTOCOL);
  store<u32>(head, stop - upgradeAt, HEAD_PROTOCOL_BYTES);
  setHeadFlag(head, HEAD_IS_UPGRADE);
  return true;
}
