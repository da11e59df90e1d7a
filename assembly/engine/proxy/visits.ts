// Is it back? Instances that nobody can connect to are visited: a connect now and then, without a request.
//
// Without visits some request would have to find out that an instance has returned, and none is sent there for as long
// as the balancer holds its failures against it. A connection that opens is evidence of the return (`noteBack` in the
// balancer), lies ready for the first request, and risks nothing. Visited is what this worker has lost its last
// connection to by a failure, or that said goodbye: after 50 ms, then less and less often. TCP services are not: a
// connection is a session there.

import { VISIT_GAP_MS, VISIT_GAP_MS_MAX, VISITS_MAX } from "../../abi/limits.ts";
import { INSTANCE_GENERATION } from "../../abi/policy.ts";
import { allocate } from "../../core/pool.ts";
import { noteBack } from "../balancer.ts";
import { now } from "../http/event.ts";
import { instanceAt } from "../route/index.ts";
import { C_INSTANCE } from "../tables/connections.ts";
import { KIND_RAW } from "./exchange.ts";
import { isOffered } from "./membership.ts";
import { noteReach } from "./reports.ts";
import { CP_KIND, CP_PATIENCE, CP_SERVICE, hasConnections, openUpstream, poolGeneration } from "./upstream.ts";

const V_SLOT: u32 = 0; // slot + 1, 0 = free
const V_GENERATION: u32 = 4;
const V_SERVICE: u32 = 8;
const V_TIMEOUT: u32 = 12;
const V_GAP_MS: u32 = 16;
const V_KIND: u32 = 20; // u8
const V_AT: u32 = 24; // u64 µs
const VISIT_BYTES: u32 = 32;

// Per-instance state of this worker.
let visits: u32 = 0;
let visitsEnd: u32 = 0;
/** 0 = nobody is to be visited. */
let nextAt: u64 = 0;

/** Takes the table's memory; called once at start. */
export function createVisits(): void {
  visits = allocate(VISITS_MAX * VISIT_BYTES);
  visitsEnd = visits + VISITS_MAX * VISIT_BYTES;
  memory.fill(visits, 0, VISITS_MAX * VISIT_BYTES);
}

/** The last connection to an instance is gone and will be missed: looks whether another can be opened, until it can. */
export function planVisit(connection: u32): void {
  const kind = load<u8>(connection, CP_KIND);
  const slot = load<u32>(connection, C_INSTANCE);
  if (kind == KIND_RAW || !isOffered(slot)) return;
  let free: u32 = 0;
  for (let visit = visits; visit < visitsEnd; visit += VISIT_BYTES) {
    const owner = load<u32>(visit, V_SLOT);
    if (owner == slot + 1) {
      lookIn(visit, load<u32>(visit, V_GAP_MS));
      return;
    }
    if (owner == 0 && free == 0) free = visit;
  }
  if (free == 0) return; // so many at once: some request finds out
  store<u32>(free, slot + 1, V_SLOT);
  store<u32>(free, poolGeneration(slot), V_GENERATION);
  store<u32>(free, load<u32>(connection, CP_SERVICE), V_SERVICE);
  store<u32>(free, u32(load<u16>(connection, CP_PATIENCE)) * 100, V_TIMEOUT);
  store<u8>(free, kind, V_KIND);
  store<u32>(free, VISIT_GAP_MS, V_GAP_MS);
  lookIn(free, VISIT_GAP_MS);
}

/** When `payVisits` has something to do, µs; 0 = never. */
export function visitsAt(): u64 {
  return nextAt;
}

/** Connects to those whose time has come; forgets those that are there, or that nobody asks for any more. */
export function payVisits(): void {
  if (nextAt == 0 || now < nextAt) return;
  nextAt = 0;
  for (let visit = visits; visit < visitsEnd; visit += VISIT_BYTES) {
    const owner = load<u32>(visit, V_SLOT);
    if (owner == 0) continue;
    if (load<u64>(visit, V_AT) > now) {
      lookIn(visit, u32((load<u64>(visit, V_AT) - now + 999) / 1000));
      continue;
    }
    pay(visit, owner - 1);
  }
}

function pay(visit: u32, slot: u32): void {
  if (!isOffered(slot) || load<u32>(instanceAt(slot), INSTANCE_GENERATION) != load<u32>(visit, V_GENERATION)) {
    store<u32>(visit, 0, V_SLOT);
    return;
  }
  // Somebody's request has connected, or is about to: if that fails, `planVisit` is called again.
  if (hasConnections(slot)) {
    store<u32>(visit, 0, V_SLOT);
    return;
  }
  const gap = load<u32>(visit, V_GAP_MS);
  store<u32>(visit, min<u32>(gap * 2, VISIT_GAP_MS_MAX), V_GAP_MS);
  lookIn(visit, load<u32>(visit, V_TIMEOUT) + gap);
  openUpstream(slot, load<u8>(visit, V_KIND), load<u32>(visit, V_SERVICE), load<u32>(visit, V_TIMEOUT));
}

function lookIn(visit: u32, ms: u32): void {
  const at = now + u64(ms) * 1000;
  store<u64>(visit, at, V_AT);
  if (nextAt == 0 || at < nextAt) nextAt = at;
}

/** An instance speaks on this connection. */
export function noteReached(connection: u32): void {
  const slot = load<u32>(connection, C_INSTANCE);
  noteBack(slot);
  noteReach(slot);
}
