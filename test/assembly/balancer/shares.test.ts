// How picks are shared out: exactly where a policy promises it, by weight where it draws lots, at any size.

import { beforeEach, describe, expect, test } from "vitest";
import { POLICY_CODES, type PolicyName } from "../../../src/wasm/balancer.ts";
import { mixHash } from "../../../src/wasm/hash.ts";
import { candidatesOf, dueShares, type ModelMember, smoothSequence, smoothShares } from "../../models/balancer.ts";
import { clearStates, countPicks, createFixture, equalMembers, pickOnce, publish } from "./fixture.ts";

const { main, startWorker } = createFixture();
const worker = startWorker(0, 2026);
const SET = 1;
const MANY = 10_000;

beforeEach(() => {
  clearStates(main, MANY);
  main.clearSet(SET);
});

/** Members with weights that vary widely, the same ones every time. */
function unequalMembers(count: number, weightMax: number): ModelMember[] {
  return equalMembers(count).map((member, index) => ({ ...member, weight: 1 + ((index * 7919) % weightMax) }));
}

/** Within five standard deviations of the binomial: a seeded draw either always passes or never. */
function expectShares(counts: ReadonlyMap<number, number>, due: ReadonlyMap<number, number>, picks: number): void {
  expect([...counts.keys()].filter((slot) => !due.has(slot))).toEqual([]);
  for (const [slot, share] of due) {
    const tolerance = 5 * Math.sqrt(picks * share * (1 - share)) + 1;
    expect(Math.abs((counts.get(slot) ?? 0) - picks * share), `slot ${slot}`).toBeLessThanOrEqual(tolerance);
  }
}

describe("exact shares", () => {
  test.each([1, 2, 3, 7, 100, MANY])("round-robin over %i members", (count) => {
    publish(main, SET, "round-robin", unequalMembers(count, 50));
    const counts = countPicks(worker, SET, 3 * count);
    expect(counts.size).toBe(count);
    for (const times of counts.values()) expect(times).toBe(3);
  });

  test.each([
    [3, 5],
    [20, 97],
    [300, 40],
    [MANY, 3],
  ])("weighted-round-robin over %i members with weights up to %i, every period", (count, weightMax) => {
    const members = unequalMembers(count, weightMax);
    publish(main, SET, "weighted-round-robin", members);
    const shares = smoothShares(members.map(({ weight }) => weight));
    const period = shares.reduce((sum, share) => sum + share, 0);
    for (let round = 1; round <= 2; round += 1) {
      const counts = countPicks(worker, SET, period);
      members.forEach(({ slot }, index) => {
        expect(counts.get(slot)).toBe(shares[index]);
      });
    }
  });

  test("an ejected member's turns go to all others alike", () => {
    publish(main, SET, "round-robin", equalMembers(5));
    main.eject(2);
    const counts = countPicks(worker, SET, 400);
    expect([0, 1, 3, 4].map((slot) => counts.get(slot))).toEqual([100, 100, 100, 100]);
  });

  test("half of a large set ejected in a row still leaves the others equal", () => {
    publish(main, SET, "round-robin", equalMembers(1000));
    for (let slot = 0; slot < 500; slot += 1) main.eject(slot);
    const counts = countPicks(worker, SET, 5000);
    expect(counts.size).toBe(500);
    for (const times of counts.values()) expect(times).toBe(10);
  });
});

describe("sequences that would be too long are scaled", () => {
  test.each([
    ["a light one among heavy ones", [262_143, 262_142, 262_141, 1]],
    ["primes", [65_537, 99_991, 104_729, 131_071]],
    ["many", equalMembers(4000).map((_, index) => 1000 + ((index * 7919) % 9000))],
  ])("%s", (_name, weights) => {
    const members = weights.map((weight, slot) => ({ slot, weight, hash: 0 }));
    expect(publish(main, SET, "weighted-round-robin", members)).toBe(0);
    const shares = smoothShares(weights);
    const period = shares.reduce((sum, share) => sum + share, 0);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const counts = countPicks(worker, SET, period);
    members.forEach(({ slot, weight }, index) => {
      expect(counts.get(slot)).toBe(shares[index]);
      expect(Math.abs((shares[index] ?? 0) / period - weight / total)).toBeLessThan(1.5 / 65_536);
    });
  });

  test("a scaled sequence is nginx's of the scaled weights", () => {
    const members = [99_991, 104_729, 7].map((weight, slot) => ({ slot, weight, hash: 0 }));
    publish(main, SET, "weighted-round-robin", members);
    const picked = smoothSequence(members).map((due) => [due, pickOnce(worker, SET)]);
    expect(picked.filter(([due, found]) => due !== found)).toEqual([]);
  });
});

