// Upgrade and extended CONNECT: one tunnel, two ways to ask for it (RFC 9110 §7.8, RFC 8441).
//
//   HTTP/1.1  GET + Upgrade: websocket ──► 101         HTTP/2  CONNECT + :protocol = websocket ──► 200
//
// HTTP/2 has no key and no acceptance (RFC 8441 §5). So whoever converts is the server of the HTTP/1.1 client, and
// computes what it expects; or the client of the HTTP/1.1 server, with a key of its own if need be, and checks what
// comes. Between two sidecars the client's key travels as an ordinary field: the app at the far end sees it.

import { HEAD_REQUEST } from "../../abi/engine-codes.ts";
import { ANSWER_HEAD, PROXY_SCRATCH } from "../../abi/engine-memory.ts";
import { NAME_SEC_WEBSOCKET_ACCEPT, NAME_SEC_WEBSOCKET_KEY, NAME_X_PILLION_VERSION } from "../../abi/field-names.ts";
import { encodeBase64 } from "../../core/base64.ts";
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
  removeField,
  startHead,
  takeText,
} from "../http/head.ts";
import {
  isWebSocketAccepted,
  isWebSocketVersion,
  WEBSOCKET_ACCEPT_BYTES,
  WEBSOCKET_KEY_BYTES,
  webSocketKey,
  writeWebSocketAccept,
} from "../http/websocket.ts";
import { randomU32 } from "../random.ts";
import { EXCHANGE_TO_SIDECAR, hasX, X_HEAD, X_STATUS, X_WEBSOCKET_NONCE } from "./exchange.ts";
import { addKnown } from "./forwarded.ts";

const CONNECT: usize = memory.data<u8>([67, 79, 78, 78, 69, 67, 84]);
const GET: usize = memory.data<u8>([71, 69, 84]);
const WEBSOCKET: usize = memory.data<u8>([119, 101, 98, 115, 111, 99, 107, 101, 116]);
/** Where in the scratch a made-up key is written; the handshake's arithmetic uses what lies before. */
const MADE_KEY_AT: u32 = 2048;

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

/** Whether an Upgrade request may be converted: a WebSocket's handshake must be one (RFC 6455 §4.2.1). */
export function isConvertible(head: u32): bool {
  return !isWebSocket(head) || (webSocketKey(head) != 0 && isWebSocketVersion(head));
}

/** A copy of an Upgrade request as an extended CONNECT, in ANSWER_HEAD. */
export function toExtendedConnect(exchange: u32): u32 {
  const head = load<u32>(exchange, X_HEAD);
  const copy = copyRequest(head, HEAD_IS_EXTENDED_CONNECT, HEAD_IS_UPGRADE);
  store<u32>(copy, u32(CONNECT), HEAD_METHOD);
  store<u32>(copy, 7, HEAD_METHOD_BYTES);
  store<u32>(copy, METHOD_CONNECT, HEAD_METHOD_ID);
  if (!hasX(exchange, EXCHANGE_TO_SIDECAR)) removeField(copy, NAME_SEC_WEBSOCKET_KEY);
  return copy;
}

/** A copy of an extended CONNECT without the key that another sidecar put in, in ANSWER_HEAD. */
export function withoutKey(head: u32): u32 {
  const copy = copyRequest(head, 0, 0);
  removeField(copy, NAME_SEC_WEBSOCKET_KEY);
  return copy;
}

/** A copy of an extended CONNECT as an Upgrade request, in ANSWER_HEAD. */
export function toUpgrade(exchange: u32): u32 {
  const head = load<u32>(exchange, X_HEAD);
  const copy = copyRequest(head, HEAD_IS_UPGRADE, HEAD_IS_EXTENDED_CONNECT);
  store<u32>(copy, u32(GET), HEAD_METHOD);
  store<u32>(copy, 3, HEAD_METHOD_BYTES);
  store<u32>(copy, METHOD_GET, HEAD_METHOD_ID);
  if (isWebSocket(head) && webSocketKey(head) == 0) {
    removeField(copy, NAME_SEC_WEBSOCKET_KEY);
    addWebSocketKey(exchange, copy);
  }
  return copy;
}

/** Whether the 101 of an HTTP/1.1 server accepts the key that it was sent (RFC 6455 §4.1). */
export function isAccepted(exchange: u32, response: u32): bool {
  const head = load<u32>(exchange, X_HEAD);
  if (!isWebSocket(head)) return true;
  let key = webSocketKey(head);
  if (key == 0) {
    key = PROXY_SCRATCH + MADE_KEY_AT;
    encodeBase64(exchange + X_WEBSOCKET_NONCE, 16, key);
  }
  return isWebSocketAccepted(response, key);
}

/** Turns the answer that made the tunnel into what this client expects: 101 ⇄ 200. */
export function toSwitched(exchange: u32, head: u32, isDownH2: bool): void {
  const status: u16 = isDownH2 ? 200 : 101;
  store<u16>(head, status, HEAD_STATUS);
  store<u16>(exchange, status, X_STATUS);
  removeField(head, NAME_SEC_WEBSOCKET_ACCEPT);
  if (isDownH2) {
    store<u32>(head, load<u32>(head, HEAD_FLAGS) & ~HEAD_IS_UPGRADE, HEAD_FLAGS);
    return;
  }
  store<u32>(head, load<u32>(head, HEAD_FLAGS) | HEAD_IS_UPGRADE, HEAD_FLAGS);
  if (load<u32>(head, HEAD_PROTOCOL_BYTES) == 0) {
    store<u32>(head, u32(WEBSOCKET), HEAD_PROTOCOL);
    store<u32>(head, 9, HEAD_PROTOCOL_BYTES);
  }
  const request = load<u32>(exchange, X_HEAD);
  if (isWebSocket(request)) addWebSocketAccept(head, webSocketKey(request));
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

function addWebSocketAccept(head: u32, key: u32): void {
  assert(key != 0); // else it was not convertible
  const text = takeText(head, WEBSOCKET_ACCEPT_BYTES);
  if (text == 0) return;
  writeWebSocketAccept(key, text);
  addKnown(head, NAME_SEC_WEBSOCKET_ACCEPT, text, WEBSOCKET_ACCEPT_BYTES);
}

/** Sixteen random bytes in base64 (RFC 6455 §4.1), kept to know their acceptance by. */
function addWebSocketKey(exchange: u32, head: u32): void {
  for (let at: u32 = 0; at < 16; at += 4) store<u32>(exchange + X_WEBSOCKET_NONCE + at, randomU32());
  const text = takeText(head, WEBSOCKET_KEY_BYTES);
  if (text == 0) return;
  encodeBase64(exchange + X_WEBSOCKET_NONCE, 16, text);
  addKnown(head, NAME_SEC_WEBSOCKET_KEY, text, WEBSOCKET_KEY_BYTES);
}
