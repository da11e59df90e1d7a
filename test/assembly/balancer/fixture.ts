// One balancer for a test file: the main thread's instance, and workers' instances in the same thread.
//
// Instances of a module are independent of threads: two of them in one thread, bound to two columns, behave as two
// workers that take turns. What needs real threads is in threads.test.ts.

import { COMMIT_OK, STATE_INELIGIBLE } from "../../../assembly/abi/balancer-codes.ts";
import {
  type BalancerExports,
  instantiateBalancer,
  POLICY_CODES,
  type PolicyName,
} from "../../../src/wasm/balancer.ts";
import { loadModule } from "../../../src/wasm/load.ts";
import { createBalancerMemory } from "../../../src/wasm/shared-memory.ts";
import type { ModelMember } from "../../models/balancer.ts";

/** An empty entry of a skip list. */
export const NO_SKIP = -1;

export interface Fixture {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly main: BalancerExports;
  /** A new instance bound to column `worker`. */
  startWorker(worker: number, seed?: number): BalancerExports;
}

export function createFixture(): Fixture {
  const module = loadModule("balancer");
  const memory = createBalancerMemory();
  const main = instantiateBalancer(module, memory);
  main.create();
  const startWorker = (worker: number, seed = 1) => {
    const exports = instantiateBalancer(module, memory);
    exports.start(worker, seed);
    return exports;
  };
  return { module, memory, main, startWorker };
}

/** Members of equal weight in slots 0 to `count` − 1. */
export function equalMembers(count: number, weight = 100): ModelMember[] {
  return Array.from({ length: count }, (_, slot) => ({ slot, weight, hash: Math.imul(slot + 1, 0x01000193) }));
}

/** Publishes a set; sets the members' slots first where they are new, and clears their states. */
export function publish(
  main: BalancerExports,
  set: number,
  policy: PolicyName,
  members: readonly ModelMember[],
  service = 0,
): number {
  for (const { slot } of members) {
    if (main.generationOf(slot) === 0) main.setInstance(slot, 100, 1);
  }
  const code = main.beginSet(set, POLICY_CODES[policy], service, members.length);
  if (code !== COMMIT_OK) return code;
  for (const { slot, weight, hash } of members) main.addMember(slot, weight, hash);
  return main.commitSet();
}

/** Makes every slot below `count` eligible. */
export function clearStates(main: BalancerExports, count: number): void {
  for (let slot = 0; slot < count; slot += 1) main.setState(slot, STATE_INELIGIBLE, 0);
}

/** Picks with no hash and no skips, and releases at once. */
export function pickOnce(worker: BalancerExports, set: number, hash = 0, skips: readonly number[] = []): number {
  const slot = worker.pick(set, hash, skips[0] ?? NO_SKIP, skips[1] ?? NO_SKIP, skips[2] ?? NO_SKIP);
  if (slot >= 0) worker.release(slot);
  return slot;
}

/** How often each slot came out of `count` picks. */
export function countPicks(worker: BalancerExports, set: number, count: number): Map<number, number> {
  const counts = new Map<number, number>();
  for (let index = 0; index < count; index += 1) {
    const slot = pickOnce(worker, set, index);
    counts.set(slot, (counts.get(slot) ?? 0) + 1);
  }
  return counts;
}
