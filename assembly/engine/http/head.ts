// A head: request line or status, and a list of fields; decoded by h1 or h2, read by the router, encoded by h1 or h2.
//
//   head (96 bytes)      fields, 16 bytes each              text
//   ┌──────────────────┬──────────────────────────────────┬─────────────────┐
//   │ kind, method, …  │ name id │ flags │ lengths │ ptrs │ names, values … │
//   └──────────────────┴──────────────────────────────────┴─────────────────┘
//
// Pointers are absolute. A *scratch* head (SCRATCH_HEAD, ANSWER_HEAD) may point anywhere: into the read buffer, a
// static table, an HPACK table. It holds until the next receive. `persistHead` copies everything into one block of the
// pool, for an exchange that waits or may have to be replayed.
//
// Rule 1: names are in lower case (RFC 9113 §8.2.1); h1 folds them as it reads.
// Rule 2: pseudo-headers, Host, Content-Length, Transfer-Encoding, Connection and what Connection names are never in
// the
//         list: they are read by the codec that received them and written by the codec that sends.
// Rule 3: a removed field stays in the list with FIELD_REMOVED; encoders skip it.

import { ANSWER_HEAD, SCRATCH_HEAD, SCRATCH_HEAD_BYTES } from "../../abi/engine-memory.ts";
import { NAME_OTHER } from "../../abi/field-names.ts";
import { HEAD_CRUMBS_MAX, HEAD_FIELDS_MAX } from "../../abi/limits.ts";
import { allocate, release } from "../../core/pool.ts";
import { namePtr } from "./names.ts";

// ── Head ─────────────────────────────────────────────────────────────────────────────────────────
export const HEAD_KIND: u32 = 0; // u8 HEAD_REQUEST | HEAD_RESPONSE | HEAD_TRAILERS
export const HEAD_VERSION: u32 = 1; // u8 10, 11 or 20: the version it arrived in
export const HEAD_STATUS: u32 = 2; // u16, responses
export const HEAD_COUNT: u32 = 4; // u32 fields, removed ones included
export const HEAD_FLAGS: u32 = 8; // u32 HEAD_IS_* …
export const HEAD_METHOD: u32 = 12; // ptr, requests
export const HEAD_METHOD_BYTES: u32 = 16;
export const HEAD_METHOD_ID: u32 = 20; // METHOD_*
export const HEAD_PATH: u32 = 24; // ptr: origin-form with query, or "*"; empty for plain CONNECT
export const HEAD_PATH_BYTES: u32 = 28;
export const HEAD_AUTHORITY: u32 = 32; // ptr: host[:port]; empty where HTTP/1.0 had none
export const HEAD_AUTHORITY_BYTES: u32 = 36;
export const HEAD_SCHEME: u32 = 40; // u8 0 = http, 1 = https
export const HEAD_PROTOCOL: u32 = 44; // ptr: :protocol (RFC 8441) or the Upgrade token asked for / agreed
export const HEAD_PROTOCOL_BYTES: u32 = 48;
export const HEAD_TEXT_END: u32 = 52; // scratch heads: end of used text
export const HEAD_CONTENT_LENGTH: u32 = 56; // i64, -1 = none given
export const HEAD_FIELD_BYTES: u32 = 64; // u32 name + value + 32 each, for the limits
export const HEAD_CRUMBS: u32 = 68; // u32 cookie fields
export const HEAD_REASON: u32 = 72; // ptr, HTTP/1.1 reason phrase (responses); may be empty
export const HEAD_REASON_BYTES: u32 = 76;
export const HEAD_HEADER_BYTES: u32 = 96;

// HEAD_FLAGS
export const HEAD_HAS_TE_TRAILERS: u32 = 1; // TE: trailers
export const HEAD_EXPECTS_CONTINUE: u32 = 2; // Expect: 100-continue
export const HEAD_IS_GRPC: u32 = 4; // content-type application/grpc…
export const HEAD_IS_CHUNKED: u32 = 8; // arrived with Transfer-Encoding: chunked
export const HEAD_IS_UPGRADE: u32 = 16; // HTTP/1.1 Connection: upgrade + Upgrade, or 101
export const HEAD_IS_EXTENDED_CONNECT: u32 = 32; // CONNECT with :protocol
export const HEAD_IS_ABSOLUTE: u32 = 64; // absolute-form target (proxy request)
export const HEAD_KEEPS_ALIVE: u32 = 128; // h1: the sender would keep the connection
export const HEAD_HAS_BODY: u32 = 256; // a body follows or may follow (not END_STREAM, not length 0)

