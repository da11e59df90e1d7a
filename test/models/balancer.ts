// The balancer's policies as one would first write them: the twins that balancer.wasm is compared with.
//
// Arrays, BigInt and full scans; no atomics, no tables. Where a policy draws lots there is no twin of the draw but a
// rule of what may come out (`leastLoaded`), or the share that is due (`dueShares`).

import {
  NO_INSTANCE,
  STATE_DRAINING,
  STATE_EJECTED,
  STATE_REMOVED,
  STATE_UNHEALTHY,
} from "../../assembly/abi/balancer-codes.ts";
import {
  MAGLEV_LARGE,
  MAGLEV_SMALL,
  MAGLEV_SMALL_MEMBERS_MAX,
  RING_POINTS_MAX,
  SEQUENCE_MAX,
} from "../../assembly/abi/balancer-table.ts";
import { mixHash } from "../../src/wasm/hash.ts";

export interface ModelMember {
  readonly slot: number;
  readonly weight: number;
  readonly hash: number;
}

/** Slots that one pick may take, in a set's order. */
export function candidatesOf(
  members: readonly ModelMember[],
  stateOf: (slot: number) => number,
  skips: readonly number[],
): ReadonlySet<number> {
  const weighty = members.filter((member) => member.weight > 0);
  const staying = weighty.filter(({ slot }) => (stateOf(slot) & (STATE_DRAINING | STATE_REMOVED)) === 0);
  const healthy = staying.filter(({ slot }) => (stateOf(slot) & (STATE_EJECTED | STATE_UNHEALTHY)) === 0);
  const isPanic = staying.length - healthy.length > staying.length / 2;
  const eligible = (isPanic ? staying : healthy).map((member) => member.slot);
  const untried = eligible.filter((slot) => !skips.includes(slot));
  return new Set(untried.length > 0 ? untried : eligible);
}

/** nginx's smooth weighted round robin over whole weights, one period of it. */
export function smoothSequence(members: readonly ModelMember[]): number[] {
  const weighty = members.filter((member) => member.weight > 0);
  const shares = smoothShares(weighty.map((member) => member.weight));
  const total = shares.reduce((sum, share) => sum + share, 0);
  const current = shares.map(() => 0);
  return Array.from({ length: total }, () => {
    let best = 0;
    for (const [index, share] of shares.entries()) {
      current[index] = (current[index] ?? 0) + share;
      if ((current[index] ?? 0) > (current[best] ?? 0)) best = index;
    }
    current[best] = (current[best] ?? 0) - total;
    return weighty[best]?.slot ?? NO_INSTANCE;
  });
}

/** Weights reduced by their common divisor, and scaled when the sequence would be too long. */
export function smoothShares(weights: readonly number[]): number[] {
  const reduced = reduce(weights);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  if (sum(reduced) <= SEQUENCE_MAX) return reduced;
  const total = sum(weights);
  return reduce(
    weights.map((weight) => Math.max(1, Math.floor((weight * SEQUENCE_MAX + Math.floor(total / 2)) / total))),
  );
}

function reduce(weights: readonly number[]): number[] {
  const gcd = (left: number, right: number): number => (right === 0 ? left : gcd(right, left % right));
  const divisor = weights.reduce(gcd, 0);
  return weights.map((weight) => weight / divisor);
}

/** The next slot of a repeated order that may be taken, and the cursor after it. */
export function takeTurn(
  order: readonly number[],
  cursor: bigint,
  candidates: ReadonlySet<number>,
): { slot: number; cursor: bigint } {
  if (candidates.size === 0) return { slot: NO_INSTANCE, cursor };
  for (let next = cursor; ; next += 1n) {
    const slot = order[Number(next % BigInt(order.length))] ?? NO_INSTANCE;
    if (candidates.has(slot)) return { slot, cursor: next + 1n };
  }
}

