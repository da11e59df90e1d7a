// The way in: a request head becomes an exchange, is routed, and its first attempt begins.

import { COUNTER_REQUESTS } from "../../abi/balancer-codes.ts";
import {
  H2_REFUSED_STREAM,
  HEAD_RESPONSE,
  PROTOCOL_H1,
  REASON_BAD_REQUEST,
  REASON_LOOP,
  REASON_NONE,
  REASON_OVERFLOW,
  REASON_RATE_LIMITED,
  REASON_RESOURCE_EXHAUSTED,
} from "../../abi/engine-codes.ts";
import { ANSWER_HEAD } from "../../abi/engine-memory.ts";
import { LISTENER_INBOUND } from "../../abi/engine-records.ts";
import { NAME_IDEMPOTENCY_KEY } from "../../abi/field-names.ts";
import { UNROUTED_INBOUND_METRICS, UNROUTED_OUTBOUND_METRICS } from "../../abi/metrics.ts";
import {
  HASH_NONE,
  HEDGE_NONE,
  POLICY_AUTO,
  POLICY_BODY_LIMIT,
  POLICY_BYTES,
  POLICY_HASH_SOURCE,
  POLICY_HEDGE,
  POLICY_IDLE_TIMEOUT,
  POLICY_METRICS,
  POLICY_NO_TIMEOUT,
  POLICY_REQUEST_TIMEOUT,
  POLICY_RETRY_ATTEMPTS,
  POLICY_SERVICE,
} from "../../abi/policy.ts";
import { RULE_IS_FORWARD } from "../../abi/route-program.ts";
import { capacityOf } from "../../core/pool.ts";
import { admit } from "../balancer.ts";
import { now } from "../http/event.ts";
import {
  findField,
  HEAD_AUTHORITY,
  HEAD_AUTHORITY_BYTES,
  HEAD_CONTENT_LENGTH,
  HEAD_IS_EXTENDED_CONNECT,
  HEAD_IS_GRPC,
  HEAD_IS_UPGRADE,
  HEAD_METHOD_ID,
  HEAD_STATUS,
  hasHeadFlag,
  METHOD_CONNECT,
  METHOD_DELETE,
  METHOD_GET,
  METHOD_HEAD,
  METHOD_OPTIONS,
  METHOD_PUT,
  METHOD_TRACE,
  persistHead,
  startHead,
} from "../http/head.ts";
import { randomU32 } from "../random.ts";
import {
  answerRule,
  hashOf,
  keepEdits,
  matchRoute,
  nameBytes,
  rewriteHead,
  routeAction,
  routePolicy,
  routeRule,
  routeSet,
  ruleText,
  ruleTextBytes,
  serviceName,
} from "../route/index.ts";
import {
  C_HEAD_BYTES,
  C_LISTENER,
  C_PEER,
  C_PEER_BYTES,
  C_PROTOCOL,
  CONNECTION_LINGER,
  setFlag,
} from "../tables/connections.ts";
import { S_CONNECTION, S_EXCHANGE } from "../tables/streams.ts";
import { announceClose, answer, sendAnswerBody } from "./answer.ts";
import { clearSkips } from "./attempt.ts";
import { fillBudget } from "./budget.ts";
import { CP_LISTENER_SERVICE } from "./downstream.ts";
import { endAnswered, receiveAnsweredData } from "./early.ts";
import {
  createExchange,
  EXCHANGE_IS_ADMITTED,
  EXCHANGE_IS_CONNECT,
  EXCHANGE_IS_GRPC,
  EXCHANGE_IS_IDEMPOTENT,
  EXCHANGE_IS_ROUTED,
  EXCHANGE_IS_TUNNEL,
  EXCHANGE_IS_UPGRADE,
  EXCHANGE_OWN_ANSWER,
  EXCHANGE_REQUEST_ENDED,
  hasX,
  STATE_ANSWERED,
  STATE_WAITING,
  setX,
  X_ACTIVITY,
  X_DEADLINE,
  X_DETAIL,
  X_DOWN,
  X_EDITS,
  X_GRPC_STATUS,
  X_HASH,
  X_HEAD,
  X_HEAD_BYTES,
  X_LISTENER,
  X_PEER,
  X_PEER_BYTES,
  X_POLICY,
  X_RECEIVED,
  X_REQUEST,
  X_REQUEST_ENDED,
  X_RESPONSE,
  X_SET,
  X_STARTED,
  X_STATE,
  X_STATUS,
  X_UP,
} from "./exchange.ts";
import { beginOrWait, drawFault } from "./fault.ts";
import { settle } from "./finish.ts";
import { completeRequest } from "./forwarded.ts";
import { takeGrpcTimeout } from "./grpc-timeout.ts";
import { prepareHedge } from "./hedge.ts";
import { credit, releaseStream, reset, sendHead } from "./leg.ts";
import { drawMirror, mirrorWhole } from "./mirror.ts";
import { keepPipe, markPipeClosed, pipeData, pipeEnd } from "./pipe.ts";
import { hasMemoryFor } from "./pressure.ts";
import { takeRateToken } from "./rate-limit.ts";
import { armExchange } from "./timeouts.ts";

