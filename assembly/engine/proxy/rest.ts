// What becomes of an upstream connection that carries nothing: who waits takes it, or it rests in the pool for a while.
//
// HTTP/1.1 servers close idle connections early, so ours close earlier. An HTTP/2 connection is kept for minutes; where
// a burst has opened several to one instance, all but one close soon after it.

import { H2_NO_ERROR, REASON_CONNECT_TIMEOUT } from "../../abi/engine-codes.ts";
import { UPSTREAM_H2_IDLE_TIMEOUT_MS, UPSTREAM_H2_SPARE_TIMEOUT_MS, WRITE_STALL_TIMEOUT_MS } from "../../abi/limits.ts";
import { isReusableH1 } from "../h1/index.ts";
import { goawayH2, patienceH2 } from "../h2/index.ts";
import { now } from "../http/event.ts";
import {
  C_INSTANCE,
  C_OUT_BYTES,
  C_STREAM_COUNT,
  CONNECTION_CLOSE_WANTED,
  CONNECTION_CONNECTING,
  CONNECTION_DRAINING,
  connectionIndex,
  hasFlag,
} from "../tables/connections.ts";
import { markReady, requestAbort, requestClose } from "../tables/control.ts";
import { armTimer, armTimerBy, connectionTimer } from "../timers.ts";
import { KIND_H1, KIND_H2 } from "./exchange.ts";
import { idleTimeoutMs, isWorthKeeping } from "./keep-alive.ts";
import { checkLiveness } from "./liveness.ts";
import { failWaiting } from "./loss.ts";
import {
  addIdle,
  CP_KIND,
  CP_POOL_NEXT,
  CP_PROGRESS,
  drainConnection,
  firstConnection,
  firstPending,
  firstWaiting,
  isMute,
  isOpen,
  muteLeftMs,
} from "./upstream.ts";

/** An exchange on this connection is over: what becomes of the connection. */
export function returnConnection(connection: u32): void {
  if (hasFlag(connection, CONNECTION_CLOSE_WANTED)) return;
  const kind = load<u8>(connection, CP_KIND);
  if (hasFlag(connection, CONNECTION_DRAINING)) {
    if (load<u32>(connection, C_STREAM_COUNT) == 0) requestClose(connection);
    return;
  }
  if (kind == KIND_H1 && isReusableH1(connection) && !isWorthKeeping(connection)) {
    requestClose(connection);
    return;
  }
  const slot = load<u32>(connection, C_INSTANCE);
  if (firstPending(slot, kind) != 0) markReady(connection);
  else if (load<u32>(connection, C_STREAM_COUNT) == 0 && firstWaiting(slot) != 0 && !hasOther(slot, kind)) {
    requestClose(connection); // those who wait need one of another kind, and the limits leave no room beside this one
    return;
  }
  if (kind == KIND_H2) {
    restH2(connection);
    return;
  }
  if (!isReusableH1(connection)) {
    requestClose(connection);
    return;
  }
  addIdle(connection);
  armTimerBy(connectionTimer(connectionIndex(connection)), now + u64(idleTimeoutMs(connection)) * 1000);
}

/** An HTTP/2 connection that carries nothing, be it that those it was opened for have gone, is closed in the end. */
export function restH2(connection: u32): void {
  if (load<u32>(connection, C_STREAM_COUNT) != 0) return;
  armTimerBy(connectionTimer(connectionIndex(connection)), now + u64(restTimeoutMs(connection)) * 1000);
  awaitRest(connection);
}

/** What the peer owes (the acknowledgement of our SETTINGS) is looked at when it is due. */
function awaitRest(connection: u32): void {
  const left = patienceH2(connection);
  if (left >= 0) armTimerBy(connectionTimer(connectionIndex(connection)), now + u64(left));
}

function restTimeoutMs(connection: u32): u32 {
  return isSpare(connection) ? UPSTREAM_H2_SPARE_TIMEOUT_MS : UPSTREAM_H2_IDLE_TIMEOUT_MS;
}

/** Whether the instance has another HTTP/2 connection that takes exchanges. */
function isSpare(connection: u32): bool {
  let other = firstConnection(load<u32>(connection, C_INSTANCE));
  while (other != 0) {
    if (other != connection && isOpen(other, KIND_H2)) return true;
    other = load<u32>(other, CP_POOL_NEXT);
  }
  return false;
}

/** Whether the instance has a connection, open or under way, of another kind than this. */
function hasOther(slot: u32, kind: u8): bool {
  let connection = firstConnection(slot);
  while (connection != 0) {
    if (load<u8>(connection, CP_KIND) != kind && !hasFlag(connection, CONNECTION_CLOSE_WANTED)) return true;
    connection = load<u32>(connection, CP_POOL_NEXT);
  }
  return false;
}

/** The timer of an upstream connection fired: closes it if it has been idle for long enough, else looks again. */
export function checkUpstream(connection: u32): void {
  if (hasFlag(connection, CONNECTION_CLOSE_WANTED)) {
    const until = load<u64>(connection, CP_PROGRESS) + u64(WRITE_STALL_TIMEOUT_MS) * 1000;
    if (load<u32>(connection, C_OUT_BYTES) == 0 || until <= now) requestAbort(connection);
    else armTimer(connectionTimer(connectionIndex(connection)), until);
    return;
  }
  if (hasFlag(connection, CONNECTION_CONNECTING)) return;
  if (isMute(connection)) {
    checkMute(connection);
    return;
  }
  const isH2 = load<u8>(connection, CP_KIND) == KIND_H2;
  if (load<u32>(connection, C_STREAM_COUNT) != 0) {
    if (!isH2) return;
    checkLiveness(connection);
    awaitRest(connection);
    return;
  }
  // The timer may have been set for an earlier rest of it, and it may have been a spare then and be the last one now.
  const timeoutMs = isH2 ? restTimeoutMs(connection) : idleTimeoutMs(connection);
  const keptUntil = load<u64>(connection, CP_PROGRESS) + u64(timeoutMs) * 1000;
  if (now < keptUntil) {
    armTimer(connectionTimer(connectionIndex(connection)), keptUntil);
    return;
  }
  if (isH2) goawayH2(connection, H2_NO_ERROR, true);
  drainConnection(connection);
}

/** The socket is open, and the peer says nothing: that is no connection yet, and takes no longer than one may. */
function checkMute(connection: u32): void {
  const left = muteLeftMs(connection);
  if (left != 0) {
    armTimer(connectionTimer(connectionIndex(connection)), now + u64(left) * 1000);
    return;
  }
  failWaiting(connection, REASON_CONNECT_TIMEOUT);
  requestAbort(connection);
}
