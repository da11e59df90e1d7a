// The balancer as TypeScript calls it: balancer.wasm's exports with types, and the main thread's side of it.
//
// One memory for the process, one instance of the module per thread. A worker takes the bare exports
// (`instantiateBalancer`), calls `start`, and hands them to the engine as imports: nothing of this file is on the way
// of a request. The main thread has a `Balancer`: it gives out slots, publishes sets, sets limits, reads the sums.

import { COMMIT_OK } from "../../assembly/abi/balancer-codes.ts";
import {
  POLICY_ADAPTIVE,
  POLICY_LEAST_CONNECTIONS,
  POLICY_MAGLEV,
  POLICY_RANDOM,
  POLICY_RING_HASH,
  POLICY_ROUND_ROBIN,
  POLICY_WEIGHTED_ROUND_ROBIN,
} from "../../assembly/abi/policies.ts";
import { messageOf, monotonicUs, pillionError } from "../base/index.ts";
import { createBalancerMemory, type Ejection, SharedCounters } from "./shared-memory.ts";
import { type Slot, SlotTable } from "./slots.ts";

/** What balancer.wasm exports; each is explained in assembly/balancer/index.ts. u32 results arrive signed. */
export interface BalancerExports {
  start(worker: number, seed: number): void;
  quiesce(): void;
  pick(set: number, hash: number, skip0: number, skip1: number, skip2: number): number;
  pickOnce(set: number, hash: number, skip0: number, skip1: number, skip2: number): number;
  isProven(slot: number): number;
  isQuiet(slot: number): number;
  adopt(slot: number): void;
  release(slot: number): void;
  connectionOpened(slot: number): void;
  connectionClosed(slot: number): void;
  pendingAdded(slot: number): void;
  pendingRemoved(slot: number): void;
  admit(service: number, counter: number): number;
  leave(service: number, counter: number): void;
  takeToken(key: bigint, intervalNs: bigint, toleranceNs: bigint): number;
  waitForAdmission(service: number): void;
  countOf(service: number, counter: number): number;
  inflightOf(slot: number): number;
  connectionsOf(slot: number): number;
  pendingOf(slot: number): number;
  stateOf(slot: number): number;
  generationOf(slot: number): number;
  weightOf(slot: number): number;
  serviceOf(set: number): number;
  eject(slot: number): number;
  restore(slot: number): number;
  count(cell: number, delta: number): void;
  observeLatency(cellBase: number, us: number): void;
  observeInstance(slot: number, us: number, result: number): void;
  setTime(us: number): void;
  report(slot: number, inflight: number, latencyUs: number, flags: number): void;
  recordEstimate(slot: number, us: number): void;
  estimateLatency(slot: number): number;
  markSilent(slot: number): number;
  clearSilent(slot: number): number;
  noteAway(slot: number): void;
  noteBack(slot: number): number;
  isAway(slot: number): number;
  welcome(slot: number): void;
  ejectionReason(slot: number): number;
  create(): void;
  setInstance(slot: number, weight: number, generation: number): void;
  setWeight(slot: number, weight: number): void;
  setState(slot: number, mask: number, bits: number): number;
  clearInstance(slot: number): void;
  slotIdle(slot: number): number;
  beginSet(set: number, policy: number, service: number, capacity: number): number;
  addMember(slot: number, weight: number, memberHash: number): void;
  preferLocal(): void;
  commitSet(): number;
  clearSet(set: number): void;
  memberCountOf(set: number): number;
  modeOf(set: number): number;
  setLimit(service: number, counter: number, limit: number): void;
  setOutlier(
    service: number,
    failures: number,
    successRate: number,
    windowMs: number,
    ejectionMs: number,
    ejectionMsMax: number,
    shareMax: number,
  ): void;
  setSlowStart(service: number, ms: number): void;
  setLocal(slot: number, local: number): void;
  clearWorker(worker: number): void;
  reclaim(): number;
  arenaUsed(): number;
}

