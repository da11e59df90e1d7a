// Upstream connections, one pool for each instance slot of the balancer.
//
//   pool (64 bytes): all connections ─ idle HTTP/1.1 ones, last used first ─ exchanges that wait, first come first
//
// HTTP/2 connections are shared up to the peer's stream limit; HTTP/1.1 ones carry one exchange at a time; raw ones
// (CONNECT ends here) belong to one exchange for life. A connection of an instance that is gone or draining takes no
// new exchange and closes when its last one is over.
//
// Rule: who waits is in the list of one pool; each connection under way may serve one of them (HTTP/1.1, raw) or all
// (HTTP/2). When a connect fails, those that no other connect can serve are told.

import { COUNTER_CONNECTIONS, COUNTER_PENDING } from "../../abi/balancer-codes.ts";
import { PROTOCOL_H1, PROTOCOL_H2, ROLE_UPSTREAM } from "../../abi/engine-codes.ts";
import { UPSTREAM_POOL_BYTES, UPSTREAM_POOLS } from "../../abi/engine-memory.ts";
import { SETTINGS_ACK_TIMEOUT_MS } from "../../abi/limits.ts";
import { INSTANCE_GENERATION, POLICY_CONNECT_TIMEOUT, POLICY_SERVICE } from "../../abi/policy.ts";
import { admit, connectionClosed, connectionOpened, leave, pendingAdded, pendingRemoved } from "../balancer.ts";
import { startH1 } from "../h1/index.ts";
import { canOpenH2, maxStreamsH2, startH2 } from "../h2/index.ts";
import { now } from "../http/event.ts";
import { instanceAt } from "../route/index.ts";
import {
  C_INSTANCE,
  C_PROTOCOL,
  C_PROXY,
  C_ROLE,
  C_STREAM_COUNT,
  CONNECTION_CLOSE_WANTED,
  CONNECTION_CONNECTING,
  CONNECTION_DRAINING,
  clearFlag,
  connectionIndex,
  createConnection,
  hasFlag,
  setFlag,
} from "../tables/connections.ts";
import { requestClose } from "../tables/control.ts";
import { armTimer, armTimerBy, connectionTimer } from "../timers.ts";
import {
  clearX,
  EXCHANGE_IS_PENDING,
  hasX,
  KIND_H2,
  STATE_PENDING,
  setX,
  X_INSTANCE,
  X_KIND,
  X_PENDING_NEXT,
  X_PENDING_PREVIOUS,
  X_POLICY,
  X_STATE,
} from "./exchange.ts";

const U_ALL: u32 = 0;
const U_IDLE: u32 = 4;
export const U_PENDING_HEAD: u32 = 8;
export const U_PENDING_TAIL: u32 = 12;
const U_PENDING_ONE: u32 = 16; // how many wait for an HTTP/1.1 or raw connection
const U_CONNECTING_H2: u32 = 20; // connects under way of each kind
const U_CONNECTING_ONE: u32 = 24; // HTTP/1.1 and raw
const U_GENERATION: u32 = 28; // of the instance that these connections lead to
const U_PENDING_H2: u32 = 32; // how many wait for an HTTP/2 connection
const U_REFUSES_H2: u32 = 36; // generation + 1 of an instance that answered the HTTP/2 preface with something else
export const U_HEARD: u32 = 40; // u64 µs when something of an answer came from the instance, on any connection
export const U_IDLE_LEARNED: u32 = 48; // ms that an idle connection may live (keep-alive.ts), 0 = not known
export const U_IDLE_EVIDENCE: u32 = 52; // ms: age of the idle connection that the instance closed last
export const U_IDLE_EVIDENCE_AT: u32 = 56; // ms: when that was
export const U_REFUSED_NEXT: u32 = 60; // chain of those who were refused a connection (room.ts), 0 = not in it

