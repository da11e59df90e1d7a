// How long things live: member blocks until no worker can read them, slots until nothing refers to them.

import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import {
  COMMIT_ARENA_FULL,
  COMMIT_OK,
  MODE_ALL,
  MODE_NONE,
  MODE_PANIC,
  MODE_SOME,
  MODE_UNKNOWN,
  STATE_DRAINING,
  STATE_EJECTED,
  STATE_REMOVED,
  STATE_UNHEALTHY,
} from "../../../assembly/abi/balancer-codes.ts";
import { INSTANCES_MAX, SETS_MAX } from "../../../assembly/abi/balancer-table.ts";
import { POLICY_CODES, type PolicyName } from "../../../src/wasm/balancer.ts";
import { clearStates, createFixture, equalMembers, NO_SKIP, pickOnce, publish } from "./fixture.ts";

const POLICIES = Object.keys(POLICY_CODES) as PolicyName[];

describe("member blocks", () => {
  const { main, startWorker } = createFixture();
  const first = startWorker(0);
  const second = startWorker(1);

  beforeEach(() => {
    first.quiesce();
    second.quiesce();
    for (let set = 0; set < 8; set += 1) main.clearSet(set);
    main.reclaim();
    expect(main.arenaUsed()).toBe(0);
  });

  test("are freed at once while nobody reads", () => {
    publish(main, 0, "round-robin", equalMembers(10));
    const used = main.arenaUsed();
    publish(main, 0, "round-robin", equalMembers(10));
    expect(main.arenaUsed()).toBe(used);
  });

  test("stay while a worker that picked before has not quiesced, and go when it has", () => {
    publish(main, 0, "round-robin", equalMembers(10));
    const used = main.arenaUsed();
    pickOnce(first, 0);
    publish(main, 0, "round-robin", equalMembers(10));
    publish(main, 0, "round-robin", equalMembers(10));
    expect(main.arenaUsed()).toBe(3 * used);
    pickOnce(second, 0); // pins a later epoch: it reads the newest block only
    expect(main.reclaim()).toBe(0);
    first.quiesce();
    expect(main.reclaim()).toBe(2);
    expect(main.arenaUsed()).toBe(used);
  });

  test("a pin holds to the end of the turn, not of the pick, and a new turn pins anew", () => {
    publish(main, 0, "round-robin", equalMembers(10));
    pickOnce(first, 0);
    publish(main, 0, "round-robin", equalMembers(10));
    pickOnce(first, 0);
    expect(main.reclaim()).toBe(0);
    first.quiesce();
    pickOnce(first, 0);
    expect(main.reclaim()).toBe(1);
  });

  test("a dead worker holds nothing back", () => {
    const dying = startWorker(2);
    publish(main, 0, "round-robin", equalMembers(10));
    pickOnce(dying, 0);
    publish(main, 0, "round-robin", equalMembers(10));
    expect(main.reclaim()).toBe(0);
    main.clearWorker(2);
    expect(main.reclaim()).toBe(1);
  });

  test("ten thousand republications of changing size neither grow nor crumble the arena", () => {
    const sizes = [1, 3, 17, 100, 250, 999];
    let most = 0;
    let published = 0;
    for (let round = 0; published < 10_000; round += 1) {
      const policy = POLICIES[round % POLICIES.length] ?? "random";
      // Maglev's and the ring's blocks are the big ones; a few of them are enough.
      const isBig = policy === "maglev" || policy === "ring-hash";
      const count = isBig ? 3 : (sizes[(round * 7) % sizes.length] ?? 1);
      if (isBig && round % 50 > 7) continue;
      expect(publish(main, round % 8, policy, equalMembers(count, 1 + (round % 3)))).toBe(COMMIT_OK);
      published += 1;
      pickOnce(round % 2 === 0 ? first : second, round % 8);
      if (round % 5 === 0) first.quiesce();
      if (round % 7 === 0) second.quiesce();
      most = Math.max(most, main.arenaUsed());
    }
    expect(most).toBeLessThan(4_000_000);
    first.quiesce();
    second.quiesce();
    for (let set = 0; set < 8; set += 1) main.clearSet(set);
    main.reclaim();
    expect(main.arenaUsed()).toBe(0);
    // One range again: the biggest block there is fits, several times over.
    for (let set = 0; set < 8; set += 1) expect(publish(main, set, "ring-hash", equalMembers(10_000))).toBe(COMMIT_OK);
  });

  test("a full arena refuses, leaves the set as it was, and takes again when there is room", () => {
    pickOnce(first, 0); // nothing to pick, but it pins
    const members = equalMembers(10_000);
    let set = 0;
    while (set < 100 && publish(main, set, "ring-hash", members) === COMMIT_OK) set += 1;
    expect(set).toBeGreaterThan(20);
    expect(set).toBeLessThan(100);
    const before = main.memberCountOf(0);
    expect(publish(main, 0, "ring-hash", equalMembers(9_999))).toBe(COMMIT_ARENA_FULL);
    expect(main.memberCountOf(0)).toBe(before);
    expect(pickOnce(first, 0, 77)).toBeGreaterThanOrEqual(0);
    for (let index = 0; index < set; index += 1) main.clearSet(index);
    first.quiesce();
    expect(publish(main, 0, "ring-hash", equalMembers(9_999))).toBe(COMMIT_OK);
    expect(main.memberCountOf(0)).toBe(9_999);
  });

  test.each([
    ["ascending", [4, 5, 6, 7, 8, 9]],
    ["descending", [9, 8, 7, 6, 5, 4]],
    ["mixed", [5, 9, 7, 4, 6, 8]],
  ])("holes that meet become one, freed in %s order", (_name, order) => {
    const members = equalMembers(10_000);
    let sets = 0;
    while (sets < 100 && publish(main, sets, "ring-hash", members) === COMMIT_OK) sets += 1;
    expect(publish(main, 0, "ring-hash", members)).toBe(COMMIT_ARENA_FULL);
    for (const set of order) main.clearSet(set);
    expect(publish(main, 4, "ring-hash", members)).toBe(COMMIT_OK); // compiling takes three holes in a row
    for (let set = 0; set < sets; set += 1) main.clearSet(set);
  });

  test("a list that was begun and never committed costs nothing", () => {
    main.beginSet(0, POLICY_CODES.random, 0, 1000);
    main.addMember(0, 1, 1);
    publish(main, 1, "random", equalMembers(3));
    main.clearSet(1);
    main.reclaim();
    expect(main.arenaUsed()).toBe(0);
    expect(main.memberCountOf(0)).toBe(0);
  });
});

