// From staged members to a policy's lookup, in three questions: how many entries, how many bytes, fill it.
//
// Runs on the main thread only, once per publication. `measureLookup` may leave a number of its own in each staged
// member (STAGED_SHARE: reduced weight, points on the ring), which `compileLookup` finds again.

import {
  POLICY_ADAPTIVE,
  POLICY_LEAST_CONNECTIONS,
  POLICY_MAGLEV,
  POLICY_RANDOM,
  POLICY_RING_HASH,
  POLICY_WEIGHTED_ROUND_ROBIN,
} from "../abi/policies.ts";
import { lookupLength, policyOf } from "./block.ts";
import { ALIAS_BYTES, ALIAS_SCRATCH_BYTES, compileAlias, measureAlias } from "./pick/alias-table.ts";
import { compileGroups, GROUP_BYTES, GROUPS_SCRATCH_BYTES, measureGroups } from "./pick/load-groups.ts";
import { compileMaglev, MAGLEV_ENTRY_BYTES, MAGLEV_SCRATCH_BYTES, measureMaglev } from "./pick/maglev.ts";
import { compileRing, measureRing, POINT_BYTES, POINT_SCRATCH_BYTES, RING_SCRATCH_BYTES } from "./pick/ring-hash.ts";
import {
  compileSequence,
  measureSequence,
  SEQUENCE_ENTRY_BYTES,
  SEQUENCE_MEMBER_SCRATCH_BYTES,
  SEQUENCE_SCRATCH_BYTES,
} from "./pick/weighted-round-robin.ts";

/** Entries that the lookup will have; 0 where the policy needs none. */
export function measureLookup(policy: u32, staged: u32, count: u32): u32 {
  if (policy == POLICY_WEIGHTED_ROUND_ROBIN) return measureSequence(staged, count);
  if (policy == POLICY_RANDOM || policy == POLICY_ADAPTIVE) return measureAlias(staged, count);
  if (policy == POLICY_RING_HASH) return measureRing(staged, count);
  if (policy == POLICY_MAGLEV) return measureMaglev(count);
  if (policy == POLICY_LEAST_CONNECTIONS) return measureGroups(staged, count);
  return 0;
}

/** Bytes of a lookup of `length` entries. */
export function lookupBytes(policy: u32, length: u32): u32 {
  if (policy == POLICY_WEIGHTED_ROUND_ROBIN) return length * SEQUENCE_ENTRY_BYTES;
  if (policy == POLICY_RANDOM || policy == POLICY_ADAPTIVE) return length * ALIAS_BYTES;
  if (policy == POLICY_RING_HASH) return length * POINT_BYTES;
  if (policy == POLICY_MAGLEV) return length * MAGLEV_ENTRY_BYTES;
  if (policy == POLICY_LEAST_CONNECTIONS) return length * GROUP_BYTES;
  return 0;
}

/** Bytes that compiling needs besides, given back afterwards; 0 when there is nothing to compile. */
export function scratchBytes(policy: u32, count: u32, length: u32): u32 {
  if (length == 0) return 0;
  if (policy == POLICY_WEIGHTED_ROUND_ROBIN) {
    return SEQUENCE_SCRATCH_BYTES + count * SEQUENCE_MEMBER_SCRATCH_BYTES;
  }
  if (policy == POLICY_RANDOM || policy == POLICY_ADAPTIVE) return length * ALIAS_SCRATCH_BYTES;
  if (policy == POLICY_RING_HASH) return RING_SCRATCH_BYTES + length * POINT_SCRATCH_BYTES;
  if (policy == POLICY_MAGLEV) return count * MAGLEV_SCRATCH_BYTES;
  if (policy == POLICY_LEAST_CONNECTIONS) return GROUPS_SCRATCH_BYTES;
  return 0;
}

/** Fills the lookup of a block whose header and members are in place. */
export function compileLookup(block: u32, staged: u32, scratch: u32): void {
  assert(lookupLength(block) > 0);
  const policy = policyOf(block);
  if (policy == POLICY_WEIGHTED_ROUND_ROBIN) compileSequence(block, staged, scratch);
  else if (policy == POLICY_RING_HASH) compileRing(block, staged, scratch);
  else if (policy == POLICY_MAGLEV) compileMaglev(block, staged, scratch);
  else if (policy == POLICY_LEAST_CONNECTIONS) compileGroups(block, scratch);
  else compileAlias(block, scratch);
}
