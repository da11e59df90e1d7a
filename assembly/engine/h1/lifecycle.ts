// An HTTP/1.1 connection's life: started, lent to one stream after another, stopped.
//
// The codec closes nothing but what it must abort. It says whether the connection may carry another message
// (`isReusableH1`); whoever owns the socket closes it when not. RFC 9112 §9.

import { PROTOCOL_H1, ROLE_UPSTREAM } from "../../abi/engine-codes.ts";
import { H1_NARROW_READ_BYTES, OUTPUT_HIGH_BYTES, POOL_PRESSURE_NARROW } from "../../abi/limits.ts";
import { poolPressure } from "../../core/pool.ts";
import { inputEnd } from "../http/event.ts";
import { C_CODEC, C_OUT_BYTES, C_PROTOCOL, C_READS_NARROW, C_ROLE } from "../tables/connections.ts";
import { requestAbort, requestClose } from "../tables/control.ts";
import {
  createStream,
  destroyStream,
  hasStreamFlag,
  S_BODY_BYTES,
  S_CONNECTION,
  S_FLAGS,
  STREAM_RECEIVED_END,
  STREAM_RECEIVED_HEAD,
  STREAM_RESET,
  STREAM_SENT_END,
  STREAM_SENT_HEAD,
  STREAM_TUNNEL,
  setStreamFlag,
} from "../tables/streams.ts";
import {
  clearH1,
  dropPartial,
  H_EXTENSION_BYTES,
  H_FIELD_BYTES,
  H_INFORMATIONAL,
  H_KEEP_ALIVE,
  H_LEADING,
  H_STATE,
  H_STREAM,
  H1_CLOSE,
  H1_EXPECTS,
  H1_TAKES_TRAILERS,
  hasH1,
  S_H1_SEND,
  SEND_TUNNEL,
  STATE_DISCARD,
  STATE_DONE,
  STATE_START,
  STATE_TUNNEL,
  setH1,
  setState,
} from "./state.ts";

/** Bytes of connection state that this codec uses, from C_CODEC. */
const STATE_BYTES: u32 = 64;

/** Makes a connection an HTTP/1.1 one; its role is set. */
export function startH1(connection: u32): void {
  memory.fill(connection + C_CODEC, 0, STATE_BYTES);
  store<u8>(connection, u8(PROTOCOL_H1), C_PROTOCOL);
  if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) store<u8>(connection, 1, C_READS_NARROW);
}

/** Frees what the codec holds; the stream, if any, was released before. */
export function stopH1(connection: u32): void {
  dropPartial(connection);
  setState(connection, STATE_DISCARD);
  setH1(connection, H1_CLOSE);
}

/** Takes the upstream connection for a request: its stream, or 0 when it is busy, closing or the table is full. */
export function openH1(connection: u32): u32 {
  assert(load<u8>(connection, C_ROLE) == ROLE_UPSTREAM);
  if (!isReusableH1(connection)) return 0;
  const stream = createStream(connection, 0);
  store<u32>(connection, stream, H_STREAM);
  store<u8>(connection, 1, C_READS_NARROW);
  return stream;
}

/** Whether an upstream's answer is read in small portions (abi/limits.ts, H1_NARROW_READ_BYTES). */
export function isNarrowH1(stream: u32): bool {
  const connection = load<u32>(stream, S_CONNECTION);
  return load<u8>(connection, C_ROLE) == ROLE_UPSTREAM && load<u8>(connection, C_READS_NARROW) != 0;
}

/** Whether half of such a portion has been passed on, and there is memory for large ones. */
export function earnsWideH1(stream: u32): bool {
  if (!isNarrowH1(stream) || load<u64>(stream, S_BODY_BYTES) < u64(H1_NARROW_READ_BYTES / 2)) return false;
  return poolPressure() < <u32>POOL_PRESSURE_NARROW;
}

/** Reads it in large portions from here on. */
export function widenH1(stream: u32): void {
  store<u8>(load<u32>(stream, S_CONNECTION), 0, C_READS_NARROW);
}

