// DATA (RFC 9113 §6.1): delivered as it arrives, never gathered.
//
// All that can be wrong with a frame is found when its header (and pad length) is there, before the first piece of it
// is delivered, so that the events are the same however the bytes were cut. The end is told with the last piece.

import {
  EVENT_DATA,
  EVENT_END,
  EVENT_NONE,
  GLITCH_BAD_MESSAGE,
  GLITCH_EMPTY_FRAMES,
  GLITCH_FLOW_CONTROL,
  GLITCH_FRAME_SIZE,
  GLITCH_SMALL_DATA,
  GLITCH_STREAM_STATE,
  H2_ENHANCE_YOUR_CALM,
  H2_FLOW_CONTROL_ERROR,
  H2_FRAME_SIZE_ERROR,
  H2_PROTOCOL_ERROR,
  H2_STREAM_CLOSED,
  ROLE_DOWNSTREAM,
} from "../../abi/engine-codes.ts";
import { H2_SMALL_DATA_OVERHEAD } from "../../abi/limits.ts";
import { inputEnd, inputPtr, setDataEvent, setInputPtr } from "../http/event.ts";
import { C_ROLE } from "../tables/connections.ts";
import {
  findStream,
  S_BODY_BYTES,
  S_EXPECTED,
  S_FLAGS,
  S_RECEIVE_WINDOW,
  STREAM_RECEIVED_END,
  STREAM_RECEIVED_HEAD,
  STREAM_RESET,
  STREAM_SENT_END,
  setStreamFlag,
} from "../tables/streams.ts";
import { spendEmpty, spendSmallData } from "./guard.ts";
import { failConnection } from "./shutdown.ts";
import {
  FLAG_END_STREAM,
  FLAG_PADDED,
  H_DATA_FLAGS,
  H_DATA_ID,
  H_LEFT,
  H_MODE,
  H_PADDING,
  H_RECEIVE_WINDOW,
  MODE_DATA,
  MODE_FRAME,
  MODE_PAD_LENGTH,
  MODE_SKIP,
  S_OUTSTANDING,
  STREAM_REFUSED,
} from "./state.ts";
import { failStream, isIdle, receiveOnClosed } from "./streams.ts";
import { creditConnection, oweStream } from "./window.ts";

/** A DATA frame's header was taken; the input stands at its payload. */
export function startData(connection: u32, length: u32, flags: u32, id: u32): i32 {
  if (isIdle(connection, id)) return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_STREAM_STATE);
  const window = load<i32>(connection, H_RECEIVE_WINDOW) - i32(length);
  if (window < 0) return failConnection(connection, H2_FLOW_CONTROL_ERROR, GLITCH_FLOW_CONTROL);
  store<i32>(connection, window, H_RECEIVE_WINDOW);
  creditConnection(connection, length);
  if ((flags & FLAG_PADDED) == 0) return acceptData(connection, id, length, 0, 0, flags);
  if (length == 0) return failConnection(connection, H2_FRAME_SIZE_ERROR, GLITCH_FRAME_SIZE);
  store<u8>(connection, u8(MODE_PAD_LENGTH), H_MODE);
  store<u32>(connection, length, H_LEFT);
  store<u32>(connection, id, H_DATA_ID);
  store<u8>(connection, u8(flags), H_DATA_FLAGS);
  return EVENT_NONE;
}

/** Goes on with a frame whose header came before; at least one byte of input is there. */
export function continueData(connection: u32, mode: u32): i32 {
  const left = load<u32>(connection, H_LEFT);
  if (mode == MODE_PAD_LENGTH) {
    const padding = u32(load<u8>(inputPtr));
    setInputPtr(inputPtr + 1);
    if (padding >= left) return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_FRAME_SIZE);
    store<u8>(connection, u8(MODE_FRAME), H_MODE);
    const id = load<u32>(connection, H_DATA_ID);
    return acceptData(connection, id, left - 1 - padding, padding, padding + 1, load<u8>(connection, H_DATA_FLAGS));
  }
  if (mode == MODE_SKIP) {
    const part = min(left, inputEnd - inputPtr);
    setInputPtr(inputPtr + part);
    skip(connection, left - part);
    return EVENT_NONE;
  }
  const stream = findStream(connection, load<u32>(connection, H_DATA_ID));
  if (stream == 0 || (load<u32>(stream, S_FLAGS) & STREAM_RESET) != 0) {
    skip(connection, left + load<u32>(connection, H_PADDING));
    return EVENT_NONE;
  }
  return deliver(connection, stream, left);
}

/** Passes over `length` bytes of payload, those that are yet to come too. */
export function skip(connection: u32, length: u32): void {
  store<u32>(connection, length, H_LEFT);
  store<u8>(connection, u8(length == 0 ? MODE_FRAME : MODE_SKIP), H_MODE);
}

