// Entries for the access log and the error log: written into one block for each turn, handed out by `poll`.
//
// The engine never waits for a log: when the block is full, further entries of the turn are dropped and counted.

import { NONE, REASON_CLIENT_GONE, REASON_NONE } from "../../abi/engine-codes.ts";
import { NAME_X_REQUEST_ID } from "../../abi/field-names.ts";
import {
  LOG_ATTEMPTS,
  LOG_AUTHORITY_BYTES,
  LOG_BLOCK_BYTES,
  LOG_BYTES_RECEIVED,
  LOG_BYTES_SENT,
  LOG_DETAIL,
  LOG_DIRECTION,
  LOG_DURATION_US,
  LOG_FIXED_BYTES,
  LOG_GRPC_STATUS,
  LOG_INSTANCE,
  LOG_METHOD_BYTES,
  LOG_PATH_BYTES,
  LOG_PATH_BYTES_MAX,
  LOG_PEER_BYTES,
  LOG_REASON,
  LOG_REQUEST_ID_BYTES,
  LOG_SERVICE,
  LOG_STATUS,
  LOG_UPSTREAM_US,
  LOG_VERSION_DOWN,
  LOG_VERSION_UP,
} from "../../abi/log-entry.ts";
import { POLICY_SERVICE } from "../../abi/policy.ts";
import { allocate } from "../../core/pool.ts";
import { now } from "../http/event.ts";
import {
  FIELD_VALUE,
  FIELD_VALUE_BYTES,
  findField,
  HEAD_AUTHORITY,
  HEAD_AUTHORITY_BYTES,
  HEAD_METHOD,
  HEAD_METHOD_BYTES,
  HEAD_PATH,
  HEAD_PATH_BYTES,
  HEAD_VERSION,
} from "../http/head.ts";
import {
  EXCHANGE_IS_MIRROR,
  EXCHANGE_IS_ROUTED,
  hasX,
  X_ATTEMPTS,
  X_DETAIL,
  X_GRPC_STATUS,
  X_HEAD,
  X_INSTANCE,
  X_LISTENER,
  X_PEER,
  X_PEER_BYTES,
  X_POLICY,
  X_REASON,
  X_RECEIVED,
  X_SENT,
  X_STARTED,
  X_STATUS,
  X_UPSTREAM_US,
  X_VERSION_UP,
} from "./exchange.ts";

/** Method, authority and path at their longest, and a request id. */
const ENTRY_BYTES_MAX: u32 = LOG_FIXED_BYTES + 3 * LOG_PATH_BYTES_MAX + 256;

// Per-instance state of this worker.
let block: u32 = 0;
let used: u32 = 0;
let taken: u32 = 0;
let dropped: u32 = 0;
let isAccessLogOn: bool = false;

/** Takes the block's memory; called once at start. */
export function createLog(): void {
  block = allocate(LOG_BLOCK_BYTES);
}

/** Whether ordinary exchanges are logged too; failures always are. */
export function setAccessLogOn(on: bool): void {
  isAccessLogOn = on;
}

/** Entries that found no room, in all. */
export function droppedEntries(): u32 {
  return dropped;
}

/** Begins a turn: what the last one left has been read. */
export function clearLog(): void {
  used = 0;
  taken = 0;
}

/** Takes the next entry; 0 when there is none. Its length is `entryBytes`. */
export function takeEntry(): u32 {
  if (taken >= used) return 0;
  const entry = block + taken;
  taken += (entryBytes(entry) + 7) & ~7;
  return entry;
}

/** Whether entries of this turn were not taken yet. */
export function hasEntries(): bool {
  return taken < used;
}

/** Length of an entry. */
export function entryBytes(entry: u32): u32 {
  let text: u32 = 0;
  for (let at: u32 = LOG_METHOD_BYTES; at <= <u32>LOG_PEER_BYTES; at += 2) text += u32(load<u16>(entry + at));
  return LOG_FIXED_BYTES + text;
}

