// The opening handshake of WebSocket (RFC 6455 §4), as far as a proxy has a part in it: where one side speaks HTTP/1.1
// and the other HTTP/2, which has no key (RFC 8441 §5), the engine is the server of the first or the client of it.

import { PROXY_SCRATCH } from "../../abi/engine-memory.ts";
import {
  NAME_SEC_WEBSOCKET_ACCEPT,
  NAME_SEC_WEBSOCKET_KEY,
  NAME_SEC_WEBSOCKET_VERSION,
} from "../../abi/field-names.ts";
import { encodeBase64, isBase64 } from "../../core/base64.ts";
import { equalBytes } from "../../core/bytes.ts";
import { SHA1_BYTES, SHA1_SCRATCH_BYTES, sha1 } from "../../core/sha1.ts";
import {
  FIELD_BYTES,
  FIELD_FLAGS,
  FIELD_NAME_ID,
  FIELD_REMOVED,
  FIELD_VALUE,
  FIELD_VALUE_BYTES,
  fieldAt,
  fieldsEnd,
} from "./head.ts";

/** Sixteen bytes in base64. */
export const WEBSOCKET_KEY_BYTES: u32 = 24;
/** Twenty bytes in base64. */
export const WEBSOCKET_ACCEPT_BYTES: u32 = 28;

/** RFC 6455 §1.3: "258EAFA5-E914-47DA-95CA-C5AB0DC85B11". */
const GUID: usize = memory.data<u8>([
  50, 53, 56, 69, 65, 70, 65, 53, 45, 69, 57, 49, 52, 45, 52, 55, 68, 65, 45, 57, 53, 67, 65, 45, 67, 53, 65, 66, 48,
  68, 67, 56, 53, 66, 49, 49,
]);
const GUID_BYTES: u32 = 36;

/** The request's key, 24 characters, where it has exactly one and that one is well-formed; else 0. */
export function webSocketKey(head: u32): u32 {
  const field = onlyField(head, NAME_SEC_WEBSOCKET_KEY);
  if (field == 0 || load<u16>(field, FIELD_VALUE_BYTES) != WEBSOCKET_KEY_BYTES) return 0;
  const key = load<u32>(field, FIELD_VALUE);
  for (let at: u32 = 0; at < WEBSOCKET_KEY_BYTES - 2; at += 1) if (!isBase64(load<u8>(key + at))) return 0;
  return load<u16>(key + WEBSOCKET_KEY_BYTES - 2) == 0x3d3d ? key : 0;
}

/** Whether the request asks for the one version that there is: 13. */
export function isWebSocketVersion(head: u32): bool {
  const field = onlyField(head, NAME_SEC_WEBSOCKET_VERSION);
  if (field == 0 || load<u16>(field, FIELD_VALUE_BYTES) != 2) return false;
  return load<u16>(load<u32>(field, FIELD_VALUE)) == 0x3331;
}

/** Writes what a server answers to a key, 28 characters. */
export function writeWebSocketAccept(key: u32, out: u32): void {
  const text = PROXY_SCRATCH;
  const digest = text + WEBSOCKET_KEY_BYTES + GUID_BYTES;
  memory.copy(text, key, WEBSOCKET_KEY_BYTES);
  memory.copy(text + WEBSOCKET_KEY_BYTES, u32(GUID), GUID_BYTES);
  sha1(text, WEBSOCKET_KEY_BYTES + GUID_BYTES, digest, digest + SHA1_BYTES);
  encodeBase64(digest, SHA1_BYTES, out);
}

/** Whether a response accepts `key` (RFC 6455 §4.1, the client's check 4). */
export function isWebSocketAccepted(head: u32, key: u32): bool {
  const field = onlyField(head, NAME_SEC_WEBSOCKET_ACCEPT);
  if (field == 0 || load<u16>(field, FIELD_VALUE_BYTES) != WEBSOCKET_ACCEPT_BYTES) return false;
  const expected = PROXY_SCRATCH + 256 + SHA1_SCRATCH_BYTES;
  writeWebSocketAccept(key, expected);
  return equalBytes(load<u32>(field, FIELD_VALUE), expected, WEBSOCKET_ACCEPT_BYTES);
}

/** The field of this name where there is exactly one; else 0. */
function onlyField(head: u32, id: u32): u32 {
  let only: u32 = 0;
  const end = fieldsEnd(head);
  for (let field = fieldAt(head, 0); field < end; field += FIELD_BYTES) {
    if (load<u16>(field, FIELD_NAME_ID) != id || (load<u8>(field, FIELD_FLAGS) & FIELD_REMOVED) != 0) continue;
    if (only != 0) return 0;
    only = field;
  }
  return only;
}
