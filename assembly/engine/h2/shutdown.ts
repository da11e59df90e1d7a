// How a connection ends: RFC 9113 §5.4.1 (errors), §6.8 (GOAWAY, both directions) and the peer's FIN.
//
//   open ── goawayH2(first): last id 2^31-1 ── goawayH2(final): highest accepted id ── streams finish ── closed
//     └─── failConnection: GOAWAY with an error, H2_DEAD: nothing is heard or said any more
//
// The peer's GOAWAY and FIN are told to the proxy stream by stream: one EVENT_RESET for each that it cuts short.

import {
  EVENT_FATAL,
  EVENT_GOAWAY,
  EVENT_NONE,
  EVENT_RESET,
  GLITCH_FRAME_SIZE,
  GLITCH_GOAWAY,
  GLITCH_STREAM_STATE,
  H2_CANCEL,
  H2_ENHANCE_YOUR_CALM,
  H2_FRAME_SIZE_ERROR,
  H2_NO_ERROR,
  H2_PROTOCOL_ERROR,
  NONE,
  RESET_BY_PEER,
  RESET_UNPROCESSED,
  ROLE_UPSTREAM,
} from "../../abi/engine-codes.ts";
import { readU32 } from "../../core/bytes.ts";
import { inputEnd, setGoawayEvent, setInputPtr, setStreamEvent } from "../http/event.ts";
import { glitch } from "../http/glitch.ts";
import { C_ROLE, C_STREAMS, CONNECTION_DRAINING, setFlag } from "../tables/connections.ts";
import { hasStreamFlag, S_ID, S_NEXT, STREAM_RECEIVED_END, STREAM_RESET, setStreamFlag } from "../tables/streams.ts";
import { sendGoaway } from "./frame.ts";
import { spendGlitch } from "./guard.ts";
import {
  clearH2,
  H_FATAL_CODE,
  H_LAST_ID,
  H_OWN_LAST,
  H_PEER_LAST,
  H2_DEAD,
  H2_FINAL_SENT,
  H2_GOAWAY_RECEIVED,
  H2_GOAWAY_SENT,
  H2_SWEEPING,
  hasH2,
  STREAM_RESET_BY_PEER,
  setH2,
  U31_MAX,
} from "./state.ts";

/** A connection error: counts `kind`, says GOAWAY(`code`) and takes no more input. */
export function failConnection(connection: u32, code: u32, kind: u32): i32 {
  glitch(connection, kind);
  return stopConnection(connection, code);
}

/** The same where the peer did nothing wrong: the pool is exhausted. */
export function stopConnection(connection: u32, code: u32): i32 {
  sendGoaway(connection, highestAccepted(connection), code);
  store<u8>(connection, u8(code), H_FATAL_CODE);
  setH2(connection, H2_DEAD);
  setFlag(connection, CONNECTION_DRAINING);
  setInputPtr(inputEnd);
  setStreamEvent(NONE, code, 0);
  return EVENT_FATAL;
}

/** The output's end was taken back, and with it the GOAWAY of the error that ended this connection: says it again. */
export function repeatGoawayH2(connection: u32): void {
  if (!hasH2(connection, H2_DEAD)) return;
  sendGoaway(connection, highestAccepted(connection), load<u8>(connection, H_FATAL_CODE));
}

/** Says that we go away: the first notice, or (`final`) the highest request that will be answered. */
export function goawayH2(connection: u32, code: u32, final: bool): void {
  if (hasH2(connection, H2_DEAD | H2_FINAL_SENT)) return;
  if (!final) {
    if (hasH2(connection, H2_GOAWAY_SENT)) return;
    sendGoaway(connection, U31_MAX, code);
    setH2(connection, H2_GOAWAY_SENT);
  } else {
    const last = highestAccepted(connection);
    store<u32>(connection, last, H_OWN_LAST);
    sendGoaway(connection, last, code);
    setH2(connection, H2_GOAWAY_SENT | H2_FINAL_SENT);
  }
  setFlag(connection, CONNECTION_DRAINING);
}

/** Whether no further request can come: we said the last one's number, or the peer says that it goes. */
export function isFinalH2(connection: u32): bool {
  return hasH2(connection, H2_DEAD | H2_FINAL_SENT | H2_GOAWAY_RECEIVED);
}

/** Whether the peer was cut off: GOAWAY with an error was queued. */
export function isDeadH2(connection: u32): bool {
  return hasH2(connection, H2_DEAD);
}

/** The peer's GOAWAY. */
export function receiveGoaway(connection: u32, id: u32, ptr: u32, length: u32): i32 {
  if (id != 0) return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_STREAM_STATE);
  if (length < 8) return failConnection(connection, H2_FRAME_SIZE_ERROR, GLITCH_FRAME_SIZE);
  // Two are honest (§6.8); more and more of them say nothing new.
  if (hasH2(connection, H2_GOAWAY_RECEIVED) && !spendGlitch(connection, GLITCH_GOAWAY)) {
    return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_GOAWAY);
  }
  // "MUST NOT increase" (RFC 9113 §6.8): a larger one is not believed.
  const last = min(readU32(ptr) & U31_MAX, load<u32>(connection, H_PEER_LAST));
  store<u32>(connection, last, H_PEER_LAST);
  setH2(connection, H2_GOAWAY_RECEIVED);
  setFlag(connection, CONNECTION_DRAINING);
  if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) setH2(connection, H2_SWEEPING);
  setGoawayEvent(readU32(ptr + 4), last);
  return EVENT_GOAWAY;
}

/** Reports the next stream that the peer's GOAWAY proved unprocessed. */
export function sweepStreams(connection: u32): i32 {
  const last = load<u32>(connection, H_PEER_LAST);
  for (let stream = load<u32>(connection, C_STREAMS); stream != 0; stream = load<u32>(stream, S_NEXT)) {
    if (hasStreamFlag(stream, STREAM_RESET)) continue;
    const id = load<u32>(stream, S_ID);
    if (id != 0 && id <= last) continue;
    setStreamFlag(stream, STREAM_RESET | STREAM_RESET_BY_PEER);
    setStreamEvent(stream, H2_NO_ERROR, RESET_BY_PEER | RESET_UNPROCESSED);
    return EVENT_RESET;
  }
  clearH2(connection, H2_SWEEPING);
  return EVENT_NONE;
}

/**
 * The peer's FIN: nothing can be opened any more. A request that was whole may still be answered; every message cut
 * short is an EVENT_RESET (CANCEL); call until EVENT_NONE.
 */
export function endH2(connection: u32): i32 {
  setH2(connection, H2_GOAWAY_RECEIVED);
  setFlag(connection, CONNECTION_DRAINING);
  for (let stream = load<u32>(connection, C_STREAMS); stream != 0; stream = load<u32>(stream, S_NEXT)) {
    if (hasStreamFlag(stream, STREAM_RESET | STREAM_RECEIVED_END)) continue;
    setStreamFlag(stream, STREAM_RESET | STREAM_RESET_BY_PEER);
    const isUnsent = load<u32>(stream, S_ID) == 0;
    setStreamEvent(stream, H2_CANCEL, isUnsent ? RESET_BY_PEER | RESET_UNPROCESSED : RESET_BY_PEER);
    return EVENT_RESET;
  }
  return EVENT_NONE;
}

/** The last stream id that a GOAWAY of ours may name: the server's promises are kept, a client accepts no streams. */
function highestAccepted(connection: u32): u32 {
  if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) return 0;
  return hasH2(connection, H2_FINAL_SENT) ? load<u32>(connection, H_OWN_LAST) : load<u32>(connection, H_LAST_ID);
}
