// The connection table: one record of 512 bytes for each socket, downstream and upstream.
//
//   0        64            128                                          448        512
//   ├ common ┼ proxy's own ┼ the codec's own: h1 or h2, whichever speaks ┼ spare    ┤
//
// A handle is (generation << 16 | index): JavaScript answers late (a write's callback, a connect's failure), and a
// handle of a connection that is gone must find nothing. Inside the engine plain indices are used, as addresses:
// `connection` is always the address of a record.

import { CONNECTION_BYTES, CONNECTION_READS_NARROW, CONNECTIONS } from "../../abi/engine-memory.ts";
import { CONNECTIONS_MAX } from "../../abi/limits.ts";

// ── Common fields ────────────────────────────────────────────────────────────────────────────────
/** u16 generation, u8 in use. */
export const C_GENERATION: u32 = 0;
export const C_IN_USE: u32 = 2;
export const C_ROLE: u32 = 3; // u8 ROLE_*
export const C_PROTOCOL: u32 = 4; // u8 PROTOCOL_*
export const C_LISTENER: u32 = 5; // u8 LISTENER_* (downstream)
export const C_PEER_IS_PILLION: u32 = 6; // u8: SETTINGS 0xf0f1 = 1 was seen, or a registered sidecar
export const C_OUT_BUSY: u32 = 7; // u8 turns for which output begins with a whole chunk
export const C_FLAGS: u32 = 8; // u32 CONNECTION_*
export const C_INSTANCE: u32 = 12; // u32 slot (upstream)
export const C_OUT_HEAD: u32 = 16; // chunk list of output
export const C_OUT_TAIL: u32 = 20;
export const C_OUT_BYTES: u32 = 24; // unsent, what JavaScript is writing included
export const C_OUT_IN_FLIGHT: u32 = 28; // handed to JavaScript, not yet written
export const C_DIRTY_NEXT: u32 = 32; // address of next dirty connection
export const C_PARTIAL: u32 = 36; // pool block with an incomplete element of the codec
export const C_PARTIAL_BYTES: u32 = 40;
export const C_BACKLOG_HEAD: u32 = 44; // chunk list of input not yet given to the codec
export const C_BACKLOG_TAIL: u32 = 48;
export const C_BACKLOG_BYTES: u32 = 52;
export const C_STREAMS: u32 = 56; // first stream of this connection (address), 0 = none
export const C_STREAM_COUNT: u32 = 60;

// ── The proxy's fields (proxy/, connection.ts): offsets 64 to 127 ────────────────────────────────
export const C_PROXY: u32 = 64;

/** Downstream: u32 bytes of request heads that exchanges keep (upstream has a link of its pool there). */
export const C_HEAD_BYTES: u32 = C_PROXY + 12;
/** Downstream: u16 upstream streams whose window was widened for this client (upstream has its kind there). */
export const C_WIDE_STREAMS: u32 = C_PROXY + 28;
/** Upstream: u8, the answer under way is read in small portions (downstream has a number there). */
export const C_READS_NARROW: u32 = CONNECTION_READS_NARROW;

// ── The codec's fields: offsets 128 to 447 ───────────────────────────────────────────────────────
export const C_CODEC: u32 = 128;

// ── Spare: the peer's address as text, for x-forwarded-for and logs (IPv6 needs 45 bytes) ──────────
export const C_PEER_BYTES: u32 = 448; // u8
export const C_PEER: u32 = 449;
export const PEER_BYTES_MAX: u32 = 47; // to 495; 496 to 511 are the codec's again (h2/state.ts)