/** Balancing policies by the names that documents use. */
export const POLICY_CODES = {
  "round-robin": POLICY_ROUND_ROBIN,
  "weighted-round-robin": POLICY_WEIGHTED_ROUND_ROBIN,
  random: POLICY_RANDOM,
  "least-connections": POLICY_LEAST_CONNECTIONS,
  "ring-hash": POLICY_RING_HASH,
  maglev: POLICY_MAGLEV,
  adaptive: POLICY_ADAPTIVE,
} as const;

export type PolicyName = keyof typeof POLICY_CODES;

/** One instance's part in a set. */
export interface Member {
  readonly slot: number;
  /** 0 = never picked. */
  readonly weight: number;
  /** `hashText` of the instance's id: its place on rings, the same in every sidecar. */
  readonly hash: number;
  /** Whether it runs in our zone. */
  readonly isLocal?: boolean;
}

/** All that is published of a set at once. */
export interface SetContent {
  readonly policy: PolicyName;
  /** Index of the service whose limits apply. */
  readonly service: number;
  /** In an order that does not change by itself: the round robins follow it. */
  readonly members: readonly Member[];
  /** Whether local members come first, as far as their load allows. */
  readonly prefersLocal?: boolean;
}

/** When instances of a service are set aside for failing (DESIGN §3, `outlier`). */
export interface OutlierTuning {
  readonly consecutiveFailures: number;
  /** Part of the peers' success rate, 0 to 1. */
  readonly successRate: number;
  readonly windowMs: number;
  readonly ejectionMs: number;
  readonly ejectionMsMax: number;
  /** 0 to 1. */
  readonly ejectedShareMax: number;
}

/** How a service wants its instances treated. */
export interface ServiceTuning {
  /** `undefined`: nobody is ejected. */
  readonly outlier: OutlierTuning | undefined;
  readonly slowStartMs: number;
}

/** Units of rates and shares in shared memory. */
const SHARE_UNIT = 1024;

/** What is open at one instance, over all workers. */
export interface InstanceGauges {
  readonly inflight: number;
  readonly pending: number;
  readonly connections: number;
}

/** Instantiates balancer.wasm over the process's balancer memory, on this thread. A worker calls `start` next. */
export function instantiateBalancer(module: WebAssembly.Module, memory: WebAssembly.Memory): BalancerExports {
  try {
    return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as BalancerExports;
  } catch (error) {
    throw pillionError("PILLION_WASM", { module: "balancer.wasm", problem: messageOf(error) }, error);
  }
}

/** The main thread's balancer: the only writer of the tables. One per process. */
export class Balancer {
  /** For the workers, by message. */
  readonly memory: WebAssembly.Memory;
  /** Metric cells and what instances have done, summed over all workers. */
  readonly counters: SharedCounters;
  readonly #exports: BalancerExports;
  readonly #slots: SlotTable;
  readonly #nowUs: () => number;

  /** `nowUs`: the clock of whoever calls `setTime` in the workers. */
  constructor(
    module: WebAssembly.Module,
    memory: WebAssembly.Memory = createBalancerMemory(),
    nowUs: () => number = monotonicUs,
  ) {
    this.memory = memory;
    this.#nowUs = nowUs;
    this.#exports = instantiateBalancer(module, memory);
    this.#exports.create();
    this.#slots = new SlotTable(this.#exports);
    this.counters = new SharedCounters(memory);
  }

  /** Takes a slot for a new instance; undefined when the table is full (INSTANCES_MAX). */
  acquireSlot(weight: number): Slot | undefined {
    return this.#slots.acquire(weight);
  }

  /** Gives an instance's slot back, after the sets that held it were published without it. */
  releaseSlot(slot: number): void {
    this.#slots.release(slot);
  }

  /** Changes the weight that is shown for a slot; what counts is the member's in the next `publishSet`. */
  setWeight(slot: number, weight: number): void {
    this.#exports.setWeight(slot, weight);
  }

