// What an HTTP/2 connection and its streams remember: the codec's part of both records, and frame numbers.
//
//   connection, 128 to 447 (C_CODEC)
//   ┌─────────┬─────────┬────────────────────────────┬─────────────┬──────────┬─────────────┬──────────────────┐
//   │ decoder │ encoder │ windows, limits, ids, last │ field block │ cut DATA │ guard       │ lately closed ×16│
//   │ 48      │ 48      │ 224 …                      │ 280 …       │ 296 …    │ 312 …       │ 384              │
//   └─────────┴─────────┴────────────────────────────┴─────────────┴──────────┴─────────────┴──────────────────┘
//
// Only the client opens streams (push is refused, RFC 9113 §8.4), so one "highest id" serves both roles.

import { C_CODEC } from "../tables/connections.ts";
import { S_CODEC } from "../tables/streams.ts";

// ── Connection ───────────────────────────────────────────────────────────────────────────────────
export const H_DECODER: u32 = C_CODEC; // 48 bytes, hpack
export const H_ENCODER: u32 = C_CODEC + 48; // 48 bytes, hpack
export const H_FLAGS: u32 = C_CODEC + 96; // u32 H2_*
export const H_SEND_WINDOW: u32 = C_CODEC + 100; // i32
export const H_RECEIVE_WINDOW: u32 = C_CODEC + 104; // i32
export const H_OWED: u32 = C_CODEC + 108; // u32 received and not yet credited
export const H_PEER_STREAM_WINDOW: u32 = C_CODEC + 112; // i32 the peer's INITIAL_WINDOW_SIZE
export const H_PEER_FRAME_BYTES: u32 = C_CODEC + 116; // u32 the peer's MAX_FRAME_SIZE
export const H_PEER_STREAMS_MAX: u32 = C_CODEC + 120; // u32 the peer's MAX_CONCURRENT_STREAMS
export const H_STREAM_WINDOW: u32 = C_CODEC + 124; // u32 our INITIAL_WINDOW_SIZE
export const H_STREAMS_MAX: u32 = C_CODEC + 128; // u32 our MAX_CONCURRENT_STREAMS
export const H_LAST_ID: u32 = C_CODEC + 132; // u32 highest id that the client opened
export const H_SKIPPED_FIRST: u32 = C_CODEC + 136; // u32 the latest ids that the client stepped over …
export const H_SKIPPED_LAST: u32 = C_CODEC + 140; // … up to here: never opened, closed by RFC 9113 §5.1.1
export const H_PEER_LAST: u32 = C_CODEC + 144; // u32 last id of the peer's GOAWAY
export const H_OWN_LAST: u32 = C_CODEC + 148; // u32 last id of our final GOAWAY
export const H_BLOCK: u32 = C_CODEC + 152; // pool block with the fragments of a field block
export const H_BLOCK_BYTES: u32 = C_CODEC + 156; // u32
export const H_BLOCK_ID: u32 = C_CODEC + 160; // u32 stream that CONTINUATION must name, 0 = none expected
export const H_BLOCK_FLAGS: u32 = C_CODEC + 164; // u8 flags of its HEADERS frame, and BLOCK_*
export const H_BLOCK_FRAMES: u32 = C_CODEC + 165; // u8 CONTINUATION frames so far
export const H_MODE: u32 = C_CODEC + 166; // u8 MODE_*
export const H_PREFACE_BYTES: u32 = C_CODEC + 167; // u8 bytes of the client preface still to come
export const H_LEFT: u32 = C_CODEC + 168; // u32 bytes of this frame still to come (padding after DATA apart)
export const H_PADDING: u32 = C_CODEC + 172; // u32 padding behind them
export const H_DATA_ID: u32 = C_CODEC + 176; // u32 stream of a cut DATA frame
export const H_DATA_FLAGS: u32 = C_CODEC + 180; // u8 its flags
export const H_RESET_BUCKET: u32 = C_CODEC + 184; // tokens, time (guard.ts)
export const H_GLITCH_BUCKET: u32 = C_CODEC + 192;
export const H_ACK_BUCKET: u32 = C_CODEC + 200;
export const H_SAMPLE_STREAMS: u32 = C_CODEC + 208; // u16 streams of the sample
export const H_SAMPLE_RESETS: u32 = C_CODEC + 210; // u16 of them, reset before a response
export const H_SMALL_BUDGET: u32 = C_CODEC + 212; // i32
export const H_VOID_FRAMES: u32 = C_CODEC + 216; // u32 frames seen that mean nothing
export const H_WINDOW_UPDATES: u32 = C_CODEC + 220; // u32 frames seen
export const H_DATA_SENT: u32 = C_CODEC + 224; // u32 frames
export const H_REFUSED: u32 = C_CODEC + 228; // u16 streams
export const H_TURN_FRAMES: u32 = C_CODEC + 230; // u16
export const H_SETTINGS_SENT: u32 = C_CODEC + 232; // u8 not yet acknowledged
export const H_CLOSED_AT: u32 = C_CODEC + 233; // u8 next place in H_CLOSED
export const H_FATAL_CODE: u32 = C_CODEC + 234; // u8 what the GOAWAY said that made it H2_DEAD
export const H_PING: u32 = C_CODEC + 236; // u32 number of our last PING
export const H_REPORTED_AT: u32 = C_CODEC + 240; // u64 µs when a load report was written last
export const H_SETTINGS_AT: u32 = C_CODEC + 248; // u32 ms when the oldest of them was queued
export const H_ELEMENT_AT: u32 = C_CODEC + 252; // u32 ms when the cut frame or field block under way began
export const H_CLOSED: u32 = C_CODEC + 256; // 16 × u32: id >> 1 << 2 | CLOSED_*
export const CLOSED_COUNT: u32 = 16;
export const H_ERROR_BUCKET: u32 = C_CODEC + 368; // tokens, time (guard.ts)
export const H_OPENED: u32 = C_CODEC + 376; // u32 streams that the client opened
export const H_BLOCKS_RECEIVED: u32 = C_CODEC + 380; // u32 server: bytes of requests' field blocks so far
export const H_LATE_CREDIT: u32 = C_CODEC + 380; // u32 client: bytes that may still come on streams that we reset