// Methods: known ones by id, for routes and retry classes.
export const METHOD_OTHER: u32 = 0;
export const METHOD_GET: u32 = 1;
export const METHOD_HEAD: u32 = 2;
export const METHOD_POST: u32 = 3;
export const METHOD_PUT: u32 = 4;
export const METHOD_DELETE: u32 = 5;
export const METHOD_CONNECT: u32 = 6;
export const METHOD_OPTIONS: u32 = 7;
export const METHOD_TRACE: u32 = 8;
export const METHOD_PATCH: u32 = 9;

// ── Field ────────────────────────────────────────────────────────────────────────────────────────
export const FIELD_NAME_ID: u32 = 0; // u16 NAME_*; NAME_OTHER for unknown ones
export const FIELD_FLAGS: u32 = 2; // u8
export const FIELD_NAME_BYTES: u32 = 4; // u16
export const FIELD_VALUE_BYTES: u32 = 6; // u16
export const FIELD_NAME: u32 = 8; // ptr
export const FIELD_VALUE: u32 = 12; // ptr
export const FIELD_BYTES: u32 = 16;

export const FIELD_REMOVED: u32 = 1;
export const FIELD_NEVER_INDEXED: u32 = 2; // RFC 7541 §6.2.3: stays so on every hop

/** Fields that a scratch head has room for: those of the limits, and 64 that we add. */
export const SCRATCH_FIELDS_MAX: u32 = HEAD_FIELDS_MAX + HEAD_CRUMBS_MAX + 64;
const SCRATCH_TEXT: u32 = HEAD_HEADER_BYTES + SCRATCH_FIELDS_MAX * FIELD_BYTES;

/** Empties a scratch head. */
export function startHead(head: u32, kind: u32): void {
  assert(head == SCRATCH_HEAD || head == ANSWER_HEAD);
  memory.fill(head, 0, HEAD_HEADER_BYTES);
  store<u8>(head, u8(kind), HEAD_KIND);
  store<i64>(head, -1, HEAD_CONTENT_LENGTH);
  store<u32>(head, head + SCRATCH_TEXT, HEAD_TEXT_END);
}

/** Appends a field that points where it is told; false when there is no room (the caller's limits are lower). */
export function addField(head: u32, id: u32, name: u32, nameBytes: u32, value: u32, valueBytes: u32): bool {
  const count = load<u32>(head, HEAD_COUNT);
  if (count >= SCRATCH_FIELDS_MAX) return false;
  const field = head + HEAD_HEADER_BYTES + count * FIELD_BYTES;
  store<u16>(field, u16(id), FIELD_NAME_ID);
  store<u16>(field, 0, FIELD_FLAGS);
  store<u16>(field, u16(nameBytes), FIELD_NAME_BYTES);
  store<u16>(field, u16(valueBytes), FIELD_VALUE_BYTES);
  store<u32>(field, name, FIELD_NAME);
  store<u32>(field, value, FIELD_VALUE);
  store<u32>(head, count + 1, HEAD_COUNT);
  store<u32>(head, load<u32>(head, HEAD_FIELD_BYTES) + nameBytes + valueBytes + 32, HEAD_FIELD_BYTES);
  return true;
}

/** Room for `length` bytes of text in a scratch head; 0 when it is full. */
export function takeText(head: u32, length: u32): u32 {
  const ptr = load<u32>(head, HEAD_TEXT_END);
  if (ptr + length > head + SCRATCH_HEAD_BYTES) return 0;
  store<u32>(head, ptr + length, HEAD_TEXT_END);
  return ptr;
}

/** The field at `index`. */
export function fieldAt(head: u32, index: u32): u32 {
  return head + HEAD_HEADER_BYTES + index * FIELD_BYTES;
}

/** The end of the fields: `for (let f = fieldAt(h, 0); f < fieldsEnd(h); f += FIELD_BYTES)`. */
export function fieldsEnd(head: u32): u32 {
  return head + HEAD_HEADER_BYTES + load<u32>(head, HEAD_COUNT) * FIELD_BYTES;
}

