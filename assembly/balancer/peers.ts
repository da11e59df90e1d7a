// An instance among its peers: what outlier detection must know before it sets one aside.
//
// Who fails as all fail is no outlier: then the fault is the request's, the network's or everybody's, and ejecting
// moves the load onto the rest. Looking at all peers is O(n), and happens only when one is about to be ejected.

import { STATE_EJECTED, STATE_INELIGIBLE } from "../abi/balancer-codes.ts";
import {
  SET_BLOCK_OFFSET,
  TUNING_PEERS_OFFSET,
  VITAL_FAILURES_OFFSET,
  VITAL_WINDOW_BEFORE_OFFSET,
} from "../abi/balancer-table.ts";
import { memberCount, memberSlot } from "./block.ts";
import { pin } from "./epochs.ts";
import { stateOf } from "./instances.ts";
import { setRecord } from "./sets.ts";
import { workOf } from "./stats.ts";
import { tuningOf } from "./tuning.ts";
import { vitalOf } from "./vitals.ts";

// Per instance (thread): results of the last `lookAtPeers`.
/** Members of the service's widest set, this one included. */
export let memberTotal: u32 = 0;
/** Of all members, those ejected already. */
export let ejectedTotal: u32 = 0;
/** Peers that may be picked. */
export let peerTotal: u32 = 0;
/** Peers that may be picked and have failed half as often in a row as would eject them. */
export let failingPeers: u32 = 0;
/** What those that may be picked have done since the window before this began. */
export let peerRequests: u64 = 0;
export let peerFailures: u64 = 0;

/** Looks at all peers of `slot`. `failuresMax`: how many failures in a row eject. */
export function lookAtPeers(slot: u32, service: u32, failuresMax: u32): void {
  memberTotal = 0;
  ejectedTotal = 0;
  peerTotal = 0;
  failingPeers = 0;
  peerRequests = 0;
  peerFailures = 0;
  const set = load<u32>(tuningOf(service), TUNING_PEERS_OFFSET);
  if (set == 0) return;
  pin();
  const block = atomic.load<u32>(setRecord(set - 1) + SET_BLOCK_OFFSET);
  if (block == 0) return;
  const failing = max<u32>(1, (failuresMax + 1) >> 1);
  memberTotal = memberCount(block);
  for (let index: u32 = 0; index < memberTotal; index += 1) {
    const peer = memberSlot(block, index);
    const state = stateOf(peer);
    if ((state & STATE_EJECTED) != 0) ejectedTotal += 1;
    if (peer == slot || (state & STATE_INELIGIBLE) != 0) continue;
    peerTotal += 1;
    const vital = vitalOf(peer);
    if (atomic.load<u32>(vital + VITAL_FAILURES_OFFSET) >= failing) failingPeers += 1;
    const work = workOf(peer);
    const before = atomic.load<u64>(vital + VITAL_WINDOW_BEFORE_OFFSET);
    peerRequests += u64(u32(work) - u32(before));
    peerFailures += u64(u32(work >> 32) - u32(before >> 32));
  }
}