  /**
   * Replaces the STATE_* bits of `mask` by `bits`; says whether that changed anything. An instance that becomes
   * eligible by it is a newcomer: what was known of it is forgotten.
   */
  setState(slot: number, mask: number, bits: number): boolean {
    const isChanged = this.#exports.setState(slot, mask, bits) === 1;
    if (!isChanged || this.#exports.stateOf(slot) !== 0) return isChanged;
    this.#exports.setTime(this.#nowUs());
    this.#exports.welcome(slot);
    return true;
  }

  /** STATE_* bits of a slot. */
  stateOf(slot: number): number {
    return this.#exports.stateOf(slot);
  }

  /** Publishes a set's members and policy; every pick that begins from now on sees exactly these. */
  publishSet(set: number, content: SetContent): void {
    const { policy, service, members, prefersLocal = false } = content;
    this.#exports.setTime(this.#nowUs());
    let code = this.#exports.beginSet(set, POLICY_CODES[policy], service, members.length);
    if (code === COMMIT_OK) {
      if (prefersLocal) this.#exports.preferLocal();
      for (const { slot, weight, hash, isLocal } of members) {
        if (prefersLocal) this.#exports.setLocal(slot, isLocal === true ? 1 : 0);
        this.#exports.addMember(slot, weight, hash);
      }
      code = this.#exports.commitSet();
    }
    if (code !== COMMIT_OK) {
      const problem = `the balancer's arena is full (${this.arenaUsed()} bytes in use); set ${set} stays as it is`;
      throw pillionError("PILLION_CONFIG_INVALID", { problem });
    }
  }

  /** Takes a set's members away; its number may serve another set afterwards. */
  clearSet(set: number): void {
    this.#exports.clearSet(set);
  }

  /** How a set stands: MODE_*. MODE_PANIC is worth a line in the log. */
  modeOf(set: number): number {
    return this.#exports.modeOf(set);
  }

  /** Limits a COUNTER_* of a service over all workers; undefined = no limit. */
  setLimit(service: number, counter: number, limit: number | undefined): void {
    this.#exports.setLimit(service, counter, limit ?? -1);
  }

  /** Says how a service's instances are treated; slow start counts from the next `publishSet`. */
  tune(service: number, { outlier, slowStartMs }: ServiceTuning): void {
    this.#exports.setSlowStart(service, slowStartMs);
    const inUnits = (share: number) => Math.round(share * SHARE_UNIT);
    this.#exports.setOutlier(
      service,
      outlier?.consecutiveFailures ?? 0,
      inUnits(outlier?.successRate ?? 0),
      outlier?.windowMs ?? 0,
      outlier?.ejectionMs ?? 0,
      outlier?.ejectionMsMax ?? 0,
      inUnits(outlier?.ejectedShareMax ?? 0),
    );
  }

  /** Why and for how long an instance is set aside; undefined when it is not. */
  ejectionOf(slot: number): Ejection | undefined {
    const reason = this.#exports.ejectionReason(slot);
    return reason === 0 ? undefined : this.counters.ejectionOf(slot, reason, this.#nowUs());
  }

  /** How many a COUNTER_* of a service counts now. */
  countOf(service: number, counter: number): number {
    return this.#exports.countOf(service, counter) >>> 0;
  }

  /** What is open at an instance now. */
  gaugesOf(slot: number): InstanceGauges {
    return {
      inflight: this.#exports.inflightOf(slot) >>> 0,
      pending: this.#exports.pendingOf(slot) >>> 0,
      connections: this.#exports.connectionsOf(slot) >>> 0,
    };
  }

  /** Forgets what a dead worker had open, after its thread has ended; its counters stay. */
  clearWorker(worker: number): void {
    this.#exports.clearWorker(worker);
  }

  /** Frees what no worker can still read; publishing does it too, so this is for a quiet hour. */
  reclaim(): number {
    return this.#exports.reclaim();
  }

  /** Bytes of the arena in use. */
  arenaUsed(): number {
    return this.#exports.arenaUsed() >>> 0;
  }
}
