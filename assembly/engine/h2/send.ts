// Heads, data and trailers into the output (RFC 9113 §8.1, §6.1, §6.2).
//
// A field block is encoded where it will be written from: HPACK's table follows the order of the output, and what was
// encoded is sent, whatever becomes of the stream. Only a block that may not fit one chunk takes the way over
// ENCODE_BUFFER and is cut into CONTINUATION frames of the peer's size.
//
// Rule: what our content-length promised is kept. A body that ends short or runs over becomes a reset, never an end.

import {
  H2_INTERNAL_ERROR,
  HEAD_REQUEST,
  HEAD_RESPONSE,
  HEAD_TRAILERS,
  ROLE_UPSTREAM,
} from "../../abi/engine-codes.ts";
import { ENCODE_BUFFER, ENCODE_BUFFER_BYTES } from "../../abi/engine-memory.ts";
import {
  NAME_AUTHORITY,
  NAME_CONTENT_LENGTH,
  NAME_METHOD,
  NAME_PATH,
  NAME_PROTOCOL,
  NAME_SCHEME,
  NAME_TE,
} from "../../abi/field-names.ts";
import { writeDecimal } from "../../core/bytes.ts";
import { encodeField, encodeSizeUpdates, encodeStatus } from "../hpack/encoder.ts";
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
  HEAD_CONTENT_LENGTH,
  HEAD_HAS_TE_TRAILERS,
  HEAD_IS_EXTENDED_CONNECT,
  HEAD_KIND,
  HEAD_METHOD,
  HEAD_METHOD_BYTES,
  HEAD_METHOD_ID,
  HEAD_PATH,
  HEAD_PATH_BYTES,
  HEAD_PROTOCOL,
  HEAD_PROTOCOL_BYTES,
  HEAD_SCHEME,
  HEAD_STATUS,
  hasHeadFlag,
  METHOD_CONNECT,
  METHOD_HEAD,
} from "../http/head.ts";
import { isBodyless } from "../http/message.ts";
import { C_ROLE } from "../tables/connections.ts";
import { advanceOutput, appendOutput, CHUNK_PAYLOAD_BYTES, reserveOutput } from "../tables/output.ts";
import {
  assignStreamId,
  S_CONNECTION,
  S_FLAGS,
  S_ID,
  S_SEND_WINDOW,
  S_TO_SEND,
  STREAM_REQUEST_IS_CONNECT,
  STREAM_REQUEST_IS_HEAD,
  STREAM_RESET,
  STREAM_SENT_END,
  STREAM_SENT_HEAD,
  setStreamFlag,
} from "../tables/streams.ts";
import { writeFrameHeader } from "./frame.ts";
import { countUp } from "./guard.ts";
import {
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FRAME_BYTES_DEFAULT,
  FRAME_CONTINUATION,
  FRAME_DATA,
  FRAME_HEADER_BYTES,
  FRAME_HEADERS,
  H_DATA_SENT,
  H_ENCODER,
  H_LAST_ID,
  H_PEER_FRAME_BYTES,
  H_PEER_STREAM_WINDOW,
  H_SEND_WINDOW,
  H2_DEAD,
  hasH2,
} from "./state.ts";
import { resetH2 } from "./streams.ts";

/** What one field may take besides its text, and what may be overwritten behind a block (hpack/encoder.ts). */
const FIELD_OVERHEAD: u32 = 12;
const ENCODER_SLACK: u32 = 16;
/** Pseudo-headers, content-length and te besides their text, and two table size updates. */
const HEAD_OVERHEAD: u32 = 8 * FIELD_OVERHEAD + 64;
/** A frame header and so much data go into one reservation; more is copied over chunks. */
const SMALL_BYTES: u32 = 1024;
/** Longest decimal of a length. */
const DECIMAL_BYTES: u32 = 20;

const HTTPS: u32 = <u32>memory.data<u8>([104, 116, 116, 112, 115]);
const TRAILERS: u32 = <u32>memory.data<u8>([116, 114, 97, 105, 108, 101, 114, 115]);
const DECIMAL: u32 = <u32>memory.data(DECIMAL_BYTES);

