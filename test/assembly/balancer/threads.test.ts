// Four real threads on one balancer: counts that are exact, sets that are never seen half-written, limits that hold.

import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { COMMIT_OK, COUNTER_REQUESTS, STATE_DRAINING } from "../../../assembly/abi/balancer-codes.ts";
import { POLICY_CODES, type PolicyName } from "../../../src/wasm/balancer.ts";
import { SharedCounters } from "../../../src/wasm/shared-memory.ts";
import {
  BOARD_CLOCK,
  BOARD_INSIDE_MOST,
  BOARD_PROGRESS,
  BOARD_PUBLISHED,
  BOARD_SLOTS,
  BOARD_STOP,
  BOARD_WITHDRAWN,
  BOARD_WORDS,
  type HammerData,
  type HammerReport,
  type Task,
} from "./board.ts";
import { createFixture, equalMembers, type Fixture, publish } from "./fixture.ts";

const THREADS = 4;
const POLICIES = Object.keys(POLICY_CODES) as PolicyName[];
const CHEAP_POLICIES = POLICIES.filter((policy) => policy !== "maglev");

function createBoard(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * BOARD_WORDS));
}

function startThread(fixture: Fixture, board: Int32Array, worker: number, task: Task, threads = THREADS): Worker {
  const { module, memory } = fixture;
  const workerData: HammerData = { module, memory, board, worker, threads, task };
  return new Worker(new URL("./hammer.ts", import.meta.url), { workerData });
}

/** What a thread reports; a thread that traps fails the test. */
async function reportOf(thread: Worker): Promise<HammerReport> {
  // Both at once: a thread's last message and its exit may be told in one go.
  const [[report]] = (await Promise.all([once(thread, "message"), once(thread, "exit")])) as [[HammerReport], unknown];
  return report;
}

/** Runs one task per thread to its end. */
async function runTasks(fixture: Fixture, tasks: readonly Task[], board = createBoard()): Promise<HammerReport[]> {
  return Promise.all(tasks.map((task, worker) => reportOf(startThread(fixture, board, worker, task, tasks.length))));
}

function sumCounts(reports: readonly HammerReport[]): Map<number, number> {
  const sums = new Map<number, number>();
  for (const { counts } of reports) {
    for (const [slot, count] of counts) sums.set(slot, (sums.get(slot) ?? 0) + count);
  }
  return sums;
}

function expectNothingOpen({ main }: Fixture, slots: number): void {
  for (let slot = 0; slot < slots; slot += 1) {
    expect([main.inflightOf(slot), main.connectionsOf(slot), main.pendingOf(slot)], `slot ${slot}`).toEqual([0, 0, 0]);
  }
}

describe("exact over four threads", () => {
  test.each([3, 7, 100])("round-robin: k·n picks over a still set of %i are k each", async (count) => {
    const fixture = createFixture();
    publish(fixture.main, 0, "round-robin", equalMembers(count));
    const rounds = 4 * Math.floor(100_000 / count); // per member; each thread does a quarter
    const picks = (rounds * count) / THREADS;
    const reports = await runTasks(fixture, Array<Task>(THREADS).fill({ type: "picks", set: 0, picks }));
    const counts = sumCounts(reports);
    expect(counts.size).toBe(count);
    for (const times of counts.values()) expect(times).toBe(rounds);
    expectNothingOpen(fixture, count);
  });

  test("weighted-round-robin: every period gives each its weight", async () => {
    const fixture = createFixture();
    const members = [5, 1, 1, 30, 12, 8].map((weight, slot) => ({ slot, weight, hash: 0 }));
    publish(fixture.main, 0, "weighted-round-robin", members);
    const periods = 4000;
    const picks = (57 * periods) / THREADS;
    const counts = sumCounts(await runTasks(fixture, Array<Task>(THREADS).fill({ type: "picks", set: 0, picks })));
    for (const { slot, weight } of members) expect(counts.get(slot)).toBe(weight * periods);
    expectNothingOpen(fixture, members.length);
  });

  test.each(POLICIES)("%s: counts end at zero", async (policy) => {
    const fixture = createFixture();
    publish(fixture.main, 0, policy, equalMembers(10));
    const task: Task = { type: "picks", set: 0, picks: 20_000 };
    const reports = await runTasks(fixture, Array<Task>(THREADS).fill(task));
    const picked = [...sumCounts(reports).values()].reduce((sum, count) => sum + count, 0);
    expect(picked).toBe(THREADS * 20_000);
    expectNothingOpen(fixture, 10);
  });
});

/** Republishes sets as fast as it can, keeping the board true; one step per call. */
function createPublisher({ main }: Fixture, board: Int32Array, sets: number) {
  const content = Array.from({ length: sets }, () => new Set<number>());
  let step = 0;
  return () => {
    step += 1;
    const set = step % sets;
    const former = content[set] ?? new Set();
    // Each set lives in slots of its own, so withdrawing from one withdraws from all.
    const base = set * (BOARD_SLOTS / sets);
    const count = 1 + ((step * 7) % (BOARD_SLOTS / sets));
    const first = (step * 5) % (BOARD_SLOTS / sets);
    const slots = Array.from({ length: count }, (_, index) => base + ((first + index) % (BOARD_SLOTS / sets)));
    for (const slot of slots) Atomics.store(board, BOARD_PUBLISHED + slot, 1);
    const members = slots.map((slot) => ({ slot, weight: 1 + ((slot * 13 + step) % 9), hash: slot * 31 }));
    // Maglev's table is dear to fill; it takes part now and then.
    const policy = step % 35 === 0 ? "maglev" : CHEAP_POLICIES[step % CHEAP_POLICIES.length];
    expect(publish(main, set, policy ?? "random", members)).toBe(COMMIT_OK);
    const clock = Atomics.load(board, BOARD_CLOCK) + 1;
    for (const slot of former) {
      if (slots.includes(slot)) continue;
      Atomics.store(board, BOARD_WITHDRAWN + slot, clock);
      Atomics.store(board, BOARD_PUBLISHED + slot, 0);
    }
    Atomics.store(board, BOARD_CLOCK, clock);
    content[set] = new Set(slots);
    main.setState(slots[0] ?? base, STATE_DRAINING, step % 3 === 0 ? STATE_DRAINING : 0);
  };
}

