// The own zone first, and from it into the others as far as it has more to do than they.
//
// Where a set has members in the own zone and elsewhere, its block has two more beside it: the one half and the other,
// each compiled as if it were all, so a policy works in a zone exactly as it works in a set. A pick chooses the half.
// It is the own zone but for a share of picks, the spill, that is learned: every few picks a member of each half is
// looked at, and the share goes up a step where the one here has more requests and takes longer, else down. So
// it settles where that is as often true as not. Both must hold: a caller's own requests say nothing of the others'
// where nobody reports, and a latency alone is noise. An idle zone is never left, and who was never measured is tried.
//
// Half a zone set aside is no zone to prefer: then the whole set is used. So it is for retries, which go to whoever
// has not been tried.

import { MODE_NONE, MODE_PANIC, STATE_INELIGIBLE } from "../abi/balancer-codes.ts";
import { BLOCK_LOCAL_OFFSET, BLOCK_REMOTE_OFFSET, SET_SPILL_OFFSET } from "../abi/balancer-table.ts";
import { POLICY_MAGLEV, POLICY_RING_HASH } from "../abi/policies.ts";
import { mixHash } from "../core/hash.ts";
import { randomBelow, randomNext } from "../core/random.ts";
import { memberCount, memberSlot, memberWeight, policyOf } from "./block.ts";
import { blockMode } from "./eligible.ts";
import { stateOf } from "./instances.ts";
import { loadIsReported, loadLatency, loadRequests, openSpread, readLoad } from "./load.ts";

/** The own zone's instance may have so many times the requests and the latency of another's, */
const RATIO: f32 = 1.25;
/** and, where both report, so many requests more, before anything leaves: our own count is a small part of all. */
const SLACK: f32 = 1;
/** One pick in so many looks, a power of two. */
const LOOK_EVERY: u32 = 4;
/** A step of the share, and its bound, in 1/65536: some picks stay, or nobody would see that the zone is better. */
const STEP: u32 = 2048;
const SPILL_MAX: u32 = 63488;
/** Makes which keys leave the zone independent of where they are on the ring. */
const SPILL_SALT: u32 = 0x85ebca6b;

/** The half of a set in which a first attempt is picked; the whole block where there are no halves to choose from. */
export function chooseZone(block: u32, record: u32, hash: u32, service: u32): u32 {
  const local = load<u32>(block, BLOCK_LOCAL_OFFSET);
  if (local == 0 || isFailing(local)) return block;
  const remote = load<u32>(block, BLOCK_REMOTE_OFFSET);
  if (isFailing(remote)) return local;
  if (randomNext() % LOOK_EVERY == 0) learnSpill(local, remote, record + SET_SPILL_OFFSET, service);
  const spill = load<u32>(record, SET_SPILL_OFFSET);
  if (spill == 0) return local;
  const policy = policyOf(block);
  // A key that leaves is always the same one, so it stays with its owner there.
  const isHashed = policy == POLICY_RING_HASH || policy == POLICY_MAGLEV;
  const draw = isHashed ? mixHash(hash ^ SPILL_SALT) : randomNext();
  return draw >> 16 < spill ? remote : local;
}

function isFailing(part: u32): bool {
  const mode = blockMode(part);
  return mode == MODE_PANIC || mode == MODE_NONE;
}

/** Compares one of the own zone with one elsewhere. Not locked: a step lost between two threads is no harm. */
function learnSpill(local: u32, remote: u32, spillPtr: u32, service: u32): void {
  const here = randomBelow(memberCount(local));
  const there = randomBelow(memberCount(remote));
  const hereSlot = memberSlot(local, here);
  const thereSlot = memberSlot(remote, there);
  if (((stateOf(hereSlot) | stateOf(thereSlot)) & STATE_INELIGIBLE) != 0) return;
  openSpread(service);
  readLoad(hereSlot);
  const hereLoad = loadRequests * f32(memberWeight(remote, there));
  const hereLatency = loadLatency;
  const isReported = loadIsReported;
  readLoad(thereSlot);
  const bearable = (loadRequests * RATIO + (isReported && loadIsReported ? SLACK : 0)) * f32(memberWeight(local, here));
  const spill = load<u32>(spillPtr);
  const isOver = hereLoad > bearable && hereLatency > loadLatency * RATIO;
  store<u32>(spillPtr, isOver ? min<u32>(spill + STEP, SPILL_MAX) : spill - min<u32>(spill, STEP));
}
