// Connections: bytes in, events to the proxy, records out.
//
//   receive ──► (backlog) ──► h1 | h2 ──► one event after another ──► proxy
//   poll    ──► ready list: input that had to wait ──► dirty list: what each socket is to do, as records
//
// A connection is forgotten in one place only, `sweep`, which `poll` calls for a dirty connection; everywhere else it
// is only flagged. So no function below ever holds an address of a record that another one gives back.

import {
  EVENT_BLOCKED,
  EVENT_CREDIT,
  EVENT_FATAL,
  EVENT_NONE,
  EVENT_RESET,
  H2_NO_ERROR,
  PROTOCOL_H1,
  PROTOCOL_H2,
  PROTOCOL_UNKNOWN,
  REASON_CONNECT_FAILED,
  REASON_CONNECT_TIMEOUT,
  REASON_UPSTREAM_RESET,
  ROLE_DOWNSTREAM,
  ROLE_UPSTREAM,
} from "../abi/engine-codes.ts";
import { SOCKET_TIMEOUT } from "../abi/engine-records.ts";
import { BACKLOG_BYTES_MAX, OUTPUT_CONTROL_BYTES_MAX, OUTPUT_LOW_BYTES } from "../abi/limits.ts";
import { release } from "../core/pool.ts";
import { handleRequestEvent, handleResponseEvent } from "./events.ts";
import { failConnection } from "./fatal.ts";
import { closeAfterResponseH1, endH1, receiveH1, startH1 } from "./h1/index.ts";
import { endH2, goawayH2, receiveH2, startH2, startTurnH2 } from "./h2/index.ts";
import { eventStream, inputEnd, inputPtr, now, setInput } from "./http/event.ts";
import { awaitHead, awaitRequest, isBetweenRequests } from "./proxy/downstream.ts";
import { flushBlocked } from "./proxy/flow.ts";
import { noteServerClose } from "./proxy/keep-alive.ts";
import { receiveDownstreamEnd, receivePipelineEnd } from "./proxy/leave.ts";
import { noteHeard } from "./proxy/liveness.ts";
import { loseConnection, loseStreams, receiveCredit, serveConnection } from "./proxy/loss.ts";
import { CP_PROGRESS, CP_WRITTEN, connectionReady, drainConnection } from "./proxy/upstream.ts";
import { noteReached } from "./proxy/visits.ts";
import { appendBacklog } from "./tables/backlog.ts";
import {
  C_BACKLOG_BYTES,
  C_BACKLOG_HEAD,
  C_BACKLOG_TAIL,
  C_OUT_BYTES,
  C_OUT_IN_FLIGHT,
  C_PROTOCOL,
  C_ROLE,
  C_STREAM_COUNT,
  C_STREAMS,
  CONNECTION_ABORT,
  CONNECTION_BACKLOG_FULL,
  CONNECTION_BLOCKED,
  CONNECTION_BROKEN,
  CONNECTION_CLOSE_WANTED,
  CONNECTION_CLOSED,
  CONNECTION_DRAINING,
  CONNECTION_OUTPUT_FULL,
  CONNECTION_PEER_ENDED,
  CONNECTION_SHUTDOWN_WANTED,
  clearFlag,
  hasFlag,
  setFlag,
} from "./tables/connections.ts";
import { hasReady, lastReady, markReady, requestAbort, requestClose, takeReady } from "./tables/control.ts";
import { CHUNK_END, CHUNK_NEXT, CHUNK_START, consumeOutput, markDirty } from "./tables/output.ts";
import { hasStreamFlag, STREAM_TUNNEL } from "./tables/streams.ts";

/** "PRI " as one little-endian word: no HTTP/1.1 method, so four bytes decide (RFC 9113 §3.4). */
const PRI_: u32 = 0x20495250;

