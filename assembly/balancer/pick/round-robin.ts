// Round robin, exact across threads: one 64-bit cursor per set, advanced atomically by every pick.
//
// A member that may not be taken costs a further tick, not its neighbour's double share: the rest of the set is
// then picked in turn as if the member were not there. As long as half of the set is eligible that is two ticks a
// pick on average. Weights do not count here, but for 0.

import { NO_INSTANCE } from "../../abi/balancer-codes.ts";
import { memberCount, memberSlot } from "../block.ts";
import { isWanted } from "../eligible.ts";

/** Picks the next candidate in turn. */
export function pickRoundRobin(block: u32, cursorPtr: u32): i32 {
  const count = memberCount(block);
  // Other threads take ticks between ours, so one round need not show us every member; two are given.
  const ticksMax = count * 2;
  for (let tick: u32 = 0; tick < ticksMax; tick += 1) {
    const turn = atomic.add<u64>(cursorPtr, 1);
    const slot = memberSlot(block, u32(turn % u64(count)));
    if (isWanted(slot)) return slot;
  }
  return NO_INSTANCE;
}
