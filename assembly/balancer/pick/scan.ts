// A look at all members of a small set: the lowest (requests + ½) × latency, and among nearly equal ones a draw.
//
// Draws of a few miss the best one, and what is hot among few instances is noise. Each caller's own requests are
// counted at once, so callers with the same news do not move as one.
//
// Where there is little to do, all are idle and latency alone decides: the exact minimum would give everything to the
// one that is a few percent faster, or was when it was last measured, or whose report is the newest. So costs are
// rounded to steps, and within a step it is by lot. Where the steps begin is drawn for each pick: else of two that are
// nearly equal, one on each side of a border, one would get everything after all. Who is x % slower thus gets less, and
// gradually. With more requests at an instance, a step is narrower than one of them.

import { NO_INSTANCE } from "../../abi/balancer-codes.ts";
import { BLOCK_MEMBERS_OFFSET, MEMBER_BYTES } from "../../abi/balancer-table.ts";
import { randomNext } from "../../core/random.ts";
import { memberCount } from "../block.ts";
import { isWanted } from "../eligible.ts";
import { loadOf } from "../gauges.ts";
import { loadBits, meanOfOthers } from "../load.ts";

/** Of a cost's f32, bits below a step: two bits of mantissa are left, steps of 14 to 25 %. */
const STEP_BITS: u32 = 21;
const BELOW_STEP: u32 = (1 << STEP_BITS) - 1;
/** From so many requests on (and ½), steps of 2 to 3 %. */
const NARROW_FROM: f32 = 2.5;
const BELOW_NARROW_STEP: u32 = BELOW_STEP >> 3;
/** Of the requests (and ½) of those never measured, bits that tell nothing. */
const REQUESTS_LOT_BITS: u32 = 10;
const BELOW_REQUESTS: u32 = (1 << REQUESTS_LOT_BITS) - 1;
/** Above the bits of any cost. */
const NOTHING: u32 = 0xffffffff;
/** A lot for each member from one draw: steps of a congruential generator, of which the upper bits count. */
const LOTS_FACTOR: u32 = 747796405;
const LOTS_ADDEND: u32 = 2891336453;

/** One of all that are wanted, or NO_INSTANCE; after `openSpread`, where there are reports. */
export function pickScanned(block: u32): i32 {
  const end = block + memberCount(block) * MEMBER_BYTES;
  const mean = meanOfOthers();
  let lots = randomNext();
  const shift = lots;
  let best: i32 = NO_INSTANCE;
  let bestCost: u32 = NOTHING;
  let leastLatency: f32 = f32.MAX_VALUE;
  let unknown: i32 = NO_INSTANCE;
  let unknownRequests: u32 = NOTHING;
  for (let member = block; member < end; member += MEMBER_BYTES) {
    const slot = load<u32>(member, BLOCK_MEMBERS_OFFSET);
    if (!isWanted(slot)) continue;
    const bits = loadBits(slot, loadOf(slot), mean);
    const requests: f32 = reinterpret<f32>(u32(bits >> 32)) + 0.5;
    const latency = reinterpret<f32>(u32(bits));
    lots = lots * LOTS_FACTOR + LOTS_ADDEND;
    const lot = lots >> (32 - STEP_BITS);
    if (latency == 0) {
      const key = (reinterpret<u32>(requests) & ~BELOW_REQUESTS) | (lot >> (STEP_BITS - REQUESTS_LOT_BITS));
      unknown = key < unknownRequests ? slot : unknown;
      unknownRequests = min<u32>(key, unknownRequests);
      continue;
    }
    leastLatency = min<f32>(leastLatency, latency);
    const below = requests < NARROW_FROM ? BELOW_STEP : BELOW_NARROW_STEP;
    const cost = stepOf(requests * latency, shift, below) | (lot & below);
    best = cost < bestCost ? slot : best;
    bestCost = min<u32>(cost, bestCost);
  }
  if (best == NO_INSTANCE || unknown == NO_INSTANCE) return best == NO_INSTANCE ? unknown : best;
  // Who was never measured is as fast as the fastest: taken for faster, it would be flooded until it answers.
  const requests = reinterpret<f32>(unknownRequests & ~BELOW_REQUESTS);
  return stepOf(requests * leastLatency, shift, BELOW_STEP) <= bestCost ? unknown : best;
}

/** The bits of a cost, rounded to a step; of numbers that are not negative these are in the same order. */
function stepOf(cost: f32, shift: u32, below: u32): u32 {
  return (reinterpret<u32>(cost) + (shift & below)) & ~below;
}
