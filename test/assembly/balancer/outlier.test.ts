// Outlier detection and slow start in virtual time: who is set aside, who is not, and how one comes back.

import { beforeEach, describe, expect, test } from "vitest";
import {
  EJECTED_CONSECUTIVE,
  EJECTED_SILENT,
  EJECTED_SUCCESS_RATE,
  RESULT_FAILED,
  RESULT_OK,
  RESULT_UNKNOWN,
  STATE_EJECTED,
} from "../../../assembly/abi/balancer-codes.ts";
import type { BalancerExports, PolicyName } from "../../../src/wasm/balancer.ts";
import { mixHash } from "../../../src/wasm/hash.ts";
import { createFixture, equalMembers, NO_SKIP, publish } from "./fixture.ts";

const SET = 3;
const SERVICE = 2;
const SECOND = 1_000_000;

let main: BalancerExports;
let workers: readonly [BalancerExports, BalancerExports];
let nowUs = 0;

beforeEach(() => {
  const fixture = createFixture();
  main = fixture.main;
  workers = [fixture.startWorker(0, 5), fixture.startWorker(1, 6)];
  sleep(SECOND);
  main.setOutlier(SERVICE, 5, 512, 10_000, 1_000, 8_000, 512);
});

function sleep(us: number): void {
  nowUs += us;
  for (const exports of [main, ...workers]) exports.setTime(nowUs);
}

function members(count: number, policy: PolicyName = "round-robin"): void {
  expect(publish(main, SET, policy, equalMembers(count), SERVICE)).toBe(0);
}

/** One request of a worker; `answer` says how the instance takes it. Returns the slot. */
function request(answer: (slot: number) => number, worker: 0 | 1 = 0): number {
  const slot = workers[worker].pick(SET, 0, NO_SKIP, NO_SKIP, NO_SKIP);
  workers[worker].observeInstance(slot, 1_000, answer(slot));
  workers[worker].release(slot);
  return slot;
}

/** Requests spread over a time, both workers in turn; how many each slot got. */
function load(requests: number, overUs: number, answer: (slot: number) => number): number[] {
  const counts: number[] = [];
  for (let index = 0; index < requests; index += 1) {
    sleep(overUs / requests);
    const slot = request(answer, index % 2 === 0 ? 0 : 1);
    counts[slot] = (counts[slot] ?? 0) + 1;
  }
  return Array.from(counts, (count) => count ?? 0);
}

const isEjected = (slot: number) => (main.stateOf(slot) & STATE_EJECTED) !== 0;
const failing = (bad: number) => (slot: number) => (slot === bad ? RESULT_FAILED : RESULT_OK);

