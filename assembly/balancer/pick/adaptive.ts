// Power of two choices: draw two distinct members by weight, take the less loaded.
//
// Looking at two instead of one keeps the worst queue short; looking at only two keeps threads from herding onto
// the same momentarily idle instance. The load is what is in flight or pending, over all workers.
//
// Loads are compared per weight as (2 × load + 1) / weight: half a request more than there is. Without it an idle
// light member would always beat a busy heavy one, with a whole request more it would never be picked before the
// heavy one is full. Equal loads (two idle members above all) leave it to the first draw, which was by weight.

import { NO_INSTANCE } from "../../abi/balancer-codes.ts";
import { randomBelow } from "../../core/random.ts";
import { memberCount, memberSlot, memberWeight } from "../block.ts";
import { isCandidate } from "../eligible.ts";
import { loadOf } from "../gauges.ts";
import { drawCandidate, drawMember } from "./alias-table.ts";

/** Draws for a second member before a walk looks for any. */
const DRAWS_MAX: u32 = 4;

/** Picks the better of two candidates. */
export function pickAdaptive(block: u32): i32 {
  const first = drawCandidate(block);
  if (first == NO_INSTANCE) return NO_INSTANCE;
  const firstSlot = memberSlot(block, first);
  const second = drawOther(block, first);
  if (second == NO_INSTANCE) return firstSlot;
  const secondSlot = memberSlot(block, second);

  const firstLoad = loadOf(firstSlot);
  const secondLoad = loadOf(secondSlot);
  if (firstLoad == secondLoad) return firstSlot;
  const isSecondLess =
    (u64(secondLoad) * 2 + 1) * u64(memberWeight(block, first)) <
    (u64(firstLoad) * 2 + 1) * u64(memberWeight(block, second));
  return isSecondLess ? secondSlot : firstSlot;
}

/** A candidate besides `first`, or NO_INSTANCE when there is none. */
function drawOther(block: u32, first: u32): i32 {
  const count = memberCount(block);
  if (count == 1) return NO_INSTANCE;
  for (let draw: u32 = 0; draw < DRAWS_MAX; draw += 1) {
    const index = drawMember(block);
    if (index != first && isCandidate(memberSlot(block, index))) return index;
  }
  let index = randomBelow(count);
  for (let seen: u32 = 0; seen < count; seen += 1) {
    if (index != first && isCandidate(memberSlot(block, index))) return index;
    index = index + 1 == count ? 0 : index + 1;
  }
  return NO_INSTANCE;
}
