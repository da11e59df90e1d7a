// One descriptor, as the driver keeps it beside the engine's connection of the same handle.

import { SOCKET_CLOSED } from "../../../assembly/abi/engine-records.ts";
import { failureOfErrno } from "../failure.ts";
import type { AnyLeg } from "../legs.ts";
import { HANDLE_INDEX_MASK } from "../sockets.ts";

export class Leg implements AnyLeg {
  readonly handle: number;
  readonly descriptor: number;
  /** We connected it. */
  readonly isUpstream: boolean;
  isConnecting: boolean;
  isPaused = false;
  /** The peer's FIN was read. */
  isEnded = false;
  /** Our FIN is wanted once `rest` is written; or was sent. */
  isShutDown = false;
  /** The engine has forgotten the handle, or was told that it is gone. */
  isOver = false;
  /** Events that were not served, because reading is paused or has taken its share of the turn. */
  pending = 0;
  isInLine = false;
  /** SOCKET_* of a write that failed; told after the walk. */
  failure = SOCKET_CLOSED;
  isBroken = false;
  /** Bytes that the kernel took in the walk under way, not yet told. */
  handed = 0;
  isTouched = false;
  /** What the kernel had no room for: address, length, address, length … */
  rest: number[] = [];

  constructor(handle: number, descriptor: number, isConnecting: boolean) {
    this.handle = handle;
    this.descriptor = descriptor;
    this.isUpstream = isConnecting;
    this.isConnecting = isConnecting;
  }

  /** The connection's place in the engine's table. */
  get index(): number {
    return this.handle & HANDLE_INDEX_MASK;
  }
}

/** Ranges (address, length, …) without their first `taken` bytes. */
export function behind(ranges: readonly number[], taken: number): number[] {
  const rest: number[] = [];
  let skip = taken;
  for (let at = 0; at < ranges.length; at += 2) {
    const length = ranges[at + 1]!;
    if (skip < length) rest.push(ranges[at]! + skip, length - skip);
    skip = Math.max(0, skip - length);
  }
  return rest;
}

/** A write failed: nothing more is written, and the end is told after the walk. */
export function breakLeg(leg: Leg, errno: number): void {
  leg.isBroken = true;
  leg.failure = failureOfErrno(errno);
}
