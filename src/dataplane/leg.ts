// One socket, as the pump keeps it beside the engine's connection of the same handle.
//
// Legs lie in an array by the handle's index, so that a record finds its socket without a hash. The handle's upper bits
// are a generation: a leg whose handle differs belongs to a connection that is gone, a late word about it is dropped.

import type { Socket } from "node:net";
import { SOCKET_CLOSED } from "../../assembly/abi/engine-records.ts";

/** A handle is generation << 16 | index (assembly/engine/tables/connections.ts). */
const INDEX_MASK = 0xffff;

export interface Leg {
  readonly handle: number;
  /** Absent while a host name is being looked up. */
  socket: Socket | undefined;
  /** SOCKET_* to report when the socket closes. */
  failure: number;
  /** The engine has forgotten the handle, or was told that it is gone: nothing may be reported any more. */
  isOver: boolean;
  /** Bytes handed to the socket in the walk under way, not yet reported as written. */
  handed: number;
  /** Gives up connecting. */
  timer: NodeJS.Timeout | undefined;
}

export class Legs {
  readonly #legs: (Leg | undefined)[] = [];
  #count = 0;

  /** Sockets that the engine knows. */
  get count(): number {
    return this.#count;
  }

  create(handle: number, socket: Socket | undefined): Leg {
    const leg = { handle, socket, failure: SOCKET_CLOSED, isOver: false, handed: 0, timer: undefined };
    this.#legs[handle & INDEX_MASK] = leg;
    this.#count += 1;
    return leg;
  }

  /** The leg of a handle; undefined when that connection is gone. */
  find(handle: number): Leg | undefined {
    const leg = this.#legs[handle & INDEX_MASK];
    return leg !== undefined && leg.handle === handle ? leg : undefined;
  }

  /** Forgets a leg: neither side speaks of its handle again. */
  forget(leg: Leg): void {
    leg.isOver = true;
    clearTimeout(leg.timer);
    leg.timer = undefined;
    this.#legs[leg.handle & INDEX_MASK] = undefined;
    this.#count -= 1;
  }
}
