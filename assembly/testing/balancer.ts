// Loops over the balancer for benches: what the engine pays for each call, from Wasm to Wasm, without JavaScript.

import {
  admit,
  connectionClosed,
  connectionOpened,
  leave,
  observeInstance,
  observeLatency,
  pendingAdded,
  pendingRemoved,
  pick,
  quiesce,
  release,
} from "../engine/balancer.ts";

/** Requests under way while the loop runs, so that loads differ and policies have something to choose by. */
const HELD: u32 = 64;
const NO_SKIP: u32 = 0xffffffff;
const held = memory.data(4 * 64);

/** Picks, and releases what was picked 64 picks ago; a turn ends after every 64. The number of refusals. */
export function pickRepeatedly(set: u32, times: u32): u32 {
  let refused: u32 = 0;
  for (let index: u32 = 0; index < HELD; index += 1) store<i32>(held + index * 4, -1);
  for (let index: u32 = 0; index < times; index += 1) {
    const at = held + (index % HELD) * 4;
    const before = load<i32>(at);
    if (before >= 0) release(before);
    // Knuth's multiplicative hash: keys of ring-hash and Maglev that look like users.
    const slot = pick(set, index * 2654435761, NO_SKIP, NO_SKIP, NO_SKIP);
    if (slot < 0) refused += 1;
    store<i32>(at, slot);
    if (index % HELD == HELD - 1) quiesce();
  }
  for (let index: u32 = 0; index < HELD; index += 1) {
    const slot = load<i32>(held + index * 4);
    if (slot >= 0) release(slot);
  }
  quiesce();
  return refused;
}

/** Counts in and out of a service's limit. */
export function admitRepeatedly(service: u32, counter: u32, times: u32): u32 {
  let refused: u32 = 0;
  for (let index: u32 = 0; index < times; index += 1) {
    if (admit(service, counter) == 1) leave(service, counter);
    else refused += 1;
  }
  return refused;
}

/** A connection's life in the counters. */
export function connectRepeatedly(slot: u32, times: u32): void {
  for (let index: u32 = 0; index < times; index += 1) {
    connectionOpened(slot);
    connectionClosed(slot);
  }
}

/** A wait in line for a connection. */
export function waitRepeatedly(slot: u32, times: u32): void {
  for (let index: u32 = 0; index < times; index += 1) {
    pendingAdded(slot);
    pendingRemoved(slot);
  }
}

/** The end of an exchange: one sample for its instance, one for its service. */
export function observeRepeatedly(slot: u32, cellBase: u32, times: u32): void {
  for (let index: u32 = 0; index < times; index += 1) {
    observeInstance(slot, index % 100_000, 0);
    observeLatency(cellBase, index % 100_000);
  }
}
