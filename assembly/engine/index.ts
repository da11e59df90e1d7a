// The exports of engine.wasm, and nothing else: what src/wasm/engine.ts calls. docs/ABI.md says what each promises.
//
// Every call says what time it is; nothing here asks a clock. Handles are those of tables/connections.ts.

import { NONE, PROTOCOL_H2, ROLE_DOWNSTREAM, ROLE_UPSTREAM } from "../abi/engine-codes.ts";
import { CONNECTION_BYTES, CONNECTIONS, READ_BUFFER, STATIC_BYTES, TEXT_AREA } from "../abi/engine-memory.ts";
import { createPool, limitPool as limitPoolBytes, poolBytes, poolUsedBytes } from "../core/pool.ts";
import { quiesce, setTime } from "./balancer.ts";
import {
  receiveBytes,
  receiveClosed,
  receiveConnected,
  receiveEnd,
  receiveLeave,
  receiveWritten,
  serveReady,
} from "./connection.ts";
import { failLate } from "./fatal.ts";
import { isDeadH2 } from "./h2/index.ts";
import { setNow } from "./http/event.ts";
import { glitchCount as countGlitches } from "./http/glitch.ts";
import { createBudgets } from "./proxy/budget.ts";
import { checkExchange } from "./proxy/deadlines.ts";
import { acceptConnection, checkDownstream, drainDownstream as drainOne, finishDrain } from "./proxy/downstream.ts";
import { exchangeCount as countExchanges, exchangeAt, STATE_FREE, X_STATE } from "./proxy/exchange.ts";
import { holdDeadline } from "./proxy/hold.ts";
import { createLog, droppedEntries, setAccessLogOn } from "./proxy/log.ts";
import { serveRefused } from "./proxy/loss.ts";
import { drainGone } from "./proxy/membership.ts";
import { pressureDeadline, relievePressure } from "./proxy/pressure.ts";
import { findApp, idleReportsAt, reportIdle } from "./proxy/reports.ts";
import { passDue } from "./proxy/response.ts";
import { checkUpstream } from "./proxy/rest.ts";
import { refusedDeadline } from "./proxy/room.ts";
import { noteAccepted, shedConnections, shedDue, shedShare, shedsAt } from "./proxy/shed.ts";
import { createSilence } from "./proxy/silence.ts";
import { createVisits, payVisits, visitsAt } from "./proxy/visits.ts";
import { seedRandom } from "./random.ts";
import { activateSnapshot, hasSnapshot, isClaimed, snapshotSpare } from "./route/index.ts";
import { forgetConnection, hasMoreRecords, writeRecords } from "./sweep.ts";
import {
  C_IN_USE,
  C_LISTENER,
  C_OUT_BYTES,
  C_PROTOCOL,
  C_ROLE,
  CONNECTION_CLOSE_WANTED,
  CONNECTION_CLOSED,
  CONNECTION_DRAINING,
  connectionHandle,
  connectionOf,
  connectionsEnd,
  connectionCount as countConnections,
  hasFlag,
} from "./tables/connections.ts";
import { hasReady } from "./tables/control.ts";
import { isConnectionTimer, nextDeadline, startTimers, takeDueTimer, timerOwner } from "./timers.ts";

/** Lays out this worker's memory; once, before anything else. */
export function start(worker: u32, seed: u32, nowUs: f64): void {
  assert(__heap_base < <usize>STATIC_BYTES);
  setClock(nowUs);
  createPool();
  createLog();
  createBudgets();
  createSilence();
  createVisits();
  startTimers(u64(nowUs));
  seedRandom(seed + worker * 0x9e3779b9);
}

/** Where the next snapshot's bytes are to be written. */
export function snapshotArea(): u32 {
  return snapshotSpare();
}

/** Puts the snapshot just written in force; 0, or why not (the old one stays). */
export function loadSnapshot(length: u32, nowUs: f64): i32 {
  setClock(nowUs);
  const code = activateSnapshot(snapshotSpare(), length);
  if (code == 0) {
    drainGone();
    findApp();
  }
  return code;
}