describe("failures in a row", () => {
  test.each([2, 3, 16])("eject one of %i, whichever worker sees them", (count) => {
    members(count);
    load(5 * count - 1, SECOND / 10, failing(count - 1));
    expect(isEjected(count - 1)).toBe(false);
    load(1, 1, failing(count - 1));
    expect(isEjected(count - 1)).toBe(true);
    expect(main.ejectionReason(count - 1)).toBe(EJECTED_CONSECUTIVE);
    expect(load(100, SECOND / 2, failing(count - 1))[count - 1] ?? 0).toBe(0);
  });

  test.each([
    "round-robin",
    "weighted-round-robin",
    "random",
    "least-connections",
    "ring-hash",
    "maglev",
    "adaptive",
  ] as const)("%s: one of three that fails at once gets less than 1 % after 2 s", (policy) => {
    members(3, policy);
    const answer = failing(1);
    const ask = (requests: number, overUs: number) => {
      let bad = 0;
      for (let index = 0; index < requests; index += 1) {
        sleep(overUs / requests);
        const slot = workers[0].pick(SET, Math.imul(index, 0x9e3779b9), NO_SKIP, NO_SKIP, NO_SKIP);
        workers[0].observeInstance(slot, slot === 1 ? 300 : 10_000, answer(slot));
        workers[0].release(slot);
        if (slot === 1) bad += 1;
      }
      return bad;
    };
    ask(400, 2 * SECOND);
    expect(ask(2_000, 10 * SECOND)).toBeLessThan(20);
  });

  test("are forgotten by a success, and a cancelled attempt says nothing", () => {
    members(3);
    const observe = (result: number) => workers[0].observeInstance(0, 100, result);
    for (const result of [1, 1, 1, 1, RESULT_OK, 1, 1, 1, 1]) observe(result);
    expect(isEjected(0)).toBe(false);
    for (let index = 0; index < 9; index += 1) observe(RESULT_UNKNOWN);
    expect(isEjected(0)).toBe(false);
    observe(RESULT_FAILED);
    expect(isEjected(0)).toBe(true);
  });

  test("eject nobody when all fail alike, hardly anybody when half of all requests fail", () => {
    members(6);
    for (let round = 0; round < 200; round += 1) load(6, SECOND / 20, () => RESULT_FAILED);
    expect([0, 1, 2, 3, 4, 5].filter(isEjected)).toEqual([]);
    let draw = 1;
    const coin = () => {
      draw += 1;
      return mixHash(draw) & 1;
    };
    sleep(60 * SECOND);
    load(60, SECOND, coin);
    let ejections = 0;
    for (let round = 0; round < 500; round += 1) {
      load(6, SECOND / 20, coin);
      ejections += [0, 1, 2, 3, 4, 5].filter(isEjected).length;
    }
    expect(ejections / 3_000).toBeLessThan(0.03); // the first failures look like a row of one
  });

  test("never eject the last one, nor more than ejectedShareMax", () => {
    members(1);
    load(50, SECOND, () => RESULT_FAILED);
    expect(isEjected(0)).toBe(false);
    main.setOutlier(SERVICE, 5, 512, 10_000, 60_000, 60_000, 256);
    members(8);
    load(800, SECOND, (slot) => (slot < 4 ? RESULT_FAILED : RESULT_OK));
    expect([0, 1, 2, 3, 4, 5, 6, 7].filter(isEjected)).toHaveLength(2);
  });
});

test("a poor success rate ejects, a bad day of all does not", () => {
  members(4);
  let turn = 0;
  // Three of four answers of slot 2 are failures, never five in a row.
  load(400, 5 * SECOND, (slot) => {
    if (slot !== 2) return RESULT_OK;
    turn += 1;
    return turn % 4 === 0 ? RESULT_OK : RESULT_FAILED;
  });
  expect(main.ejectionReason(2)).toBe(EJECTED_SUCCESS_RATE);

  main.clearSet(SET);
  main.setInstance(8, 100, 1);
  const others = [8, 9, 10, 11].map((slot) => ({ slot, weight: 100, hash: slot }));
  expect(publish(main, SET, "round-robin", others, SERVICE)).toBe(0);
  const turns = new Map<number, number>();
  load(400, 5 * SECOND, (slot) => {
    turns.set(slot, (turns.get(slot) ?? 0) + 1);
    return (turns.get(slot) ?? 0) % 4 === 0 ? RESULT_OK : RESULT_FAILED;
  });
  expect(others.filter(({ slot }) => isEjected(slot))).toEqual([]);
});