// ── Flags ────────────────────────────────────────────────────────────────────────────────────────
export const CONNECTION_CONNECTING: u32 = 1; // upstream socket not yet open
export const CONNECTION_PAUSED: u32 = 2; // JavaScript was told to stop reading
export const CONNECTION_PEER_ENDED: u32 = 4; // FIN received
export const CONNECTION_CLOSE_WANTED: u32 = 8; // close once the output is flushed
export const CONNECTION_CLOSED: u32 = 16; // the socket is gone, or RECORD_CLOSE was issued
export const CONNECTION_DIRTY: u32 = 32; // in the dirty list
export const CONNECTION_DRAINING: u32 = 64; // no new exchanges: GOAWAY sent or received, Connection: close
export const CONNECTION_SHUTDOWN_WANTED: u32 = 128; // half-close once the output is flushed
export const CONNECTION_SHUTDOWN_SENT: u32 = 256;
export const CONNECTION_BLOCKED: u32 = 512; // the codec said EVENT_BLOCKED: input waits in the backlog
export const CONNECTION_READY: u32 = 1024; // in the ready list: to be served next turn
export const CONNECTION_ABORT: u32 = 2048; // close with a reset, not after flushing
export const CONNECTION_LINGER: u32 = 4096; // half-close first and discard input, so that the last answer arrives
export const CONNECTION_BACKLOG_FULL: u32 = 8192; // reading is paused because of the backlog
export const CONNECTION_OUTPUT_FULL: u32 = 32768; // reading is paused because the peer does not read
export const CONNECTION_BROKEN: u32 = 65536; // the peer ended it under an exchange
export const CONNECTION_PAUSE_TOLD: u32 = 16384; // what JavaScript was last told about reading
export const CONNECTION_SHED: u32 = 65536; // it goes, and we stay (proxy/shed.ts)

// Per-instance state of this worker: the free list is threaded through C_DIRTY_NEXT.
let firstFree: u32 = 0;
let neverUsed: u32 = 0;
let inUse: u32 = 0;

/** Takes a record, all zero but its generation; 0 when the table is full. */
export function createConnection(): u32 {
  let connection = firstFree;
  if (connection != 0) firstFree = load<u32>(connection, C_DIRTY_NEXT);
  else {
    if (neverUsed == CONNECTIONS_MAX) return 0;
    connection = CONNECTIONS + neverUsed * CONNECTION_BYTES;
    neverUsed += 1;
  }
  const generation = load<u16>(connection, C_GENERATION);
  memory.fill(connection, 0, CONNECTION_BYTES);
  store<u16>(connection, generation, C_GENERATION);
  store<u8>(connection, 1, C_IN_USE);
  inUse += 1;
  return connection;
}

/** Gives a record back; its handle finds nothing from now on. */
export function destroyConnection(connection: u32): void {
  assert(load<u8>(connection, C_IN_USE) == 1);
  const generation = u16((load<u16>(connection, C_GENERATION) + 1) & 0x3fff);
  if (ASC_OPTIMIZE_LEVEL == 0) memory.fill(connection, 0xdb, CONNECTION_BYTES); // so that a late reader shows
  store<u8>(connection, 0, C_IN_USE);
  store<u16>(connection, generation, C_GENERATION);
  store<u32>(connection, firstFree, C_DIRTY_NEXT);
  firstFree = connection;
  inUse -= 1;
}

/** Index of a record, for tables that run beside this one. */
export function connectionIndex(connection: u32): u32 {
  return (connection - CONNECTIONS) / CONNECTION_BYTES;
}

/** What JavaScript knows a connection by: positive, below 2^30. */
export function connectionHandle(connection: u32): u32 {
  return (u32(load<u16>(connection, C_GENERATION)) << 16) | connectionIndex(connection);
}

/** The record of a handle; 0 when that connection is gone. */
export function connectionOf(handle: u32): u32 {
  const index = handle & 0xffff;
  if (index >= neverUsed) return 0;
  const connection = CONNECTIONS + index * CONNECTION_BYTES;
  if (load<u8>(connection, C_IN_USE) == 0) return 0;
  return u32(load<u16>(connection, C_GENERATION)) == handle >> 16 ? connection : 0;
}

/** Connections in use. */
export function connectionCount(): u32 {
  return inUse;
}

/** Records from the first up to here may be in use: for scans of the supervisor's kind. */
export function connectionsEnd(): u32 {
  return CONNECTIONS + neverUsed * CONNECTION_BYTES;
}

export function hasFlag(connection: u32, flag: u32): bool {
  return (load<u32>(connection, C_FLAGS) & flag) != 0;
}

export function setFlag(connection: u32, flag: u32): void {
  store<u32>(connection, load<u32>(connection, C_FLAGS) | flag, C_FLAGS);
}

export function clearFlag(connection: u32, flag: u32): void {
  store<u32>(connection, load<u32>(connection, C_FLAGS) & ~flag, C_FLAGS);
}
