// Reading a member block, published or being built: count, members, lookup (map: abi/balancer-table.ts).

import {
  BLOCK_COUNT_OFFSET,
  BLOCK_EQUAL_WEIGHTS_OFFSET,
  BLOCK_IS_PART_OFFSET,
  BLOCK_LOOKUP_LENGTH_OFFSET,
  BLOCK_LOOKUP_OFFSET,
  BLOCK_MEMBERS_OFFSET,
  BLOCK_POLICY_OFFSET,
  BLOCK_WEIGHT_OFFSET,
  MEMBER_BYTES,
  MEMBER_WEIGHT_OFFSET,
} from "../abi/balancer-table.ts";

export function policyOf(block: u32): u32 {
  return load<u32>(block, BLOCK_POLICY_OFFSET);
}

/** Members of a weight above 0; at least one. */
export function memberCount(block: u32): u32 {
  return load<u32>(block, BLOCK_COUNT_OFFSET);
}

export function memberSlot(block: u32, index: u32): u32 {
  return load<u32>(block + index * MEMBER_BYTES, BLOCK_MEMBERS_OFFSET);
}

export function memberWeight(block: u32, index: u32): u32 {
  return load<u32>(block + index * MEMBER_BYTES, BLOCK_MEMBERS_OFFSET + MEMBER_WEIGHT_OFFSET);
}

/** Sum of all members' weights. */
export function totalWeight(block: u32): u64 {
  return load<u64>(block, BLOCK_WEIGHT_OFFSET);
}

/** Whether all weights are the same. */
export function hasEqualWeights(block: u32): bool {
  return load<u32>(block, BLOCK_EQUAL_WEIGHTS_OFFSET) != 0;
}

/** Whether these are the members of one zone out of a larger set. */
export function isPart(block: u32): bool {
  return load<u32>(block, BLOCK_IS_PART_OFFSET) != 0;
}

/** Entries of the policy's lookup; 0 where equal weights need none. */
export function lookupLength(block: u32): u32 {
  return load<u32>(block, BLOCK_LOOKUP_LENGTH_OFFSET);
}

export function lookupPtr(block: u32): u32 {
  return load<u32>(block, BLOCK_LOOKUP_OFFSET);
}
