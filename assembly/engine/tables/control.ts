// What the codecs and the proxy ask of a connection's socket: pause, resume, close. Carried out by the next `poll`.

import {
  C_PROXY,
  CONNECTION_ABORT,
  CONNECTION_CLOSE_WANTED,
  CONNECTION_PAUSED,
  CONNECTION_READY,
  clearFlag,
  hasFlag,
  setFlag,
} from "./connections.ts";
import { markDirty } from "./output.ts";

/** Next connection of the ready list (address). */
export const CP_READY_NEXT: u32 = C_PROXY;

// Per-instance state of this worker.
let readyHead: u32 = 0;
let readyTail: u32 = 0;

/** Closes once everything before it is written. */
export function requestClose(connection: u32): void {
  setFlag(connection, CONNECTION_CLOSE_WANTED);
  markDirty(connection);
}

/** Closes at once, with a reset: what was sent must not look complete. */
export function requestAbort(connection: u32): void {
  setFlag(connection, CONNECTION_CLOSE_WANTED | CONNECTION_ABORT);
  markDirty(connection);
}

/** Stops reading: somebody downstream of these bytes is slower. */
export function pauseReading(connection: u32): void {
  if (hasFlag(connection, CONNECTION_PAUSED)) return;
  setFlag(connection, CONNECTION_PAUSED);
  markDirty(connection);
}

/** Reads again. */
export function resumeReading(connection: u32): void {
  if (!hasFlag(connection, CONNECTION_PAUSED)) return;
  clearFlag(connection, CONNECTION_PAUSED);
  markDirty(connection);
}

/** Asks that a connection's kept input be looked at in this turn's `poll`. */
export function markReady(connection: u32): void {
  if (hasFlag(connection, CONNECTION_READY)) return;
  setFlag(connection, CONNECTION_READY);
  store<u32>(connection, 0, CP_READY_NEXT);
  if (readyTail != 0) store<u32>(readyTail, connection, CP_READY_NEXT);
  else readyHead = connection;
  readyTail = connection;
}

/** Takes the first ready connection; 0 when there is none. */
export function takeReady(): u32 {
  const connection = readyHead;
  if (connection == 0) return 0;
  readyHead = load<u32>(connection, CP_READY_NEXT);
  if (readyHead == 0) readyTail = 0;
  clearFlag(connection, CONNECTION_READY);
  return connection;
}

/** Whether any connection waits to be looked at. */
export function hasReady(): bool {
  return readyHead != 0;
}

/** The last of the ready list: where a pass over it ends, though more are added meanwhile. */
export function lastReady(): u32 {
  return readyTail;
}
