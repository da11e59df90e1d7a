// Attempts: which instance, which connection, and what happens when one fails.
//
// A failed attempt is tried again by proof, not by hope (DESIGN §5). *Unprocessed*: the connect failed, the peer said
// so, or no byte of the request was written: any method. *Idempotent*: the method or an idempotency key allows it. The
// next attempt goes to another instance where there is one; what was kept of the body is sent again.

import { COUNTER_CONNECTIONS, COUNTER_PENDING } from "../../abi/balancer-codes.ts";
import {
  HEAD_REQUEST,
  NONE,
  REASON_BAD_REQUEST,
  REASON_NO_INSTANCE,
  REASON_NOT_IMPLEMENTED,
  REASON_OVERFLOW,
} from "../../abi/engine-codes.ts";
import { ATTEMPTS_MAX } from "../../abi/limits.ts";
import {
  HEDGE_NONE,
  INSTANCE_FLAGS,
  INSTANCE_GENERATION,
  INSTANCE_IS_APP,
  INSTANCE_IS_PRESENT,
  INSTANCE_IS_SIDECAR,
  INSTANCE_PROTOCOL,
  POLICY_AUTO,
  POLICY_BACKOFF_BASE,
  POLICY_BACKOFF_MAX,
  POLICY_HEDGE,
  POLICY_PENDING_TIMEOUT,
  POLICY_RETRY_ATTEMPTS,
  POLICY_RETRY_WHEN,
  POLICY_SERVICE,
  RETRY_IDEMPOTENT,
  RETRY_UNPROCESSED,
  SERVICE_GRPC,
  SERVICE_HTTP,
  SERVICE_HTTP2,
} from "../../abi/policy.ts";
import { pick, pickOnce, release as releaseInstance } from "../balancer.ts";
import { becomeTunnelH1, openH1 } from "../h1/index.ts";
import { hasExtendedConnectH2, openH2 } from "../h2/index.ts";
import { now } from "../http/event.ts";
import { HEAD_IS_EXTENDED_CONNECT, HEAD_IS_UPGRADE, HEAD_KIND, hasHeadFlag } from "../http/head.ts";
import { randomBelow } from "../random.ts";
import { instanceAt } from "../route/index.ts";
import { C_OUT_BYTES } from "../tables/connections.ts";
import { S_EXCHANGE, STREAM_SENT_HEAD, setStreamFlag } from "../tables/streams.ts";
import { answer } from "./answer.ts";
import { takeBudget } from "./budget.ts";
import {
  clearX,
  EMPTY_SKIP,
  EXCHANGE_CONVERTED,
  EXCHANGE_IS_CONNECT,
  EXCHANGE_IS_GRPC,
  EXCHANGE_IS_IDEMPOTENT,
  EXCHANGE_IS_IN_FLIGHT,
  EXCHANGE_IS_RIVAL,
  EXCHANGE_IS_TUNNEL,
  EXCHANGE_IS_UPGRADE,
  EXCHANGE_TO_SIDECAR,
  hasX,
  KIND_H1,
  KIND_H2,
  KIND_RAW,
  STATE_SENT,
  STATE_WAITING,
  setX,
  X_ACTIVITY,
  X_ATTEMPT_STARTED,
  X_ATTEMPTS,
  X_DEADLINE,
  X_DETAIL,
  X_DOWN,
  X_HASH,
  X_HEAD,
  X_INSTANCE,
  X_KIND,
  X_POLICY,
  X_REQUEST,
  X_SENT_MARK,
  X_SET,
  X_SKIP,
  X_STATE,
  X_UP,
  X_VERSION_UP,
  X_WAIT_UNTIL,
} from "./exchange.ts";
import { writeGrpcTimeout } from "./grpc-timeout.ts";
import { hasRival, takeOver, watchHedge } from "./hedge.ts";
import { takeConnection } from "./keep-alive.ts";
import { isH2, sendHead } from "./leg.ts";
import { watchLiveness } from "./liveness.ts";
import {
  HEDGE_TOOK_OVER,
  recordAttempt,
  recordSkipped,
  SKIPPED_ATTEMPTS,
  SKIPPED_BODY,
  SKIPPED_BUDGET,
  SKIPPED_CLASS,
  SKIPPED_DEADLINE,
} from "./metrics.ts";
import { leaveInstance } from "./occupancy.ts";
import { flushPipe, isKept, markPipeClosed, pipeIsComplete, rewindPipe } from "./pipe.ts";
import { returnConnection } from "./rest.ts";
import { makeRoom, noteRefused } from "./room.ts";
import { watchSilence } from "./silence.ts";
import { armExchange } from "./timeouts.ts";
import { confirmTunnel } from "./tunnel.ts";
import { isConvertible, isWebSocket, originalVersion, toExtendedConnect, toUpgrade, withoutKey } from "./upgrade.ts";
import {
  addPending,
  CP_IS_USED,
  CP_WRITTEN,
  hasConnections,
  needsConnect,
  openConnection,
  refusesH2,
  removePending,
} from "./upstream.ts";

