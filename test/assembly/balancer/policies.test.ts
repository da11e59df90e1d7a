// Every policy against its naive twin, over random members, weights, states, skips and republications.

import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { NO_INSTANCE } from "../../../assembly/abi/balancer-codes.ts";
import type { PolicyName } from "../../../src/wasm/balancer.ts";
import {
  candidatesOf,
  leastLoaded,
  type ModelMember,
  maglevOf,
  ownerInTable,
  ownerOnRing,
  ringOf,
  smoothSequence,
  takeTurn,
} from "../../models/balancer.ts";
import { clearStates, createFixture, pickOnce, publish } from "./fixture.ts";

const SLOTS = 12;
const SET = 5;
const { main, startWorker } = createFixture();
const workers = [startWorker(0, 11), startWorker(1, 12)] as const;

interface Pick {
  readonly hash: number;
  readonly skips: readonly number[];
  readonly worker: 0 | 1;
}

/** What happens to a set: members are replaced, a state changes, somebody picks. */
type Step =
  | { readonly type: "publish"; readonly members: readonly ModelMember[] }
  | { readonly type: "state"; readonly slot: number; readonly state: number }
  | { readonly type: "pick"; readonly pick: Pick };

const slot = fc.integer({ min: 0, max: SLOTS - 1 });
const member = fc.record({
  slot,
  weight: fc.oneof(fc.constant(100), fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 300 })),
  hash: fc.integer(),
});
const members = fc.uniqueArray(member, { selector: (one) => one.slot, maxLength: SLOTS });
const pick = fc.record({
  hash: fc.integer(),
  skips: fc.array(slot, { maxLength: 3 }),
  worker: fc.constantFrom<0 | 1>(0, 1),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: members.map((list): Step => ({ type: "publish", members: list })) },
  {
    weight: 3,
    arbitrary: fc
      .record({ slot, state: fc.constantFrom(0, 0, 1, 1, 2, 4, 8, 3) })
      .map((change): Step => ({ type: "state", ...change })),
  },
  { weight: 12, arbitrary: pick.map((one): Step => ({ type: "pick", pick: one })) },
);
const story = fc.tuple(members, fc.array(step, { maxLength: 60 }));

/** Plays a story on the balancer; `judge` sees each pick's result with what the set looked like. */
function play(
  policy: PolicyName,
  [first, steps]: readonly [readonly ModelMember[], readonly Step[]],
  judge: (found: number, list: readonly ModelMember[], candidates: ReadonlySet<number>, asked: Pick) => void,
): void {
  const states = new Map<number, number>();
  const stateOf = (of: number) => states.get(of) ?? 0;
  clearStates(main, SLOTS);
  main.clearSet(SET);
  let list = first;
  expect(publish(main, SET, policy, list)).toBe(0);
  for (const one of steps) {
    if (one.type === "publish") {
      list = one.members;
      expect(publish(main, SET, policy, list)).toBe(0);
    } else if (one.type === "state") {
      states.set(one.slot, one.state);
      main.setState(one.slot, 15, one.state);
    } else {
      const { pick: asked } = one;
      const found = pickOnce(workers[asked.worker], SET, asked.hash, asked.skips);
      judge(found, list, candidatesOf(list, stateOf, asked.skips), asked);
    }
  }
  for (const worker of workers) worker.quiesce();
}

beforeEach(() => {
  for (let index = 0; index < SLOTS; index += 1) if (main.generationOf(index) === 0) main.setInstance(index, 100, 1);
});

