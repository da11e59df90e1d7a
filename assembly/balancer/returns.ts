// Who was away and is back: trusted by what it does from now on, not by what was known of it before.
//
// A process that is restarted under the same name and address keeps its slot. What its end has left there (an average
// made of failures, a row of them, an old report, an ejection) says nothing of its successor, and would keep callers
// away for many seconds. Evidence of an absence is a connect that failed, or that it said it drains; evidence of the
// return is a connection that speaks. A reset connection alone is none: that is how a bad instance looks.
//
// Who is back is a newcomer: it ramps up (ramp.ts). How often it was ejected lately is kept, so one that comes and goes
// is set aside for longer and longer.

import { SET_RAMP_UNTIL_OFFSET, TUNING_PEERS_OFFSET, VITAL_AWAY_OFFSET } from "../abi/balancer-table.ts";
import { forgetReport } from "./load.ts";
import { restoreReturned } from "./outlier.ts";
import { rejoin } from "./ramp.ts";
import { setRecord } from "./sets.ts";
import { tuningOf } from "./tuning.ts";
import { serviceOfSlot, vitalOf } from "./vitals.ts";

/** There is nobody at an instance's address: a connect failed. Any thread. */
export function noteAway(slot: u32): void {
  atomic.store<u32>(vitalOf(slot) + VITAL_AWAY_OFFSET, 1);
}

/** Whether an instance was seen to be away and not yet seen to be back. */
export function isAway(slot: u32): u32 {
  return atomic.load<u32>(vitalOf(slot) + VITAL_AWAY_OFFSET);
}

/** An instance speaks: if it was away, it is a newcomer, and 1 is returned. Any thread. */
export function noteBack(slot: u32): i32 {
  const ptr = vitalOf(slot) + VITAL_AWAY_OFFSET;
  if (atomic.load<u32>(ptr) == 0 || atomic.xchg<u32>(ptr, 0) == 0) return 0;
  welcome(slot);
  return 1;
}

/** Forgets what an instance's former life has left. Any thread. */
export function welcome(slot: u32): void {
  forgetReport(slot);
  restoreReturned(slot);
  const service = serviceOfSlot(slot);
  if (service == 0) return;
  const until = rejoin(slot, service - 1);
  const set = load<u32>(tuningOf(service - 1), TUNING_PEERS_OFFSET);
  if (set == 0) return;
  // Subsets by tags have a record of their own, and take it at once.
  const ptr = setRecord(set - 1) + SET_RAMP_UNTIL_OFFSET;
  let seen = atomic.load<u64>(ptr);
  while (seen < until) {
    const found = atomic.cmpxchg<u64>(ptr, seen, until);
    if (found == seen) return;
    seen = found;
  }
}
