// What adaptive knows of instances: reports and their laws, the average of our own, the estimate for our own reports.

import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import {
  EJECTED_DRAINING,
  RESULT_FAILED,
  RESULT_OK,
  RESULT_SLOW,
  STATE_EJECTED,
} from "../../../assembly/abi/balancer-codes.ts";
import type { BalancerExports } from "../../../src/wasm/balancer.ts";
import { createFixture, equalMembers, NO_SKIP, pickOnce, publish } from "./fixture.ts";

const SET = 2;
const SERVICE = 4;
const SECOND = 1_000_000;

let main: BalancerExports;
let workers: readonly [BalancerExports, BalancerExports];
let nowUs = 0;

beforeEach(() => {
  const fixture = createFixture();
  main = fixture.main;
  workers = [fixture.startWorker(0, 5), fixture.startWorker(1, 6)];
  sleep(SECOND);
});

function sleep(us: number): void {
  nowUs += us;
  for (const exports of [main, ...workers]) exports.setTime(nowUs);
}

function members(count: number): void {
  expect(publish(main, SET, "adaptive", equalMembers(count), SERVICE)).toBe(0);
}

function countPicks(count: number): number[] {
  const counts = new Array<number>(8).fill(0);
  for (let index = 0; index < count; index += 1) {
    const slot = pickOnce(workers[index % 2 === 0 ? 0 : 1], SET);
    counts[slot] = (counts[slot] ?? 0) + 1;
  }
  return counts;
}

describe("reports", () => {
  const told = fc.record({ inflight: fc.integer({ min: 0, max: 60 }), latencyUs: fc.integer({ min: 1, max: 99_999 }) });

  test("never lead to one that has more to do and takes longer", () => {
    fc.assert(
      fc.property(fc.array(told, { minLength: 2, maxLength: 5 }), (reports) => {
        members(reports.length);
        sleep(5 * SECOND);
        for (const [slot, { inflight, latencyUs }] of reports.entries())
          workers[0].report(slot, inflight, latencyUs, 0);
        const slot = pickOnce(workers[1], SET);
        const picked = reports[slot]!;
        const isDominated = reports.some((other) => {
          return other.inflight < picked.inflight && other.latencyUs * 1.9 < picked.latencyUs;
        });
        expect(isDominated).toBe(false);
      }),
    );
  });

  test("where all are hot, the one with the fewest requests is taken, and our own count at once", () => {
    members(3);
    for (let round = 0; round < 100; round += 1)
      for (let slot = 0; slot < 3; slot += 1) workers[0].report(slot, 0, 500, 0);
    const loads = [30, 20, 25];
    for (const [slot, inflight] of loads.entries()) workers[0].report(slot, inflight, 500, 0);
    for (let sent = 0; sent < 12; sent += 1) {
      const slot = workers[sent % 2 === 0 ? 0 : 1].pick(SET, 0, NO_SKIP, NO_SKIP, NO_SKIP);
      expect(loads[slot]).toBe(Math.min(...loads));
      loads[slot] = (loads[slot] ?? 0) + 1;
    }
  });

  test("our own part is not counted twice", () => {
    members(2);
    for (let one = 0; one < 10; one += 1) workers[0].adopt(0);
    workers[1].report(0, 10, 1_000, 0); // all of them are ours
    workers[1].report(1, 8, 1_000, 0); // all of them are others'
    expect(countPicks(20)[1]).toBe(20);
    for (let one = 0; one < 5; one += 1) workers[0].release(0);
    expect(countPicks(10)[0]).toBe(10);
  });

  test("an instance that looked idle gets a bounded number of requests for it", () => {
    members(2);
    for (let round = 0; round < 60; round += 1) {
      workers[0].report(0, 20, 1_000, 0);
      workers[0].report(1, 20, 1_000, 0);
    }
    workers[0].report(0, 15, 1_000, 0);
    workers[0].report(1, 0, 1_000, 0);
    expect(countPicks(16)[1]).toBe(16); // each is answered before the next is sent
    expect(countPicks(16)[0]).toBe(16); // now it counts as the average of all reports, about 19
  });

  test("are forgotten after three seconds", () => {
    members(2);
    workers[0].report(0, 0, 100, 0);
    workers[0].report(1, 500, 9_000, 0);
    expect(countPicks(50)[0]).toBe(50);
    sleep(3 * SECOND + 1);
    expect(countPicks(200)[1]).toBeGreaterThan(50);
  });

  test("set a draining instance aside until it says otherwise", () => {
    members(3);
    workers[0].report(1, 0, 100, 1);
    expect(main.ejectionReason(1)).toBe(EJECTED_DRAINING);
    expect(countPicks(60)[1]).toBe(0);
    workers[1].report(1, 0, 100, 0);
    expect(main.ejectionReason(1)).toBe(0);
  });
});

