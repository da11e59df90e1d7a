// Frame headers and the small frames of RFC 9113 §6, written straight into the output.
//
// A refused reservation (pool exhausted) writes nothing: tables/output.ts remembers it, and the connection is aborted.

import { writeU16, writeU32 } from "../../core/bytes.ts";
import { advanceOutput, reserveOutput } from "../tables/output.ts";
import {
  FLAG_ACK,
  FRAME_GOAWAY,
  FRAME_HEADER_BYTES,
  FRAME_PING,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_WINDOW_UPDATE,
} from "./state.ts";

/** Writes the nine bytes of RFC 9113 §4.1. */
export function writeFrameHeader(ptr: u32, length: u32, type: u32, flags: u32, id: u32): void {
  store<u32>(ptr, bswap<u32>((length << 8) | type));
  store<u8>(ptr, u8(flags), 4);
  store<u32>(ptr, bswap<u32>(id), 5);
}

export function sendReset(connection: u32, id: u32, code: u32): void {
  const ptr = reserveOutput(connection, FRAME_HEADER_BYTES + 4);
  if (ptr == 0) return;
  writeFrameHeader(ptr, 4, FRAME_RST_STREAM, 0, id);
  writeU32(ptr + FRAME_HEADER_BYTES, code);
  advanceOutput(connection, FRAME_HEADER_BYTES + 4);
}

export function sendWindowUpdate(connection: u32, id: u32, increment: u32): void {
  const ptr = reserveOutput(connection, FRAME_HEADER_BYTES + 4);
  if (ptr == 0) return;
  writeFrameHeader(ptr, 4, FRAME_WINDOW_UPDATE, 0, id);
  writeU32(ptr + FRAME_HEADER_BYTES, increment);
  advanceOutput(connection, FRAME_HEADER_BYTES + 4);
}

export function sendSettingsAck(connection: u32): void {
  const ptr = reserveOutput(connection, FRAME_HEADER_BYTES);
  if (ptr == 0) return;
  writeFrameHeader(ptr, 0, FRAME_SETTINGS, FLAG_ACK, 0);
  advanceOutput(connection, FRAME_HEADER_BYTES);
}

/** `opaque` is eight bytes as they lie in memory. */
export function sendPing(connection: u32, flags: u32, opaque: u64): void {
  const ptr = reserveOutput(connection, FRAME_HEADER_BYTES + 8);
  if (ptr == 0) return;
  writeFrameHeader(ptr, 8, FRAME_PING, flags, 0);
  store<u64>(ptr, opaque, 9);
  advanceOutput(connection, FRAME_HEADER_BYTES + 8);
}

export function sendGoaway(connection: u32, last: u32, code: u32): void {
  const ptr = reserveOutput(connection, FRAME_HEADER_BYTES + 8);
  if (ptr == 0) return;
  writeFrameHeader(ptr, 8, FRAME_GOAWAY, 0, 0);
  writeU32(ptr + FRAME_HEADER_BYTES, last);
  writeU32(ptr + FRAME_HEADER_BYTES + 4, code);
  advanceOutput(connection, FRAME_HEADER_BYTES + 8);
}

/** Writes one entry of SETTINGS; returns where the next one goes. */
export function writeSetting(ptr: u32, id: u32, value: u32): u32 {
  writeU16(ptr, id);
  writeU32(ptr + 2, value);
  return ptr + 6;
}