/** A request head: `head` is the scratch head, `end` says that no body follows. */
export function receiveRequest(stream: u32, head: u32, end: bool): void {
  const connection = load<u32>(stream, S_CONNECTION);
  const hasMemory = hasMemoryFor(connection);
  const exchange = openExchange(stream, connection, head);
  if (exchange == 0) return;
  if (end) {
    noteRequestEnd(exchange);
    pipeEnd(exchange + X_REQUEST, 0, 0, 0);
  }
  const reason = hasMemory ? routeRequest(exchange, connection, head) : REASON_RESOURCE_EXHAUSTED;
  // The head is kept even when there is nothing to forward: the log and the answer speak of it.
  const kept = persistHead(head, 0, 0);
  store<u32>(exchange, kept, X_HEAD);
  if (kept != 0) countHead(exchange, connection, kept);
  if (reason != REASON_NONE || kept == 0) {
    answer(exchange, kept == 0 ? REASON_RESOURCE_EXHAUSTED : reason);
    return;
  }
  if (routeAction != <u32>RULE_IS_FORWARD) {
    answerByRule(exchange, stream);
    return;
  }
  if (drawFault(exchange, routeRule)) return;
  const policy = exchange + X_POLICY;
  if (admit(load<u32>(policy, POLICY_SERVICE), COUNTER_REQUESTS) == 0) {
    store<u32>(exchange, COUNTER_REQUESTS, X_DETAIL);
    answer(exchange, REASON_OVERFLOW);
    return;
  }
  setX(exchange, EXCHANGE_IS_ADMITTED);
  fillBudget(policy);
  if (load<u8>(policy, POLICY_HEDGE) != HEDGE_NONE) prepareHedge(exchange);
  const isMirrored = drawMirror(exchange, routeRule);
  if (isMirrored || load<u8>(policy, POLICY_RETRY_ATTEMPTS) != 0) keepPipe(exchange + X_REQUEST);
  if (isMirrored && end) mirrorWhole(exchange);
  beginOrWait(exchange);
}

/** A request that its codec refused: it is answered, never forwarded. */
export function refuseRequest(stream: u32, head: u32, reason: u32): void {
  let exchange = load<u32>(stream, S_EXCHANGE);
  const connection = load<u32>(stream, S_CONNECTION);
  // What follows a refused HTTP/1.1 message is not read as one; the answer must not be lost to a reset for that.
  if (load<u8>(connection, C_PROTOCOL) == PROTOCOL_H1) setFlag(connection, CONNECTION_LINGER);
  if (exchange == 0) {
    exchange = openExchange(stream, connection, head);
    if (exchange == 0) return;
  }
  answer(exchange, reason);
}

/** Request body bytes. */
export function receiveRequestData(stream: u32, ptr: u32, length: u32, end: bool): void {
  const exchange = load<u32>(stream, S_EXCHANGE);
  if (exchange == 0) {
    receiveAnsweredData(stream, end);
    return;
  }
  store<u64>(exchange, now, X_ACTIVITY);
  store<u64>(exchange, load<u64>(exchange, X_RECEIVED) + length, X_RECEIVED);
  if (end) noteRequestEnd(exchange);
  if (hasX(exchange, EXCHANGE_OWN_ANSWER)) {
    credit(stream, length); // nobody wants it any more
    return;
  }
  const limit = load<u32>(exchange + X_POLICY, POLICY_BODY_LIMIT);
  if (!pipeData(exchange + X_REQUEST, stream, requestSink(exchange), ptr, length, end, limit)) {
    answer(exchange, REASON_RESOURCE_EXHAUSTED);
    return;
  }
  if (!end) return;
  mirrorWhole(exchange);
  settle(exchange);
}

