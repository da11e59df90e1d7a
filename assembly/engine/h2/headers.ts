// HEADERS and CONTINUATION (RFC 9113 §6.2, §6.10): field blocks, and what a block means on its stream (§8.1).
//
// A block that ends in its own frame is decoded where it lies. Fragments are joined in a block of the pool first; how
// many frames and bytes that may be is looked at with each frame header, before END_HEADERS is ever seen (VU#421644).

import {
  EVENT_HEAD,
  EVENT_INFORMATIONAL,
  EVENT_NONE,
  EVENT_REFUSE,
  EVENT_TRAILERS,
  GLITCH_BAD_MESSAGE,
  GLITCH_COMPRESSION,
  GLITCH_CONTINUATION,
  GLITCH_FRAME_SIZE,
  GLITCH_HEAD_LIMIT,
  GLITCH_REFUSED_STREAMS,
  GLITCH_STREAM_STATE,
  H2_COMPRESSION_ERROR,
  H2_ENHANCE_YOUR_CALM,
  H2_FRAME_SIZE_ERROR,
  H2_INTERNAL_ERROR,
  H2_NO_ERROR,
  H2_PROTOCOL_ERROR,
  H2_REFUSED_STREAM,
  H2_STREAM_CLOSED,
  HEAD_REQUEST,
  HEAD_RESPONSE,
  HEAD_TRAILERS,
  REASON_BAD_REQUEST,
  ROLE_DOWNSTREAM,
} from "../../abi/engine-codes.ts";
import { SCRATCH_HEAD } from "../../abi/engine-memory.ts";
import { HPACK_NO_MEMORY } from "../../abi/hpack-codes.ts";
import { H2_BLOCK_BYTES_MAX, H2_CONTINUATIONS_MAX, H2_LAST_STREAM_ID, INFORMATIONAL_MAX } from "../../abi/limits.ts";
import { readU32 } from "../../core/bytes.ts";
import { allocate, capacityOf, release } from "../../core/pool.ts";
import { setHeadEvent, setStreamEvent } from "../http/event.ts";
import { glitch } from "../http/glitch.ts";
import {
  HEAD_CONTENT_LENGTH,
  HEAD_HAS_BODY,
  HEAD_METHOD_ID,
  HEAD_STATUS,
  METHOD_CONNECT,
  METHOD_HEAD,
  METHOD_TRACE,
  setHeadFlag,
} from "../http/head.ts";
import { isBodyless } from "../http/message.ts";
import { C_ROLE, C_STREAM_COUNT } from "../tables/connections.ts";
import {
  createStream,
  findStream,
  S_EXPECTED,
  S_FLAGS,
  S_RECEIVE_WINDOW,
  S_SEND_WINDOW,
  STREAM_RECEIVED_END,
  STREAM_RECEIVED_HEAD,
  STREAM_REQUEST_IS_CONNECT,
  STREAM_REQUEST_IS_HEAD,
  STREAM_RESET,
  STREAM_SENT_END,
  setStreamFlag,
} from "../tables/streams.ts";
import { decodedBytes, decodeHead, decodeNothing } from "./fields.ts";
import { sendReset } from "./frame.ts";
import { countStream, forgiveRefusal, hoardsHeads, noteBlock, spendLate, spendRefusal } from "./guard.ts";
import { noteElement } from "./patience.ts";
import { failConnection, goawayH2, stopConnection } from "./shutdown.ts";
import {
  CLOSED_BY_PEER,
  CLOSED_ENDED,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FLAG_PADDED,
  FLAG_PRIORITY,
  H_BLOCK,
  H_BLOCK_BYTES,
  H_BLOCK_FLAGS,
  H_BLOCK_FRAMES,
  H_BLOCK_ID,
  H_LAST_ID,
  H_OWN_LAST,
  H_PEER_STREAM_WINDOW,
  H_SKIPPED_FIRST,
  H_SKIPPED_LAST,
  H_STREAM_WINDOW,
  H_STREAMS_MAX,
  H2_FINAL_SENT,
  hasH2,
  S_HEAD_BYTES,
  S_INFORMATIONAL,
  STREAM_REFUSED,
  U31_MAX,
} from "./state.ts";
import { closedKind, failStream, failUnknown, isIdle } from "./streams.ts";
import {
  brokenBy,
  DECODED_BOMB,
  DECODED_BROKEN,
  DECODED_MALFORMED,
  DECODED_OK,
  DECODED_REFUSED,
  refusal,
} from "./verdict.ts";

