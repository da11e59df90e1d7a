// Chooses an instance of a set for one request: the balancer's reason to exist.
//
// One pick reads the set's pointer once and works on that block to its end, so it sees one whole member set
// whatever is published meanwhile; `pin` keeps the block from being freed. Nothing here waits for another thread.

import { MODE_ALL, MODE_NONE, NO_INSTANCE, STATE_EJECTED } from "../abi/balancer-codes.ts";
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
import { stateOf } from "./instances.ts";
import { pickAdaptive } from "./pick/adaptive.ts";
import { pickLeastConnections } from "./pick/least-connections.ts";
import { pickMaglev } from "./pick/maglev.ts";
import { pickRandom } from "./pick/random.ts";
import { pickRingHash } from "./pick/ring-hash.ts";
import { pickRoundRobin } from "./pick/round-robin.ts";
import { pickWeightedRoundRobin } from "./pick/weighted-round-robin.ts";
import { isTrusted, noteRepeatable } from "./proof.ts";
import { setRecord } from "./sets.ts";
import { now } from "./time.ts";
import { pickTrial } from "./trial.ts";
import { chooseZone } from "./zones.ts";

/** Empty entry of a skip list: NO_INSTANCE as u32. */
const EMPTY: u32 = 0xffffffff;
/** Further draws for a request that can be sent only once. */
const DRAWS_ONCE: u32 = 3;

/**
 * Picks an instance of `set` and counts it in flight, until `release`; NO_INSTANCE when there is none to be had.
 * `hash` is used by ring-hash and Maglev. The skips are slots that this request has tried (0xffffffff = empty);
 * they are ignored when nobody else is left.
 */
export function pick(set: u32, hash: u32, skip0: u32, skip1: u32, skip2: u32): i32 {
  const block = openPick(set);
  if (block == 0) return NO_INSTANCE;
  const service = load<u32>(setRecord(set), SET_SERVICE_OFFSET);
  if (policyOf(block) == POLICY_ADAPTIVE) noteRepeatable(service);
  const slot = choose(block, set, hash, false, skip0, skip1, skip2);
  if (slot != NO_INSTANCE) adopt(slot);
  return slot;
}

/**
 * The same for a request that can be sent only once, or not again: the adaptive policy prefers instances that are known
 * to answer (proof.ts). Other policies choose as ever, for theirs is a promise of shares or of affinity.
 */
export function pickOnce(set: u32, hash: u32, skip0: u32, skip1: u32, skip2: u32): i32 {
  const block = openPick(set);
  if (block == 0) return NO_INSTANCE;
  const first = choose(block, set, hash, true, skip0, skip1, skip2);
  if (first == NO_INSTANCE) return NO_INSTANCE;
  let chosen = first;
  if (policyOf(block) == POLICY_ADAPTIVE && memberCount(block) > 1) {
    const service = load<u32>(setRecord(set), SET_SERVICE_OFFSET);
    for (let draw: u32 = 0; !isTrusted(chosen, service) && (stateOf(chosen) & STATE_EJECTED) == 0; draw += 1) {
      const next = draw == DRAWS_ONCE ? NO_INSTANCE : choose(block, set, hash, true, chosen, skip0, skip1);
      if (next == NO_INSTANCE) {
        chosen = first;
        break;
      }
      skip1 = skip0;
      skip0 = chosen;
      chosen = next;
    }
  }
  adopt(chosen);
  return chosen;
}

/** Begins a pick: the block of the set; 0 when nobody is to be had. */
function openPick(set: u32): u32 {
  assert(set < u32(SETS_MAX));
  pin();
  const block = atomic.load<u32>(setRecord(set) + SET_BLOCK_OFFSET);
  return block == 0 || blockMode(block) == MODE_NONE ? 0 : block;
}

/** Chooses one of a block that is not empty, and counts nothing yet. */
function choose(block: u32, set: u32, hash: u32, isOnce: bool, skip0: u32, skip1: u32, skip2: u32): i32 {
  const record = setRecord(set);
  const mode = blockMode(block);
  const service = load<u32>(record, SET_SERVICE_OFFSET);
  const isFirst = (skip0 & skip1 & skip2) == EMPTY;
  if (mode != MODE_ALL && isFirst) {
    // Somebody is set aside; a first attempt (a retry is to succeed) may find out whether it answers again.
    const trial = pickTrial(block, service, isOnce);
    if (trial != NO_INSTANCE) return trial;
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