/** The request's end, with trailers (a scratch head) or without (0). */
export function receiveRequestEnd(stream: u32, trailers: u32): void {
  const exchange = load<u32>(stream, S_EXCHANGE);
  if (exchange == 0) {
    endAnswered(stream);
    return;
  }
  store<u64>(exchange, now, X_ACTIVITY);
  noteRequestEnd(exchange);
  if (hasX(exchange, EXCHANGE_OWN_ANSWER)) return;
  let kept: u32 = 0;
  if (trailers != 0) {
    kept = persistHead(trailers, 0, 0);
    if (kept == 0) {
      answer(exchange, REASON_RESOURCE_EXHAUSTED);
      return;
    }
  }
  pipeEnd(exchange + X_REQUEST, stream, requestSink(exchange), kept);
  mirrorWhole(exchange);
  settle(exchange);
}

/** Where the request's body may go now: nowhere before a tunnel is agreed (RFC 9110 §7.8). */
export function requestSink(exchange: u32): u32 {
  if (!hasX(exchange, EXCHANGE_IS_UPGRADE | EXCHANGE_IS_CONNECT)) return load<u32>(exchange, X_UP);
  return hasX(exchange, EXCHANGE_IS_TUNNEL) ? load<u32>(exchange, X_UP) : 0;
}

function countHead(exchange: u32, connection: u32, head: u32): void {
  const bytes = capacityOf(head);
  store<u32>(exchange, bytes, X_HEAD_BYTES);
  store<u32>(connection, load<u32>(connection, C_HEAD_BYTES) + bytes, C_HEAD_BYTES);
}

function noteRequestEnd(exchange: u32): void {
  setX(exchange, EXCHANGE_REQUEST_ENDED);
  store<u64>(exchange, now, X_REQUEST_ENDED);
}

function openExchange(stream: u32, connection: u32, head: u32): u32 {
  const exchange = createExchange();
  if (exchange == 0) {
    reset(stream, H2_REFUSED_STREAM);
    releaseStream(stream);
    return 0;
  }
  store<u32>(stream, exchange, S_EXCHANGE);
  store<u32>(exchange, stream, X_DOWN);
  store<u8>(exchange, STATE_WAITING, X_STATE);
  store<u8>(exchange, 255, X_GRPC_STATUS);
  store<u8>(exchange, load<u8>(connection, C_LISTENER), X_LISTENER);
  store<u64>(exchange, now, X_STARTED);
  store<u64>(exchange, now, X_ACTIVITY);
  const isInbound = load<u8>(connection, C_LISTENER) == LISTENER_INBOUND;
  store<u32>(exchange + X_POLICY, isInbound ? UNROUTED_INBOUND_METRICS : UNROUTED_OUTBOUND_METRICS, POLICY_METRICS);
  store<u32>(exchange + X_POLICY, POLICY_NO_TIMEOUT, POLICY_IDLE_TIMEOUT);
  const peerBytes = load<u8>(connection, C_PEER_BYTES);
  store<u8>(exchange, peerBytes, X_PEER_BYTES);
  memory.copy(exchange + X_PEER, connection + C_PEER, peerBytes);
  clearSkips(exchange);
  if (head != 0) noteKind(exchange, head);
  return exchange;
}

function noteKind(exchange: u32, head: u32): void {
  if (hasHeadFlag(head, HEAD_IS_GRPC)) setX(exchange, EXCHANGE_IS_GRPC);
  if (hasHeadFlag(head, HEAD_IS_UPGRADE | HEAD_IS_EXTENDED_CONNECT)) setX(exchange, EXCHANGE_IS_UPGRADE);
  else if (load<u32>(head, HEAD_METHOD_ID) == METHOD_CONNECT) setX(exchange, EXCHANGE_IS_CONNECT);
  if (isIdempotent(head)) setX(exchange, EXCHANGE_IS_IDEMPOTENT);
}

/** RFC 9110 §9.2.2, or the client's word for it. */
function isIdempotent(head: u32): bool {
  switch (load<u32>(head, HEAD_METHOD_ID)) {
    case METHOD_GET:
    case METHOD_HEAD:
    case METHOD_OPTIONS:
    case METHOD_TRACE:
    case METHOD_PUT:
    case METHOD_DELETE:
      return true;
    default:
      return findField(head, NAME_IDEMPOTENCY_KEY) != 0;
  }
}

