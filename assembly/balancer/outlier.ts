// Outlier detection: who fails while its peers answer is set aside for a while, and comes back by one request.
//
//   ready ──failures in a row, or a poor success rate──► ejected ──time is over──► trial (one pick) ──answer──► ready
//                                                           ▲                          │
//                                                           └── twice as long ◄─failure┘
//
// Any thread ejects, by compare-and-swap on the state bits; picks step over it (eligible.ts). Nobody is ejected when
// it is the last one, when its peers fail alike, or beyond ejectedShareMax (of two or three, one may always go).
// Times and limits are the service's (tuning.ts). A success costs two loads here; peers are looked at on failures.

import {
  EJECTED_CONSECUTIVE,
  EJECTED_DRAINING,
  EJECTED_SILENT,
  EJECTED_SUCCESS_RATE,
  RESULT_FAILED,
  RESULT_OK,
  STATE_EJECTED,
} from "../abi/balancer-codes.ts";
import {
  INSTANCES_MAX,
  TUNING_EJECTION_MAX_OFFSET,
  TUNING_EJECTION_OFFSET,
  TUNING_FAILURES_OFFSET,
  TUNING_SHARE_MAX_OFFSET,
  TUNING_SUCCESS_RATE_OFFSET,
  TUNING_TRIAL_DUE_OFFSET,
  TUNING_WINDOW_OFFSET,
  VITAL_EJECTED_AT_OFFSET,
  VITAL_EJECTED_UNTIL_OFFSET,
  VITAL_EJECTIONS_OFFSET,
  VITAL_FAILURES_OFFSET,
  VITAL_REASON_OFFSET,
  VITAL_RESTORED_AT_OFFSET,
  VITAL_TRIAL_AT_OFFSET,
  VITAL_WINDOW_AT_OFFSET,
  VITAL_WINDOW_BEFORE_OFFSET,
  VITAL_WINDOW_OFFSET,
} from "../abi/balancer-table.ts";
import { randomBelow } from "../core/random.ts";
import { eject, restore, stateOf } from "./instances.ts";
import { forgetSeen } from "./load.ts";
import {
  ejectedTotal,
  failingPeers,
  lookAtPeers,
  memberTotal,
  peerFailures,
  peerRequests,
  peerTotal,
} from "./peers.ts";
import { noteDoubt, noteOk } from "./proof.ts";
import { workOf } from "./stats.ts";
import { now } from "./time.ts";
import { tuningOf } from "./tuning.ts";
import { serviceOfSlot, vitalOf } from "./vitals.ts";

/** Requests in the window below which a success rate says nothing (Linkerd's unified breaker asks for 5). */
const RATE_REQUESTS_MIN: u64 = 10;
/** A success rate is looked at with every fourth failure: peers are many. */
const RATE_EVERY: u32 = 4;
/** A row of failures that peers would have by chance, by their own failure rate, in more than 1 % of rows is none. */
const CHANCE_MAX: f64 = 0.01;
/** A trial whose end nobody told (its worker died, its stream is endless) holds the next one up for so long. */
const TRIAL_PATIENCE_US: u64 = 10000000;
/** How long an instance is left alone that said it drains: its registry entry goes, or it is back by then. */
const DRAINING_US: u64 = 5000000;
/** Doublings of the ejection time; beyond, the maximum holds anyway. */
const DOUBLINGS_MAX: u32 = 20;

/** Judges an instance by how an attempt on it ended: RESULT_OK or RESULT_FAILED. */
export function judge(slot: u32, result: u32): void {
  const vital = vitalOf(slot);
  if ((stateOf(slot) & STATE_EJECTED) != 0) {
    settleTrial(slot, vital, result);
    return;
  }
  const row = vital + VITAL_FAILURES_OFFSET;
  if (result == RESULT_OK) {
    if (atomic.load<u32>(row) != 0) atomic.store<u32>(row, 0);
    noteOk(vital);
    return;
  }
  if (result != RESULT_FAILED) return;
  const failures = atomic.add<u32>(row, 1) + 1;
  noteDoubt(vital);
  const service = serviceOfSlot(slot);
  if (service == 0) return;
  const tuning = tuningOf(service - 1);
  const failuresMax = atomic.load<u32>(tuning + TUNING_FAILURES_OFFSET);
  if (failuresMax == 0) return;
  turnWindow(slot, vital, atomic.load<u32>(tuning + TUNING_WINDOW_OFFSET));
  if (failures % failuresMax == 0 && standsOut(slot, service - 1, failuresMax)) {
    ejectFor(slot, service - 1, EJECTED_CONSECUTIVE);
  } else if (hasPoorRate(slot, vital, service - 1, failuresMax)) ejectFor(slot, service - 1, EJECTED_SUCCESS_RATE);
}