/** In H_BLOCK_FLAGS and in the flags of a block: the stream was made to depend on itself (RFC 7540 §5.3.1). */
const BLOCK_SELF_DEPENDENT: u32 = 128;

/** HEADERS, whole. */
export function receiveHeaders(connection: u32, flags: u32, id: u32, ptr: u32, length: u32): i32 {
  if ((id & 1) == 0) return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_STREAM_STATE);
  let at = ptr;
  let end = ptr + length;
  let blockFlags = flags & (FLAG_END_STREAM | FLAG_END_HEADERS);
  if ((flags & (FLAG_PADDED | FLAG_PRIORITY)) != 0) {
    let padding: u32 = 0;
    if ((flags & FLAG_PADDED) != 0) {
      if (length == 0) return failConnection(connection, H2_FRAME_SIZE_ERROR, GLITCH_FRAME_SIZE);
      padding = u32(load<u8>(at));
      at += 1;
    }
    if ((flags & FLAG_PRIORITY) != 0) {
      if (end - at < 5) return failConnection(connection, H2_FRAME_SIZE_ERROR, GLITCH_FRAME_SIZE);
      if ((readU32(at) & U31_MAX) == id) blockFlags |= BLOCK_SELF_DEPENDENT;
      at += 5;
    }
    if (padding > end - at) return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_FRAME_SIZE);
    end -= padding;
  }
  if ((flags & FLAG_END_HEADERS) != 0) return receiveBlock(connection, id, blockFlags, at, end - at);
  noteElement(connection);
  store<u32>(connection, id, H_BLOCK_ID);
  store<u8>(connection, u8(blockFlags), H_BLOCK_FLAGS);
  store<u8>(connection, 0, H_BLOCK_FRAMES);
  store<u32>(connection, 0, H_BLOCK_BYTES);
  return keepFragment(connection, at, end - at);
}

/** A CONTINUATION frame's header was seen: the budgets, before its payload is awaited. */
export function checkContinuation(connection: u32, length: u32): i32 {
  const frames = u32(load<u8>(connection, H_BLOCK_FRAMES)) + 1;
  store<u8>(connection, u8(frames), H_BLOCK_FRAMES);
  if (frames > <u32>H2_CONTINUATIONS_MAX || load<u32>(connection, H_BLOCK_BYTES) + length > <u32>H2_BLOCK_BYTES_MAX) {
    return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_CONTINUATION);
  }
  return EVENT_NONE;
}

/** CONTINUATION, whole, of the expected stream. */
export function receiveContinuation(connection: u32, flags: u32, id: u32, ptr: u32, length: u32): i32 {
  const event = keepFragment(connection, ptr, length);
  if (event != EVENT_NONE || (flags & FLAG_END_HEADERS) == 0) return event;
  store<u32>(connection, 0, H_BLOCK_ID);
  const blockFlags = u32(load<u8>(connection, H_BLOCK_FLAGS));
  return receiveBlock(connection, id, blockFlags, load<u32>(connection, H_BLOCK), load<u32>(connection, H_BLOCK_BYTES));
}

/** Gives back a joined block that was decoded. */
export function releaseBlock(connection: u32): void {
  const block = load<u32>(connection, H_BLOCK);
  if (block == 0) return;
  release(block);
  store<u32>(connection, 0, H_BLOCK);
}

