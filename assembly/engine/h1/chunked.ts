// The chunked coding (RFC 9112 §7.1), received: sizes, extensions, data, trailers.
//
//   chunk = 1*13HEXDIG *( ";" token [ "=" ( token / quoted-string ) ] ) CRLF data CRLF
//
// The size line is read byte by byte, so it may be cut anywhere. Extensions are checked against the grammar, without
// the "bad whitespace" that §7.1.1 tolerates, counted and forgotten: never forwarded. A bare LF is refused everywhere;
// half of all smuggling through chunks begins with one. Small chunks that came together are joined: `joinSmall`.

import {
  EVENT_DATA,
  EVENT_END,
  EVENT_NONE,
  EVENT_TRAILERS,
  HEAD_TRAILERS,
  REASON_BAD_REQUEST,
  REASON_HEADER_TOO_LARGE,
} from "../../abi/engine-codes.ts";
import { SCRATCH_HEAD } from "../../abi/engine-memory.ts";
import {
  CHUNK_EXTENSION_BYTES_MAX,
  CHUNK_LINE_BYTES_MAX,
  CHUNK_SIZE_DIGITS_MAX,
  TRAILER_BYTES_MAX,
} from "../../abi/limits.ts";
import { inputEnd, inputPtr, setDataEvent, setHeadEvent, setInputPtr, setStreamEvent } from "../http/event.ts";
import { HEAD_COUNT, startHead } from "../http/head.ts";
import { isHexByte, isTokenByte, isValueByte } from "../http/syntax.ts";
import { C_PARTIAL, C_PARTIAL_BYTES } from "../tables/connections.ts";
import { S_BODY_BYTES } from "../tables/streams.ts";
import { fail, failExhausted } from "./failure.ts";
import { parseFields } from "./fields.ts";
import { PARSE_BAD, PARSE_DONE, PARSE_MORE, parseEnd, parseReason } from "./first-line.ts";
import { startFraming } from "./framing.ts";
import { finishGather, GATHER_EXHAUSTED, GATHER_FULL, GATHER_MORE, gather } from "./gather.ts";
import { finishReceiving } from "./lifecycle.ts";
import {
  clearH1,
  H_EXTENSION_BYTES,
  H_FIELD_BYTES,
  H_LINE_BYTES,
  H_REMAINING,
  H_STATE,
  H_STREAM,
  H1_EXPECTS,
  H1_LINE_SEEN,
  STATE_CHUNK_DATA,
  STATE_CHUNK_DATA_CR,
  STATE_CHUNK_DATA_LF,
  STATE_CHUNK_LF,
  STATE_CHUNK_SIZE,
  STATE_CHUNK_START,
  STATE_EXTENSION_END,
  STATE_EXTENSION_ESCAPE,
  STATE_EXTENSION_NAME,
  STATE_EXTENSION_QUOTED,
  STATE_EXTENSION_START,
  STATE_EXTENSION_VALUE,
  STATE_EXTENSION_VALUE_START,
  STATE_TRAILERS,
  setH1,
  setState,
  startPartial,
} from "./state.ts";

/** No state: the byte cannot stand where it stands. */
const STATE_BAD: u32 = 0xff;
/** CRLF "0" CRLF CRLF as a little-endian word of seven bytes: the usual end behind the last data. */
const LAST_CHUNK: u64 = (u64(0x0a0d0a) << 32) | 0x0d300a0d;
const SEVEN_BYTES: u64 = (u64(1) << 56) - 1;
/** CRLF as a little-endian word. */
const CRLF: u16 = 0x0a0d;
/** Data of larger chunks is not worth moving. */
const SMALL_CHUNK_BYTES: u64 = 256;

/** Where the data that `joinSmall` joined ends. */
let joinedEnd: u32 = 0;

/** Receives in any of the chunk states. */
export function receiveChunk(connection: u32): i32 {
  let state = u32(load<u8>(connection, H_STATE));
  while (inputPtr < inputEnd) {
    if (state == STATE_CHUNK_DATA) return receiveChunkData(connection);
    const byte = u32(load<u8>(inputPtr));
    if (state == STATE_CHUNK_START) state = startSize(connection, byte);
    else if (state == STATE_CHUNK_SIZE) state = continueSize(connection, byte);
    else if (state == STATE_CHUNK_LF) state = byte == 10 ? stateAfterSize(connection) : STATE_BAD;
    else if (state == STATE_CHUNK_DATA_CR) state = byte == 13 ? STATE_CHUNK_DATA_LF : STATE_BAD;
    else if (state == STATE_CHUNK_DATA_LF) state = byte == 10 ? STATE_CHUNK_START : STATE_BAD;
    else state = continueExtension(connection, state, byte);
    if (state == STATE_BAD) return fail(connection, REASON_BAD_REQUEST);
    setInputPtr(inputPtr + 1);
    if (state == STATE_TRAILERS) {
      setState(connection, STATE_TRAILERS);
      setH1(connection, H1_LINE_SEEN);
      return receiveTrailers(connection);
    }
  }
  setState(connection, state);
  return EVENT_NONE;
}