export const CP_POOL_PREVIOUS: u32 = C_PROXY + 12;
export const CP_POOL_NEXT: u32 = C_PROXY + 16;
const CP_IDLE_PREVIOUS: u32 = C_PROXY + 20;
const CP_IDLE_NEXT: u32 = C_PROXY + 24;
/** u32 ms, where the idle list is once the connection is one of HTTP/1.1 that rests. */
const CP_CONNECT_TIMEOUT: u32 = CP_IDLE_PREVIOUS;
export const CP_KIND: u32 = C_PROXY + 28; // u8 KIND_*
const CP_IS_IDLE: u32 = C_PROXY + 29; // u8
export const CP_IS_USED: u32 = C_PROXY + 30; // u8: exchanges that it has carried: none, one, more
export const CP_IS_READY: u32 = C_PROXY + 31; // u8: the peer's first SETTINGS arrived (HTTP/2)
export const CP_SERVICE: u32 = C_PROXY + 32; // service whose connection limit counts it
export const CP_PINGS: u32 = C_PROXY + 36; // u8 questions asked since the peer said anything else (liveness.ts)
export const CP_PATIENCE: u32 = C_PROXY + 38; // u16: its connect's time limit, tenths of a second
export const CP_HEARD: u32 = C_PROXY + 40; // u32 ms of the last byte read
export const CP_PINGED: u32 = C_PROXY + 44; // u32 ms: when the question under way was asked, 0 = none is
/** u32 ms: when the socket was opened, in the place of the one above: who has not spoken yet is not asked. */
const CP_OPENED: u32 = CP_PINGED;
export const CP_WRITTEN: u32 = C_PROXY + 48; // u64 bytes that the kernel took
export const CP_PROGRESS: u32 = C_PROXY + 56; // u64 µs of the last byte read or written

/** Connect commands for `poll`: connections to be opened are chained through CP_IDLE_NEXT. */
let connectHead: u32 = 0;
let connectTail: u32 = 0;

export function poolOf(slot: u32): u32 {
  return UPSTREAM_POOLS + slot * UPSTREAM_POOL_BYTES;
}

/** A connection of `slot` that can take an exchange now; 0 when there is none. */
export function findConnection(slot: u32, kind: u8): u32 {
  const pool = poolOf(slot);
  if (kind == KIND_H2) {
    let connection = load<u32>(pool, U_ALL);
    while (connection != 0) {
      if (isOpen(connection, KIND_H2) && canTake(connection)) return connection;
      connection = load<u32>(connection, CP_POOL_NEXT);
    }
    return 0;
  }
  const idle = load<u32>(pool, U_IDLE);
  return idle != 0 && load<u8>(idle, CP_KIND) == kind ? idle : 0;
}

/**
 * Whether an open HTTP/2 connection can take an exchange. Not before its peer has spoken: a connection may stand in the
 * backlog of a server that is about to end or that hangs, and what is written there is lost without a proof that
 * nobody processed it. It costs a round trip for each connection, and we know what the peer allows (RFC 9113 §3.4;
 * gRPC's clients do the same).
 */
export function canTake(connection: u32): bool {
  return load<u8>(connection, CP_IS_READY) != 0 && canOpenH2(connection);
}

/** Whether an HTTP/2 connection's peer has said nothing yet: it carries nothing. */
export function isMute(connection: u32): bool {
  return load<u8>(connection, CP_KIND) == KIND_H2 && load<u8>(connection, CP_IS_READY) == 0;
}

/** The peer of an HTTP/2 connection has spoken; from now on it owes us that it takes our SETTINGS. */
export function noteReady(connection: u32): void {
  store<u8>(connection, 1, CP_IS_READY);
  store<u32>(connection, 0, CP_PINGED);
  armTimer(connectionTimer(connectionIndex(connection)), now + u64(SETTINGS_ACK_TIMEOUT_MS) * 1000);
}

/** In how many ms the peer's first word is due: it belongs to the time that a connect may take. */
export function muteLeftMs(connection: u32): u32 {
  const passed = u32(now / 1000) - load<u32>(connection, CP_OPENED);
  const timeout = load<u32>(connection, CP_CONNECT_TIMEOUT);
  return passed >= timeout ? 0 : timeout - passed;
}

