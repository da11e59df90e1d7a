// What choosing an instance costs: each policy, three sizes of a service, alone and beside a second thread that does
// the same on the same set as fast as it can. 64 picks are held at any time. And what the counters around a request
// cost.

import { Worker } from "node:worker_threads";
import { COUNTER_REQUESTS } from "../../assembly/abi/balancer-codes.ts";
import { PROCESS_CELLS } from "../../assembly/abi/metrics.ts";
import {
  Balancer,
  hashText,
  instantiateBalancer,
  loadModule,
  POLICY_CODES,
  type PolicyName,
} from "../../src/wasm/index.ts";
import { instantiateTestingModule } from "../../test/support/wasm.ts";
import { type Row, timeLoop } from "./clock.ts";
import { buildModule } from "./modules.ts";

const SIZES = [3, 100, 10_000];
/** DESIGN §6: least-connections reads every instance; its bound is for this size. */
const SIZES_OF_SCAN = [3, 100, 1_000, 10_000];
const WEIGHT = 100;

/** assembly/testing/balancer.ts. */
export interface Loops {
  pickRepeatedly(set: number, times: number): number;
  admitRepeatedly(service: number, counter: number, times: number): number;
  connectRepeatedly(slot: number, times: number): void;
  waitRepeatedly(slot: number, times: number): void;
  observeRepeatedly(slot: number, cellBase: number, times: number): void;
}

/** What the second thread is started with. */
export interface RivalSetup {
  readonly balancer: WebAssembly.Module;
  readonly loops: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** One word: the set to pick from, or RIVAL_*. */
  readonly orders: Int32Array;
}
export const RIVAL_IDLE = -1;
export const RIVAL_STOP = -2;

/** Instantiates the loops on a balancer of their own, over shared memory. */
export function createLoops({ balancer, loops, memory }: Omit<RivalSetup, "orders">, worker: number): Loops {
  const exports = instantiateBalancer(balancer, memory);
  exports.start(worker, worker + 1);
  const imports = { balancer: exports as unknown as WebAssembly.Exports };
  return instantiateTestingModule<Loops>(loops, imports).exports;
}

/** Every policy and size, with and without a rival; then the counters. */
export async function* measurePicks(): AsyncGenerator<Row> {
  const modules = { balancer: loadModule("balancer"), loops: buildModule("balancer") };
  const balancer = new Balancer(modules.balancer);
  const slots = Array.from({ length: Math.max(...SIZES) }, () => {
    const slot = balancer.acquireSlot(WEIGHT);
    if (slot === undefined) throw new Error("the table of instances is full");
    return slot.slot;
  });
  const shared = { ...modules, memory: balancer.memory };
  const loops = createLoops(shared, 0);
  const orders = new Int32Array(new SharedArrayBuffer(4)).fill(RIVAL_IDLE);
  const rival = new Worker(new URL("./rival.ts", import.meta.url), { workerData: { ...shared, orders } });
  await new Promise((resolve) => rival.once("online", resolve));
  let set = 0;
  for (const policy of Object.keys(POLICY_CODES) as PolicyName[]) {
    for (const size of policy === "least-connections" ? SIZES_OF_SCAN : SIZES) {
      const members = slots.slice(0, size).map((slot) => ({ slot, weight: WEIGHT, hash: hashText(`i${slot}`) }));
      balancer.publishSet(set, { policy, service: 0, members });
      const part = `pick + release, ${policy}`;
      const loop = (times: number) => void loops.pickRepeatedly(set, times);
      yield timeLoop(part, `${size} instances`, loop);
      order(orders, set);
      yield timeLoop(part, `${size} instances, 2 threads`, loop);
      order(orders, RIVAL_IDLE);
      balancer.clearSet(set);
      set += 1;
    }
  }
  order(orders, RIVAL_STOP);
  for (const size of SIZES) {
    // Everybody has just reported: the hot and cold rule decides.
    const members = slots.slice(0, size).map((slot) => ({ slot, weight: WEIGHT, hash: hashText(`i${slot}`) }));
    balancer.publishSet(set, { policy: "adaptive", service: 1, members });
    const reporter = instantiateBalancer(modules.balancer, balancer.memory);
    reporter.setTime(1_000_000);
    for (const { slot } of members) reporter.report(slot, slot % 5, 1_000 + (slot % 7), 0);
    const loop = (times: number) => void loops.pickRepeatedly(set, times);
    yield timeLoop("pick + release, adaptive by reports", `${size} instances`, loop);
    balancer.clearSet(set);
    set += 1;
  }
  const slot = slots[0] ?? 0;
  const around: Record<string, (times: number) => void> = {
    "request: admit + leave": (times) => void loops.admitRepeatedly(0, COUNTER_REQUESTS, times),
    "connection: opened + closed": (times) => loops.connectRepeatedly(slot, times),
    "line: added + removed": (times) => loops.waitRepeatedly(slot, times),
    "end: instance's + service's sample": (times) => loops.observeRepeatedly(slot, PROCESS_CELLS, times),
  };
  for (const [what, loop] of Object.entries(around)) yield timeLoop("counters", what, loop);
}

/** Tells the rival what to do. It may be in a loop for a moment longer; the warm-up of what follows outlasts that. */
function order(orders: Int32Array, what: number): void {
  Atomics.store(orders, 0, what);
  Atomics.notify(orders, 0);
}
