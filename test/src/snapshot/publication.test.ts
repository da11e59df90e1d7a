// In which order a change reaches the balancer, and that every worker only ever meets instances that it knows.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  Allocation,
  type CompiledSnapshot,
  type PublicationStep,
  planPublication,
  settleSnapshot,
} from "../../../src/snapshot/index.ts";
import { compileMesh, FakeSlots } from "../../support/route-engine.ts";

const instance = (port: number, more: object = {}) => ({ address: `10.0.0.1:${port}`, ...more });

describe("steps", () => {
  const allocation = new Allocation(new FakeSlots());
  const compile = (instances: Record<string, object>, service: object = {}): CompiledSnapshot =>
    compileMesh({ services: { users: service }, instances: { users: instances } }, {}, allocation);
  const first = compile({ a: instance(1), b: instance(2, { weight: 7 }) });
  const [a, b] = first.instances.map(({ slot }) => slot) as [number, number];
  const membersOf = (step: PublicationStep | undefined) =>
    step?.kind === "set" && step.content.members.map(({ slot }) => slot);

  it("begin with everything, and nothing twice", () => {
    const { before, after } = planPublication(undefined, first);
    expect(before.map(({ kind }) => kind)).toEqual(["limit", "limit", "limit", "tuning", "set"]);
    expect(membersOf(before[4])).toEqual([a, b]);
    expect(after).toEqual([]);
    const again = planPublication(first, compile({ a: instance(1), b: instance(2, { weight: 7 }) }));
    expect(again).toEqual({ before: [], after: [] });
  });

  it("a newcomer joins and one that goes leaves when all workers have swapped", () => {
    const next = compile({ b: instance(2, { weight: 7 }), c: instance(3) });
    const c = next.instances.find(({ id }) => id === "c")!.slot;
    const plan = planPublication(first, next);
    expect(plan.before).toEqual([]);
    expect(plan.after.map(membersOf)).toEqual([[b, c]]);
    expect(settleSnapshot(next).instances.map(({ slot }) => slot)).toEqual([b, c]);
  });

  it("a draining instance leaves its set, then its state changes; one that is back joins the other way round", () => {
    const next = compile({ a: instance(1, { state: "draining" }), b: instance(2, { weight: 7 }) });
    const { before, after } = planPublication(first, next);
    expect(before).toEqual([]);
    expect(after.map(membersOf)).toEqual([[b], false]);
    expect(after[1]).toEqual({ kind: "draining", slot: a, isDraining: true });
    const back = planPublication(next, compile({ a: instance(1), b: instance(2, { weight: 7 }) }));
    expect(back.after[0]).toEqual({ kind: "draining", slot: a, isDraining: false });
    expect(back.after.map(membersOf)).toEqual([false, [a, b]]);
  });

  it("weights, policies and limits are published when they change", () => {
    const heavier = compile({ a: instance(1, { weight: 9 }), b: instance(2, { weight: 7 }) });
    expect(planPublication(first, heavier).after.map(({ kind }) => kind)).toEqual(["set", "weight"]);
    const other = compile({ a: instance(1), b: instance(2, { weight: 7 }) }, { balance: { policy: "random" } });
    const [step] = planPublication(first, other).after;
    expect(step?.kind === "set" && step.content.policy).toBe("random");
    const limited = compile({ a: instance(1), b: instance(2, { weight: 7 }) }, { limits: { requests: 5 } });
    expect(planPublication(first, limited)).toEqual({
      before: [{ kind: "limit", limit: limited.limits.find(({ limit }) => limit === 5) }],
      after: [],
    });
  });

  it("sets of a service that goes are emptied at the end", () => {
    const gone = compileMesh({}, {}, allocation);
    expect(planPublication(first, gone)).toEqual({ before: [], after: [{ kind: "clear-set", id: first.sets[0]!.id }] });
  });
});

/** The sets as workers see them. */
class Sets {
  readonly members = new Map<number, readonly number[]>();

  apply(step: PublicationStep): void {
    if (step.kind === "set")
      this.members.set(
        step.id,
        step.content.members.map(({ slot }) => slot),
      );
    if (step.kind === "clear-set") this.members.set(step.id, []);
  }

  /** What a worker under `snapshot` may pick is described by it; and there is somebody wherever there is in `all`. */
  check(snapshot: CompiledSnapshot | undefined, all: readonly (CompiledSnapshot | undefined)[]): void {
    const described = new Set(snapshot?.instances.map(({ slot, generation }) => `${slot}/${generation}`));
    const generations = new Map(
      all.flatMap((one) => one?.instances ?? []).map(({ slot, generation }) => [slot, generation]),
    );
    for (const { id } of snapshot?.sets ?? []) {
      const members = this.members.get(id) ?? [];
      for (const slot of members) expect(described).toContain(`${slot}/${generations.get(slot)}`);
      const isAlwaysServed = all.every((one) => one?.sets.some((set) => set.id === id && set.members.length > 0));
      if (isAlwaysServed) expect(members).not.toEqual([]);
    }
  }
}

it("over any history: at every moment every worker knows every member of its sets", () => {
  const one = fc.record({
    id: fc.constantFrom("a", "b", "c", "d"),
    port: fc.constantFrom(1, 2),
    state: fc.constantFrom("ready", "ready", "ready", "draining", "starting"),
    version: fc.constantFrom("v1", "v2"),
  });
  const picture = fc.record({
    instances: fc.uniqueArray(one, { selector: ({ id }) => id }),
    isCanary: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(picture, { maxLength: 12 }), (pictures) => {
      const allocation = new Allocation(new FakeSlots());
      const sets = new Sets();
      let inForce: CompiledSnapshot | undefined;
      for (const { instances, isCanary } of pictures) {
        const list = instances.map(({ id, port, state, version }) => {
          return [id, { address: `10.0.0.1:${port}`, state, tags: { version } }] as const;
        });
        const to = isCanary ? [{ service: "users", tags: { version: "v2" } }] : [{ service: "users" }];
        const routes = { r: { rules: [{ to }] } };
        const next = compileMesh({ instances: { users: Object.fromEntries(list) }, routes }, {}, allocation);
        const { before, after } = planPublication(inForce, next);
        for (const step of before) {
          sets.apply(step);
          sets.check(inForce, [inForce, next]);
        }
        // Some workers have swapped, others have not.
        sets.check(inForce, [inForce, next]);
        sets.check(next, [inForce, next]);
        for (const step of after) {
          sets.apply(step);
          sets.check(next, [inForce, next]);
        }
        const settled = settleSnapshot(next);
        sets.check(settled, [next]);
        for (const { id, members } of settled.sets) {
          expect(sets.members.get(id)).toEqual(members.map(({ slot }) => slot));
        }
        allocation.releaseSlots();
        inForce = settled;
      }
    }),
    { numRuns: 300 },
  );
});