/** Whether another connect is worth it for one more exchange of this kind. */
export function needsConnect(slot: u32, kind: u8): bool {
  const pool = poolOf(slot);
  if (kind == KIND_H2) {
    if (load<u32>(pool, U_CONNECTING_H2) != 0) return false;
    let connection = load<u32>(pool, U_ALL);
    while (connection != 0) {
      // Its peer's SETTINGS are about to say what it takes.
      if (isOpen(connection, KIND_H2) && load<u8>(connection, CP_IS_READY) == 0 && canOpenH2(connection)) return false;
      // It takes none at all now (MAX_CONCURRENT_STREAMS 0), and would say so on every further connection.
      if (isOpen(connection, KIND_H2) && maxStreamsH2(connection) == 0) return false;
      connection = load<u32>(connection, CP_POOL_NEXT);
    }
    return true;
  }
  return load<u32>(pool, U_CONNECTING_ONE) <= load<u32>(pool, U_PENDING_ONE);
}

/** Whether the instance has any connection that may become free. */
export function hasConnections(slot: u32): bool {
  return load<u32>(poolOf(slot), U_ALL) != 0;
}

/** Whether the instance speaks on a connection that takes exchanges. */
export function isReached(slot: u32): bool {
  let connection = load<u32>(poolOf(slot), U_ALL);
  while (connection != 0) {
    if (isOpen(connection, load<u8>(connection, CP_KIND)) && !isMute(connection)) return true;
    connection = load<u32>(connection, CP_POOL_NEXT);
  }
  return false;
}

/** Starts a connect for an exchange's kind; false when a limit or the table forbids it. */
export function openConnection(slot: u32, exchange: u32): bool {
  const service = load<u32>(exchange + X_POLICY, POLICY_SERVICE);
  return openUpstream(
    slot,
    load<u8>(exchange, X_KIND),
    service,
    load<u32>(exchange + X_POLICY, POLICY_CONNECT_TIMEOUT),
  );
}

/** Starts a connect; false when a limit or the table forbids it. */
export function openUpstream(slot: u32, kind: u8, service: u32, timeoutMs: u32): bool {
  if (admit(service, COUNTER_CONNECTIONS) == 0) return false;
  const connection = createConnection();
  if (connection == 0) {
    leave(service, COUNTER_CONNECTIONS);
    return false;
  }
  store<u8>(connection, ROLE_UPSTREAM, C_ROLE);
  store<u8>(connection, kind == KIND_H2 ? PROTOCOL_H2 : PROTOCOL_H1, C_PROTOCOL);
  store<u8>(connection, kind, CP_KIND);
  store<u32>(connection, slot, C_INSTANCE);
  store<u32>(connection, service, CP_SERVICE);
  store<u64>(connection, now, CP_PROGRESS);
  setFlag(connection, CONNECTION_CONNECTING);
  const pool = poolOf(slot);
  const generation = load<u32>(instanceAt(slot), INSTANCE_GENERATION);
  if (load<u32>(pool, U_GENERATION) != generation) store<u32>(pool, 0, U_IDLE_LEARNED);
  store<u32>(pool, generation, U_GENERATION);
  const next = load<u32>(pool, U_ALL);
  store<u32>(connection, next, CP_POOL_NEXT);
  if (next != 0) store<u32>(next, connection, CP_POOL_PREVIOUS);
  store<u32>(pool, connection, U_ALL);
  addConnecting(pool, kind, 1);
  connectionOpened(slot);
  store<u32>(connection, timeoutMs, CP_CONNECT_TIMEOUT);
  store<u16>(connection, u16(min<u32>((timeoutMs + 99) / 100, 0xffff)), CP_PATIENCE);
  store<u32>(connection, 0, CP_IDLE_NEXT);
  if (connectTail != 0) store<u32>(connectTail, connection, CP_IDLE_NEXT);
  else connectHead = connection;
  connectTail = connection;
  return true;
}

/** Takes the next connection that JavaScript is to open; 0 when there is none. */
export function takeConnect(): u32 {
  const connection = connectHead;
  if (connection == 0) return 0;
  connectHead = load<u32>(connection, CP_IDLE_NEXT);
  if (connectHead == 0) connectTail = 0;
  store<u32>(connection, 0, CP_IDLE_NEXT);
  return connection;
}

/** Connect timeout of a connection just taken by `takeConnect`, ms. */
export function connectTimeoutOf(connection: u32): u32 {
  return load<u32>(connection, CP_CONNECT_TIMEOUT);
}

