// The life of a stream (RFC 9113 §5.1): opening, resetting, releasing, and what is still known of those that are gone.
//
//   record exists   STREAM_RECEIVED_END / STREAM_SENT_END / STREAM_RESET are the states of §5.1
//   record is gone  id > H_LAST_ID: idle
//                   in the ring of 16: the peer ended or reset it, so frames that still come are its error (§5.1)
//                   else: we reset it, or it ended long ago: what crossed that on the way is ignored
//
// A record lives until the proxy releases it: work that still runs keeps its slot, whatever the wire says.

import {
  EVENT_NONE,
  EVENT_RESET,
  GLITCH_FRAME_SIZE,
  GLITCH_OUTPUT,
  GLITCH_RESETS,
  GLITCH_STREAM_STATE,
  H2_CANCEL,
  H2_ENHANCE_YOUR_CALM,
  H2_FRAME_SIZE_ERROR,
  H2_NO_ERROR,
  H2_PROTOCOL_ERROR,
  H2_REFUSED_STREAM,
  H2_STREAM_CLOSED,
  RESET_BY_PEER,
  RESET_UNPROCESSED,
  ROLE_DOWNSTREAM,
  ROLE_UPSTREAM,
} from "../../abi/engine-codes.ts";
import { H2_LAST_STREAM_ID, H2_PEER_STREAMS_MAX, H2_SMALL_DATA_OVERHEAD } from "../../abi/limits.ts";
import { readU32 } from "../../core/bytes.ts";
import { setStreamEvent } from "../http/event.ts";
import { glitch } from "../http/glitch.ts";
import { C_ROLE, C_STREAM_COUNT } from "../tables/connections.ts";
import {
  createStream,
  destroyStream,
  findStream,
  S_CONNECTION,
  S_FLAGS,
  S_ID,
  S_RECEIVE_WINDOW,
  STREAM_RECEIVED_END,
  STREAM_RESET,
  STREAM_SENT_END,
  STREAM_SENT_HEAD,
  setStreamFlag,
} from "../tables/streams.ts";
import { sendReset } from "./frame.ts";
import { expectLate, isFlooded, spendErrorReset, spendLate, spendReset, spendVoidFrame } from "./guard.ts";
import { failConnection } from "./shutdown.ts";
import {
  CLOSED_BY_PEER,
  CLOSED_COUNT,
  CLOSED_ENDED,
  CLOSED_SILENTLY,
  H_CLOSED,
  H_CLOSED_AT,
  H_LAST_ID,
  H_PEER_STREAMS_MAX,
  H_STREAM_WINDOW,
  H2_DEAD,
  H2_EXTENDED_CONNECT,
  H2_GOAWAY_RECEIVED,
  H2_GOAWAY_SENT,
  hasH2,
  STREAM_RESET_BY_PEER,
} from "./state.ts";
import { creditConnection } from "./window.ts";

const ENDED: u32 = STREAM_RECEIVED_END | STREAM_SENT_END;

/** Whether a request may be opened now. */
export function canOpenH2(connection: u32): bool {
  if (hasH2(connection, H2_DEAD | H2_GOAWAY_RECEIVED | H2_GOAWAY_SENT)) return false;
  if (load<u32>(connection, H_LAST_ID) >= <u32>H2_LAST_STREAM_ID) return false;
  return load<u32>(connection, C_STREAM_COUNT) < maxStreamsH2(connection);
}

/** How many requests may be open at once. */
export function maxStreamsH2(connection: u32): u32 {
  return min(load<u32>(connection, H_PEER_STREAMS_MAX), <u32>H2_PEER_STREAMS_MAX);
}

/** Whether the peer takes :protocol (RFC 8441 §3). */
export function hasExtendedConnectH2(connection: u32): bool {
  return hasH2(connection, H2_EXTENDED_CONNECT);
}

/** A stream for a new request; 0 when canOpenH2 is false or the table is full. Its id comes with its head. */
export function openH2(connection: u32): u32 {
  assert(load<u8>(connection, C_ROLE) == ROLE_UPSTREAM);
  if (!canOpenH2(connection)) return 0;
  const stream = createStream(connection, 0);
  if (stream == 0) return 0;
  store<i32>(stream, load<u32>(connection, H_STREAM_WINDOW), S_RECEIVE_WINDOW);
  return stream;
}

/** Ends a stream at once, telling the peer where that is needed. Nothing more comes from it. */
export function resetH2(stream: u32, code: u32): void {
  const flags = load<u32>(stream, S_FLAGS);
  if (flags & STREAM_RESET) return;
  setStreamFlag(stream, STREAM_RESET);
  const connection = load<u32>(stream, S_CONNECTION);
  const id = load<u32>(stream, S_ID);
  // Idle streams cannot be reset (RFC 9113 §6.4), closed ones need not.
  if (id == 0 || (flags & ENDED) == ENDED || hasH2(connection, H2_DEAD)) return;
  if ((flags & STREAM_RECEIVED_END) == 0) expectLate(connection, load<i32>(stream, S_RECEIVE_WINDOW));
  sendReset(connection, id, code);
}