/** Receives the trailer section: usually nothing but the empty line. */
export function receiveTrailers(connection: u32): i32 {
  if (load<u32>(connection, C_PARTIAL) == 0) {
    if (inputPtr == inputEnd) return EVENT_NONE;
    const result = parseTrailers(connection, inputPtr, min(inputEnd, inputPtr + TRAILER_BYTES_MAX));
    if (result != PARSE_MORE) {
      setInputPtr(parseEnd);
      return finishTrailers(connection, result);
    }
    if (!startPartial(connection)) return failExhausted(connection);
  }
  let gathered = gather(connection, TRAILER_BYTES_MAX);
  while (gathered != GATHER_MORE) {
    if (gathered == GATHER_EXHAUSTED) return failExhausted(connection);
    const block = load<u32>(connection, C_PARTIAL);
    const result = parseTrailers(connection, block, block + load<u32>(connection, C_PARTIAL_BYTES));
    if (result != PARSE_MORE) {
      finishGather(connection, result == PARSE_DONE ? parseEnd : block + load<u32>(connection, C_PARTIAL_BYTES));
      return finishTrailers(connection, result);
    }
    if (gathered == GATHER_FULL) return fail(connection, REASON_HEADER_TOO_LARGE);
    gathered = gather(connection, TRAILER_BYTES_MAX);
  }
  return EVENT_NONE;
}

function receiveChunkData(connection: u32): i32 {
  const stream = load<u32>(connection, H_STREAM);
  const left = load<u64>(connection, H_REMAINING);
  const from = inputPtr;
  const taken = u32(min<u64>(left, inputEnd - from));
  let next = from + taken;
  let bytes = taken;
  store<u64>(connection, left - taken, H_REMAINING);
  let isEnd = false;
  if (left == taken) {
    next = joinSmall(from + taken, next);
    bytes = joinedEnd - from;
  }
  if (left != taken) setState(connection, STATE_CHUNK_DATA);
  else if (inputEnd - next >= 8 ? (load<u64>(next) & SEVEN_BYTES) == LAST_CHUNK : isLastChunk(next, inputEnd)) {
    next += 7;
    isEnd = true;
    finishReceiving(connection, stream, next);
  } else setState(connection, STATE_CHUNK_DATA_CR);
  clearH1(connection, H1_EXPECTS);
  store<u64>(stream, load<u64>(stream, S_BODY_BYTES) + bytes, S_BODY_BYTES);
  setDataEvent(stream, from, bytes, isEnd);
  setInputPtr(next);
  return EVENT_DATA;
}

/**
 * Moves the data of small chunks that lie whole at `next` to `to`, right behind the data before them, in place; returns
 * where the first chunk begins that is not small, not plain or not whole. A flood of one-byte chunks then costs as much
 * as its bytes, not an event and a frame for each; and nothing is refused that an honest stream of tiny messages does.
 */
function joinSmall(to: u32, next: u32): u32 {
  let at = next;
  joinedEnd = to;
  while (inputEnd - at > 5) {
    if (load<u16>(at) != CRLF) break;
    let digit = at + 2;
    const digitsEnd = min(inputEnd - 2, digit + CHUNK_SIZE_DIGITS_MAX);
    let size: u64 = 0;
    while (digit < digitsEnd && isHexByte(load<u8>(digit))) {
      size = (size << 4) | hexValue(load<u8>(digit));
      digit += 1;
    }
    // No digit at all leaves a size of 0, as the last chunk has: both are read the long way.
    if (size == 0 || size > SMALL_CHUNK_BYTES || load<u16>(digit) != CRLF) break;
    const data = digit + 2;
    const length = u32(size);
    if (inputEnd - data < length) break;
    memory.copy(joinedEnd, data, length);
    joinedEnd += length;
    at = data + length;
  }
  return at;
}

function isLastChunk(ptr: u32, end: u32): bool {
  if (end - ptr != 7) return false;
  return load<u32>(ptr) == u32(LAST_CHUNK) && load<u32>(ptr, 3) == u32(LAST_CHUNK >> 24);
}