function keepFragment(connection: u32, ptr: u32, length: u32): i32 {
  let block = load<u32>(connection, H_BLOCK);
  const held = load<u32>(connection, H_BLOCK_BYTES);
  if (block == 0 || held + length > capacityOf(block)) {
    const larger = allocate(held + length);
    if (larger == 0) return stopConnection(connection, H2_INTERNAL_ERROR);
    if (block != 0) {
      memory.copy(larger, block, held);
      release(block);
    }
    block = larger;
    store<u32>(connection, block, H_BLOCK);
  }
  memory.copy(block + held, ptr, length);
  store<u32>(connection, held + length, H_BLOCK_BYTES);
  return EVENT_NONE;
}

function receiveBlock(connection: u32, id: u32, flags: u32, ptr: u32, length: u32): i32 {
  if (load<u8>(connection, C_ROLE) == ROLE_DOWNSTREAM && id > load<u32>(connection, H_LAST_ID)) {
    return receiveRequest(connection, id, flags, ptr, length);
  }
  if (isIdle(connection, id)) return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_STREAM_STATE);
  const stream = findStream(connection, id);
  if (stream == 0) return receiveLateBlock(connection, id, ptr, length);
  const state = load<u32>(stream, S_FLAGS);
  if ((state & (STREAM_RESET | STREAM_REFUSED | STREAM_RECEIVED_END)) != 0) {
    return receiveUnwantedBlock(connection, stream, state, flags, ptr, length);
  }
  if ((flags & BLOCK_SELF_DEPENDENT) != 0) {
    return rejectBlock(connection, stream, ptr, length, H2_PROTOCOL_ERROR, GLITCH_BAD_MESSAGE);
  }
  if ((state & STREAM_RECEIVED_HEAD) != 0) return receiveTrailers(connection, stream, flags, ptr, length);
  return receiveResponse(connection, stream, state, flags, ptr, length);
}

/** A new request (server). */
function receiveRequest(connection: u32, id: u32, flags: u32, ptr: u32, length: u32): i32 {
  const last = load<u32>(connection, H_LAST_ID);
  const next: u32 = last == 0 ? 1 : last + 2;
  if (id != next) {
    store<u32>(connection, next, H_SKIPPED_FIRST);
    store<u32>(connection, id - 2, H_SKIPPED_LAST);
  }
  store<u32>(connection, id, H_LAST_ID);
  countStream(connection);
  noteBlock(connection, length);
  if (hasH2(connection, H2_FINAL_SENT) && id > load<u32>(connection, H_OWN_LAST)) {
    // The client has read, or will read, that this one was not processed (RFC 9113 §6.8).
    return ignoreBlock(connection, ptr, length);
  }
  if (load<u32>(connection, C_STREAM_COUNT) >= load<u32>(connection, H_STREAMS_MAX) || hoardsHeads(connection)) {
    return refuseRequest(connection, id, ptr, length);
  }
  const verdict = decodeHead(connection, HEAD_REQUEST, ptr, length, 0);
  if (verdict >= DECODED_BROKEN) return failBlock(connection, verdict);
  const isEnd = (flags & FLAG_END_STREAM) != 0;
  const expected = load<i64>(SCRATCH_HEAD, HEAD_CONTENT_LENGTH);
  const methodId = load<u32>(SCRATCH_HEAD, HEAD_METHOD_ID);
  // A length without data, and TRACE with some (RFC 9110 §9.3.8).
  const isContrary = isEnd ? expected > 0 : methodId == METHOD_TRACE;
  if (verdict == DECODED_MALFORMED || isContrary || (flags & BLOCK_SELF_DEPENDENT) != 0) {
    return failUnknown(connection, id, H2_PROTOCOL_ERROR, GLITCH_BAD_MESSAGE);
  }
  const stream = createStream(connection, id);
  if (stream == 0) {
    sendReset(connection, id, H2_REFUSED_STREAM);
    return EVENT_NONE;
  }
  forgiveRefusal(connection);
  store<i32>(stream, load<i32>(connection, H_PEER_STREAM_WINDOW), S_SEND_WINDOW);
  store<i32>(stream, load<i32>(connection, H_STREAM_WINDOW), S_RECEIVE_WINDOW);
  let state = STREAM_RECEIVED_HEAD;
  if (methodId == METHOD_HEAD) state |= STREAM_REQUEST_IS_HEAD;
  if (methodId == METHOD_CONNECT) state |= STREAM_REQUEST_IS_CONNECT;
  else store<i64>(stream, expected, S_EXPECTED);
  if (isEnd) state |= STREAM_RECEIVED_END;
  else setHeadFlag(SCRATCH_HEAD, HEAD_HAS_BODY);
  setHeadEvent(stream, SCRATCH_HEAD, isEnd);
  if (id >= <u32>H2_LAST_STREAM_ID) goawayH2(connection, H2_NO_ERROR, true);
  if (verdict == DECODED_REFUSED) {
    glitch(connection, refusal == REASON_BAD_REQUEST ? GLITCH_BAD_MESSAGE : GLITCH_HEAD_LIMIT);
    store<u32>(stream, state | STREAM_REFUSED, S_FLAGS);
    setStreamEvent(stream, refusal, 0);
    return EVENT_REFUSE;
  }
  store<u32>(stream, state, S_FLAGS);
  return EVENT_HEAD;
}