/**
 * Sets an instance aside that owes answers and is silent while its peers answer; 1 if this call did. Within
 * ejectedShareMax, never the last one; also where the service has no outlier detection. Any thread.
 */
export function markSilent(slot: u32): i32 {
  assert(slot < u32(INSTANCES_MAX));
  const service = serviceOfSlot(slot);
  noteDoubt(vitalOf(slot));
  if (service == 0 || (stateOf(slot) & STATE_EJECTED) != 0) return 0;
  return ejectFor(slot, service - 1, EJECTED_SILENT) ? 1 : 0;
}

/** It has spoken again; 1 if it was set aside for silence and is back now. Any thread. */
export function clearSilent(slot: u32): i32 {
  assert(slot < u32(INSTANCES_MAX));
  const vital = vitalOf(slot);
  if ((stateOf(slot) & STATE_EJECTED) == 0) return 0;
  if (atomic.load<u32>(vital + VITAL_REASON_OFFSET) != EJECTED_SILENT) return 0;
  return comeBack(slot, vital);
}

/** What an instance says of itself: draining, or not any more. Any thread. */
export function noteDraining(slot: u32, isDraining: bool): void {
  const vital = vitalOf(slot);
  const isEjected = (stateOf(slot) & STATE_EJECTED) != 0;
  if (isDraining) {
    if (isEjected && atomic.load<u32>(vital + VITAL_REASON_OFFSET) != EJECTED_DRAINING) return;
    const service = serviceOfSlot(slot);
    if (service != 0) setAside(slot, vital, service - 1, EJECTED_DRAINING, DRAINING_US);
  } else if (isEjected && atomic.load<u32>(vital + VITAL_REASON_OFFSET) == EJECTED_DRAINING) comeBack(slot, vital);
}

/** An instance that was away is here again: it is not held aside, unless it was set aside by hand. Any thread. */
export function restoreReturned(slot: u32): void {
  const vital = vitalOf(slot);
  const isByHand = atomic.load<u64>(vital + VITAL_EJECTED_UNTIL_OFFSET) == 0;
  forgetSeen(slot);
  if ((stateOf(slot) & STATE_EJECTED) == 0 || !isByHand) comeBack(slot, vital);
}

/**
 * Claims the trial of an instance whose time is over, for the one pick that gets true; `tuning` then says when to
 * look for the next. Any thread.
 */
export function claimTrial(slot: u32): bool {
  const vital = vitalOf(slot);
  if ((stateOf(slot) & STATE_EJECTED) == 0) return false;
  const until = atomic.load<u64>(vital + VITAL_EJECTED_UNTIL_OFFSET);
  if (until == 0 || until > now) return false; // 0: set aside by hand, until it is restored by hand
  const begun = atomic.load<u64>(vital + VITAL_TRIAL_AT_OFFSET);
  if (begun != 0 && now < begun + TRIAL_PATIENCE_US) return false;
  return atomic.cmpxchg<u64>(vital + VITAL_TRIAL_AT_OFFSET, begun, now) == begun;
}

/** When an ejected instance is to be looked at for a trial, µs; 0 = it needs no look. */
export function trialDue(slot: u32): u64 {
  const vital = vitalOf(slot);
  if ((stateOf(slot) & STATE_EJECTED) == 0) return 0;
  const until = atomic.load<u64>(vital + VITAL_EJECTED_UNTIL_OFFSET);
  if (until == 0) return 0;
  const begun = atomic.load<u64>(vital + VITAL_TRIAL_AT_OFFSET);
  return begun == 0 ? until : max<u64>(until, begun + TRIAL_PATIENCE_US);
}

