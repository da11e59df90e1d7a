// Bytes in, events out: the receiving half of the HTTP/1.1 codec. The states are drawn in state.ts.
//
// A head that lies wholly in the input is read in place, otherwise it is gathered first; both give the same events.
// Body bytes are handed on as they arrive and point into the input.

import {
  EVENT_BLOCKED,
  EVENT_DATA,
  EVENT_END,
  EVENT_FATAL,
  EVENT_HEAD,
  EVENT_INFORMATIONAL,
  EVENT_NONE,
  EVENT_RESET,
  H2_CANCEL,
  HEAD_REQUEST,
  HEAD_RESPONSE,
  REASON_BAD_REQUEST,
  REASON_HEADER_TOO_LARGE,
  REASON_NONE,
  REASON_UPSTREAM_PROTOCOL,
  RESET_BY_PEER,
  ROLE_UPSTREAM,
} from "../../abi/engine-codes.ts";
import { SCRATCH_HEAD } from "../../abi/engine-memory.ts";
import { HEAD_BYTES_MAX, INFORMATIONAL_MAX, LEADING_CRLF_MAX, TARGET_BYTES_MAX } from "../../abi/limits.ts";
import { inputEnd, inputPtr, setDataEvent, setHeadEvent, setInputPtr, setStreamEvent } from "../http/event.ts";
import {
  HEAD_CONTENT_LENGTH,
  HEAD_EXPECTS_CONTINUE,
  HEAD_HAS_TE_TRAILERS,
  HEAD_KEEPS_ALIVE,
  HEAD_METHOD_ID,
  HEAD_STATUS,
  HEAD_VERSION,
  hasHeadFlag,
  METHOD_CONNECT,
  METHOD_HEAD,
  startHead,
} from "../http/head.ts";
import { C_PARTIAL, C_PARTIAL_BYTES, C_ROLE } from "../tables/connections.ts";
import {
  createStream,
  hasStreamFlag,
  S_BODY_BYTES,
  S_EXPECTED,
  STREAM_RECEIVED_END,
  STREAM_RECEIVED_HEAD,
  STREAM_REQUEST_IS_CONNECT,
  STREAM_REQUEST_IS_HEAD,
  STREAM_RESET,
  STREAM_SENT_END,
  STREAM_UPGRADE,
  setStreamFlag,
} from "../tables/streams.ts";
import { parseTrailers, receiveChunk, receiveTrailers } from "./chunked.ts";
import { fail, failExhausted } from "./failure.ts";
import { fieldBytes, parseFields } from "./fields.ts";
import {
  PARSE_BAD,
  PARSE_DONE,
  PARSE_MORE,
  parseEnd,
  parseReason,
  parseRequestLine,
  parseStatusLine,
} from "./first-line.ts";
import {
  BODY_CHUNKED,
  BODY_LENGTH,
  BODY_NONE,
  BODY_TUNNEL,
  BODY_UNTIL_CLOSE,
  bodyKind,
  finishRequest,
  finishResponse,
  keepAliveSeconds,
  startFraming,
} from "./framing.ts";
import { finishGather, GATHER_EXHAUSTED, GATHER_FULL, GATHER_MORE, gather } from "./gather.ts";
import { becomeTunnelH1, finishReceiving } from "./lifecycle.ts";
import {
  clearH1,
  dropPartial,
  H_EXTENSION_BYTES,
  H_FIELD_BYTES,
  H_INFORMATIONAL,
  H_KEEP_ALIVE,
  H_LEADING,
  H_REMAINING,
  H_STATE,
  H_STREAM,
  H_VERSION,
  H1_CLOSE,
  H1_EXPECTS,
  H1_LINE_SEEN,
  H1_PARTIAL_SPENT,
  H1_PEER_ENDED,
  H1_TAKES_TRAILERS,
  hasH1,
  STATE_CHUNK_START,
  STATE_DISCARD,
  STATE_DONE,
  STATE_HEAD,
  STATE_LENGTH,
  STATE_START,
  STATE_START_LF,
  STATE_TRAILERS,
  STATE_TUNNEL,
  STATE_UNTIL_CLOSE,
  setH1,
  setState,
  startPartial,
} from "./state.ts";

