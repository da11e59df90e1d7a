// A pipe: body bytes on their way from one stream to another.
//
//   source ──► [ kept for replay │ waiting ] ──► sink          one chunk list, one cursor between the two parts
//                                ▲ cursor
//
// Bytes go straight from the read buffer into the sink's output while there is room; what does not fit waits here. The
// request's pipe may keep what it has sent, up to the policy's bodyLimit, for a retry on another instance.
//
// Back-pressure: an HTTP/2 source gets credit only for bytes that left for the sink, so at most its window waits here.
// An HTTP/1.1 source is paused while more than H1_WAITING_BYTES_MAX wait, or anything of an answer whose client has not
// yet shown that it reads.
//
// A stream that found no room is put into its connection's blocked list; flushBlocked serves that list in turn.

import { PROTOCOL_H1 } from "../../abi/engine-codes.ts";
import { H1_WAITING_BYTES_MAX, H2_PEER_WIDE_STREAMS_MAX, H2_WIDE_STREAMS_MAX, REPLAY_SHARE } from "../../abi/limits.ts";
import { poolBytes, release } from "../../core/pool.ts";
import { earnsWideH1, isNarrowH1, widenH1 } from "../h1/index.ts";
import { isNarrowH2, STREAM_WIDE, widenH2 } from "../h2/index.ts";
import { persistHead, releaseHead } from "../http/head.ts";
import { C_PEER_IS_PILLION, C_PROTOCOL, C_PROXY, C_WIDE_STREAMS } from "../tables/connections.ts";
import { pauseReading, resumeReading } from "../tables/control.ts";
import {
  CHUNK_END,
  CHUNK_HEADER_BYTES,
  CHUNK_NEXT,
  createChunkBehind,
  fillChunk,
  isChunkFull,
} from "../tables/output.ts";
import {
  hasStreamFlag,
  S_CONNECTION,
  S_PROXY,
  STREAM_RESET,
  STREAM_SENT_END,
  STREAM_SENT_HEAD,
} from "../tables/streams.ts";
import { credit, isH2, sendable, sendData, sendEnd, sendTrailers } from "./leg.ts";

// ── Pipe, PIPE_BYTES in the exchange ─────────────────────────────────────────────────────────────
export const PIPE_BYTES: u32 = 40;
const P_HEAD: u32 = 0; // first chunk
const P_TAIL: u32 = 4;
const P_CURSOR: u32 = 8; // chunk of the first waiting byte, 0 = none waits
const P_CURSOR_AT: u32 = 12; // its offset in that chunk
const P_WAITING: u32 = 16; // bytes not yet sent
const P_KEPT: u32 = 20; // bytes before the cursor that are kept
const P_FLAGS: u32 = 24;
const P_TRAILERS: u32 = 28; // persisted head that ends the body, 0 = none

const PIPE_KEEPS: u32 = 1; // what was sent is kept for a replay
const PIPE_ENDED: u32 = 2; // the source has said everything
const PIPE_CLOSED: u32 = 4; // the end went to the sink
const PIPE_SPENT: u32 = 8; // bytes went to a sink and were not kept

// ── The proxy's fields of a stream and a connection ──────────────────────────────────────────────
export const SP_BLOCKED_PREVIOUS: u32 = S_PROXY;
export const SP_BLOCKED_NEXT: u32 = S_PROXY + 4;
export const SP_IS_BLOCKED: u32 = S_PROXY + 8; // u8
export const CP_BLOCKED_HEAD: u32 = C_PROXY + 4;
export const CP_BLOCKED_TAIL: u32 = C_PROXY + 8;

/** What one stream may send before the next one of a crowded connection has its turn: one frame. */
const QUANTUM_BYTES: u32 = 16384;

// Per-instance state of this worker: bytes kept for replays over all pipes.
let keptBytes: u32 = 0;

/** Lets a pipe keep what it sends, so that the request can be sent again. */
export function keepPipe(pipe: u32): void {
  store<u32>(pipe, load<u32>(pipe, P_FLAGS) | PIPE_KEEPS, P_FLAGS);
}

/** Whether everything that came is still here: kept, or not yet sent to anybody, however long it is. */
export function isKept(pipe: u32): bool {
  return (load<u32>(pipe, P_FLAGS) & (PIPE_KEEPS | PIPE_SPENT)) != PIPE_SPENT;
}

/** Whether the source has said everything, and every byte of it is kept for a replay. */
export function isWholeAndKept(pipe: u32): bool {
  const flags = load<u32>(pipe, P_FLAGS);
  return (flags & (PIPE_KEEPS | PIPE_ENDED)) == (PIPE_KEEPS | PIPE_ENDED) && (flags & PIPE_SPENT) == 0;
}

