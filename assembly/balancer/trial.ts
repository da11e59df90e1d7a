// The half-open return: one pick in a while goes to an ejected instance, to see whether it answers again.
//
// Asked only in sets of which somebody is set aside, and then one load: the service remembers when the next trial is
// due. The pick that finds it due looks at all members, claims one, and notes when to look again.

import { NO_INSTANCE, STATE_EJECTED, STATE_INELIGIBLE } from "../abi/balancer-codes.ts";
import { TUNING_TRIAL_DUE_OFFSET } from "../abi/balancer-table.ts";
import { memberCount, memberSlot } from "./block.ts";
import { stateOf } from "./instances.ts";
import { claimTrial, trialDue } from "./outlier.ts";
import { now } from "./time.ts";
import { tuningOf } from "./tuning.ts";

/** An instance whose trial this pick is, or NO_INSTANCE. One that can be sent only once leaves trials to others. */
export function pickTrial(block: u32, service: u32, isOnce: bool): i32 {
  const duePtr = tuningOf(service) + TUNING_TRIAL_DUE_OFFSET;
  const due = atomic.load<u64>(duePtr);
  if (due == 0 || due + (isOnce ? OTHERS_US : 0) > now) return NO_INSTANCE;
  if (atomic.cmpxchg<u64>(duePtr, due, 0) != due) return NO_INSTANCE; // another thread looks
  const count = memberCount(block);
  let claimed: i32 = NO_INSTANCE;
  let next: u64 = 0;
  for (let index: u32 = 0; index < count; index += 1) {
    const slot = memberSlot(block, index);
    if ((stateOf(slot) & STATE_INELIGIBLE) == STATE_EJECTED && claimed == NO_INSTANCE && claimTrial(slot)) {
      claimed = slot;
    }
    const later = trialDue(slot);
    if (later != 0 && (next == 0 || later < next)) next = later;
  }
  // A set of few of the service's instances may have seen none of those that are due: the next look is soon.
  if (next == 0) next = now + LOOK_AGAIN_US;
  let seen: u64 = 0;
  while (seen == 0 || seen > next) {
    const found = atomic.cmpxchg<u64>(duePtr, seen, next);
    if (found == seen) break;
    seen = found;
  }
  return claimed;
}

const LOOK_AGAIN_US: u64 = 100000;
/** How long a due trial waits for a request that may be repeated, and is saved if the trial fails. */
const OTHERS_US: u64 = 500000;
