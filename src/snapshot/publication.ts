// In which order a new snapshot takes effect (DESIGN §2 rule 6), so that no request meets half of a change.
//
//   1. before    limits, tunings; sets that no snapshot in force names
//   2. swap      `bytes` to every worker (Engine.loadProgram); wait until all route by the new revision
//   3. after     sets get their new members and lose those that have gone, states and weights follow
//   4. settle    if anything has gone: `settleSnapshot` to every worker; wait again
//   5. release   Allocation.releaseSlots: those slots may serve others once they are idle
//
// A worker can only use an instance that its snapshot describes, and sets change for all workers at once. So each set
// holds, at every moment, nothing but instances that every snapshot in force describes: newcomers join when all workers
// know them, and those that go stay described (isLeaving) until no set holds them.
//
// Only differences are published: a set whose members stay the same keeps its round robin's place. Steps are data; the
// composition root carries them out on the `Balancer`.

import { STATE_DRAINING } from "../../assembly/abi/balancer-codes.ts";
import { assertNever } from "../base/index.ts";
import type { Balancer, SetContent } from "../wasm/index.ts";
import type { CompiledLimit, CompiledSet, CompiledSnapshot, CompiledTuning } from "./compiled.ts";
import { withoutInstances } from "./encode-program.ts";

/** One call on the balancer. */
export type PublicationStep =
  | { readonly kind: "weight"; readonly slot: number; readonly weight: number }
  | { readonly kind: "draining"; readonly slot: number; readonly isDraining: boolean }
  | { readonly kind: "limit"; readonly limit: CompiledLimit }
  | { readonly kind: "tuning"; readonly tuning: CompiledTuning }
  | { readonly kind: "set"; readonly id: number; readonly content: SetContent }
  | { readonly kind: "clear-set"; readonly id: number };

export interface PublicationPlan {
  /** Before workers get the bytes. */
  readonly before: readonly PublicationStep[];
  /** After all of them have them. */
  readonly after: readonly PublicationStep[];
}

/** Plans the way from the snapshot in force (settled; `undefined`: none yet) to the next. */
export function planPublication(previous: CompiledSnapshot | undefined, next: CompiledSnapshot): PublicationPlan {
  const sets = planSets(previous, next);
  const { returning, leaving } = planInstances(previous, next);
  return {
    before: [...planLimits(previous, next), ...planTunings(previous, next), ...sets.added],
    // A draining instance leaves its sets before its state says so: it may have been the last one.
    after: [...returning, ...sets.changed, ...leaving],
  };
}

/** The same snapshot without the instances that were leaving; itself when there were none. */
export function settleSnapshot(compiled: CompiledSnapshot): CompiledSnapshot {
  const leaving = compiled.instances.filter(({ isLeaving }) => isLeaving);
  if (leaving.length === 0) return compiled;
  const bytes = withoutInstances(
    compiled.bytes,
    leaving.map(({ slot }) => slot),
  );
  return { ...compiled, bytes, instances: compiled.instances.filter(({ isLeaving }) => !isLeaving) };
}

/** Carries one step out. */
export function publishStep(balancer: Balancer, step: PublicationStep): void {
  switch (step.kind) {
    case "weight":
      balancer.setWeight(step.slot, step.weight);
      break;
    case "draining":
      balancer.setState(step.slot, STATE_DRAINING, step.isDraining ? STATE_DRAINING : 0);
      break;
    case "limit":
      balancer.setLimit(step.limit.service, step.limit.counter, step.limit.limit);
      break;
    case "tuning":
      balancer.tune(step.tuning.service, step.tuning);
      break;
    case "set":
      balancer.publishSet(step.id, step.content);
      break;
    case "clear-set":
      balancer.clearSet(step.id);
      break;
    default:
      assertNever(step);
  }
}

function planInstances(previous: CompiledSnapshot | undefined, next: CompiledSnapshot) {
  const before = new Map(previous?.instances.map((instance) => [instance.slot, instance]));
  const returning: PublicationStep[] = [];
  const leaving: PublicationStep[] = [];
  for (const { slot, generation, weight, isDraining } of next.instances) {
    const known = before.get(slot);
    const isKnown = known?.generation === generation;
    if (isKnown && known.weight !== weight) leaving.push({ kind: "weight", slot, weight });
    // A slot comes from the balancer eligible.
    if (isDraining !== (isKnown && known.isDraining)) {
      (isDraining ? leaving : returning).push({ kind: "draining", slot, isDraining });
    }
  }
  return { returning, leaving };
}

function planLimits(previous: CompiledSnapshot | undefined, next: CompiledSnapshot): PublicationStep[] {
  const keyOf = ({ service, counter }: CompiledLimit) => `${service} ${counter}`;
  const before = new Map(previous?.limits.map((limit) => [keyOf(limit), limit]));
  return next.limits
    .filter((limit) => !before.has(keyOf(limit)) || before.get(keyOf(limit))?.limit !== limit.limit)
    .map((limit) => ({ kind: "limit", limit }));
}

function planTunings(previous: CompiledSnapshot | undefined, next: CompiledSnapshot): PublicationStep[] {
  const textOf = (tuning: CompiledTuning) => JSON.stringify(tuning);
  const known = new Set(previous?.tunings.map(textOf));
  return next.tunings
    .filter((tuning) => !known.has(textOf(tuning)))
    .map((tuning): PublicationStep => ({ kind: "tuning", tuning }));
}

function planSets(previous: CompiledSnapshot | undefined, next: CompiledSnapshot) {
  const known = new Map(previous?.sets.map((set) => [set.id, set]));
  const added: PublicationStep[] = [];
  const changed: PublicationStep[] = [];
  for (const set of next.sets) {
    const old = known.get(set.id);
    known.delete(set.id);
    const { id, ...content } = set;
    if (old === undefined) added.push({ kind: "set", id, content });
    else if (!isSameContent(old, set)) changed.push({ kind: "set", id, content });
  }
  for (const id of known.keys()) changed.push({ kind: "clear-set", id });
  return { added, changed };
}

function isSameContent(left: CompiledSet, right: CompiledSet): boolean {
  if (left.policy !== right.policy || left.service !== right.service) return false;
  if (left.prefersLocal !== right.prefersLocal) return false;
  if (left.members.length !== right.members.length) return false;
  return left.members.every((member, index) => {
    const other = right.members[index];
    if (member.slot !== other?.slot || member.isLocal !== other.isLocal) return false;
    return member.weight === other.weight && member.hash === other.hash;
  });
}
