// Output of a connection: a list of chunks that JavaScript writes from where they lie.
//
//   chunk: ┌──────┬───────┬─────┬──────────┬────────────────────────┐
//          │ next │ start │ end │ capacity │ bytes …                │
//          └──────┴───────┴─────┴──────────┴────────────────────────┘
//
// A chunk has CHUNK_BYTES, but the first of a quiet connection only what is needed: a thousand connections that each
// answer one small request in a turn then hold one megabyte and not sixteen.
//
// Bytes between `start` and `end` are unsent. The first C_OUT_IN_FLIGHT of them are being written: libuv refers to them
// until `written` says otherwise, so a chunk is released only then. Appending behind them is allowed.
//
// A connection with something to write is in the dirty list, once; `poll` walks it.

import { CHUNK_BYTES } from "../../abi/limits.ts";
import { allocate, release } from "../../core/pool.ts";
import {
  C_DIRTY_NEXT,
  C_OUT_BUSY,
  C_OUT_BYTES,
  C_OUT_HEAD,
  C_OUT_IN_FLIGHT,
  C_OUT_TAIL,
  CONNECTION_ABORT,
  CONNECTION_CLOSE_WANTED,
  CONNECTION_CLOSED,
  CONNECTION_DIRTY,
  clearFlag,
  hasFlag,
  setFlag,
} from "./connections.ts";

export const CHUNK_NEXT: u32 = 0;
export const CHUNK_START: u32 = 4; // offset from the chunk's address
export const CHUNK_END: u32 = 8;
export const CHUNK_CAPACITY: u32 = 12; // header included
export const CHUNK_HEADER_BYTES: u32 = 16;
export const CHUNK_PAYLOAD_BYTES: u32 = CHUNK_BYTES - 16;
/** The smallest chunk of bodies and backlogs: the pool's smallest block. */
const CHUNK_BYTES_MIN: u32 = 256;
/** The smallest first chunk of output: a response head and a short body. */
const FIRST_CHUNK_BYTES: u32 = 1024;
/** So many turns a connection keeps to whole chunks after a small one was not enough. */
const BUSY_TURNS: u8 = 32;

// Per-instance state of this worker.
let dirtyHead: u32 = 0;
let dirtyTail: u32 = 0;

/**
 * Takes a fresh, empty chunk for `wanted` bytes behind `tail` (0 = it is the first): as small as they are, each larger
 * than the one before, CHUNK_BYTES at most. A thousand waiting bodies of one byte then hold no sixteen megabytes. 0
 * when the pool is exhausted.
 */
export function createChunkBehind(tail: u32, wanted: u32): u32 {
  const before = tail == 0 ? 0 : load<u32>(tail, CHUNK_CAPACITY) * 2;
  const bytes = min(<u32>CHUNK_BYTES, max(max(before, wanted + CHUNK_HEADER_BYTES), CHUNK_BYTES_MIN));
  return createChunkOf(1 << (32 - clz<u32>(bytes - 1)));
}

/** Whether nothing fits behind what a chunk holds. */
export function isChunkFull(chunk: u32): bool {
  return load<u32>(chunk, CHUNK_END) == load<u32>(chunk, CHUNK_CAPACITY);
}

/** Appends what fits of `length` bytes to a chunk; how many those are. */
export function fillChunk(chunk: u32, ptr: u32, length: u32): u32 {
  const end = load<u32>(chunk, CHUNK_END);
  const part = min(load<u32>(chunk, CHUNK_CAPACITY) - end, length);
  memory.copy(chunk + end, ptr, part);
  store<u32>(chunk, end + part, CHUNK_END);
  return part;
}

function createChunkOf(bytes: u32): u32 {
  const chunk = allocate(bytes);
  if (chunk == 0) return 0;
  store<u32>(chunk, bytes, CHUNK_CAPACITY);
  store<u32>(chunk, 0, CHUNK_NEXT);
  store<u32>(chunk, CHUNK_HEADER_BYTES, CHUNK_START);
  store<u32>(chunk, CHUNK_HEADER_BYTES, CHUNK_END);
  return chunk;
}

/** Appends `length` bytes. When the pool runs out the connection is marked to be aborted. */
export function appendOutput(connection: u32, ptr: u32, length: u32): void {
  let from = ptr;
  let left = length;
  while (left != 0) {
    const room = outputRoom(connection, left);
    if (room == 0) return;
    const part = min(room, left);
    memory.copy(outputCursor(connection), from, part);
    advanceOutput(connection, part);
    from += part;
    left -= part;
  }
}

/**
 * A contiguous place of at least `length` bytes (at most 16,368) at the end of the output; 0 when the pool is
 * exhausted. The caller writes there and calls `advanceOutput`. What is left of the chunk before is not used.
 */
export function reserveOutput(connection: u32, length: u32): u32 {
  const tail = load<u32>(connection, C_OUT_TAIL);
  if (tail != 0 && roomOf(tail) >= length) return tail + load<u32>(tail, CHUNK_END);
  if (!addChunk(connection, length)) return 0;
  return outputCursor(connection);
}

/** Says that `length` bytes were written at the cursor; the connection becomes dirty. */
export function advanceOutput(connection: u32, length: u32): void {
  const tail = load<u32>(connection, C_OUT_TAIL);
  store<u32>(tail, load<u32>(tail, CHUNK_END) + length, CHUNK_END);
  store<u32>(connection, load<u32>(connection, C_OUT_BYTES) + length, C_OUT_BYTES);
  markDirty(connection);
}

