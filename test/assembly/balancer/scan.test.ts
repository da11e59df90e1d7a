// Adaptive over a small set: near-equal instances share, where there is little to do too; slower ones get less.

import { beforeEach, describe, expect, test } from "vitest";
import { RESULT_OK } from "../../../assembly/abi/balancer-codes.ts";
import type { BalancerExports } from "../../../src/wasm/balancer.ts";
import { createFixture, equalMembers, pickOnce, publish } from "./fixture.ts";

const SET = 3;
const SERVICE = 2;
const PICKS = 3_000;
/** Few enough that no request meets another. */
const GAP_US = 20_000;

let main: BalancerExports;
let worker: BalancerExports;
let nowUs = 0;

beforeEach(() => {
  const fixture = createFixture();
  main = fixture.main;
  worker = fixture.startWorker(0, 7);
  sleep(1_000_000);
});

function sleep(us: number): void {
  nowUs += us;
  main.setTime(nowUs);
  worker.setTime(nowUs);
}

/** Shares where one request follows another, and each takes what its instance takes. */
function sharesOf(latenciesUs: readonly number[], hasReports: boolean): number[] {
  expect(publish(main, SET, "adaptive", equalMembers(latenciesUs.length), SERVICE)).toBe(0);
  const counts = latenciesUs.map(() => 0);
  for (let index = 0; index < PICKS; index += 1) {
    sleep(GAP_US);
    const slot = pickOnce(worker, SET);
    const us = latenciesUs[slot] ?? 0;
    worker.observeInstance(slot, us, RESULT_OK);
    if (hasReports) worker.report(slot, 0, us, 0);
    counts[slot] = (counts[slot] ?? 0) + 1;
  }
  return counts.map((count) => count / PICKS);
}

describe.each([
  ["by reports", true],
  ["without reports", false],
] as const)("one request at a time, %s", (_name, hasReports) => {
  test.each([2, 3, 7, 16, 24])("%i equal instances get the same", (count) => {
    for (const share of sharesOf(new Array<number>(count).fill(5_000), hasReports)) {
      expect(share * count).toBeGreaterThan(0.7);
      expect(share * count).toBeLessThan(1.3);
    }
  });

  test.each([4_100, 5_000, 6_000, 7_300, 8_190])("%i µs each: one that is a little faster does not get all", (us) => {
    const shares = sharesOf([us, us / 1.05, us], hasReports);
    expect(Math.min(...shares)).toBeGreaterThan(0.1);
    expect(Math.max(...shares)).toBe(shares[1]);
  });

  test("who is twice as slow gets next to nothing", () => {
    const shares = sharesOf([5_000, 10_000, 5_000], hasReports);
    expect(shares[1]).toBeLessThan(0.05);
    expect(Math.min(shares[0]!, shares[2]!)).toBeGreaterThan(0.4);
  });
});

test.each(["measured", "never measured"])("those beside one that is set aside share alike, %s", (how) => {
  expect(publish(main, SET, "adaptive", equalMembers(5), SERVICE)).toBe(0);
  if (how === "measured") for (let slot = 0; slot < 5; slot += 1) worker.observeInstance(slot, 5_000, RESULT_OK);
  main.eject(1);
  const counts = [0, 0, 0, 0, 0];
  for (let index = 0; index < PICKS; index += 1) {
    const slot = pickOnce(worker, SET);
    counts[slot] = (counts[slot] ?? 0) + 1;
  }
  expect(counts[1]).toBe(0);
  for (const slot of [0, 2, 3, 4]) expect(Math.abs(counts[slot]! / PICKS - 0.25)).toBeLessThan(0.05);
});