/** Puts all that a whole and kept pipe holds into another, empty one; false when the pool is exhausted. */
export function copyPipe(from: u32, to: u32): bool {
  assert(isWholeAndKept(from) && load<u32>(to, P_HEAD) == 0);
  for (let chunk = load<u32>(from, P_HEAD); chunk != 0; chunk = load<u32>(chunk, CHUNK_NEXT)) {
    const length = load<u32>(chunk, CHUNK_END) - CHUNK_HEADER_BYTES;
    if (!append(to, chunk + CHUNK_HEADER_BYTES, length)) return false;
  }
  const trailers = load<u32>(from, P_TRAILERS);
  if (trailers != 0) {
    const copy = persistHead(trailers, 0, 0);
    if (copy == 0) return false;
    store<u32>(to, copy, P_TRAILERS);
  }
  store<u32>(to, PIPE_ENDED, P_FLAGS);
  return true;
}

export function pipeEnded(pipe: u32): bool {
  return (load<u32>(pipe, P_FLAGS) & PIPE_ENDED) != 0;
}

/** Whether the end has gone to the sink. */
export function pipeClosed(pipe: u32): bool {
  return (load<u32>(pipe, P_FLAGS) & PIPE_CLOSED) != 0;
}

/** Says that the end went to the sink together with the head. */
export function markPipeClosed(pipe: u32): void {
  store<u32>(pipe, load<u32>(pipe, P_FLAGS) | PIPE_CLOSED, P_FLAGS);
}

/** Whether the source has said everything and all of it was nothing: the message has no body. */
export function pipeIsComplete(pipe: u32): bool {
  return pipeEnded(pipe) && load<u32>(pipe, P_WAITING) == 0 && load<u32>(pipe, P_TRAILERS) == 0;
}

export function pipeWaiting(pipe: u32): u32 {
  return load<u32>(pipe, P_WAITING);
}

/**
 * Takes body bytes from `source` (0 = gone); sends what `sink` (0 = not yet there) takes now and keeps the rest.
 * False when the pool is exhausted: the exchange cannot go on.
 */
export function pipeData(pipe: u32, source: u32, sink: u32, ptr: u32, length: u32, end: bool, keepMax: u32): bool {
  let from = ptr;
  let left = length;
  if (end) store<u32>(pipe, load<u32>(pipe, P_FLAGS) | PIPE_ENDED, P_FLAGS);
  if (load<u32>(pipe, P_FLAGS) & PIPE_KEEPS) {
    if (load<u32>(pipe, P_KEPT) + load<u32>(pipe, P_WAITING) + length > keepMax || !mayKeep(length)) dropKept(pipe);
    else {
      if (!append(pipe, from, left)) return false;
      flushPipe(pipe, source, sink);
      return true;
    }
  }
  if (sink != 0 && load<u32>(pipe, P_WAITING) == 0 && canSend(sink)) {
    const room = sendable(sink);
    const part = min(room, left);
    const isLast = end && part == left;
    if (part != 0 || isLast) {
      sendData(sink, from, part, isLast);
      if (isLast) store<u32>(pipe, load<u32>(pipe, P_FLAGS) | PIPE_CLOSED, P_FLAGS);
      if (part != 0) store<u32>(pipe, load<u32>(pipe, P_FLAGS) | PIPE_SPENT, P_FLAGS);
      if (source != 0) passOn(source, sink, part);
      from += part;
      left -= part;
    }
  }
  if (left != 0) {
    if (!append(pipe, from, left)) return false;
    if (sink != 0) markBlocked(sink);
    if (source != 0) pauseIfFull(pipe, source);
  }
  return true;
}

/** Says that the source has ended: with trailers (a persisted head, now owned by the pipe) or without (0). */
export function pipeEnd(pipe: u32, source: u32, sink: u32, trailers: u32): void {
  store<u32>(pipe, load<u32>(pipe, P_FLAGS) | PIPE_ENDED, P_FLAGS);
  store<u32>(pipe, trailers, P_TRAILERS);
  flushPipe(pipe, source, sink);
}

/** Sends what waits, as far as there is room. */
export function flushPipe(pipe: u32, source: u32, sink: u32): void {
  if (sink == 0 || !canSend(sink) || pipeClosed(pipe)) return;
  let budget = QUANTUM_BYTES;
  while (load<u32>(pipe, P_WAITING) != 0) {
    const chunk = load<u32>(pipe, P_CURSOR);
    const at = load<u32>(pipe, P_CURSOR_AT);
    const room = min(sendable(sink), budget);
    const part = min(room, load<u32>(chunk, CHUNK_END) - at);
    if (part == 0) {
      markBlocked(sink);
      break;
    }
    const isLast = part == load<u32>(pipe, P_WAITING) && pipeEnded(pipe) && load<u32>(pipe, P_TRAILERS) == 0;
    sendData(sink, chunk + at, part, isLast);
    if (isLast) store<u32>(pipe, load<u32>(pipe, P_FLAGS) | PIPE_CLOSED, P_FLAGS);
    advance(pipe, part);
    budget -= part;
    if (source != 0) passOn(source, sink, part);
  }
  if (source != 0) resumeIfLow(pipe, source);
  if (load<u32>(pipe, P_WAITING) == 0 && pipeEnded(pipe) && !pipeClosed(pipe)) close(pipe, sink);
}