/** The candidates of the least (load / weight); loads by slot. */
export function leastLoaded(
  members: readonly ModelMember[],
  candidates: ReadonlySet<number>,
  loadOf: (slot: number) => number,
): Set<number> {
  const ratios = members
    .filter(({ slot, weight }) => weight > 0 && candidates.has(slot))
    .map(({ slot, weight }) => ({ slot, load: loadOf(slot), weight }));
  return new Set(
    ratios
      .filter((one) => ratios.every((other) => one.load * other.weight <= other.load * one.weight))
      .map(({ slot }) => slot),
  );
}

/** Points of the ring in order: hash, then member order. */
export function ringOf(members: readonly ModelMember[]): { hash: number; slot: number }[] {
  const weighty = members.filter((member) => member.weight > 0);
  let scale = 160;
  while (Math.max(...weighty.map((member) => member.weight)) * scale < 16_000) scale *= 2;
  const points = weighty.map(({ weight }) => Math.max(1, Math.floor((weight * scale) / 100)));
  const wanted = points.reduce((sum, count) => sum + count, 0);
  const ring = weighty.flatMap(({ slot, hash }, index) => {
    const own = points[index] ?? 0;
    const count = wanted > RING_POINTS_MAX ? Math.max(1, Math.floor((own * RING_POINTS_MAX) / wanted)) : own;
    const seed = mixHash(hash);
    return Array.from({ length: count }, (_, point) => ({
      hash: mixHash((seed + Math.imul(point, 0x9e3779b9)) | 0),
      slot,
    }));
  });
  return ring.sort((left, right) => left.hash - right.hash); // stable: member order among equals
}

/** Who owns `hash` on the ring, walking on past those who may not be taken. */
export function ownerOnRing(
  ring: readonly { hash: number; slot: number }[],
  hash: number,
  candidates: ReadonlySet<number>,
): number {
  const key = mixHash(hash);
  const first = ring.findIndex((point) => point.hash >= key);
  const turned = first < 0 ? ring : [...ring.slice(first), ...ring.slice(0, first)];
  return turned.find((point) => candidates.has(point.slot))?.slot ?? NO_INSTANCE;
}

/** The Maglev table: slots. */
export function maglevOf(members: readonly ModelMember[]): number[] {
  const weighty = members.filter((member) => member.weight > 0);
  const size = weighty.length <= MAGLEV_SMALL_MEMBERS_MAX ? MAGLEV_SMALL : MAGLEV_LARGE;
  const total = weighty.reduce((sum, member) => sum + member.weight, 0);
  const walks = weighty.map(({ slot, weight, hash }) => {
    const mixed = mixHash(hash);
    return {
      slot,
      place: mixed % size,
      skip: (mixHash(mixed ^ 0x9e3779b9) % (size - 1)) + 1,
      left: Math.ceil((weight * size) / total),
    };
  });
  const table = new Array<number>(size).fill(NO_INSTANCE);
  let filled = 0;
  while (filled < size) {
    for (const walk of walks) {
      if (walk.left === 0 || filled === size) continue;
      while (table[walk.place] !== NO_INSTANCE) walk.place = (walk.place + walk.skip) % size;
      table[walk.place] = walk.slot;
      walk.left -= 1;
      filled += 1;
    }
  }
  return table;
}

/** Who owns `hash` in the table, going on past those who may not be taken. */
export function ownerInTable(table: readonly number[], hash: number, candidates: ReadonlySet<number>): number {
  const first = mixHash(hash) % table.length;
  for (let step = 0; step < table.length; step += 1) {
    const slot = table[(first + step) % table.length] ?? NO_INSTANCE;
    if (candidates.has(slot)) return slot;
  }
  return NO_INSTANCE;
}

/** Each candidate's due part of all picks, by weight. */
export function dueShares(members: readonly ModelMember[], candidates: ReadonlySet<number>): Map<number, number> {
  const counted = members.filter(({ slot, weight }) => weight > 0 && candidates.has(slot));
  const total = counted.reduce((sum, member) => sum + member.weight, 0);
  return new Map(counted.map(({ slot, weight }) => [slot, weight / total]));
}
