// Least connections: a full scan for the smallest (in flight + pending) / weight, exact over all workers.
//
// O(n), and worth it where requests are few and long, so the loop has little in it: where all weights are equal and
// nobody is stepped over, four members at a time (load-groups.ts). The loads are sums at the time they
// are read; two threads that scan at once may choose the same member. Ties go by weight at random, so that idle members
// share by weight and threads do not all fall upon the first.
//
// Of ties, a reservoir of one holds each with its share of the sum so far. A draw for each would cost more than all the
// rest; instead one draw says how far the reservoir stays as it is. What is held at a sum of W is still held at S
// with a probability of W / S, so it is first replaced at the unit of weight floor(W / u) + 1, u uniform: some ln(n)
// draws for n ties.

import { NO_INSTANCE } from "../../abi/balancer-codes.ts";
import {
  BLOCK_MEMBERS_OFFSET,
  LOAD_COLUMN_BYTES,
  LOADS,
  MEMBER_BYTES,
  MEMBER_WEIGHT_OFFSET,
  WORKERS_HIGH_OFFSET,
} from "../../abi/balancer-table.ts";
import { randomNext } from "../../core/random.ts";
import { hasEqualWeights, memberCount } from "../block.ts";
import { isWanted, takesAll } from "../eligible.ts";
import { pickOfGroups } from "./load-groups.ts";

/** Picks the candidate with the least load per weight. */
export function pickLeastConnections(block: u32): i32 {
  if (!hasEqualWeights(block)) return scanWeighted(block);
  const picked = takesAll() ? pickOfGroups(block) : NO_INSTANCE;
  return picked == NO_INSTANCE ? scanEqual(block) : picked;
}

/** Where all weights are equal, loads are compared as they are: here of those who are wanted. */
function scanEqual(block: u32): i32 {
  const columns = atomic.load<u32>(WORKERS_HIGH_OFFSET);
  const end = block + memberCount(block) * MEMBER_BYTES;
  let best: i32 = NO_INSTANCE;
  let bestLoad: u32 = 0xffffffff;
  let tied: u32 = 0;
  let replacedAt: u32 = 0;
  for (let member = block; member < end; member += MEMBER_BYTES) {
    const slot = load<u32>(member, BLOCK_MEMBERS_OFFSET);
    if (!isWanted(slot)) continue;
    const sum = readLoad(slot, columns);
    if (sum < bestLoad) {
      bestLoad = sum;
      tied = 0;
      replacedAt = 0;
    }
    tied += u32(sum == bestLoad); // no branch: ties and others alternate as they like
    if (tied < replacedAt) continue;
    best = slot;
    replacedAt = u32(min<u64>(nextReplacement(tied), 0xffffffff));
  }
  return best;
}

function scanWeighted(block: u32): i32 {
  const takes = takesAll();
  const columns = atomic.load<u32>(WORKERS_HIGH_OFFSET);
  const end = block + memberCount(block) * MEMBER_BYTES;
  let best: i32 = NO_INSTANCE;
  let bestLoad: u64 = 1; // above that of any: a weight of 0 makes it infinite
  let bestWeight: u64 = 0;
  let tiedWeight: u64 = 0;
  let replacedAt: u64 = 0;
  for (let member = block; member < end; member += MEMBER_BYTES) {
    const slot = load<u32>(member, BLOCK_MEMBERS_OFFSET);
    if (!takes && !isWanted(slot)) continue;
    const weight = u64(load<u32>(member, BLOCK_MEMBERS_OFFSET + MEMBER_WEIGHT_OFFSET));
    const sum = u64(readLoad(slot, columns));
    // load / weight compared by cross-multiplying: no division, no rounding.
    const left = sum * bestWeight;
    const right = bestLoad * weight;
    if (left < right) {
      bestLoad = sum;
      bestWeight = weight;
      tiedWeight = 0;
      replacedAt = 0;
    }
    tiedWeight += left <= right ? weight : 0;
    if (tiedWeight < replacedAt) continue;
    best = slot;
    replacedAt = nextReplacement(tiedWeight);
  }
  return best;
}

/** In flight + pending over all workers: `loadOf`, whose count of workers is not read anew for each member. */
function readLoad(slot: u32, columns: u32): u32 {
  const ptr = slot * 4;
  let sum = load<u32>(ptr, LOADS);
  if (columns > 1) sum += load<u32>(ptr, LOADS + LOAD_COLUMN_BYTES);
  if (columns > 2) sum += sumFrom(ptr, 2, columns);
  return sum;
}

/** Not in `readLoad`: a loop within the loop, even one that is never run, costs. */
function sumFrom(ptr: u32, first: u32, columns: u32): u32 {
  let sum: u32 = 0;
  for (let column = first; column < columns; column += 1) sum += load<u32>(ptr + column * LOAD_COLUMN_BYTES, LOADS);
  return sum;
}

/** At which sum of tied weights the one that is held at `tied` gives way. */
function nextReplacement(tied: u64): u64 {
  return (tied << 32) / (u64(randomNext()) + 1) + 1;
}