describe("sets", () => {
  const { main, startWorker } = createFixture();
  const worker = startWorker(0);

  test("without members, or of weight 0 only, give nobody", () => {
    expect(pickOnce(worker, 0)).toBe(-1);
    publish(main, 0, "random", [{ slot: 0, weight: 0, hash: 0 }]);
    expect(pickOnce(worker, 0)).toBe(-1);
    expect(main.memberCountOf(0)).toBe(0);
    expect(main.modeOf(0)).toBe(MODE_UNKNOWN);
  });

  test("know their service", () => {
    publish(main, 3, "random", equalMembers(2), 42);
    expect(main.serviceOf(3)).toBe(42);
  });

  test("pass through their modes as members fail, drain and come back", () => {
    publish(main, 0, "round-robin", equalMembers(4));
    expect(main.modeOf(0)).toBe(MODE_ALL);
    main.eject(0);
    main.setState(1, STATE_UNHEALTHY, STATE_UNHEALTHY);
    expect(main.modeOf(0)).toBe(MODE_SOME); // exactly half is not more than half
    expect(main.eject(2)).toBe(1);
    expect(main.eject(2)).toBe(0);
    expect(main.modeOf(0)).toBe(MODE_PANIC);
    main.setState(0, STATE_DRAINING, STATE_DRAINING);
    main.setState(2, STATE_DRAINING, STATE_DRAINING);
    expect(main.modeOf(0)).toBe(MODE_SOME); // one of the two that stay
    for (const slot of [1, 3]) main.setState(slot, STATE_DRAINING, STATE_DRAINING);
    expect(main.modeOf(0)).toBe(MODE_NONE);
    expect(pickOnce(worker, 0)).toBe(-1);
    expect(main.stateOf(0)).toBe(STATE_EJECTED | STATE_DRAINING);
    expect(main.restore(0)).toBe(1);
    expect(main.stateOf(0)).toBe(STATE_DRAINING);
    clearStates(main, 4);
    expect(main.modeOf(0)).toBe(MODE_ALL);
  });

  test("a single member that is ejected is still used", () => {
    publish(main, 0, "adaptive", equalMembers(1));
    main.eject(0);
    expect(pickOnce(worker, 0)).toBe(0);
    expect(pickOnce(worker, 0, 0, [0])).toBe(0);
    main.restore(0);
  });

  test("are independent: the last number works like the first", () => {
    publish(main, SETS_MAX - 1, "round-robin", [{ slot: INSTANCES_MAX - 1, weight: 5, hash: 1 }]);
    expect(pickOnce(worker, SETS_MAX - 1)).toBe(INSTANCES_MAX - 1);
    expect(() => worker.pick(SETS_MAX, 0, NO_SKIP, NO_SKIP, NO_SKIP)).toThrow(WebAssembly.RuntimeError);
  });
});

