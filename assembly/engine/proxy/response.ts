// The way back: what upstream says, to downstream.
//
// Until a response head goes downstream an attempt may fail and be tried again; from then on the exchange is bound to
// this one, and its failure is a reset that the client sees.

import {
  H2_CANCEL,
  H2_REFUSED_STREAM,
  REASON_REQUEST_TIMEOUT,
  REASON_RESOURCE_EXHAUSTED,
  REASON_UPSTREAM_PROTOCOL,
  REASON_UPSTREAM_RESET,
  RESET_BY_PEER,
  RESET_UNPROCESSED,
} from "../../abi/engine-codes.ts";
import { NAME_GRPC_STATUS, NAME_X_PILLION_UNPROCESSED } from "../../abi/field-names.ts";
import {
  POLICY_RETRY_GRPC,
  POLICY_RETRY_STATUS,
  POLICY_RETRY_STATUS_COUNT,
  POLICY_RETRY_WHEN,
  RETRY_IDEMPOTENT,
} from "../../abi/policy.ts";
import { now } from "../http/event.ts";
import {
  FIELD_VALUE,
  FIELD_VALUE_BYTES,
  findField,
  HEAD_STATUS,
  persistHead,
  releaseHead,
  removeField,
} from "../http/head.ts";
import { editResponse } from "../route/index.ts";
import { hasStreamFlag, S_EXCHANGE, STREAM_RECEIVED_END } from "../tables/streams.ts";
import { announceClose, answer } from "./answer.ts";
import { noteHead } from "./answered.ts";
import { canRetry, failAttempt, hasAttemptLeft, mayRetry, retry } from "./attempt.ts";
import {
  EXCHANGE_CONVERTED,
  EXCHANGE_IS_CONNECT,
  EXCHANGE_IS_IDEMPOTENT,
  EXCHANGE_IS_MIRROR,
  EXCHANGE_IS_TUNNEL,
  EXCHANGE_IS_UPGRADE,
  EXCHANGE_TO_SIDECAR,
  hasX,
  STATE_SENT,
  X_ACTIVITY,
  X_DEADLINE,
  X_DETAIL,
  X_DOWN,
  X_EDITS,
  X_GRPC_STATUS,
  X_POLICY,
  X_REQUEST,
  X_RESPONSE,
  X_RIVAL,
  X_SENT,
  X_STATE,
  X_UP,
} from "./exchange.ts";
import { abandonUpstream, finishExchange, settle } from "./finish.ts";
import { decideHedge, endHedge, hasRival, takeOver } from "./hedge.ts";
import { dropHeld, hold, isByTimer, isHeld, isTooMuchToHold, nextDue, takeHeld } from "./hold.ts";
import { isH2, sendHead, sendInformational } from "./leg.ts";
import {
  HEDGE_LOST,
  HEDGE_TOOK_OVER,
  OUTCOME_REFUSED,
  OUTCOME_RESET,
  OUTCOME_STATUS,
  OUTCOME_TIMEOUT,
  recordAttempt,
} from "./metrics.ts";
import { receiveMirrored, receiveMirroredData } from "./mirror.ts";
import { leaveInstance } from "./occupancy.ts";
import { dropKept, flushPipe, markPipeClosed, pipeData, pipeEnd, pipeWaiting } from "./pipe.ts";
import { forgetUnproven, holdUnproven } from "./probation.ts";
import { noteStall } from "./stall.ts";
import { armExchange } from "./timeouts.ts";
import { openTunnel } from "./tunnel.ts";
import { isAccepted } from "./upgrade.ts";

/** A final response head. */
export function receiveResponse(stream: u32, head: u32, end: bool): void {
  let exchange = load<u32>(stream, S_EXCHANGE);
  if (load<u8>(exchange, X_STATE) != STATE_SENT) return;
  store<u64>(exchange, now, X_ACTIVITY);
  const status = u32(load<u16>(head, HEAD_STATUS));
  const isUnprocessed = takeMark(exchange, head);
  noteGrpcStatus(exchange, head);
  if (load<u32>(exchange, X_RIVAL) != 0) {
    exchange = decideHedge(exchange, status, isUnprocessed);
    if (exchange == 0) return;
  }
  if (hasX(exchange, EXCHANGE_IS_MIRROR)) {
    receiveMirrored(exchange, status, end);
    return;
  }
  const isRetried = isRetriedStatus(exchange, status) || (end && isRetriedGrpc(exchange));
  if (isUnprocessed ? canRetry(exchange, true) : isRetried && mayRetry(exchange, true)) {
    retryAnswered(exchange, isUnprocessed ? OUTCOME_REFUSED : OUTCOME_STATUS, isUnprocessed);
    return;
  }
  if (!end && status == 200 && (hold(exchange, head) || holdUnproven(exchange, head))) return;
  passHead(exchange, head, status, end);
}