/** A head as it is written: its fields' limit counts 32 bytes each where the wire has four, so this is generous. */
const HEAD_RAW_BYTES_MAX: u32 = HEAD_BYTES_MAX + TARGET_BYTES_MAX;

/** Takes input from [inputPtr, inputEnd) up to the next event. */
export function receiveH1(connection: u32): i32 {
  if (hasH1(connection, H1_PARTIAL_SPENT)) dropPartial(connection);
  switch (u32(load<u8>(connection, H_STATE))) {
    case STATE_START:
    case STATE_START_LF:
      return receiveStart(connection);
    case STATE_HEAD:
      return receiveHead(connection);
    case STATE_LENGTH:
      return receiveLength(connection);
    case STATE_UNTIL_CLOSE:
    case STATE_TUNNEL:
      return receiveRaw(connection);
    case STATE_DONE:
      return receiveDone(connection);
    case STATE_DISCARD:
      setInputPtr(inputEnd);
      return EVENT_NONE;
    case STATE_TRAILERS:
      return receiveTrailers(connection);
    default:
      return receiveChunk(connection);
  }
}

/** The peer's FIN, after all input before it was taken: what that means for the message under way. */
export function endH1(connection: u32): i32 {
  const stream = load<u32>(connection, H_STREAM);
  const state = u32(load<u8>(connection, H_STATE));
  setH1(connection, H1_CLOSE | H1_PEER_ENDED);
  if (state == STATE_DISCARD) return EVENT_NONE;
  if (isPartialBad(connection, state)) return fail(connection, parseReason);
  if (stream == 0) {
    if (state == STATE_START) return EVENT_NONE;
    // A request cut off in its head: nobody to answer.
    setState(connection, STATE_DISCARD);
    setStreamEvent(0, REASON_NONE, 0);
    return EVENT_FATAL;
  }
  if (state == STATE_DONE) return EVENT_NONE;
  setState(connection, STATE_DISCARD);
  if (state == STATE_UNTIL_CLOSE || state == STATE_TUNNEL) {
    setStreamFlag(stream, STREAM_RECEIVED_END);
    setStreamEvent(stream, 0, 0);
    return EVENT_END;
  }
  // Incomplete (RFC 9112 §8): never a clean end.
  setStreamFlag(stream, STREAM_RESET);
  setStreamEvent(stream, H2_CANCEL, RESET_BY_PEER);
  return EVENT_RESET;
}

/** Whether what was kept of a head or of trailers is wrong already: a refusal does not depend on how bytes were cut. */
function isPartialBad(connection: u32, state: u32): bool {
  const block = load<u32>(connection, C_PARTIAL);
  if (block == 0 || hasH1(connection, H1_PARTIAL_SPENT)) return false;
  const end = block + load<u32>(connection, C_PARTIAL_BYTES);
  if (state == STATE_HEAD) return parseHead(connection, block, end) == PARSE_BAD;
  return state == STATE_TRAILERS && parseTrailers(connection, block, end) == PARSE_BAD;
}

function receiveStart(connection: u32): i32 {
  if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) {
    if (inputPtr == inputEnd) return EVENT_NONE;
    // Bytes that nobody asked for: whatever they answer, it must not answer the next request.
    if (load<u32>(connection, H_STREAM) == 0) return fail(connection, REASON_UPSTREAM_PROTOCOL);
  } else if (!skipEmptyLines(connection)) {
    startHead(SCRATCH_HEAD, HEAD_REQUEST); // nothing of a head was read
    return fail(connection, REASON_BAD_REQUEST);
  }
  if (inputPtr == inputEnd) return EVENT_NONE;
  setState(connection, STATE_HEAD);
  clearH1(connection, H1_LINE_SEEN);
  return receiveHead(connection);
}

/** RFC 9112 §2.2: empty lines before a request line, a few. False when it is something else. */
function skipEmptyLines(connection: u32): bool {
  let state = u32(load<u8>(connection, H_STATE));
  while (inputPtr < inputEnd) {
    const byte = u32(load<u8>(inputPtr));
    if (state == STATE_START_LF) {
      const seen = u32(load<u8>(connection, H_LEADING)) + 1;
      if (byte != 10 || seen > <u32>LEADING_CRLF_MAX) return false;
      store<u8>(connection, u8(seen), H_LEADING);
      state = STATE_START;
    } else if (byte == 13) state = STATE_START_LF;
    else break;
    setInputPtr(inputPtr + 1);
  }
  setState(connection, state);
  return true;
}

