// Input that the codec could not take yet: a pipelined request, or more frames than one turn allows.
//
// The same chunks as output's, in a list of their own; the codec reads them where they lie.

import { release } from "../../core/pool.ts";
import { C_BACKLOG_BYTES, C_BACKLOG_HEAD, C_BACKLOG_TAIL } from "./connections.ts";
import { CHUNK_NEXT, createChunkBehind, fillChunk, isChunkFull } from "./output.ts";

/** Keeps `length` bytes at the end of the backlog; false when the pool is exhausted. */
export function appendBacklog(connection: u32, ptr: u32, length: u32): bool {
  let from = ptr;
  let left = length;
  while (left != 0) {
    let tail = load<u32>(connection, C_BACKLOG_TAIL);
    if (tail == 0 || isChunkFull(tail)) {
      const chunk = createChunkBehind(tail, left);
      if (chunk == 0) return false;
      if (tail != 0) store<u32>(tail, chunk, CHUNK_NEXT);
      else store<u32>(connection, chunk, C_BACKLOG_HEAD);
      store<u32>(connection, chunk, C_BACKLOG_TAIL);
      tail = chunk;
    }
    const part = fillChunk(tail, from, left);
    store<u32>(connection, load<u32>(connection, C_BACKLOG_BYTES) + part, C_BACKLOG_BYTES);
    from += part;
    left -= part;
  }
  return true;
}

/** Releases everything: the connection is gone. */
export function destroyBacklog(connection: u32): void {
  let chunk = load<u32>(connection, C_BACKLOG_HEAD);
  while (chunk != 0) {
    const next = load<u32>(chunk, CHUNK_NEXT);
    release(chunk);
    chunk = next;
  }
  store<u32>(connection, 0, C_BACKLOG_HEAD);
  store<u32>(connection, 0, C_BACKLOG_TAIL);
  store<u32>(connection, 0, C_BACKLOG_BYTES);
}
