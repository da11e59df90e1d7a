// Load reports: a private frame that an inbound sidecar pushes to the sidecars that call it (DESIGN §2).
//
//   frame 0xf1, stream 0, 12 bytes:  requests in flight u32 │ µs that one takes u32, 0 = unknown │ flags u8 │ 0 × 3
//
// Only between peers that said the setting 0xf0f1; all others ignore the type (RFC 9113 §5.5). Later versions may
// append to the payload: what is behind the twelfth byte is passed over.

import { EVENT_REPORT, NONE, ROLE_UPSTREAM } from "../../abi/engine-codes.ts";
import { writeU32 } from "../../core/bytes.ts";
import { setDataEvent } from "../http/event.ts";
import { C_PEER_IS_PILLION, C_ROLE } from "../tables/connections.ts";
import { advanceOutput, reserveOutput } from "../tables/output.ts";
import { writeFrameHeader } from "./frame.ts";
import { FRAME_HEADER_BYTES, FRAME_REPORT, H_REPORTED_AT, H2_DEAD, hasH2 } from "./state.ts";

export const REPORT_BYTES: u32 = 12;
/** Longer ones are passed over unread. */
const REPORT_BYTES_MAX: u32 = 64;

/** Whether the peer understands load reports. */
export function takesReportsH2(connection: u32): bool {
  return load<u8>(connection, C_PEER_IS_PILLION) != 0 && !hasH2(connection, H2_DEAD);
}

/** When `sendReportH2` was called last, µs; 0 = never. */
export function reportedAtH2(connection: u32): u64 {
  return load<u64>(connection, H_REPORTED_AT);
}

/** Writes a report; `flags` are REPORT_* of abi/balancer-codes.ts. */
export function sendReportH2(connection: u32, inflight: u32, latencyUs: u32, flags: u32, nowUs: u64): void {
  store<u64>(connection, nowUs, H_REPORTED_AT);
  const ptr = reserveOutput(connection, FRAME_HEADER_BYTES + REPORT_BYTES);
  if (ptr == 0) return;
  writeFrameHeader(ptr, REPORT_BYTES, FRAME_REPORT, 0, 0);
  writeU32(ptr + FRAME_HEADER_BYTES, inflight);
  writeU32(ptr + FRAME_HEADER_BYTES + 4, latencyUs);
  writeU32(ptr + FRAME_HEADER_BYTES + 8, flags << 24);
  advanceOutput(connection, FRAME_HEADER_BYTES + REPORT_BYTES);
}

/** Whether a frame of a type beyond RFC 9113's is a report for us; else it is passed over. */
export function isReport(connection: u32, type: u32, id: u32, length: u32): bool {
  if (type != FRAME_REPORT || id != 0 || length < REPORT_BYTES || length > REPORT_BYTES_MAX) return false;
  return load<u8>(connection, C_ROLE) == ROLE_UPSTREAM && load<u8>(connection, C_PEER_IS_PILLION) != 0;
}

/** A report, whole. */
export function receiveReport(ptr: u32, length: u32): i32 {
  setDataEvent(NONE, ptr, length, false);
  return EVENT_REPORT;
}
