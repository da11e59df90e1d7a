// The instance table: what is known of each slot (state, weight, generation), and when a slot is free again.
//
// The main thread sets and clears slots. State bits alone may be changed by any thread (outlier detection runs in
// the workers); each change advances the state version, by which sets notice that they must look again
// (eligible.ts). A cleared slot is set anew with a higher generation, and only once `slotIdle` says so.

import { STATE_EJECTED, STATE_INELIGIBLE, STATE_REMOVED } from "../abi/balancer-codes.ts";
import {
  INSTANCE_EPOCHS,
  INSTANCE_GENERATIONS,
  INSTANCE_STATES,
  INSTANCE_WEIGHTS,
  INSTANCES_HIGH_OFFSET,
  INSTANCES_MAX,
  STATE_VERSION_OFFSET,
  WEIGHT_MAX,
} from "../abi/balancer-table.ts";
import { advanceEpoch, hasPassed } from "./epochs.ts";
import { connectionsOf, inflightOf, pendingOf } from "./gauges.ts";
import { clearStats } from "./stats.ts";
import { clearVitals } from "./vitals.ts";

/** Fills a slot that is idle: eligible at once, statistics at zero. Main thread. */
export function setInstance(slot: u32, weight: u32, generation: u32): void {
  assert(slotIdle(slot) == 1);
  assert(weight <= u32(WEIGHT_MAX));
  assert(generation > generationOf(slot)); // 0 is a slot that was never set
  clearStats(slot);
  clearVitals(slot);
  store<u32>(INSTANCE_WEIGHTS + slot * 4, weight);
  atomic.store<u32>(INSTANCE_GENERATIONS + slot * 4, generation);
  atomic.store<u32>(INSTANCE_STATES + slot * 4, 0);
  atomic.add<u32>(STATE_VERSION_OFFSET, 1);
  if (slot >= load<u32>(INSTANCES_HIGH_OFFSET)) store<u32>(INSTANCES_HIGH_OFFSET, slot + 1);
}

/** Changes the weight that is shown; sets take theirs with `addMember`. Main thread. */
export function setWeight(slot: u32, weight: u32): void {
  assert(slot < u32(INSTANCES_MAX));
  assert(weight <= u32(WEIGHT_MAX));
  store<u32>(INSTANCE_WEIGHTS + slot * 4, weight);
}

/** Takes a slot out of use, after the sets that held it were committed without it. Main thread. */
export function clearInstance(slot: u32): void {
  setState(slot, STATE_REMOVED, STATE_REMOVED);
  store<u32>(INSTANCE_EPOCHS + slot * 4, advanceEpoch());
}

/** 1 when nothing refers to a slot: never set, or cleared and at zero in every column, with no pick under way. */
export function slotIdle(slot: u32): i32 {
  assert(slot < u32(INSTANCES_MAX));
  if (generationOf(slot) == 0) return 1;
  if ((stateOf(slot) & STATE_REMOVED) == 0) return 0;
  // Epochs first: a pick that was under way has then counted itself, and is seen in the sums.
  if (!hasPassed(load<u32>(INSTANCE_EPOCHS + slot * 4))) return 0;
  return inflightOf(slot) == 0 && connectionsOf(slot) == 0 && pendingOf(slot) == 0 ? 1 : 0;
}

/** Replaces the bits of `mask` by `bits`; returns 1 if anything changed. */
export function setState(slot: u32, mask: u32, bits: u32): i32 {
  assert(slot < u32(INSTANCES_MAX));
  assert((bits & ~mask) == 0 && (mask & ~STATE_INELIGIBLE) == 0);
  const ptr = INSTANCE_STATES + slot * 4;
  let before = atomic.load<u32>(ptr);
  while (true) {
    const after = (before & ~mask) | bits;
    if (after == before) return 0;
    const seen = atomic.cmpxchg<u32>(ptr, before, after);
    if (seen == before) break;
    before = seen;
  }
  atomic.add<u32>(STATE_VERSION_OFFSET, 1); // after the change: a set that looks again must see it
  return 1;
}

/** Sets an instance aside; 1 if it was not yet. Any thread. */
export function eject(slot: u32): i32 {
  return setState(slot, STATE_EJECTED, STATE_EJECTED);
}

/** Takes an ejected instance back; 1 if it was ejected. Any thread. */
export function restore(slot: u32): i32 {
  return setState(slot, STATE_EJECTED, 0);
}

/** STATE_* bits. */
export function stateOf(slot: u32): u32 {
  assert(slot < u32(INSTANCES_MAX));
  return atomic.load<u32>(INSTANCE_STATES + slot * 4);
}

export function weightOf(slot: u32): u32 {
  assert(slot < u32(INSTANCES_MAX));
  return load<u32>(INSTANCE_WEIGHTS + slot * 4);
}

/** Tells two instances apart that had the same slot one after the other; 0 = never set. */
export function generationOf(slot: u32): u32 {
  assert(slot < u32(INSTANCES_MAX));
  return atomic.load<u32>(INSTANCE_GENERATIONS + slot * 4);
}