function startSize(connection: u32, byte: u32): u32 {
  if (!isHexByte(byte)) return STATE_BAD;
  store<u64>(connection, hexValue(byte), H_REMAINING);
  store<u32>(connection, 1, H_LINE_BYTES);
  return STATE_CHUNK_SIZE;
}

function continueSize(connection: u32, byte: u32): u32 {
  const digits = load<u32>(connection, H_LINE_BYTES);
  if (isHexByte(byte)) {
    if (digits == CHUNK_SIZE_DIGITS_MAX) return STATE_BAD;
    store<u64>(connection, (load<u64>(connection, H_REMAINING) << 4) | hexValue(byte), H_REMAINING);
    store<u32>(connection, digits + 1, H_LINE_BYTES);
    return STATE_CHUNK_SIZE;
  }
  if (byte == 13) return STATE_CHUNK_LF;
  return byte == 59 ? countExtension(connection, STATE_EXTENSION_START) : STATE_BAD;
}

function stateAfterSize(connection: u32): u32 {
  return load<u64>(connection, H_REMAINING) == 0 ? STATE_TRAILERS : STATE_CHUNK_DATA;
}

function continueExtension(connection: u32, state: u32, byte: u32): u32 {
  let next = STATE_BAD;
  if (state == STATE_EXTENSION_START) {
    if (isTokenByte(byte)) next = STATE_EXTENSION_NAME;
  } else if (state == STATE_EXTENSION_NAME) {
    if (isTokenByte(byte)) next = STATE_EXTENSION_NAME;
    else if (byte == 61) next = STATE_EXTENSION_VALUE_START;
    else next = afterExtension(byte);
  } else if (state == STATE_EXTENSION_VALUE_START) {
    if (isTokenByte(byte)) next = STATE_EXTENSION_VALUE;
    else if (byte == 34) next = STATE_EXTENSION_QUOTED;
  } else if (state == STATE_EXTENSION_VALUE) {
    next = isTokenByte(byte) ? STATE_EXTENSION_VALUE : afterExtension(byte);
  } else if (state == STATE_EXTENSION_QUOTED) {
    if (byte == 34) next = STATE_EXTENSION_END;
    else if (byte == 92) next = STATE_EXTENSION_ESCAPE;
    else if (isValueByte(byte)) next = STATE_EXTENSION_QUOTED;
  } else if (state == STATE_EXTENSION_ESCAPE) {
    if (isValueByte(byte)) next = STATE_EXTENSION_QUOTED;
  } else if (state == STATE_EXTENSION_END) next = afterExtension(byte);
  if (next == STATE_BAD || next == STATE_CHUNK_LF) return next;
  return countExtension(connection, next);
}

function afterExtension(byte: u32): u32 {
  if (byte == 13) return STATE_CHUNK_LF;
  return byte == 59 ? STATE_EXTENSION_START : STATE_BAD;
}

function countExtension(connection: u32, next: u32): u32 {
  const line = load<u32>(connection, H_LINE_BYTES) + 1;
  const all = load<u32>(connection, H_EXTENSION_BYTES) + 1;
  if (line > <u32>CHUNK_LINE_BYTES_MAX || all > <u32>CHUNK_EXTENSION_BYTES_MAX) return STATE_BAD;
  store<u32>(connection, line, H_LINE_BYTES);
  store<u32>(connection, all, H_EXTENSION_BYTES);
  return next;
}

/** Reads a whole trailer section; PARSE_MORE when it is incomplete and nothing in it is wrong so far. */
export function parseTrailers(connection: u32, ptr: u32, end: u32): i32 {
  startHead(SCRATCH_HEAD, HEAD_TRAILERS);
  startFraming();
  return parseFields(SCRATCH_HEAD, ptr, end, load<u32>(connection, H_FIELD_BYTES));
}

function finishTrailers(connection: u32, result: i32): i32 {
  if (result == PARSE_BAD) return fail(connection, parseReason);
  const stream = load<u32>(connection, H_STREAM);
  finishReceiving(connection, stream, inputPtr);
  setStreamEvent(stream, 0, 0);
  if (load<u32>(SCRATCH_HEAD, HEAD_COUNT) == 0) return EVENT_END;
  setHeadEvent(stream, SCRATCH_HEAD, true);
  return EVENT_TRAILERS;
}

function hexValue(byte: u32): u64 {
  // "0" to "9" are 0x30 to 0x39; letters of either case end in 1 to 6.
  return u64(byte <= 57 ? byte - 48 : (byte & 15) + 9);
}
