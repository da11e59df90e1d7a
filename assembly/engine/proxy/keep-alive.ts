// How long an HTTP/1.1 connection may rest in the pool: less than its server keeps it.
//
// A server that closes an idle connection at the moment at which we send a request on it has received and executed
// nothing, but nobody can prove it: a POST fails (the 502 that users of every proxy know; features.md §3 row 5). So a
// connection of ours is gone before. What the server allows is announced (`keep-alive: timeout=`), or learned: two
// closes of idle connections at about the same age, but not at the same moment, are a timeout; closes that come
// together are a restart. A server that closes right behind its answers, and does not say so, is given a connection for
// each request, until a minute has passed since.

import {
  IDLE_EVIDENCE_APART_MS,
  IDLE_EVIDENCE_TOGETHER_MS,
  IDLE_LEARNED_MIN_MS,
  IDLE_MARGIN_MAX_MS,
  IDLE_MARGIN_MIN_MS,
  UPSTREAM_H1_IDLE_TIMEOUT_MAX_MS,
  UPSTREAM_H1_IDLE_TIMEOUT_MS,
} from "../../abi/limits.ts";
import { keepAliveSecondsH1 } from "../h1/index.ts";
import { now } from "../http/event.ts";
import { C_INSTANCE, C_STREAMS } from "../tables/connections.ts";
import { hasStreamFlag, STREAM_RECEIVED_HEAD } from "../tables/streams.ts";
import { KIND_H1, KIND_H2, X_KIND } from "./exchange.ts";
import {
  CP_IS_USED,
  CP_KIND,
  CP_PROGRESS,
  drainConnection,
  findConnection,
  poolOf,
  takeIdle,
  U_IDLE_EVIDENCE,
  U_IDLE_EVIDENCE_AT,
  U_IDLE_LEARNED,
} from "./upstream.ts";

/** As an age or an idle time: none at all. */
const ABRUPT: u32 = 1;

/** How long this connection may be idle, ms. */
export function idleTimeoutMs(connection: u32): u32 {
  let limit: u32 = UPSTREAM_H1_IDLE_TIMEOUT_MS;
  const announced = keepAliveSecondsH1(connection) * 1000;
  if (announced != 0) limit = min<u32>(shortened(announced), UPSTREAM_H1_IDLE_TIMEOUT_MAX_MS);
  const learned = load<u32>(poolOf(load<u32>(connection, C_INSTANCE)), U_IDLE_LEARNED);
  return learned != 0 && learned < limit ? learned : limit;
}

/** Whether an idle connection has outlived its time, though its timer has yet to fire: the loop may be late. */
function isStale(connection: u32): bool {
  if (load<u8>(connection, CP_IS_USED) == 0) return false;
  return now - load<u64>(connection, CP_PROGRESS) >= u64(idleTimeoutMs(connection)) * 1000;
}

/** A connection of `slot` that can take an exchange now; 0 when there is none. */
export function takeConnection(slot: u32, exchange: u32): u32 {
  const connection = findConnection(slot, load<u8>(exchange, X_KIND));
  if (connection == 0 || load<u8>(connection, CP_KIND) == KIND_H2) return connection;
  if (isStale(connection)) {
    drainConnection(connection); // it was used last: the others are staler, and their timers are as late
    return 0;
  }
  takeIdle(connection);
  return connection;
}

/** The server closed a connection; if it was an idle one, that says something. */
export function noteServerClose(connection: u32): void {
  const uses = load<u8>(connection, CP_IS_USED);
  if (load<u8>(connection, CP_KIND) != KIND_H1 || uses == 0) return;
  const stream = load<u32>(connection, C_STREAMS);
  if (stream != 0) {
    // It closed behind its last answer, and the next request was faster.
    if (uses > 1 && !hasStreamFlag(stream, STREAM_RECEIVED_HEAD)) noteAbruptClose(connection);
    return;
  }
  const age = u32(min<u64>((now - load<u64>(connection, CP_PROGRESS)) / 1000, UPSTREAM_H1_IDLE_TIMEOUT_MAX_MS));
  if (age < <u32>IDLE_LEARNED_MIN_MS) {
    noteAbruptClose(connection);
    return;
  }
  const pool = poolOf(load<u32>(connection, C_INSTANCE));
  const time = u32(now / 1000);
  const before = load<u32>(pool, U_IDLE_EVIDENCE);
  const apart = time - load<u32>(pool, U_IDLE_EVIDENCE_AT);
  const difference = before > age ? before - age : age - before;
  const isAlike = before != 0 && difference <= age / 8 + 20;
  const isTimely = apart >= <u32>IDLE_EVIDENCE_APART_MS && apart <= <u32>IDLE_EVIDENCE_TOGETHER_MS;
  if (isAlike && isTimely) {
    const limit = shortened(min(age, before));
    const learned = load<u32>(pool, U_IDLE_LEARNED);
    if (learned == 0 || limit < learned) store<u32>(pool, limit, U_IDLE_LEARNED);
  }
  store<u32>(pool, age, U_IDLE_EVIDENCE);
  store<u32>(pool, time, U_IDLE_EVIDENCE_AT);
}

/** The server closed a connection right behind an answer. */
function noteAbruptClose(connection: u32): void {
  const pool = poolOf(load<u32>(connection, C_INSTANCE));
  const time = u32(now / 1000);
  const apart = time - load<u32>(pool, U_IDLE_EVIDENCE_AT);
  if (load<u32>(pool, U_IDLE_EVIDENCE) == ABRUPT) {
    if (apart < <u32>IDLE_EVIDENCE_APART_MS) return; // together with the first: as yet it may be a restart
    if (apart <= <u32>IDLE_EVIDENCE_TOGETHER_MS) store<u32>(pool, ABRUPT, U_IDLE_LEARNED);
  }
  store<u32>(pool, ABRUPT, U_IDLE_EVIDENCE);
  store<u32>(pool, time, U_IDLE_EVIDENCE_AT);
}

/** An exchange on this HTTP/1.1 connection ended well: whether the connection is to be used for another. */
export function isWorthKeeping(connection: u32): bool {
  const uses = load<u8>(connection, CP_IS_USED);
  if (uses == 0) return true;
  const pool = poolOf(load<u32>(connection, C_INSTANCE));
  if (load<u32>(pool, U_IDLE_LEARNED) == ABRUPT) {
    const since = u32(now / 1000) - load<u32>(pool, U_IDLE_EVIDENCE_AT);
    if (since <= <u32>IDLE_EVIDENCE_TOGETHER_MS) return false;
    store<u32>(pool, 0, U_IDLE_LEARNED);
  }
  if (uses > 1 && load<u32>(pool, U_IDLE_EVIDENCE) == ABRUPT) store<u32>(pool, 0, U_IDLE_EVIDENCE);
  return true;
}

function shortened(ms: u32): u32 {
  const margin = min<u32>(max<u32>(ms / 4, IDLE_MARGIN_MIN_MS), IDLE_MARGIN_MAX_MS);
  return ms > margin ? ms - margin : 1;
}