/** Begins an attempt: picks an instance and sends, or waits for a connection to it. */
export function beginAttempt(exchange: u32): void {
  store<u8>(exchange, load<u8>(exchange, X_ATTEMPTS) + 1, X_ATTEMPTS);
  store<u64>(exchange, 0, X_WAIT_UNTIL);
  const slot = pickPresent(exchange);
  if (slot < 0) {
    answer(exchange, REASON_NO_INSTANCE);
    return;
  }
  store<u32>(exchange, u32(slot), X_INSTANCE);
  setX(exchange, EXCHANGE_IS_IN_FLIGHT);
  attemptAt(exchange, u32(slot));
}

/** Begins an attempt at an instance that was picked, and counts it in flight, for it. */
export function attemptAt(exchange: u32, slot: u32): void {
  store<u64>(exchange, now, X_ATTEMPT_STARTED);
  if (load<u8>(exchange + X_POLICY, POLICY_HEDGE) != HEDGE_NONE) watchHedge(exchange);
  const record = instanceAt(slot);
  if ((load<u8>(record, INSTANCE_FLAGS) & INSTANCE_IS_SIDECAR) != 0) setX(exchange, EXCHANGE_TO_SIDECAR);
  else clearX(exchange, EXCHANGE_TO_SIDECAR);
  store<u8>(exchange, kindFor(exchange, record), X_KIND);
  const head = load<u32>(exchange, X_HEAD);
  if (load<u8>(exchange, X_KIND) == KIND_H2 && hasHeadFlag(head, HEAD_IS_UPGRADE) && !isConvertible(head)) {
    answer(exchange, REASON_BAD_REQUEST);
    return;
  }
  connectAndSend(exchange, slot);
}

/** Picks; the set may hold an instance that this worker's snapshot has just lost, for a moment: then picks again. */
export function pickPresent(exchange: u32): i32 {
  const set = load<u32>(exchange, X_SET);
  const hash = load<u32>(exchange, X_HASH);
  let skip0 = load<u32>(exchange, X_SKIP);
  let skip1 = load<u32>(exchange, X_SKIP + 4);
  let skip2 = load<u32>(exchange, X_SKIP + 8);
  // A retry and a rival are to succeed, and what is not idempotent has one attempt only once a server has read it.
  const isFirst = load<u8>(exchange, X_ATTEMPTS) == 1 && !hasX(exchange, EXCHANGE_IS_RIVAL);
  const isOnce = !isFirst || !hasX(exchange, EXCHANGE_IS_IDEMPOTENT);
  for (let tries = 0; tries < 4; tries += 1) {
    const slot = isOnce ? pickOnce(set, hash, skip0, skip1, skip2) : pick(set, hash, skip0, skip1, skip2);
    if (slot < 0) return slot;
    const record = instanceAt(u32(slot));
    if (record != 0 && (load<u8>(record, INSTANCE_FLAGS) & INSTANCE_IS_PRESENT) != 0) return slot;
    releaseInstance(u32(slot));
    skip2 = skip1;
    skip1 = skip0;
    skip0 = u32(slot);
  }
  return -1;
}

function connectAndSend(exchange: u32, slot: u32): void {
  const kind = load<u8>(exchange, X_KIND);
  const connection = takeConnection(slot, exchange);
  if (connection != 0) {
    dispatch(exchange, connection);
    return;
  }
  if (needsConnect(slot, kind) && !openConnection(slot, exchange)) {
    if (!makeRoom(load<u32>(exchange + X_POLICY, POLICY_SERVICE)) && !hasConnections(slot)) {
      overflow(exchange, COUNTER_CONNECTIONS);
      return;
    }
    noteRefused(slot);
  }
  if (!addPending(exchange)) {
    overflow(exchange, COUNTER_PENDING);
    return;
  }
  const timeout = load<u32>(exchange + X_POLICY, POLICY_PENDING_TIMEOUT);
  if (timeout < <u32>POLICY_AUTO) store<u64>(exchange, now + u64(timeout) * 1000, X_WAIT_UNTIL);
  armExchange(exchange);
}

/** A limit is reached here. One other instance is asked, which may have a connection free; then the load is shed. */
export function overflow(exchange: u32, counter: u32): void {
  store<u32>(exchange, counter, X_DETAIL);
  if (load<u8>(exchange, X_ATTEMPTS) == 1 || hasRival(exchange)) failAttempt(exchange, REASON_OVERFLOW, true, 0);
  else answer(exchange, REASON_OVERFLOW);
}