function receiveHead(connection: u32): i32 {
  if (load<u32>(connection, C_PARTIAL) == 0) {
    const end = min(inputEnd, inputPtr + HEAD_RAW_BYTES_MAX);
    const result = parseHead(connection, inputPtr, end);
    if (result != PARSE_MORE) {
      setInputPtr(parseEnd);
      return finishHead(connection, result);
    }
    if (!startPartial(connection)) return failExhausted(connection);
  }
  let gathered = gather(connection, HEAD_RAW_BYTES_MAX);
  while (gathered != GATHER_MORE) {
    if (gathered == GATHER_EXHAUSTED) return failExhausted(connection);
    const block = load<u32>(connection, C_PARTIAL);
    const result = parseHead(connection, block, block + load<u32>(connection, C_PARTIAL_BYTES));
    if (result != PARSE_MORE) {
      finishGather(connection, result == PARSE_DONE ? parseEnd : block + load<u32>(connection, C_PARTIAL_BYTES));
      return finishHead(connection, result);
    }
    if (gathered == GATHER_FULL) return fail(connection, REASON_HEADER_TOO_LARGE);
    gathered = gather(connection, HEAD_RAW_BYTES_MAX);
  }
  return EVENT_NONE;
}

/** Reads a whole head; PARSE_MORE when it is incomplete and nothing in it is wrong so far. */
function parseHead(connection: u32, ptr: u32, end: u32): i32 {
  const isResponse = load<u8>(connection, C_ROLE) == ROLE_UPSTREAM;
  startHead(SCRATCH_HEAD, isResponse ? HEAD_RESPONSE : HEAD_REQUEST);
  startFraming();
  const line = isResponse ? parseStatusLine(SCRATCH_HEAD, ptr, end) : parseRequestLine(SCRATCH_HEAD, ptr, end);
  if (line != PARSE_DONE) return line;
  return parseFields(SCRATCH_HEAD, parseEnd, end, load<u32>(connection, H_FIELD_BYTES));
}

function finishHead(connection: u32, result: i32): i32 {
  if (result == PARSE_BAD) return fail(connection, parseReason);
  store<u32>(connection, fieldBytes, H_FIELD_BYTES);
  store<u8>(connection, load<u8>(SCRATCH_HEAD, HEAD_VERSION), H_VERSION);
  if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) return finishResponseHead(connection);
  return finishRequestHead(connection);
}

function finishRequestHead(connection: u32): i32 {
  const reason = finishRequest(SCRATCH_HEAD);
  if (reason != REASON_NONE) return fail(connection, reason);
  const stream = createStream(connection, 0);
  if (stream == 0) return failExhausted(connection);
  store<u32>(connection, stream, H_STREAM);
  const methodId = load<u32>(SCRATCH_HEAD, HEAD_METHOD_ID);
  if (methodId == METHOD_HEAD) setStreamFlag(stream, STREAM_REQUEST_IS_HEAD);
  if (methodId == METHOD_CONNECT) setStreamFlag(stream, STREAM_REQUEST_IS_CONNECT);
  else if (bodyKind == BODY_TUNNEL) setStreamFlag(stream, STREAM_UPGRADE);
  if (hasHeadFlag(SCRATCH_HEAD, HEAD_EXPECTS_CONTINUE)) setH1(connection, H1_EXPECTS);
  if (hasHeadFlag(SCRATCH_HEAD, HEAD_HAS_TE_TRAILERS)) setH1(connection, H1_TAKES_TRAILERS);
  return deliverHead(connection, stream);
}

