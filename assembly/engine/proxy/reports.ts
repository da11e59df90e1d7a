// Load reports, both ends: what the app beside us has to do is told to the sidecars that call it (DESIGN §2).
//
// They ride on turns that write anyway, at most one in 10 ms for each connection, so they cost no system call and no
// packet of their own; an idle connection says once a second that it is idle. Who receives them gives them to the
// balancer, whose adaptive policy lives on them.

import { REPORT_DRAINING } from "../../abi/balancer-codes.ts";
import { NONE, PROTOCOL_H2, ROLE_DOWNSTREAM } from "../../abi/engine-codes.ts";
import { CONNECTION_BYTES, CONNECTIONS, UPSTREAM_POOLS_MAX } from "../../abi/engine-memory.ts";
import { LISTENER_INBOUND } from "../../abi/engine-records.ts";
import { INSTANCE_FLAGS, INSTANCE_IS_APP, INSTANCE_IS_SIDECAR } from "../../abi/policy.ts";
import { readU32 } from "../../core/bytes.ts";
import { estimateLatency, inflightOf, isAway, recordEstimate, report } from "../balancer.ts";
import { reportedAtH2, sendReportH2, takesReportsH2 } from "../h2/index.ts";
import { now } from "../http/event.ts";
import { instanceAt } from "../route/index.ts";
import {
  C_IN_USE,
  C_INSTANCE,
  C_LISTENER,
  C_PROTOCOL,
  C_ROLE,
  CONNECTION_CLOSE_WANTED,
  CONNECTION_CLOSED,
  CONNECTION_DRAINING,
  CONNECTION_SHED,
  connectionsEnd,
  hasFlag,
} from "../tables/connections.ts";
import { markDirty } from "../tables/output.ts";
import { isReached } from "./upstream.ts";

/** Between two reports of a connection that writes (DESIGN §2). */
const GAP_US: u64 = 10000;
/** Between two of an idle one. */
const IDLE_US: u64 = 1000000;
/** An estimate is good for this time: it is a median over some dozens of samples. */
const ESTIMATE_US: u64 = 5000;

// Per-instance state of this worker.
let appSlot: u32 = NONE;
let estimate: u32 = 0;
let estimatedAt: u64 = 0;
/** When idle connections are looked at next, µs; 0 = there are none. */
let idleAt: u64 = 0;
/** Whether the app could not be reached, as it was told last, and since when that is so, µs. */
let isAppAway: bool = false;
let changedAt: u64 = 0;

/** A new snapshot is in force: it may have an app. */
export function findApp(): void {
  appSlot = NONE;
  for (let slot: u32 = 0; slot < <u32>UPSTREAM_POOLS_MAX && appSlot == <u32>NONE; slot += 1) {
    const record = instanceAt(slot);
    if (record != 0 && (load<u8>(record, INSTANCE_FLAGS) & INSTANCE_IS_APP) != 0) appSlot = slot;
  }
}

/** The app became reachable, or is it no more: callers hear of it at once. */
export function noteReach(slot: u32): void {
  if (slot != appSlot) return;
  const isNow = isAway(slot) != 0 && !isReached(slot);
  if (isNow == isAppAway) return;
  isAppAway = isNow;
  changedAt = now;
  idleAt = now;
}

/** A request ended, before its `release`: if it was the app's, its time goes into the estimate. */
export function noteTaken(slot: u32, us: u32): void {
  const record = instanceAt(slot);
  if (record == 0 || (load<u8>(record, INSTANCE_FLAGS) & INSTANCE_IS_APP) == 0) return;
  recordEstimate(slot, us);
}

/** This connection writes in this turn: a report goes along where it is time for one. */
export function addReport(connection: u32): void {
  if (appSlot == <u32>NONE || !isCaller(connection)) return;
  if (idleAt == 0) idleAt = now + IDLE_US;
  if (now - reportedAtH2(connection) >= GAP_US) sendReport(connection);
}

/** When `reportIdle` has something to do, µs; 0 = never. */
export function idleReportsAt(): u64 {
  return idleAt;
}

/** Reports on connections that have been idle for a second. */
export function reportIdle(): void {
  if (idleAt == 0 || now < idleAt) return;
  idleAt = 0;
  const end = connectionsEnd();
  for (let connection: u32 = CONNECTIONS; connection < end; connection += CONNECTION_BYTES) {
    if (load<u8>(connection, C_IN_USE) == 0 || !isCaller(connection)) continue;
    const reportedAt = reportedAtH2(connection);
    const due = reportedAt <= changedAt ? now : reportedAt + IDLE_US;
    if (due <= now) {
      sendReport(connection);
      markDirty(connection);
    }
    const next = max<u64>(due, now + IDLE_US / 4);
    if (idleAt == 0 || next < idleAt) idleAt = next;
  }
}

/** A report came on an upstream connection. It is believed of those that are registered as sidecars. */
export function receiveReport(connection: u32, ptr: u32): void {
  const slot = load<u32>(connection, C_INSTANCE);
  const record = instanceAt(slot);
  if (record == 0 || (load<u8>(record, INSTANCE_FLAGS) & INSTANCE_IS_SIDECAR) == 0) return;
  report(slot, readU32(ptr), readU32(ptr + 4), load<u8>(ptr, 8));
}

/** Whether another sidecar calls our app on this connection. */
function isCaller(connection: u32): bool {
  if (load<u8>(connection, C_ROLE) != ROLE_DOWNSTREAM || load<u8>(connection, C_PROTOCOL) != PROTOCOL_H2) return false;
  if (load<u8>(connection, C_LISTENER) != LISTENER_INBOUND) return false;
  if (hasFlag(connection, CONNECTION_CLOSE_WANTED | CONNECTION_CLOSED)) return false;
  return takesReportsH2(connection);
}

function sendReport(connection: u32): void {
  if (now - estimatedAt >= ESTIMATE_US) {
    estimate = estimateLatency(appSlot);
    estimatedAt = now;
  }
  const isDraining = hasFlag(connection, CONNECTION_DRAINING) && !hasFlag(connection, CONNECTION_SHED);
  // An app that cannot be reached takes as little as one that drains.
  const flags = isAppAway || isDraining ? REPORT_DRAINING : 0;
  sendReportH2(connection, inflightOf(appSlot), estimate, flags, now);
}
