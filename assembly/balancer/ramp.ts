// Slow start: a newcomer gets a tenth of its share at first and all of it when `slowStart` is over.
//
// A cold instance (empty caches, code not yet compiled, one connection just opened) that takes a full share at once
// answers slowly, and least-loaded policies would even prefer it for being idle. So a pick that would take a newcomer
// draws lots: it is taken with a chance of age / slowStart, at least 10 % (Envoy's floor), else the pick goes on.
// Members that were there when the service was first published are no newcomers: all would be, and none would gain.

import {
  BLOCK_MEMBERS_OFFSET,
  MEMBER_BYTES,
  TUNING_IS_KNOWN_OFFSET,
  TUNING_SLOW_START_OFFSET,
  VITAL_JOINED_OFFSET,
} from "../abi/balancer-table.ts";
import { randomNext } from "../core/random.ts";
import { memberCount } from "./block.ts";
import { now } from "./time.ts";
import { tuningOf } from "./tuning.ts";
import { vitalOf } from "./vitals.ts";

/** 10 % of 2^32. */
const CHANCE_MIN: u32 = 429496730;
/** VITAL_JOINED of those that were there first. */
const JOINED_FIRST: u64 = 1;

// Per instance (thread): the window of the pick under way, µs; set by `openRamp`.
let windowUs: u64 = 0;

/** Begins a pick in a service some of whose members are new. */
export function openRamp(service: u32): void {
  windowUs = u64(load<u32>(tuningOf(service), TUNING_SLOW_START_OFFSET)) * 1000;
}

/** Draws whether a candidate is taken, new as it may be. */
export function passesRamp(slot: u32): bool {
  const joined = load<u64>(vitalOf(slot), VITAL_JOINED_OFFSET);
  if (joined <= JOINED_FIRST) return true;
  const age = now > joined ? now - joined : 0;
  if (age >= windowUs) return true;
  return randomNext() < max<u32>(CHANCE_MIN, u32((age << 32) / windowUs));
}

/** Makes a newcomer of an instance that is back; returns until when it is one, 0 = no time at all. Any thread. */
export function rejoin(slot: u32, service: u32): u64 {
  const window = u64(load<u32>(tuningOf(service), TUNING_SLOW_START_OFFSET)) * 1000;
  const ptr = vitalOf(slot) + VITAL_JOINED_OFFSET;
  if (window == 0 || load<u64>(ptr) == 0) return 0;
  atomic.store<u64>(ptr, max<u64>(now, JOINED_FIRST + 1));
  return now + window;
}

/** Notes when members joined; returns until when the last of them is new, 0 = nobody is. Main thread. */
export function noteJoined(block: u32, service: u32): u64 {
  const tuning = tuningOf(service);
  const window = u64(load<u32>(tuning, TUNING_SLOW_START_OFFSET)) * 1000;
  const isFirst = load<u32>(tuning, TUNING_IS_KNOWN_OFFSET) == 0;
  const stamp = isFirst ? JOINED_FIRST : max<u64>(now, JOINED_FIRST + 1);
  store<u32>(tuning, 1, TUNING_IS_KNOWN_OFFSET);
  let latest: u64 = 0;
  const count = memberCount(block);
  for (let index: u32 = 0; index < count; index += 1) {
    const slot = load<u32>(block + index * MEMBER_BYTES, BLOCK_MEMBERS_OFFSET);
    const ptr = vitalOf(slot) + VITAL_JOINED_OFFSET;
    if (load<u64>(ptr) == 0) atomic.store<u64>(ptr, stamp);
    const joined = load<u64>(ptr);
    if (joined > JOINED_FIRST) latest = max<u64>(latest, joined);
  }
  return latest != 0 && latest + window > now ? latest + window : 0;
}