/** Gives a stream up. The connection is ready for the next message only if both sides of this one are complete. */
export function releaseStreamH1(stream: u32): void {
  const connection = load<u32>(stream, S_CONNECTION);
  const both = STREAM_RECEIVED_END | STREAM_SENT_END;
  const ended = (load<u32>(stream, S_FLAGS) & (both | STREAM_RESET | STREAM_TUNNEL)) == both;
  destroyStream(stream);
  dropPartial(connection);
  store<u32>(connection, 0, H_STREAM);
  store<u8>(connection, 0, H_LEADING);
  store<u8>(connection, 0, H_INFORMATIONAL);
  store<u32>(connection, 0, H_EXTENSION_BYTES);
  store<u32>(connection, 0, H_FIELD_BYTES);
  clearH1(connection, H1_EXPECTS | H1_TAKES_TRAILERS);
  if (!ended || hasH1(connection, H1_CLOSE)) {
    setH1(connection, H1_CLOSE);
    setState(connection, STATE_DISCARD);
  } else setState(connection, STATE_START);
}

/**
 * The peer's message is complete, and ended before `next`. Bytes that a server sends behind its answer must not be
 * taken for the answer to the next request, however soon that is opened: the connection is then not used again.
 */
export function finishReceiving(connection: u32, stream: u32, next: u32): void {
  setState(connection, STATE_DONE);
  setStreamFlag(stream, STREAM_RECEIVED_END);
  if (next != inputEnd && load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) setH1(connection, H1_CLOSE);
}

/** Whether another message may begin now: downstream the next request, upstream `openH1`. */
export function isReusableH1(connection: u32): bool {
  if (load<u32>(connection, H_STREAM) != 0 || hasH1(connection, H1_CLOSE)) return false;
  return load<u8>(connection, H_STATE) == STATE_START;
}

/** Seconds for which the server said that it keeps this connection when idle; 0 = it did not say. */
export function keepAliveSecondsH1(connection: u32): u32 {
  return load<u16>(connection, H_KEEP_ALIVE);
}

/** Whether the connection ends with the message under way (or, without one, now). */
export function wantsCloseH1(connection: u32): bool {
  return hasH1(connection, H1_CLOSE);
}

/** Drain: the next head that we send says `connection: close`, and no message follows. */
export function closeAfterResponseH1(connection: u32): void {
  setH1(connection, H1_CLOSE);
}

/** Bytes of DATA that may be sent now. */
export function sendableH1(stream: u32): u32 {
  const held = load<u32>(load<u32>(stream, S_CONNECTION), C_OUT_BYTES);
  return held >= <u32>OUTPUT_HIGH_BYTES ? 0 : OUTPUT_HIGH_BYTES - held;
}

/** HTTP/1.1 has no credit: reading is paused instead. */
export function creditH1(_stream: u32, _bytes: u32): void {}

/**
 * Breaks the stream off, and with it the connection. A response that has begun is cut with a reset of the socket, so
 * that no length of it looks complete (RFC 9112 §8); so is a request that was not sent completely.
 */
export function resetH1(stream: u32, _code: u32): void {
  if (hasStreamFlag(stream, STREAM_RESET)) return;
  setStreamFlag(stream, STREAM_RESET);
  const connection = load<u32>(stream, S_CONNECTION);
  setH1(connection, H1_CLOSE);
  setState(connection, STATE_DISCARD);
  if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) {
    const sent = hasStreamFlag(stream, STREAM_SENT_END) && load<u32>(connection, C_OUT_BYTES) == 0;
    if (sent) requestClose(connection);
    else requestAbort(connection);
    return;
  }
  const begun = hasStreamFlag(stream, STREAM_SENT_HEAD) && !hasStreamFlag(stream, STREAM_SENT_END);
  if (begun) requestAbort(connection);
  else requestClose(connection);
}

/**
 * From here on bytes pass both ways as they are: after a 2xx to CONNECT or a 101 the codec does it by itself; a bare
 * TCP connection is opened and made one at once.
 */
export function becomeTunnelH1(stream: u32): void {
  const connection = load<u32>(stream, S_CONNECTION);
  setStreamFlag(stream, STREAM_TUNNEL | STREAM_RECEIVED_HEAD | STREAM_SENT_HEAD);
  store<u8>(stream, u8(SEND_TUNNEL), S_H1_SEND);
  setH1(connection, H1_CLOSE);
  setState(connection, STATE_TUNNEL);
}