describe("without reports", () => {
  test("one of three that is sixteen times slower gets less than 1 % after its first answers", () => {
    members(3);
    const observe = (slot: number) => workers[0].observeInstance(slot, slot === 1 ? 160_000 : 10_000, RESULT_OK);
    for (const slot of [0, 1, 2]) observe(slot);
    let slow = 0;
    for (let index = 0; index < 2_000; index += 1) {
      sleep(5_000);
      const slot = pickOnce(workers[0], SET);
      observe(slot);
      if (slot === 1) slow += 1;
    }
    expect(slow).toBeLessThan(20);
  });

  test("a slow first answer is held against nobody for longer than a second, a second one is", () => {
    members(3);
    const observe = (slot: number, us: number) => workers[0].observeInstance(slot, us, RESULT_OK);
    for (let round = 0; round < 2; round += 1) for (const slot of [0, 2]) observe(slot, 5_000);
    observe(1, 240_000);
    const ask = (times: number, slowUs: number) => {
      let asked = 0;
      for (let index = 0; index < times; index += 1) {
        sleep(20_000);
        const slot = pickOnce(workers[0], SET);
        if (slot === 1) asked += 1;
        observe(slot, slot === 1 ? slowUs : 5_000);
      }
      return asked;
    };
    expect(ask(40, 240_000)).toBe(0);
    expect(ask(20, 240_000)).toBe(1);
    expect(ask(100, 240_000)).toBe(0); // it is slow
    main.noteAway(1);
    main.noteBack(1); // a new process
    expect(ask(1, 240_000) + ask(1, 240_000) + ask(1, 240_000)).toBe(1);
    expect(ask(200, 5_000)).toBeGreaterThan(20); // it was cold
  });

  test("one that was slow is tried again when nobody has asked it for long", () => {
    members(2);
    workers[0].observeInstance(0, 10_000, RESULT_OK);
    workers[0].observeInstance(1, 40_000, RESULT_OK);
    expect(countPicks(50)[1]).toBe(0);
    let tried = 0;
    for (let second = 0; second < 120; second += 1) {
      sleep(SECOND);
      const slot = pickOnce(workers[0], SET);
      if (slot === 1) tried += 1;
      else workers[0].observeInstance(slot, 10_000, RESULT_OK);
    }
    expect(tried).toBeGreaterThan(0);
  });

  test("an attempt given up for a faster one takes at least that long: none becomes faster by it, none fails", () => {
    members(3);
    const observe = (slot: number, us: number, result: number) => {
      workers[0].pick(SET, 0, NO_SKIP, NO_SKIP, NO_SKIP);
      workers[0].observeInstance(slot, us, result);
    };
    for (let slot = 0; slot < 3; slot += 1) observe(slot, 1_000, RESULT_OK);
    observe(0, 500_000, RESULT_SLOW);
    expect(countPicks(200)[0]).toBeLessThan(4);
    for (let round = 0; round < 50; round += 1) observe(0, 10, RESULT_SLOW);
    expect(countPicks(200)[0]).toBeLessThan(4);
    for (let slot = 0; slot < 3; slot += 1) expect(main.stateOf(slot) & STATE_EJECTED).toBe(0);
  });

  test("failures count as slow, however fast they are", () => {
    members(2);
    for (const slot of [0, 1]) workers[0].observeInstance(slot, 10_000, RESULT_OK);
    workers[0].observeInstance(1, 200, RESULT_FAILED);
    expect(countPicks(50)[1]).toBe(0);
  });
});

describe("the estimate for our own reports", () => {
  test("is the median of what was taken at or beside the present load", () => {
    for (const us of [100, 300, 200]) workers[0].recordEstimate(7, us);
    expect(workers[1].estimateLatency(7)).toBe(200);
    for (let one = 0; one < 10; one += 1) workers[0].adopt(7);
    expect(workers[1].estimateLatency(7)).toBe(0);
    for (let index = 0; index < 40; index += 1) workers[index % 2 === 0 ? 0 : 1].recordEstimate(7, 5_000);
    workers[0].release(7);
    expect(workers[1].estimateLatency(7)).toBe(5_000);
  });

  test("forgets after a second", () => {
    workers[0].recordEstimate(7, 100);
    sleep(SECOND);
    expect(main.estimateLatency(7)).toBe(100);
    sleep(2_000);
    expect(main.estimateLatency(7)).toBe(0);
  });
});
