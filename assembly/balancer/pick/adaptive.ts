// Adaptive: who will answer first, by the load reports of instances that have a sidecar, else by what we have seen.
//
// Small sets (up to SCAN_MAX of equal weight): all members are looked at, and one with the lowest
// (requests + ½) × latency is taken (scan.ts). Requests are the reported ones of others and our own of now, or ours
// alone; latency is the reported median, or our peak-EWMA. What was never measured is as fast as the fastest. Where
// most instances have more than QUEUES_MAX requests, the rule of large sets holds.
//
// Large sets with reports: Prequal's hot/cold rule (Wydrowski et al., NSDI 2024, §4). Of a few members drawn by weight,
// those with more requests than most of the service's are hot. A cold one with the lowest latency is taken; where all
// are hot, the one with the fewest requests. With few requests about, one is enough to be hot; a cold member that is
// slower by more than a hot one's queue explains is therefore left idle. Latencies within LATENCY_RATIO of each other
// are one: between equals it is the requests that decide, and noise in a median does not herd callers. Drawing a few,
// not looking at all, keeps callers with the same news apart.
//
// Large sets without reports: of two distinct members the lower peak-EWMA × (in flight + pending + ½), per weight.

import { NO_INSTANCE } from "../../abi/balancer-codes.ts";
import { randomBelow } from "../../core/random.ts";
import { lookupLength, memberCount, memberSlot, memberWeight, totalWeight } from "../block.ts";
import { isWanted } from "../eligible.ts";
import { loadOf } from "../gauges.ts";
import { hasReports, loadBits, meanOfOthers, openSpread, ownLatency, useReport } from "../load.ts";
import { drawCandidate, drawMember } from "./alias-table.ts";
import { pickScanned } from "./scan.ts";

/** Draws for a second member before a walk looks for any. */
const DRAWS_MAX: u32 = 4;
/** Members that are looked at where there are reports. */
const CHOICES: u32 = 5;
/** More than the bits of any number of requests. */
const NOTHING: u32 = 0xffffffff;
/** Sets of so many are looked at as a whole: a look at each costs some nanoseconds. */
const SCAN_MAX: u32 = 24;
/** Beyond so many requests at most instances, latencies tell of long queues, and late. */
const QUEUES_MAX: f32 = 16;
/** Latencies closer than this are the same. */
const LATENCY_RATIO: f32 = 1.8;

/** Picks by reports where there are any, else by what we have seen. */
export function pickAdaptive(block: u32, service: u32): i32 {
  if (!hasReports(service)) return pickSeen(block);
  if (!isScanned(block) || openSpread(service) > QUEUES_MAX) return pickReported(block, service);
  const best = pickScanned(block);
  if (best != NO_INSTANCE) useReport(best);
  return best;
}

// The best is kept in locals, requests and latencies as the bits of an f32: of numbers that are not negative these are
// in the same order, and between integers one chooses without a jump.
function pickReported(block: u32, service: u32): i32 {
  const hot = openSpread(service);
  const mean = meanOfOthers();
  const count = memberCount(block);
  const isWeighted = lookupLength(block) != 0;
  const scans = count <= CHOICES;
  let coldSlot: i32 = NO_INSTANCE;
  let coldRequests: u32 = NOTHING;
  let coldLatency: u32 = 0;
  let hotSlot: i32 = NO_INSTANCE;
  let hotRequests: u32 = NOTHING;
  let hotLatency: u32 = 0;
  const hotBits = reinterpret<u32>(hot);
  let index = scans ? randomBelow(count) : 0;
  for (let choice: u32 = min<u32>(count, CHOICES); choice != 0; choice -= 1) {
    if (scans) index = index + 1 >= count ? 0 : index + 1;
    else index = drawMember(block);
    const slot = memberSlot(block, index);
    if (!isWanted(slot)) continue;
    const bits = loadBits(slot, loadOf(slot), mean);
    const latency = reinterpret<f32>(u32(bits));
    let requestsBits = u32(bits >> 32);
    if (isWeighted) requestsBits = reinterpret<u32>(reinterpret<f32>(requestsBits) * weightFactor(block, index));
    const latencyBits = u32(bits);
    const isHot = u32(requestsBits > hotBits);
    // Equal ones leave it to the draw: by latency, noise would give one of them everything while there is little to
    // do. Who was never measured is taken to be as fast as the other: taken for faster, it would be flooded until it
    // answers.
    const isKnown = u32(latencyBits != 0) & u32(coldLatency != 0);
    const isFaster = u32(latency * LATENCY_RATIO < reinterpret<f32>(coldLatency));
    const isSlower = isKnown & u32(reinterpret<f32>(coldLatency) * LATENCY_RATIO < latency);
    const isFewer = u32(requestsBits < coldRequests) & (isSlower ^ 1);
    const cold = 0 - ((isHot ^ 1) & ((isKnown & isFaster) | isFewer));
    coldSlot = (slot & cold) | (coldSlot & ~cold);
    coldRequests = (requestsBits & cold) | (coldRequests & ~cold);
    coldLatency = (latencyBits & cold) | (coldLatency & ~cold);
    const warm = 0 - (isHot & u32(requestsBits < hotRequests));
    hotSlot = (slot & warm) | (hotSlot & ~warm);
    hotRequests = (requestsBits & warm) | (hotRequests & ~warm);
    hotLatency = (latencyBits & warm) | (hotLatency & ~warm);
  }
  if ((coldSlot & hotSlot) == NO_INSTANCE) {
    const other = drawCandidate(block); // nobody of those drawn was wanted
    coldSlot = other == NO_INSTANCE ? NO_INSTANCE : memberSlot(block, other);
  }
  let best = coldSlot;
  if (coldSlot == NO_INSTANCE) best = hotSlot;
  else if (hotSlot != NO_INSTANCE && isWorthQueueing(hotRequests, hotLatency, coldLatency, hot)) {
    best = hotSlot;
  }
  if (best != NO_INSTANCE) useReport(best);
  return best;
}

/** What makes a member's requests comparable: one of twice the weight may have twice as many. */
function weightFactor(block: u32, index: u32): f32 {
  return f32(totalWeight(block)) / (f32(memberWeight(block, index)) * f32(memberCount(block)));
}

/** Whether a hot member is still the quicker one: the cold one is slower by more than the hot one's queue explains. */
function isWorthQueueing(requestsBits: u32, latencyBits: u32, coldLatency: u32, hot: f32): bool {
  const requests = reinterpret<f32>(requestsBits);
  const latency = reinterpret<f32>(latencyBits);
  return latency > 0 && reinterpret<f32>(coldLatency) > latency * LATENCY_RATIO * (1 + requests / max<f32>(1, hot));
}

function pickSeen(block: u32): i32 {
  if (isScanned(block)) return pickScanned(block);
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

/** Whether all members are looked at. By weight, idle ones are to be drawn, not compared. */
function isScanned(block: u32): bool {
  return memberCount(block) <= SCAN_MAX && lookupLength(block) == 0;
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