/** The socket is open: starts the codec. */
export function connectionReady(connection: u32): void {
  clearFlag(connection, CONNECTION_CONNECTING);
  addConnecting(poolOf(load<u32>(connection, C_INSTANCE)), load<u8>(connection, CP_KIND), -1);
  if (load<u8>(connection, CP_KIND) == KIND_H2) {
    startH2(connection);
    store<u32>(connection, u32(now / 1000), CP_OPENED);
    armTimerBy(connectionTimer(connectionIndex(connection)), now + u64(muteLeftMs(connection)) * 1000);
  } else startH1(connection);
}

/** Forgets a connection: it is closed, or never came to be. */
export function removeConnection(connection: u32): void {
  const slot = load<u32>(connection, C_INSTANCE);
  const pool = poolOf(slot);
  if (hasFlag(connection, CONNECTION_CONNECTING)) {
    addConnecting(pool, load<u8>(connection, CP_KIND), -1);
    clearFlag(connection, CONNECTION_CONNECTING);
  }
  removeIdle(pool, connection);
  const previous = load<u32>(connection, CP_POOL_PREVIOUS);
  const next = load<u32>(connection, CP_POOL_NEXT);
  if (previous != 0) store<u32>(previous, next, CP_POOL_NEXT);
  else store<u32>(pool, next, U_ALL);
  if (next != 0) store<u32>(next, previous, CP_POOL_PREVIOUS);
  connectionClosed(slot);
  leave(load<u32>(connection, CP_SERVICE), COUNTER_CONNECTIONS);
}

/** Puts a fresh or finished HTTP/1.1 connection where the next exchange finds it. */
export function addIdle(connection: u32): void {
  if (load<u8>(connection, CP_IS_IDLE) != 0) return;
  const pool = poolOf(load<u32>(connection, C_INSTANCE));
  const head = load<u32>(pool, U_IDLE);
  store<u32>(connection, 0, CP_IDLE_PREVIOUS);
  store<u32>(connection, head, CP_IDLE_NEXT);
  if (head != 0) store<u32>(head, connection, CP_IDLE_PREVIOUS);
  store<u32>(pool, connection, U_IDLE);
  store<u8>(connection, 1, CP_IS_IDLE);
}

/** Takes a connection out of the idle list, if it is there: an exchange goes on it. */
export function takeIdle(connection: u32): void {
  removeIdle(poolOf(load<u32>(connection, C_INSTANCE)), connection);
}

/** Takes no new exchange on this connection; closes it now if it carries none. */
export function drainConnection(connection: u32): void {
  setFlag(connection, CONNECTION_DRAINING);
  removeIdle(poolOf(load<u32>(connection, C_INSTANCE)), connection);
  if (load<u32>(connection, C_STREAM_COUNT) == 0 && !hasFlag(connection, CONNECTION_CONNECTING))
    requestClose(connection);
}

/** The peer of an HTTP/2 connection does not speak it: it answered our preface with something else. */
export function noteRefusedH2(connection: u32): void {
  const pool = poolOf(load<u32>(connection, C_INSTANCE));
  store<u32>(pool, load<u32>(pool, U_GENERATION) + 1, U_REFUSES_H2);
}

/** Whether an instance is known not to speak HTTP/2. */
export function refusesH2(slot: u32, generation: u32): bool {
  return load<u32>(poolOf(slot), U_REFUSES_H2) == generation + 1;
}

/** The first connection of a slot; others by CP_POOL_NEXT. */
export function firstConnection(slot: u32): u32 {
  return load<u32>(poolOf(slot), U_ALL);
}

/** Generation of the instance that a slot's connections lead to. */
export function poolGeneration(slot: u32): u32 {
  return load<u32>(poolOf(slot), U_GENERATION);
}

// ── Exchanges that wait for a connection ─────────────────────────────────────────────────────────

