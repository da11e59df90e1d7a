// In which order a new snapshot takes effect (DESIGN §2 rule 6), so that no request meets half of a change.
//
//   1. before    slots get their states, sets their new members beside those that will go, services their limits
//   2. swap      `bytes` goes to every worker: Engine.loadProgram
//   3. wait      until every worker has said that it routes by the new revision
//   4. after     sets lose the members that have gone, sets that nobody names are emptied
//   5. release   Allocation.releaseSlots: slots of instances that have gone may serve others once they are idle
//
// Only differences are published: a set whose members stay the same keeps its round robin's place. Steps are data; the
// composition root carries them out on the `Balancer`.

import { STATE_DRAINING } from "../../assembly/abi/balancer-codes.ts";
import { assertNever } from "../base/index.ts";
import type { Balancer, SetContent } from "../wasm/index.ts";
import type { CompiledLimit, CompiledSet, CompiledSnapshot } from "./compiled.ts";

/** One call on the balancer. */
export type PublicationStep =
  | { readonly kind: "weight"; readonly slot: number; readonly weight: number }
  | { readonly kind: "draining"; readonly slot: number; readonly isDraining: boolean }
  | { readonly kind: "limit"; readonly limit: CompiledLimit }
  | { readonly kind: "set"; readonly id: number; readonly content: SetContent }
  | { readonly kind: "clear-set"; readonly id: number };

export interface PublicationPlan {
  /** Before workers get the bytes. */
  readonly before: readonly PublicationStep[];
  /** After all of them have them. */
  readonly after: readonly PublicationStep[];
}

/** Plans the way from the snapshot in force (`undefined`: none yet) to the next. */
export function planPublication(previous: CompiledSnapshot | undefined, next: CompiledSnapshot): PublicationPlan {
  const sets = planSets(previous, next);
  return {
    before: [...planInstances(previous, next), ...planLimits(previous, next), ...sets.before],
    after: sets.after,
  };
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

function planInstances(previous: CompiledSnapshot | undefined, next: CompiledSnapshot): PublicationStep[] {
  const before = new Map(previous?.instances.map((instance) => [instance.slot, instance]));
  const steps: PublicationStep[] = [];
  for (const { slot, generation, weight, isDraining } of next.instances) {
    const known = before.get(slot);
    const isKnown = known?.generation === generation;
    if (isKnown && known.weight !== weight) steps.push({ kind: "weight", slot, weight });
    // A slot comes from the balancer eligible.
    if (isDraining !== (isKnown && known.isDraining)) steps.push({ kind: "draining", slot, isDraining });
  }
  return steps;
}

function planLimits(previous: CompiledSnapshot | undefined, next: CompiledSnapshot): PublicationStep[] {
  const keyOf = ({ service, counter }: CompiledLimit) => `${service} ${counter}`;
  const before = new Map(previous?.limits.map((limit) => [keyOf(limit), limit]));
  return next.limits
    .filter((limit) => !before.has(keyOf(limit)) || before.get(keyOf(limit))?.limit !== limit.limit)
    .map((limit) => ({ kind: "limit", limit }));
}

function planSets(previous: CompiledSnapshot | undefined, next: CompiledSnapshot): PublicationPlan {
  const known = new Map(previous?.sets.map((set) => [set.id, set]));
  const draining = new Set(next.instances.filter(({ isDraining }) => isDraining).map(({ slot }) => slot));
  const before: PublicationStep[] = [];
  const after: PublicationStep[] = [];
  for (const set of next.sets) {
    const old = known.get(set.id);
    known.delete(set.id);
    if (old !== undefined && isSameContent(old, set)) continue;
    const { id, ...content } = set;
    const leaving = old === undefined || old.service !== set.service ? [] : leavingMembers(old, set, draining);
    if (leaving.length === 0) {
      before.push({ kind: "set", id, content });
      continue;
    }
    const members = [...set.members, ...leaving].sort((left, right) => left.slot - right.slot);
    before.push({ kind: "set", id, content: { ...content, members } });
    after.push({ kind: "set", id, content });
  }
  for (const id of known.keys()) after.push({ kind: "clear-set", id });
  return { before, after };
}

/** Members that go, but that requests under the old snapshot may still be sent to. */
function leavingMembers(old: CompiledSet, next: CompiledSet, draining: ReadonlySet<number>) {
  const staying = new Set(next.members.map(({ slot }) => slot));
  return old.members.filter(({ slot }) => !staying.has(slot) && !draining.has(slot));
}

function isSameContent(left: CompiledSet, right: CompiledSet): boolean {
  if (left.policy !== right.policy || left.service !== right.service) return false;
  if (left.members.length !== right.members.length) return false;
  return left.members.every((member, index) => {
    const other = right.members[index];
    return member.slot === other?.slot && member.weight === other.weight && member.hash === other.hash;
  });
}
