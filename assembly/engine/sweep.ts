// What each socket is to do next, as records; and the only place where a connection is forgotten.

import { PROTOCOL_H1, PROTOCOL_H2 } from "../abi/engine-codes.ts";
import { RECORD_BYTES, RECORDS, RECORDS_MAX } from "../abi/engine-memory.ts";
import {
  RECORD_CLOSE,
  RECORD_CONNECT,
  RECORD_LOG,
  RECORD_PAUSE,
  RECORD_RESUME,
  RECORD_SHUTDOWN,
  RECORD_WRITE,
} from "../abi/engine-records.ts";
import { LINGER_TIMEOUT_MS, WRITE_STALL_TIMEOUT_MS } from "../abi/limits.ts";
import { INSTANCE_GENERATION } from "../abi/policy.ts";
import { receiveClosed } from "./connection.ts";
import { stopH1 } from "./h1/index.ts";
import { stopH2 } from "./h2/index.ts";
import { now } from "./http/event.ts";
import { clearLog, entryBytes, hasEntries, takeEntry } from "./proxy/log.ts";
import { addReport } from "./proxy/reports.ts";
import { connectTimeoutOf, takeConnect } from "./proxy/upstream.ts";
import { instanceAt } from "./route/index.ts";
import { destroyBacklog } from "./tables/backlog.ts";
import {
  C_INSTANCE,
  C_OUT_BYTES,
  C_OUT_HEAD,
  C_OUT_IN_FLIGHT,
  C_PROTOCOL,
  CONNECTION_ABORT,
  CONNECTION_BACKLOG_FULL,
  CONNECTION_CLOSE_WANTED,
  CONNECTION_CLOSED,
  CONNECTION_CONNECTING,
  CONNECTION_LINGER,
  CONNECTION_OUTPUT_FULL,
  CONNECTION_PAUSE_TOLD,
  CONNECTION_PAUSED,
  CONNECTION_PEER_ENDED,
  CONNECTION_READY,
  CONNECTION_SHUTDOWN_SENT,
  CONNECTION_SHUTDOWN_WANTED,
  clearFlag,
  connectionHandle,
  connectionIndex,
  destroyConnection,
  hasFlag,
  setFlag,
} from "./tables/connections.ts";
import { CHUNK_END, CHUNK_NEXT, CHUNK_START, destroyOutput, markDirty, takeDirty } from "./tables/output.ts";
import { armTimer, connectionTimer, disarmTimer, timerDeadline } from "./timers.ts";

/** Records that one connection may need at once: 16 chunks and what else there is to say. */
const RECORDS_PER_CONNECTION: u32 = 32;
const WRITES_PER_CONNECTION: u32 = 24;

// Per-instance state of this worker.
let recordCount: u32 = 0;
let isCut: bool = false;

/** Whether the last `writeRecords` stopped for want of room. */
export function hasMoreRecords(): bool {
  return isCut;
}

/** Writes the records of this turn; returns how many. Call again while `hasMoreRecords`. */
export function writeRecords(): u32 {
  recordCount = 0;
  isCut = false;
  if (!hasEntries()) clearLog();
  while (true) {
    // Asked for again after each connection: one that ends may make room for the connect that others wait for.
    let connection = takeConnect();
    if (connection != 0) addConnect(connection);
    else {
      connection = takeDirty();
      if (connection == 0) break;
      sweep(connection);
    }
    if (isFull()) return recordCount;
  }
  let entry = takeEntry();
  while (entry != 0) {
    addLogRecord(entry);
    if (isFull()) return recordCount;
    entry = takeEntry();
  }
  return recordCount;
}

/** Forgets a connection whose socket is gone: everything it holds is given back. */
export function forgetConnection(connection: u32): void {
  setFlag(connection, CONNECTION_CLOSED);
  const protocol = u32(load<u8>(connection, C_PROTOCOL));
  if (protocol == PROTOCOL_H2 && !hasFlag(connection, CONNECTION_CONNECTING)) stopH2(connection);
  else if (protocol == PROTOCOL_H1 && !hasFlag(connection, CONNECTION_CONNECTING)) stopH1(connection);
  destroyOutput(connection);
  destroyBacklog(connection);
  disarmTimer(connectionTimer(connectionIndex(connection)));
  markDirty(connection); // the record itself goes when no list holds it any more
}

