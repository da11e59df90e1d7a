// The pool and the timing wheel by themselves, for their model tests.

import { allocate, capacityOf, createPool, poolBytes, poolPressure, poolUsedBytes, release } from "../core/pool.ts";
import {
  armTimer,
  connectionTimer,
  disarmTimer,
  exchangeTimer,
  isConnectionTimer,
  nextDeadline,
  startTimers,
  takeDueTimer,
  timerOwner,
} from "../engine/timers.ts";

export { allocate, capacityOf, createPool, poolBytes, poolPressure, poolUsedBytes, release };

export function start(nowUs: f64): void {
  startTimers(u64(nowUs));
}

/** Node of a number: even ones are connections', odd ones exchanges'. */
function nodeOf(timer: u32): u32 {
  return timer & 1 ? exchangeTimer(timer >> 1) : connectionTimer(timer >> 1);
}

export function arm(timer: u32, deadlineUs: f64): void {
  armTimer(nodeOf(timer), u64(deadlineUs));
}

export function disarm(timer: u32): void {
  disarmTimer(nodeOf(timer));
}

/** The next timer that is due, -1 = none. */
export function takeDue(nowUs: f64): i32 {
  const node = takeDueTimer(u64(nowUs));
  if (node == 0) return -1;
  return i32(timerOwner(node) * 2 + (isConnectionTimer(node) ? 0 : 1));
}

export function deadline(): f64 {
  return f64(nextDeadline());
}