/** `length` bytes of data and `padding` behind them are to come; `overhead` counts against the window besides. */
function acceptData(connection: u32, id: u32, length: u32, padding: u32, overhead: u32, flags: u32): i32 {
  const stream = findStream(connection, id);
  if (stream == 0) {
    skip(connection, length + padding);
    return receiveOnClosed(connection, id, length);
  }
  const state = load<u32>(stream, S_FLAGS);
  const isEnd = (flags & FLAG_END_STREAM) != 0;
  if ((state & (STREAM_RECEIVED_HEAD | STREAM_RECEIVED_END | STREAM_RESET | STREAM_REFUSED)) != STREAM_RECEIVED_HEAD) {
    skip(connection, length + padding);
    return refuseData(connection, stream, state, isEnd);
  }
  const window = load<i32>(stream, S_RECEIVE_WINDOW) - i32(length + overhead);
  if (window < 0) {
    skip(connection, length + padding);
    return failStream(connection, stream, H2_FLOW_CONTROL_ERROR, GLITCH_FLOW_CONTROL);
  }
  store<i32>(stream, window, S_RECEIVE_WINDOW);
  if (overhead != 0) oweStream(connection, stream, overhead);
  const expected = load<i64>(stream, S_EXPECTED);
  if (expected >= 0) {
    const rest = expected - i64(length);
    if (rest < 0 || (isEnd && rest != 0)) {
      skip(connection, length + padding);
      return failStream(connection, stream, H2_PROTOCOL_ERROR, GLITCH_BAD_MESSAGE);
    }
    store<i64>(stream, rest, S_EXPECTED);
  }
  if (length == 0) {
    skip(connection, padding);
    if (!isEnd) {
      if (spendEmpty(stream)) return EVENT_NONE;
      // An upstream's other streams are other callers'.
      return load<u8>(connection, C_ROLE) == ROLE_DOWNSTREAM
        ? failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_EMPTY_FRAMES)
        : failStream(connection, stream, H2_ENHANCE_YOUR_CALM, GLITCH_EMPTY_FRAMES);
    }
    setStreamFlag(stream, STREAM_RECEIVED_END);
    setDataEvent(stream, inputPtr, 0, true);
    return EVENT_END;
  }
  store<u32>(stream, load<u32>(stream, S_OUTSTANDING) + length, S_OUTSTANDING);
  if (length < <u32>H2_SMALL_DATA_OVERHEAD && !isEnd && !spendSmallData(connection, stream, length)) {
    return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_SMALL_DATA);
  }
  store<u32>(connection, padding, H_PADDING);
  store<u32>(connection, id, H_DATA_ID);
  store<u8>(connection, u8(flags), H_DATA_FLAGS);
  if (inputPtr != inputEnd) return deliver(connection, stream, length);
  store<u32>(connection, length, H_LEFT);
  store<u8>(connection, u8(MODE_DATA), H_MODE);
  return EVENT_NONE;
}

/** The next piece of a frame of which `left` bytes of data are still to come. */
function deliver(connection: u32, stream: u32, left: u32): i32 {
  const ptr = inputPtr;
  const part = min(left, inputEnd - ptr);
  setInputPtr(ptr + part);
  store<u64>(stream, load<u64>(stream, S_BODY_BYTES) + part, S_BODY_BYTES);
  let isEnd = false;
  if (part == left) {
    skip(connection, load<u32>(connection, H_PADDING));
    isEnd = (load<u8>(connection, H_DATA_FLAGS) & FLAG_END_STREAM) != 0;
    if (isEnd) setStreamFlag(stream, STREAM_RECEIVED_END);
  } else {
    store<u32>(connection, left - part, H_LEFT);
    store<u8>(connection, u8(MODE_DATA), H_MODE);
  }
  setDataEvent(stream, ptr, part, isEnd);
  return EVENT_DATA;
}

/** DATA on a stream that has a record and takes none. */
function refuseData(connection: u32, stream: u32, state: u32, isEnd: bool): i32 {
  if ((state & STREAM_RESET) != 0) return EVENT_NONE;
  if ((state & STREAM_RECEIVED_END) != 0) {
    if ((state & STREAM_SENT_END) != 0) return failConnection(connection, H2_STREAM_CLOSED, GLITCH_STREAM_STATE);
    return failStream(connection, stream, H2_STREAM_CLOSED, GLITCH_STREAM_STATE);
  }
  // Before the response's head, a body is nobody's (RFC 9113 §8.1).
  if ((state & STREAM_RECEIVED_HEAD) == 0) {
    return failStream(connection, stream, H2_PROTOCOL_ERROR, GLITCH_BAD_MESSAGE);
  }
  if (isEnd) setStreamFlag(stream, STREAM_RECEIVED_END);
  return EVENT_NONE;
}
