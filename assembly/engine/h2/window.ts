// Flow control (RFC 9113 §5.2, §6.9), both levels, both directions.
//
// Receiving: a window shrinks by whole DATA payloads, padding included. Connection credit is returned on receipt, so
// that one slow stream holds up nobody else; stream credit when the proxy has passed the bytes on. Both are batched to
// half a window. The pool decides how much may be promised: above 25 % no upstream's stream gets the large window,
// above 80 % none gets more than RFC 9113's default, above 95 % the connection waits until something was released.
//
// Sending: windows may be negative (a smaller INITIAL_WINDOW_SIZE, §6.9.2). Sums are taken in 64 bits.

import {
  EVENT_CREDIT,
  EVENT_NONE,
  GLITCH_FLOW_CONTROL,
  GLITCH_FRAME_SIZE,
  GLITCH_STREAM_STATE,
  GLITCH_WINDOW_UPDATES,
  H2_ENHANCE_YOUR_CALM,
  H2_FLOW_CONTROL_ERROR,
  H2_FRAME_SIZE_ERROR,
  H2_PROTOCOL_ERROR,
  NONE,
  ROLE_UPSTREAM,
} from "../../abi/engine-codes.ts";
import {
  H2_CONNECTION_WINDOW_BYTES,
  H2_STREAM_WINDOW_BYTES,
  H2_UPSTREAM_WINDOW_BYTES,
  OUTPUT_HIGH_BYTES,
  POOL_PRESSURE_FULL,
  POOL_PRESSURE_HIGH,
  POOL_PRESSURE_NARROW,
} from "../../abi/limits.ts";
import { readU32 } from "../../core/bytes.ts";
import { poolPressure } from "../../core/pool.ts";
import { setStreamEvent } from "../http/event.ts";
import { C_OUT_BYTES, C_ROLE, C_STREAMS } from "../tables/connections.ts";
import {
  findStream,
  S_BODY_BYTES,
  S_CONNECTION,
  S_FLAGS,
  S_ID,
  S_NEXT,
  S_OWED,
  S_RECEIVE_WINDOW,
  S_SEND_WINDOW,
  STREAM_RECEIVED_END,
  STREAM_RESET,
  STREAM_SENT_END,
  setStreamFlag,
} from "../tables/streams.ts";
import { sendWindowUpdate } from "./frame.ts";
import { repaySmallData, spendWindowUpdate } from "./guard.ts";
import { failConnection } from "./shutdown.ts";
import {
  H_OWED,
  H_PEER_STREAM_WINDOW,
  H_RECEIVE_WINDOW,
  H_SEND_WINDOW,
  H_STREAM_WINDOW,
  H2_DEAD,
  hasH2,
  S_OUTSTANDING,
  S_OVERHEAD,
  STREAM_WIDE,
  U31_MAX,
  WINDOW_DEFAULT,
} from "./state.ts";
import { failStream, isIdle } from "./streams.ts";

/** Our INITIAL_WINDOW_SIZE for a connection that starts now. */
export function isPoolTight(): bool {
  return poolPressure() >= <u32>POOL_PRESSURE_HIGH;
}

/** Whether no stream gets the large window. */
function isPoolShort(): bool {
  return poolPressure() >= <u32>POOL_PRESSURE_NARROW;
}

/** DATA bytes that may be sent on a stream now. */
export function sendableH2(stream: u32): u32 {
  const connection = load<u32>(stream, S_CONNECTION);
  const waiting = load<u32>(connection, C_OUT_BYTES);
  if (waiting >= <u32>OUTPUT_HIGH_BYTES) return 0;
  const window = min(load<i32>(stream, S_SEND_WINDOW), load<i32>(connection, H_SEND_WINDOW));
  return window <= 0 ? 0 : min<u32>(window, <u32>OUTPUT_HIGH_BYTES - waiting);
}

/** The proxy has passed on `bytes` of a stream's body (bytes that it passes on twice, in a retry, count once). */
export function creditH2(stream: u32, bytes: u32): void {
  const outstanding = load<u32>(stream, S_OUTSTANDING);
  const passed = min(bytes, outstanding);
  if (passed == 0) return;
  const connection = load<u32>(stream, S_CONNECTION);
  if (load<u32>(stream, S_OVERHEAD) != 0) repaySmallData(connection, stream, passed);
  store<u32>(stream, outstanding - passed, S_OUTSTANDING);
  oweStream(connection, stream, passed);
}

/** Whether an upstream's stream has passed on half of its first window, and more of it is to come. */
export function isNarrowH2(stream: u32): bool {
  if ((load<u32>(stream, S_FLAGS) & (STREAM_WIDE | STREAM_RECEIVED_END | STREAM_RESET)) != 0) return false;
  if (load<u64>(stream, S_BODY_BYTES) < u64(H2_UPSTREAM_WINDOW_BYTES / 2)) return false;
  const connection = load<u32>(stream, S_CONNECTION);
  return load<u8>(connection, C_ROLE) == ROLE_UPSTREAM && !hasH2(connection, H2_DEAD) && !isPoolShort();
}

/** Gives such a stream the large window. */
export function widenH2(stream: u32): void {
  const connection = load<u32>(stream, S_CONNECTION);
  const more: u32 = H2_STREAM_WINDOW_BYTES - H2_UPSTREAM_WINDOW_BYTES;
  setStreamFlag(stream, STREAM_WIDE);
  store<i32>(stream, load<i32>(stream, S_RECEIVE_WINDOW) + i32(more), S_RECEIVE_WINDOW);
  sendWindowUpdate(connection, load<u32>(stream, S_ID), more);
}

