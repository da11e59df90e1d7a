// Connections that are gone, and exchanges that wait for one.

import { COUNTER_CONNECTIONS } from "../../abi/balancer-codes.ts";
import {
  NONE,
  PROTOCOL_H2,
  REASON_CONNECT_TIMEOUT,
  REASON_UPSTREAM_RESET,
  ROLE_UPSTREAM,
} from "../../abi/engine-codes.ts";
import { isAway, noteAway } from "../balancer.ts";
import { repeatGoawayH2 } from "../h2/index.ts";
import {
  C_INSTANCE,
  C_OUT_IN_FLIGHT,
  C_PROTOCOL,
  C_ROLE,
  C_STREAM_COUNT,
  C_STREAMS,
  CONNECTION_BROKEN,
  CONNECTION_CLOSE_WANTED,
  CONNECTION_CONNECTING,
  CONNECTION_DRAINING,
  hasFlag,
  setFlag,
} from "../tables/connections.ts";
import { requestAbort } from "../tables/control.ts";
import { truncateOutput } from "../tables/output.ts";
import {
  hasStreamFlag,
  S_EXCHANGE,
  S_NEXT,
  STREAM_RECEIVED_HEAD,
  STREAM_RESET,
  setStreamFlag,
} from "../tables/streams.ts";
import { dispatch, failAttempt, overflow } from "./attempt.ts";
import { KIND_H1, KIND_H2, KIND_RAW, X_SENT_MARK } from "./exchange.ts";
import { flushBlocked, flushStream } from "./flow.ts";
import { receiveDownstreamReset } from "./leave.ts";
import { releaseStream } from "./leg.ts";
import { OUTCOME_CONNECT_FAILED, OUTCOME_TIMEOUT } from "./metrics.ts";
import { noteReach } from "./reports.ts";
import { loseUpstream } from "./response.ts";
import { restH2, returnConnection } from "./rest.ts";
import { nextRefused, noteRefused, takeRefused } from "./room.ts";
import {
  CP_IS_READY,
  CP_KIND,
  CP_WRITTEN,
  canTake,
  firstPending,
  firstUnserved,
  firstWaiting,
  hasConnections,
  isMute,
  isReached,
  needsConnect,
  openConnection,
  removeConnection,
  takeIdle,
} from "./upstream.ts";
import { planVisit } from "./visits.ts";

/** An upstream connection is gone: its streams fail, and those who waited for it look elsewhere. */
export function loseConnection(connection: u32, connectReason: u32): void {
  const slot = load<u32>(connection, C_INSTANCE);
  const isUnborn = hasFlag(connection, CONNECTION_CONNECTING) || isMute(connection);
  const wasBusy = load<u32>(connection, C_STREAM_COUNT) != 0 || hasFlag(connection, CONNECTION_BROKEN);
  setFlag(connection, CONNECTION_DRAINING);
  if (!isUnborn) loseStreams(connection, REASON_UPSTREAM_RESET);
  removeConnection(connection);
  if (isUnborn) failWaiting(connection, connectReason);
  serveWaiting(slot); // what it held against the limits may serve others
  serveRefused();
  if ((isUnborn || wasBusy || isAway(slot) != 0) && !hasConnections(slot)) planVisit(connection);
}

/**
 * Those who wait for an upstream connection are told that it will carry nothing; its close tells nobody after that.
 * Each of them may begin another attempt here (the only instance); that one waits for a connect of its own, which
 * firstUnserved knows, so this ends.
 */
export function failWaiting(connection: u32, reason: u32): void {
  setFlag(connection, CONNECTION_DRAINING);
  store<u8>(connection, 1, CP_IS_READY);
  const slot = load<u32>(connection, C_INSTANCE);
  // One connect may fail where others are open: that one is busy, not away.
  if (!isReached(slot)) {
    noteAway(slot);
    noteReach(slot);
  }
  const kind = load<u8>(connection, CP_KIND);
  const outcome = reason == REASON_CONNECT_TIMEOUT ? OUTCOME_TIMEOUT : OUTCOME_CONNECT_FAILED;
  let exchange = firstUnserved(slot, kind);
  while (exchange != 0) {
    failAttempt(exchange, reason, true, outcome);
    exchange = firstUnserved(slot, kind);
  }
}

/** Opens connections for those whom a limit kept waiting, as far as it allows now. */
export function serveRefused(): void {
  let slot = takeRefused();
  while (slot != 0) {
    const next = nextRefused(slot);
    servePending(slot - 1, KIND_H1);
    servePending(slot - 1, KIND_RAW);
    servePending(slot - 1, KIND_H2);
    slot = next;
  }
}