/** The head of our message. A client's stream gets its id here (RFC 9113 §5.1.1: ids rise in the order of heads). */
export function sendHeadH2(stream: u32, head: u32, end: bool): void {
  const connection = load<u32>(stream, S_CONNECTION);
  let state = load<u32>(stream, S_FLAGS);
  assert((state & STREAM_SENT_HEAD) == 0);
  if ((state & STREAM_RESET) != 0 || hasH2(connection, H2_DEAD)) return;
  let toSend = load<i64>(head, HEAD_CONTENT_LENGTH);
  if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) {
    const last = load<u32>(connection, H_LAST_ID);
    const id: u32 = last == 0 ? 1 : last + 2;
    store<u32>(connection, id, H_LAST_ID);
    assignStreamId(stream, id);
    store<i32>(stream, load<i32>(connection, H_PEER_STREAM_WINDOW), S_SEND_WINDOW);
    const methodId = load<u32>(head, HEAD_METHOD_ID);
    if (methodId == METHOD_HEAD) state |= STREAM_REQUEST_IS_HEAD;
    if (methodId == METHOD_CONNECT || hasHeadFlag(head, HEAD_IS_EXTENDED_CONNECT)) state |= STREAM_REQUEST_IS_CONNECT;
    if ((state & STREAM_REQUEST_IS_CONNECT) != 0) toSend = -1;
  } else {
    const status = u32(load<u16>(head, HEAD_STATUS));
    if ((state & STREAM_REQUEST_IS_HEAD) != 0 || isBodyless(status)) toSend = 0;
    else if ((state & STREAM_REQUEST_IS_CONNECT) != 0 && status < 300) toSend = -1;
  }
  store<u32>(stream, state | STREAM_SENT_HEAD, S_FLAGS);
  store<i64>(stream, toSend, S_TO_SEND);
  const isShort = end && toSend > 0;
  sendBlock(connection, stream, head, end && !isShort);
  if (isShort) resetH2(stream, H2_INTERNAL_ERROR);
  else if (end) setStreamFlag(stream, STREAM_SENT_END);
}

/** A 1xx head before the final one. */
export function sendInformationalH2(stream: u32, head: u32): void {
  const connection = load<u32>(stream, S_CONNECTION);
  if (!isOpen(connection, stream) || (load<u32>(stream, S_FLAGS) & STREAM_SENT_HEAD) != 0) return;
  sendBlock(connection, stream, head, false);
}

/** The trailers, which end our side; without fields they are a plain end. */
export function sendTrailersH2(stream: u32, head: u32): void {
  const connection = load<u32>(stream, S_CONNECTION);
  if (!isOpen(connection, stream)) return;
  assert((load<u32>(stream, S_FLAGS) & STREAM_SENT_HEAD) != 0);
  if (load<i64>(stream, S_TO_SEND) > 0) {
    resetH2(stream, H2_INTERNAL_ERROR);
    return;
  }
  if (isEmpty(head)) {
    sendEndH2(stream);
    return;
  }
  sendBlock(connection, stream, head, true);
  setStreamFlag(stream, STREAM_SENT_END);
}

/** The end of our side, without data. */
export function sendEndH2(stream: u32): void {
  sendDataH2(stream, 0, 0, true);
}