describe("equal their twins", () => {
  test("round-robin", () => {
    fc.assert(
      fc.property(story, (told) => {
        let cursor = 0n;
        play("round-robin", told, (found, list, candidates) => {
          const order = list.filter(({ weight }) => weight > 0).map((one) => one.slot);
          const due = takeTurn(order, cursor, candidates);
          cursor = due.cursor;
          expect(found).toBe(due.slot);
        });
      }),
    );
  });

  test("weighted-round-robin", () => {
    fc.assert(
      fc.property(story, (told) => {
        let cursor = 0n;
        play("weighted-round-robin", told, (found, list, candidates) => {
          const due = takeTurn(smoothSequence(list), cursor, candidates);
          cursor = due.cursor;
          expect(found).toBe(due.slot);
        });
      }),
    );
  });

  test("weighted-round-robin, over whole periods of small weights, where ties are many", () => {
    const small = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: SLOTS });
    fc.assert(
      fc.property(small, (weights) => {
        fc.pre(weights.some((weight) => weight > 0));
        const list = weights.map((weight, at) => ({ slot: at, weight, hash: 0 }));
        const due = smoothSequence(list);
        const steps = due.map((): Step => ({ type: "pick", pick: { hash: 0, skips: [], worker: 0 } }));
        const found: number[] = [];
        play("weighted-round-robin", [list, steps], (one) => found.push(one));
        expect(found).toEqual(due);
      }),
    );
  });

  test("ring-hash", () => {
    fc.assert(
      fc.property(story, (told) => {
        play("ring-hash", told, (found, list, candidates, { hash }) => {
          const due = candidates.size === 0 ? NO_INSTANCE : ownerOnRing(ringOf(list), hash, candidates);
          expect(found).toBe(due);
        });
      }),
      { numRuns: 40 },
    );
  });

  test("maglev", () => {
    fc.assert(
      fc.property(members, fc.array(pick, { minLength: 1, maxLength: 50 }), (list, picks) => {
        const table = list.some(({ weight }) => weight > 0) ? maglevOf(list) : [];
        const steps = picks.map((one): Step => ({ type: "pick", pick: one }));
        play("maglev", [list, steps], (found, _list, candidates, { hash }) => {
          expect(found).toBe(ownerInTable(table, hash, candidates));
        });
      }),
      { numRuns: 25 },
    );
  });

  test.each(["random", "adaptive", "least-connections"] as const)("%s stays within the candidates", (policy) => {
    fc.assert(
      fc.property(story, (told) => {
        play(policy, told, (found, _list, candidates) => {
          if (candidates.size === 0) expect(found).toBe(NO_INSTANCE);
          else expect(candidates).toContain(found);
        });
      }),
    );
  });
});

describe("least-connections", () => {
  const load = fc.tuple(slot, fc.constantFrom<0 | 1>(0, 1), fc.boolean());

  test("takes a candidate of the least load per weight, pending and all workers counted", () => {
    fc.assert(
      fc.property(members, fc.array(load, { maxLength: 80 }), pick, (list, loads, { skips, worker }) => {
        clearStates(main, SLOTS);
        publish(main, SET, "least-connections", list);
        const loadOf = (of: number) => loads.filter(([at]) => at === of).length;
        for (const [at, by, isPending] of loads) workers[by][isPending ? "pendingAdded" : "adopt"](at);
        const candidates = candidatesOf(list, () => 0, skips);
        const found = pickOnce(workers[worker], SET, 0, skips);
        for (const [at, by, isPending] of loads) workers[by][isPending ? "pendingRemoved" : "release"](at);
        if (candidates.size === 0) expect(found).toBe(NO_INSTANCE);
        else expect(leastLoaded(list, candidates, loadOf)).toContain(found);
      }),
    );
  });
});

describe("adaptive", () => {
  test("with two members takes the less loaded per weight, whichever worker's load it is", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 1, max: 300 }),
        (first, second, firstWeight, secondWeight) => {
          fc.pre(first !== second && (2 * first + 1) * secondWeight !== (2 * second + 1) * firstWeight);
          clearStates(main, SLOTS);
          publish(main, SET, "adaptive", [
            { slot: 0, weight: firstWeight, hash: 0 },
            { slot: 1, weight: secondWeight, hash: 0 },
          ]);
          for (let index = 0; index < first; index += 1) workers[index % 2 === 0 ? 0 : 1].adopt(0);
          for (let index = 0; index < second; index += 1) workers[1].pendingAdded(1);
          const found = pickOnce(workers[0], SET);
          for (let index = 0; index < first; index += 1) workers[index % 2 === 0 ? 0 : 1].release(0);
          for (let index = 0; index < second; index += 1) workers[1].pendingRemoved(1);
          expect(found).toBe((2 * first + 1) * secondWeight < (2 * second + 1) * firstWeight ? 0 : 1);
        },
      ),
    );
  });
});

test("a pick counts in flight at the slot it returns, and only there", () => {
  clearStates(main, SLOTS);
  publish(main, SET, "round-robin", [
    { slot: 3, weight: 1, hash: 0 },
    { slot: 7, weight: 1, hash: 0 },
  ]);
  const picked = [0, 1, 2].map(() => workers[0].pick(SET, 0, -1, -1, -1));
  expect(main.inflightOf(3) + main.inflightOf(7)).toBe(3);
  expect(main.inflightOf(3)).toBe(picked.filter((at) => at === 3).length);
  for (const at of picked) workers[0].release(at);
  expect([main.inflightOf(3), main.inflightOf(7)]).toEqual([0, 0]);
});

test("the cursor survives a republication", () => {
  clearStates(main, SLOTS);
  main.clearSet(SET);
  const list = [0, 1, 2].map((at) => ({ slot: at, weight: 1, hash: 0 }));
  publish(main, SET, "round-robin", list);
  expect(pickOnce(workers[0], SET)).toBe(0);
  publish(main, SET, "round-robin", list);
  expect(pickOnce(workers[1], SET)).toBe(1);
  publish(main, SET, "weighted-round-robin", list);
  expect(pickOnce(workers[0], SET)).toBe(2);
});
