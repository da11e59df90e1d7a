// Input that the codec could not take yet: a pipelined request, or more frames than one turn allows.
//
// The same chunks as output's, in a list of their own; the codec reads them where they lie.

import { CHUNK_BYTES } from "../../abi/limits.ts";
import { release } from "../../core/pool.ts";
import { C_BACKLOG_BYTES, C_BACKLOG_HEAD, C_BACKLOG_TAIL } from "./connections.ts";
import { CHUNK_END, CHUNK_NEXT, createChunk } from "./output.ts";

/** Keeps `length` bytes at the end of the backlog; false when the pool is exhausted. */
export function appendBacklog(connection: u32, ptr: u32, length: u32): bool {
  let from = ptr;
  let left = length;
  while (left != 0) {
    let tail = load<u32>(connection, C_BACKLOG_TAIL);
    if (tail == 0 || load<u32>(tail, CHUNK_END) == CHUNK_BYTES) {
      const chunk = createChunk();
      if (chunk == 0) return false;
      if (tail != 0) store<u32>(tail, chunk, CHUNK_NEXT);
      else store<u32>(connection, chunk, C_BACKLOG_HEAD);
      store<u32>(connection, chunk, C_BACKLOG_TAIL);
      tail = chunk;
    }
    const end = load<u32>(tail, CHUNK_END);
    const part = min(<u32>CHUNK_BYTES - end, left);
    memory.copy(tail + end, from, part);
    store<u32>(tail, end + part, CHUNK_END);
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