describe("slots", () => {
  const { main, startWorker } = createFixture();
  const worker = startWorker(0);

  test("are idle before they are set, and after they are cleared and nothing is open", () => {
    const steps = fc.array(fc.constantFrom("adopt", "pendingAdded", "connectionOpened"), { maxLength: 8 });
    const ends = { adopt: "release", pendingAdded: "pendingRemoved", connectionOpened: "connectionClosed" } as const;
    let generation = 0;
    fc.assert(
      fc.property(steps, (opened) => {
        expect(main.slotIdle(7)).toBe(1);
        generation += 1;
        main.setInstance(7, 100, generation);
        expect(main.generationOf(7)).toBe(generation);
        expect(main.slotIdle(7)).toBe(0);
        for (const what of opened) worker[what as keyof typeof ends](7);
        main.clearInstance(7);
        expect(main.stateOf(7)).toBe(STATE_REMOVED);
        for (const what of opened) {
          expect(main.slotIdle(7)).toBe(0);
          worker[ends[what as keyof typeof ends]](7);
        }
        expect(main.slotIdle(7)).toBe(1);
      }),
    );
  });

  test("are not idle while a worker may still pick them from an old block", () => {
    publish(main, 0, "round-robin", [{ slot: 20, weight: 1, hash: 0 }]);
    pickOnce(worker, 0);
    publish(main, 0, "round-robin", [{ slot: 21, weight: 1, hash: 0 }]);
    main.clearInstance(20);
    expect(main.slotIdle(20)).toBe(0);
    worker.quiesce();
    expect(main.slotIdle(20)).toBe(1);
  });

  test("are not set anew while in use, nor with an old generation", () => {
    main.setInstance(30, 100, 5);
    expect(() => main.setInstance(30, 100, 6)).toThrow(WebAssembly.RuntimeError);
    main.clearInstance(30);
    expect(() => main.setInstance(30, 100, 5)).toThrow(WebAssembly.RuntimeError);
    main.setInstance(30, 70, 6);
    expect(main.weightOf(30)).toBe(70);
    main.setWeight(30, 80);
    expect(main.weightOf(30)).toBe(80);
    expect(main.stateOf(30)).toBe(0);
  });

  test("a release too many traps instead of going below zero", () => {
    expect(() => worker.release(40)).toThrow(WebAssembly.RuntimeError);
    expect(main.inflightOf(40)).toBe(0);
  });

  test("a dead worker's gauges are cleared, the others' stay", () => {
    const dying = startWorker(1);
    main.setInstance(50, 100, 1);
    for (const one of [worker, dying, dying]) {
      one.adopt(50);
      one.connectionOpened(50);
      one.pendingAdded(50);
    }
    main.clearWorker(1);
    expect([main.inflightOf(50), main.connectionsOf(50), main.pendingOf(50)]).toEqual([1, 1, 1]);
  });

  test("what a dead worker had open weighs on nobody's choice, what others have does", () => {
    const SET = 9;
    const [second, dying] = [startWorker(2), startWorker(3)];
    publish(main, SET, "least-connections", [
      { slot: 60, weight: 100, hash: 0 },
      { slot: 61, weight: 100, hash: 0 },
    ]);
    for (let times = 0; times < 3; times += 1) dying.adopt(60);
    second.pendingAdded(61);
    second.adopt(61);
    expect(pickOnce(worker, SET)).toBe(61);
    main.clearWorker(3);
    expect(pickOnce(worker, SET)).toBe(60);
    second.pendingRemoved(61);
    second.release(61);
    worker.adopt(60);
    expect(pickOnce(second, SET)).toBe(61);
    worker.release(60);
    main.clearSet(SET);
  });

  test("nobody counts before `start`", () => {
    expect(() => main.adopt(0)).toThrow(WebAssembly.RuntimeError);
    expect(() => main.pick(0, 0, NO_SKIP, NO_SKIP, NO_SKIP)).toThrow(WebAssembly.RuntimeError);
    expect(() => main.admit(0, 0)).toThrow(WebAssembly.RuntimeError);
    expect(() => main.count(0, 1)).toThrow(WebAssembly.RuntimeError);
  });
});
