// Which slots of the instance table are whose: handed out by the main thread, reused only when nothing refers to them.
//
// A slot that was given back still has requests in flight and pooled connections for a while, perhaps for hours. It
// waits here until the balancer says that it is idle; then it is given out again with a higher generation, which is how
// everybody else tells its two owners apart.

import { INSTANCES_MAX } from "../../assembly/abi/balancer-table.ts";
import type { BalancerExports } from "./balancer.ts";

/** One instance's place in the shared table. */
export interface Slot {
  readonly slot: number;
  readonly generation: number;
}

/** Slots given back that are looked at before a new one is taken; those at rest longest come first. */
const LOOKS_MAX = 64;

export class SlotTable {
  readonly #exports: BalancerExports;
  /** Slots given back, oldest first. */
  readonly #waiting: number[] = [];
  #fresh = 0;

  constructor(exports: BalancerExports) {
    this.#exports = exports;
  }

  /** Takes a slot for an instance, eligible at once; undefined when all are in use or not yet idle. */
  acquire(weight: number): Slot | undefined {
    const slot = this.#takeIdle(LOOKS_MAX) ?? this.#takeFresh() ?? this.#takeIdle(INSTANCES_MAX);
    if (slot === undefined) return undefined;
    const generation = this.#exports.generationOf(slot) + 1;
    this.#exports.setInstance(slot, weight, generation);
    return { slot, generation };
  }

  /** Gives a slot back, after the sets that held it were published without it. */
  release(slot: number): void {
    this.#exports.clearInstance(slot);
    this.#waiting.push(slot);
  }

  #takeIdle(looksMax: number): number | undefined {
    const looks = Math.min(looksMax, this.#waiting.length);
    for (let look = 0; look < looks; look += 1) {
      const slot = this.#waiting.shift();
      if (slot === undefined) return undefined;
      if (this.#exports.slotIdle(slot) === 1) return slot;
      this.#waiting.push(slot); // its turn comes again after all others
    }
    return undefined;
  }

  #takeFresh(): number | undefined {
    if (this.#fresh === INSTANCES_MAX) return undefined;
    this.#fresh += 1;
    return this.#fresh - 1;
  }
}
