// The main thread's balancer: slots, sets, limits and sums as the control plane uses them.

import { beforeEach, describe, expect, test } from "vitest";
import {
  COUNTER_PENDING,
  COUNTER_REQUESTS,
  MODE_PANIC,
  STATE_DRAINING,
  STATE_EJECTED,
} from "../../../assembly/abi/balancer-codes.ts";
import { INSTANCES_MAX } from "../../../assembly/abi/balancer-table.ts";
import { isPillionError } from "../../../src/base/index.ts";
import {
  Balancer,
  type BalancerExports,
  hashText,
  instantiateBalancer,
  loadModule,
  type Member,
  quantileUs,
} from "../../../src/wasm/index.ts";

const module = loadModule("balancer");
let balancer: Balancer;
let worker: BalancerExports;

beforeEach(() => {
  balancer = new Balancer(module);
  worker = instantiateBalancer(module, balancer.memory);
  worker.start(0, 1);
});

/** Instances with slots of their own. */
function acquireMembers(count: number, weight = 100): Member[] {
  return Array.from({ length: count }, (_, index) => {
    const slot = balancer.acquireSlot(weight)?.slot ?? Number.NaN;
    return { slot, weight, hash: hashText(`instance-${index}`) };
  });
}

const pick = (set: number) => worker.pick(set, 0, -1, -1, -1);

describe("slots", () => {
  test("are all different, and reused with a higher generation once idle", () => {
    const slots = acquireMembers(100).map((member) => member.slot);
    expect(new Set(slots).size).toBe(100);
    balancer.releaseSlot(slots[3] ?? -1);
    expect(balancer.acquireSlot(1)).toEqual({ slot: slots[3], generation: 2 });
  });

  test("in use are not reused, however many are asked for", () => {
    const [held] = acquireMembers(1);
    worker.connectionOpened(held?.slot ?? -1);
    balancer.releaseSlot(held?.slot ?? -1);
    const others = acquireMembers(INSTANCES_MAX - 1).map((member) => member.slot);
    expect(others).not.toContain(held?.slot);
    expect(balancer.acquireSlot(1)).toBeUndefined();
    worker.connectionClosed(held?.slot ?? -1);
    expect(balancer.acquireSlot(1)).toEqual({ slot: held?.slot, generation: 2 });
  });

  test("that come and go do not use the table up", () => {
    const seen = new Set<number>();
    for (let round = 0; round < 2 * INSTANCES_MAX; round += 1) {
      const slot = balancer.acquireSlot(1)?.slot ?? Number.NaN;
      seen.add(slot);
      balancer.releaseSlot(slot);
    }
    expect(seen.size).toBe(1);
  });
});

describe("sets", () => {
  test("are published whole, replaced, and cleared", () => {
    const members = acquireMembers(3);
    balancer.publishSet(5, { policy: "round-robin", service: 2, members });
    expect([pick(5), pick(5), pick(5)]).toEqual(members.map((member) => member.slot));
    expect(worker.serviceOf(5)).toBe(2);
    balancer.publishSet(5, { policy: "round-robin", service: 2, members: members.slice(2) });
    expect(pick(5)).toBe(members[2]?.slot);
    balancer.clearSet(5);
    expect(pick(5)).toBe(-1);
  });

  test("follow states, and say when they panic", () => {
    const members = acquireMembers(2);
    balancer.publishSet(0, { policy: "adaptive", service: 0, members });
    const [first, second] = members.map((member) => member.slot);
    expect(balancer.setState(first ?? -1, STATE_DRAINING, STATE_DRAINING)).toBe(true);
    expect(balancer.setState(first ?? -1, STATE_DRAINING, STATE_DRAINING)).toBe(false);
    expect(balancer.stateOf(first ?? -1)).toBe(STATE_DRAINING);
    expect(pick(0)).toBe(second);
    worker.eject(second ?? -1);
    expect(balancer.modeOf(0)).toBe(MODE_PANIC);
    expect(balancer.stateOf(second ?? -1)).toBe(STATE_EJECTED);
    expect(pick(0)).toBe(second);
  });

  test("that do not fit are refused with an error, and the former one stays", () => {
    const members = acquireMembers(10_000);
    pick(0); // pins: nothing is given back from here on
    const publishUntilFull = () => {
      for (let set = 0; set < 100; set += 1) balancer.publishSet(set, { policy: "ring-hash", service: 0, members });
    };
    expect(publishUntilFull).toThrow(expect.objectContaining({ code: "PILLION_CONFIG_INVALID" }));
    expect(pick(0)).toBeGreaterThanOrEqual(0);
    worker.quiesce();
    for (let set = 1; set < 6; set += 1) balancer.clearSet(set); // room for the block and for compiling it
    balancer.publishSet(0, { policy: "ring-hash", service: 0, members });
  });
});

test("limits can be set, reached and lifted", () => {
  balancer.setLimit(4, COUNTER_REQUESTS, 1);
  expect([worker.admit(4, COUNTER_REQUESTS), worker.admit(4, COUNTER_REQUESTS)]).toEqual([1, 0]);
  expect(worker.admit(4, COUNTER_PENDING)).toBe(1);
  balancer.setLimit(4, COUNTER_REQUESTS, undefined);
  expect(worker.admit(4, COUNTER_REQUESTS)).toBe(1);
  expect(balancer.countOf(4, COUNTER_REQUESTS)).toBe(2);
  balancer.setLimit(4, COUNTER_REQUESTS, 0);
  expect(worker.admit(4, COUNTER_REQUESTS)).toBe(0);
});

test("gauges, work and cells are read as sums", () => {
  const other = instantiateBalancer(module, balancer.memory);
  other.start(1, 2);
  const slot = balancer.acquireSlot(1)?.slot ?? -1;
  for (const one of [worker, other]) {
    one.adopt(slot);
    one.connectionOpened(slot);
    one.observeInstance(slot, 1000, 0);
    one.count(1, 10);
  }
  worker.pendingAdded(slot);
  expect(balancer.gaugesOf(slot)).toEqual({ inflight: 2, pending: 1, connections: 2 });
  balancer.clearWorker(1);
  expect(balancer.gaugesOf(slot)).toEqual({ inflight: 1, pending: 1, connections: 1 });
  const { requests, failures, buckets } = balancer.counters.workOf(slot);
  expect({ requests, failures }).toEqual({ requests: 2, failures: 0 });
  expect(Math.abs((quantileUs(buckets, 0.99) ?? 0) - 1000)).toBeLessThan(100);
  expect(balancer.counters.cellOf(1)).toBe(20);
});

test("a module that is not the balancer is refused with an error that says what to do", () => {
  const empty = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
  expect(() => new Balancer(empty)).toThrow(TypeError); // it has no `create`: an empty module instantiates
  let thrown: unknown;
  try {
    instantiateBalancer(module, new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }));
  } catch (error) {
    thrown = error;
  }
  expect(isPillionError(thrown, "PILLION_WASM")).toBe(true);
});
