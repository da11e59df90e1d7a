// Whether an HTTP/2 connection that owes us answers is still there: asked by PING when it has said nothing for a while.
//
// A peer whose machine is gone, or that was stopped, sends no FIN; without the question its streams would hang until
// TCP gives up, minutes later. The connection's one timer serves: while streams are open it means "look whether it has
// spoken", while there are none "idle for long enough".

import { REASON_UPSTREAM_RESET } from "../../abi/engine-codes.ts";
import { PING_AFTER_MS, PING_FURTHER_MS, PING_SECOND_MS, PING_TIMEOUT_MS } from "../../abi/limits.ts";
import { pingH2 } from "../h2/index.ts";
import { now } from "../http/event.ts";
import {
  C_INSTANCE,
  C_OUT_BYTES,
  CONNECTION_BACKLOG_FULL,
  CONNECTION_DRAINING,
  CONNECTION_OUTPUT_FULL,
  CONNECTION_PAUSED,
  connectionIndex,
  hasFlag,
  setFlag,
} from "../tables/connections.ts";
import { requestAbort } from "../tables/control.ts";
import { markDirty } from "../tables/output.ts";
import { armTimer, armTimerBy, connectionTimer } from "../timers.ts";
import { loseStreams } from "./loss.ts";
import { CP_HEARD, CP_PINGED, CP_PINGS, poolOf, U_HEARD } from "./upstream.ts";

/** A stream was opened: from now on the peer owes an answer. */
export function watchLiveness(connection: u32): void {
  armTimerBy(connectionTimer(connectionIndex(connection)), now + u64(PING_AFTER_MS) * 1000);
}

/** Bytes came from an upstream peer. */
export function noteHeard(connection: u32): void {
  store<u32>(connection, u32(now / 1000), CP_HEARD);
}

/** Something of an answer came: its instance is not silent (silence.ts), and a gRPC server forgets our questions. */
export function noteAnswer(connection: u32): void {
  store<u8>(connection, 0, CP_PINGS);
  store<u64>(poolOf(load<u32>(connection, C_INSTANCE)), now, U_HEARD);
}

/** The timer of a connection with open streams fired. */
export function checkLiveness(connection: u32): void {
  const time = u32(now / 1000);
  const silence = time - load<u32>(connection, CP_HEARD);
  const pinged = load<u32>(connection, CP_PINGED);
  // Where we do not listen, or our question is still on its way, silence says nothing.
  const isDeaf = hasFlag(connection, CONNECTION_PAUSED | CONNECTION_BACKLOG_FULL | CONNECTION_OUTPUT_FULL);
  if (isDeaf || load<u32>(connection, C_OUT_BYTES) != 0) {
    lookAgain(connection, PING_AFTER_MS);
    return;
  }
  // Heard in the millisecond of the question: that is its answer, for before it there was silence.
  if (pinged != 0 && silence > time - pinged) {
    if (time - pinged < <u32>PING_TIMEOUT_MS) {
      lookAgain(connection, PING_TIMEOUT_MS - (time - pinged));
      return;
    }
    setFlag(connection, CONNECTION_DRAINING);
    loseStreams(connection, REASON_UPSTREAM_RESET);
    requestAbort(connection);
    return;
  }
  store<u32>(connection, 0, CP_PINGED);
  const patience = patienceOf(load<u8>(connection, CP_PINGS));
  if (silence < patience) {
    lookAgain(connection, patience - silence);
    return;
  }
  store<u32>(connection, max<u32>(time, 1), CP_PINGED);
  store<u8>(connection, u8(min<u32>(u32(load<u8>(connection, CP_PINGS)) + 1, 2)), CP_PINGS);
  pingH2(connection);
  markDirty(connection);
  lookAgain(connection, PING_TIMEOUT_MS);
}

function lookAgain(connection: u32, ms: u32): void {
  armTimer(connectionTimer(connectionIndex(connection)), now + u64(ms) * 1000);
}

/** How long a peer that has answered so many questions in a row, and said nothing else, may be silent; ms. */
function patienceOf(pings: u32): u32 {
  if (pings == 0) return PING_AFTER_MS;
  return pings == 1 ? PING_SECOND_MS : PING_FURTHER_MS;
}
