// Glitches: whatever a peer did that an honest one does not, counted by kind and side. One place, so that a new check
// cannot forget to be seen (reliability.md §1, "Glitch list"); `pillion_glitches_total{kind}` is made from it.
//
// It only counts. Whether a glitch costs the peer a stream or the connection is decided where it was noticed.

import { GLITCHES_COUNT } from "../../abi/engine-codes.ts";
import { C_ROLE } from "../tables/connections.ts";

/** u64 for each (role, kind); this worker's own. */
const COUNTS: u32 = <u32>memory.data(GLITCHES_COUNT * 16, 8);

/** Counts one anomaly of the peer of `connection`. */
export function glitch(connection: u32, kind: u32): void {
  const at = cellOf(load<u8>(connection, C_ROLE), kind);
  store<u64>(at, load<u64>(at) + 1);
}

/** How many there were since the worker started; `role` = ROLE_* of the connections. */
export function glitchCount(role: u32, kind: u32): u64 {
  return load<u64>(cellOf(role, kind));
}

function cellOf(role: u32, kind: u32): u32 {
  assert(kind < <u32>GLITCHES_COUNT);
  return COUNTS + (role * GLITCHES_COUNT + kind) * 8;
}
