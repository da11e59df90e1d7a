// Chooses an instance of a set for one request: the balancer's reason to exist.
//
// One pick reads the set's pointer once and works on that block to its end, so it sees one whole member set
// whatever is published meanwhile; `pin` keeps the block from being freed. Nothing here waits for another thread.

import { MODE_ALL, MODE_NONE, NO_INSTANCE } from "../abi/balancer-codes.ts";
import {
  BLOCK_LOCAL_OFFSET,
  SET_BLOCK_OFFSET,
  SET_CURSOR_OFFSET,
  SET_LOCAL_CURSOR_OFFSET,
  SET_RAMP_UNTIL_OFFSET,
  SET_REMOTE_CURSOR_OFFSET,
  SET_SERVICE_OFFSET,
  SETS_MAX,
} from "../abi/balancer-table.ts";
import {
  POLICY_ADAPTIVE,
  POLICY_LEAST_CONNECTIONS,
  POLICY_MAGLEV,
  POLICY_RANDOM,
  POLICY_RING_HASH,
  POLICY_ROUND_ROBIN,
  POLICY_WEIGHTED_ROUND_ROBIN,
} from "../abi/policies.ts";
import { randomBelow } from "../core/random.ts";
import { memberCount, memberSlot, policyOf } from "./block.ts";
import { blockMode, closeNewcomers, isCandidate, openFilter, openNewcomers, widenFilter } from "./eligible.ts";
import { pin } from "./epochs.ts";
import { adopt } from "./gauges.ts";
import { pickAdaptive } from "./pick/adaptive.ts";
import { pickLeastConnections } from "./pick/least-connections.ts";
import { pickMaglev } from "./pick/maglev.ts";
import { pickRandom } from "./pick/random.ts";
import { pickRingHash } from "./pick/ring-hash.ts";
import { pickRoundRobin } from "./pick/round-robin.ts";
import { pickWeightedRoundRobin } from "./pick/weighted-round-robin.ts";
import { setRecord } from "./sets.ts";
import { now } from "./time.ts";
import { pickTrial } from "./trial.ts";
import { chooseZone } from "./zones.ts";

/** Empty entry of a skip list: NO_INSTANCE as u32. */
const EMPTY: u32 = 0xffffffff;

/**
 * Picks an instance of `set` and counts it in flight, until `release`; NO_INSTANCE when there is none to be had.
 * `hash` is used by ring-hash and Maglev. The skips are slots that this request has tried (0xffffffff = empty);
 * they are ignored when nobody else is left.
 */
export function pick(set: u32, hash: u32, skip0: u32, skip1: u32, skip2: u32): i32 {
  assert(set < u32(SETS_MAX));
  pin();
  const record = setRecord(set);
  const block = atomic.load<u32>(record + SET_BLOCK_OFFSET);
  if (block == 0) return NO_INSTANCE;
  const mode = blockMode(block);
  if (mode == MODE_NONE) return NO_INSTANCE;

  const service = load<u32>(record, SET_SERVICE_OFFSET);
  const isFirst = (skip0 & skip1 & skip2) == EMPTY;
  if (mode != MODE_ALL && isFirst) {
    // Somebody is set aside; a first attempt (a retry is to succeed) may find out whether it answers again.
    const trial = pickTrial(block, service);
    if (trial != NO_INSTANCE) {
      adopt(trial);
      return trial;
    }
  }
  let slot: i32 = NO_INSTANCE;
  const part = isFirst ? chooseZone(block, record, hash, service) : block;
  if (part != block) {
    const isLocal = part == load<u32>(block, BLOCK_LOCAL_OFFSET);
    openFilter(part, blockMode(part), EMPTY, EMPTY, EMPTY);
    slot = pickFrom(part, record, isLocal ? SET_LOCAL_CURSOR_OFFSET : SET_REMOTE_CURSOR_OFFSET, hash, service);
  }
  if (slot == NO_INSTANCE) {
    openFilter(block, mode, skip0, skip1, skip2);
    slot = pickFrom(block, record, SET_CURSOR_OFFSET, hash, service);
  }
  if (slot != NO_INSTANCE) adopt(slot);
  return slot;
}

/** Picks from a block by its policy, within the filter that is open; if need be, anybody of it. */
function pickFrom(block: u32, record: u32, cursorOffset: u32, hash: u32, service: u32): i32 {
  const isRamping = now < load<u64>(record, SET_RAMP_UNTIL_OFFSET);
  if (isRamping) openNewcomers(service);
  let slot = pickMember(block, record + cursorOffset, hash, service);
  if (slot == NO_INSTANCE && isRamping) {
    closeNewcomers();
    slot = pickAny(block);
  }
  if (slot == NO_INSTANCE) {
    widenFilter(block);
    slot = pickAny(block);
  }
  return slot;
}

function pickMember(block: u32, cursorPtr: u32, hash: u32, service: u32): i32 {
  switch (policyOf(block)) {
    case POLICY_ROUND_ROBIN:
      return pickRoundRobin(block, cursorPtr);
    case POLICY_WEIGHTED_ROUND_ROBIN:
      return pickWeightedRoundRobin(block, cursorPtr);
    case POLICY_RANDOM:
      return pickRandom(block);
    case POLICY_LEAST_CONNECTIONS:
      return pickLeastConnections(block);
    case POLICY_RING_HASH:
      return pickRingHash(block, hash, service);
    case POLICY_MAGLEV:
      return pickMaglev(block, hash, service);
    case POLICY_ADAPTIVE:
      return pickAdaptive(block, service);
    default:
      return unreachable();
  }
}

/** A candidate from anywhere. */
function pickAny(block: u32): i32 {
  const count = memberCount(block);
  let index = randomBelow(count);
  for (let seen: u32 = 0; seen < count; seen += 1) {
    const slot = memberSlot(block, index);
    if (isCandidate(slot)) return slot;
    index = index + 1 == count ? 0 : index + 1;
  }
  return NO_INSTANCE;
}