/** Takes `length` bytes at `ptr` that came from the connection's socket. */
export function receiveBytes(connection: u32, ptr: u32, length: u32): void {
  if (hasFlag(connection, CONNECTION_CLOSE_WANTED)) return; // lingering: read and forget
  store<u64>(connection, now, CP_PROGRESS);
  if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) noteHeard(connection);
  const isFresh = isBetweenRequests(connection);
  takeBytes(connection, ptr, length);
  if (isFresh && load<u32>(connection, C_STREAM_COUNT) == 0) awaitHead(connection);
  if (load<u32>(connection, C_OUT_BYTES) > <u32>OUTPUT_CONTROL_BYTES_MAX) {
    // The peer asks and does not listen to the answers (reliability.md §1.2, A29): it is not heard until it does.
    setFlag(connection, CONNECTION_OUTPUT_FULL);
    markDirty(connection);
  }
}

function takeBytes(connection: u32, ptr: u32, length: u32): void {
  if (load<u8>(connection, C_PROTOCOL) == PROTOCOL_UNKNOWN) {
    if (!detectProtocol(connection, ptr, length)) return;
  } else if (load<u32>(connection, C_BACKLOG_BYTES) != 0 || hasFlag(connection, CONNECTION_BLOCKED)) {
    keepInput(connection, ptr, length);
    return;
  }
  setInput(ptr, ptr + length);
  if (load<u8>(connection, C_PROTOCOL) == PROTOCOL_H2) startTurnH2(connection);
  runCodec(connection);
  if (inputPtr != inputEnd) keepInput(connection, inputPtr, inputEnd - inputPtr);
}

/** The peer's FIN. */
export function receiveEnd(connection: u32): void {
  setFlag(connection, CONNECTION_PEER_ENDED);
  if (hasFlag(connection, CONNECTION_CLOSE_WANTED)) {
    markDirty(connection);
    return;
  }
  if (load<u32>(connection, C_BACKLOG_BYTES) == 0) endInput(connection);
  else receiveLeave(connection);
}

/** The peer's FIN came behind bytes that nobody has looked at yet: requests that wait for the one before them. */
export function receiveLeave(connection: u32): void {
  if (load<u8>(connection, C_PROTOCOL) != PROTOCOL_H1 || load<u8>(connection, C_ROLE) != ROLE_DOWNSTREAM) return;
  const stream = load<u32>(connection, C_STREAMS);
  if (stream == 0 || hasFlag(connection, CONNECTION_CLOSE_WANTED)) return;
  if (receivePipelineEnd(stream, load<u64>(connection, CP_PROGRESS))) requestAbort(connection);
}

/** The socket is open. */
export function receiveConnected(connection: u32): void {
  connectionReady(connection);
  store<u64>(connection, now, CP_PROGRESS);
  if (hasFlag(connection, CONNECTION_DRAINING)) {
    requestClose(connection); // its instance went away meanwhile
    return;
  }
  // HTTP/2 has to speak first (events.ts).
  if (load<u8>(connection, C_PROTOCOL) != PROTOCOL_H2) noteReached(connection);
  serveConnection(connection);
  markDirty(connection);
}

/** The socket is gone, or never came to be; the record is to be forgotten by the caller. */
export function receiveClosed(connection: u32, failure: u32): void {
  if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) {
    if (!hasFlag(connection, CONNECTION_CLOSE_WANTED | CONNECTION_ABORT)) {
      takeLastWords(connection);
      noteServerClose(connection);
    }
    loseConnection(connection, failure == SOCKET_TIMEOUT ? REASON_CONNECT_TIMEOUT : REASON_CONNECT_FAILED);
  } else loseStreams(connection, REASON_UPSTREAM_RESET);
}