/** Nothing stands against this answer any more: its head goes downstream. */
function passHead(exchange: u32, head: u32, status: u32, end: bool): void {
  if (isMisleading(exchange, status, head)) {
    answer(exchange, REASON_UPSTREAM_PROTOCOL);
    return;
  }
  if (hasRival(exchange)) endHedge(exchange, HEDGE_LOST);
  noteHead(exchange, status);
  dropKept(exchange + X_REQUEST);
  if (load<u32>(exchange, X_EDITS) != 0) editResponse(head, load<u32>(exchange, X_EDITS));
  if (hasX(exchange, EXCHANGE_IS_UPGRADE | EXCHANGE_IS_CONNECT) && isSwitch(exchange, status)) {
    openTunnel(exchange, head);
    return;
  }
  const down = load<u32>(exchange, X_DOWN);
  announceClose(exchange, down);
  sendHead(down, head, end);
  if (end) {
    markPipeClosed(exchange + X_RESPONSE);
    settle(exchange);
    return;
  }
  armExchange(exchange);
}

/** The answer says that another attempt is to be made. */
function retryAnswered(exchange: u32, outcome: u32, isUnprocessed: bool): void {
  recordAttempt(exchange, outcome);
  leaveInstance(exchange, true);
  store<u8>(exchange, 255, X_GRPC_STATUS);
  abandonUpstream(exchange, H2_CANCEL);
  if (hasRival(exchange)) takeOver(exchange, HEDGE_TOOK_OVER);
  else retry(exchange, isUnprocessed);
}

/** A held answer goes downstream after all: its head, and what waits behind it. */
export function passHeld(exchange: u32): void {
  const head = takeHeld(exchange);
  passHead(exchange, head, load<u16>(head, HEAD_STATUS), false);
  releaseHead(head);
  flushPipe(exchange + X_RESPONSE, load<u32>(exchange, X_UP), load<u32>(exchange, X_DOWN));
}

/** Passes on what was held for long enough. */
export function passDue(): void {
  let exchange = nextDue();
  while (exchange != 0) {
    passHeld(exchange);
    exchange = nextDue();
  }
}

/** An informational response: passed on to those who can take it. */
export function receiveInformational(stream: u32, head: u32): void {
  const exchange = load<u32>(stream, S_EXCHANGE);
  if (load<u8>(exchange, X_STATE) != STATE_SENT) return;
  store<u64>(exchange, now, X_ACTIVITY);
  // A copy has no client, and a rival none yet.
  const down = load<u32>(exchange, X_DOWN);
  if (down != 0) sendInformational(down, head);
}

/** Response body bytes. */
export function receiveResponseData(stream: u32, ptr: u32, length: u32, end: bool): void {
  const exchange = load<u32>(stream, S_EXCHANGE);
  if (hasX(exchange, EXCHANGE_IS_MIRROR)) {
    receiveMirroredData(exchange, stream, length, end);
    return;
  }
  store<u64>(exchange, now, X_ACTIVITY);
  store<u64>(exchange, load<u64>(exchange, X_SENT) + length, X_SENT);
  if (isHeld(exchange) && (end || isTooMuchToHold(exchange, length))) passHeld(exchange);
  if (!pipeData(exchange + X_RESPONSE, stream, load<u32>(exchange, X_DOWN), ptr, length, end, 0)) {
    answer(exchange, REASON_RESOURCE_EXHAUSTED);
    return;
  }
  if (pipeWaiting(exchange + X_RESPONSE) != 0) noteStall(exchange);
  if (end) settle(exchange);
}

/** The response's end, with trailers (a scratch head) or without (0). */
export function receiveResponseEnd(stream: u32, trailers: u32): void {
  const exchange = load<u32>(stream, S_EXCHANGE);
  store<u64>(exchange, now, X_ACTIVITY);
  let kept: u32 = 0;
  if (trailers != 0) noteGrpcStatus(exchange, trailers);
  if (hasX(exchange, EXCHANGE_IS_MIRROR)) {
    finishExchange(exchange);
    return;
  }
  if (trailers != 0) {
    if (isHeld(exchange) && isRetriedGrpc(exchange) && mayRetry(exchange, true)) {
      dropHeld(exchange);
      store<u64>(exchange, 0, X_SENT);
      retryAnswered(exchange, OUTCOME_STATUS, false);
      return;
    }
    kept = persistHead(trailers, 0, 0);
    if (kept == 0) {
      answer(exchange, REASON_RESOURCE_EXHAUSTED);
      return;
    }
  }
  if (isHeld(exchange)) passHeld(exchange);
  pipeEnd(exchange + X_RESPONSE, stream, load<u32>(exchange, X_DOWN), kept);
  settle(exchange);
}