/** Finds the destination and copies its policy; completes and rewrites the head. */
function routeRequest(exchange: u32, connection: u32, head: u32): u32 {
  if (!completeRequest(head, connection)) return REASON_LOOP;
  const listener = u32(load<u8>(connection, C_LISTENER));
  const reason = matchRoute(head, listener, load<u32>(connection, CP_LISTENER_SERVICE), randomU32());
  if (reason != REASON_NONE) return reason;
  if (routeAction != <u32>RULE_IS_FORWARD) return REASON_NONE;
  const policy = exchange + X_POLICY;
  memory.copy(policy, routePolicy, POLICY_BYTES);
  setX(exchange, EXCHANGE_IS_ROUTED);
  store<u32>(exchange, routeSet, X_SET);
  const waitMs = takeRateToken(head, routePolicy, connection + C_PEER, load<u8>(connection, C_PEER_BYTES));
  if (waitMs != 0) {
    store<u32>(exchange, waitMs, X_DETAIL);
    return REASON_RATE_LIMITED;
  }
  if (load<u8>(policy, POLICY_HASH_SOURCE) != HASH_NONE) {
    const hash = hashOf(head, routePolicy, connection + C_PEER, load<u8>(connection, C_PEER_BYTES));
    store<u32>(exchange, hash, X_HASH);
  }
  if (load<u32>(head, HEAD_AUTHORITY_BYTES) == 0) nameHost(head, load<u32>(policy, POLICY_SERVICE));
  if (routeRule != 0) {
    if (!rewriteHead(head, routeRule)) return REASON_RESOURCE_EXHAUSTED;
    store<u32>(exchange, keepEdits(routeRule), X_EDITS);
  }
  setDeadline(exchange, head);
  return REASON_NONE;
}

/** HTTP/1.0 need not name a host, those behind us must be told one (RFC 9112 §3.2, RFC 9113 §8.3.1): the service. */
function nameHost(head: u32, service: u32): void {
  store<u32>(head, serviceName(service), HEAD_AUTHORITY);
  store<u32>(head, nameBytes, HEAD_AUTHORITY_BYTES);
}

/** The earlier of the policy's request timeout and the caller's grpc-timeout. */
function setDeadline(exchange: u32, head: u32): void {
  let timeoutUs: u64 = 0;
  const configured = load<u32>(exchange + X_POLICY, POLICY_REQUEST_TIMEOUT);
  if (configured < <u32>POLICY_AUTO) timeoutUs = u64(configured) * 1000;
  if (hasX(exchange, EXCHANGE_IS_GRPC)) {
    const asked = takeGrpcTimeout(exchange, head);
    if (asked != 0 && (timeoutUs == 0 || asked < timeoutUs)) timeoutUs = asked;
  }
  if (timeoutUs == 0) return;
  store<u64>(exchange, now + timeoutUs, X_DEADLINE);
  armExchange(exchange);
}

/** Redirects and direct responses: the route is the answer. */
function answerByRule(exchange: u32, stream: u32): void {
  startHead(ANSWER_HEAD, HEAD_RESPONSE);
  if (!answerRule(load<u32>(exchange, X_HEAD), ANSWER_HEAD, routeRule)) {
    answer(exchange, REASON_BAD_REQUEST);
    return;
  }
  const text = ruleText(routeRule);
  const bytes = ruleTextBytes;
  store<i64>(ANSWER_HEAD, i64(bytes), HEAD_CONTENT_LENGTH);
  store<u8>(exchange, STATE_ANSWERED, X_STATE);
  setX(exchange, EXCHANGE_OWN_ANSWER);
  store<u16>(exchange, load<u16>(ANSWER_HEAD, HEAD_STATUS), X_STATUS);
  announceClose(exchange, stream);
  const isHead = load<u32>(load<u32>(exchange, X_HEAD), HEAD_METHOD_ID) == METHOD_HEAD;
  if (isHead || bytes == 0) {
    sendHead(stream, ANSWER_HEAD, true);
    markPipeClosed(exchange + X_RESPONSE);
  } else {
    sendHead(stream, ANSWER_HEAD, false);
    sendAnswerBody(exchange, stream, text, bytes);
  }
  settle(exchange);
}