/** `length` bytes of output were taken by the kernel. */
export function receiveWritten(connection: u32, length: u32): void {
  store<u32>(connection, load<u32>(connection, C_OUT_IN_FLIGHT) - length, C_OUT_IN_FLIGHT);
  store<u64>(connection, load<u64>(connection, CP_WRITTEN) + length, CP_WRITTEN);
  store<u64>(connection, now, CP_PROGRESS);
  consumeOutput(connection, length);
  if (load<u32>(connection, C_OUT_BYTES) < <u32>OUTPUT_LOW_BYTES) {
    if (hasFlag(connection, CONNECTION_OUTPUT_FULL)) {
      clearFlag(connection, CONNECTION_OUTPUT_FULL);
      markDirty(connection);
    }
    flushBlocked(connection);
  }
  if (
    load<u32>(connection, C_OUT_BYTES) != 0 ||
    hasFlag(connection, CONNECTION_CLOSE_WANTED | CONNECTION_SHUTDOWN_WANTED)
  ) {
    markDirty(connection);
  }
}

/** Looks at every connection whose input had to wait. Those that become ready meanwhile wait for the next turn. */
export function serveReady(): void {
  if (!hasReady()) return;
  const last = lastReady();
  let connection: u32 = 0;
  do {
    connection = takeReady();
    if (connection == 0) return;
    feedBacklog(connection);
  } while (connection != last);
}

function feedBacklog(connection: u32): void {
  if (hasFlag(connection, CONNECTION_CLOSED)) markDirty(connection); // it may be forgotten now
  if (hasFlag(connection, CONNECTION_CLOSE_WANTED | CONNECTION_CLOSED)) return;
  clearFlag(connection, CONNECTION_BLOCKED);
  if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) serveConnection(connection);
  else if (load<u32>(connection, C_STREAM_COUNT) == 0) awaitRequest(connection);
  if (load<u8>(connection, C_PROTOCOL) == PROTOCOL_H2) startTurnH2(connection);
  while (load<u32>(connection, C_BACKLOG_HEAD) != 0) {
    const chunk = load<u32>(connection, C_BACKLOG_HEAD);
    const start = chunk + load<u32>(chunk, CHUNK_START);
    setInput(start, chunk + load<u32>(chunk, CHUNK_END));
    runCodec(connection);
    const taken = inputPtr - start;
    store<u32>(connection, load<u32>(connection, C_BACKLOG_BYTES) - taken, C_BACKLOG_BYTES);
    if (inputPtr != inputEnd) {
      store<u32>(chunk, load<u32>(chunk, CHUNK_START) + taken, CHUNK_START);
      return;
    }
    const next = load<u32>(chunk, CHUNK_NEXT);
    store<u32>(connection, next, C_BACKLOG_HEAD);
    if (next == 0) store<u32>(connection, 0, C_BACKLOG_TAIL);
    release(chunk);
    if (hasFlag(connection, CONNECTION_CLOSE_WANTED)) return;
    if (hasFlag(connection, CONNECTION_BLOCKED)) return;
  }
  if (hasFlag(connection, CONNECTION_BACKLOG_FULL)) {
    clearFlag(connection, CONNECTION_BACKLOG_FULL);
    markDirty(connection);
  }
  if (hasFlag(connection, CONNECTION_PEER_ENDED)) endInput(connection);
}

/**
 * The socket is gone, and what was read from it before still waits for its turn: answers, and a GOAWAY that proves what
 * was never processed. All of it counts.
 */
function takeLastWords(connection: u32): void {
  setFlag(connection, CONNECTION_DRAINING); // nothing new goes on it
  let left = load<u32>(connection, C_BACKLOG_BYTES);
  while (left != 0) {
    feedBacklog(connection);
    const before = left;
    left = load<u32>(connection, C_BACKLOG_BYTES);
    if (left == before || hasFlag(connection, CONNECTION_CLOSE_WANTED)) return;
  }
}

function keepInput(connection: u32, ptr: u32, length: u32): void {
  if (!appendBacklog(connection, ptr, length)) {
    requestAbort(connection);
    return;
  }
  if (
    load<u32>(connection, C_BACKLOG_BYTES) > <u32>BACKLOG_BYTES_MAX &&
    !hasFlag(connection, CONNECTION_BACKLOG_FULL)
  ) {
    setFlag(connection, CONNECTION_BACKLOG_FULL);
    markDirty(connection);
  }
}

