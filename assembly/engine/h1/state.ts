// What an HTTP/1.1 connection and its one stream remember between two calls.
//
//            ┌──────────────────────────── releaseStream ───────────────────────────┐
//            ▼                                                                      │
//   START ─► HEAD ─┬─► LENGTH ───────────────────────────────────────────────────► DONE
//     ▲            ├─► CHUNK_… ⇄ CHUNK_DATA ─► TRAILERS ─────────────────────────►  │
//     │            ├─► UNTIL_CLOSE (responses only; FIN ends it) ────────────────►  │
//     └─ 1xx ──────┤                                                                │
//                  └─► DONE (no body; CONNECT and Upgrade wait here) ─► TUNNEL ◄────┘
//   any ─► DISCARD: framing is lost or the connection is to be closed; what still comes is dropped (RFC 9112 §9.6)
//
// The states are those of what we *receive*; how we send is in the stream (S_H1_SEND).

import { allocate, capacityOf, release } from "../../core/pool.ts";
import { C_CODEC, C_PARTIAL, C_PARTIAL_BYTES } from "../tables/connections.ts";
import { S_CODEC } from "../tables/streams.ts";

// ── Connection ───────────────────────────────────────────────────────────────────────────────────
export const H_STATE: u32 = C_CODEC; // u8 STATE_*
export const H_VERSION: u32 = C_CODEC + 1; // u8: 10 or 11, of the peer's latest message
export const H_LEADING: u32 = C_CODEC + 2; // u8 empty lines seen before the request line
export const H_INFORMATIONAL: u32 = C_CODEC + 3; // u8 1xx responses seen before the final one
export const H_FLAGS: u32 = C_CODEC + 4; // u32 H1_*
export const H_STREAM: u32 = C_CODEC + 8; // the stream under way (address), 0 = none
export const H_SCANNED: u32 = C_CODEC + 12; // bytes of C_PARTIAL in which no head's end is
export const H_REMAINING: u32 = C_CODEC + 16; // u64 bytes left of the body or of the chunk
export const H_LINE_BYTES: u32 = C_CODEC + 24; // bytes of the chunk-size line so far
export const H_EXTENSION_BYTES: u32 = C_CODEC + 28; // chunk extensions of this message so far
export const H_FIELD_BYTES: u32 = C_CODEC + 32; // fields of this message's heads so far, 1xx included
export const H_KEEP_ALIVE: u32 = C_CODEC + 36; // u16 seconds that the server keeps an idle connection, 0 = not said

export const STATE_START: u32 = 0;
export const STATE_START_LF: u32 = 1; // a CR came before the request line
export const STATE_HEAD: u32 = 2;
export const STATE_LENGTH: u32 = 3;
export const STATE_UNTIL_CLOSE: u32 = 4;
export const STATE_DONE: u32 = 5;
export const STATE_TUNNEL: u32 = 6;
export const STATE_DISCARD: u32 = 7;
export const STATE_TRAILERS: u32 = 8;
export const STATE_CHUNK_DATA: u32 = 9;
export const STATE_CHUNK_DATA_CR: u32 = 10;
export const STATE_CHUNK_DATA_LF: u32 = 11;
// The chunk-size line, byte by byte (RFC 9112 §7.1).
export const STATE_CHUNK_START: u32 = 12;
export const STATE_CHUNK_SIZE: u32 = 13;
export const STATE_CHUNK_LF: u32 = 14;
export const STATE_EXTENSION_START: u32 = 15;
export const STATE_EXTENSION_NAME: u32 = 16;
export const STATE_EXTENSION_VALUE_START: u32 = 17;
export const STATE_EXTENSION_VALUE: u32 = 18;
export const STATE_EXTENSION_QUOTED: u32 = 19;
export const STATE_EXTENSION_ESCAPE: u32 = 20;
export const STATE_EXTENSION_END: u32 = 21;

/** No message follows the one under way: somebody said close, or framing does not allow another. */
export const H1_CLOSE: u32 = 1;
/** The client waits for 100 (Continue) and has not been told. */
export const H1_EXPECTS: u32 = 2;
/** The client said `te: trailers`. */
export const H1_TAKES_TRAILERS: u32 = 4;
/** The head in C_PARTIAL was handed out: the next receive gives the block back. */
export const H1_PARTIAL_SPENT: u32 = 8;
/** The first line of the kept head was looked at. */
export const H1_LINE_SEEN: u32 = 16;
/** The peer's FIN came. */
export const H1_PEER_ENDED: u32 = 32;

// ── Stream ───────────────────────────────────────────────────────────────────────────────────────
export const S_H1_SEND: u32 = S_CODEC; // u8 SEND_*

export const SEND_NOTHING: u32 = 0; // before the head, or a message that has no body
export const SEND_LENGTH: u32 = 1;
export const SEND_CHUNKED: u32 = 2;
export const SEND_UNTIL_CLOSE: u32 = 3;
export const SEND_TUNNEL: u32 = 4;

/** Smallest block that a head cut in two is kept in. */
const PARTIAL_BYTES_MIN: u32 = 512;

export function hasH1(connection: u32, flag: u32): bool {
  return (load<u32>(connection, H_FLAGS) & flag) != 0;
}

export function setH1(connection: u32, flag: u32): void {
  store<u32>(connection, load<u32>(connection, H_FLAGS) | flag, H_FLAGS);
}

export function clearH1(connection: u32, flag: u32): void {
  store<u32>(connection, load<u32>(connection, H_FLAGS) & ~flag, H_FLAGS);
}

export function setState(connection: u32, state: u32): void {
  store<u8>(connection, u8(state), H_STATE);
}

/** Takes an empty block for an element that came in pieces; false when the pool is exhausted. */
export function startPartial(connection: u32): bool {
  const block = allocate(PARTIAL_BYTES_MIN);
  if (block == 0) return false;
  store<u32>(connection, block, C_PARTIAL);
  store<u32>(connection, 0, C_PARTIAL_BYTES);
  store<u32>(connection, 0, H_SCANNED);
  clearH1(connection, H1_PARTIAL_SPENT);
  return true;
}

/** Doubles the block; false when the pool is exhausted. */
export function growPartial(connection: u32): bool {
  const block = load<u32>(connection, C_PARTIAL);
  const bigger = allocate(capacityOf(block) * 2);
  if (bigger == 0) return false;
  memory.copy(bigger, block, load<u32>(connection, C_PARTIAL_BYTES));
  release(block);
  store<u32>(connection, bigger, C_PARTIAL);
  return true;
}

/** Gives the block back, if there is one. */
export function dropPartial(connection: u32): void {
  const block = load<u32>(connection, C_PARTIAL);
  if (block != 0) release(block);
  store<u32>(connection, 0, C_PARTIAL);
  store<u32>(connection, 0, C_PARTIAL_BYTES);
  clearH1(connection, H1_PARTIAL_SPENT);
}