describe("shares by weight", () => {
  const PICKS = 200_000;

  test.each([1, 2, 3, 50])("random over %i members", (count) => {
    const members = [...unequalMembers(count, 120), { slot: count, weight: 0, hash: 0 }];
    publish(main, SET, "random", members);
    expectShares(
      countPicks(worker, SET, PICKS),
      dueShares(
        members,
        candidatesOf(members, () => 0, []),
      ),
      PICKS,
    );
  });

  test("random with one heavy member set aside: the others keep their proportions", () => {
    const weights = [10_000, 1, 2, 3, 4];
    const members = weights.map((weight, slot) => ({ slot, weight, hash: 0 }));
    publish(main, SET, "random", members);
    main.eject(0);
    const due = dueShares(members, new Set([1, 2, 3, 4]));
    expectShares(countPicks(worker, SET, PICKS), due, PICKS);
  });

  test("least-connections and adaptive share by weight when nobody is loaded", () => {
    const members = [10, 20, 30, 40].map((weight, slot) => ({ slot, weight, hash: 0 }));
    for (const policy of ["least-connections", "adaptive"] as const) {
      publish(main, SET, policy, members);
      expectShares(countPicks(worker, SET, PICKS), dueShares(members, new Set([0, 1, 2, 3])), PICKS);
    }
  });

  test.each(["least-connections", "adaptive"] as const)("%s fills members by weight when requests stay", (policy) => {
    const members = [100, 200, 300].map((weight, slot) => ({ slot, weight, hash: 0 }));
    publish(main, SET, policy, members);
    const held = Array.from({ length: 600 }, () => worker.pick(SET, 0, -1, -1, -1));
    const inflight = [0, 1, 2].map((slot) => main.inflightOf(slot));
    for (const slot of held) worker.release(slot);
    inflight.forEach((count, slot) => {
      expect(Math.abs(count - 100 * (slot + 1)), `slot ${slot} holds ${count}`).toBeLessThanOrEqual(20);
    });
  });

  test.each([
    ["ring-hash", 0.35],
    ["maglev", 0.03],
  ] as const)("%s gives keys by weight within %d", (policy, tolerance) => {
    const members = equalMembers(5).map((member, slot) => ({ ...member, weight: 100 + 50 * slot }));
    publish(main, SET, policy, members);
    const counts = countPicks(worker, SET, PICKS);
    for (const [slot, share] of dueShares(members, new Set([0, 1, 2, 3, 4]))) {
      expect(Math.abs((counts.get(slot) ?? 0) / PICKS / share - 1), `slot ${slot}`).toBeLessThan(tolerance);
    }
  });
});

describe("consistent hashing", () => {
  /** Who owns each of many keys. */
  function ownersOf(policy: PolicyName, members: readonly ModelMember[]): number[] {
    publish(main, SET, policy, members);
    return Array.from({ length: 20_000 }, (_, key) => pickOnce(worker, SET, Math.imul(key, 0x9e3779b9)));
  }

  test.each(["ring-hash", "maglev"] as const)("%s: the order of members does not matter much, hashes do", (policy) => {
    const members = equalMembers(8);
    const forward = ownersOf(policy, members);
    const backward = ownersOf(policy, members.toReversed());
    const moved = forward.filter((slot, key) => slot !== backward[key]).length / forward.length;
    // A ring depends on hashes alone; a Maglev table is filled in turns, so it follows the order.
    expect(moved).toBeLessThan(policy === "ring-hash" ? 0.0001 : 0.8);
    const renamed = ownersOf(
      policy,
      members.map((member) => ({ ...member, hash: member.hash ^ 0x5bd1e995 })),
    );
    expect(forward.filter((slot, key) => slot !== renamed[key]).length / forward.length).toBeGreaterThan(0.8);
  });

  test("ring-hash: a key that falls on a point belongs to that point", () => {
    const members = equalMembers(4);
    publish(main, SET, "ring-hash", members);
    for (const { slot, hash } of members) {
      for (let point = 0; point < 160; point += 1) {
        const key = (mixHash(hash) + Math.imul(point, 0x9e3779b9)) | 0; // mixed once more, it is the point's place
        expect(pickOnce(worker, SET, key)).toBe(slot);
      }
    }
  });

  test("ring-hash: a member that goes takes only its own keys along", () => {
    const members = equalMembers(10);
    const before = ownersOf("ring-hash", members);
    const after = ownersOf(
      "ring-hash",
      members.filter(({ slot }) => slot !== 4),
    );
    before.forEach((slot, key) => {
      if (slot !== 4) expect(after[key]).toBe(slot);
      else expect(after[key]).not.toBe(4);
    });
  });

  test("ring-hash: an ejected member's keys come back to it, and nobody else's move", () => {
    const before = ownersOf("ring-hash", equalMembers(10));
    main.eject(4);
    const during = before.map((_, key) => pickOnce(worker, SET, Math.imul(key, 0x9e3779b9)));
    before.forEach((slot, key) => {
      if (slot !== 4) expect(during[key]).toBe(slot);
      else expect(during[key]).not.toBe(4);
    });
    main.restore(4);
    expect(before.map((_, key) => pickOnce(worker, SET, Math.imul(key, 0x9e3779b9)))).toEqual(before);
  });

  test("maglev: a member that goes moves few keys of the others", () => {
    const members = equalMembers(10);
    const before = ownersOf("maglev", members);
    const after = ownersOf(
      "maglev",
      members.filter(({ slot }) => slot !== 4),
    );
    const moved = before.filter((slot, key) => slot !== 4 && slot !== after[key]).length;
    expect(moved / before.length).toBeLessThan(0.05);
  });
});

test.each(Object.keys(POLICY_CODES) as PolicyName[])("%s works over ten thousand members", (policy) => {
  const members = unequalMembers(MANY, 300);
  expect(publish(main, SET, policy, members)).toBe(0);
  expect(main.memberCountOf(SET)).toBe(MANY);
  const counts = countPicks(worker, SET, policy === "least-connections" ? 500 : 50_000);
  expect([...counts.keys()].every((slot) => slot >= 0 && slot < MANY)).toBe(true);
  expect(counts.size).toBeGreaterThan(policy === "least-connections" ? 400 : 5_000);
});
