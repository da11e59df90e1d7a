// Downstream connections: what is particular to those who called us.
//
//   accepted ──► first bytes decide h1 | h2 ──► open ──► draining ──► closing (lingering) ──► closed
//
// One timer for each connection, evaluated lazily: it asks, when it fires, what should have happened by now.

import {
  GLITCH_SLOW_HEAD,
  H2_NO_ERROR,
  PROTOCOL_H1,
  PROTOCOL_H2,
  PROTOCOL_UNKNOWN,
  ROLE_DOWNSTREAM,
} from "../../abi/engine-codes.ts";
import { PROXY_SCRATCH } from "../../abi/engine-memory.ts";
import {
  DOWNSTREAM_IDLE_TIMEOUT_MS,
  GOAWAY_GRACE_MS,
  HEAD_TIMEOUT_MS,
  WRITE_STALL_TIMEOUT_MS,
} from "../../abi/limits.ts";
import { closeAfterResponseH1 } from "../h1/index.ts";
import { goawayH2, isOpenH2, patienceH2 } from "../h2/index.ts";
import { now } from "../http/event.ts";
import { glitch } from "../http/glitch.ts";
import {
  C_BACKLOG_BYTES,
  C_LISTENER,
  C_OUT_BYTES,
  C_PARTIAL_BYTES,
  C_PEER,
  C_PEER_BYTES,
  C_PROTOCOL,
  C_PROXY,
  C_ROLE,
  C_STREAM_COUNT,
  CONNECTION_CLOSE_WANTED,
  CONNECTION_DRAINING,
  CONNECTION_LINGER,
  CONNECTION_SHED,
  clearFlag,
  connectionIndex,
  createConnection,
  hasFlag,
  PEER_BYTES_MAX,
  setFlag,
} from "../tables/connections.ts";
import { requestAbort, requestClose } from "../tables/control.ts";
import { appendOutput } from "../tables/output.ts";
import { armTimer, connectionTimer, timerDeadline } from "../timers.ts";
import { endAllAnswered } from "./early.ts";
import { appendText, beginText, textBytes } from "./text.ts";
import { CP_PROGRESS, CP_WRITTEN } from "./upstream.ts";

export const CP_LISTENER_SERVICE: u32 = C_PROXY + 36; // number of the `--listen`
/** u64 µs: when the request head under way, or the wait for one, began. */
export const CP_WAITING_SINCE: u32 = C_PROXY + 40;

/** u32: what CP_WRITTEN was at the last check, plus one. Only downstream: upstream has its pool links there. */
const CP_WRITTEN_THEN: u32 = C_PROXY + 16;
/** u8: how many checks in a row found output that did not move. */
const CP_STALLED_CHECKS: u32 = C_PROXY + 24;
/** A check each HEAD_TIMEOUT_MS while there is output: so many without progress make WRITE_STALL_TIMEOUT_MS. */
const STALLED_CHECKS_MAX: u32 = WRITE_STALL_TIMEOUT_MS / HEAD_TIMEOUT_MS;

/** A socket was accepted; 0 when the table is full. */
export function acceptConnection(listener: u32, service: u32, peer: u32, peerBytes: u32): u32 {
  const connection = createConnection();
  if (connection == 0) return 0;
  store<u8>(connection, ROLE_DOWNSTREAM, C_ROLE);
  store<u8>(connection, PROTOCOL_UNKNOWN, C_PROTOCOL);
  store<u8>(connection, u8(listener), C_LISTENER);
  store<u32>(connection, service, CP_LISTENER_SERVICE);
  const kept = min<u32>(peerBytes, PEER_BYTES_MAX);
  memory.copy(connection + C_PEER, peer, kept);
  store<u8>(connection, u8(kept), C_PEER_BYTES);
  store<u64>(connection, now, CP_PROGRESS);
  store<u64>(connection, now, CP_WAITING_SINCE);
  armTimer(connectionTimer(connectionIndex(connection)), now + u64(HEAD_TIMEOUT_MS) * 1000);
  return connection;
}

/** Whether the next byte of a downstream connection begins a request (or the connection itself). */
export function isBetweenRequests(connection: u32): bool {
  if (load<u8>(connection, C_ROLE) != ROLE_DOWNSTREAM || load<u32>(connection, C_STREAM_COUNT) != 0) return false;
  return load<u32>(connection, C_PARTIAL_BYTES) + load<u32>(connection, C_BACKLOG_BYTES) == 0;
}

/** The first bytes of a head arrived and are not yet a whole one: the rest has HEAD_TIMEOUT_MS. */
export function awaitHead(connection: u32): void {
  if (load<u32>(connection, C_PARTIAL_BYTES) + load<u32>(connection, C_BACKLOG_BYTES) == 0) {
    if (load<u8>(connection, C_PROTOCOL) == PROTOCOL_H2) awaitRest(connection);
    return;
  }
  store<u64>(connection, now, CP_WAITING_SINCE);
  armTimer(connectionTimer(connectionIndex(connection)), now + u64(HEAD_TIMEOUT_MS) * 1000);
}

/** What an HTTP/2 peer owes (the rest of a field block, an acknowledgement) is looked at when it is due. */
function awaitRest(connection: u32): void {
  const left = patienceH2(connection);
  const timer = connectionTimer(connectionIndex(connection));
  if (left >= 0 && now + u64(left) < timerDeadline(timer)) armTimer(timer, now + u64(left));
}

