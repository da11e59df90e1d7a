// After a new snapshot: connections to instances that are gone or draining take nothing new, and who waits for one of
// them looks elsewhere.

import { REASON_NO_INSTANCE } from "../../abi/engine-codes.ts";
import { UPSTREAM_POOLS_MAX } from "../../abi/engine-memory.ts";
import { INSTANCE_FLAGS, INSTANCE_GENERATION, INSTANCE_IS_DRAINING, INSTANCE_IS_PRESENT } from "../../abi/policy.ts";
import { instanceAt } from "../route/index.ts";
import { failAttempt } from "./attempt.ts";
import { CP_POOL_NEXT, drainConnection, firstConnection, firstWaiting, poolGeneration } from "./upstream.ts";

/** Drains what leads to instances that the snapshot in force no longer offers. */
export function drainGone(): void {
  for (let slot: u32 = 0; slot < <u32>UPSTREAM_POOLS_MAX; slot += 1) {
    let connection = firstConnection(slot);
    if ((connection == 0 && firstWaiting(slot) == 0) || isOffered(slot)) continue;
    while (connection != 0) {
      const next = load<u32>(connection, CP_POOL_NEXT);
      drainConnection(connection);
      connection = next;
    }
    // An attempt that begins anew is picked from the new set, so it does not come back here.
    let exchange = firstWaiting(slot);
    while (exchange != 0) {
      failAttempt(exchange, REASON_NO_INSTANCE, true, 0);
      const first = firstWaiting(slot);
      if (first == exchange) break;
      exchange = first;
    }
  }
}

/** Whether the snapshot in force still offers the instance that a slot's connections lead to. */
export function isOffered(slot: u32): bool {
  const record = instanceAt(slot);
  if (record == 0) return false;
  const flags = load<u8>(record, INSTANCE_FLAGS);
  if ((flags & INSTANCE_IS_PRESENT) == 0 || (flags & INSTANCE_IS_DRAINING) != 0) return false;
  return load<u32>(record, INSTANCE_GENERATION) == poolGeneration(slot);
}
