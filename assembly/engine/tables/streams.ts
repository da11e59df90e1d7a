// The stream table: one record of 192 bytes for each message pair on a connection, HTTP/1.1 or HTTP/2, either side.
//
//   0        64                           128                        192
//   ├ common ┼ the codec's own            ┼ the proxy's own          ┤
//
// An HTTP/1.1 connection has at most one stream at a time. `stream` is always the address of a record. The proxy
// releases a stream; the codec never does. A stream is found by (connection, id) through one hash table for all.

import { STREAM_BYTES, STREAM_CHAINS, STREAMS } from "../../abi/engine-memory.ts";
import { STREAMS_MAX } from "../../abi/limits.ts";
import { C_STREAM_COUNT, C_STREAMS, connectionIndex } from "./connections.ts";

// ── Common fields ────────────────────────────────────────────────────────────────────────────────
export const S_CONNECTION: u32 = 0; // address
export const S_ID: u32 = 4; // HTTP/2 stream id; 0 on HTTP/1.1
export const S_FLAGS: u32 = 8; // u32 STREAM_*
export const S_EXCHANGE: u32 = 12; // address; 0 before the proxy took it
export const S_PREVIOUS: u32 = 16; // list of the connection's streams, newest first
export const S_NEXT: u32 = 20;
export const S_CHAIN: u32 = 24; // hash chain
export const S_SEND_WINDOW: u32 = 28; // i32: what we may send (h2)
export const S_RECEIVE_WINDOW: u32 = 32; // i32: what the peer may still send (h2)
export const S_OWED: u32 = 36; // u32: bytes consumed and not yet credited (h2)
export const S_EXPECTED: u32 = 40; // i64: bytes that the peer's content-length still promises; -1 = unknown
export const S_TO_SEND: u32 = 48; // i64: bytes that our content-length still promises; -1 = unknown
export const S_BODY_BYTES: u32 = 56; // u64: body bytes received in all

export const S_CODEC: u32 = 64; // offsets 64 to 127
export const S_PROXY: u32 = 128; // offsets 128 to 191

// ── Flags (common; the codec's own start at 1 << 16) ─────────────────────────────────────────────
export const STREAM_RECEIVED_HEAD: u32 = 1;
export const STREAM_RECEIVED_END: u32 = 2; // the peer's side is complete
export const STREAM_SENT_HEAD: u32 = 4;
export const STREAM_SENT_END: u32 = 8; // our side is complete
export const STREAM_RESET: u32 = 16; // reset by either side: nothing more may be sent, nothing more is heard
export const STREAM_REQUEST_IS_HEAD: u32 = 32; // method HEAD: the response has no body
export const STREAM_REQUEST_IS_CONNECT: u32 = 64; // CONNECT, plain or extended: a 2xx makes a tunnel
export const STREAM_TUNNEL: u32 = 128; // bytes both ways, no framing (h1), END carries the FIN
export const STREAM_UPGRADE: u32 = 256; // HTTP/1.1 Upgrade asked for; 101 makes a tunnel

// Per-instance state of this worker; the free list is threaded through S_NEXT.
let firstFree: u32 = 0;
let neverUsed: u32 = 0;
let inUse: u32 = 0;

/** Takes a record and links it to its connection; 0 when the table is full. */
export function createStream(connection: u32, id: u32): u32 {
  let stream = firstFree;
  if (stream != 0) firstFree = load<u32>(stream, S_NEXT);
  else {
    if (neverUsed == STREAMS_MAX) return 0;
    stream = STREAMS + neverUsed * STREAM_BYTES;
    neverUsed += 1;
  }
  memory.fill(stream, 0, STREAM_BYTES);
  store<u32>(stream, connection, S_CONNECTION);
  store<u32>(stream, id, S_ID);
  store<i64>(stream, -1, S_EXPECTED);
  store<i64>(stream, -1, S_TO_SEND);
  const next = load<u32>(connection, C_STREAMS);
  store<u32>(stream, next, S_NEXT);
  if (next != 0) store<u32>(next, stream, S_PREVIOUS);
  store<u32>(connection, stream, C_STREAMS);
  store<u32>(connection, load<u32>(connection, C_STREAM_COUNT) + 1, C_STREAM_COUNT);
  if (id != 0) {
    const chain = chainOf(connection, id);
    store<u32>(stream, load<u32>(chain), S_CHAIN);
    store<u32>(chain, stream);
  }
  inUse += 1;
  return stream;
}

/** Gives a record its id, which it was created without: a client's ids rise in the order of its heads. */
export function assignStreamId(stream: u32, id: u32): void {
  assert(id != 0 && load<u32>(stream, S_ID) == 0);
  store<u32>(stream, id, S_ID);
  const chain = chainOf(load<u32>(stream, S_CONNECTION), id);
  store<u32>(stream, load<u32>(chain), S_CHAIN);
  store<u32>(chain, stream);
}

/** Unlinks a record and gives it back. */
export function destroyStream(stream: u32): void {
  const connection = load<u32>(stream, S_CONNECTION);
  assert(connection != 0); // else released twice
  const previous = load<u32>(stream, S_PREVIOUS);
  const next = load<u32>(stream, S_NEXT);
  if (previous != 0) store<u32>(previous, next, S_NEXT);
  else store<u32>(connection, next, C_STREAMS);
  if (next != 0) store<u32>(next, previous, S_PREVIOUS);
  store<u32>(connection, load<u32>(connection, C_STREAM_COUNT) - 1, C_STREAM_COUNT);
  const id = load<u32>(stream, S_ID);
  if (id != 0) unchain(chainOf(connection, id), stream);
  if (ASC_OPTIMIZE_LEVEL == 0) memory.fill(stream, 0xdb, STREAM_BYTES); // so that a late reader shows
  store<u32>(stream, 0, S_CONNECTION);
  store<u32>(stream, firstFree, S_NEXT);
  firstFree = stream;
  inUse -= 1;
}

/** The stream with this id on this connection; 0 when there is none. */
export function findStream(connection: u32, id: u32): u32 {
  let stream = load<u32>(chainOf(connection, id));
  while (stream != 0) {
    if (load<u32>(stream, S_ID) == id && load<u32>(stream, S_CONNECTION) == connection) return stream;
    stream = load<u32>(stream, S_CHAIN);
  }
  return 0;
}

/** Streams in use. */
export function streamCount(): u32 {
  return inUse;
}

export function hasStreamFlag(stream: u32, flag: u32): bool {
  return (load<u32>(stream, S_FLAGS) & flag) != 0;
}

export function setStreamFlag(stream: u32, flag: u32): void {
  store<u32>(stream, load<u32>(stream, S_FLAGS) | flag, S_FLAGS);
}

function chainOf(connection: u32, id: u32): u32 {
  // Fibonacci hashing; ids of one connection are consecutive odd numbers, so they spread by themselves.
  const hash = (connectionIndex(connection) * 0x9e3779b1 + (id >> 1)) & (STREAMS_MAX - 1);
  return STREAM_CHAINS + hash * 4;
}

function unchain(chain: u32, stream: u32): void {
  let at = load<u32>(chain);
  if (at == stream) {
    store<u32>(chain, load<u32>(stream, S_CHAIN));
    return;
  }
  while (at != 0) {
    const next = load<u32>(at, S_CHAIN);
    if (next == stream) {
      store<u32>(at, load<u32>(stream, S_CHAIN), S_CHAIN);
      return;
    }
    at = next;
  }
  assert(false); // a stream with an id is always chained
}