/** Puts an exchange at the end of its instance's waiting list; false when the service's limit forbids it. */
export function addPending(exchange: u32): bool {
  if (admit(load<u32>(exchange + X_POLICY, POLICY_SERVICE), COUNTER_PENDING) == 0) return false;
  setX(exchange, EXCHANGE_IS_PENDING);
  store<u8>(exchange, STATE_PENDING, X_STATE);
  const slot = load<u32>(exchange, X_INSTANCE);
  const pool = poolOf(slot);
  const tail = load<u32>(pool, U_PENDING_TAIL);
  store<u32>(exchange, tail, X_PENDING_PREVIOUS);
  store<u32>(exchange, 0, X_PENDING_NEXT);
  if (tail != 0) store<u32>(tail, exchange, X_PENDING_NEXT);
  else store<u32>(pool, exchange, U_PENDING_HEAD);
  store<u32>(pool, exchange, U_PENDING_TAIL);
  countPending(pool, load<u8>(exchange, X_KIND), 1);
  pendingAdded(slot);
  return true;
}

/** Takes an exchange out of the waiting list; nothing happens when it is not in one. */
export function removePending(exchange: u32): void {
  if (!hasX(exchange, EXCHANGE_IS_PENDING)) return;
  clearX(exchange, EXCHANGE_IS_PENDING);
  leave(load<u32>(exchange + X_POLICY, POLICY_SERVICE), COUNTER_PENDING);
  const slot = load<u32>(exchange, X_INSTANCE);
  const pool = poolOf(slot);
  const previous = load<u32>(exchange, X_PENDING_PREVIOUS);
  const next = load<u32>(exchange, X_PENDING_NEXT);
  if (previous != 0) store<u32>(previous, next, X_PENDING_NEXT);
  else store<u32>(pool, next, U_PENDING_HEAD);
  if (next != 0) store<u32>(next, previous, X_PENDING_PREVIOUS);
  else store<u32>(pool, previous, U_PENDING_TAIL);
  countPending(pool, load<u8>(exchange, X_KIND), -1);
  pendingRemoved(slot);
}

/** The first exchange that waits at `slot`, whatever for; 0 when there is none. */
export function firstWaiting(slot: u32): u32 {
  return load<u32>(poolOf(slot), U_PENDING_HEAD);
}

/** The first exchange that waits at `slot` for this kind; 0 when there is none. */
export function firstPending(slot: u32, kind: u8): u32 {
  let exchange = load<u32>(poolOf(slot), U_PENDING_HEAD);
  while (exchange != 0 && load<u8>(exchange, X_KIND) != kind) exchange = load<u32>(exchange, X_PENDING_NEXT);
  return exchange;
}

/** The first exchange that waits at `slot` for this kind and that no connect under way can serve; 0 = none. */
export function firstUnserved(slot: u32, kind: u8): u32 {
  const pool = poolOf(slot);
  if (kind == KIND_H2) return load<u32>(pool, U_CONNECTING_H2) == 0 ? firstPending(slot, kind) : 0;
  return load<u32>(pool, U_CONNECTING_ONE) < load<u32>(pool, U_PENDING_ONE) ? firstPending(slot, kind) : 0;
}

function countPending(pool: u32, kind: u8, delta: i32): void {
  const at = kind == KIND_H2 ? U_PENDING_H2 : U_PENDING_ONE;
  store<i32>(pool + at, load<i32>(pool + at) + delta);
  assert(load<i32>(pool + at) >= 0);
}

/** Whether a connection of a kind takes exchanges. */
export function isOpen(connection: u32, kind: u8): bool {
  if (load<u8>(connection, CP_KIND) != kind) return false;
  return !hasFlag(connection, CONNECTION_CONNECTING | CONNECTION_DRAINING | CONNECTION_CLOSE_WANTED);
}

function addConnecting(pool: u32, kind: u8, delta: i32): void {
  const at = kind == KIND_H2 ? U_CONNECTING_H2 : U_CONNECTING_ONE;
  store<i32>(pool + at, load<i32>(pool + at) + delta);
  assert(load<i32>(pool + at) >= 0);
}

function removeIdle(pool: u32, connection: u32): void {
  if (load<u8>(connection, CP_IS_IDLE) == 0) return;
  store<u8>(connection, 0, CP_IS_IDLE);
  const previous = load<u32>(connection, CP_IDLE_PREVIOUS);
  const next = load<u32>(connection, CP_IDLE_NEXT);
  if (previous != 0) store<u32>(previous, next, CP_IDLE_NEXT);
  else store<u32>(pool, next, U_IDLE);
  if (next != 0) store<u32>(next, previous, CP_IDLE_PREVIOUS);
}