/** Goes back to the first byte: the request is sent again. Only while the pipe is kept. */
export function rewindPipe(pipe: u32): void {
  assert(isKept(pipe));
  const first = load<u32>(pipe, P_HEAD);
  store<u32>(pipe, first, P_CURSOR);
  store<u32>(pipe, CHUNK_HEADER_BYTES, P_CURSOR_AT);
  store<u32>(pipe, load<u32>(pipe, P_WAITING) + load<u32>(pipe, P_KEPT), P_WAITING);
  keptBytes -= load<u32>(pipe, P_KEPT);
  store<u32>(pipe, 0, P_KEPT);
  store<u32>(pipe, load<u32>(pipe, P_FLAGS) & ~PIPE_CLOSED, P_FLAGS);
}

/** No replay any more: gives back what was kept. */
export function dropKept(pipe: u32): void {
  if ((load<u32>(pipe, P_FLAGS) & PIPE_KEEPS) == 0) return;
  const spent = load<u32>(pipe, P_KEPT) != 0 ? PIPE_SPENT : 0;
  store<u32>(pipe, (load<u32>(pipe, P_FLAGS) & ~PIPE_KEEPS) | spent, P_FLAGS);
  keptBytes -= load<u32>(pipe, P_KEPT);
  store<u32>(pipe, 0, P_KEPT);
  const cursor = load<u32>(pipe, P_CURSOR);
  let chunk = load<u32>(pipe, P_HEAD);
  while (chunk != cursor && chunk != 0) {
    const next = load<u32>(chunk, CHUNK_NEXT);
    release(chunk);
    chunk = next;
  }
  store<u32>(pipe, chunk, P_HEAD);
  if (chunk == 0) store<u32>(pipe, 0, P_TAIL);
}

/** Gives everything back. */
export function destroyPipe(pipe: u32): void {
  keptBytes -= load<u32>(pipe, P_KEPT);
  let chunk = load<u32>(pipe, P_HEAD);
  while (chunk != 0) {
    const next = load<u32>(chunk, CHUNK_NEXT);
    release(chunk);
    chunk = next;
  }
  if (load<u32>(pipe, P_TRAILERS) != 0) releaseHead(load<u32>(pipe, P_TRAILERS));
  memory.fill(pipe, 0, PIPE_BYTES);
}

/** Takes a stream out of its connection's blocked list. */
export function unblock(stream: u32): void {
  if (load<u8>(stream, SP_IS_BLOCKED) == 0) return;
  store<u8>(stream, 0, SP_IS_BLOCKED);
  const connection = load<u32>(stream, S_CONNECTION);
  const previous = load<u32>(stream, SP_BLOCKED_PREVIOUS);
  const next = load<u32>(stream, SP_BLOCKED_NEXT);
  if (previous != 0) store<u32>(previous, next, SP_BLOCKED_NEXT);
  else store<u32>(connection, next, CP_BLOCKED_HEAD);
  if (next != 0) store<u32>(next, previous, SP_BLOCKED_PREVIOUS);
  else store<u32>(connection, previous, CP_BLOCKED_TAIL);
}

function markBlocked(stream: u32): void {
  if (load<u8>(stream, SP_IS_BLOCKED) != 0) return;
  store<u8>(stream, 1, SP_IS_BLOCKED);
  const connection = load<u32>(stream, S_CONNECTION);
  const tail = load<u32>(connection, CP_BLOCKED_TAIL);
  store<u32>(stream, tail, SP_BLOCKED_PREVIOUS);
  store<u32>(stream, 0, SP_BLOCKED_NEXT);
  if (tail != 0) store<u32>(tail, stream, SP_BLOCKED_NEXT);
  else store<u32>(connection, stream, CP_BLOCKED_HEAD);
  store<u32>(connection, stream, CP_BLOCKED_TAIL);
}

function canSend(sink: u32): bool {
  return hasStreamFlag(sink, STREAM_SENT_HEAD) && !hasStreamFlag(sink, STREAM_SENT_END | STREAM_RESET);
}

function close(pipe: u32, sink: u32): void {
  store<u32>(pipe, load<u32>(pipe, P_FLAGS) | PIPE_CLOSED, P_FLAGS);
  const trailers = load<u32>(pipe, P_TRAILERS);
  if (trailers == 0) {
    sendEnd(sink);
    return;
  }
  sendTrailers(sink, trailers);
  if (isKept(pipe)) return; // a replay sends them again
  releaseHead(trailers);
  store<u32>(pipe, 0, P_TRAILERS);
}

