// One socket of Node, as the driver keeps it beside the engine's connection of the same handle.
//
// Legs lie in an array by the handle's index, so that a record finds its socket without a hash. The handle's upper bits
// are a generation: a leg whose handle differs belongs to a connection that is gone, a late word about it is dropped.

import type { Socket } from "node:net";
import { SOCKET_CLOSED } from "../../../assembly/abi/engine-records.ts";
import { HANDLE_INDEX_MASK } from "../sockets.ts";

export interface Leg {
  readonly handle: number;
  readonly socket: Socket;
  /** SOCKET_* to report when the socket closes. */
  failure: number;
  /** The engine has forgotten the handle, or was told that it is gone: nothing may be reported any more. */
  isOver: boolean;
  /** Bytes handed to the socket in the walk under way, not yet reported as written. */
  handed: number;
  /** Writes that the kernel has not taken yet. */
  unflushed: number;
  /** FIN is wanted behind them. */
  isEnding: boolean;
}

export class Legs {
  readonly #legs: (Leg | undefined)[] = [];
  #count = 0;

  /** Sockets that the engine knows. */
  get count(): number {
    return this.#count;
  }

  create(handle: number, socket: Socket): Leg {
    const leg = { handle, socket, failure: SOCKET_CLOSED, isOver: false, handed: 0, unflushed: 0, isEnding: false };
    this.#legs[handle & HANDLE_INDEX_MASK] = leg;
    this.#count += 1;
    return leg;
  }

  /** The leg of a handle; undefined when that connection is gone. */
  find(handle: number): Leg | undefined {
    const leg = this.#legs[handle & HANDLE_INDEX_MASK];
    return leg !== undefined && leg.handle === handle ? leg : undefined;
  }

  /** All of them. */
  list(): readonly Leg[] {
    return this.#legs.filter((leg) => leg !== undefined);
  }

  /** Forgets a leg: neither side speaks of its handle again. */
  forget(leg: Leg): void {
    leg.isOver = true;
    this.#legs[leg.handle & HANDLE_INDEX_MASK] = undefined;
    this.#count -= 1;
  }
}