function sweep(connection: u32): void {
  if (hasFlag(connection, CONNECTION_CLOSED)) {
    // Still in the ready list: it comes back from there.
    if (!hasFlag(connection, CONNECTION_READY)) destroyConnection(connection);
    return;
  }
  if (hasFlag(connection, CONNECTION_ABORT)) {
    closeNow(connection, 1);
    return;
  }
  if (hasFlag(connection, CONNECTION_CONNECTING)) return;
  tellPause(connection);
  if (load<u32>(connection, C_OUT_IN_FLIGHT) == 0 && load<u32>(connection, C_OUT_BYTES) != 0) {
    addReport(connection);
    addWrites(connection);
  }
  if (load<u32>(connection, C_OUT_BYTES) != 0) {
    if (hasFlag(connection, CONNECTION_CLOSE_WANTED)) awaitFlush(connection);
    return;
  }
  if (hasFlag(connection, CONNECTION_CLOSE_WANTED)) closeFlushed(connection);
  else if (hasFlag(connection, CONNECTION_SHUTDOWN_WANTED) && !hasFlag(connection, CONNECTION_SHUTDOWN_SENT)) {
    setFlag(connection, CONNECTION_SHUTDOWN_SENT);
    addRecord(RECORD_SHUTDOWN, connection, 0, 0);
  }
}

function tellPause(connection: u32): void {
  const isPaused = hasFlag(connection, CONNECTION_PAUSED | CONNECTION_BACKLOG_FULL | CONNECTION_OUTPUT_FULL);
  if (isPaused == hasFlag(connection, CONNECTION_PAUSE_TOLD)) return;
  if (isPaused) setFlag(connection, CONNECTION_PAUSE_TOLD);
  else clearFlag(connection, CONNECTION_PAUSE_TOLD);
  addRecord(isPaused ? RECORD_PAUSE : RECORD_RESUME, connection, 0, 0);
}

/** Sees to it that a connection that closes once it is flushed is looked at, though its peer may take nothing more. */
function awaitFlush(connection: u32): void {
  const timer = connectionTimer(connectionIndex(connection));
  const latest = now + u64(WRITE_STALL_TIMEOUT_MS) * 1000;
  const armed = timerDeadline(timer);
  if (armed == 0 || armed > latest) armTimer(timer, latest);
}

function addConnect(connection: u32): void {
  const slot = load<u32>(connection, C_INSTANCE);
  const record = instanceAt(slot);
  const generation = record == 0 ? 0 : load<u32>(record, INSTANCE_GENERATION);
  addRecord(RECORD_CONNECT, connection, slot, generation);
  store<u32>(RECORDS + (recordCount - 1) * RECORD_BYTES, connectTimeoutOf(connection), 16);
}

function addWrites(connection: u32): void {
  let chunk = load<u32>(connection, C_OUT_HEAD);
  let bytes: u32 = 0;
  let writes: u32 = 0;
  while (chunk != 0 && writes < WRITES_PER_CONNECTION) {
    const start = load<u32>(chunk, CHUNK_START);
    const length = load<u32>(chunk, CHUNK_END) - start;
    if (length != 0) {
      addRecord(RECORD_WRITE, connection, chunk + start, length);
      bytes += length;
      writes += 1;
    }
    chunk = load<u32>(chunk, CHUNK_NEXT);
  }
  store<u32>(connection, bytes, C_OUT_IN_FLIGHT);
}

/** Everything was written: closes, after a half-close and a wait where the last answer might be lost otherwise. */
function closeFlushed(connection: u32): void {
  if (!hasFlag(connection, CONNECTION_LINGER) || hasFlag(connection, CONNECTION_PEER_ENDED)) {
    closeNow(connection, 0);
    return;
  }
  if (hasFlag(connection, CONNECTION_SHUTDOWN_SENT)) return;
  setFlag(connection, CONNECTION_SHUTDOWN_SENT);
  clearFlag(connection, CONNECTION_PAUSED | CONNECTION_BACKLOG_FULL | CONNECTION_OUTPUT_FULL);
  tellPause(connection);
  addRecord(RECORD_SHUTDOWN, connection, 0, 0);
  armTimer(connectionTimer(connectionIndex(connection)), now + u64(LINGER_TIMEOUT_MS) * 1000);
}

function closeNow(connection: u32, how: u32): void {
  addRecord(RECORD_CLOSE, connection, how, 0);
  receiveClosed(connection, 0);
  forgetConnection(connection);
}

function addRecord(kind: u32, connection: u32, a: u32, b: u32): void {
  const record: u32 = RECORDS + recordCount * RECORD_BYTES;
  store<u32>(record, kind);
  store<u32>(record, connectionHandle(connection), 4);
  store<u32>(record, a, 8);
  store<u32>(record, b, 12);
  recordCount += 1;
}

function addLogRecord(entry: u32): void {
  const record: u32 = RECORDS + recordCount * RECORD_BYTES;
  store<u32>(record, RECORD_LOG);
  store<u32>(record, 0, 4);
  store<u32>(record, entry, 8);
  store<u32>(record, entryBytes(entry), 12);
  recordCount += 1;
}

function isFull(): bool {
  isCut = recordCount + RECORDS_PER_CONNECTION > <u32>RECORDS_MAX;
  return isCut;
}
