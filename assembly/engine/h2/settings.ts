// SETTINGS (RFC 9113 §6.5, RFC 8441 §3), both ways.
//
// Ours are said once, at the start, and once more when the peer turns out to be Pillion (it may open more streams).
// They are enforced from the moment they are sent: all of them only allow more than the defaults do, apart from
// MAX_CONCURRENT_STREAMS, whose excess is refused in a way that proves nothing was processed.

import {
  EVENT_CREDIT,
  EVENT_NONE,
  EVENT_READY,
  GLITCH_FLOW_CONTROL,
  GLITCH_FRAME_SIZE,
  GLITCH_SETTINGS,
  GLITCH_STREAM_STATE,
  H2_ENHANCE_YOUR_CALM,
  H2_FLOW_CONTROL_ERROR,
  H2_FRAME_SIZE_ERROR,
  H2_PROTOCOL_ERROR,
  NONE,
  ROLE_DOWNSTREAM,
  ROLE_UPSTREAM,
} from "../../abi/engine-codes.ts";
import { H2_PEER_STREAMS_MAX, H2_SETTINGS_ENTRIES_MAX, HEAD_BYTES_MAX } from "../../abi/limits.ts";
import { readU16, readU32 } from "../../core/bytes.ts";
import { setEncoderLimit, setHuffman } from "../hpack/encoder.ts";
import { now, setStreamEvent } from "../http/event.ts";
import { C_PEER_IS_PILLION, C_ROLE } from "../tables/connections.ts";
import { advanceOutput, reserveOutput } from "../tables/output.ts";
import { sendSettingsAck, writeFrameHeader, writeSetting } from "./frame.ts";
import { spendAck, widenGuard } from "./guard.ts";
import { noteSettings } from "./patience.ts";
import { failConnection } from "./shutdown.ts";
import {
  FLAG_ACK,
  FRAME_BYTES_DEFAULT,
  FRAME_BYTES_LARGEST,
  FRAME_HEADER_BYTES,
  FRAME_SETTINGS,
  H_ENCODER,
  H_PEER_FRAME_BYTES,
  H_PEER_STREAMS_MAX,
  H_SETTINGS_AT,
  H_SETTINGS_SENT,
  H_STREAM_WINDOW,
  H_STREAMS_MAX,
  H2_EXTENDED_CONNECT,
  H2_SETTINGS_SEEN,
  hasH2,
  SETTING_ENABLE_CONNECT_PROTOCOL,
  SETTING_ENABLE_PUSH,
  SETTING_HEADER_TABLE_SIZE,
  SETTING_INITIAL_WINDOW_SIZE,
  SETTING_MAX_CONCURRENT_STREAMS,
  SETTING_MAX_FRAME_SIZE,
  SETTING_MAX_HEADER_LIST_SIZE,
  SETTING_PILLION,
  setH2,
  U31_MAX,
} from "./state.ts";
import { shiftWindows } from "./window.ts";

const SETTINGS_BYTES_MAX: u32 = 6 * 6;

/** Says our settings: the first frame of either role. */
export function sendSettings(connection: u32): void {
  const ptr = reserveOutput(connection, FRAME_HEADER_BYTES + SETTINGS_BYTES_MAX);
  if (ptr == 0) return;
  let at = ptr + FRAME_HEADER_BYTES;
  if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) at = writeSetting(at, SETTING_ENABLE_PUSH, 0);
  else {
    at = writeSetting(at, SETTING_MAX_CONCURRENT_STREAMS, load<u32>(connection, H_STREAMS_MAX));
    at = writeSetting(at, SETTING_ENABLE_CONNECT_PROTOCOL, 1);
  }
  at = writeSetting(at, SETTING_INITIAL_WINDOW_SIZE, load<u32>(connection, H_STREAM_WINDOW));
  at = writeSetting(at, SETTING_MAX_HEADER_LIST_SIZE, HEAD_BYTES_MAX);
  at = writeSetting(at, SETTING_PILLION, 1);
  finishSettings(connection, ptr, at);
}