/** EJECTED_* of the ejection under way; 0 when there is none. */
export function ejectionReason(slot: u32): u32 {
  assert(slot < u32(INSTANCES_MAX));
  if ((stateOf(slot) & STATE_EJECTED) == 0) return 0;
  return atomic.load<u32>(vitalOf(slot) + VITAL_REASON_OFFSET);
}

/** Whether a row of failures tells this one from its peers. */
function standsOut(slot: u32, service: u32, failuresMax: u32): bool {
  lookAtPeers(slot, service, failuresMax);
  if (failingPeers * 2 > peerTotal) return false;
  if (peerRequests == 0) return true;
  const rate = (f64(peerFailures) + 1) / (f64(peerRequests) + 2); // Laplace's rule: few requests prove little
  let chance: f64 = 1;
  for (let index: u32 = 0; index < failuresMax && chance > CHANCE_MAX; index += 1) chance *= rate;
  return chance <= CHANCE_MAX;
}

/** Whether its success rate in the window is below its part of its peers'. */
function hasPoorRate(slot: u32, vital: u32, service: u32, failuresMax: u32): bool {
  const work = workOf(slot);
  const before = atomic.load<u64>(vital + VITAL_WINDOW_BEFORE_OFFSET);
  const requests = u64(u32(work) - u32(before));
  const failures = u64(u32(work >> 32) - u32(before >> 32));
  if (requests < RATE_REQUESTS_MIN || failures % RATE_EVERY != 0) return false;
  lookAtPeers(slot, service, failuresMax);
  if (peerRequests < RATE_REQUESTS_MIN) return false;
  const part = f64(atomic.load<u32>(tuningOf(service) + TUNING_SUCCESS_RATE_OFFSET)) / 1024;
  const peerRate = f64(peerRequests - min(peerFailures, peerRequests)) / f64(peerRequests);
  return f64(requests - min(failures, requests)) / f64(requests) < part * peerRate;
}

/** Moves the window on: two halves, so that what counts is between half a window and a whole one old. */
function turnWindow(slot: u32, vital: u32, windowMs: u32): void {
  const at = atomic.load<u64>(vital + VITAL_WINDOW_AT_OFFSET);
  const half = u64(windowMs) * 500;
  if (at != 0 && now < at + half) return;
  if (atomic.cmpxchg<u64>(vital + VITAL_WINDOW_AT_OFFSET, at, now) != at) return; // somebody else does it
  const work = workOf(slot);
  const begun = at == 0 || now >= at + 2 * half ? work : atomic.load<u64>(vital + VITAL_WINDOW_OFFSET);
  atomic.store<u64>(vital + VITAL_WINDOW_BEFORE_OFFSET, begun);
  atomic.store<u64>(vital + VITAL_WINDOW_OFFSET, work);
}

/** Ejects if the others can bear it. */
function ejectFor(slot: u32, service: u32, reason: u32): bool {
  const tuning = tuningOf(service);
  const vital = vitalOf(slot);
  lookAtPeers(slot, service, max<u32>(1, atomic.load<u32>(tuning + TUNING_FAILURES_OFFSET)));
  if (peerTotal == 0 || ejectedTotal >= ejectedMax(tuning)) return false;
  const duration = nextDuration(tuning, vital);
  if (!setAside(slot, vital, service, reason, duration)) return false;
  // Two threads may have ejected two at once: whoever finds too many takes its own back.
  lookAtPeers(slot, service, 1);
  if (peerTotal != 0 && ejectedTotal <= ejectedMax(tuning)) return true;
  comeBack(slot, vital);
  return false;
}

/** How many of the members may be ejected at once. */
function ejectedMax(tuning: u32): u32 {
  const share = atomic.load<u32>(tuning + TUNING_SHARE_MAX_OFFSET);
  if (share == 0) return 0;
  return max<u32>(1, u32((u64(memberTotal) * u64(share)) >> 10));
}

