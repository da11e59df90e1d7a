// Least connections: a full scan for the smallest (in flight + pending) / weight, exact over all workers.
//
// O(n), and worth it where requests are few and long. The loads are sums at the time they are read; two threads that
// scan at once may choose the same member. Ties go by weight at random, so that idle members share by weight and
// threads do not all fall upon the first.

import { NO_INSTANCE } from "../../abi/balancer-codes.ts";
import { randomBelow } from "../../core/random.ts";
import { memberCount, memberSlot, memberWeight } from "../block.ts";
import { isWanted, takesAll } from "../eligible.ts";
import { loadOf } from "../gauges.ts";

/** Picks the candidate with the least load per weight. */
export function pickLeastConnections(block: u32): i32 {
  const count = memberCount(block);
  const takes = takesAll();
  let best: i32 = NO_INSTANCE;
  let bestLoad: u64 = 0;
  let bestWeight: u64 = 0;
  let tiedWeight: u32 = 0;
  for (let index: u32 = 0; index < count; index += 1) {
    const slot = memberSlot(block, index);
    if (!takes && !isWanted(slot)) continue;
    const load = u64(loadOf(slot));
    const weight = memberWeight(block, index);
    // load / weight compared by cross-multiplying: no division, no rounding.
    const left = load * bestWeight;
    const right = bestLoad * u64(weight);
    if (best != NO_INSTANCE) {
      if (left > right) continue;
      if (left == right) {
        tiedWeight += weight;
        if (randomBelow(tiedWeight) >= weight) continue;
        best = slot;
        continue;
      }
    }
    best = slot;
    bestLoad = load;
    bestWeight = u64(weight);
    tiedWeight = weight;
  }
  return best;
}
