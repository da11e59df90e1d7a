// grpc-timeout: how long the caller still waits (gRPC over HTTP/2: at most eight digits and one of H M S m u n).
//
// What goes upstream is what is left of it then: less what has passed here, by retries too, and no more than the
// route's own timeout. So no server works for a caller that has gone. The field's text has room for the longest value,
// and is written anew for every attempt.

import { NAME_GRPC_TIMEOUT } from "../../abi/field-names.ts";
import { writeDecimal } from "../../core/bytes.ts";
import { now } from "../http/event.ts";
import { FIELD_VALUE, FIELD_VALUE_BYTES, findField, HEAD_TEXT_END, removeField, takeText } from "../http/head.ts";
import { X_DEADLINE, X_HAS_GRPC_TIMEOUT } from "./exchange.ts";
import { addKnown } from "./forwarded.ts";

/** Eight digits and a unit. */
const VALUE_BYTES: u32 = 9;
const VALUE_MAX: u64 = 99999999;

/** The caller's timeout in µs, and room in the scratch head for what is left of it; 0 = none, or malformed. */
export function takeGrpcTimeout(exchange: u32, head: u32): u64 {
  const field = findField(head, NAME_GRPC_TIMEOUT);
  if (field == 0) return 0;
  const ptr = load<u32>(field, FIELD_VALUE);
  const length = u32(load<u16>(field, FIELD_VALUE_BYTES));
  const us = parseTimeout(ptr, length);
  if (us == 0) return 0;
  const text = takeText(head, VALUE_BYTES);
  if (text == 0) return us;
  memory.fill(text, 48, VALUE_BYTES);
  removeField(head, NAME_GRPC_TIMEOUT);
  addKnown(head, NAME_GRPC_TIMEOUT, text, VALUE_BYTES);
  store<u8>(exchange, 1, X_HAS_GRPC_TIMEOUT);
  return us;
}

/** Room that `renewGrpcTimeout` needs in a copied head: a field, and so many bytes of text. */
export const GRPC_TIMEOUT_TEXT_BYTES: u32 = VALUE_BYTES;

/** Gives a copied head a value of its own to write to: what was copied is only as long as its last text. */
export function renewGrpcTimeout(exchange: u32, head: u32): void {
  if (load<u8>(exchange, X_HAS_GRPC_TIMEOUT) == 0) return;
  const text = load<u32>(head, HEAD_TEXT_END);
  memory.fill(text, 48, VALUE_BYTES);
  store<u32>(head, text + VALUE_BYTES, HEAD_TEXT_END);
  removeField(head, NAME_GRPC_TIMEOUT);
  addKnown(head, NAME_GRPC_TIMEOUT, text, VALUE_BYTES);
}

/** Writes what is left into a kept head that is about to be sent. */
export function writeGrpcTimeout(exchange: u32, head: u32): void {
  if (load<u8>(exchange, X_HAS_GRPC_TIMEOUT) == 0) return;
  const field = findField(head, NAME_GRPC_TIMEOUT);
  const deadline = load<u64>(exchange, X_DEADLINE);
  if (field == 0 || deadline == 0) return;
  const us = deadline > now ? deadline - now : 1;
  store<u16>(field, u16(formatTimeout(load<u32>(field, FIELD_VALUE), us)), FIELD_VALUE_BYTES);
}

/** The finest unit that eight digits hold; rounded down, so that the server gives up first. */
function formatTimeout(ptr: u32, us: u64): u32 {
  let value = us;
  let unit: u8 = 117; // u
  if (value > VALUE_MAX) {
    value /= 1000;
    unit = 109; // m
  }
  if (value > VALUE_MAX) {
    value /= 1000;
    unit = 83; // S
  }
  if (value > VALUE_MAX) {
    value /= 3600;
    unit = 72; // H
  }
  const digits = writeDecimal(ptr, min<u64>(value, VALUE_MAX));
  store<u8>(ptr + digits, unit);
  return digits + 1;
}

/** 0 = malformed. */
function parseTimeout(ptr: u32, length: u32): u64 {
  if (length < 2 || length > 9) return 0;
  let value: u64 = 0;
  for (let at: u32 = 0; at < length - 1; at += 1) {
    const digit = u32(load<u8>(ptr + at)) - 48;
    if (digit > 9) return 0;
    value = value * 10 + digit;
  }
  switch (load<u8>(ptr + length - 1)) {
    case 72:
      return value * 3600000000;
    case 77:
      return value * 60000000;
    case 83:
      return value * 1000000;
    case 109:
      return value * 1000;
    case 117:
      return max<u64>(value, 1);
    case 110:
      return max<u64>(value / 1000, 1);
    default:
      return 0;
  }
}
