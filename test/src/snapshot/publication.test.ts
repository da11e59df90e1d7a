// In which order a change reaches the balancer, and that requests under either snapshot always find somebody.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  Allocation,
  type CompiledSnapshot,
  type PublicationStep,
  planPublication,
} from "../../../src/snapshot/index.ts";
import { compileMesh, FakeSlots } from "../../support/route-engine.ts";

const instance = (port: number, more: object = {}) => ({ address: `10.0.0.1:${port}`, ...more });

/** Members by set, as steps leave them. */
function apply(sets: Map<number, readonly number[]>, steps: readonly PublicationStep[]): void {
  for (const step of steps) {
    if (step.kind === "set")
      sets.set(
        step.id,
        step.content.members.map(({ slot }) => slot),
      );
    if (step.kind === "clear-set") sets.set(step.id, []);
  }
}

describe("steps", () => {
  const allocation = new Allocation(new FakeSlots());
  const compile = (instances: Record<string, object>, service: object = {}): CompiledSnapshot =>
    compileMesh({ services: { users: service }, instances: { users: instances } }, {}, allocation);
  const first = compile({ a: instance(1), b: instance(2, { weight: 7 }) });
  const [a, b] = first.instances.map(({ slot }) => slot) as [number, number];

  it("begin with everything, and nothing twice", () => {
    const { before, after } = planPublication(undefined, first);
    expect(before.map(({ kind }) => kind)).toEqual(["limit", "limit", "limit", "set"]);
    expect(after).toEqual([]);
    const again = planPublication(first, compile({ a: instance(1), b: instance(2, { weight: 7 }) }));
    expect(again).toEqual({ before: [], after: [] });
  });

  it("a newcomer joins at once, one that goes leaves when all workers have swapped", () => {
    const next = compile({ b: instance(2, { weight: 7 }), c: instance(3) });
    const c = next.instances[1]!.slot;
    const plan = planPublication(first, next);
    const membersOf = (step: PublicationStep | undefined) =>
      step?.kind === "set" && step.content.members.map(({ slot }) => slot);
    expect(plan.before.map(membersOf)).toEqual([[a, b, c]]);
    expect(plan.after.map(membersOf)).toEqual([[b, c]]);
  });

  it("a draining instance leaves at once, by its state and out of its sets", () => {
    const next = compile({ a: instance(1, { state: "draining" }), b: instance(2, { weight: 7 }) });
    const plan = planPublication(first, next);
    expect(plan.before.map(({ kind }) => kind)).toEqual(["draining", "set"]);
    expect(plan.before[0]).toEqual({ kind: "draining", slot: a, isDraining: true });
    expect(plan.after).toEqual([]);
    const back = planPublication(next, compile({ a: instance(1), b: instance(2, { weight: 7 }) }));
    expect(back.before[0]).toEqual({ kind: "draining", slot: a, isDraining: false });
  });

  it("weights, policies and limits are published when they change", () => {
    const heavier = compile({ a: instance(1, { weight: 9 }), b: instance(2, { weight: 7 }) });
    expect(planPublication(first, heavier).before.map(({ kind }) => kind)).toEqual(["weight", "set"]);
    const other = compile({ a: instance(1), b: instance(2, { weight: 7 }) }, { balance: { policy: "random" } });
    const [step] = planPublication(first, other).before;
    expect(step?.kind === "set" && step.content.policy).toBe("random");
    const limited = compile({ a: instance(1), b: instance(2, { weight: 7 }) }, { limits: { requests: 5 } });
    expect(planPublication(first, limited).before).toEqual([
      { kind: "limit", limit: limited.limits.find(({ limit }) => limit === 5) },
    ]);
  });

  it("sets of a service that goes are emptied at the end", () => {
    const gone = compileMesh({}, {}, allocation);
    expect(planPublication(first, gone)).toEqual({ before: [], after: [{ kind: "clear-set", id: first.sets[0]!.id }] });
  });
});

it("over any history: between before and after, sets hold the members of both snapshots", () => {
  const one = fc.record({
    id: fc.constantFrom("a", "b", "c", "d", "e"),
    state: fc.constantFrom("ready", "ready", "draining", "starting"),
    weight: fc.constantFrom(1, 2),
  });
  const picture = fc.uniqueArray(one, { selector: ({ id }) => id });
  fc.assert(
    fc.property(fc.array(picture, { maxLength: 12 }), (pictures) => {
      const allocation = new Allocation(new FakeSlots());
      const sets = new Map<number, readonly number[]>();
      let previous: CompiledSnapshot | undefined;
      for (const list of pictures) {
        const instances = Object.fromEntries(
          list.map(({ id, ...rest }) => [id, { address: `10.0.0.1:${id.charCodeAt(0)}`, ...rest }]),
        );
        const next = compileMesh({ instances: { users: instances } }, {}, allocation);
        const { before, after } = planPublication(previous, next);
        apply(sets, before);
        const draining = new Set(next.instances.filter(({ isDraining }) => isDraining).map(({ slot }) => slot));
        for (const { id, members } of next.sets) {
          expect(sets.get(id) ?? []).toEqual(expect.arrayContaining(members.map(({ slot }) => slot)));
        }
        for (const { id, members } of previous?.sets ?? []) {
          const staying = members.map(({ slot }) => slot).filter((slot) => !draining.has(slot));
          expect(sets.get(id)).toEqual(expect.arrayContaining(staying));
        }
        apply(sets, after);
        for (const [id, members] of sets) {
          const wanted = next.sets.find((set) => set.id === id)?.members.map(({ slot }) => slot) ?? [];
          expect(members).toEqual(wanted);
        }
        allocation.releaseSlots();
        previous = next;
      }
    }),
    { numRuns: 200 },
  );
});
