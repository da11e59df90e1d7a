// Numbers that do not change their meaning: over random histories of snapshots, and at the edges.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { METRIC_CELLS, METRIC_SERVICES_MAX, PROCESS_CELLS, SERVICE_CELLS } from "../../../assembly/abi/metrics.ts";
import { metricsOf } from "../../../src/snapshot/allocation.ts";
import { Allocation } from "../../../src/snapshot/index.ts";
import { compileMesh, FakeSlots } from "../../support/route-engine.ts";

describe("slots", () => {
  it("the same instance at the same address keeps its slot, another address is another instance", () => {
    const allocation = new Allocation(new FakeSlots());
    allocation.beginSnapshot();
    const first = allocation.acquireSlot("users", "a", "10.0.0.1:80", 100);
    allocation.beginSnapshot();
    expect(allocation.acquireSlot("users", "a", "10.0.0.1:80", 50)).toEqual(first);
    expect(allocation.acquireSlot("users", "a", "10.0.0.2:80", 50)).not.toEqual(first);
    expect(allocation.acquireSlot("cart", "a", "10.0.0.1:80", 50)).not.toEqual(first);
    expect(allocation.releaseSlots()).toEqual([]);
  });

  it("one that comes back before its slot was given back has it again; afterwards it is a new one", () => {
    const slots = new FakeSlots();
    const allocation = new Allocation(slots);
    allocation.beginSnapshot();
    const first = allocation.acquireSlot("users", "a", "x:1", 1);
    allocation.beginSnapshot();
    allocation.beginSnapshot();
    expect(allocation.acquireSlot("users", "a", "x:1", 1)).toEqual(first);
    allocation.beginSnapshot();
    expect(allocation.releaseSlots()).toEqual([0]);
    expect(allocation.releaseSlots()).toEqual([]);
    expect(allocation.slots()[0]).toMatchObject({ id: "a", isNamed: false });
    allocation.beginSnapshot();
    expect(allocation.acquireSlot("users", "a", "x:1", 1)).toEqual({ slot: 0, generation: 2 });
  });

  it("none is given when the table is full", () => {
    const allocation = new Allocation(new FakeSlots(2));
    allocation.beginSnapshot();
    expect(["a", "b", "c"].map((id) => allocation.acquireSlot("s", id, "x:1", 1)?.slot)).toEqual([0, 1, undefined]);
    allocation.beginSnapshot();
    expect(allocation.acquireSlot("s", "a", "x:1", 1)?.slot).toBe(0);
    allocation.releaseSlots();
    expect(allocation.acquireSlot("s", "c", "x:1", 1)).toEqual({ slot: 1, generation: 2 });
  });

  it("what goes is leaving until its slot was given back", () => {
    const allocation = new Allocation(new FakeSlots());
    const users = { a: { address: "10.0.0.1:1", sidecar: true }, b: { address: "10.0.0.1:2" } };
    compileMesh({ instances: { users } }, {}, allocation);
    expect(allocation.leaving()).toEqual([]);
    const { instances } = compileMesh({ instances: { users: { b: users.b } } }, {}, allocation);
    expect(instances.map(({ id, isLeaving, isSidecar }) => [id, isLeaving, isSidecar])).toEqual([
      ["b", false, false],
      ["a", true, true],
    ]);
    expect(allocation.leaving().map(({ id }) => id)).toEqual(["a"]);
    allocation.releaseSlots();
    expect(allocation.leaving()).toEqual([]);
  });

  it("over any history no slot has two holders, and no (slot, generation) ever had", () => {
    const instance = fc.record({ id: fc.constantFrom("a", "b", "c", "d"), address: fc.constantFrom("x:1", "x:2") });
    const step = fc.record({
      named: fc.uniqueArray(instance, { selector: ({ id }) => id }),
      isReleasing: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const allocation = new Allocation(new FakeSlots());
        const meaning = new Map<string, string>();
        let before = new Map<string, string>();
        for (const { named, isReleasing } of steps) {
          allocation.beginSnapshot();
          const now = new Map<string, string>();
          for (const { id, address } of named) {
            const { slot, generation } = allocation.acquireSlot("s", id, address, 1)!;
            const number = `${slot}/${generation}`;
            const key = `${id} ${address}`;
            expect(meaning.get(number) ?? key).toBe(key);
            expect([...now.values()].map((other) => other.split("/")[0])).not.toContain(`${slot}`);
            if (before.has(key)) expect(number).toBe(before.get(key));
            meaning.set(number, key);
            now.set(key, number);
          }
          if (isReleasing) allocation.releaseSlots();
          before = now;
        }
      }),
    );
  });
});

describe("services", () => {
  it("have their index for good, one for each direction", () => {
    const allocation = new Allocation(new FakeSlots(), { servicesMax: 3 });
    allocation.beginSnapshot();
    expect(allocation.acquireService("outbound", "a")).toBe(0);
    expect(allocation.acquireService("inbound", "a")).toBe(1);
    allocation.beginSnapshot();
    allocation.beginSnapshot();
    expect(allocation.acquireService("outbound", "b")).toBe(2);
    expect(allocation.acquireService("outbound", "c")).toBeUndefined();
    expect(allocation.acquireService("outbound", "a")).toBe(0);
    expect(allocation.services().map(({ name, direction }) => `${direction} ${name}`)).toEqual([
      "outbound a",
      "inbound a",
      "outbound b",
    ]);
  });

  it("have blocks of metric cells, past the cap the last one together", () => {
    expect(metricsOf(0)).toBe(PROCESS_CELLS);
    expect(metricsOf(1) - metricsOf(0)).toBe(SERVICE_CELLS);
    expect(metricsOf(METRIC_SERVICES_MAX + 500)).toBe(metricsOf(METRIC_SERVICES_MAX - 3));
    expect(metricsOf(METRIC_SERVICES_MAX) + SERVICE_CELLS).toBe(METRIC_CELLS);
  });
});

describe("sets", () => {
  it("keep their numbers; a gone one's is taken again only when there is no other, the longest gone first", () => {
    const allocation = new Allocation(new FakeSlots(), { setsMax: 3 });
    const name = (keys: string[]) => {
      allocation.beginSnapshot();
      return keys.map((key) => allocation.acquireSet(key));
    };
    expect(name(["a", "b"])).toEqual([0, 1]);
    expect(name(["b"])).toEqual([1]);
    expect(name(["c", "b"])).toEqual([2, 1]);
    expect(name(["a"])).toEqual([0]);
    expect(name(["a", "d"])).toEqual([0, 2]); // c and b are gone, c was named before b
    expect(name(["d", "e", "f"])).toEqual([2, 1, undefined]); // a was named by the snapshot before
    expect(name(["d", "e", "f"])).toEqual([2, 1, 0]);
  });
});
