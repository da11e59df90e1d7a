// What an attempt occupies while it is under way: a place in line, and its instance. And what its end says of that one.

import { RESULT_FAILED, RESULT_OK, RESULT_SLOW, RESULT_UNKNOWN } from "../../abi/balancer-codes.ts";
import {
  REASON_CONNECT_FAILED,
  REASON_CONNECT_TIMEOUT,
  REASON_IDLE_TIMEOUT,
  REASON_NONE,
  REASON_REQUEST_TIMEOUT,
  REASON_UPSTREAM_PROTOCOL,
  REASON_UPSTREAM_RESET,
} from "../../abi/engine-codes.ts";
import { observeInstance, release as releaseInstance } from "../balancer.ts";
import { now } from "../http/event.ts";
import {
  clearX,
  EXCHANGE_IS_IN_FLIGHT,
  EXCHANGE_IS_RIVAL,
  hasX,
  X_ATTEMPT_STARTED,
  X_GRPC_STATUS,
  X_INSTANCE,
  X_REASON,
  X_STATUS,
  X_UP,
  X_UPSTREAM_US,
} from "./exchange.ts";
import { noteTaken } from "./reports.ts";
import { removePending } from "./upstream.ts";

/** gRPC codes that say something of the server: UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS. */
const GRPC_FAILURES: u32 = (1 << 2) | (1 << 4) | (1 << 13) | (1 << 14) | (1 << 15);

/** The attempt under way is over: its instance is no longer busy with it. */
export function leaveInstance(exchange: u32, isFailure: bool): void {
  removePending(exchange);
  if (!hasX(exchange, EXCHANGE_IS_IN_FLIGHT)) return;
  clearX(exchange, EXCHANGE_IS_IN_FLIGHT);
  const slot = load<u32>(exchange, X_INSTANCE);
  // Until the response's head: how long its body takes is the reader's doing, and a stream may last for hours.
  const answeredUs = load<u32>(exchange, X_UPSTREAM_US);
  let us = answeredUs != 0 ? answeredUs : u32(now - load<u64>(exchange, X_ATTEMPT_STARTED));
  const result = isFailure ? RESULT_FAILED : resultOf(exchange);
  // Never sent, or sent late and given up soon: a few microseconds would make the instance look fast, and draw load.
  const saysNothing = load<u32>(exchange, X_UP) == 0 || hasX(exchange, EXCHANGE_IS_RIVAL);
  if (result == <u32>RESULT_UNKNOWN && saysNothing) us = 0;
  if (result != <u32>RESULT_UNKNOWN) noteTaken(slot, us);
  observeInstance(slot, us, result);
  releaseInstance(slot);
}

/** The attempt under way is given up, for its rival was faster: its instance takes at least this long. */
export function leaveSlow(exchange: u32): void {
  removePending(exchange);
  clearX(exchange, EXCHANGE_IS_IN_FLIGHT);
  const slot = load<u32>(exchange, X_INSTANCE);
  const isSent = load<u32>(exchange, X_UP) != 0;
  const us = isSent ? u32(now - load<u64>(exchange, X_ATTEMPT_STARTED)) : 0;
  observeInstance(slot, us, isSent ? RESULT_SLOW : RESULT_UNKNOWN);
  releaseInstance(slot);
}

/** Whether a response head, its grpc-status noted, says that its instance has failed. */
export function isFailedBy(exchange: u32, status: u32): bool {
  // 501 and 505 are about the request (RFC 9110 §15.6.2, §15.6.6).
  if (status >= 500 && status != 501 && status != 505) return true;
  const code = u32(load<u8>(exchange, X_GRPC_STATUS));
  return code < 32 && ((GRPC_FAILURES >> code) & 1) != 0;
}

/** RESULT_* of an attempt that nothing has called a failure yet. */
function resultOf(exchange: u32): u32 {
  switch (u32(load<u8>(exchange, X_REASON))) {
    case REASON_NONE:
      break;
    case REASON_REQUEST_TIMEOUT:
    case REASON_IDLE_TIMEOUT:
    case REASON_CONNECT_FAILED:
    case REASON_CONNECT_TIMEOUT:
    case REASON_UPSTREAM_RESET:
    case REASON_UPSTREAM_PROTOCOL:
      return RESULT_FAILED;
    default:
      return RESULT_UNKNOWN; // the client went away, or it was our own limit
  }
  const status = u32(load<u16>(exchange, X_STATUS));
  if (status == 0) return RESULT_UNKNOWN;
  return isFailedBy(exchange, status) ? RESULT_FAILED : RESULT_OK;
}
