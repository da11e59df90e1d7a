// Random by weight, without regard to load: the policy that needs nothing to be shared.

import { NO_INSTANCE } from "../../abi/balancer-codes.ts";
import { memberSlot } from "../block.ts";
import { drawCandidate } from "./alias-table.ts";

/** Picks a candidate with probability by weight. */
export function pickRandom(block: u32): i32 {
  const index = drawCandidate(block);
  return index == NO_INSTANCE ? NO_INSTANCE : memberSlot(block, index);
}