/** `length` bytes of body, at most sendableH2. */
export function sendDataH2(stream: u32, ptr: u32, length: u32, end: bool): void {
  const connection = load<u32>(stream, S_CONNECTION);
  if (!isOpen(connection, stream)) return;
  assert((load<u32>(stream, S_FLAGS) & STREAM_SENT_HEAD) != 0);
  let toSend = load<i64>(stream, S_TO_SEND);
  if (toSend >= 0) {
    toSend -= i64(length);
    if (toSend < 0 || (end && toSend != 0)) {
      resetH2(stream, H2_INTERNAL_ERROR);
      return;
    }
    store<i64>(stream, toSend, S_TO_SEND);
  }
  if (length != 0) {
    const window = load<i32>(stream, S_SEND_WINDOW) - i32(length);
    const shared = load<i32>(connection, H_SEND_WINDOW) - i32(length);
    assert(window >= 0 && shared >= 0); // the caller asked sendableH2
    store<i32>(stream, window, S_SEND_WINDOW);
    store<i32>(connection, shared, H_SEND_WINDOW);
  } else if (!end) return;
  const id = load<u32>(stream, S_ID);
  let from = ptr;
  let left = length;
  while (left > FRAME_BYTES_DEFAULT) {
    sendFrame(connection, id, from, FRAME_BYTES_DEFAULT, 0);
    from += FRAME_BYTES_DEFAULT;
    left -= FRAME_BYTES_DEFAULT;
  }
  sendFrame(connection, id, from, left, end ? FLAG_END_STREAM : 0);
  if (end) setStreamFlag(stream, STREAM_SENT_END);
}

/** One DATA frame. 16 KiB is allowed by every peer (RFC 9113 §4.2), and long enough. */
function sendFrame(connection: u32, id: u32, ptr: u32, length: u32, flags: u32): void {
  countUp(connection, H_DATA_SENT);
  const isSmall = length <= SMALL_BYTES;
  const at = reserveOutput(connection, isSmall ? FRAME_HEADER_BYTES + length : FRAME_HEADER_BYTES);
  if (at == 0) return;
  writeFrameHeader(at, length, FRAME_DATA, flags, id);
  if (isSmall) {
    memory.copy(at + FRAME_HEADER_BYTES, ptr, length);
    advanceOutput(connection, FRAME_HEADER_BYTES + length);
    return;
  }
  advanceOutput(connection, FRAME_HEADER_BYTES);
  appendOutput(connection, ptr, length);
}

/** HEADERS, and CONTINUATION where it must be. */
function sendBlock(connection: u32, stream: u32, head: u32, end: bool): void {
  const id = load<u32>(stream, S_ID);
  const flags: u32 = end ? FLAG_END_STREAM | FLAG_END_HEADERS : FLAG_END_HEADERS;
  const bound = encodedBytesMax(head);
  if (FRAME_HEADER_BYTES + bound <= CHUNK_PAYLOAD_BYTES) {
    const at = reserveOutput(connection, FRAME_HEADER_BYTES + bound);
    if (at == 0) return;
    const block = at + FRAME_HEADER_BYTES;
    const length = encodeHead(connection, head, block) - block;
    writeFrameHeader(at, length, FRAME_HEADERS, flags, id);
    advanceOutput(connection, FRAME_HEADER_BYTES + length);
    return;
  }
  assert(bound <= <u32>ENCODE_BUFFER_BYTES);
  let from: u32 = ENCODE_BUFFER;
  let left = encodeHead(connection, head, from) - from;
  let type = FRAME_HEADERS;
  let rest = flags & ~FLAG_END_HEADERS;
  const part = load<u32>(connection, H_PEER_FRAME_BYTES);
  while (left > part) {
    sendFragment(connection, id, type, rest, from, part);
    from += part;
    left -= part;
    type = FRAME_CONTINUATION;
    rest = 0;
  }
  sendFragment(connection, id, type, rest | FLAG_END_HEADERS, from, left);
}

function sendFragment(connection: u32, id: u32, type: u32, flags: u32, ptr: u32, length: u32): void {
  const at = reserveOutput(connection, FRAME_HEADER_BYTES);
  if (at == 0) return;
  writeFrameHeader(at, length, type, flags, id);
  advanceOutput(connection, FRAME_HEADER_BYTES);
  appendOutput(connection, ptr, length);
}

/** No encoding of the head is longer. */
function encodedBytesMax(head: u32): u32 {
  let bytes = HEAD_OVERHEAD + ENCODER_SLACK + DECIMAL_BYTES;
  bytes += load<u32>(head, HEAD_METHOD_BYTES) + load<u32>(head, HEAD_PATH_BYTES);
  bytes += load<u32>(head, HEAD_AUTHORITY_BYTES) + load<u32>(head, HEAD_PROTOCOL_BYTES);
  const end = fieldsEnd(head);
  for (let field = fieldAt(head, 0); field < end; field += FIELD_BYTES) {
    bytes += u32(load<u16>(field, FIELD_NAME_BYTES)) + u32(load<u16>(field, FIELD_VALUE_BYTES)) + FIELD_OVERHEAD;
  }
  return bytes;
}