/** Opens what those who wait at an instance need; where nothing may be or is open they go elsewhere. */
export function serveWaiting(slot: u32): void {
  servePending(slot, KIND_H1);
  servePending(slot, KIND_RAW);
  servePending(slot, KIND_H2);
  let exchange = firstWaiting(slot);
  while (exchange != 0 && !hasConnections(slot)) {
    overflow(exchange, COUNTER_CONNECTIONS);
    exchange = firstWaiting(slot);
  }
}

/**
 * Every stream of a connection is lost. A request of which no byte was handed to the socket cannot have been processed
 * (DESIGN §5), and must not be written behind that decision.
 */
export function loseStreams(connection: u32, reason: u32): void {
  const isUpstream = load<u8>(connection, C_ROLE) == ROLE_UPSTREAM;
  const isShared = load<u8>(connection, C_PROTOCOL) == PROTOCOL_H2;
  if (isUpstream && isShared) takeBackUnsent(connection);
  let stream = load<u32>(connection, C_STREAMS);
  while (stream != 0) {
    const exchange = load<u32>(stream, S_EXCHANGE);
    // Nothing is to be said on it any more, whoever lets go of it.
    setStreamFlag(stream, STREAM_RESET);
    if (exchange == 0) releaseStream(stream);
    else if (!isUpstream) receiveDownstreamReset(stream);
    else {
      const isUntouched = isUnsent(connection, exchange) && !hasStreamFlag(stream, STREAM_RECEIVED_HEAD);
      if (isUntouched && !isShared) requestAbort(connection);
      loseUpstream(exchange, reason, isUntouched);
    }
    const next = load<u32>(connection, C_STREAMS);
    assert(next != stream); // whoever lost it has released it
    stream = next;
  }
}

/**
 * Takes back the requests that are unsent, and all that is queued behind the first of them; a request's head begins a
 * frame, so what is left is whole frames, and the GOAWAY of an error can follow (RFC 9113 §5.4.1).
 */
function takeBackUnsent(connection: u32): void {
  let first = u64.MAX_VALUE;
  for (let stream = load<u32>(connection, C_STREAMS); stream != 0; stream = load<u32>(stream, S_NEXT)) {
    const exchange = load<u32>(stream, S_EXCHANGE);
    if (exchange != 0 && isUnsent(connection, exchange)) first = min(first, load<u64>(exchange, X_SENT_MARK));
  }
  if (first == u64.MAX_VALUE) return;
  truncateOutput(connection, u32(first - load<u64>(connection, CP_WRITTEN)));
  repeatGoawayH2(connection);
}

/** Whether no byte of a request was handed to the socket. What was handed over may be with the peer in part. */
function isUnsent(connection: u32, exchange: u32): bool {
  const handed = load<u64>(connection, CP_WRITTEN) + load<u32>(connection, C_OUT_IN_FLIGHT);
  return handed <= load<u64>(exchange, X_SENT_MARK);
}

/** A stream has room again; or, for NONE, the connection: room, and maybe streams for those who wait for one. */
export function receiveCredit(connection: u32, stream: u32): void {
  if (stream != <u32>NONE) flushStream(stream);
  else {
    flushBlocked(connection);
    if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) serveConnection(connection);
  }
}

/** A connection can take exchanges: those who wait for it, as many as it takes. */
export function serveConnection(connection: u32): void {
  if (hasFlag(connection, CONNECTION_DRAINING | CONNECTION_CLOSE_WANTED | CONNECTION_CONNECTING)) return;
  const slot = load<u32>(connection, C_INSTANCE);
  const kind = load<u8>(connection, CP_KIND);
  let exchange = firstPending(slot, kind);
  if (kind == KIND_H2) {
    while (exchange != 0 && canTake(connection)) {
      dispatch(exchange, connection);
      exchange = firstPending(slot, kind);
    }
    restH2(connection);
  } else if (load<u32>(connection, C_STREAM_COUNT) == 0) {
    if (exchange == 0) {
      returnConnection(connection);
      return;
    }
    takeIdle(connection);
    dispatch(exchange, connection);
  }
  servePending(slot, kind);
}

/** Opens a connection more for those whom nothing under way will serve. */
function servePending(slot: u32, kind: u8): void {
  const exchange = firstUnserved(slot, kind);
  if (exchange != 0 && needsConnect(slot, kind) && !openConnection(slot, exchange)) noteRefused(slot);
}
