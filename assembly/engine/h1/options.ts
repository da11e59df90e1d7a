// Connection: what holds for this hop only (RFC 9110 §7.6.1).
//
// Known options become bits. Any other names a field that is to be dropped: from what the *sender* has put into its own
// message, before we add anything, so that nobody can delete what we say. To name one that frames or routes is refused.

import { REASON_BAD_REQUEST, REASON_NONE } from "../../abi/engine-codes.ts";
import { CONNECTION_OPTIONS_MAX } from "../../abi/limits.ts";
import { equalIgnoringCase } from "../../core/bytes.ts";
import {
  FIELD_BYTES,
  FIELD_NAME,
  FIELD_NAME_BYTES,
  FIELD_VALUE_BYTES,
  fieldAt,
  fieldsEnd,
  HEAD_COUNT,
  HEAD_FIELD_BYTES,
} from "../http/head.ts";
import { tokenEnd } from "../http/syntax.ts";

export const OPTION_CLOSE: u32 = 1;
export const OPTION_KEEP_ALIVE: u32 = 2;
export const OPTION_UPGRADE: u32 = 4;
export const OPTION_TE: u32 = 8;

const CLOSE = <u32>memory.data<u8>([99, 108, 111, 115, 101]); // close
const KEEP_ALIVE = <u32>memory.data<u8>([107, 101, 101, 112, 45, 97, 108, 105, 118, 101]); // keep-alive
const UPGRADE = <u32>memory.data<u8>([117, 112, 103, 114, 97, 100, 101]); // upgrade
const TE = <u32>memory.data<u8>([116, 101]); // te
const HOST = <u32>memory.data<u8>([104, 111, 115, 116]); // host
const CONTENT_LENGTH = <u32>memory.data<u8>([99, 111, 110, 116, 101, 110, 116, 45, 108, 101, 110, 103, 116, 104]);
const TRANSFER_ENCODING = <u32>(
  memory.data<u8>([116, 114, 97, 110, 115, 102, 101, 114, 45, 101, 110, 99, 111, 100, 105, 110, 103])
);
/** Pointer and length of each named field: u32 pairs. */
const NAMED = <u32>memory.data(128);

// Registers of the message being read.
let options: u32 = 0;
let namedCount: u32 = 0;

export function startOptions(): void {
  options = 0;
  namedCount = 0;
}

export function hasOption(option: u32): bool {
  return (options & option) != 0;
}

/** Takes one Connection value: tokens and commas, empty elements allowed (RFC 9110 §5.6.1.2). */
export function takeConnection(ptr: u32, length: u32): u32 {
  const end = ptr + length;
  let at = ptr;
  while (at < end) {
    const byte = u32(load<u8>(at));
    if (byte == 44 || byte == 32 || byte == 9) {
      at += 1;
      continue;
    }
    const stop = tokenEnd(at, end);
    if (stop == at) return REASON_BAD_REQUEST;
    const reason = takeOption(at, stop - at);
    if (reason != REASON_NONE) return reason;
    at = stop;
    while (at < end && (load<u8>(at) == 32 || load<u8>(at) == 9)) at += 1;
    if (at < end && load<u8>(at) != 44) return REASON_BAD_REQUEST;
  }
  return REASON_NONE;
}

/** Takes the named fields out of the list; the order of the others stays. */
export function dropNamed(head: u32): u32 {
  for (let index: u32 = 0; index < namedCount; index += 1) {
    dropField(head, load<u32>(NAMED + index * 8), load<u32>(NAMED + index * 8, 4));
  }
  return REASON_NONE;
}

function takeOption(ptr: u32, length: u32): u32 {
  if (length == 5 && equalIgnoringCase(ptr, CLOSE, 5)) options |= OPTION_CLOSE;
  else if (length == 10 && equalIgnoringCase(ptr, KEEP_ALIVE, 10)) options |= OPTION_KEEP_ALIVE;
  else if (length == 7 && equalIgnoringCase(ptr, UPGRADE, 7)) options |= OPTION_UPGRADE;
  else if (length == 2 && equalIgnoringCase(ptr, TE, 2)) options |= OPTION_TE;
  else if (
    namedCount == <u32>CONNECTION_OPTIONS_MAX ||
    (length == 4 && equalIgnoringCase(ptr, HOST, 4)) ||
    (length == 14 && equalIgnoringCase(ptr, CONTENT_LENGTH, 14)) ||
    (length == 17 && equalIgnoringCase(ptr, TRANSFER_ENCODING, 17))
  ) {
    return REASON_BAD_REQUEST;
  } else {
    store<u32>(NAMED + namedCount * 8, ptr);
    store<u32>(NAMED + namedCount * 8, length, 4);
    namedCount += 1;
  }
  return REASON_NONE;
}

function dropField(head: u32, ptr: u32, length: u32): void {
  const end = fieldsEnd(head);
  let to = fieldAt(head, 0);
  let dropped: u32 = 0;
  for (let field = to; field < end; field += FIELD_BYTES) {
    const nameBytes = u32(load<u16>(field, FIELD_NAME_BYTES));
    if (nameBytes == length && equalIgnoringCase(load<u32>(field, FIELD_NAME), ptr, length)) {
      const bytes = nameBytes + load<u16>(field, FIELD_VALUE_BYTES) + 32;
      store<u32>(head, load<u32>(head, HEAD_FIELD_BYTES) - bytes, HEAD_FIELD_BYTES);
      dropped += 1;
      continue;
    }
    if (to != field) memory.copy(to, field, FIELD_BYTES);
    to += FIELD_BYTES;
  }
  store<u32>(head, load<u32>(head, HEAD_COUNT) - dropped, HEAD_COUNT);
}
