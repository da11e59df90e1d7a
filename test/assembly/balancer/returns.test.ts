// Who was away and is back is a newcomer: what its former life has left does not hold it back.

import { beforeEach, describe, expect, test } from "vitest";
import { EJECTED_CONSECUTIVE, RESULT_FAILED, RESULT_OK, STATE_EJECTED } from "../../../assembly/abi/balancer-codes.ts";
import type { BalancerExports } from "../../../src/wasm/balancer.ts";
import { createFixture, equalMembers, pickOnce, publish } from "./fixture.ts";

const SET = 3;
const SERVICE = 5;
const SECOND = 1_000_000;
const SLOW_START_MS = 10_000;

let main: BalancerExports;
let worker: BalancerExports;
let nowUs = 0;

beforeEach(() => {
  const fixture = createFixture();
  main = fixture.main;
  worker = fixture.startWorker(0, 7);
  sleep(SECOND);
  main.setOutlier(SERVICE, 5, 512, 10_000, 1_000, 60_000, 512);
  main.setSlowStart(SERVICE, SLOW_START_MS);
  expect(publish(main, SET, "adaptive", equalMembers(3), SERVICE)).toBe(0);
  for (let round = 0; round < 20; round += 1) for (const slot of [0, 1, 2]) finish(slot, RESULT_OK);
});

function sleep(us: number): void {
  nowUs += us;
  for (const exports of [main, worker]) exports.setTime(nowUs);
}

/** Ten requests a second and their answers, in turn with reports where there are any; how many slot 1 got. */
function serve(seconds: number, reports: boolean): number {
  let taken = 0;
  for (let index = 0; index < seconds * 10; index += 1) {
    sleep(SECOND / 10);
    if (reports) for (const slot of [0, 2]) worker.report(slot, 0, 10_000, 0);
    const slot = pickOnce(worker, SET);
    worker.observeInstance(slot, 10_000, RESULT_OK);
    if (slot === 1) taken += 1;
  }
  return taken;
}

function finish(slot: number, result: number): void {
  worker.observeInstance(slot, result === RESULT_OK ? 10_000 : 1_000, result);
}

/** Its process is killed under load: everything fails, and then there is nobody. */
function fell(slot: number): void {
  for (let index = 0; index < 6; index += 1) finish(slot, RESULT_FAILED);
  worker.noteAway(slot);
}

describe.each([true, false])("an instance whose failures got it ejected (reports: %s)", (reports) => {
  test("that went away and is back gets requests at once, fewer at first", () => {
    fell(1);
    expect(main.ejectionReason(1)).toBe(EJECTED_CONSECUTIVE);
    sleep(SECOND / 2);
    expect(worker.isAway(1)).toBe(1);
    expect(worker.noteBack(1)).toBe(1);
    expect(worker.noteBack(1)).toBe(0);
    expect(main.stateOf(1) & STATE_EJECTED).toBe(0);
    const first = serve(3, reports);
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(10); // the ramp
    expect(serve(10, reports)).toBeGreaterThan(15);
  });

  test("that was there all the time is known by the answer of its trial, not by the failures before", () => {
    for (let index = 0; index < 6; index += 1) finish(1, RESULT_FAILED);
    expect(worker.noteBack(1)).toBe(0);
    sleep(2 * SECOND);
    expect(pickOnce(worker, SET)).toBe(1);
    finish(1, RESULT_OK);
    expect(main.ejectionReason(1)).toBe(0);
    expect(serve(3, reports)).toBeGreaterThan(3);
  });
});

test("its old report is not believed any more", () => {
  for (let round = 0; round < 30; round += 1) for (const slot of [0, 1, 2]) worker.report(slot, 2, 10_000, 0);
  worker.report(1, 500, 900_000, 0);
  worker.noteAway(1);
  worker.noteBack(1);
  sleep(SLOW_START_MS * 1_000);
  expect(serve(2, true)).toBeGreaterThan(3);
});

test("one that was set aside by hand stays aside", () => {
  worker.eject(1);
  worker.noteAway(1);
  worker.noteBack(1);
  expect(main.stateOf(1) & STATE_EJECTED).toBe(STATE_EJECTED);
});

test("one that drained and reports again is a newcomer", () => {
  for (let index = 0; index < 4; index += 1) finish(1, RESULT_FAILED);
  worker.report(1, 0, 0, 1);
  expect(serve(1, true)).toBe(0);
  worker.report(1, 0, 0, 0);
  expect(serve(4, true)).toBeGreaterThan(0);
});

test("one that comes and goes is set aside for longer each time", () => {
  const times = [1, 2, 3].map(() => {
    fell(1);
    const begun = nowUs;
    while (pickOnce(worker, SET) !== 1) sleep(SECOND / 20);
    worker.noteBack(1);
    return nowUs - begun;
  });
  expect(times[1]).toBeGreaterThan(times[0]! * 1.4);
  expect(times[2]).toBeGreaterThan(times[1]! * 1.4);
});
