// How long an HTTP/2 peer may take over what it owes us (reliability.md §1.2, A26): the acknowledgement of our
// SETTINGS, and the rest of a frame or field block that it began.
//
// Evaluated lazily, by the connection's one timer: nothing of it costs the common path, since only what is cut notes
// when it began. While we do not read, the peer is not late.

import { EVENT_NONE, GLITCH_SETTINGS, GLITCH_SLOW_HEAD, H2_SETTINGS_TIMEOUT } from "../../abi/engine-codes.ts";
import { FRAME_TIMEOUT_MS, HEAD_TIMEOUT_MS, SETTINGS_ACK_TIMEOUT_MS } from "../../abi/limits.ts";
import { now } from "../http/event.ts";
import {
  C_BACKLOG_BYTES,
  C_PARTIAL_BYTES,
  C_STREAM_COUNT,
  CONNECTION_PAUSE_TOLD,
  hasFlag,
} from "../tables/connections.ts";
import { failConnection } from "./shutdown.ts";
import { H_BLOCK_ID, H_ELEMENT_AT, H_SETTINGS_AT, H_SETTINGS_SENT, H2_DEAD, hasH2 } from "./state.ts";

/** A frame or field block begins, of which more has to come. */
export function noteElement(connection: u32): void {
  if (load<u32>(connection, H_BLOCK_ID) == 0) store<u32>(connection, u32(now / 1000), H_ELEMENT_AT);
}

/** SETTINGS were queued. */
export function noteSettings(connection: u32): void {
  const sent = u32(load<u8>(connection, H_SETTINGS_SENT));
  if (sent == 0) store<u32>(connection, u32(now / 1000), H_SETTINGS_AT);
  store<u8>(connection, u8(sent + 1), H_SETTINGS_SENT);
}

/** In how many µs our patience with the peer ends: 0 = now, -1 = there is nothing to wait for. */
export function patienceH2(connection: u32): i64 {
  if (hasH2(connection, H2_DEAD) || !isHeard(connection)) return -1;
  let left: i64 = -1;
  if (load<u8>(connection, H_SETTINGS_SENT) != 0) left = leftOf(connection, H_SETTINGS_AT, SETTINGS_ACK_TIMEOUT_MS);
  if (!isElementUnderWay(connection)) return left;
  const element = leftOf(connection, H_ELEMENT_AT, elementTimeout(connection));
  return left < 0 ? element : min(left, element);
}

/** Our patience is over: GOAWAY, and EVENT_FATAL; EVENT_NONE when it is not. */
export function checkPatienceH2(connection: u32): i32 {
  if (patienceH2(connection) != 0) return EVENT_NONE;
  const isSlow = isElementUnderWay(connection) && leftOf(connection, H_ELEMENT_AT, elementTimeout(connection)) == 0;
  return failConnection(connection, H2_SETTINGS_TIMEOUT, isSlow ? GLITCH_SLOW_HEAD : GLITCH_SETTINGS);
}

function isElementUnderWay(connection: u32): bool {
  return load<u32>(connection, C_PARTIAL_BYTES) != 0 || load<u32>(connection, H_BLOCK_ID) != 0;
}

function elementTimeout(connection: u32): u32 {
  return load<u32>(connection, C_STREAM_COUNT) == 0 ? HEAD_TIMEOUT_MS : FRAME_TIMEOUT_MS;
}

function isHeard(connection: u32): bool {
  return load<u32>(connection, C_BACKLOG_BYTES) == 0 && !hasFlag(connection, CONNECTION_PAUSE_TOLD);
}

function leftOf(connection: u32, at: u32, timeoutMs: u32): i64 {
  const passed = u32(now / 1000) - load<u32>(connection + at);
  return passed >= timeoutMs ? 0 : i64(timeoutMs - passed) * 1000;
}
