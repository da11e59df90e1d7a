// Token buckets: one rate, one burst, whatever the number of threads; and a table that strangers cannot use up.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { RATE_BUCKETS } from "../../../assembly/abi/balancer-table.ts";
import { BOARD_WORDS, type HammerData, type HammerReport } from "./board.ts";
import { createFixture } from "./fixture.ts";

const MS = 1_000_000n;
/** 100 a second, 5 at once. */
const INTERVAL = 10n * MS;
const TOLERANCE = 40n * MS;

test("a burst, then one for each interval; who is refused is told how long to wait", () => {
  const { main } = createFixture();
  main.setTime(5_000_000);
  const take = () => main.takeToken(7n, INTERVAL, TOLERANCE);
  expect(Array.from({ length: 7 }, take)).toEqual([0, 0, 0, 0, 0, 10, 10]);
  main.setTime(5_003_500);
  expect(take()).toBe(7); // 6.5 ms, rounded up
  main.setTime(5_010_000);
  expect([take(), take()]).toEqual([0, 10]);
  // Another key has a bucket of its own, and a long rest fills the first again, to the burst and no further.
  expect(main.takeToken(8n, INTERVAL, TOLERANCE)).toBe(0);
  main.setTime(900_000_000);
  expect(Array.from({ length: 6 }, take)).toEqual([0, 0, 0, 0, 0, 10]);
});

test("over any time no more than burst + rate × time pass, and no less", () => {
  const { main } = createFixture();
  let passed = 0;
  for (let us = 0; us <= 10_000_000; us += 500) {
    main.setTime(1_000_000 + us);
    if (main.takeToken(3n, INTERVAL, TOLERANCE) === 0) passed += 1;
  }
  expect(passed).toBe(5 + 1000);
});

test("an entry whose bucket is full again is free for another key", () => {
  const { main } = createFixture();
  main.setTime(1_000_000);
  // All of these share one bucket of four.
  const keyOf = (index: number) => BigInt(1 + index * RATE_BUCKETS);
  for (let index = 0; index < 4; index += 1) {
    for (let times = 0; times < 5; times += 1) main.takeToken(keyOf(index), INTERVAL, TOLERANCE);
    expect(main.takeToken(keyOf(index), INTERVAL, TOLERANCE)).toBe(10);
  }
  // A fifth finds no room: it takes over an entry with what is owed there, so a full table lets nobody through more.
  expect(main.takeToken(keyOf(4), INTERVAL, TOLERANCE)).toBe(10);
  main.setTime(1_050_000);
  for (let index = 5; index < 9; index += 1) {
    expect(Array.from({ length: 6 }, () => main.takeToken(keyOf(index), INTERVAL, TOLERANCE))).toEqual([
      0, 0, 0, 0, 0, 10,
    ]);
  }
});

test.each([2, 4])("%i threads share one bucket exactly", async (threads) => {
  const { module, memory, main } = createFixture();
  const board = new Int32Array(new SharedArrayBuffer(4 * BOARD_WORDS));
  const tokens = { type: "tokens" as const, keys: 3, tries: 200_000, untilUs: 1_000_000 };
  const reports = await Promise.all(
    Array.from({ length: threads }, async (_, worker) => {
      const workerData: HammerData = { module, memory, board, worker, threads, task: tokens };
      const thread = new Worker(new URL("./hammer.ts", import.meta.url), { workerData });
      const [[report]] = (await Promise.all([once(thread, "message"), once(thread, "exit")])) as [
        [HammerReport],
        unknown,
      ];
      return report;
    }),
  );
  // Each thread moves its own clock to 1 s: burst 50, then 1,000 a second.
  for (let key = 0; key < tokens.keys; key += 1) {
    const passed = reports.reduce((sum, { counts }) => sum + (counts.get(key) ?? 0), 0);
    expect(passed).toBe(50 + 1000);
  }
  expect(main.countOf(0, 0)).toBe(0);
});