/** The upstream stream was reset, by its peer or because what came was malformed. */
export function receiveUpstreamReset(stream: u32, code: u32, flags: u32): void {
  const exchange = load<u32>(stream, S_EXCHANGE);
  store<u32>(exchange, code, X_DETAIL);
  const isUnprocessed = (flags & RESET_UNPROCESSED) != 0 || code == H2_REFUSED_STREAM;
  const reason = (flags & RESET_BY_PEER) != 0 ? REASON_UPSTREAM_RESET : REASON_UPSTREAM_PROTOCOL;
  loseUpstream(exchange, reason, isUnprocessed);
}

/** An upstream stream is gone without a whole response. */
export function loseUpstream(exchange: u32, reason: u32, isUnprocessed: bool): void {
  if (isByTimer(exchange)) forgetUnproven(exchange);
  else if (isHeld(exchange)) passHeld(exchange);
  // A server that was told the caller's deadline gives up at the same moment as we do, and may be heard first.
  const deadline = load<u64>(exchange, X_DEADLINE);
  if (deadline != 0 && deadline <= now) {
    recordAttempt(exchange, OUTCOME_TIMEOUT);
    answer(exchange, REASON_REQUEST_TIMEOUT);
    return;
  }
  if (hasStreamFlag(load<u32>(exchange, X_UP), STREAM_RECEIVED_END) && !hasX(exchange, EXCHANGE_IS_TUNNEL)) {
    // All of the response is here, only its reader is slow: nothing of it is lost with the stream.
    abandonUpstream(exchange, H2_CANCEL);
    return;
  }
  if (load<u8>(exchange, X_STATE) != STATE_SENT) {
    recordAttempt(exchange, OUTCOME_RESET);
    answer(exchange, reason);
    return;
  }
  abandonUpstream(exchange, H2_CANCEL);
  failAttempt(exchange, reason, isUnprocessed, isUnprocessed ? OUTCOME_REFUSED : OUTCOME_RESET);
}

/**
 * A 2xx to an Upgrade says no to it; as the answer to an extended CONNECT it would say yes (RFC 8441 §5). A 101 that
 * does not accept our key comes from somebody who has not read it (RFC 6455 §4.1).
 */
function isMisleading(exchange: u32, status: u32, head: u32): bool {
  if (!hasX(exchange, EXCHANGE_CONVERTED) || isH2(load<u32>(exchange, X_UP))) return false;
  return status == 101 ? !isAccepted(exchange, head) : status >= 200 && status < 300;
}

/** Whether this status makes a tunnel: 101 for an Upgrade, 2xx for a CONNECT of either kind. */
function isSwitch(exchange: u32, status: u32): bool {
  if (status == 101) return true;
  const up = load<u32>(exchange, X_UP);
  if (hasX(exchange, EXCHANGE_IS_UPGRADE) && !isH2(up)) return false;
  return status >= 200 && status < 300;
}

/** Takes the mark of an answer that no app can have seen; it is believed only from sidecars (DESIGN §2). */
function takeMark(exchange: u32, head: u32): bool {
  if (findField(head, NAME_X_PILLION_UNPROCESSED) == 0) return false;
  removeField(head, NAME_X_PILLION_UNPROCESSED);
  return hasX(exchange, EXCHANGE_TO_SIDECAR);
}

/** Statuses that the policy names, and 502, 503, 504 of idempotent requests (DESIGN §5). */
function isRetriedStatus(exchange: u32, status: u32): bool {
  if (status < 400) return false;
  const policy = exchange + X_POLICY;
  const count = u32(load<u8>(policy, POLICY_RETRY_STATUS_COUNT));
  for (let index: u32 = 0; index < count; index += 1) {
    if (u32(load<u16>(policy + POLICY_RETRY_STATUS + index * 2)) == status) return hasAttemptLeft(exchange);
  }
  if (status < 502 || status > 504 || !hasX(exchange, EXCHANGE_IS_IDEMPOTENT)) return false;
  return (load<u32>(policy, POLICY_RETRY_WHEN) & RETRY_IDEMPOTENT) != 0 && hasAttemptLeft(exchange);
}

/** A trailers-only answer with a grpc-status that the policy names. */
function isRetriedGrpc(exchange: u32): bool {
  const code = u32(load<u8>(exchange, X_GRPC_STATUS));
  if (code > 31) return false;
  return ((load<u32>(exchange + X_POLICY, POLICY_RETRY_GRPC) >> code) & 1) != 0 && hasAttemptLeft(exchange);
}

function noteGrpcStatus(exchange: u32, head: u32): void {
  const field = findField(head, NAME_GRPC_STATUS);
  if (field == 0) return;
  const value = load<u32>(field, FIELD_VALUE);
  let code: u32 = 0;
  const bytes = min<u32>(u32(load<u16>(field, FIELD_VALUE_BYTES)), 2);
  for (let at: u32 = 0; at < bytes; at += 1) code = code * 10 + (u32(load<u8>(value + at)) - 48);
  store<u8>(exchange, u8(min<u32>(code, 254)), X_GRPC_STATUS);
}