function finishResponseHead(connection: u32): i32 {
  const stream = load<u32>(connection, H_STREAM);
  const isHead = hasStreamFlag(stream, STREAM_REQUEST_IS_HEAD);
  const isConnect = hasStreamFlag(stream, STREAM_REQUEST_IS_CONNECT);
  const reason = finishResponse(SCRATCH_HEAD, isHead, isConnect, hasStreamFlag(stream, STREAM_UPGRADE));
  if (reason != REASON_NONE) return fail(connection, reason);
  if (keepAliveSeconds != 0) store<u16>(connection, u16(keepAliveSeconds), H_KEEP_ALIVE);
  const status = u32(load<u16>(SCRATCH_HEAD, HEAD_STATUS));
  if (status < 200 && status != 101) {
    const seen = u32(load<u8>(connection, H_INFORMATIONAL)) + 1;
    if (seen > <u32>INFORMATIONAL_MAX) return fail(connection, REASON_UPSTREAM_PROTOCOL);
    store<u8>(connection, u8(seen), H_INFORMATIONAL);
    setState(connection, STATE_START);
    setHeadEvent(stream, SCRATCH_HEAD, false);
    return EVENT_INFORMATIONAL;
  }
  // An upgrade that was not granted: then the request was complete as it was.
  if (bodyKind != BODY_TUNNEL && hasStreamFlag(stream, STREAM_REQUEST_IS_CONNECT | STREAM_UPGRADE)) {
    setStreamFlag(stream, STREAM_SENT_END);
  }
  return deliverHead(connection, stream);
}

/** The final head of a message: from here its body is received as `bodyKind` says. */
function deliverHead(connection: u32, stream: u32): i32 {
  setStreamFlag(stream, STREAM_RECEIVED_HEAD);
  if (!hasHeadFlag(SCRATCH_HEAD, HEAD_KEEPS_ALIVE)) setH1(connection, H1_CLOSE);
  const isEnd = bodyKind == BODY_NONE;
  if (bodyKind == BODY_LENGTH) {
    const length = load<i64>(SCRATCH_HEAD, HEAD_CONTENT_LENGTH);
    store<u64>(connection, u64(length), H_REMAINING);
    store<i64>(stream, length, S_EXPECTED);
    setState(connection, STATE_LENGTH);
  } else if (bodyKind == BODY_CHUNKED) {
    store<u32>(connection, 0, H_EXTENSION_BYTES);
    setState(connection, STATE_CHUNK_START);
  } else if (bodyKind == BODY_UNTIL_CLOSE) {
    setH1(connection, H1_CLOSE);
    setState(connection, STATE_UNTIL_CLOSE);
  } else if (isEnd) finishReceiving(connection, stream, inputPtr);
  else if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) becomeTunnelH1(stream);
  else setState(connection, STATE_DONE); // CONNECT and Upgrade: what follows waits for our answer
  setHeadEvent(stream, SCRATCH_HEAD, isEnd);
  return EVENT_HEAD;
}

function receiveLength(connection: u32): i32 {
  const available = inputEnd - inputPtr;
  if (available == 0) return EVENT_NONE;
  const stream = load<u32>(connection, H_STREAM);
  const left = load<u64>(connection, H_REMAINING);
  const taken = u32(min<u64>(left, available));
  const isEnd = left == taken;
  store<u64>(connection, left - taken, H_REMAINING);
  store<i64>(stream, i64(left - taken), S_EXPECTED);
  if (isEnd) finishReceiving(connection, stream, inputPtr + taken);
  return deliverData(connection, stream, taken, isEnd);
}

function receiveRaw(connection: u32): i32 {
  const available = inputEnd - inputPtr;
  if (available == 0) return EVENT_NONE;
  return deliverData(connection, load<u32>(connection, H_STREAM), available, false);
}

function receiveDone(connection: u32): i32 {
  if (inputPtr == inputEnd) return EVENT_NONE;
  // A server has no business to say more than it was asked.
  if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) return fail(connection, REASON_UPSTREAM_PROTOCOL);
  return EVENT_BLOCKED;
}

function deliverData(connection: u32, stream: u32, length: u32, isEnd: bool): i32 {
  clearH1(connection, H1_EXPECTS);
  store<u64>(stream, load<u64>(stream, S_BODY_BYTES) + length, S_BODY_BYTES);
  setDataEvent(stream, inputPtr, length, isEnd);
  setInputPtr(inputPtr + length);
  return EVENT_DATA;
}