/** Gives a stream's record back; one that is not over is reset first. */
export function releaseStreamH2(stream: u32): void {
  const connection = load<u32>(stream, S_CONNECTION);
  const flags = load<u32>(stream, S_FLAGS);
  const id = load<u32>(stream, S_ID);
  if ((flags & STREAM_RESET) == 0 && (flags & ENDED) != ENDED) {
    // A whole response before the whole request: "stop sending", without an error (RFC 9113 §8.1).
    const isAnswered = load<u8>(connection, C_ROLE) == ROLE_DOWNSTREAM && (flags & STREAM_SENT_END) != 0;
    resetH2(stream, isAnswered ? H2_NO_ERROR : H2_CANCEL);
  }
  if (id != 0) {
    const state = load<u32>(stream, S_FLAGS);
    if ((state & STREAM_RESET_BY_PEER) != 0) rememberClosed(connection, id, CLOSED_BY_PEER);
    else if ((state & STREAM_RESET) == 0) rememberClosed(connection, id, CLOSED_ENDED);
  }
  destroyStream(stream);
  creditConnection(connection, 0);
}

/** A stream error of the peer's making: RST_STREAM, and EVENT_RESET for the proxy. */
export function failStream(connection: u32, stream: u32, code: u32, kind: u32): i32 {
  glitch(connection, kind);
  setStreamFlag(stream, STREAM_RESET);
  expectLate(connection, load<i32>(stream, S_RECEIVE_WINDOW));
  sendReset(connection, load<u32>(stream, S_ID), code);
  if (!spendErrorReset(connection)) return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_RESETS);
  if (isFlooded(connection)) return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_OUTPUT);
  setStreamEvent(stream, code, 0);
  return EVENT_RESET;
}

/** The same for a stream that the proxy never saw (a malformed request), or sees no more. */
export function failUnknown(connection: u32, id: u32, code: u32, kind: u32): i32 {
  glitch(connection, kind);
  sendReset(connection, id, code);
  forgetClosed(connection, id);
  if (!spendErrorReset(connection)) return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_RESETS);
  if (isFlooded(connection)) return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_OUTPUT);
  return EVENT_NONE;
}

/** RST_STREAM (RFC 9113 §6.4). */
export function receiveReset(connection: u32, id: u32, ptr: u32, length: u32): i32 {
  if (length != 4) return failConnection(connection, H2_FRAME_SIZE_ERROR, GLITCH_FRAME_SIZE);
  if (isIdle(connection, id)) return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_STREAM_STATE);
  const stream = findStream(connection, id);
  const flags = stream == 0 ? STREAM_RESET : load<u32>(stream, S_FLAGS);
  // Both sides have ended, or one has reset it: nothing is left to be reset, and honest peers say so once a stream.
  if ((flags & STREAM_RESET) != 0 || (flags & ENDED) == ENDED) {
    if (spendVoidFrame(connection)) return EVENT_NONE;
    return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_RESETS);
  }
  setStreamFlag(stream, STREAM_RESET | STREAM_RESET_BY_PEER);
  if (!spendReset(connection, (flags & STREAM_SENT_HEAD) == 0)) {
    return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_RESETS);
  }
  const code = readU32(ptr);
  const isUnprocessed = code == H2_REFUSED_STREAM && load<u8>(connection, C_ROLE) == ROLE_UPSTREAM;
  setStreamEvent(stream, code, isUnprocessed ? RESET_BY_PEER | RESET_UNPROCESSED : RESET_BY_PEER);
  return EVENT_RESET;
}

/** Whether no stream of this id was ever opened: 0, the server's even ones, and those above the highest. */
export function isIdle(connection: u32, id: u32): bool {
  return (id & 1) == 0 || id > load<u32>(connection, H_LAST_ID);
}

/** How a stream without a record ended, as far as it is remembered: CLOSED_*. */
export function closedKind(connection: u32, id: u32): u32 {
  const place = placeOf(connection, id);
  return place == 0 ? CLOSED_SILENTLY : load<u32>(place) & 3;
}

/** DATA of `length` bytes that may not come any more, on a stream without a record: RFC 9113 §5.1, "closed". */
export function receiveOnClosed(connection: u32, id: u32, length: u32): i32 {
  const kind = closedKind(connection, id);
  if (kind == CLOSED_SILENTLY) {
    // What crosses our reset is honest, and large frames pay with their bytes: small ones have a budget.
    if (length >= <u32>H2_SMALL_DATA_OVERHEAD || spendLate(connection, length)) return EVENT_NONE;
    return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_STREAM_STATE);
  }
  if (kind == CLOSED_ENDED) return failConnection(connection, H2_STREAM_CLOSED, GLITCH_STREAM_STATE);
  return failUnknown(connection, id, H2_STREAM_CLOSED, GLITCH_STREAM_STATE);
}

/** Keeps in mind how a stream ended; the oldest of 16 is forgotten. */
function rememberClosed(connection: u32, id: u32, kind: u32): void {
  const at = u32(load<u8>(connection, H_CLOSED_AT));
  store<u8>(connection, u8((at + 1) & (CLOSED_COUNT - 1)), H_CLOSED_AT);
  store<u32>(connection + H_CLOSED + at * 4, ((id >> 1) << 2) | kind);
}

/** The peer was told what it did wrong: once is enough. */
function forgetClosed(connection: u32, id: u32): void {
  const place = placeOf(connection, id);
  if (place != 0) store<u32>(place, 0);
}

function placeOf(connection: u32, id: u32): u32 {
  const key = id >> 1;
  const end = connection + H_CLOSED + CLOSED_COUNT * 4;
  for (let place = connection + H_CLOSED; place != end; place += 4) {
    const entry = load<u32>(place);
    if (entry >> 2 == key && (entry & 3) != CLOSED_SILENTLY) return place;
  }
  return 0;
}
