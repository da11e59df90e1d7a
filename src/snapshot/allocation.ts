// Which number stands for what: slots of instances, indices of services, numbers of sets. Stable over snapshots.
//
// Exchanges, connections, counters and metrics outlive a snapshot and know things by number only, so a number never
// changes its meaning while somebody may hold it:
//
//   slot      one (service, id, address). The balancer gives it out and takes it back. Gone from the documents, it is
//             leaving until `releaseSlots`: requests may still be under way to it (publication.ts).
//   service   one (direction, name), for good: metric cells never go back, so no other service may inherit them.
//   set       one (service, tags, policy). Taken again only when all others were, the longest gone first, and never by
//             the very next snapshot.
//
// The state of the main thread's one compiler; workers know only its results.

import { SERVICES_MAX, SETS_MAX } from "../../assembly/abi/balancer-table.ts";
import { OTHER_METRICS, PROCESS_CELLS, SERVICE_CELLS, UNROUTED_INBOUND_METRICS } from "../../assembly/abi/metrics.ts";
import { assert } from "../base/index.ts";
import type { Slot } from "../wasm/index.ts";
import type { CompiledInstance } from "./compiled.ts";

export type Direction = "outbound" | "inbound";

/** Who gives out slots: the main thread's `Balancer`. */
export interface SlotSource {
  /** A slot that nothing refers to, with a new generation; `undefined` when there is none. */
  acquireSlot(weight: number): Slot | undefined;
  /** Nobody is to be sent there any more; the source waits until it is idle. */
  releaseSlot(slot: number): void;
}

/** What is known of a slot that was given out. */
export interface SlotHolder extends Slot {
  readonly service: string;
  readonly id: string;
  /** Named by the latest snapshot. */
  readonly isNamed: boolean;
}

interface Holder extends Slot {
  readonly key: string;
  readonly service: string;
  readonly id: string;
  /** As the snapshot that named it last described it. */
  instance: CompiledInstance | undefined;
  round: number;
  isReleased: boolean;
}

interface NumberedSet {
  readonly id: number;
  readonly round: number;
}

export class Allocation {
  readonly #source: SlotSource;
  readonly #servicesMax: number;
  readonly #setsMax: number;
  #round = 0;
  readonly #holders = new Map<string, Holder>();
  /** The last holder of each slot, released ones too: logs ask for their names. */
  readonly #slots: (Holder | undefined)[] = [];
  readonly #services = new Map<
    string,
    { readonly index: number; readonly direction: Direction; readonly name: string }
  >();
  /** In the order in which they were last named. */
  readonly #sets = new Map<string, NumberedSet>();

  /** `servicesMax` and `setsMax` are the balancer's unless a test wants less. */
  constructor(source: SlotSource, { servicesMax = SERVICES_MAX, setsMax = SETS_MAX } = {}) {
    this.#source = source;
    this.#servicesMax = servicesMax;
    this.#setsMax = setsMax;
  }

  /** Begins a snapshot: what it does not name from here on is gone. */
  beginSnapshot(): void {
    this.#round += 1;
  }

  /** The slot of an instance; `undefined` when all are taken. */
  acquireSlot(service: string, id: string, address: string, weight: number): Slot | undefined {
    const key = `${service}\n${id}\n${address}`;
    let holder = this.#holders.get(key);
    if (holder === undefined) {
      const fresh = this.#source.acquireSlot(weight);
      if (fresh === undefined) return undefined;
      holder = { ...fresh, key, service, id, instance: undefined, round: this.#round, isReleased: false };
      this.#holders.set(key, holder);
      this.#slots[fresh.slot] = holder;
    }
    holder.round = this.#round;
    return { slot: holder.slot, generation: holder.generation };
  }

  /** Keeps what a snapshot says of the holder of a slot. */
  describe(instance: CompiledInstance): void {
    const holder = this.#slots[instance.slot];
    assert(holder?.generation === instance.generation, "only a slot that was acquired is described");
    holder.instance = instance;
  }

  /** Instances that the latest snapshot does not name, and whose slots were not given back yet. */
  leaving(): CompiledInstance[] {
    const gone = [...this.#holders.values()].filter(({ round }) => round !== this.#round);
    return gone.flatMap(({ instance }) => (instance === undefined ? [] : [{ ...instance, isLeaving: true }]));
  }

  /** The index of a service; `undefined` when all are taken. */
  acquireService(direction: Direction, name: string): number | undefined {
    const key = `${direction}\n${name}`;
    const known = this.#services.get(key);
    if (known !== undefined) return known.index;
    const index = this.#services.size;
    if (index >= this.#servicesMax) return undefined;
    this.#services.set(key, { index, direction, name });
    return index;
  }

  /** The number of a set; `undefined` when this snapshot alone names too many. */
  acquireSet(key: string): number | undefined {
    const known = this.#sets.get(key);
    const id = known?.id ?? this.#takeSet();
    if (id === undefined) return undefined;
    this.#sets.delete(key);
    this.#sets.set(key, { id, round: this.#round });
    return id;
  }

  /** Gives back the slots that the latest snapshot does not name; returns them. The last step of a publication. */
  releaseSlots(): number[] {
    const released: number[] = [];
    for (const holder of this.#holders.values()) {
      if (holder.round === this.#round) continue;
      holder.isReleased = true;
      this.#holders.delete(holder.key);
      this.#source.releaseSlot(holder.slot);
      released.push(holder.slot);
    }
    return released;
  }

  /** By slot, who has it or had it last. */
  slots(): (SlotHolder | undefined)[] {
    return Array.from(this.#slots, (holder) => {
      if (holder === undefined) return undefined;
      const { slot, generation, service, id } = holder;
      return { slot, generation, service, id, isNamed: !holder.isReleased && holder.round === this.#round };
    });
  }

  /** Every service that ever had an index, in the order of indices. */
  services(): { readonly index: number; readonly direction: Direction; readonly name: string }[] {
    return [...this.#services.values()];
  }

  #takeSet(): number | undefined {
    if (this.#sets.size < this.#setsMax) return this.#sets.size;
    const [longestGone] = this.#sets;
    if (longestGone === undefined) return undefined;
    const [key, { id, round }] = longestGone;
    // The snapshot before this one may still be routed by.
    if (round >= this.#round - 1) return undefined;
    this.#sets.delete(key);
    return id;
  }
}

/** First metric cell of a service; past the cap, services share the last block (`other`). */
export function metricsOf(service: number): number {
  assert(service >= 0, "a service has an index");
  const own = PROCESS_CELLS + service * SERVICE_CELLS;
  return own < UNROUTED_INBOUND_METRICS ? own : OTHER_METRICS;
}
