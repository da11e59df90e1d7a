// A request that can be sent only once goes to whom is known to answer, and starves nobody; in virtual time.

import { beforeEach, expect, test } from "vitest";
import { RESULT_FAILED, RESULT_OK, STATE_EJECTED } from "../../../assembly/abi/balancer-codes.ts";
import type { BalancerExports, PolicyName } from "../../../src/wasm/balancer.ts";
import { createFixture, equalMembers, NO_SKIP, publish } from "./fixture.ts";

const SET = 3;
const SERVICE = 2;
const SECOND = 1_000_000;
const COUNT = 4;
const BAD = 3;

let main: BalancerExports;
let worker: BalancerExports;
let nowUs: number;

beforeEach(() => {
  const fixture = createFixture();
  main = fixture.main;
  worker = fixture.startWorker(0, 5);
  nowUs = 0;
  pass(SECOND);
  main.setOutlier(SERVICE, 5, 512, 10_000, 1_000, 8_000, 512);
});

function pass(us: number): void {
  nowUs += us;
  for (const exports of [main, worker]) exports.setTime(nowUs);
}

function members(policy: PolicyName = "adaptive", count = COUNT): void {
  expect(publish(main, SET, policy, equalMembers(count), SERVICE)).toBe(0);
}

const take = (isOnce: boolean) => worker[isOnce ? "pickOnce" : "pick"](SET, 0, NO_SKIP, NO_SKIP, NO_SKIP);

function end(slot: number, result: number, us = 5_000): void {
  worker.observeInstance(slot, us, result);
  worker.release(slot);
}

/** Requests one after another, one in five to be sent only once; those of them that each slot got. */
function mixedLoad(requests: number, result: (slot: number) => number): number[] {
  const once = Array.from({ length: COUNT }, () => 0);
  for (let index = 0; index < requests; index += 1) {
    const isOnce = index % 5 === 4;
    const slot = take(isOnce);
    pass(5_000);
    end(slot, result(slot));
    if (isOnce) once[slot] = (once[slot] ?? 0) + 1;
  }
  return once;
}

const failing = (slot: number) => (slot === BAD ? RESULT_FAILED : RESULT_OK);
const isEjected = () => (main.stateOf(BAD) & STATE_EJECTED) !== 0;

test("who fails from the first is found out by others, and tried by others again", () => {
  members();
  const once = mixedLoad(8_000, failing); // forty seconds, with several trials
  expect(once[BAD]).toBe(0);
  expect(Math.min(...once.slice(0, BAD))).toBeGreaterThan(300);
});

test("who comes to fail gets no more of them before it is ejected", () => {
  members();
  mixedLoad(400, () => RESULT_OK);
  worker.adopt(BAD);
  end(BAD, RESULT_FAILED);
  expect(isEjected()).toBe(false);
  for (let index = 0; index < 200; index += 1) {
    const slot = take(true);
    expect(slot).not.toBe(BAD);
    end(slot, RESULT_OK);
    pass(2_000);
  }
});

test("who owes an answer for longer than they take is let alone, until it speaks", () => {
  members();
  mixedLoad(400, () => RESULT_OK);
  let stuck = take(false);
  for (; stuck !== BAD; stuck = take(false)) end(stuck, RESULT_OK);
  pass(100_000);
  for (let slot = 0; slot < BAD; slot += 1) {
    worker.adopt(slot);
    end(slot, RESULT_OK);
  }
  for (let index = 0; index < 200; index += 1) {
    const slot = take(true);
    expect(slot).not.toBe(BAD);
    end(slot, RESULT_OK);
    pass(1_000);
  }
  end(BAD, RESULT_OK);
  const slots = Array.from({ length: 400 }, () => {
    const slot = take(true);
    end(slot, RESULT_OK);
    return slot;
  });
  expect(slots).toContain(BAD);
});

test("where nobody else finds out, each is tried, one at a time", () => {
  members();
  const counts = new Map<number, number>();
  for (let index = 0; index < 200; index += 1) {
    const slot = take(true);
    pass(5_000);
    end(slot, RESULT_OK);
    counts.set(slot, (counts.get(slot) ?? 0) + 1);
  }
  expect(counts.size).toBe(COUNT);
});

test("where nobody else finds out, who was ejected has its trial", () => {
  members();
  for (let index = 0; index < 5; index += 1) {
    worker.adopt(BAD);
    end(BAD, RESULT_FAILED);
  }
  expect(isEjected()).toBe(true);
  let tried = 0;
  for (let index = 0; index < 400 && isEjected(); index += 1) {
    const slot = take(true);
    if (slot === BAD) tried += 1;
    pass(10_000);
    end(slot, RESULT_OK);
  }
  expect(tried).toBe(1);
  expect(isEjected()).toBe(false);
});

test("where nobody is known to be good, all get theirs", () => {
  members();
  const slots = Array.from({ length: 40 }, () => take(true)); // none of them answers
  expect(new Set(slots).size).toBe(COUNT);
  for (const slot of slots) end(slot, RESULT_FAILED);
  const after = Array.from({ length: 200 }, () => take(true));
  expect(new Set(after).size).toBe(COUNT);
});

test("other policies promise shares, and keep them", () => {
  members("round-robin");
  worker.adopt(0);
  end(0, RESULT_FAILED);
  const slots = Array.from({ length: 8 }, () => take(true));
  expect(slots).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
});