// H_FLAGS
export const H2_SETTINGS_SEEN: u32 = 1; // the peer's first SETTINGS
export const H2_DEAD: u32 = 2; // GOAWAY with an error was sent: hear nothing, say nothing
export const H2_GOAWAY_SENT: u32 = 4; // the first notice, 2^31 - 1
export const H2_FINAL_SENT: u32 = 8; // the final one: H_OWN_LAST
export const H2_GOAWAY_RECEIVED: u32 = 16;
export const H2_SWEEPING: u32 = 32; // streams above H_PEER_LAST still have to be reported
export const H2_EXTENDED_CONNECT: u32 = 64; // the peer takes :protocol (RFC 8441)
export const H2_PING_SENT: u32 = 128; // an answer is expected

// H_MODE: what the next input byte belongs to.
export const MODE_FRAME: u32 = 0; // a frame header, or a frame gathered in C_PARTIAL
export const MODE_PAD_LENGTH: u32 = 1; // DATA: the pad length, H_LEFT counts it
export const MODE_DATA: u32 = 2; // DATA: H_LEFT bytes for the stream, then H_PADDING
export const MODE_SKIP: u32 = 3; // H_LEFT bytes for nobody
export const MODE_PREFACE: u32 = 4; // the client's 24 bytes

// H_CLOSED: how a stream ended.
export const CLOSED_SILENTLY: u32 = 0; // not in the ring: we reset it, or long ago; what still comes is ignored
export const CLOSED_ENDED: u32 = 1; // both sides said END_STREAM: nothing may come
export const CLOSED_BY_PEER: u32 = 2; // the peer reset it: nothing may come

