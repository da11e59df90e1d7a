// What a request is told on the way: x-request-id, x-forwarded-*, traceparent, and the hop counter between sidecars.
//
// Kept where present, made where absent (DESIGN §5). `via` is not added. The hop counter stops a mesh that was told to
// call itself: above HOPS_MAX the answer is `loop`.

import {
  NAME_TRACEPARENT,
  NAME_X_FORWARDED_FOR,
  NAME_X_FORWARDED_HOST,
  NAME_X_FORWARDED_PROTO,
  NAME_X_PILLION_HOPS,
  NAME_X_PILLION_UNPROCESSED,
  NAME_X_PILLION_VERSION,
  NAME_X_REQUEST_ID,
} from "../../abi/field-names.ts";
import { HOPS_MAX } from "../../abi/limits.ts";
import { writeDecimal } from "../../core/bytes.ts";
import {
  addField,
  FIELD_VALUE,
  FIELD_VALUE_BYTES,
  findField,
  HEAD_AUTHORITY,
  HEAD_AUTHORITY_BYTES,
  HEAD_VERSION,
  removeField,
  takeText,
} from "../http/head.ts";
import { nameLen, namePtr } from "../http/names.ts";
import { randomU32 } from "../random.ts";
import { C_PEER, C_PEER_BYTES } from "../tables/connections.ts";

const HTTP: usize = memory.data<u8>([104, 116, 116, 112]);
const VERSIONS: usize = memory.data<u8>([49, 48, 49, 49, 50, 48]); // "10" "11" "20"
const HEX: usize = memory.data<u8>([48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 97, 98, 99, 100, 101, 102]);

/** Completes a request's scratch head; false when it has passed too many sidecars. */
export function completeRequest(head: u32, connection: u32): bool {
  removeField(head, NAME_X_PILLION_UNPROCESSED);
  const hops = takeHops(head) + 1;
  if (hops > <u32>HOPS_MAX) return false;
  const hopsAt = takeText(head, 4);
  if (hopsAt != 0) addKnown(head, NAME_X_PILLION_HOPS, hopsAt, writeDecimal(hopsAt, u64(hops)));
  if (findField(head, NAME_X_PILLION_VERSION) == 0) {
    const version = u32(load<u8>(head, HEAD_VERSION));
    addKnown(head, NAME_X_PILLION_VERSION, u32(VERSIONS) + (version == 10 ? 0 : version == 11 ? 2 : 4), 2);
  }
  if (findField(head, NAME_X_REQUEST_ID) == 0) addRequestId(head);
  if (findField(head, NAME_TRACEPARENT) == 0) addTraceparent(head);
  appendForwardedFor(head, connection + C_PEER, load<u8>(connection, C_PEER_BYTES));
  if (findField(head, NAME_X_FORWARDED_PROTO) == 0) addKnown(head, NAME_X_FORWARDED_PROTO, u32(HTTP), 4);
  if (findField(head, NAME_X_FORWARDED_HOST) == 0 && load<u32>(head, HEAD_AUTHORITY_BYTES) != 0) {
    addKnown(head, NAME_X_FORWARDED_HOST, load<u32>(head, HEAD_AUTHORITY), load<u32>(head, HEAD_AUTHORITY_BYTES));
  }
  return true;
}

/** Appends a field with a known name. */
export function addKnown(head: u32, id: u32, value: u32, valueBytes: u32): void {
  addField(head, id, namePtr(id), nameLen(id), value, valueBytes);
}

function takeHops(head: u32): u32 {
  const field = findField(head, NAME_X_PILLION_HOPS);
  if (field == 0) return 0;
  let hops: u32 = 0;
  const value = load<u32>(field, FIELD_VALUE);
  const bytes = u32(load<u16>(field, FIELD_VALUE_BYTES));
  for (let at: u32 = 0; at < bytes; at += 1) {
    const digit = u32(load<u8>(value + at)) - 48;
    // What is not a small number is somebody's trick: count it as the last hop.
    if (digit > 9 || hops > <u32>HOPS_MAX) return HOPS_MAX;
    hops = hops * 10 + digit;
  }
  removeField(head, NAME_X_PILLION_HOPS);
  return hops;
}

function appendForwardedFor(head: u32, peer: u32, peerBytes: u32): void {
  if (peerBytes == 0) return;
  const field = findField(head, NAME_X_FORWARDED_FOR);
  if (field == 0) {
    addKnown(head, NAME_X_FORWARDED_FOR, peer, peerBytes);
    return;
  }
  const before = u32(load<u16>(field, FIELD_VALUE_BYTES));
  const text = takeText(head, before + 2 + peerBytes);
  if (text == 0 || before + 2 + peerBytes > 0xffff) return;
  memory.copy(text, load<u32>(field, FIELD_VALUE), before);
  store<u16>(text + before, 0x202c); // ", "
  memory.copy(text + before + 2, peer, peerBytes);
  store<u32>(field, text, FIELD_VALUE);
  store<u16>(field, u16(before + 2 + peerBytes), FIELD_VALUE_BYTES);
}

/** A random identifier in the form of a UUID of version 4, as Envoy writes it. */
function addRequestId(head: u32): void {
  const text = takeText(head, 36);
  if (text == 0) return;
  writeHexWord(text, randomU32());
  store<u8>(text, 45, 8);
  const middle = randomU32();
  writeHexWord(text + 9, (middle & 0xffff0000) | 0x4000 | (middle & 0xfff));
  memory.copy(text + 14, text + 13, 4);
  store<u8>(text, 45, 13);
  store<u8>(text, 45, 18);
  writeHexWord(text + 19, 0x80000000 | (randomU32() & 0x3fffffff));
  memory.copy(text + 24, text + 23, 4);
  store<u8>(text, 45, 23);
  writeHexWord(text + 28, randomU32());
  addKnown(head, NAME_X_REQUEST_ID, text, 36);
}

/** W3C Trace Context, version 00, not sampled: a new trace begins here. */
function addTraceparent(head: u32): void {
  const text = takeText(head, 55);
  if (text == 0) return;
  store<u16>(text, 0x3030);
  store<u8>(text, 45, 2);
  for (let word: u32 = 0; word < 4; word += 1) writeHexWord(text + 3 + word * 8, randomU32() | 1);
  store<u8>(text, 45, 35);
  writeHexWord(text + 36, randomU32() | 1);
  writeHexWord(text + 44, randomU32());
  store<u8>(text, 45, 52);
  store<u16>(text, 0x3030, 53);
  addKnown(head, NAME_TRACEPARENT, text, 55);
}

function writeHexWord(ptr: u32, value: u32): void {
  for (let index: u32 = 0; index < 8; index += 1) {
    store<u8>(ptr + index, load<u8>(u32(HEX) + ((value >> (28 - 4 * index)) & 15)));
  }
}
