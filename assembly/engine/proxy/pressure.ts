// Memory runs short: who holds most of it and does not move goes first, and never those who read. HAProxy and Envoy
// (its overload manager's `reset_high_memory_stream`) end the largest too; we leave those in peace that take what
// they hold.
//
//   pool used   from NARROW on    looks begin: what each exchange and connection has moved is noted
//               from STALLED on   the stalled are ended, on the connections that hold most first, down to EASED
//               from HIGH, FULL   the same with ever less patience
//
// Nothing of it is on the common path: below NARROW a turn pays one comparison. A look is a walk over the clients'
// connections and streams, as seldom as keeps it below some percent of the worker's time.

import {
  GLITCH_STALLED,
  H2_ENHANCE_YOUR_CALM,
  PROTOCOL_H1,
  PROTOCOL_H2,
  REASON_RESOURCE_EXHAUSTED,
  ROLE_DOWNSTREAM,
} from "../../abi/engine-codes.ts";
import { CONNECTION_BYTES, CONNECTIONS } from "../../abi/engine-memory.ts";
import {
  H2_PEER_STREAMS_MAX,
  POOL_PRESSURE_EASED,
  POOL_PRESSURE_FULL,
  POOL_PRESSURE_HIGH,
  POOL_PRESSURE_NARROW,
  POOL_PRESSURE_STALLED,
  PRESSURE_LOOK_MS,
  PRESSURE_MOVE_MS,
  PRESSURE_STALL_FULL_MS,
  PRESSURE_STALL_HIGH_MS,
  PRESSURE_STALL_MS,
} from "../../abi/limits.ts";
import { poolPressure } from "../../core/pool.ts";
import { closeAfterResponseH1 } from "../h1/index.ts";
import { goawayH2 } from "../h2/index.ts";
import { now } from "../http/event.ts";
import { glitch } from "../http/glitch.ts";
import {
  C_BACKLOG_BYTES,
  C_IN_USE,
  C_OUT_BYTES,
  C_PROTOCOL,
  C_PROXY,
  C_ROLE,
  C_STREAMS,
  CONNECTION_ABORT,
  CONNECTION_CLOSED,
  connectionsEnd,
  hasFlag,
} from "../tables/connections.ts";
import { requestAbort } from "../tables/control.ts";
import { S_EXCHANGE, S_NEXT, S_SEND_WINDOW, streamCount } from "../tables/streams.ts";
import { answer } from "./answer.ts";
import {
  STATE_ANSWERED,
  STATE_FREE,
  STATE_OVER,
  X_DOWN,
  X_MOVED,
  X_MOVED_AT,
  X_REASON,
  X_RECEIVED,
  X_REQUEST,
  X_RESPONSE,
  X_SENT,
  X_STATE,
} from "./exchange.ts";
import { finishExchange } from "./finish.ts";
import { connectionOfStream, isH2, reset } from "./leg.ts";
import { loseStreams } from "./loss.ts";
import { destroyPipe, pipeWaiting } from "./pipe.ts";
import { CP_WRITTEN } from "./upstream.ts";

// Fields that are the upstream's links of a pool otherwise.
const CP_MOVED: u32 = C_PROXY + 20; // u32: what CP_WRITTEN was when the socket was last seen to take something
const CP_MOVED_AT: u32 = C_PROXY + 30; // u16 ms of that, 0 = not yet looked at
const CP_STALLED_SIZE: u32 = C_PROXY + 25; // u8: bits of the number of bytes that the last look found stalled

/** Exchanges of one connection that are ended together. */
const VICTIMS: u32 = <u32>memory.data(H2_PEER_STREAMS_MAX * 4, 4);
/** Streams in use that make the next look a millisecond later: a look at 256 of them takes some tens of µs. */
const STREAMS_PER_MS: u32 = 256;

// Per-instance state of this worker.
let lookedUs: u64 = 0;
let nextLookUs: u64 = 0;
let spared: u32 = 0; // the connection whose request asks for memory: its codec is at work
let sizes: u32 = 0; // bit n: the last look found connections with 2^n stalled bytes or more

/** When to look again, µs; 0 = there is memory enough. */
export function pressureDeadline(): u64 {
  return poolPressure() < <u32>POOL_PRESSURE_NARROW ? 0 : nextLookUs;
}

/** Once a turn, outside of every codec: looks who moves, and ends who does not, where memory is short. */
export function relievePressure(): void {
  const pressure = poolPressure();
  if (pressure < <u32>POOL_PRESSURE_NARROW) return;
  // What fills the pool may need less time than two looks are apart.
  const isUrgent = pressure >= <u32>POOL_PRESSURE_STALLED && now >= lookedUs + gapUs(PRESSURE_STALL_FULL_MS);
  if (now >= nextLookUs || isUrgent) relieve(pressure);
}

