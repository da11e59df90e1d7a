// Adaptive: Prequal's hot/cold rule where instances report their load, two choices by peak-EWMA where they do not.
//
// Hot and cold (Wydrowski et al., NSDI 2024, §4): of a few members drawn by weight, those with more requests than most
// of the service's are hot. A cold one with the lowest latency is taken; where all are hot, the one with the fewest
// requests. With few requests about, one is enough to be hot; a cold member that is slower by more than a hot one's
// queue explains is therefore left idle. Latencies within LATENCY_RATIO of each other are one: between equals it is the
// requests that decide, and noise in a median does not herd callers. Drawing a few, not looking at all, keeps callers
// with the same news apart.
//
// Without reports: of two distinct members the lower peak-EWMA × (in flight + pending + 1), per weight. What has never
// been measured goes by its requests alone.

import { NO_INSTANCE } from "../../abi/balancer-codes.ts";
import { randomBelow } from "../../core/random.ts";
import { lookupLength, memberCount, memberSlot, memberWeight, totalWeight } from "../block.ts";
import { isWanted } from "../eligible.ts";
import { loadOf } from "../gauges.ts";
import {
  hasReports,
  loadIsReported,
  loadLatency,
  loadRequests,
  openSpread,
  ownLatency,
  readLoad,
  useReport,
} from "../load.ts";
import { drawCandidate, drawMember } from "./alias-table.ts";

/** Draws for a second member before a walk looks for any. */
const DRAWS_MAX: u32 = 4;
/** Members that are looked at where there are reports. */
const CHOICES: u32 = 5;
/** Latencies closer than this are the same. */
const LATENCY_RATIO: f32 = 1.8;

// Per instance (thread): the best of the pick under way.
let best: i32 = 0;
let bestRequests: f32 = 0;
let bestLatency: f32 = 0;
let bestIsReported: bool = false;

/** Picks by reports where there are any, else by what we have seen. */
export function pickAdaptive(block: u32, service: u32): i32 {
  return hasReports(service) ? pickReported(block, service) : pickSeen(block);
}

function pickReported(block: u32, service: u32): i32 {
  const hot = openSpread(service);
  const count = memberCount(block);
  best = NO_INSTANCE;
  if (count <= CHOICES) {
    let index = randomBelow(count);
    for (let seen: u32 = 0; seen < count; seen += 1) {
      if (isWanted(memberSlot(block, index))) consider(block, index, hot);
      index = index + 1 == count ? 0 : index + 1;
    }
  } else {
    for (let choice: u32 = 0; choice < CHOICES; choice += 1) {
      const index = drawMember(block);
      if (isWanted(memberSlot(block, index))) consider(block, index, hot);
    }
    if (best == NO_INSTANCE) {
      const index = drawCandidate(block);
      if (index != NO_INSTANCE) consider(block, index, hot);
    }
  }
  if (best != NO_INSTANCE && bestIsReported) useReport(best);
  return best;
}

/** Makes a member the best if it is better than the best so far. */
function consider(block: u32, index: u32, hot: f32): void {
  const slot = memberSlot(block, index);
  if (i32(slot) == best) return;
  readLoad(slot);
  let requests = loadRequests;
  if (lookupLength(block) != 0) {
    // A member of twice the weight may have twice the requests.
    requests *= f32(totalWeight(block)) / (f32(memberWeight(block, index)) * f32(memberCount(block)));
  }
  if (best != NO_INSTANCE && !isBetter(requests, loadLatency, hot)) return;
  best = slot;
  bestRequests = requests;
  bestLatency = loadLatency;
  bestIsReported = loadIsReported;
}

function isBetter(requests: f32, latency: f32, hot: f32): bool {
  const isHot = requests > hot;
  if (isHot != bestRequests > hot) {
    return isHot
      ? isWorthQueueing(requests, latency, bestLatency, hot)
      : !isWorthQueueing(bestRequests, bestLatency, latency, hot);
  }
  // Who was never measured is taken to be as fast as the other: taken for faster, it would be flooded until it answers.
  if (!isHot && latency != 0 && bestLatency != 0) {
    if (latency * LATENCY_RATIO < bestLatency) return true;
    if (bestLatency * LATENCY_RATIO < latency) return false;
  }
  // Equal ones leave it to the draw: by latency, noise would give one of them everything while there is little to do.
  return requests < bestRequests;
}

/** Whether a hot member is still the quicker one: the cold one is slower by more than the hot one's queue explains. */
function isWorthQueueing(requests: f32, latency: f32, coldLatency: f32, hot: f32): bool {
  return latency > 0 && coldLatency > latency * LATENCY_RATIO * (1 + requests / max<f32>(1, hot));
}

function pickSeen(block: u32): i32 {
  const first = drawCandidate(block);
  if (first == NO_INSTANCE) return NO_INSTANCE;
  const firstSlot = memberSlot(block, first);
  const second = drawOther(block, first);
  if (second == NO_INSTANCE) return firstSlot;
  const secondSlot = memberSlot(block, second);

  // Requests count as (2 × load + 1): half a request more than there is. Without it an idle light member would always
  // beat a busy heavy one, with a whole request more it would never be picked before the heavy one is full.
  const firstLoad = loadOf(firstSlot) * 2 + 1;
  const secondLoad = loadOf(secondSlot) * 2 + 1;
  let firstLatency = ownLatency(firstSlot);
  let secondLatency = ownLatency(secondSlot);
  // Who was never measured is taken to be as fast as the other: taken for faster, it would be flooded until it answers.
  if (firstLatency == 0 || secondLatency == 0) {
    firstLatency = 1;
    secondLatency = 1;
  }
  // Equal ones (two idle members above all) leave it to the first draw, which was by weight.
  if (firstLoad == secondLoad && firstLatency == secondLatency) return firstSlot;
  const firstCost = f64(firstLoad) * f64(firstLatency) * f64(memberWeight(block, second));
  const secondCost = f64(secondLoad) * f64(secondLatency) * f64(memberWeight(block, first));
  return secondCost < firstCost ? secondSlot : firstSlot;
}

/** A candidate besides `first`, or NO_INSTANCE when there is none. */
function drawOther(block: u32, first: u32): i32 {
  const count = memberCount(block);
  if (count == 1) return NO_INSTANCE;
  for (let draw: u32 = 0; draw < DRAWS_MAX; draw += 1) {
    const index = drawMember(block);
    if (index != first && isWanted(memberSlot(block, index))) return index;
  }
  let index = randomBelow(count);
  for (let seen: u32 = 0; seen < count; seen += 1) {
    if (index != first && isWanted(memberSlot(block, index))) return index;
    index = index + 1 == count ? 0 : index + 1;
  }
  return NO_INSTANCE;
}