/** Sends an exchange's request on a connection that can take it. */
export function dispatch(exchange: u32, connection: u32): void {
  removePending(exchange);
  store<u64>(exchange, 0, X_WAIT_UNTIL);
  watchSilence(exchange);
  const kind = load<u8>(exchange, X_KIND);
  const stream = kind == KIND_H2 ? openH2(connection) : openH1(connection);
  if (stream == 0) {
    returnConnection(connection);
    failAttempt(exchange, REASON_OVERFLOW, true, 0);
    return;
  }
  if (kind == KIND_H2) watchLiveness(connection);
  store<u8>(connection, load<u8>(connection, CP_IS_USED) == 0 ? 1 : 2, CP_IS_USED);
  store<u32>(stream, exchange, S_EXCHANGE);
  store<u32>(exchange, stream, X_UP);
  store<u8>(exchange, STATE_SENT, X_STATE);
  store<u64>(exchange, load<u64>(connection, CP_WRITTEN) + load<u32>(connection, C_OUT_BYTES), X_SENT_MARK);
  store<u64>(exchange, now, X_ACTIVITY);
  store<u8>(exchange, kind == KIND_H2 ? 20 : 11, X_VERSION_UP);
  if (kind == KIND_RAW) {
    becomeTunnelH1(stream);
    setStreamFlag(stream, STREAM_SENT_HEAD);
    confirmTunnel(exchange);
  } else if (!sendRequest(exchange, stream, connection)) return;
  armExchange(exchange);
}

function sendRequest(exchange: u32, stream: u32, connection: u32): bool {
  const pipe = exchange + X_REQUEST;
  let head = load<u32>(exchange, X_HEAD);
  if (hasX(exchange, EXCHANGE_IS_UPGRADE)) {
    if (isH2(stream) && hasHeadFlag(head, HEAD_IS_UPGRADE)) {
      if (!hasExtendedConnectH2(connection)) {
        answer(exchange, REASON_NOT_IMPLEMENTED);
        return false;
      }
      head = toExtendedConnect(exchange);
      setX(exchange, EXCHANGE_CONVERTED);
    } else if (!isH2(stream) && hasHeadFlag(head, HEAD_IS_EXTENDED_CONNECT)) {
      head = toUpgrade(exchange);
      setX(exchange, EXCHANGE_CONVERTED);
    } else if (isH2(stream) && !hasX(exchange, EXCHANGE_TO_SIDECAR)) head = withoutKey(head);
  }
  assert(load<u8>(head, HEAD_KIND) == HEAD_REQUEST);
  writeGrpcTimeout(exchange, head);
  const end = pipeIsComplete(pipe) && !hasX(exchange, EXCHANGE_IS_UPGRADE | EXCHANGE_IS_CONNECT);
  sendHead(stream, head, end);
  if (end) markPipeClosed(pipe);
  else if (!hasX(exchange, EXCHANGE_IS_UPGRADE | EXCHANGE_IS_CONNECT)) {
    flushPipe(pipe, load<u32>(exchange, X_DOWN), stream);
  }
  return true;
}

/**
 * An attempt failed before any of its response went downstream. Goes on with its rival's where there is one, tries
 * again where that is allowed, else answers with `reason`. The upstream stream must be released already.
 */
export function failAttempt(exchange: u32, reason: u32, isUnprocessed: bool, outcome: u32): void {
  if (outcome != 0) recordAttempt(exchange, outcome);
  if (hasRival(exchange)) {
    leaveInstance(exchange, outcome != 0);
    takeOver(exchange, HEDGE_TOOK_OVER);
    return;
  }
  const isRetried = canRetry(exchange, isUnprocessed);
  leaveInstance(exchange, outcome != 0);
  if (!isRetried) {
    answer(exchange, reason);
    return;
  }
  retry(exchange, isUnprocessed);
}

/** Whether the policy, the budget and the kept body allow another attempt. Counts the cause when not. */
export function canRetry(exchange: u32, isUnprocessed: bool): bool {
  if (load<u32>(exchange, X_DOWN) == 0 || hasX(exchange, EXCHANGE_IS_TUNNEL)) return false;
  const policy = exchange + X_POLICY;
  if (!hasAttemptLeft(exchange)) return false;
  const when = load<u32>(policy, POLICY_RETRY_WHEN);
  const byProof = isUnprocessed && (when & RETRY_UNPROCESSED) != 0;
  const byMethod = hasX(exchange, EXCHANGE_IS_IDEMPOTENT) && (when & RETRY_IDEMPOTENT) != 0;
  if (!byProof && !byMethod) {
    recordSkipped(exchange, SKIPPED_CLASS);
    return false;
  }
  return mayRetry(exchange, !byProof);
}