/** A request above the limit that we advertised, or without room for its head: not processed (RFC 9113 §5.1.2). */
function refuseRequest(connection: u32, id: u32, ptr: u32, length: u32): i32 {
  glitch(connection, GLITCH_REFUSED_STREAMS);
  const event = ignoreBlock(connection, ptr, length);
  if (event != EVENT_NONE) return event;
  sendReset(connection, id, H2_REFUSED_STREAM);
  if (spendRefusal(connection)) return EVENT_NONE;
  return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_REFUSED_STREAMS);
}

/** A response head, informational or final (client). */
function receiveResponse(connection: u32, stream: u32, state: u32, flags: u32, ptr: u32, length: u32): i32 {
  const verdict = decodeHead(connection, HEAD_RESPONSE, ptr, length, load<u32>(stream, S_HEAD_BYTES));
  if (verdict != DECODED_OK) return failHead(connection, stream, verdict);
  const isEnd = (flags & FLAG_END_STREAM) != 0;
  const status = u32(load<u16>(SCRATCH_HEAD, HEAD_STATUS));
  if (status < 200) {
    const count = u32(load<u8>(stream, S_INFORMATIONAL)) + 1;
    store<u8>(stream, u8(count), S_INFORMATIONAL);
    store<u32>(stream, decodedBytes, S_HEAD_BYTES);
    // 1xx never ends a stream (RFC 9113 §8.1); 101 has no meaning here (§8.6).
    if (isEnd || status == 101 || count > <u32>INFORMATIONAL_MAX) {
      return failStream(connection, stream, H2_PROTOCOL_ERROR, GLITCH_BAD_MESSAGE);
    }
    store<i64>(SCRATCH_HEAD, -1, HEAD_CONTENT_LENGTH);
    setHeadEvent(stream, SCRATCH_HEAD, false);
    return EVENT_INFORMATIONAL;
  }
  const isTunnel = (state & STREAM_REQUEST_IS_CONNECT) != 0 && status < 300;
  // A length says something about a HEAD's or a 304's representation; on 204 and in a tunnel it is void (RFC 9110
  // §8.6).
  if (isTunnel || status == 204) store<i64>(SCRATCH_HEAD, -1, HEAD_CONTENT_LENGTH);
  let expected = load<i64>(SCRATCH_HEAD, HEAD_CONTENT_LENGTH);
  if (!isTunnel && ((state & STREAM_REQUEST_IS_HEAD) != 0 || isBodyless(status))) expected = 0;
  if (isEnd && expected > 0) return failStream(connection, stream, H2_PROTOCOL_ERROR, GLITCH_BAD_MESSAGE);
  store<i64>(stream, expected, S_EXPECTED);
  if (!isEnd) setHeadFlag(SCRATCH_HEAD, HEAD_HAS_BODY);
  setStreamFlag(stream, isEnd ? STREAM_RECEIVED_HEAD | STREAM_RECEIVED_END : STREAM_RECEIVED_HEAD);
  setHeadEvent(stream, SCRATCH_HEAD, isEnd);
  return EVENT_HEAD;
}