/** Owes a stream `bytes` of credit, and gives it when half a window has come together. */
export function oweStream(connection: u32, stream: u32, bytes: u32): void {
  const owed = load<u32>(stream, S_OWED) + bytes;
  store<u32>(stream, owed, S_OWED);
  const isWide = (load<u32>(stream, S_FLAGS) & STREAM_WIDE) != 0;
  const full: u32 = isWide ? H2_STREAM_WINDOW_BYTES : load<u32>(connection, H_STREAM_WINDOW);
  if (owed < full >> 1 && (owed < WINDOW_DEFAULT >> 1 || poolPressure() < <u32>POOL_PRESSURE_HIGH)) return;
  if ((load<u32>(stream, S_FLAGS) & (STREAM_RECEIVED_END | STREAM_RESET)) != 0) return;
  if (hasH2(connection, H2_DEAD)) return;
  const window = load<i32>(stream, S_RECEIVE_WINDOW);
  let grant = owed;
  if (poolPressure() >= <u32>POOL_PRESSURE_HIGH) {
    if (window >= i32(WINDOW_DEFAULT >> 1)) return;
    grant = min(owed, WINDOW_DEFAULT - u32(max<i32>(window, 0)));
  }
  store<u32>(stream, owed - grant, S_OWED);
  store<i32>(stream, window + i32(grant), S_RECEIVE_WINDOW);
  sendWindowUpdate(connection, load<u32>(stream, S_ID), grant);
}

/** Owes the connection `bytes`, and gives credit when half a window has come together and the pool has room. */
export function creditConnection(connection: u32, bytes: u32): void {
  const owed = load<u32>(connection, H_OWED) + bytes;
  store<u32>(connection, owed, H_OWED);
  if (owed < <u32>H2_CONNECTION_WINDOW_BYTES >> 1) return;
  if (poolPressure() >= <u32>POOL_PRESSURE_FULL || hasH2(connection, H2_DEAD)) return;
  store<u32>(connection, 0, H_OWED);
  store<i32>(connection, load<i32>(connection, H_RECEIVE_WINDOW) + i32(owed), H_RECEIVE_WINDOW);
  sendWindowUpdate(connection, 0, owed);
}

/** WINDOW_UPDATE (RFC 9113 §6.9). */
export function receiveWindowUpdate(connection: u32, id: u32, ptr: u32, length: u32): i32 {
  if (length != 4) return failConnection(connection, H2_FRAME_SIZE_ERROR, GLITCH_FRAME_SIZE);
  if (!spendWindowUpdate(connection)) return failConnection(connection, H2_ENHANCE_YOUR_CALM, GLITCH_WINDOW_UPDATES);
  const increment = readU32(ptr) & U31_MAX;
  if (id == 0) {
    if (increment == 0) return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_FLOW_CONTROL);
    const window = load<i32>(connection, H_SEND_WINDOW);
    const sum = i64(window) + i64(increment);
    if (sum > i64(U31_MAX)) return failConnection(connection, H2_FLOW_CONTROL_ERROR, GLITCH_FLOW_CONTROL);
    store<i32>(connection, i32(sum), H_SEND_WINDOW);
    if (window > 0 || sum <= 0) return EVENT_NONE;
    setStreamEvent(NONE, 0, 0);
    return EVENT_CREDIT;
  }
  if (isIdle(connection, id)) return failConnection(connection, H2_PROTOCOL_ERROR, GLITCH_STREAM_STATE);
  const stream = findStream(connection, id);
  // Closed: WINDOW_UPDATE may cross our END_STREAM or RST_STREAM (RFC 9113 §5.1).
  if (stream == 0) return EVENT_NONE;
  const flags = load<u32>(stream, S_FLAGS);
  if ((flags & STREAM_RESET) != 0) return EVENT_NONE;
  if (increment == 0) return failStream(connection, stream, H2_PROTOCOL_ERROR, GLITCH_FLOW_CONTROL);
  const window = load<i32>(stream, S_SEND_WINDOW);
  const sum = i64(window) + i64(increment);
  if (sum > i64(U31_MAX)) return failStream(connection, stream, H2_FLOW_CONTROL_ERROR, GLITCH_FLOW_CONTROL);
  store<i32>(stream, i32(sum), S_SEND_WINDOW);
  if (window > 0 || sum <= 0 || (flags & STREAM_SENT_END) != 0) return EVENT_NONE;
  setStreamEvent(stream, 0, 0);
  return EVENT_CREDIT;
}

/** The peer's INITIAL_WINDOW_SIZE changed: every open stream follows (RFC 9113 §6.9.2). False on overflow. */
export function shiftWindows(connection: u32, size: u32): bool {
  const delta = i64(size) - i64(load<i32>(connection, H_PEER_STREAM_WINDOW));
  store<i32>(connection, i32(size), H_PEER_STREAM_WINDOW);
  if (delta == 0) return true;
  for (let stream = load<u32>(connection, C_STREAMS); stream != 0; stream = load<u32>(stream, S_NEXT)) {
    if (load<u32>(stream, S_ID) == 0) continue; // its window starts with its head
    const sum = i64(load<i32>(stream, S_SEND_WINDOW)) + delta;
    if (sum > i64(U31_MAX)) return false;
    store<i32>(stream, i32(sum), S_SEND_WINDOW);
  }
  return true;
}