/** SETTINGS of the peer, whole. */
export function receiveSettings(connection: u32, flags: u32, id: u32, ptr: u32, length: u32): i32 {
  if (id != 0) return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_STREAM_STATE);
  if ((flags & FLAG_ACK) != 0) return receiveAck(connection, length);
  const entries = length / 6;
  if (length != entries * 6) return failConnection(connection, H2_FRAME_SIZE_ERROR, GLITCH_FRAME_SIZE);
  if (entries > <u32>H2_SETTINGS_ENTRIES_MAX || !spendAck(connection)) {
    return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_SETTINGS);
  }
  const streamsBefore = load<u32>(connection, H_PEER_STREAMS_MAX);
  const isFirst = !hasH2(connection, H2_SETTINGS_SEEN);
  // Unlimited until said otherwise (RFC 9113 §6.5.2): the first frame ends our caution.
  if (isFirst) store<u32>(connection, U31_MAX, H_PEER_STREAMS_MAX);
  let windowSize: i64 = -1;
  for (let at = ptr; at < ptr + length; at += 6) {
    const value = readU32(at + 2);
    // Several of one frame are one change to the windows (reliability.md §1.2, A10).
    if (readU16(at) == SETTING_INITIAL_WINDOW_SIZE) {
      if (value > U31_MAX) return failConnection(connection, H2_FLOW_CONTROL_ERROR, GLITCH_SETTINGS);
      windowSize = i64(value);
    } else if (!applySetting(connection, readU16(at), value)) {
      return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_SETTINGS);
    }
  }
  if (windowSize >= 0 && !shiftWindows(connection, u32(windowSize))) {
    return failConnection(connection, H2_FLOW_CONTROL_ERROR, GLITCH_FLOW_CONTROL);
  }
  sendSettingsAck(connection);
  setH2(connection, H2_SETTINGS_SEEN);
  setStreamEvent(NONE, 0, 0);
  if (isFirst) {
    if (load<u8>(connection, C_PEER_IS_PILLION) == 0) setHuffman(connection + H_ENCODER, true);
    return EVENT_READY;
  }
  return windowSize >= 0 || load<u32>(connection, H_PEER_STREAMS_MAX) > streamsBefore ? EVENT_CREDIT : EVENT_NONE;
}

function receiveAck(connection: u32, length: u32): i32 {
  if (length != 0) return failConnection(connection, H2_FRAME_SIZE_ERROR, GLITCH_FRAME_SIZE);
  const sent = u32(load<u8>(connection, H_SETTINGS_SENT));
  if (sent == 0) return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_SETTINGS);
  store<u8>(connection, u8(sent - 1), H_SETTINGS_SENT);
  store<u32>(connection, u32(now / 1000), H_SETTINGS_AT); // for the one behind it, if there is one
  return EVENT_NONE;
}

/** False when the value is outside its range (RFC 9113 §6.5.2). */
function applySetting(connection: u32, id: u32, value: u32): bool {
  switch (id) {
    case SETTING_HEADER_TABLE_SIZE:
      setEncoderLimit(connection + H_ENCODER, value);
      return true;
    case SETTING_ENABLE_PUSH:
      return value == 0 || (value == 1 && load<u8>(connection, C_ROLE) == ROLE_DOWNSTREAM);
    case SETTING_MAX_CONCURRENT_STREAMS:
      store<u32>(connection, value, H_PEER_STREAMS_MAX);
      return true;
    case SETTING_MAX_FRAME_SIZE: {
      if (value < FRAME_BYTES_DEFAULT || value > FRAME_BYTES_LARGEST) return false;
      store<u32>(connection, value, H_PEER_FRAME_BYTES);
      return true;
    }
    case SETTING_ENABLE_CONNECT_PROTOCOL: {
      // 0 or 1, and never back to 0 (RFC 8441 §3).
      if (value > 1 || (value == 0 && hasH2(connection, H2_EXTENDED_CONNECT))) return false;
      if (value == 1) setH2(connection, H2_EXTENDED_CONNECT);
      return true;
    }
    case SETTING_PILLION: {
      if (value == 1) welcomePeer(connection);
      return true;
    }
    default:
      return true; // unknown ones mean nothing (§6.5.2)
  }
}

/** The peer is Pillion: wide budgets, and as a server more streams. */
function welcomePeer(connection: u32): void {
  if (load<u8>(connection, C_PEER_IS_PILLION) == 0) {
    store<u8>(connection, 1, C_PEER_IS_PILLION);
    widenGuard(connection);
  }
  setHuffman(connection + H_ENCODER, false); // a hop in the same pod network: bytes are cheaper than time
  if (load<u8>(connection, C_ROLE) != ROLE_DOWNSTREAM) return;
  if (load<u32>(connection, H_STREAMS_MAX) == H2_PEER_STREAMS_MAX) return;
  store<u32>(connection, H2_PEER_STREAMS_MAX, H_STREAMS_MAX);
  const ptr = reserveOutput(connection, FRAME_HEADER_BYTES + SETTINGS_BYTES_MAX);
  if (ptr == 0) return;
  const end = writeSetting(ptr + FRAME_HEADER_BYTES, SETTING_MAX_CONCURRENT_STREAMS, H2_PEER_STREAMS_MAX);
  finishSettings(connection, ptr, end);
}

function finishSettings(connection: u32, ptr: u32, end: u32): void {
  writeFrameHeader(ptr, end - ptr - FRAME_HEADER_BYTES, FRAME_SETTINGS, 0, 0);
  advanceOutput(connection, end - ptr);
  noteSettings(connection);
}