describe("the way back", () => {
  test("is one request after the ejection; each failure doubles the time, up to the maximum", () => {
    members(3);
    load(15, 15, failing(1));
    const gaps: number[] = [];
    let since = nowUs;
    while (gaps.length < 6) {
      sleep(10_000);
      if (request(failing(1)) !== 1) continue;
      gaps.push((nowUs - since) / SECOND);
      since = nowUs;
    }
    for (const [index, least] of [1, 2, 4, 8, 8, 8].entries()) {
      expect(gaps[index]).toBeGreaterThanOrEqual(least);
      expect(gaps[index]).toBeLessThan(least * 1.125 + 0.05);
    }
    for (let waited = 0; isEjected(1) && waited < 1_000; waited += 1) {
      sleep(10_000);
      request(() => RESULT_OK);
    }
    expect(isEjected(1)).toBe(false);
    expect(load(30, SECOND, () => RESULT_OK)).toEqual([10, 10, 10]);
  });

  test("lets no second request in while the first is under way, and another when it told nothing", () => {
    members(3);
    load(15, 15, failing(1));
    sleep(2 * SECOND);
    const trial = workers[0].pick(SET, 0, NO_SKIP, NO_SKIP, NO_SKIP);
    expect(trial).toBe(1);
    expect(load(60, SECOND, () => RESULT_OK)[1]).toBe(0);
    workers[0].observeInstance(trial, 100, RESULT_UNKNOWN);
    workers[0].release(trial);
    expect(isEjected(1)).toBe(true);
    expect(request(() => RESULT_OK)).toBe(1);
    expect(isEjected(1)).toBe(false);
  });

  test("is not opened by an answer of before the ejection, nor closed by a failure of before", () => {
    members(3);
    workers[1].adopt(1);
    workers[1].adopt(1);
    load(15, 15, failing(1));
    workers[1].observeInstance(1, 100, RESULT_OK);
    expect(isEjected(1)).toBe(true);
    workers[1].observeInstance(1, 100, RESULT_FAILED);
    sleep(1_130_000);
    expect(request(() => RESULT_OK)).toBe(1);
  });

  test("is never taken by a retry", () => {
    members(3);
    load(15, 15, failing(1));
    sleep(2 * SECOND);
    for (let index = 0; index < 20; index += 1) {
      const slot = workers[0].pick(SET, 0, 0, NO_SKIP, NO_SKIP);
      workers[0].release(slot);
      expect(slot).toBe(2);
    }
  });
});

test("a silent instance is set aside at once, within the same bounds, and back when it speaks", () => {
  members(3);
  expect(workers[1].markSilent(2)).toBe(1);
  expect(workers[0].markSilent(2)).toBe(0);
  expect(main.ejectionReason(2)).toBe(EJECTED_SILENT);
  expect(workers[0].markSilent(1)).toBe(0); // half of three is one
  expect(load(30, SECOND / 2, () => RESULT_OK)[2] ?? 0).toBe(0);
  expect(workers[0].clearSilent(2)).toBe(1);
  expect(workers[0].clearSilent(2)).toBe(0);
  expect(load(30, SECOND, () => RESULT_OK)).toEqual([10, 10, 10]);
});

describe("slow start", () => {
  const share = (policy: PolicyName, requests: number) => {
    const counts: number[] = [0, 0, 0, 0];
    for (let index = 0; index < requests; index += 1) {
      const slot = request(() => RESULT_OK);
      counts[slot] = (counts[slot] ?? 0) + 1;
    }
    expect(policy).toBeDefined();
    return (counts[3] ?? 0) / requests;
  };

  test.each(["round-robin", "weighted-round-robin", "random", "least-connections", "adaptive"] as const)(
    "%s: a newcomer ramps from a tenth of its share to all of it",
    (policy) => {
      main.setSlowStart(SERVICE, 10_000);
      members(3, policy);
      sleep(60 * SECOND);
      members(4, policy);
      const young = share(policy, 4_000);
      sleep(5 * SECOND);
      const half = share(policy, 4_000);
      sleep(5 * SECOND);
      const full = share(policy, 4_000);
      expect(young).toBeLessThan(0.06);
      expect(young).toBeGreaterThan(0.01);
      expect(half).toBeGreaterThan(young * 2);
      expect(half).toBeLessThan(0.2);
      expect(full).toBeGreaterThan(0.2);
    },
  );

  test("nobody is new when the service is, and a single newcomer is taken all the same", () => {
    main.setSlowStart(SERVICE, 10_000);
    members(4);
    expect(share("round-robin", 400)).toBe(0.25);
    expect(publish(main, SET, "random", [{ slot: 9, weight: 1, hash: 0 }], SERVICE)).toBe(0);
    expect(request(() => RESULT_OK)).toBe(9);
  });
});
