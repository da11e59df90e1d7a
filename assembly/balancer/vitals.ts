// What is known of an instance's life: whose it is, since when, how it has failed, what it reported.
//
// Two cache lines of shared memory (map: abi/balancer-table.ts). A slot belongs to one service; its peers are the
// members of that service's widest set.

import { INSTANCES_MAX, VITAL_BYTES, VITAL_LOCAL_OFFSET, VITAL_SERVICE_OFFSET, VITALS } from "../abi/balancer-table.ts";

export function vitalOf(slot: u32): u32 {
  return VITALS + slot * VITAL_BYTES;
}

/** Service of a slot plus one; 0 while it is in no set. */
export function serviceOfSlot(slot: u32): u32 {
  return load<u32>(vitalOf(slot), VITAL_SERVICE_OFFSET);
}

/** Whether the instance runs in our zone. */
export function isLocal(slot: u32): bool {
  return load<u32>(vitalOf(slot), VITAL_LOCAL_OFFSET) != 0;
}

/** Says whether an instance runs in our zone; sets take notice with their next `commitSet`. Main thread. */
export function setLocal(slot: u32, local: u32): void {
  assert(slot < u32(INSTANCES_MAX));
  store<u32>(vitalOf(slot), local, VITAL_LOCAL_OFFSET);
}

/** Forgets all of a slot's former owner. Main thread, while the slot is idle. */
export function clearVitals(slot: u32): void {
  memory.fill(vitalOf(slot), 0, VITAL_BYTES);
}
