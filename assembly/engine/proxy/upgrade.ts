// Upgrade and extended CONNECT: one tunnel, two ways to ask for it (RFC 9110 §7.8, RFC 8441).
//
//   HTTP/1.1  GET + Upgrade: websocket ──► 101         HTTP/2  CONNECT + :protocol = websocket ──► 200
//
// Between two sidecars the key and its acceptance travel as ordinary fields, so the app at the far end computes the
// Sec-WebSocket-Accept that the client at the near end checks. An HTTP/2 client sends no key: then one is made up for
// the HTTP/1.1 app, and nobody needs its acceptance.

import { HEAD_REQUEST } from "../../abi/engine-codes.ts";
import { ANSWER_HEAD } from "../../abi/engine-memory.ts";
import { NAME_SEC_WEBSOCKET_KEY, NAME_X_PILLION_VERSION } from "../../abi/field-names.ts";
import { equalIgnoringCase } from "../../core/bytes.ts";
import {
  FIELD_VALUE,
  FIELD_VALUE_BYTES,
  fieldAt,
  fieldsEnd,
  findField,
  HEAD_FLAGS,
  HEAD_HEADER_BYTES,
  HEAD_IS_EXTENDED_CONNECT,
  HEAD_IS_UPGRADE,
  HEAD_METHOD,
  HEAD_METHOD_BYTES,
  HEAD_METHOD_ID,
  HEAD_PROTOCOL,
  HEAD_PROTOCOL_BYTES,
  HEAD_STATUS,
  HEAD_TEXT_END,
  HEAD_VERSION,
  METHOD_CONNECT,
  METHOD_GET,
  startHead,
  takeText,
} from "../http/head.ts";
import { randomU32 } from "../random.ts";
import { X_STATUS } from "./exchange.ts";
import { addKnown } from "./forwarded.ts";

const CONNECT: usize = memory.data<u8>([67, 79, 78, 78, 69, 67, 84]);
const GET: usize = memory.data<u8>([71, 69, 84]);
const WEBSOCKET: usize = memory.data<u8>([119, 101, 98, 115, 111, 99, 107, 101, 116]);
/** RFC 4648 §4. */
const BASE64: usize = memory.data<u8>([
  65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 97, 98, 99,
  100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 48,
  49, 50, 51, 52, 53, 54, 55, 56, 57, 43, 47,
]);

/** Whether the protocol asked for is WebSocket. */
export function isWebSocket(head: u32): bool {
  const length = load<u32>(head, HEAD_PROTOCOL_BYTES);
  return length == 9 && equalIgnoringCase(load<u32>(head, HEAD_PROTOCOL), u32(WEBSOCKET), 9);
}

/** The version that the first sidecar was spoken to in: 10, 11 or 20. */
export function originalVersion(head: u32): u32 {
  const field = findField(head, NAME_X_PILLION_VERSION);
  if (field == 0 || load<u16>(field, FIELD_VALUE_BYTES) != 2) return u32(load<u8>(head, HEAD_VERSION));
  return load<u8>(load<u32>(field, FIELD_VALUE)) == 50 ? 20 : 11;
}

/** A copy of an Upgrade request as an extended CONNECT, in ANSWER_HEAD. */
export function toExtendedConnect(head: u32): u32 {
  const copy = copyRequest(head, HEAD_IS_EXTENDED_CONNECT, HEAD_IS_UPGRADE);
  store<u32>(copy, u32(CONNECT), HEAD_METHOD);
  store<u32>(copy, 7, HEAD_METHOD_BYTES);
  store<u32>(copy, METHOD_CONNECT, HEAD_METHOD_ID);
  return copy;
}

/** A copy of an extended CONNECT as an Upgrade request, in ANSWER_HEAD. */
export function toUpgrade(head: u32): u32 {
  const copy = copyRequest(head, HEAD_IS_UPGRADE, HEAD_IS_EXTENDED_CONNECT);
  store<u32>(copy, u32(GET), HEAD_METHOD);
  store<u32>(copy, 3, HEAD_METHOD_BYTES);
  store<u32>(copy, METHOD_GET, HEAD_METHOD_ID);
  if (isWebSocket(head) && findField(copy, NAME_SEC_WEBSOCKET_KEY) == 0) addWebSocketKey(copy);
  return copy;
}

/** Turns the answer that made the tunnel into what this client expects: 101 ⇄ 200. */
export function toSwitched(exchange: u32, head: u32, isDownH2: bool): void {
  const status: u16 = isDownH2 ? 200 : 101;
  store<u16>(head, status, HEAD_STATUS);
  store<u16>(exchange, status, X_STATUS);
  if (isDownH2) {
    store<u32>(head, load<u32>(head, HEAD_FLAGS) & ~HEAD_IS_UPGRADE, HEAD_FLAGS);
    return;
  }
  store<u32>(head, load<u32>(head, HEAD_FLAGS) | HEAD_IS_UPGRADE, HEAD_FLAGS);
  if (load<u32>(head, HEAD_PROTOCOL_BYTES) == 0) {
    store<u32>(head, u32(WEBSOCKET), HEAD_PROTOCOL);
    store<u32>(head, 9, HEAD_PROTOCOL_BYTES);
  }
}

function copyRequest(head: u32, add: u32, remove: u32): u32 {
  startHead(ANSWER_HEAD, HEAD_REQUEST);
  const textEnd = load<u32>(ANSWER_HEAD, HEAD_TEXT_END);
  const end = fieldsEnd(head);
  memory.copy(ANSWER_HEAD, head, HEAD_HEADER_BYTES + (end - fieldAt(head, 0)));
  store<u32>(ANSWER_HEAD, textEnd, HEAD_TEXT_END);
  store<u32>(ANSWER_HEAD, (load<u32>(head, HEAD_FLAGS) | add) & ~remove, HEAD_FLAGS);
  return ANSWER_HEAD;
}

/** Sixteen random bytes in base64 (RFC 6455 §4.1). */
function addWebSocketKey(head: u32): void {
  const text = takeText(head, 24);
  if (text == 0) return;
  for (let index: u32 = 0; index < 22; index += 1) {
    // The last character carries two bits only.
    const bits = index == 21 ? (randomU32() & 3) << 4 : randomU32() & 63;
    store<u8>(text + index, load<u8>(u32(BASE64) + bits));
  }
  store<u16>(text, 0x3d3d, 22);
  addKnown(head, NAME_SEC_WEBSOCKET_KEY, text, 24);
}
