// Least connections over equal weights reads loads four slots at a time: whatever slots a set has, and in what order.

import fc from "fast-check";
import { expect, test } from "vitest";
import { INSTANCES_MAX } from "../../../assembly/abi/balancer-table.ts";
import { countPicks, createFixture, pickOnce, publish } from "./fixture.ts";

const SET = 5;
const SLOTS = 40;
const TIED_PICKS = 12_000;
const LAST = INSTANCES_MAX - 1;
const { main, startWorker } = createFixture();
const workers = [0, 1, 2, 3].map((worker) => startWorker(worker, worker + 1));

const slots = fc.uniqueArray(
  fc.oneof(fc.integer({ min: 0, max: SLOTS }), fc.constantFrom(LAST, LAST - 1, LAST - 5, 100, 4_000)),
  { minLength: 1, maxLength: 30 },
);
/** Requests of each worker at each of the set's members, and at a slot between them that is none. */
const loads = fc.array(fc.tuple(fc.nat(29), fc.integer({ min: 0, max: 3 })), { maxLength: 120 });

const membersOf = (chosen: readonly number[]) => chosen.map((slot) => ({ slot, weight: 70, hash: slot }));

test("takes a member of the least load over four workers, and no neighbour that is none", () => {
  fc.assert(
    fc.property(slots, loads, (chosen, begun) => {
      publish(main, SET, "least-connections", membersOf(chosen));
      const counts = new Map(chosen.map((slot) => [slot, 0]));
      const held: (() => void)[] = [];
      for (const [index, worker] of begun) {
        const slot = chosen[index % chosen.length]!;
        workers[worker]!.adopt(slot);
        held.push(() => workers[worker]!.release(slot));
        counts.set(slot, counts.get(slot)! + 1);
      }
      const least = Math.min(...counts.values());
      for (const worker of workers) expect(counts.get(pickOnce(worker, SET))).toBe(least);
      for (const release of held) release();
    }),
  );
});

test("draws among ties alike, wherever they lie in their groups", () => {
  // Groups of four, one, two and three members; a busy one in each of the larger.
  const idle = [3, 1, 0, 17, 40, 101, 103];
  const busy = [2, 41, 102];
  publish(main, SET, "least-connections", membersOf([...idle, ...busy]));
  for (const slot of busy) workers[2]!.adopt(slot);
  const counts = countPicks(workers[0]!, SET, TIED_PICKS);
  for (const slot of busy) workers[2]!.release(slot);
  expect([...counts.keys()].sort((left, right) => left - right)).toEqual([...idle].sort((left, right) => left - right));
  const fair = TIED_PICKS / idle.length;
  // Six deviations of a binomial of this size and more.
  for (const count of counts.values()) expect(Math.abs(count - fair)).toBeLessThan(fair * 0.15);
});