/** Republishes until every thread has picked `picks` times. */
async function publishWhile(publishNext: () => void, board: Int32Array, threads: readonly number[], picks: number) {
  let publications = 0;
  while (threads.some((worker) => Atomics.load(board, BOARD_PROGRESS + worker) < picks)) {
    publishNext();
    publications += 1;
    if (publications % 32 === 0) await turn();
  }
  return publications;
}

describe("members come and go while four threads pick and release", () => {
  const SETS = 4;
  const task: Task = { type: "churn", sets: SETS, held: 20 };

  test("no pick leaves its set, counts end at zero, memory is given back", async () => {
    const fixture = createFixture();
    const board = createBoard();
    const publishNext = createPublisher(fixture, board, SETS);
    for (let set = 0; set < SETS; set += 1) publishNext();
    const threads = Array.from({ length: THREADS }, (_, worker) => startThread(fixture, board, worker, task));
    const reports = Promise.all(threads.map(reportOf));
    const publications = await publishWhile(publishNext, board, [0, 1, 2, 3], 250_000);
    Atomics.store(board, BOARD_STOP, 1);

    expect(publications).toBeGreaterThan(100);
    for (const { done, strangers } of await reports) {
      expect(done).toBeGreaterThanOrEqual(250_000);
      expect(strangers).toEqual([]);
    }
    expectNothingOpen(fixture, BOARD_SLOTS);
    for (let set = 0; set < SETS; set += 1) fixture.main.clearSet(set);
    fixture.main.reclaim();
    expect(fixture.main.arenaUsed()).toBe(0);
  });

  test("a thread that is killed in the middle leaves nothing once its column is cleared", async () => {
    const fixture = createFixture();
    const board = createBoard();
    const publishNext = createPublisher(fixture, board, SETS);
    for (let set = 0; set < SETS; set += 1) publishNext();
    const doomed = startThread(fixture, board, 0, task, 2);
    const other = startThread(fixture, board, 1, task, 2);
    const report = reportOf(other);
    await publishWhile(publishNext, board, [0, 1], 20_000);
    await doomed.terminate();
    fixture.main.clearWorker(0);

    const killedAt = Atomics.load(board, BOARD_PROGRESS + 1);
    await publishWhile(publishNext, board, [1], killedAt + 20_000); // the other one did not notice
    Atomics.store(board, BOARD_STOP, 1);
    expect((await report).strangers).toEqual([]);
    expectNothingOpen(fixture, BOARD_SLOTS);
    for (let set = 0; set < SETS; set += 1) fixture.main.clearSet(set);
    fixture.main.reclaim();
    expect(fixture.main.arenaUsed()).toBe(0);
  });
});

describe("limits over four threads", () => {
  const SERVICE = 7;

  test.each([1, 5, 64])("never more than %i are in", async (limit) => {
    const fixture = createFixture();
    const board = createBoard();
    fixture.main.setLimit(SERVICE, COUNTER_REQUESTS, limit);
    const task: Task = { type: "admissions", service: SERVICE, tries: 100_000 };
    await runTasks(fixture, Array<Task>(THREADS).fill(task), board);
    expect(Atomics.load(board, BOARD_INSIDE_MOST)).toBeLessThanOrEqual(limit);
    expect(Atomics.load(board, BOARD_INSIDE_MOST)).toBeGreaterThan(0);
    expect(fixture.main.countOf(SERVICE, COUNTER_REQUESTS)).toBe(0);
  });

  test("exactly N get in, and exactly a dead thread's places are free afterwards", async () => {
    const fixture = createFixture();
    const limit = 1000;
    fixture.main.setLimit(SERVICE, COUNTER_REQUESTS, limit);
    const task: Task = { type: "fill", service: SERVICE, limit };
    const reports = await runTasks(fixture, Array<Task>(THREADS).fill(task));
    expect(reports.reduce((sum, { done }) => sum + done, 0)).toBe(limit);

    const [first] = reports;
    fixture.main.clearWorker(0);
    expect(fixture.main.countOf(SERVICE, COUNTER_REQUESTS)).toBe(limit - (first?.done ?? 0));
    const again = fixture.startWorker(0);
    let admitted = 0;
    while (again.admit(SERVICE, COUNTER_REQUESTS) === 1) admitted += 1;
    expect(admitted).toBe(first?.done);
  });
});

test("cells of a thread that died are kept, and go on in the next one", async () => {
  const fixture = createFixture();
  const counters = new SharedCounters(fixture.memory);
  const task: Task = { type: "cells", cell: 5, times: 50_000 };
  await runTasks(fixture, Array<Task>(THREADS).fill(task));
  expect(counters.cellOf(5)).toBe(THREADS * 50_000);
  for (let worker = 0; worker < THREADS; worker += 1) fixture.main.clearWorker(worker);
  await runTasks(fixture, Array<Task>(THREADS).fill(task));
  expect(counters.cellOf(5)).toBe(2 * THREADS * 50_000);
});
