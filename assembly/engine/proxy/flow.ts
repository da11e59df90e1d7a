// Room again: who was waiting for it goes on.
//
// A stream's own window opens: that stream. The connection's window or its socket: everybody who waits there, each
// once, in the order in which they began to wait, one quantum each (pipe.ts), so that no stream starves its neighbours.

import { OUTPUT_HIGH_BYTES } from "../../abi/limits.ts";
import { now } from "../http/event.ts";
import { C_OUT_BYTES } from "../tables/connections.ts";
import { S_EXCHANGE } from "../tables/streams.ts";
import { X_ACTIVITY, X_DOWN, X_REQUEST, X_RESPONSE, X_UP } from "./exchange.ts";
import { settle } from "./finish.ts";
import { CP_BLOCKED_HEAD, CP_BLOCKED_TAIL, flushPipe, pipeWaiting, unblock } from "./pipe.ts";
import { requestSink } from "./request.ts";

/** Serves those who wait for room on this connection. */
export function flushBlocked(connection: u32): void {
  const last = load<u32>(connection, CP_BLOCKED_TAIL);
  while (true) {
    const stream = load<u32>(connection, CP_BLOCKED_HEAD);
    if (stream == 0 || load<u32>(connection, C_OUT_BYTES) >= <u32>OUTPUT_HIGH_BYTES) return;
    flushStream(stream);
    if (stream == last) return;
  }
}

/** Goes on with what waits for this stream; it waits again, at the end of the list, when there is more. */
export function flushStream(stream: u32): void {
  unblock(stream);
  const exchange = load<u32>(stream, S_EXCHANGE);
  if (exchange == 0) return;
  if (load<u32>(exchange, X_DOWN) == stream) {
    const pipe = exchange + X_RESPONSE;
    const waiting = pipeWaiting(pipe);
    flushPipe(pipe, load<u32>(exchange, X_UP), stream);
    if (pipeWaiting(pipe) != waiting) store<u64>(exchange, now, X_ACTIVITY); // a slow reader is not idle
  } else if (requestSink(exchange) == stream) flushPipe(exchange + X_REQUEST, load<u32>(exchange, X_DOWN), stream);
  settle(exchange);
}