function mayKeep(length: u32): bool {
  return keptBytes + length <= poolBytes() / REPLAY_SHARE;
}

function append(pipe: u32, ptr: u32, length: u32): bool {
  let from = ptr;
  let left = length;
  while (left != 0) {
    let tail = load<u32>(pipe, P_TAIL);
    if (tail == 0 || isChunkFull(tail)) {
      const chunk = createChunkBehind(tail, left);
      if (chunk == 0) return false;
      if (tail != 0) store<u32>(tail, chunk, CHUNK_NEXT);
      else store<u32>(pipe, chunk, P_HEAD);
      store<u32>(pipe, chunk, P_TAIL);
      tail = chunk;
    }
    const end = load<u32>(tail, CHUNK_END);
    const part = fillChunk(tail, from, left);
    if (load<u32>(pipe, P_WAITING) == 0) {
      store<u32>(pipe, tail, P_CURSOR);
      store<u32>(pipe, end, P_CURSOR_AT);
    }
    store<u32>(pipe, load<u32>(pipe, P_WAITING) + part, P_WAITING);
    from += part;
    left -= part;
  }
  return true;
}

/** Moves the cursor over bytes that were sent. */
function advance(pipe: u32, length: u32): void {
  const chunk = load<u32>(pipe, P_CURSOR);
  const at = load<u32>(pipe, P_CURSOR_AT) + length;
  store<u32>(pipe, load<u32>(pipe, P_WAITING) - length, P_WAITING);
  store<u32>(pipe, at, P_CURSOR_AT);
  const keeps = (load<u32>(pipe, P_FLAGS) & PIPE_KEEPS) != 0;
  if (!keeps) store<u32>(pipe, load<u32>(pipe, P_FLAGS) | PIPE_SPENT, P_FLAGS);
  else {
    store<u32>(pipe, load<u32>(pipe, P_KEPT) + length, P_KEPT);
    keptBytes += length;
  }
  if (at != load<u32>(chunk, CHUNK_END)) return;
  const next = load<u32>(chunk, CHUNK_NEXT);
  store<u32>(pipe, next, P_CURSOR);
  store<u32>(pipe, CHUNK_HEADER_BYTES, P_CURSOR_AT);
  if (keeps) return;
  release(chunk);
  store<u32>(pipe, next, P_HEAD);
  if (next == 0) store<u32>(pipe, 0, P_TAIL);
}

/** `bytes` went from `source` to `sink`: credit for them, and large portions of an upstream whose client reads. */
function passOn(source: u32, sink: u32, bytes: u32): void {
  credit(source, bytes);
  const isFramed = isH2(source);
  if (isFramed ? !isNarrowH2(source) : !earnsWideH1(source)) return;
  const client = load<u32>(sink, S_CONNECTION);
  const streams = load<u16>(client, C_WIDE_STREAMS);
  if (u32(streams) >= wideStreamsMax(client)) return;
  store<u16>(client, streams + 1, C_WIDE_STREAMS);
  if (isFramed) widenH2(source);
  else widenH1(source);
}

/** An upstream's stream is about to be let go of: another one of its client may have large portions. */
export function forgetWide(source: u32, sink: u32): void {
  if (sink == 0 || (isH2(source) ? !hasStreamFlag(source, STREAM_WIDE) : isNarrowH1(source))) return;
  const client = load<u32>(sink, S_CONNECTION);
  store<u16>(client, load<u16>(client, C_WIDE_STREAMS) - 1, C_WIDE_STREAMS);
}

function wideStreamsMax(client: u32): u32 {
  const isPeer = load<u8>(client, C_PEER_IS_PILLION) != 0;
  return isPeer ? H2_PEER_WIDE_STREAMS_MAX : H2_WIDE_STREAMS_MAX;
}

function pauseIfFull(pipe: u32, source: u32): void {
  const connection = load<u32>(source, S_CONNECTION);
  if (load<u8>(connection, C_PROTOCOL) != PROTOCOL_H1) return;
  if (load<u32>(pipe, P_WAITING) > waitingMax(source)) pauseReading(connection);
}

function resumeIfLow(pipe: u32, source: u32): void {
  const connection = load<u32>(source, S_CONNECTION);
  if (load<u8>(connection, C_PROTOCOL) != PROTOCOL_H1) return;
  if (load<u32>(pipe, P_WAITING) <= waitingMax(source) / 2) resumeReading(connection);
}

function waitingMax(source: u32): u32 {
  return isNarrowH1(source) ? 0 : H1_WAITING_BYTES_MAX;
}
