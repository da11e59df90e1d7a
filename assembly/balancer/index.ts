// The exports of balancer.wasm, and nothing else: the list to read when wiring the engine or the facade.
//
// Every parameter and result is a u32 or i32 (as a raw Wasm export: i32), but for `takeToken`'s u64. Nothing here
// throws: a wrong index is a bug of the caller and traps.
//
// For a worker (the engine imports these):
//
//   start(worker, seed)                 once per instantiation, before anything else
//   setTime(us)                         what time it is, at the beginning of each turn; monotonic, one for all threads
//   quiesce()                           at the end of each turn: this thread holds no reference into member blocks
//   pick(set, hash, skip0, skip1, skip2) → slot, in flight +1; or NO_INSTANCE. Empty skip: 0xffffffff
//   pickOnce(…the same) → slot          for a request that can be sent only once
//   isProven(slot) · isQuiet(slot) → 1 | 0   its last attempt ended well · it owes, and brings nothing to its end
//   adopt(slot) · release(slot)         in flight +1 / −1 without picking
//   connectionOpened(slot) · connectionClosed(slot) · pendingAdded(slot) · pendingRemoved(slot)
//   admit(service, counter) → 1 | 0     count one in, if the limit allows · leave(service, counter)
//   takeToken(key, intervalNs, toleranceNs) → 0 | ms to wait: rate limits, by a key that is not 0
//   waitForAdmission(service)           be woken at the next leave; then admit again before sleeping
//   countOf(service, counter) · inflightOf(slot) · connectionsOf(slot) · pendingOf(slot)
//   stateOf(slot) · generationOf(slot) · weightOf(slot) · serviceOf(set) · memberCountOf(set) · modeOf(set)
//   eject(slot) · restore(slot) → 1 if this call changed it
//   markSilent(slot) → 1 if set aside · clearSilent(slot) → 1 if back · ejectionReason(slot) → EJECTED_* or 0
//   noteAway(slot) · isAway(slot) → 1 | 0 · noteBack(slot) → 1 if it was away and is a newcomer now · welcome(slot)
//   report(slot, inflight, latencyUs, flags)   an instance's load report; REPORT_* flags
//   recordEstimate(slot, us) · estimateLatency(slot) → µs   the app beside us, for our own reports
//   count(cell, delta) · observeLatency(cellBase, us) · observeInstance(slot, us, RESULT_*)
//
// For the main thread besides (through src/wasm/balancer.ts):
//
//   create()                            once per memory
//   setInstance(slot, weight, generation) · setWeight(slot, weight) · setState(slot, mask, bits) · clearInstance(slot)
//   slotIdle(slot) → 1 when a cleared slot may be set again
//   beginSet(set, policy, service, capacity) · addMember(slot, weight, memberHash) · commitSet() · clearSet(set)
//   setLocal(slot, 1 | 0) · preferLocal()   between beginSet and commitSet: local members of it come first
//   setLimit(service, counter, limit)   0xffffffff = none
//   setOutlier(service, failures, successRate, windowMs, ejectionMs, ejectionMsMax, shareMax)
//   setSlowStart(service, ms)
//   clearWorker(worker)                 after its thread has ended · reclaim() → blocks freed · arenaUsed() → bytes
//
// Imported and exported in two statements: asc does not resolve `export … from` with an extension.

import { admit, countOf, leave, setLimit, waitForAdmission } from "./admission.ts";
import { arenaUsed } from "./arena.ts";
import { quiesce, reclaim } from "./epochs.ts";
import { estimateLatency, recordEstimate } from "./estimate.ts";
import {
  adopt,
  connectionClosed,
  connectionOpened,
  connectionsOf,
  inflightOf,
  pendingAdded,
  pendingOf,
  pendingRemoved,
  release,
} from "./gauges.ts";
import {
  clearInstance,
  eject,
  generationOf,
  restore,
  setInstance,
  setState,
  setWeight,
  slotIdle,
  stateOf,
  weightOf,
} from "./instances.ts";
import { count, observeLatency } from "./metrics.ts";
import { clearSilent, ejectionReason, markSilent } from "./outlier.ts";
import { pick, pickOnce } from "./pick.ts";
import { isProven, isQuiet } from "./proof.ts";
import { takeToken } from "./rates.ts";
import { report } from "./reports.ts";
import { isAway, noteAway, noteBack, welcome } from "./returns.ts";
import { addMember, beginSet, clearSet, commitSet, memberCountOf, modeOf, preferLocal, serviceOf } from "./sets.ts";
import { observeInstance } from "./stats.ts";
import { setTime } from "./time.ts";
import { setOutlier, setSlowStart } from "./tuning.ts";
import { setLocal } from "./vitals.ts";
import { clearWorker, create, start } from "./workers.ts";

export {
  addMember,
  admit,
  adopt,
  arenaUsed,
  beginSet,
  clearInstance,
  clearSet,
  clearSilent,
  clearWorker,
  commitSet,
  connectionClosed,
  connectionOpened,
  connectionsOf,
  count,
  countOf,
  create,
  eject,
  ejectionReason,
  estimateLatency,
  generationOf,
  inflightOf,
  isAway,
  isProven,
  isQuiet,
  leave,
  markSilent,
  memberCountOf,
  modeOf,
  noteAway,
  noteBack,
  observeInstance,
  observeLatency,
  pendingAdded,
  pendingOf,
  pendingRemoved,
  pick,
  pickOnce,
  preferLocal,
  quiesce,
  reclaim,
  recordEstimate,
  release,
  report,
  restore,
  serviceOf,
  setInstance,
  setLimit,
  setLocal,
  setOutlier,
  setSlowStart,
  setState,
  setTime,
  setWeight,
  slotIdle,
  start,
  stateOf,
  takeToken,
  waitForAdmission,
  weightOf,
  welcome,
};