/** A socket was accepted; its peer's address lies in TEXT_AREA. Returns a handle, or -1 when there is no room. */
export function accept(listenerKind: u32, listenerService: u32, peerBytes: u32, nowUs: f64): i32 {
  setClock(nowUs);
  const connection = acceptConnection(listenerKind, listenerService, TEXT_AREA, peerBytes);
  if (connection == 0) return -1;
  noteAccepted(connection);
  if (isDraining) drainOne(connection);
  return i32(connectionHandle(connection));
}

/** Whether a route or a service claims the authority of `length` bytes that lies in TEXT_AREA. */
export function knowsHost(length: u32): u32 {
  return hasSnapshot() && isClaimed(TEXT_AREA, length) ? 1 : 0;
}

/** `length` bytes lie at READ_BUFFER; all are taken. */
export function receive(handle: u32, length: u32, nowUs: f64): void {
  setClock(nowUs);
  const connection = socketOf(handle);
  if (connection != 0) receiveBytes(connection, READ_BUFFER, length);
}

/** The peer has sent its FIN. */
export function ended(handle: u32, nowUs: f64): void {
  setClock(nowUs);
  const connection = socketOf(handle);
  if (connection != 0) receiveEnd(connection);
}

/** Reading is paused, and behind the bytes that were not read there is a FIN. */
export function left(handle: u32, nowUs: f64): void {
  setClock(nowUs);
  const connection = socketOf(handle);
  if (connection != 0) receiveLeave(connection);
}

/** The socket is gone, or was never opened; SOCKET_* says why. The handle is dead afterwards. */
export function closed(handle: u32, failure: u32, nowUs: f64): void {
  setClock(nowUs);
  const connection = socketOf(handle);
  if (connection == 0) return;
  receiveClosed(connection, failure);
  forgetConnection(connection);
}

/** A socket that RECORD_CONNECT asked for is open. */
export function connected(handle: u32, nowUs: f64): void {
  setClock(nowUs);
  const connection = socketOf(handle);
  if (connection != 0) receiveConnected(connection);
}

/** `bytes` of RECORD_WRITEs were taken by the kernel. */
export function written(handle: u32, bytes: u32, nowUs: f64): void {
  setClock(nowUs);
  const connection = socketOf(handle);
  if (connection != 0) receiveWritten(connection, bytes);
}

/** Records for JavaScript lie at RECORDS; returns how many. Call again while `more`. */
export function poll(nowUs: f64): u32 {
  setClock(nowUs);
  relievePressure();
  serveReady();
  const count = writeRecords();
  quiesce();
  return count;
}

/** 1 when `poll` is to be called again in this turn (2: in the next one, input is waiting). */
export function more(): u32 {
  return hasMoreRecords() ? 1 : hasReady() ? 2 : 0;
}

/** Fires what is due. */
export function advance(nowUs: f64): void {
  const now = u64(nowUs);
  setClock(nowUs);
  reportIdle();
  let node = takeDueTimer(now);
  while (node != 0) {
    const owner = timerOwner(node);
    if (isConnectionTimer(node)) checkConnection(CONNECTIONS + owner * CONNECTION_BYTES);
    else if (load<u8>(exchangeAt(owner), X_STATE) != STATE_FREE) checkExchange(exchangeAt(owner));
    node = takeDueTimer(now);
  }
  passDue();
  const refused = refusedDeadline();
  if (refused != 0 && refused <= now) serveRefused();
  payVisits();
  shedDue();
}

/** The next time at which `advance` has something to do, µs; 0 = none. */
export function deadline(): f64 {
  const others = earlier(earlier(idleReportsAt(), refusedDeadline()), earlier(visitsAt(), shedsAt()));
  return f64(earlier(earlier(nextDeadline(), holdDeadline()), earlier(pressureDeadline(), others)));
}

/** From now on connections take no new requests once their peers had time to hear of it. */
export function drain(nowUs: f64): void {
  setClock(nowUs);
  isDraining = true;
  drainListener(NONE);
}

/** The same for the connections of one kind of listener; later ones are not affected. */
export function drainDownstream(listenerKind: u32, nowUs: f64): void {
  setClock(nowUs);
  drainListener(listenerKind);
}

/**
 * Asks a share (0 to ½) of the clients without a sidecar to connect anew, over `spreadMs`: of those that were connected
 * when the round of this number began, which it does with the first call for it.
 */