/** Writes the entry of an exchange that is over. */
export function logExchange(exchange: u32): void {
  const reason = u32(load<u8>(exchange, X_REASON));
  const isUnseen = reason == REASON_NONE || reason == REASON_CLIENT_GONE || hasX(exchange, EXCHANGE_IS_MIRROR);
  if (!isAccessLogOn && isUnseen) return;
  const head = load<u32>(exchange, X_HEAD);
  const requestId = head == 0 ? 0 : findField(head, NAME_X_REQUEST_ID);
  if (used + ENTRY_BYTES_MAX > <u32>LOG_BLOCK_BYTES) {
    dropped += 1;
    return;
  }
  const entry = block + used;
  memory.fill(entry, 0, LOG_FIXED_BYTES);
  writeNumbers(exchange, entry);
  if (head != 0) {
    store<u8>(entry, load<u8>(head, HEAD_VERSION), LOG_VERSION_DOWN);
    let at = entry + LOG_FIXED_BYTES;
    at = writeText(entry, LOG_METHOD_BYTES, at, load<u32>(head, HEAD_METHOD), load<u32>(head, HEAD_METHOD_BYTES));
    at = writeText(
      entry,
      LOG_AUTHORITY_BYTES,
      at,
      load<u32>(head, HEAD_AUTHORITY),
      load<u32>(head, HEAD_AUTHORITY_BYTES),
    );
    at = writeText(entry, LOG_PATH_BYTES, at, load<u32>(head, HEAD_PATH), load<u32>(head, HEAD_PATH_BYTES));
    if (requestId != 0) {
      const length = u32(load<u16>(requestId, FIELD_VALUE_BYTES));
      at = writeText(entry, LOG_REQUEST_ID_BYTES, at, load<u32>(requestId, FIELD_VALUE), min<u32>(length, 128));
    }
    writeText(entry, LOG_PEER_BYTES, at, exchange + X_PEER, load<u8>(exchange, X_PEER_BYTES));
  }
  used += (entryBytes(entry) + 7) & ~7;
}

function writeNumbers(exchange: u32, entry: u32): void {
  store<u16>(entry, load<u16>(exchange, X_STATUS), LOG_STATUS);
  store<u8>(entry, load<u8>(exchange, X_REASON), LOG_REASON);
  store<u8>(entry, load<u8>(exchange, X_GRPC_STATUS), LOG_GRPC_STATUS);
  store<u8>(entry, load<u8>(exchange, X_LISTENER), LOG_DIRECTION);
  store<u8>(entry, load<u8>(exchange, X_VERSION_UP), LOG_VERSION_UP);
  store<u8>(entry, load<u8>(exchange, X_ATTEMPTS), LOG_ATTEMPTS);
  const isRouted = hasX(exchange, EXCHANGE_IS_ROUTED);
  store<u32>(entry, isRouted ? load<u32>(exchange + X_POLICY, POLICY_SERVICE) : NONE, LOG_SERVICE);
  store<u32>(entry, load<u32>(exchange, X_INSTANCE), LOG_INSTANCE);
  store<u32>(entry, u32(now - load<u64>(exchange, X_STARTED)), LOG_DURATION_US);
  store<u32>(entry, load<u32>(exchange, X_UPSTREAM_US), LOG_UPSTREAM_US);
  store<f64>(entry, f64(load<u64>(exchange, X_RECEIVED)), LOG_BYTES_RECEIVED);
  store<f64>(entry, f64(load<u64>(exchange, X_SENT)), LOG_BYTES_SENT);
  store<u32>(entry, load<u32>(exchange, X_DETAIL), LOG_DETAIL);
}

function writeText(entry: u32, lengthAt: u32, at: u32, ptr: u32, length: u32): u32 {
  const kept = min<u32>(length, LOG_PATH_BYTES_MAX);
  memory.copy(at, ptr, kept);
  store<u16>(entry + lengthAt, u16(kept));
  return at + kept;
}
