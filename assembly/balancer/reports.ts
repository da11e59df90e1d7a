// What an instance's load report says: how much it has to do, and whether it goes.

import { REPORT_DRAINING } from "../abi/balancer-codes.ts";
import { learnReport } from "./load.ts";
import { noteDraining } from "./outlier.ts";
import { noteAway, noteBack } from "./returns.ts";

/** Takes a load report: requests in flight at `slot`, µs that one takes there (0 = unknown), REPORT_* flags. */
export function report(slot: u32, inflight: u32, latencyUs: u32, flags: u32): void {
  const isDraining = (flags & REPORT_DRAINING) != 0;
  if (isDraining) noteAway(slot);
  else noteBack(slot);
  learnReport(slot, inflight, latencyUs);
  noteDraining(slot, isDraining);
}