export function shed(round: u32, share: f64, spreadMs: u32, nowUs: f64): void {
  setClock(nowUs);
  if (!isDraining) shedShare(round, share, spreadMs);
}

/** Connections of a protocol that were asked so, since the start. */
export function shedCount(protocol: u32): u32 {
  return shedConnections(protocol);
}

export function exchangeCount(): u32 {
  return countExchanges();
}

export function connectionCount(): u32 {
  return countConnections();
}

/** Connections of a role and protocol: for the gauge, so a scan is cheap enough. */
export function connectionsBy(role: u32, protocol: u32): u32 {
  let found: u32 = 0;
  const end = connectionsEnd();
  for (let connection: u32 = CONNECTIONS; connection < end; connection += CONNECTION_BYTES) {
    if (load<u8>(connection, C_IN_USE) == 0 || load<u8>(connection, C_ROLE) != role) continue;
    if (load<u8>(connection, C_PROTOCOL) == protocol) found += 1;
  }
  return found;
}

/** Clients that have yet to take bytes of ours, apart from those that were cut off: who drains waits for them. */
export function unservedCount(): u32 {
  let found: u32 = 0;
  const end = connectionsEnd();
  for (let connection: u32 = CONNECTIONS; connection < end; connection += CONNECTION_BYTES) {
    if (load<u8>(connection, C_IN_USE) == 0 || load<u8>(connection, C_ROLE) != ROLE_DOWNSTREAM) continue;
    if (hasFlag(connection, CONNECTION_CLOSED) || load<u32>(connection, C_OUT_BYTES) == 0) continue;
    if (load<u8>(connection, C_PROTOCOL) != PROTOCOL_H2 || !isDeadH2(connection)) found += 1;
  }
  return found;
}

/** Anomalies of peers of both sides since the worker started. */
export function glitchCount(kind: u32): u32 {
  return u32(countGlitches(ROLE_DOWNSTREAM, kind) + countGlitches(ROLE_UPSTREAM, kind));
}

export function poolUsed(): u32 {
  return poolUsedBytes();
}

export function poolSize(): u32 {
  return poolBytes();
}

export function logDropped(): u32 {
  return droppedEntries();
}

/** The memory for traffic, bytes: what the container's limit leaves. Once, right after `start`. */
export function limitPool(bytes: u32): void {
  limitPoolBytes(bytes);
}

export function setAccessLog(on: u32): void {
  setAccessLogOn(on != 0);
}

/** Dies, as a bug would: for the tests of the supervisor. */
export function trap(): void {
  unreachable();
}

// Per-instance state of this worker.
let isDraining: bool = false;

/** The earlier of two times of which 0 is none. */
function earlier(left: u64, right: u64): u64 {
  if (left == 0 || right == 0) return left | right;
  return min(left, right);
}

/** What time it is, for the engine and for this thread's balancer. */
function setClock(nowUs: f64): void {
  setNow(u64(nowUs));
  setTime(nowUs);
}

/** The connection of a handle, while it has a socket; else 0: its record may outlive the socket for a turn. */
function socketOf(handle: u32): u32 {
  const connection = connectionOf(handle);
  return connection == 0 || hasFlag(connection, CONNECTION_CLOSED) ? 0 : connection;
}

function drainListener(listenerKind: u32): void {
  const end = connectionsEnd();
  for (let connection: u32 = CONNECTIONS; connection < end; connection += CONNECTION_BYTES) {
    if (load<u8>(connection, C_IN_USE) == 0 || load<u8>(connection, C_ROLE) != ROLE_DOWNSTREAM) continue;
    if (hasFlag(connection, CONNECTION_CLOSED)) continue;
    if (listenerKind == <u32>NONE || u32(load<u8>(connection, C_LISTENER)) == listenerKind) drainOne(connection);
  }
}

function checkConnection(connection: u32): void {
  if (load<u8>(connection, C_IN_USE) == 0 || hasFlag(connection, CONNECTION_CLOSED) || failLate(connection)) return;
  if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) checkUpstream(connection);
  else if (hasFlag(connection, CONNECTION_DRAINING) && !hasFlag(connection, CONNECTION_CLOSE_WANTED))
    finishDrain(connection);
  else checkDownstream(connection);
}