/** Releases `length` bytes from the front: they were written. */
export function consumeOutput(connection: u32, length: u32): void {
  let left = length;
  store<u32>(connection, load<u32>(connection, C_OUT_BYTES) - length, C_OUT_BYTES);
  while (left != 0) {
    const chunk = load<u32>(connection, C_OUT_HEAD);
    const start = load<u32>(chunk, CHUNK_START);
    const held = load<u32>(chunk, CHUNK_END) - start;
    if (left < held) {
      store<u32>(chunk, start + left, CHUNK_START);
      return;
    }
    left -= held;
    const next = load<u32>(chunk, CHUNK_NEXT);
    release(chunk);
    store<u32>(connection, next, C_OUT_HEAD);
    if (next == 0) store<u32>(connection, 0, C_OUT_TAIL);
  }
}

/** Takes back all but the first `length` bytes, those being written (C_OUT_IN_FLIGHT) among them. */
export function truncateOutput(connection: u32, length: u32): void {
  assert(length >= load<u32>(connection, C_OUT_IN_FLIGHT) && length <= load<u32>(connection, C_OUT_BYTES));
  let last: u32 = 0;
  let left = length;
  let chunk = load<u32>(connection, C_OUT_HEAD);
  while (left != 0) {
    const start = load<u32>(chunk, CHUNK_START);
    const part = min(load<u32>(chunk, CHUNK_END) - start, left);
    store<u32>(chunk, start + part, CHUNK_END);
    left -= part;
    last = chunk;
    chunk = load<u32>(chunk, CHUNK_NEXT);
  }
  releaseChunks(chunk);
  if (last == 0) store<u32>(connection, 0, C_OUT_HEAD);
  else store<u32>(last, 0, CHUNK_NEXT);
  store<u32>(connection, last, C_OUT_TAIL);
  store<u32>(connection, length, C_OUT_BYTES);
}

/** Releases everything: the socket is gone. */
export function destroyOutput(connection: u32): void {
  releaseChunks(load<u32>(connection, C_OUT_HEAD));
  store<u32>(connection, 0, C_OUT_HEAD);
  store<u32>(connection, 0, C_OUT_TAIL);
  store<u32>(connection, 0, C_OUT_BYTES);
}

/** Puts a connection into the list that `poll` walks. */
export function markDirty(connection: u32): void {
  if (hasFlag(connection, CONNECTION_DIRTY)) return;
  setFlag(connection, CONNECTION_DIRTY);
  store<u32>(connection, 0, C_DIRTY_NEXT);
  if (dirtyTail != 0) store<u32>(dirtyTail, connection, C_DIRTY_NEXT);
  else dirtyHead = connection;
  dirtyTail = connection;
}

/** Takes the first dirty connection out of the list; 0 when there is none. */
export function takeDirty(): u32 {
  const connection = dirtyHead;
  if (connection == 0) return 0;
  dirtyHead = load<u32>(connection, C_DIRTY_NEXT);
  if (dirtyHead == 0) dirtyTail = 0;
  clearFlag(connection, CONNECTION_DIRTY);
  return connection;
}

function releaseChunks(first: u32): void {
  let chunk = first;
  while (chunk != 0) {
    const next = load<u32>(chunk, CHUNK_NEXT);
    release(chunk);
    chunk = next;
  }
}

function outputCursor(connection: u32): u32 {
  const tail = load<u32>(connection, C_OUT_TAIL);
  return tail + load<u32>(tail, CHUNK_END);
}

function roomOf(chunk: u32): u32 {
  return load<u32>(chunk, CHUNK_CAPACITY) - load<u32>(chunk, CHUNK_END);
}

function outputRoom(connection: u32, wanted: u32): u32 {
  const tail = load<u32>(connection, C_OUT_TAIL);
  if (tail != 0) {
    const room = roomOf(tail);
    if (room != 0) return room;
  }
  return addChunk(connection, wanted) ? roomOf(load<u32>(connection, C_OUT_TAIL)) : 0;
}

function addChunk(connection: u32, wanted: u32): bool {
  if (hasFlag(connection, CONNECTION_CLOSED)) return false;
  const tail = load<u32>(connection, C_OUT_TAIL);
  const chunk = createChunkOf(tail == 0 ? firstChunkBytes(connection, wanted) : CHUNK_BYTES);
  if (chunk == 0) {
    // What is missing here cannot be made up for: the peer must not take the rest for the whole.
    setFlag(connection, CONNECTION_CLOSE_WANTED | CONNECTION_ABORT);
    markDirty(connection);
    return false;
  }
  if (tail != 0) store<u8>(connection, BUSY_TURNS, C_OUT_BUSY);
  if (tail != 0) store<u32>(tail, chunk, CHUNK_NEXT);
  else store<u32>(connection, chunk, C_OUT_HEAD);
  store<u32>(connection, chunk, C_OUT_TAIL);
  return true;
}

function firstChunkBytes(connection: u32, wanted: u32): u32 {
  const busy = load<u8>(connection, C_OUT_BUSY);
  if (busy != 0) {
    store<u8>(connection, busy - 1, C_OUT_BUSY);
    return CHUNK_BYTES;
  }
  if (wanted + CHUNK_HEADER_BYTES <= FIRST_CHUNK_BYTES) return FIRST_CHUNK_BYTES;
  return wanted + CHUNK_HEADER_BYTES <= FIRST_CHUNK_BYTES * 4 ? FIRST_CHUNK_BYTES * 4 : CHUNK_BYTES;
}
