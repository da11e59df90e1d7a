// Balancer memories for simulated sidecars: real shared memories, each with a real instance of balancer.wasm.
//
// A run takes slots, a service and a set that no run before it had, and a fresh instance with its own seed, so nothing
// of one run is known in another and memories can serve many: creating one costs more than a run of a second.

import { INSTANCES_MAX, SERVICES_MAX } from "../../assembly/abi/balancer-table.ts";
import { type BalancerExports, createBalancerMemory, instantiateBalancer, loadModule } from "../../src/wasm/index.ts";

/** Slots that one run may use. */
export const RUN_SLOTS = 64;

/** One sidecar's part in a run. */
export interface Seat {
  /** The main thread's instance. */
  readonly main: BalancerExports;
  readonly worker: BalancerExports;
  readonly firstSlot: number;
  /** Service and set of the run. */
  readonly number: number;
}

interface Kept {
  readonly memory: WebAssembly.Memory;
  readonly main: BalancerExports;
}

export class Memories {
  readonly #module = loadModule("balancer");
  #kept: Kept[] = [];
  #run = 0;

  /** Begins a run: what is seated from now on has memory to itself. */
  begin(): void {
    this.#run += 1;
    if (this.#run < Math.min(INSTANCES_MAX / RUN_SLOTS, SERVICES_MAX)) return;
    this.#kept = [];
    this.#run = 1;
  }

  /** The seat of sidecar `index`, whose balancer draws by `seed`. */
  seat(index: number, seed: number): Seat {
    this.#kept[index] ??= this.#create();
    const { memory, main } = this.#kept[index];
    main.clearWorker(0);
    const worker = instantiateBalancer(this.#module, memory);
    worker.start(0, seed);
    return { main, worker, firstSlot: this.#run * RUN_SLOTS, number: this.#run };
  }

  /** A memory of its own, for an inbound sidecar. */
  create(seed: number): BalancerExports {
    const memory = createBalancerMemory();
    const main = instantiateBalancer(this.#module, memory);
    main.create();
    const worker = instantiateBalancer(this.#module, memory);
    worker.start(0, seed);
    return worker;
  }

  #create(): Kept {
    const memory = createBalancerMemory();
    const main = instantiateBalancer(this.#module, memory);
    main.create();
    return { memory, main };
  }
}
