// Shedding: our service has grown, and some of its clients are asked to connect anew: newcomers get their share.
//
//   shed(round, share) ──► that share of the connections that the round began with, one by one until its end
//                          HTTP/2: two-step GOAWAY · HTTP/1.1: `connection: close` with the next answer
//
// A client without a sidecar sends all that it has over the connection that it opened once, however many instances came
// since. What is under way ends where it is. Sidecars choose for each request, so they are left alone; and a connection
// that is shed is not one of an instance that drains, so it says nothing of the kind in its reports. Who has connected
// since the round began has had all instances to choose from. An HTTP/1.1 connection is closed behind an answer only,
// never while it is idle: a request may be on its way.

import { PROTOCOL_H1, PROTOCOL_H2, ROLE_DOWNSTREAM } from "../../abi/engine-codes.ts";
import { CONNECTION_BYTES, CONNECTIONS } from "../../abi/engine-memory.ts";
import { LISTENER_INBOUND } from "../../abi/engine-records.ts";
import { SHED_GAP_MS } from "../../abi/limits.ts";
import { closeAfterResponseH1, wantsCloseH1 } from "../h1/index.ts";
import { isOpenH2 } from "../h2/index.ts";
import { now } from "../http/event.ts";
import { randomBelow, randomU32 } from "../random.ts";
import {
  C_IN_USE,
  C_LISTENER,
  C_PEER_IS_PILLION,
  C_PROTOCOL,
  C_PROXY,
  C_ROLE,
  C_STREAMS,
  CONNECTION_CLOSE_WANTED,
  CONNECTION_CLOSED,
  CONNECTION_DRAINING,
  CONNECTION_PEER_ENDED,
  CONNECTION_SHED,
  connectionsEnd,
  hasFlag,
  setFlag,
} from "../tables/connections.ts";
import { hasStreamFlag, STREAM_SENT_HEAD } from "../tables/streams.ts";
import { drainDownstream } from "./downstream.ts";

/** u32: the latest round when the connection was accepted. Only downstream: upstream has a service there. */
const CP_ROUND: u32 = C_PROXY + 32;
const GAP_US: u64 = u64(SHED_GAP_MS) * 1000;
const LEAVING: u32 = CONNECTION_DRAINING | CONNECTION_CLOSE_WANTED | CONNECTION_CLOSED | CONNECTION_PEER_ENDED;

// Per-instance state of this worker.
let round: u32 = 0;
/** How many could be shed when the round began, and what is added before a share of them is rounded down. */
let base: u32 = 0;
let fraction: f64 = 0;
let goal: u32 = 0;
let done: u32 = 0;
let endsAt: u64 = 0;
/** 0 = nothing to do. */
let nextAt: u64 = 0;
let countH1: u32 = 0;
let countH2: u32 = 0;

/** A connection was accepted: the round under way is none of its business. */
export function noteAccepted(connection: u32): void {
  store<u32>(connection, round, CP_ROUND);
}

/**
 * `share` (0 to ½) of the inbound connections that `ofRound` began with are to be shed, those of this round that are
 * already among them; the rest until `spreadMs` from now. A share below what was shed ends it.
 */
export function shedShare(ofRound: u32, share: f64, spreadMs: u32): void {
  if (ofRound != round) {
    round = ofRound;
    base = countSheddable();
    done = 0;
    // Drawn once: a few connections on each of many sidecars come to the share in all, and it grows with the share.
    fraction = f64(randomU32()) / 4294967296.0;
  }
  goal = min<u32>(u32(f64(base) * share + fraction), (base + 1) / 2);
  endsAt = now + u64(spreadMs) * 1000;
  plan();
}

/** When `shedDue` has something to do, µs; 0 = never. */
export function shedsAt(): u64 {
  return nextAt;
}

/** Sheds whoever's time has come. */
export function shedDue(): void {
  if (nextAt == 0 || now < nextAt) return;
  const left = goal - done;
  const rest: u64 = endsAt > now ? endsAt - now : 0;
  // One at a time, or as many as would come due until the next look.
  shedSome(rest == 0 ? left : u32(min<u64>(u64(left), max<u64>((u64(left) * GAP_US) / rest, 1))));
  if (rest == 0) nextAt = 0;
  else plan();
}

/** Connections shed since the start. */
export function shedConnections(protocol: u32): u32 {
  return protocol == PROTOCOL_H2 ? countH2 : protocol == PROTOCOL_H1 ? countH1 : 0;
}

/** The next at half to one and a half of an even gap, so that neither clients nor sidecars move in step. */
function plan(): void {
  nextAt = 0;
  if (done >= goal || endsAt <= now) return;
  const even = (endsAt - now) / u64(goal - done + 1);
  nextAt = min<u64>(now + max<u64>(even / 2 + u64(f64(even) * (f64(randomU32()) / 4294967296.0)), GAP_US), endsAt);
}

/** Sheds so many, drawn from all that may be: each with the chance that comes out at that number (Knuth's S). */
function shedSome(count: u32): void {
  let left = countSheddable();
  let wanted = min<u32>(count, left);
  const end = connectionsEnd();
  for (let connection: u32 = CONNECTIONS; wanted != 0 && connection < end; connection += CONNECTION_BYTES) {
    if (!isSheddable(connection)) continue;
    if (randomBelow(left) < wanted) {
      shedOne(connection);
      wanted -= 1;
    }
    left -= 1;
  }
}

function shedOne(connection: u32): void {
  done += 1;
  if (load<u8>(connection, C_PROTOCOL) == PROTOCOL_H1) {
    countH1 += 1;
    closeAfterResponseH1(connection);
    return;
  }
  countH2 += 1;
  drainDownstream(connection);
  setFlag(connection, CONNECTION_SHED);
}

function countSheddable(): u32 {
  let found: u32 = 0;
  const end = connectionsEnd();
  for (let connection: u32 = CONNECTIONS; connection < end; connection += CONNECTION_BYTES) {
    if (isSheddable(connection)) found += 1;
  }
  return found;
}

/** Whether a client without a sidecar calls our app here since before the round, and may be told to go. */
function isSheddable(connection: u32): bool {
  if (load<u8>(connection, C_IN_USE) == 0 || load<u8>(connection, C_ROLE) != ROLE_DOWNSTREAM) return false;
  if (load<u8>(connection, C_LISTENER) != LISTENER_INBOUND || load<u32>(connection, CP_ROUND) == round) return false;
  if (hasFlag(connection, LEAVING)) return false;
  const protocol = u32(load<u8>(connection, C_PROTOCOL));
  // Its SETTINGS say whether it is a sidecar.
  if (protocol == PROTOCOL_H2) return isOpenH2(connection) && load<u8>(connection, C_PEER_IS_PILLION) == 0;
  if (protocol != PROTOCOL_H1 || wantsCloseH1(connection)) return false;
  // An answer whose head is out has said that the connection stays; a tunnel is no answer at all.
  const stream = load<u32>(connection, C_STREAMS);
  return stream == 0 || !hasStreamFlag(stream, STREAM_SENT_HEAD);
}