/** A second block is trailers and must be the end (RFC 9113 §8.1). */
function receiveTrailers(connection: u32, stream: u32, flags: u32, ptr: u32, length: u32): i32 {
  const verdict = decodeHead(connection, HEAD_TRAILERS, ptr, length, 0);
  if (verdict != DECODED_OK) return failHead(connection, stream, verdict);
  if ((flags & FLAG_END_STREAM) == 0 || load<i64>(stream, S_EXPECTED) > 0) {
    return failStream(connection, stream, H2_PROTOCOL_ERROR, GLITCH_BAD_MESSAGE);
  }
  setStreamFlag(stream, STREAM_RECEIVED_END);
  setHeadEvent(stream, SCRATCH_HEAD, true);
  return EVENT_TRAILERS;
}

/** A block on a stream that hears nothing more: ended, reset, or refused by an answer of ours. */
function receiveUnwantedBlock(connection: u32, stream: u32, state: u32, flags: u32, ptr: u32, length: u32): i32 {
  const both = STREAM_RECEIVED_END | STREAM_SENT_END;
  if ((state & STREAM_RESET) != 0) return ignoreBlock(connection, ptr, length);
  if ((state & STREAM_RECEIVED_END) == 0) {
    if ((flags & FLAG_END_STREAM) != 0) setStreamFlag(stream, STREAM_RECEIVED_END);
    return ignoreBlock(connection, ptr, length);
  }
  if ((state & both) == both) return failConnection(connection, H2_STREAM_CLOSED, GLITCH_STREAM_STATE);
  return rejectBlock(connection, stream, ptr, length, H2_STREAM_CLOSED, GLITCH_STREAM_STATE);
}

/** A block on a stream without a record (RFC 9113 §5.1, "closed"; §5.1.1 for ids that were stepped over). */
function receiveLateBlock(connection: u32, id: u32, ptr: u32, length: u32): i32 {
  const kind = closedKind(connection, id);
  if (kind == CLOSED_ENDED) return failConnection(connection, H2_STREAM_CLOSED, GLITCH_STREAM_STATE);
  if (id >= load<u32>(connection, H_SKIPPED_FIRST) && id <= load<u32>(connection, H_SKIPPED_LAST)) {
    return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_STREAM_STATE);
  }
  const event = ignoreBlock(connection, ptr, length);
  if (event != EVENT_NONE) return event;
  if (kind == CLOSED_BY_PEER) return failUnknown(connection, id, H2_STREAM_CLOSED, GLITCH_STREAM_STATE);
  // Trailers may cross our reset; a budget of them.
  if (spendLate(connection, length)) return EVENT_NONE;
  return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_STREAM_STATE);
}

function ignoreBlock(connection: u32, ptr: u32, length: u32): i32 {
  const verdict = decodeNothing(connection, ptr, length);
  return verdict == DECODED_OK ? EVENT_NONE : failBlock(connection, verdict);
}

/** A stream error, after HPACK was kept in step. */
function rejectBlock(connection: u32, stream: u32, ptr: u32, length: u32, code: u32, kind: u32): i32 {
  const event = ignoreBlock(connection, ptr, length);
  return event == EVENT_NONE ? failStream(connection, stream, code, kind) : event;
}

/** What a head that is not sound costs on a stream that the proxy knows. */
function failHead(connection: u32, stream: u32, verdict: i32): i32 {
  if (verdict >= DECODED_BROKEN) return failBlock(connection, verdict);
  if (verdict == DECODED_MALFORMED) return failStream(connection, stream, H2_PROTOCOL_ERROR, GLITCH_BAD_MESSAGE);
  return failStream(connection, stream, H2_ENHANCE_YOUR_CALM, GLITCH_HEAD_LIMIT);
}

function failBlock(connection: u32, verdict: i32): i32 {
  if (verdict == DECODED_BOMB) return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_HEAD_LIMIT);
  if (brokenBy == HPACK_NO_MEMORY) return stopConnection(connection, H2_INTERNAL_ERROR);
  return failConnection(connection, H2_COMPRESSION_ERROR, GLITCH_COMPRESSION);
}
