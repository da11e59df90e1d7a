// Deadlines: a timing wheel of 4,096 slots of 4 ms, one node for each connection and each exchange.
//
//   wheel   ┌──┬──┬──┬──┬─   node (24 bytes): ┌──────────────┬──────┬──────┬──────┬─────┐
//           │  │● │  │● │                     │ deadline u64 │ prev │ next │ slot │ pad │
//           └──┴┬─┴──┴┬─┴─                    └──────────────┴──────┴──────┴──────┴─────┘
//
// Arming and disarming are O(1): nearly every timeout is disarmed before it fires. A deadline beyond the wheel's 16 s
// stays in its slot and is passed over until its round comes. A timer fires up to 4 ms late, never early.

import { TIMER_BYTES, TIMERS, WHEEL, WHEEL_SLOTS } from "../abi/engine-memory.ts";
import { CONNECTIONS_MAX } from "../abi/limits.ts";

const SLOT_US: u64 = 4096;
const T_DEADLINE: u32 = 0;
const T_PREVIOUS: u32 = 8; // address of the node before, or of the wheel's slot
const T_NEXT: u32 = 12;
const T_SLOT: u32 = 16; // slot + 1; 0 = not armed
/** One bit for each slot that holds a node: finding the next deadline is a scan over 64 words. */
const OCCUPIED: u32 = WHEEL + WHEEL_SLOTS * 4;

// Per-instance state of this worker.
let currentTick: u64 = 0;
let armedCount: u32 = 0;
let firing: u32 = 0; // the list of nodes that are due, detached from the wheel

/** Node of the connection with this index. */
export function connectionTimer(index: u32): u32 {
  return TIMERS + index * TIMER_BYTES;
}

/** Node of the exchange with this index. */
export function exchangeTimer(index: u32): u32 {
  return TIMERS + (CONNECTIONS_MAX + index) * TIMER_BYTES;
}

/** Whether a node belongs to a connection; else to an exchange. */
export function isConnectionTimer(node: u32): bool {
  return node < <u32>TIMERS + <u32>CONNECTIONS_MAX * TIMER_BYTES;
}

/** Index of the connection or exchange that a node belongs to. */
export function timerOwner(node: u32): u32 {
  const index = (node - TIMERS) / TIMER_BYTES;
  return index < <u32>CONNECTIONS_MAX ? index : index - CONNECTIONS_MAX;
}

/** Starts the wheel at this time. */
export function startTimers(nowUs: u64): void {
  currentTick = nowUs / SLOT_US;
}

/** Sees to it that a node fires at this time at the latest; who looks too early looks again. */
export function armTimerBy(node: u32, deadlineUs: u64): void {
  if (load<u32>(node, T_SLOT) == 0 || load<u64>(node, T_DEADLINE) > deadlineUs) armTimer(node, deadlineUs);
}

/** Arms a node, or moves it. */
export function armTimer(node: u32, deadlineUs: u64): void {
  if (load<u32>(node, T_SLOT) != 0) {
    if (load<u64>(node, T_DEADLINE) == deadlineUs) return;
    disarmTimer(node);
  }
  store<u64>(node, deadlineUs, T_DEADLINE);
  // Rounded up, and never into the slot that has just been emptied: a timer must not fire early, nor a round late.
  let tick = deadlineUs / SLOT_US + 1;
  if (tick <= currentTick) tick = currentTick + 1;
  const slot = u32(tick & (WHEEL_SLOTS - 1));
  const head: u32 = WHEEL + slot * 4;
  const next = load<u32>(head);
  store<u32>(node, head, T_PREVIOUS);
  store<u32>(node, next, T_NEXT);
  store<u32>(node, slot + 1, T_SLOT);
  if (next != 0) store<u32>(next, node, T_PREVIOUS);
  store<u32>(head, node);
  const word = OCCUPIED + (slot >> 5) * 4;
  store<u32>(word, load<u32>(word) | (1 << (slot & 31)));
  armedCount += 1;
}

/** Disarms a node; nothing happens when it is not armed. */
export function disarmTimer(node: u32): void {
  const slot = load<u32>(node, T_SLOT);
  if (slot == 0) return;
  const previous = load<u32>(node, T_PREVIOUS);
  const next = load<u32>(node, T_NEXT);
  store<u32>(node, 0, T_SLOT);
  armedCount -= 1;
  if (previous == 0) firing = next;
  else if (previous >= <u32>TIMERS) store<u32>(previous, next, T_NEXT);
  else {
    store<u32>(previous, next);
    if (next == 0) {
      const word = OCCUPIED + ((slot - 1) >> 5) * 4;
      store<u32>(word, load<u32>(word) & ~(1 << ((slot - 1) & 31)));
    }
  }
  if (next != 0) store<u32>(next, previous, T_PREVIOUS);
}

/** Deadline of an armed node; 0 when it is not armed. */
export function timerDeadline(node: u32): u64 {
  return load<u32>(node, T_SLOT) == 0 ? 0 : load<u64>(node, T_DEADLINE);
}

/** Takes the next node that is due at `nowUs`, disarmed; 0 when there is none. Call until it returns 0. */
export function takeDueTimer(nowUs: u64): u32 {
  const tickNow = nowUs / SLOT_US;
  while (true) {
    if (firing != 0) {
      const node = firing;
      disarmTimer(node);
      const deadline = load<u64>(node, T_DEADLINE);
      if (deadline <= nowUs) return node;
      armTimer(node, deadline); // a later round of the wheel
      continue;
    }
    if (currentTick >= tickNow) return 0;
    // After a long pause every slot is visited once at most.
    if (tickNow - currentTick > u64(WHEEL_SLOTS)) currentTick = tickNow - WHEEL_SLOTS;
    currentTick += 1;
    detachSlot(u32(currentTick & (WHEEL_SLOTS - 1)));
  }
}

/** Time of the next slot that holds a node, µs; 0 when nothing is armed. Some nodes of it may be of a later round. */
export function nextDeadline(): u64 {
  if (armedCount == 0) return 0;
  const start = u32((currentTick + 1) & (WHEEL_SLOTS - 1));
  let word = start >> 5;
  let bits = load<u32>(OCCUPIED + word * 4) & (u32(0xffffffff) << (start & 31));
  for (let visited: u32 = 0; visited <= <u32>WHEEL_SLOTS >> 5; visited += 1) {
    if (bits != 0) {
      const slot = (word << 5) + ctz<u32>(bits);
      const ahead = (slot - start) & (WHEEL_SLOTS - 1);
      return (currentTick + 1 + u64(ahead)) * SLOT_US;
    }
    word = (word + 1) & ((WHEEL_SLOTS >> 5) - 1);
    bits = load<u32>(OCCUPIED + word * 4);
  }
  return 0;
}

function detachSlot(slot: u32): void {
  const head: u32 = WHEEL + slot * 4;
  const first = load<u32>(head);
  if (first == 0) return;
  store<u32>(head, 0);
  const word = OCCUPIED + (slot >> 5) * 4;
  store<u32>(word, load<u32>(word) & ~(1 << (slot & 31)));
  store<u32>(first, 0, T_PREVIOUS);
  firing = first;
}