/** The first field with a known name that was not removed; 0 when there is none. */
export function findField(head: u32, id: u32): u32 {
  const end = fieldsEnd(head);
  for (let field = fieldAt(head, 0); field < end; field += FIELD_BYTES) {
    if (load<u16>(field, FIELD_NAME_ID) == id && (load<u8>(field, FIELD_FLAGS) & FIELD_REMOVED) == 0) return field;
  }
  return 0;
}

/** Removes every field with a known name. */
export function removeField(head: u32, id: u32): void {
  const end = fieldsEnd(head);
  for (let field = fieldAt(head, 0); field < end; field += FIELD_BYTES) {
    if (load<u16>(field, FIELD_NAME_ID) == id)
      store<u8>(field, load<u8>(field, FIELD_FLAGS) | FIELD_REMOVED, FIELD_FLAGS);
  }
}

export function hasHeadFlag(head: u32, flag: u32): bool {
  return (load<u32>(head, HEAD_FLAGS) & flag) != 0;
}

export function setHeadFlag(head: u32, flag: u32): void {
  store<u32>(head, load<u32>(head, HEAD_FLAGS) | flag, HEAD_FLAGS);
}

/** Copies a head with everything it points to into one block; 0 when the pool is exhausted or it exceeds 128 KiB. */
export function persistHead(head: u32, spareFields: u32, spareText: u32): u32 {
  const count = load<u32>(head, HEAD_COUNT);
  let text = load<u32>(head, HEAD_METHOD_BYTES) + load<u32>(head, HEAD_PATH_BYTES);
  text +=
    load<u32>(head, HEAD_AUTHORITY_BYTES) + load<u32>(head, HEAD_PROTOCOL_BYTES) + load<u32>(head, HEAD_REASON_BYTES);
  const end = fieldsEnd(head);
  for (let field = fieldAt(head, 0); field < end; field += FIELD_BYTES) {
    // Known names have their text in static memory.
    if (load<u16>(field, FIELD_NAME_ID) == NAME_OTHER) text += load<u16>(field, FIELD_NAME_BYTES);
    text += load<u16>(field, FIELD_VALUE_BYTES);
  }
  const textAt: u32 = HEAD_HEADER_BYTES + (count + spareFields) * FIELD_BYTES;
  if (textAt + text + spareText > 131072) return 0;
  const copy = allocate(textAt + text + spareText);
  if (copy == 0) return 0;
  memory.copy(copy, head, HEAD_HEADER_BYTES + count * FIELD_BYTES);
  let at = copy + textAt;
  at = moveText(copy, HEAD_METHOD, HEAD_METHOD_BYTES, at);
  at = moveText(copy, HEAD_PATH, HEAD_PATH_BYTES, at);
  at = moveText(copy, HEAD_AUTHORITY, HEAD_AUTHORITY_BYTES, at);
  at = moveText(copy, HEAD_PROTOCOL, HEAD_PROTOCOL_BYTES, at);
  at = moveText(copy, HEAD_REASON, HEAD_REASON_BYTES, at);
  const copyEnd = fieldsEnd(copy);
  for (let field = fieldAt(copy, 0); field < copyEnd; field += FIELD_BYTES) {
    const nameId = u32(load<u16>(field, FIELD_NAME_ID));
    if (nameId != NAME_OTHER) store<u32>(field, namePtr(nameId), FIELD_NAME);
    else {
      const nameBytes = u32(load<u16>(field, FIELD_NAME_BYTES));
      memory.copy(at, load<u32>(field, FIELD_NAME), nameBytes);
      store<u32>(field, at, FIELD_NAME);
      at += nameBytes;
    }
    const valueBytes = u32(load<u16>(field, FIELD_VALUE_BYTES));
    memory.copy(at, load<u32>(field, FIELD_VALUE), valueBytes);
    store<u32>(field, at, FIELD_VALUE);
    at += valueBytes;
  }
  store<u32>(copy, at, HEAD_TEXT_END);
  return copy;
}

/** Gives a persisted head back. */
export function releaseHead(head: u32): void {
  release(head);
}

function moveText(head: u32, pointerAt: u32, lengthAt: u32, to: u32): u32 {
  const length = load<u32>(head + lengthAt);
  memory.copy(to, load<u32>(head + pointerAt), length);
  store<u32>(head + pointerAt, to);
  return to + length;
}