/** Whether there is memory for another request, when those who hold too much of it, on other connections, are gone. */
export function hasMemoryFor(connection: u32): bool {
  const pressure = poolPressure();
  if (pressure <= <u32>POOL_PRESSURE_FULL) return true;
  if (now < lookedUs + gapUs(PRESSURE_STALL_FULL_MS / 4)) return false;
  spared = connection;
  relieve(pressure);
  spared = 0;
  return poolPressure() <= <u32>POOL_PRESSURE_FULL;
}

function relieve(pressure: u32): void {
  // Notes of another shortage say nothing about this one.
  const isFirst = lookedUs == 0 || now > nextLookUs + gapUs(PRESSURE_LOOK_MS * 4);
  lookedUs = now;
  nextLookUs = now + gapUs(PRESSURE_LOOK_MS);
  const patienceMs = patienceAt(pressure);
  look(isFirst, patienceMs);
  if (pressure >= <u32>POOL_PRESSURE_STALLED) endLargest(patienceMs);
}

/** The time between two looks, µs: longer where there is much to look at. */
function gapUs(ms: u32): u64 {
  return u64(ms + streamCount() / STREAMS_PER_MS) * 1000;
}

function patienceAt(pressure: u32): u32 {
  if (pressure >= <u32>POOL_PRESSURE_FULL) return PRESSURE_STALL_FULL_MS;
  return pressure >= <u32>POOL_PRESSURE_HIGH ? PRESSURE_STALL_HIGH_MS : PRESSURE_STALL_MS;
}

/** Notes what moved, and what each connection holds that did not. */
function look(isFirst: bool, patienceMs: u32): void {
  sizes = 0;
  const end = connectionsEnd();
  for (let connection: u32 = CONNECTIONS; connection < end; connection += CONNECTION_BYTES) {
    if (!isClient(connection)) continue;
    noteConnection(connection, noteExchanges(connection, isFirst), isFirst);
    const bytes = stalledBytes(connection, patienceMs);
    const size = 32 - clz<u32>(bytes);
    store<u8>(connection, u8(size), CP_STALLED_SIZE);
    if (size != 0) sizes |= 1 << (size - 1);
  }
}

/** Ends what is stalled, on the connections that hold most of it first, until enough is free. */
function endLargest(patienceMs: u32): void {
  const end = connectionsEnd();
  while (sizes != 0) {
    const size = 32 - clz<u32>(sizes);
    sizes &= ~(1 << (size - 1));
    for (let connection: u32 = CONNECTIONS; connection < end; connection += CONNECTION_BYTES) {
      if (!isClient(connection) || u32(load<u8>(connection, CP_STALLED_SIZE)) != size) continue;
      endStalled(connection, patienceMs);
      if (poolPressure() <= <u32>POOL_PRESSURE_EASED) return;
    }
  }
}

/** Notes how far the exchanges of a connection are; how many bytes of answers wait in them. */
function noteExchanges(connection: u32, isFirst: bool): u32 {
  const time = u32(now / 1000);
  let bytes: u32 = 0;
  for (let stream = load<u32>(connection, C_STREAMS); stream != 0; stream = load<u32>(stream, S_NEXT)) {
    const exchange = load<u32>(stream, S_EXCHANGE);
    if (exchange == 0) continue;
    const answered = pipeWaiting(exchange + X_RESPONSE);
    bytes += answered;
    const came = u32(load<u64>(exchange, X_SENT) + load<u64>(exchange, X_RECEIVED));
    const moved = came - answered - pipeWaiting(exchange + X_REQUEST);
    const since = load<u32>(exchange, X_MOVED_AT);
    const held = heldBytes(exchange);
    if (!isFirst && since != 0 && !hasMoved(moved - load<u32>(exchange, X_MOVED), held, time - since)) continue;
    store<u32>(exchange, moved, X_MOVED);
    store<u32>(exchange, max<u32>(time, 1), X_MOVED_AT);
  }
  return bytes;
}

/** Notes how much of its output a connection took, behind which `waiting` bytes of answers wait. */
function noteConnection(connection: u32, waiting: u32, isFirst: bool): void {
  const time = u16(now / 1000);
  const bytes = waiting + load<u32>(connection, C_OUT_BYTES);
  const written = u32(load<u64>(connection, CP_WRITTEN));
  const since = load<u16>(connection, CP_MOVED_AT);
  const elapsed = u32(u16(time - since));
  if (isFirst || since == 0 || hasMoved(written - load<u32>(connection, CP_MOVED), bytes, elapsed)) {
    store<u32>(connection, written, CP_MOVED);
    store<u16>(connection, max<u16>(time, 1), CP_MOVED_AT);
  }
}

/** Whether who moved so many bytes in so many ms will be through with what waits within PRESSURE_MOVE_MS. */
function hasMoved(moved: u32, waiting: u32, elapsedMs: u32): bool {
  return waiting == 0 || u64(moved) * PRESSURE_MOVE_MS > u64(waiting) * elapsedMs;
}