/** Doubles with each ejection, and forgets one for each window without. */
function nextDuration(tuning: u32, vital: u32): u64 {
  const first = u64(max<u32>(1, atomic.load<u32>(tuning + TUNING_EJECTION_OFFSET))) * 1000;
  const last = u64(max<u32>(1, atomic.load<u32>(tuning + TUNING_EJECTION_MAX_OFFSET))) * 1000;
  const restored = atomic.load<u64>(vital + VITAL_RESTORED_AT_OFFSET);
  const window = u64(max<u32>(1, atomic.load<u32>(tuning + TUNING_WINDOW_OFFSET))) * 1000;
  let count = atomic.load<u32>(vital + VITAL_EJECTIONS_OFFSET);
  if (restored != 0 && now > restored) count -= u32(min<u64>(u64(count), (now - restored) / window));
  atomic.store<u32>(vital + VITAL_EJECTIONS_OFFSET, min<u32>(count + 1, DOUBLINGS_MAX));
  const duration = min<u64>(first << u64(min<u32>(count, DOUBLINGS_MAX)), max<u64>(first, last));
  // Up to an eighth more at random: sidecars that ejected together do not try together.
  return duration + u64(randomBelow(u32(min<u64>(duration >> 3, 0x7fffffff)) + 1));
}

/** Sets the bit and what belongs to it; false when it was set already, but for a drain that goes on. */
function setAside(slot: u32, vital: u32, service: u32, reason: u32, duration: u64): bool {
  const until = now + duration;
  atomic.store<u64>(vital + VITAL_EJECTED_UNTIL_OFFSET, until);
  atomic.store<u64>(vital + VITAL_TRIAL_AT_OFFSET, 0);
  atomic.store<u32>(vital + VITAL_REASON_OFFSET, reason);
  const isNew = eject(slot) == 1;
  if (isNew) atomic.store<u64>(vital + VITAL_EJECTED_AT_OFFSET, now);
  bringForward(tuningOf(service) + TUNING_TRIAL_DUE_OFFSET, until);
  return isNew;
}

/** An attempt on an ejected instance ended: the trial, or one that was under way before or went there in panic. */
function settleTrial(slot: u32, vital: u32, result: u32): void {
  const until = atomic.load<u64>(vital + VITAL_EJECTED_UNTIL_OFFSET);
  if (until == 0 || until > now) return;
  if (result == RESULT_OK) {
    // The failures that ejected it made its average a slow one's. This answer is the first of a new one.
    forgetSeen(slot);
    noteOk(vital);
    comeBack(slot, vital);
    return;
  }
  const service = serviceOfSlot(slot);
  if (service == 0) return;
  const tuning = tuningOf(service - 1);
  if (result == RESULT_FAILED) {
    noteDoubt(vital);
    setAside(slot, vital, service - 1, atomic.load<u32>(vital + VITAL_REASON_OFFSET), nextDuration(tuning, vital));
    return;
  }
  atomic.store<u64>(vital + VITAL_TRIAL_AT_OFFSET, 0); // it told nothing: another request may try
  bringForward(tuning + TUNING_TRIAL_DUE_OFFSET, now);
}

/** Takes an instance back, with nothing held against it but how often it went. */
function comeBack(slot: u32, vital: u32): i32 {
  atomic.store<u32>(vital + VITAL_FAILURES_OFFSET, 0);
  atomic.store<u64>(vital + VITAL_TRIAL_AT_OFFSET, 0);
  atomic.store<u64>(vital + VITAL_RESTORED_AT_OFFSET, now);
  const work = workOf(slot);
  atomic.store<u64>(vital + VITAL_WINDOW_OFFSET, work);
  atomic.store<u64>(vital + VITAL_WINDOW_BEFORE_OFFSET, work);
  atomic.store<u64>(vital + VITAL_WINDOW_AT_OFFSET, now);
  return restore(slot);
}

/** Makes the time at `ptr` the earlier of itself (0 = none) and `due`. */
function bringForward(ptr: u32, due: u64): void {
  let seen = atomic.load<u64>(ptr);
  while (seen == 0 || seen > due) {
    const found = atomic.cmpxchg<u64>(ptr, seen, due);
    if (found == seen) return;
    seen = found;
  }
}
