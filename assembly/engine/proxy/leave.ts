// Clients that leave: they gave up, their connection is gone, or they only said that they send nothing more.

import { REASON_CLIENT_GONE, REASON_NONE } from "../../abi/engine-codes.ts";
import { HALF_CLOSE_MS } from "../../abi/limits.ts";
import { closeAfterResponseH1 } from "../h1/index.ts";
import { now } from "../http/event.ts";
import { S_CONNECTION, S_EXCHANGE } from "../tables/streams.ts";
import { endAnswered } from "./early.ts";
import { EXCHANGE_REQUEST_ENDED, hasX, X_REASON, X_REQUEST_ENDED } from "./exchange.ts";
import { finishExchange } from "./finish.ts";

/** The client gave up, or its connection is gone: upstream hears of it in this turn. */
export function receiveDownstreamReset(stream: u32): void {
  const exchange = load<u32>(stream, S_EXCHANGE);
  if (exchange == 0) {
    endAnswered(stream);
    return;
  }
  if (load<u8>(exchange, X_REASON) == REASON_NONE) store<u8>(exchange, u8(REASON_CLIENT_GONE), X_REASON);
  finishExchange(exchange);
}

/**
 * The client of an HTTP/1.1 stream said FIN while it waits for its answer. Right behind the request it is a half-close,
 * as scripts make it, and the answer is still wanted. Later it is a closed socket: the client gave up, as nginx, Envoy
 * and Go take it too, and upstream hears of it at once. True when it gave up.
 */
export function receiveDownstreamEnd(stream: u32): bool {
  const exchange = load<u32>(stream, S_EXCHANGE);
  const isHalfClose = hasX(exchange, EXCHANGE_REQUEST_ENDED) && isRecent(load<u64>(exchange, X_REQUEST_ENDED));
  if (isHalfClose) closeAfterResponseH1(load<u32>(stream, S_CONNECTION));
  else receiveDownstreamReset(stream);
  return !isHalfClose;
}

/**
 * The same behind further requests that wait for their turn, of which the last byte that was read came at `heard`:
 * scripts send them all and half-close. True when the client gave up.
 */
export function receivePipelineEnd(stream: u32, heard: u64): bool {
  const exchange = load<u32>(stream, S_EXCHANGE);
  if (exchange == 0 || !hasX(exchange, EXCHANGE_REQUEST_ENDED) || isRecent(heard)) return false;
  receiveDownstreamReset(stream);
  return true;
}

function isRecent(time: u64): bool {
  return now - time <= u64(HALF_CLOSE_MS) * 1000;
}
