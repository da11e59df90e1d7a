// The sockets of a driver, by the engine's handles.
//
// They lie in an array by the handle's index, so that a record finds its socket without a hash. The handle's upper bits
// are a generation: a leg whose handle differs belongs to a connection that is gone, a late word about it is dropped.

import { HANDLE_INDEX_MASK } from "./sockets.ts";

/** What every driver keeps of a socket. */
export interface AnyLeg {
  readonly handle: number;
  /** The engine has forgotten the handle, or was told that it is gone: nothing may be reported any more. */
  isOver: boolean;
}

export class Legs<Leg extends AnyLeg> {
  readonly #legs: (Leg | undefined)[] = [];
  #count = 0;

  /** Sockets that the engine knows. */
  get count(): number {
    return this.#count;
  }

  add(leg: Leg): void {
    this.#legs[leg.handle & HANDLE_INDEX_MASK] = leg;
    this.#count += 1;
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
