// Input to events: frames are taken one by one from [inputPtr, inputEnd), until one of them is an event.
//
//   H_MODE:  preface ─► frame ◄─► pad length ─► data ─► skip (padding, frames for nobody)
//
// A frame that lies wholly in the input is handled where it lies. DATA and frames of unknown types never need more than
// their header; any other frame that is cut is gathered in C_PARTIAL, which grows as bytes come, so that a header that
// announces much costs nothing. What an event points to stays until the next call.

import {
  EVENT_BLOCKED,
  EVENT_NONE,
  GLITCH_CONTINUATION,
  GLITCH_FRAME_SIZE,
  GLITCH_PREFACE,
  GLITCH_PRIORITY,
  GLITCH_PUSH,
  GLITCH_STREAM_STATE,
  GLITCH_UNKNOWN_FRAMES,
  H2_ENHANCE_YOUR_CALM,
  H2_FRAME_SIZE_ERROR,
  H2_INTERNAL_ERROR,
  H2_PROTOCOL_ERROR,
} from "../../abi/engine-codes.ts";
import { FRAMES_PER_TURN_MAX, H2_FRAME_BYTES_MAX, USEFUL_DATA_BYTES } from "../../abi/limits.ts";
import { readU24, readU32 } from "../../core/bytes.ts";
import { allocate, capacityOf, release } from "../../core/pool.ts";
import { inputEnd, inputPtr, setInputPtr } from "../http/event.ts";
import { C_PARTIAL, C_PARTIAL_BYTES } from "../tables/connections.ts";
import { findStream, hasStreamFlag, STREAM_RESET } from "../tables/streams.ts";
import { PREFACE, PREFACE_BYTES, receivePing } from "./connection.ts";
import { continueData, skip, startData } from "./data.ts";
import { spendGlitch, spendVoidFrame } from "./guard.ts";
import { checkContinuation, receiveContinuation, receiveHeaders, releaseBlock } from "./headers.ts";
import { noteElement } from "./patience.ts";
import { isReport, receiveReport } from "./report.ts";
import { receiveSettings } from "./settings.ts";
import { failConnection, receiveGoaway, stopConnection, sweepStreams } from "./shutdown.ts";
import {
  FLAG_ACK,
  FRAME_CONTINUATION,
  FRAME_DATA,
  FRAME_GOAWAY,
  FRAME_HEADER_BYTES,
  FRAME_HEADERS,
  FRAME_PING,
  FRAME_PRIORITY,
  FRAME_PRIORITY_UPDATE,
  FRAME_REPORT,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_WINDOW_UPDATE,
  H_BLOCK,
  H_BLOCK_ID,
  H_FLAGS,
  H_MODE,
  H_PREFACE_BYTES,
  H_TURN_FRAMES,
  H2_DEAD,
  H2_SETTINGS_SEEN,
  H2_SWEEPING,
  hasH2,
  MODE_FRAME,
  MODE_PREFACE,
  U31_MAX,
} from "./state.ts";
import { failStream, isIdle, receiveReset } from "./streams.ts";
import { receiveWindowUpdate } from "./window.ts";

/** Takes input up to the next event. */
export function receiveH2(connection: u32): i32 {
  releaseGathered(connection);
  const state = load<u32>(connection, H_FLAGS) & (H2_DEAD | H2_SWEEPING);
  if (state != 0) {
    if ((state & H2_DEAD) != 0) {
      setInputPtr(inputEnd);
      return EVENT_NONE;
    }
    const event = sweepStreams(connection);
    if (event != EVENT_NONE) return event;
  }
  while (inputPtr != inputEnd) {
    const mode = u32(load<u8>(connection, H_MODE));
    let event: i32 = EVENT_NONE;
    if (mode == MODE_FRAME) {
      if (load<u16>(connection, H_TURN_FRAMES) >= <u32>FRAMES_PER_TURN_MAX) return EVENT_BLOCKED;
      event = receiveFrame(connection);
    } else if (mode == MODE_PREFACE) event = receivePreface(connection);
    else event = continueData(connection, mode);
    if (event != EVENT_NONE) return event;
  }
  releaseGathered(connection);
  return EVENT_NONE;
}