// ── Stream ───────────────────────────────────────────────────────────────────────────────────────
export const S_OUTSTANDING: u32 = S_CODEC; // u32 bytes given to the proxy and not yet credited
export const S_OVERHEAD: u32 = S_CODEC + 4; // u32 small-frame overhead charged for them
export const S_EMPTY_FRAMES: u32 = S_CODEC + 8; // u8
export const S_INFORMATIONAL: u32 = S_CODEC + 9; // u8 1xx heads received
export const S_HEAD_BYTES: u32 = S_CODEC + 12; // u32 decoded size of their fields

// S_FLAGS, the codec's own.
export const STREAM_RESET_BY_PEER: u32 = 1 << 16;
export const STREAM_REFUSED: u32 = 1 << 17; // EVENT_REFUSE was given: the rest of the request is not heard
export const STREAM_ANSWERED: u32 = 1 << 18; // some response byte was sent: a reset is not premature
export const STREAM_WIDE: u32 = 1 << 19; // an upstream's window was widened: its client reads

// ── Frames (RFC 9113 §6) ─────────────────────────────────────────────────────────────────────────
export const FRAME_DATA: u32 = 0;
export const FRAME_HEADERS: u32 = 1;
export const FRAME_PRIORITY: u32 = 2;
export const FRAME_RST_STREAM: u32 = 3;
export const FRAME_SETTINGS: u32 = 4;
export const FRAME_PUSH_PROMISE: u32 = 5;
export const FRAME_PING: u32 = 6;
export const FRAME_GOAWAY: u32 = 7;
export const FRAME_WINDOW_UPDATE: u32 = 8;
export const FRAME_CONTINUATION: u32 = 9;
export const FRAME_PRIORITY_UPDATE: u32 = 16; // RFC 9218 §7.1

/** Private: a load report, on stream 0, between two Pillions (DESIGN §2). */
export const FRAME_REPORT: u32 = 0xf1;

export const FRAME_HEADER_BYTES: u32 = 9;

export const FLAG_ACK: u32 = 1;
export const FLAG_END_STREAM: u32 = 1;
export const FLAG_END_HEADERS: u32 = 4;
export const FLAG_PADDED: u32 = 8;
export const FLAG_PRIORITY: u32 = 32;

// SETTINGS (RFC 9113 §6.5.2, RFC 8441 §3, DESIGN §2).
export const SETTING_HEADER_TABLE_SIZE: u32 = 1;
export const SETTING_ENABLE_PUSH: u32 = 2;
export const SETTING_MAX_CONCURRENT_STREAMS: u32 = 3;
export const SETTING_INITIAL_WINDOW_SIZE: u32 = 4;
export const SETTING_MAX_FRAME_SIZE: u32 = 5;
export const SETTING_MAX_HEADER_LIST_SIZE: u32 = 6;
export const SETTING_ENABLE_CONNECT_PROTOCOL: u32 = 8;
/** Private: "I am Pillion too" (DESIGN §2, between two sidecars). */
export const SETTING_PILLION: u32 = 0xf0f1;

/** Largest window and stream id. */
export const U31_MAX: u32 = 0x7fffffff;
/** Window before any SETTINGS or WINDOW_UPDATE (RFC 9113 §6.9.2). */
export const WINDOW_DEFAULT: u32 = 65535;
/** MAX_FRAME_SIZE before any SETTINGS, and its lower bound. */
export const FRAME_BYTES_DEFAULT: u32 = 16384;
/** Upper bound of MAX_FRAME_SIZE. */
export const FRAME_BYTES_LARGEST: u32 = 16777215;
/** Streams that we open before the peer said how many (RFC 9113 §6.5.2 recommends to allow 100). */
export const STREAMS_DEFAULT: u32 = 100;

export function hasH2(connection: u32, flag: u32): bool {
  return (load<u32>(connection, H_FLAGS) & flag) != 0;
}

export function setH2(connection: u32, flag: u32): void {
  store<u32>(connection, load<u32>(connection, H_FLAGS) | flag, H_FLAGS);
}

export function clearH2(connection: u32, flag: u32): void {
  store<u32>(connection, load<u32>(connection, H_FLAGS) & ~flag, H_FLAGS);
}
