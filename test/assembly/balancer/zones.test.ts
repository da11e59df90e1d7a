// The own zone first: who is picked while it can bear it, while it cannot, and when it is gone.

import { beforeEach, describe, expect, test } from "vitest";
import { RESULT_OK, STATE_DRAINING } from "../../../assembly/abi/balancer-codes.ts";
import { POLICY_CODES, type PolicyName } from "../../../src/wasm/balancer.ts";
import { clearStates, countPicks, createFixture, equalMembers, NO_SKIP, pickOnce } from "./fixture.ts";

const POLICIES = Object.keys(POLICY_CODES) as PolicyName[];
const SET = 3;
const SERVICE = 4;
const MEMBERS = 9;
/** Slots 0, 3 and 6 are here. */
const isHere = (slot: number) => slot % 3 === 0;

const { main, startWorker } = createFixture();
const worker = startWorker(0, 7);
let nowUs = 1_000_000;

function publishZoned(policy: PolicyName, count = MEMBERS): void {
  main.beginSet(SET, POLICY_CODES[policy], SERVICE, count);
  main.preferLocal();
  for (const { slot, weight, hash } of equalMembers(count)) {
    if (main.generationOf(slot) === 0) main.setInstance(slot, weight, 1);
    main.setLocal(slot, isHere(slot) ? 1 : 0);
    main.addMember(slot, weight, hash);
  }
  expect(main.commitSet()).toBe(0);
}

/** Part of `count` picks that stay here. */
function shareHere(count: number): number {
  let here = 0;
  for (const [slot, times] of countPicks(worker, SET, count)) here += isHere(slot) ? times : 0;
  return here / count;
}

/** An answer of everybody after the same time, but here. */
function answer(hereUs: number, thereUs: number): void {
  nowUs += 100_000;
  worker.setTime(nowUs);
  for (let slot = 0; slot < MEMBERS; slot += 1) {
    worker.observeInstance(slot, isHere(slot) ? hereUs : thereUs, RESULT_OK);
  }
}

beforeEach(() => {
  worker.quiesce();
  main.clearSet(SET);
  clearStates(main, MEMBERS);
  publishZoned("random"); // sets the slots, the first time
  main.clearSet(SET);
  nowUs += 120_000_000; // what was measured has faded below this:
  answer(20_000, 20_000);
});

describe.each(POLICIES)("%s", (policy) => {
  test("stays in an idle zone, whoever there is set aside", () => {
    publishZoned(policy);
    expect(shareHere(2_000)).toBe(1);
    main.eject(3);
    const counts = countPicks(worker, SET, 2_000);
    expect([...counts.keys()].sort()).toEqual([0, 6]);
  });

  test("goes anywhere once most of the zone is set aside, or all of it drains", () => {
    publishZoned(policy);
    main.eject(0);
    main.eject(3);
    expect([...countPicks(worker, SET, 3_000).keys()].sort()).toEqual([1, 2, 4, 5, 6, 7, 8]);
    clearStates(main, MEMBERS);
    for (const slot of [0, 3, 6]) main.setState(slot, STATE_DRAINING, STATE_DRAINING);
    expect([...countPicks(worker, SET, 3_000).keys()].sort()).toEqual([1, 2, 4, 5, 7, 8]);
  });

  test("stays where the others are set aside", () => {
    publishZoned(policy);
    for (const slot of [1, 2, 4, 5]) main.eject(slot);
    expect([...countPicks(worker, SET, 2_000).keys()].sort()).toEqual([0, 3, 6]);
  });

  test("tries whoever was not tried yet, in any zone", () => {
    publishZoned(policy);
    for (let times = 0; times < 50; times += 1)
      expect([0, 3, 6]).not.toContain(pickOnce(worker, SET, times, [0, 3, 6]));
  });

  test("leaves a zone that is slower under its load, never quite, and comes back", () => {
    publishZoned(policy);
    for (const slot of [0, 3, 6]) for (let times = 0; times < 20; times += 1) worker.adopt(slot);
    answer(400_000, 20_000);
    shareHere(1_000);
    const slow = shareHere(4_000);
    expect(slow).toBeGreaterThan(0);
    expect(slow).toBeLessThan(0.1);
    answer(20_000, 600_000);
    shareHere(1_000);
    expect(shareHere(1_000)).toBe(1);
    for (const slot of [0, 3, 6]) for (let times = 0; times < 20; times += 1) worker.release(slot);
  });

  test("stays with much to do that takes as long elsewhere", () => {
    publishZoned(policy);
    for (const slot of [0, 3, 6]) for (let times = 0; times < 20; times += 1) worker.adopt(slot);
    answer(400_000, 390_000);
    expect(shareHere(2_000)).toBe(1);
    for (const slot of [0, 3, 6]) for (let times = 0; times < 20; times += 1) worker.release(slot);
  });
});

test("round robin is exact within the zone", () => {
  publishZoned("round-robin");
  expect(Object.fromEntries(countPicks(worker, SET, 300))).toEqual({ 0: 100, 3: 100, 6: 100 });
});

test("what a key leaves the zone for is always the same", () => {
  publishZoned("ring-hash");
  for (const slot of [0, 3, 6]) for (let times = 0; times < 20; times += 1) worker.adopt(slot);
  answer(400_000, 20_000);
  shareHere(1_000);
  const owners = new Map<number, Set<number>>();
  for (let times = 0; times < 2_000; times += 1) {
    const slot = pickOnce(worker, SET, times % 20);
    owners.set(times % 20, (owners.get(times % 20) ?? new Set()).add(slot));
  }
  // Keys at the edge of the share come and go with its steps.
  expect([...owners.values()].filter((slots) => slots.size === 1).length).toBeGreaterThan(15);
  for (const slot of [0, 3, 6]) for (let times = 0; times < 20; times += 1) worker.release(slot);
});

test("a set without zones to choose from is one set", () => {
  publishZoned("round-robin", 1);
  expect(worker.pick(SET, 0, NO_SKIP, NO_SKIP, NO_SKIP)).toBe(0);
  worker.release(0);
});

test("halves are freed with their set", () => {
  worker.quiesce();
  main.reclaim();
  const before = main.arenaUsed();
  for (const policy of POLICIES) publishZoned(policy);
  expect(main.arenaUsed()).toBeGreaterThan(before);
  main.clearSet(SET);
  main.reclaim();
  expect(main.arenaUsed()).toBe(before);
});