function receivePreface(connection: u32): i32 {
  const left = u32(load<u8>(connection, H_PREFACE_BYTES));
  const part = min(left, inputEnd - inputPtr);
  const at = PREFACE + PREFACE_BYTES - left;
  for (let index: u32 = 0; index < part; index += 1) {
    if (load<u8>(inputPtr + index) != load<u8>(at + index)) {
      return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_PREFACE);
    }
  }
  setInputPtr(inputPtr + part);
  store<u8>(connection, u8(left - part), H_PREFACE_BYTES);
  if (part == left) store<u8>(connection, u8(MODE_FRAME), H_MODE);
  return EVENT_NONE;
}

/** One frame, or as much of it as is there. */
function receiveFrame(connection: u32): i32 {
  const held = load<u32>(connection, C_PARTIAL_BYTES);
  if (held >= FRAME_HEADER_BYTES) return gatherFrame(connection, held);
  const start = inputPtr;
  let header = start;
  let payload = start + FRAME_HEADER_BYTES;
  if (held != 0 || inputEnd - start < FRAME_HEADER_BYTES) {
    const part = min(FRAME_HEADER_BYTES - held, inputEnd - start);
    if (!gather(connection, held, part)) return stopConnection(connection, H2_INTERNAL_ERROR);
    if (held + part < FRAME_HEADER_BYTES) return EVENT_NONE;
    header = load<u32>(connection, C_PARTIAL);
    payload = inputPtr;
  }
  const length = readU24(header);
  const type = u32(load<u8>(header, 3));
  const flags = u32(load<u8>(header, 4));
  const id = readU32(header + 5) & U31_MAX;
  const event = checkFrame(connection, length, type, flags, id);
  if (event != EVENT_NONE) return event;
  if (type == FRAME_DATA) {
    store<u32>(connection, 0, C_PARTIAL_BYTES);
    setInputPtr(payload);
    return startData(connection, length, flags, id);
  }
  if (type > FRAME_CONTINUATION && !isReport(connection, type, id, length)) {
    store<u32>(connection, 0, C_PARTIAL_BYTES);
    setInputPtr(payload);
    return receiveUnknown(connection, type, length);
  }
  if (header == start && inputEnd - payload >= length) {
    setInputPtr(payload + length);
    return receiveWhole(connection, type, flags, id, payload, length);
  }
  return gatherFrame(connection, load<u32>(connection, C_PARTIAL_BYTES));
}

/** What a header alone can be wrong with. */
function checkFrame(connection: u32, length: u32, type: u32, flags: u32, id: u32): i32 {
  if (length > <u32>H2_FRAME_BYTES_MAX) return failConnection(connection, H2_FRAME_SIZE_ERROR, GLITCH_FRAME_SIZE);
  const expected = load<u32>(connection, H_BLOCK_ID);
  if (expected != 0 || type == FRAME_CONTINUATION) {
    // Nothing may come between the parts of a field block (RFC 9113 §4.3, §6.10).
    if (type != FRAME_CONTINUATION || id != expected || id == 0) {
      return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_CONTINUATION);
    }
    const event = checkContinuation(connection, length);
    if (event != EVENT_NONE) return event;
  }
  if (!hasH2(connection, H2_SETTINGS_SEEN) && (type != FRAME_SETTINGS || (flags & FLAG_ACK) != 0)) {
    // The preface ends with SETTINGS (RFC 9113 §3.4).
    return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_PREFACE);
  }
  if (type != FRAME_DATA || length < <u32>USEFUL_DATA_BYTES) {
    store<u16>(connection, load<u16>(connection, H_TURN_FRAMES) + 1, H_TURN_FRAMES);
  }
  return EVENT_NONE;
}

function receiveWhole(connection: u32, type: u32, flags: u32, id: u32, ptr: u32, length: u32): i32 {
  switch (type) {
    case FRAME_HEADERS:
      return receiveHeaders(connection, flags, id, ptr, length);
    case FRAME_WINDOW_UPDATE:
      return receiveWindowUpdate(connection, id, ptr, length);
    case FRAME_RST_STREAM:
      return receiveReset(connection, id, ptr, length);
    case FRAME_SETTINGS:
      return receiveSettings(connection, flags, id, ptr, length);
    case FRAME_PING:
      return receivePing(connection, flags, id, ptr, length);
    case FRAME_GOAWAY:
      return receiveGoaway(connection, id, ptr, length);
    case FRAME_PRIORITY:
      return receivePriority(connection, id, ptr, length);
    case FRAME_CONTINUATION:
      return receiveContinuation(connection, flags, id, ptr, length);
    case FRAME_REPORT:
      return receiveReport(ptr, length);
    default:
      // PUSH_PROMISE: clients may not, and our servers were told not to (RFC 9113 §8.4).
      return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_PUSH);
  }
}

