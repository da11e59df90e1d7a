// Room under a service's limit of connections, for instances that have none.
//
// The limit is the service's, the connections are its instances'. Without this, those at rest at one instance would
// keep all others out: one of them is closed, and whoever was refused is served when a connection of this worker is
// gone. Those of other workers free theirs without telling; so while somebody waits, the limit is asked again every few
// milliseconds.

import { ROLE_UPSTREAM } from "../../abi/engine-codes.ts";
import { CONNECTION_BYTES, CONNECTIONS } from "../../abi/engine-memory.ts";
import { REFUSED_RETRY_MS, ROOM_SCAN_MAX } from "../../abi/limits.ts";
import { now } from "../http/event.ts";
import {
  C_IN_USE,
  C_ROLE,
  C_STREAM_COUNT,
  CONNECTION_CLOSE_WANTED,
  CONNECTION_CLOSED,
  CONNECTION_CONNECTING,
  CONNECTION_DRAINING,
  connectionsEnd,
  hasFlag,
} from "../tables/connections.ts";
import { CP_SERVICE, drainConnection, poolOf, U_REFUSED_NEXT } from "./upstream.ts";

const UNUSABLE: u32 = CONNECTION_CLOSE_WANTED | CONNECTION_CLOSED | CONNECTION_CONNECTING | CONNECTION_DRAINING;
const END: u32 = 0xffffffff;

// Per-instance state of this worker.
let cursor: u32 = CONNECTIONS;
let firstRefused: u32 = 0; // slot + 1, chained through the pools; END closes the chain
let nextLookUs: u64 = 0;

/** Closes a connection of the service that carries nothing; false when a look at some of them found none. */
export function makeRoom(service: u32): bool {
  const end = connectionsEnd();
  for (let looked: u32 = 0; looked < <u32>ROOM_SCAN_MAX; looked += 1) {
    if (cursor >= end) cursor = CONNECTIONS;
    const connection = cursor;
    cursor += CONNECTION_BYTES;
    if (load<u8>(connection, C_IN_USE) == 0 || load<u8>(connection, C_ROLE) != ROLE_UPSTREAM) continue;
    if (load<u32>(connection, CP_SERVICE) != service || load<u32>(connection, C_STREAM_COUNT) != 0) continue;
    if (hasFlag(connection, UNUSABLE)) continue;
    drainConnection(connection);
    return true;
  }
  return false;
}

/** Somebody who waits at `slot` was refused a connection. */
export function noteRefused(slot: u32): void {
  const pool = poolOf(slot);
  if (load<u32>(pool, U_REFUSED_NEXT) != 0) return;
  if (firstRefused == 0) nextLookUs = now + u64(REFUSED_RETRY_MS) * 1000;
  store<u32>(pool, firstRefused == 0 ? END : firstRefused, U_REFUSED_NEXT);
  firstRefused = slot + 1;
}

/** Takes all slots that were refused: the first of a chain that `nextRefused` continues; 0 = nobody was. */
export function takeRefused(): u32 {
  const chain = firstRefused;
  firstRefused = 0;
  return chain;
}

/** Takes `slot` (as slot + 1) out of its chain and returns what comes behind it; 0 = nothing. */
export function nextRefused(slot: u32): u32 {
  const pool = poolOf(slot - 1);
  const next = load<u32>(pool, U_REFUSED_NEXT);
  store<u32>(pool, 0, U_REFUSED_NEXT);
  return next == END ? 0 : next;
}

/** When the limit is to be asked again, µs; 0 = nobody waits for it. */
export function refusedDeadline(): u64 {
  return firstRefused == 0 ? 0 : nextLookUs;
}
