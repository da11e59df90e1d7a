// One thread of threads.test.ts: a real worker over the shared balancer, doing one task as fast as it can.
//
// It talks to the test through the board (board.ts), because its event loop is not free meanwhile.

import { parentPort, workerData } from "node:worker_threads";
import { assertNever } from "../../../src/base/index.ts";
import { type BalancerExports, instantiateBalancer } from "../../../src/wasm/balancer.ts";
import {
  BOARD_CLOCK,
  BOARD_GATE,
  BOARD_INSIDE,
  BOARD_INSIDE_MOST,
  BOARD_PROGRESS,
  BOARD_PUBLISHED,
  BOARD_STOP,
  BOARD_WITHDRAWN,
  type HammerData,
  type HammerReport,
  type Task,
} from "./board.ts";

/** An empty entry of a skip list. */
const NO_SKIP = -1;

function runPicks(balancer: BalancerExports, task: Extract<Task, { type: "picks" }>): HammerReport {
  const counts = new Map<number, number>();
  const held: number[] = [];
  for (let index = 0; index < task.picks; index += 1) {
    const slot = balancer.pick(task.set, index, NO_SKIP, NO_SKIP, NO_SKIP);
    counts.set(slot, (counts.get(slot) ?? 0) + 1);
    held.push(slot);
    if (held.length > 5) balancer.release(held.shift() ?? -1);
  }
  for (const slot of held) balancer.release(slot);
  balancer.quiesce();
  return { done: task.picks, counts, strangers: [] };
}

/**
 * A picked slot must be published now, or must have been withdrawn after the pick began: the test withdraws after it
 * has committed the set without it, and publishes before it commits the set with it.
 */
function isStranger(board: Int32Array, slot: number, begunAt: number): boolean {
  if (Atomics.load(board, BOARD_PUBLISHED + slot) === 1) return false;
  return Atomics.load(board, BOARD_WITHDRAWN + slot) <= begunAt;
}

function runChurn(balancer: BalancerExports, data: HammerData, task: Extract<Task, { type: "churn" }>): HammerReport {
  const { board, worker } = data;
  const held: number[] = [];
  const strangers: number[] = [];
  const counts = new Map<number, number>();
  let done = 0;
  for (let turn = 0; Atomics.load(board, BOARD_STOP) === 0; turn += 1) {
    const begunAt = Atomics.load(board, BOARD_CLOCK);
    const skip = turn % 4 === 0 ? (held[0] ?? NO_SKIP) : NO_SKIP;
    const slot = balancer.pick(turn % task.sets, Math.imul(turn, 0x9e3779b9), skip, NO_SKIP, NO_SKIP);
    if (slot >= 0) {
      if (isStranger(board, slot, begunAt)) strangers.push(slot);
      counts.set(slot, (counts.get(slot) ?? 0) + 1);
      balancer.connectionOpened(slot);
      held.push(slot);
      done += 1;
      if (turn % 97 === 0) balancer.eject(slot);
      if (turn % 89 === 0) balancer.restore(held[0] ?? slot);
    }
    if (held.length > task.held) {
      const out = held.splice(turn % held.length, 1)[0] ?? -1;
      balancer.connectionClosed(out);
      balancer.release(out);
    }
    if (turn % 16 === 0) balancer.quiesce();
    Atomics.store(board, BOARD_PROGRESS + worker, done);
  }
  for (const slot of held) {
    balancer.connectionClosed(slot);
    balancer.release(slot);
  }
  balancer.quiesce();
  return { done, counts, strangers };
}

function noteInside(board: Int32Array): void {
  const inside = Atomics.add(board, BOARD_INSIDE, 1) + 1;
  let most = Atomics.load(board, BOARD_INSIDE_MOST);
  while (inside > most) {
    const seen = Atomics.compareExchange(board, BOARD_INSIDE_MOST, most, inside);
    if (seen === most) return;
    most = seen;
  }
}

function runAdmissions(
  balancer: BalancerExports,
  board: Int32Array,
  task: Extract<Task, { type: "admissions" }>,
): HammerReport {
  let done = 0;
  let inside = 0;
  for (let turn = 0; turn < task.tries; turn += 1) {
    if (balancer.admit(task.service, 0) === 1) {
      noteInside(board);
      inside += 1;
      done += 1;
    }
    if (inside > turn % 4) {
      Atomics.sub(board, BOARD_INSIDE, 1);
      balancer.leave(task.service, 0);
      inside -= 1;
    }
  }
  for (; inside > 0; inside -= 1) {
    Atomics.sub(board, BOARD_INSIDE, 1);
    balancer.leave(task.service, 0);
  }
  return { done, counts: new Map(), strangers: [] };
}

function runFill(balancer: BalancerExports, task: Extract<Task, { type: "fill" }>): HammerReport {
  let done = 0;
  while (balancer.countOf(task.service, 0) < task.limit) done += balancer.admit(task.service, 0);
  return { done, counts: new Map(), strangers: [] };
}

function runCells(balancer: BalancerExports, task: Extract<Task, { type: "cells" }>): HammerReport {
  for (let index = 0; index < task.times; index += 1) balancer.count(task.cell, 1);
  return { done: task.times, counts: new Map(), strangers: [] };
}

/** Takes tokens of each key in turn, while this thread's time goes from 0 to the end; 1,000 a second, 50 at once. */
function runTokens(balancer: BalancerExports, task: Extract<Task, { type: "tokens" }>): HammerReport {
  const counts = new Map<number, number>();
  for (let turn = 0; turn <= task.tries; turn += 1) {
    balancer.setTime(1_000_000 + Math.floor((task.untilUs * turn) / task.tries));
    const key = turn % task.keys;
    // All keys at the very beginning, and what is left at the end: the time that passes is the same for each.
    const tries = turn === 0 ? task.keys : turn === task.tries ? 100 * task.keys : 1;
    for (let times = 0; times < tries; times += 1) {
      const one = (key + times) % task.keys;
      if (balancer.takeToken(BigInt(one + 1), 1_000_000n, 49_000_000n) === 0) {
        counts.set(one, (counts.get(one) ?? 0) + 1);
      }
    }
  }
  return { done: task.tries, counts, strangers: [] };
}

function run(data: HammerData): HammerReport {
  const { module, memory, board, worker, threads, task } = data;
  const balancer = instantiateBalancer(module, memory);
  balancer.start(worker, worker + 1);
  // All begin together: the last to arrive opens the gate.
  if (Atomics.add(board, BOARD_GATE, 1) + 1 === threads) Atomics.notify(board, BOARD_GATE);
  for (;;) {
    const arrived = Atomics.load(board, BOARD_GATE);
    if (arrived >= threads) break;
    Atomics.wait(board, BOARD_GATE, arrived);
  }
  switch (task.type) {
    case "picks":
      return runPicks(balancer, task);
    case "churn":
      return runChurn(balancer, data, task);
    case "admissions":
      return runAdmissions(balancer, board, task);
    case "fill":
      return runFill(balancer, task);
    case "cells":
      return runCells(balancer, task);
    case "tokens":
      return runTokens(balancer, task);
    default:
      return assertNever(task);
  }
}

parentPort?.postMessage(run(workerData as HammerData));