/** Unknown types are passed over (RFC 9113 §5.5), and PRIORITY_UPDATE with them (RFC 9218 §7.1); none is free. */
function receiveUnknown(connection: u32, type: u32, length: u32): i32 {
  const isPriority = type == FRAME_PRIORITY_UPDATE;
  if (isPriority ? spendVoidFrame(connection) : spendGlitch(connection, GLITCH_UNKNOWN_FRAMES)) {
    skip(connection, length);
    return EVENT_NONE;
  }
  return failConnection(connection, H2_ENHANCE_YOUR_CALM, isPriority ? GLITCH_PRIORITY : GLITCH_UNKNOWN_FRAMES);
}

/** PRIORITY means nothing any more (RFC 9113 §5.3.2), but it still has a form (§6.3). */
function receivePriority(connection: u32, id: u32, ptr: u32, length: u32): i32 {
  if (id == 0) return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_STREAM_STATE);
  if (!spendVoidFrame(connection)) return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_PRIORITY);
  // RFC 7540 §5.3.1: a stream cannot depend on itself. Only attackers and tests do that.
  const isSound = length == 5 && (readU32(ptr) & U31_MAX) != id;
  if (isSound) return EVENT_NONE;
  const code: u32 = length == 5 ? H2_PROTOCOL_ERROR : H2_FRAME_SIZE_ERROR;
  // A stream error, but an idle stream cannot be reset (§6.4).
  const stream = isIdle(connection, id) ? 0 : findStream(connection, id);
  // … and of one that is gone nothing may be said: no honest peer is that wrong, so it is the connection's (§5.4.1).
  if (stream == 0 || hasStreamFlag(stream, STREAM_RESET)) return failConnection(connection, code, GLITCH_PRIORITY);
  return failStream(connection, stream, code, GLITCH_PRIORITY);
}

/** Goes on gathering a frame whose header is in C_PARTIAL, or puts the start of one there. */
function gatherFrame(connection: u32, heldBefore: u32): i32 {
  let held = heldBefore;
  if (held < FRAME_HEADER_BYTES) {
    if (!gather(connection, 0, FRAME_HEADER_BYTES)) {
      return stopConnection(connection, H2_INTERNAL_ERROR);
    }
    held = FRAME_HEADER_BYTES;
  }
  const length = readU24(load<u32>(connection, C_PARTIAL));
  const part = min(FRAME_HEADER_BYTES + length - held, inputEnd - inputPtr);
  if (!gather(connection, held, part)) return stopConnection(connection, H2_INTERNAL_ERROR);
  if (held + part < FRAME_HEADER_BYTES + length) return EVENT_NONE;
  store<u32>(connection, 0, C_PARTIAL_BYTES);
  const header = load<u32>(connection, C_PARTIAL);
  const type = u32(load<u8>(header, 3));
  const id = readU32(header + 5) & U31_MAX;
  return receiveWhole(connection, type, load<u8>(header, 4), id, header + FRAME_HEADER_BYTES, length);
}

/** Moves `part` bytes of input behind the `held` ones of C_PARTIAL; false when the pool is exhausted. */
function gather(connection: u32, held: u32, part: u32): bool {
  let block = load<u32>(connection, C_PARTIAL);
  if (block == 0 || held + part > capacityOf(block)) {
    const larger = allocate(held + part);
    if (larger == 0) return false;
    if (block != 0) {
      memory.copy(larger, block, held);
      release(block);
    }
    block = larger;
    store<u32>(connection, block, C_PARTIAL);
  }
  if (held == 0) noteElement(connection);
  memory.copy(block + held, inputPtr, part);
  store<u32>(connection, held + part, C_PARTIAL_BYTES);
  setInputPtr(inputPtr + part);
  return true;
}

/** Gives back what the last event pointed to. */
function releaseGathered(connection: u32): void {
  if (load<u32>(connection, C_PARTIAL) != 0 && load<u32>(connection, C_PARTIAL_BYTES) == 0) {
    release(load<u32>(connection, C_PARTIAL));
    store<u32>(connection, 0, C_PARTIAL);
  }
  if (load<u32>(connection, H_BLOCK) != 0 && load<u32>(connection, H_BLOCK_ID) == 0) releaseBlock(connection);
}
