// Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, SODA 2018): nobody above 125 % of the
// average.
//
// A key whose owner is full goes to the next on the ring or table that is not; since all cannot be above the average,
// somebody always is. The bound counts the request that is being picked and is rounded up, so an idle instance always
// has room and one that has none of the others' load is not shut out by fractions. The average is the service's, per
// weight, over all workers: it is kept as a sum, so a pick reads it in one load per worker. Of a subset by tags the
// members are compared with the service's average too; those of a zone with the average as if all were sent there.

import { SET_BLOCK_OFFSET, TUNING_PEERS_OFFSET } from "../../abi/balancer-table.ts";
import { isPart, memberWeight, totalWeight } from "../block.ts";
import { inflightOf, inflightOfService } from "../gauges.ts";
import { setRecord } from "../sets.ts";
import { tuningOf } from "../tuning.ts";

/** 125 % of the average, DESIGN §6; Envoy's users write 120 to 200. */
const BOUND_PERCENT: u64 = 125;

// Per instance (thread): the pick under way. The sum is read when the first candidate is not idle.
let boundService: u32 = 0;
let boundLoad: u64 = 0;
let boundWeight: u64 = 0;

/** Begins a pick. */
export function openBound(service: u32): void {
  boundService = service;
  boundWeight = 0;
  boundLoad = 0;
}

/** Whether a member may take one request more. */
export function hasRoom(block: u32, index: u32, slot: u32): bool {
  const load = u64(inflightOf(slot));
  if (load == 0) return true;
  if (boundWeight == 0) readAverage(block);
  // load + 1 <= ceil(125 % × (all + 1) × weight / all weights)
  const share = boundLoad * u64(memberWeight(block, index)) * BOUND_PERCENT;
  return load * boundWeight * 100 < share;
}

function readAverage(block: u32): void {
  boundLoad = u64(inflightOfService(boundService)) + 1;
  boundWeight = totalWeight(block);
  if (isPart(block)) return;
  const widest = load<u32>(tuningOf(boundService), TUNING_PEERS_OFFSET);
  if (widest == 0) return;
  const peers = atomic.load<u32>(setRecord(widest - 1) + SET_BLOCK_OFFSET);
  if (peers != 0) boundWeight = totalWeight(peers);
}