/** Whether the codec can go on with these bytes; else they were kept, or fed from where they were kept. */
function detectProtocol(connection: u32, ptr: u32, length: u32): bool {
  const isFirst = load<u32>(connection, C_BACKLOG_BYTES) == 0;
  if (isFirst && (length >= 4 || load<u8>(ptr) != 80)) {
    beginProtocol(connection, ptr, length);
    return true;
  }
  // 'P' alone may begin PUT, POST, PATCH or the preface.
  keepInput(connection, ptr, length);
  const kept = load<u32>(connection, C_BACKLOG_BYTES);
  if (kept < 4) return false;
  const chunk = load<u32>(connection, C_BACKLOG_HEAD);
  beginProtocol(connection, chunk + load<u32>(chunk, CHUNK_START), kept);
  feedBacklog(connection);
  return false;
}

function beginProtocol(connection: u32, ptr: u32, length: u32): void {
  const isH2 = length >= 4 && load<u32>(ptr) == PRI_;
  store<u8>(connection, u8(isH2 ? PROTOCOL_H2 : PROTOCOL_H1), C_PROTOCOL);
  if (isH2) startH2(connection);
  else startH1(connection);
  if (!hasFlag(connection, CONNECTION_DRAINING)) return;
  // Accepted while we drain: said as soon as there is a language to say it in.
  if (isH2) goawayH2(connection, H2_NO_ERROR, false);
  else closeAfterResponseH1(connection);
}

function runCodec(connection: u32): void {
  const isH2 = load<u8>(connection, C_PROTOCOL) == PROTOCOL_H2;
  while (true) {
    const event = isH2 ? receiveH2(connection) : receiveH1(connection);
    if (event == EVENT_NONE) return;
    if (event == EVENT_BLOCKED) {
      setFlag(connection, CONNECTION_BLOCKED);
      if (isH2) markReady(connection); // HTTP/1.1 becomes ready when the response before is done
      return;
    }
    handleEvent(connection, event);
    if (event == EVENT_FATAL || hasFlag(connection, CONNECTION_CLOSE_WANTED)) {
      setInput(inputEnd, inputEnd);
      return;
    }
  }
}

function handleEvent(connection: u32, event: i32): void {
  if (event == EVENT_FATAL) {
    failConnection(connection);
    return;
  }
  if (event == EVENT_CREDIT) {
    receiveCredit(connection, eventStream);
    return;
  }
  if (load<u8>(connection, C_ROLE) == ROLE_DOWNSTREAM) handleRequestEvent(event);
  else handleResponseEvent(connection, event);
}

/** All input before the FIN was taken. */
function endInput(connection: u32): void {
  const isH2 = load<u8>(connection, C_PROTOCOL) == PROTOCOL_H2;
  if (load<u8>(connection, C_PROTOCOL) == PROTOCOL_UNKNOWN) {
    requestClose(connection);
    return;
  }
  if (isH2) {
    if (load<u32>(connection, C_STREAM_COUNT) != 0) setFlag(connection, CONNECTION_BROKEN);
    endH2(connection); // which stream it would name first is all the same: all of them are lost
    loseStreams(connection, REASON_UPSTREAM_RESET);
    requestClose(connection);
    return;
  }
  const event = endH1(connection);
  if (event == EVENT_RESET) setFlag(connection, CONNECTION_BROKEN);
  if (event != EVENT_NONE) handleEvent(connection, event);
  if (hasFlag(connection, CONNECTION_CLOSE_WANTED)) return;
  const stream = load<u32>(connection, C_STREAMS);
  if (stream != 0) {
    // A tunnel goes on the other way.
    if (hasStreamFlag(stream, STREAM_TUNNEL) || load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) return;
    if (receiveDownstreamEnd(stream)) requestAbort(connection);
    return;
  }
  if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) {
    noteServerClose(connection);
    drainConnection(connection);
  }
  requestClose(connection);
}