/** What a connection holds that has not moved for so long. */
function stalledBytes(connection: u32, patienceMs: u32): u32 {
  const isSlow = isSlowReader(connection, patienceMs);
  let bytes: u32 = isSlow ? load<u32>(connection, C_OUT_BYTES) : 0;
  for (let stream = load<u32>(connection, C_STREAMS); stream != 0; stream = load<u32>(stream, S_NEXT)) {
    const exchange = load<u32>(stream, S_EXCHANGE);
    if (exchange != 0 && isStalled(exchange, isSlow, patienceMs)) bytes += heldBytes(exchange);
  }
  return bytes;
}

function isSlowReader(connection: u32, patienceMs: u32): bool {
  return u32(u16(u16(now / 1000) - load<u16>(connection, CP_MOVED_AT))) >= patienceMs;
}

/** Whether an exchange holds bytes that do not move: its app takes none, its client none at all, or none of it. */
function isStalled(exchange: u32, isSlow: bool, patienceMs: u32): bool {
  if (heldBytes(exchange) == 0 || u32(now / 1000) - load<u32>(exchange, X_MOVED_AT) < patienceMs) return false;
  if (isSlow || pipeWaiting(exchange + X_REQUEST) != 0) return true;
  if (pipeWaiting(exchange + X_RESPONSE) == 0) return true;
  // Those whose own window is open wait for their neighbours, on a connection that moves.
  const down = load<u32>(exchange, X_DOWN);
  return isH2(down) && load<i32>(down, S_SEND_WINDOW) <= 0;
}

/** Ends the stalled exchanges of a connection; all of it, when its socket takes nothing either. */
function endStalled(connection: u32, patienceMs: u32): void {
  const isSlow = isSlowReader(connection, patienceMs);
  const isStuck = isSlow && load<u32>(connection, C_OUT_BYTES) != 0;
  let count: u32 = 0;
  for (let stream = load<u32>(connection, C_STREAMS); stream != 0; stream = load<u32>(stream, S_NEXT)) {
    const exchange = load<u32>(stream, S_EXCHANGE);
    if (exchange == 0 || !(isStuck || isStalled(exchange, isSlow, patienceMs))) continue;
    store<u32>(VICTIMS + count * 4, exchange);
    count += 1;
    if (count == <u32>H2_PEER_STREAMS_MAX) break;
  }
  if (isStuck) {
    for (let at: u32 = 0; at < count; at += 1) {
      store<u8>(load<u32>(VICTIMS + at * 4), u8(REASON_RESOURCE_EXHAUSTED), X_REASON);
    }
    cutOff(connection);
    return;
  }
  for (let at: u32 = 0; at < count; at += 1) {
    const exchange = load<u32>(VICTIMS + at * 4);
    const state = load<u8>(exchange, X_STATE);
    // The end of one may have been that of another.
    if (state == STATE_FREE || state == STATE_OVER || load<u32>(exchange, X_DOWN) == 0) continue;
    if (connectionOfStream(load<u32>(exchange, X_DOWN)) == connection) endExchange(exchange, connection);
  }
}

function cutOff(connection: u32): void {
  glitch(connection, GLITCH_STALLED);
  // It reads nothing, so this is seldom heard; the reset of the socket is.
  if (load<u8>(connection, C_PROTOCOL) == PROTOCOL_H2) goawayH2(connection, H2_ENHANCE_YOUR_CALM, true);
  loseStreams(connection, REASON_RESOURCE_EXHAUSTED);
  requestAbort(connection);
}

function endExchange(exchange: u32, connection: u32): void {
  glitch(connection, GLITCH_STALLED);
  if (load<u8>(exchange, X_STATE) == STATE_ANSWERED) {
    store<u8>(exchange, u8(REASON_RESOURCE_EXHAUSTED), X_REASON);
    reset(load<u32>(exchange, X_DOWN), H2_ENHANCE_YOUR_CALM);
    finishExchange(exchange);
    return;
  }
  // What was sent behind it is not read any more.
  if (load<u8>(connection, C_PROTOCOL) == PROTOCOL_H1) closeAfterResponseH1(connection);
  destroyPipe(exchange + X_REQUEST); // the answer may wait for its reader; what was to be sent does not
  answer(exchange, REASON_RESOURCE_EXHAUSTED);
}

function isClient(connection: u32): bool {
  if (connection == spared || load<u8>(connection, C_IN_USE) == 0) return false;
  if (load<u8>(connection, C_ROLE) != ROLE_DOWNSTREAM) return false;
  return !hasFlag(connection, CONNECTION_CLOSED | CONNECTION_ABORT);
}

/** Body bytes of an exchange, and what was sent behind its request on HTTP/1.1. */
function heldBytes(exchange: u32): u32 {
  const bodies = pipeWaiting(exchange + X_REQUEST) + pipeWaiting(exchange + X_RESPONSE);
  const down = load<u32>(exchange, X_DOWN);
  return isH2(down) ? bodies : bodies + load<u32>(connectionOfStream(down), C_BACKLOG_BYTES);
}