/** Whether the policy allows one attempt more. Counts the cause when not. */
export function hasAttemptLeft(exchange: u32): bool {
  const allowed = u32(load<u8>(exchange + X_POLICY, POLICY_RETRY_ATTEMPTS));
  const attempts = u32(load<u8>(exchange, X_ATTEMPTS));
  if (attempts <= allowed && attempts < <u32>ATTEMPTS_MAX) return true;
  if (allowed != 0) recordSkipped(exchange, SKIPPED_ATTEMPTS);
  return false;
}

/** The rest of the conditions, whatever the class: body, deadline, and the budget, from which it takes. */
export function mayRetry(exchange: u32, takesBudget: bool): bool {
  if (!isKept(exchange + X_REQUEST)) {
    recordSkipped(exchange, SKIPPED_BODY);
    return false;
  }
  const deadline = load<u64>(exchange, X_DEADLINE);
  if (deadline != 0 && deadline <= now) {
    recordSkipped(exchange, SKIPPED_DEADLINE);
    return false;
  }
  if (takesBudget && !takeBudget(exchange + X_POLICY)) {
    recordSkipped(exchange, SKIPPED_BUDGET);
    return false;
  }
  return true;
}

/** Goes back to the beginning of the request and begins another attempt, at once or after a backoff. */
export function retry(exchange: u32, isUnprocessed: bool): void {
  rewindPipe(exchange + X_REQUEST);
  const attempts = u32(load<u8>(exchange, X_ATTEMPTS));
  store<u32>(exchange + X_SKIP + ((attempts - 1) % 3) * 4, load<u32>(exchange, X_INSTANCE));
  // What was not processed is sent elsewhere at once, once; whatever failed twice, or was processed, is given time:
  // exponential backoff with full jitter (the figures are the policy's).
  if (isUnprocessed && attempts == 1) {
    beginAttempt(exchange);
    return;
  }
  const base = load<u32>(exchange + X_POLICY, POLICY_BACKOFF_BASE);
  const ceiling = min(base << (attempts - 1), load<u32>(exchange + X_POLICY, POLICY_BACKOFF_MAX));
  store<u8>(exchange, STATE_WAITING, X_STATE);
  store<u64>(exchange, now + u64(randomBelow(ceiling + 1)) * 1000 + 1, X_WAIT_UNTIL);
  armExchange(exchange);
}

/** Forgets which instances were tried: a new exchange. */
export function clearSkips(exchange: u32): void {
  store<u32>(exchange, EMPTY_SKIP, X_SKIP);
  store<u32>(exchange, EMPTY_SKIP, X_SKIP + 4);
  store<u32>(exchange, EMPTY_SKIP, X_SKIP + 8);
  store<u32>(exchange, NONE, X_INSTANCE);
}

/** What an instance is spoken to with (DESIGN §2, "Between two sidecars"). */
function kindFor(exchange: u32, record: u32): u8 {
  const head = load<u32>(exchange, X_HEAD);
  if (hasX(exchange, EXCHANGE_TO_SIDECAR)) {
    // WebSocket travels by RFC 8441; any other Upgrade has an HTTP/1.1 connection of its own.
    return hasHeadFlag(head, HEAD_IS_UPGRADE) && !isWebSocket(head) ? KIND_H1 : KIND_H2;
  }
  if (hasX(exchange, EXCHANGE_IS_CONNECT)) return KIND_RAW;
  const protocol = u32(load<u8>(record, INSTANCE_PROTOCOL));
  const isHttp2 = protocol == SERVICE_HTTP2 || protocol == SERVICE_GRPC;
  if (hasX(exchange, EXCHANGE_IS_UPGRADE)) return isHttp2 && isWebSocket(head) ? KIND_H2 : KIND_H1;
  if (isHttp2) return KIND_H2;
  if (protocol != SERVICE_HTTP) return KIND_H1;
  if (hasX(exchange, EXCHANGE_IS_GRPC)) return KIND_H2;
  // The app is spoken to in the version that the caller used (the version travels along between sidecars), unless it
  // has shown that it does not know it.
  const isApp = (load<u8>(record, INSTANCE_FLAGS) & INSTANCE_IS_APP) != 0;
  if (!isApp || originalVersion(head) != 20) return KIND_H1;
  return refusesH2(load<u32>(exchange, X_INSTANCE), load<u32>(record, INSTANCE_GENERATION)) ? KIND_H1 : KIND_H2;
}