/** An exchange of this connection is over: it waits for the next. */
export function awaitRequest(connection: u32): void {
  store<u64>(connection, now, CP_WAITING_SINCE);
}

/** The timer of a downstream connection fired: closes it, or says when to look again. */
export function checkDownstream(connection: u32): void {
  if (hasFlag(connection, CONNECTION_CLOSE_WANTED) && load<u32>(connection, C_OUT_BYTES) == 0) {
    requestAbort(connection); // lingered for long enough
    return;
  }
  if (load<u8>(connection, C_PROTOCOL) == PROTOCOL_H2) endAllAnswered(connection);
  const progress = load<u64>(connection, CP_PROGRESS);
  let next: u64 = now + u64(HEAD_TIMEOUT_MS) * 1000;
  if (load<u32>(connection, C_OUT_BYTES) != 0) {
    if (isStalled(connection)) {
      requestAbort(connection);
      return;
    }
  } else if (load<u32>(connection, C_STREAM_COUNT) == 0) {
    const isHeadUnderWay = load<u32>(connection, C_PARTIAL_BYTES) + load<u32>(connection, C_BACKLOG_BYTES) != 0;
    const isSilent = hasSaidNothing(connection);
    const limitMs = isHeadUnderWay || isSilent ? HEAD_TIMEOUT_MS : DOWNSTREAM_IDLE_TIMEOUT_MS;
    const since = isHeadUnderWay || isSilent ? load<u64>(connection, CP_WAITING_SINCE) : progress;
    const limit = since + u64(limitMs) * 1000;
    if (limit <= now) {
      if (isHeadUnderWay) sayTooSlow(connection);
      closeIdle(connection);
      return;
    }
    next = isHeadUnderWay || isSilent ? limit : min(limit, now + u64(HEAD_TIMEOUT_MS) * 6000);
  }
  armTimer(connectionTimer(connectionIndex(connection)), next);
  if (load<u8>(connection, C_PROTOCOL) == PROTOCOL_H2) awaitRest(connection);
}

/** Whether not even what begins a connection is there: any byte of HTTP/1.1, the whole preface of HTTP/2. */
function hasSaidNothing(connection: u32): bool {
  const protocol = u32(load<u8>(connection, C_PROTOCOL));
  return protocol == PROTOCOL_UNKNOWN || (protocol == PROTOCOL_H2 && !isOpenH2(connection));
}

/** Whether the peer has taken none of our bytes for too long. */
function isStalled(connection: u32): bool {
  const written = u32(load<u64>(connection, CP_WRITTEN)) + 1;
  const isSame = written == load<u32>(connection, CP_WRITTEN_THEN);
  const checks = isSame ? u32(load<u8>(connection, CP_STALLED_CHECKS)) + 1 : 0;
  store<u32>(connection, written, CP_WRITTEN_THEN);
  store<u8>(connection, u8(checks), CP_STALLED_CHECKS);
  return checks >= STALLED_CHECKS_MAX;
}

/** Begins the end of a connection: no new requests after those under way. */
export function drainDownstream(connection: u32): void {
  clearFlag(connection, CONNECTION_SHED);
  if (hasFlag(connection, CONNECTION_DRAINING | CONNECTION_CLOSE_WANTED)) return;
  const protocol = u32(load<u8>(connection, C_PROTOCOL));
  if (protocol == PROTOCOL_H2) {
    // Two steps (RFC 9113 §6.8): requests on their way when the first notice arrives are still served.
    goawayH2(connection, H2_NO_ERROR, false);
    store<u64>(connection, now, CP_WAITING_SINCE);
    setFlag(connection, CONNECTION_DRAINING);
    armTimer(connectionTimer(connectionIndex(connection)), now + u64(GOAWAY_GRACE_MS) * 1000);
    return;
  }
  setFlag(connection, CONNECTION_DRAINING);
  if (load<u32>(connection, C_STREAM_COUNT) != 0) {
    closeAfterResponseH1(connection);
    return;
  }
  if (protocol == PROTOCOL_H1) closeAfterResponseH1(connection);
  // An idle connection may have a request under way to us: it is given the grace, then closed.
  armTimer(connectionTimer(connectionIndex(connection)), now + u64(GOAWAY_GRACE_MS) * 1000);
}

/** The grace of a draining connection is over: the final GOAWAY, and the close when nothing is left. */
export function finishDrain(connection: u32): void {
  if (load<u8>(connection, C_PROTOCOL) == PROTOCOL_H2) goawayH2(connection, H2_NO_ERROR, true);
  if (load<u32>(connection, C_STREAM_COUNT) == 0) requestClose(connection);
  else checkDownstream(connection); // what is under way ends, or stalls, as on any other connection
}

/** A request head did not arrive in time: 408 where it can be said (RFC 9110 §15.5.9). */
function sayTooSlow(connection: u32): void {
  glitch(connection, GLITCH_SLOW_HEAD);
  if (load<u8>(connection, C_PROTOCOL) != PROTOCOL_H1) return;
  beginText(PROXY_SCRATCH);
  appendText("HTTP/1.1 408 Request Timeout\r\nx-pillion-reason: request-header-timeout\r\n");
  appendText("content-length: 0\r\nconnection: close\r\n\r\n");
  appendOutput(connection, PROXY_SCRATCH, textBytes());
  setFlag(connection, CONNECTION_LINGER);
}

function closeIdle(connection: u32): void {
  if (load<u8>(connection, C_PROTOCOL) == PROTOCOL_H2) goawayH2(connection, H2_NO_ERROR, true);
  requestClose(connection);
}