function encodeHead(connection: u32, head: u32, out: u32): u32 {
  const table = connection + H_ENCODER;
  let at = encodeSizeUpdates(table, out);
  const kind = load<u8>(head, HEAD_KIND);
  if (kind == HEAD_REQUEST) at = encodeRequest(table, head, at);
  else if (kind == HEAD_RESPONSE) at = encodeStatus(table, at, load<u16>(head, HEAD_STATUS));
  if (kind != HEAD_TRAILERS && load<i64>(head, HEAD_CONTENT_LENGTH) >= 0) {
    const digits = writeDecimal(DECIMAL, load<i64>(head, HEAD_CONTENT_LENGTH));
    at = encodeField(table, at, NAME_CONTENT_LENGTH, 0, 0, DECIMAL, digits, 0);
  }
  const end = fieldsEnd(head);
  for (let field = fieldAt(head, 0); field < end; field += FIELD_BYTES) {
    const flags = u32(load<u8>(field, FIELD_FLAGS));
    if ((flags & FIELD_REMOVED) != 0) continue;
    at = encodeField(
      table,
      at,
      load<u16>(field, FIELD_NAME_ID),
      load<u32>(field, FIELD_NAME),
      load<u16>(field, FIELD_NAME_BYTES),
      load<u32>(field, FIELD_VALUE),
      load<u16>(field, FIELD_VALUE_BYTES),
      flags,
    );
  }
  return at;
}

/** :method, :scheme, :authority, :path, :protocol (RFC 9113 §8.3.1, §8.5; RFC 8441 §4), and te. */
function encodeRequest(table: u32, head: u32, out: u32): u32 {
  const isExtended = hasHeadFlag(head, HEAD_IS_EXTENDED_CONNECT);
  const authorityBytes = load<u32>(head, HEAD_AUTHORITY_BYTES);
  let at = encodeField(
    table,
    out,
    NAME_METHOD,
    0,
    0,
    load<u32>(head, HEAD_METHOD),
    load<u32>(head, HEAD_METHOD_BYTES),
    0,
  );
  if (isExtended || load<u32>(head, HEAD_METHOD_ID) != METHOD_CONNECT) {
    at = encodeField(table, at, NAME_SCHEME, 0, 0, HTTPS, 4 + load<u8>(head, HEAD_SCHEME), 0);
    at = encodeField(table, at, NAME_PATH, 0, 0, load<u32>(head, HEAD_PATH), load<u32>(head, HEAD_PATH_BYTES), 0);
  }
  if (authorityBytes != 0) {
    at = encodeField(table, at, NAME_AUTHORITY, 0, 0, load<u32>(head, HEAD_AUTHORITY), authorityBytes, 0);
  }
  if (isExtended) {
    const protocolBytes = load<u32>(head, HEAD_PROTOCOL_BYTES);
    at = encodeField(table, at, NAME_PROTOCOL, 0, 0, load<u32>(head, HEAD_PROTOCOL), protocolBytes, 0);
  }
  if (hasHeadFlag(head, HEAD_HAS_TE_TRAILERS)) at = encodeField(table, at, NAME_TE, 0, 0, TRAILERS, 8, 0);
  return at;
}

function isEmpty(head: u32): bool {
  const end = fieldsEnd(head);
  for (let field = fieldAt(head, 0); field < end; field += FIELD_BYTES) {
    if ((load<u8>(field, FIELD_FLAGS) & FIELD_REMOVED) == 0) return false;
  }
  return true;
}

/** Whether our side may still say something. */
function isOpen(connection: u32, stream: u32): bool {
  if ((load<u32>(stream, S_FLAGS) & (STREAM_RESET | STREAM_SENT_END)) != 0) return false;
  return !hasH2(connection, H2_DEAD);
}
