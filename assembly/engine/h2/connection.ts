// Beginning, pace and end of a connection: RFC 9113 §3.4 (preface), §6.7 (PING), DESIGN §2 rule 13 (turns).

import {
  EVENT_NONE,
  EVENT_PONG,
  GLITCH_FRAME_SIZE,
  GLITCH_PING,
  GLITCH_STREAM_STATE,
  H2_ENHANCE_YOUR_CALM,
  H2_FRAME_SIZE_ERROR,
  H2_PROTOCOL_ERROR,
  NONE,
  ROLE_UPSTREAM,
} from "../../abi/engine-codes.ts";
import {
  H2_CONNECTION_WINDOW_BYTES,
  H2_PEER_STREAMS_MAX,
  H2_STREAM_WINDOW_BYTES,
  H2_STREAMS_MAX,
  H2_UPSTREAM_WINDOW_BYTES,
} from "../../abi/limits.ts";
import { release } from "../../core/pool.ts";
import { setHuffman } from "../hpack/encoder.ts";
import { createTables, destroyTables } from "../hpack/tables.ts";
import { setStreamEvent } from "../http/event.ts";
import { C_CODEC, C_PARTIAL, C_PARTIAL_BYTES, C_PEER_IS_PILLION, C_ROLE } from "../tables/connections.ts";
import { appendOutput } from "../tables/output.ts";
import { sendPing, sendWindowUpdate } from "./frame.ts";
import { spendAck, spendGlitch, startGuard, widenGuard } from "./guard.ts";
import { releaseBlock } from "./headers.ts";
import { sendSettings } from "./settings.ts";
import { failConnection } from "./shutdown.ts";
import {
  clearH2,
  FLAG_ACK,
  FRAME_BYTES_DEFAULT,
  H_DECODER,
  H_ENCODER,
  H_MODE,
  H_PEER_FRAME_BYTES,
  H_PEER_LAST,
  H_PEER_STREAM_WINDOW,
  H_PEER_STREAMS_MAX,
  H_PING,
  H_PREFACE_BYTES,
  H_RECEIVE_WINDOW,
  H_SEND_WINDOW,
  H_STREAM_WINDOW,
  H_STREAMS_MAX,
  H_TURN_FRAMES,
  H2_DEAD,
  H2_PING_SENT,
  H2_SETTINGS_SEEN,
  hasH2,
  MODE_PREFACE,
  STREAMS_DEFAULT,
  setH2,
  U31_MAX,
  WINDOW_DEFAULT,
} from "./state.ts";
import { isPoolTight } from "./window.ts";

/** PRI * HTTP/2.0 … SM: what a client says first. */
export const PREFACE: u32 = <u32>(
  memory.data<u8>([80, 82, 73, 32, 42, 32, 72, 84, 84, 80, 47, 50, 46, 48, 13, 10, 13, 10, 83, 77, 13, 10, 13, 10])
);
export const PREFACE_BYTES: u32 = 24;

const CODEC_BYTES: u32 = 320;
/** "pill" in the last four bytes of our PINGs; the number of the PING is in the first four. */
const PING_MARK: u64 = 0x6c6c697000000000;

/** Begins: C_ROLE, and C_PEER_IS_PILLION where that is known, are set. Queues preface, SETTINGS and WINDOW_UPDATE. */
export function startH2(connection: u32): void {
  memory.fill(connection + C_CODEC, 0, CODEC_BYTES);
  createTables(connection + H_DECODER);
  startGuard(connection);
  const isPeer = load<u8>(connection, C_PEER_IS_PILLION) != 0;
  if (isPeer) widenGuard(connection);
  store<i32>(connection, WINDOW_DEFAULT, H_SEND_WINDOW);
  store<i32>(connection, WINDOW_DEFAULT, H_PEER_STREAM_WINDOW);
  store<u32>(connection, FRAME_BYTES_DEFAULT, H_PEER_FRAME_BYTES);
  store<u32>(connection, STREAMS_DEFAULT, H_PEER_STREAMS_MAX);
  store<u32>(connection, U31_MAX, H_PEER_LAST);
  const isUpstream = load<u8>(connection, C_ROLE) == ROLE_UPSTREAM;
  const window: u32 = isUpstream ? H2_UPSTREAM_WINDOW_BYTES : H2_STREAM_WINDOW_BYTES;
  store<u32>(connection, isPoolTight() ? WINDOW_DEFAULT : window, H_STREAM_WINDOW);
  store<u32>(connection, isPeer ? H2_PEER_STREAMS_MAX : H2_STREAMS_MAX, H_STREAMS_MAX);
  store<i32>(connection, H2_CONNECTION_WINDOW_BYTES, H_RECEIVE_WINDOW);
  // Before the peer's SETTINGS nobody knows whom the block is for: plain text suits every decoder.
  setHuffman(connection + H_ENCODER, false);
  if (isUpstream) appendOutput(connection, PREFACE, PREFACE_BYTES);
  else {
    store<u8>(connection, u8(MODE_PREFACE), H_MODE);
    store<u8>(connection, u8(PREFACE_BYTES), H_PREFACE_BYTES);
  }
  sendSettings(connection);
  sendWindowUpdate(connection, 0, H2_CONNECTION_WINDOW_BYTES - WINDOW_DEFAULT);
}

/** Gives all of the codec's memory back. */
export function stopH2(connection: u32): void {
  releaseBlock(connection);
  const partial = load<u32>(connection, C_PARTIAL);
  if (partial != 0) release(partial);
  store<u32>(connection, 0, C_PARTIAL);
  store<u32>(connection, 0, C_PARTIAL_BYTES);
  destroyTables(connection + H_DECODER);
  setH2(connection, H2_DEAD);
}

/** Whether the peer's preface is complete: its first SETTINGS came (RFC 9113 §3.4). */
export function isOpenH2(connection: u32): bool {
  return hasH2(connection, H2_SETTINGS_SEEN);
}

/** A new turn of the event loop. */
export function startTurnH2(connection: u32): void {
  store<u16>(connection, 0, H_TURN_FRAMES);
}

/** Asks whether the peer is alive. One question at a time; EVENT_PONG is the answer. */
export function pingH2(connection: u32): void {
  if (hasH2(connection, H2_DEAD | H2_PING_SENT)) return;
  const number = load<u32>(connection, H_PING) + 1;
  store<u32>(connection, number, H_PING);
  setH2(connection, H2_PING_SENT);
  sendPing(connection, 0, PING_MARK | number);
}

/** PING (RFC 9113 §6.7). */
export function receivePing(connection: u32, flags: u32, id: u32, ptr: u32, length: u32): i32 {
  if (id != 0) return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_STREAM_STATE);
  if (length != 8) return failConnection(connection, H2_FRAME_SIZE_ERROR, GLITCH_FRAME_SIZE);
  const opaque = load<u64>(ptr);
  if ((flags & FLAG_ACK) == 0) {
    if (!spendAck(connection)) return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_PING);
    sendPing(connection, FLAG_ACK, opaque);
    return EVENT_NONE;
  }
  if (hasH2(connection, H2_PING_SENT) && opaque == (PING_MARK | load<u32>(connection, H_PING))) {
    clearH2(connection, H2_PING_SENT);
    setStreamEvent(NONE, 0, 0);
    return EVENT_PONG;
  }
  // An answer to nothing that we asked.
  if (spendGlitch(connection, GLITCH_PING)) return EVENT_NONE;
  return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_PING);
}
