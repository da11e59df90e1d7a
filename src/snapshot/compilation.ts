// One compilation under way: who has which number in it, and what it could not carry out.
//
// Routes ask it for services and sets; each is made when it is first asked for. A set holds the instances that take new
// requests: those that start or drain keep their slot, because connections to them live on, but are in no set.

import { formatAddress } from "../base/index.ts";
import { type Documents, type Instance, type Policy, parseService, type Service } from "../config/index.ts";
import { hashText, type Member } from "../wasm/index.ts";
import { type Allocation, metricsOf } from "./allocation.ts";
import type { CompiledInstance, CompiledSet, LocalApp, SnapshotIssue } from "./compiled.ts";
import type { PolicyModel } from "./program-model.ts";

/** A service that has an index in this snapshot. */
export interface IndexedService {
  readonly index: number;
  readonly document: Service;
  /** Its own policy; rules with overrides have others. */
  readonly policy: PolicyModel;
}

/** A place in the balancer's table for an instance that takes new requests. */
interface Candidate {
  readonly member: Member;
  readonly tags: Readonly<Record<string, string>>;
}

export class Compilation {
  readonly instances: CompiledInstance[] = [];
  readonly sets = new Map<string, CompiledSet>();
  readonly warnings: SnapshotIssue[] = [];
  readonly issues: SnapshotIssue[] = [];
  readonly #documents: Documents;
  readonly #allocation: Allocation;
  readonly #zone: string | undefined;
  readonly #services = new Map<string, IndexedService | undefined>();
  /** By service. */
  readonly #candidates = new Map<string, readonly Candidate[]>();

  constructor(documents: Documents, allocation: Allocation, zone?: string) {
    this.#documents = documents;
    this.#allocation = allocation;
    this.#zone = zone;
    allocation.beginSnapshot();
    for (const name of documents.services.keys()) this.serviceOf(name);
    for (const [name, instances] of documents.instances) this.#placeInstances(name, instances);
  }

  /** A service by name, written down or not: without a document it has the mesh's defaults. */
  serviceOf(name: string): IndexedService | undefined {
    if (this.#services.has(name)) return this.#services.get(name);
    const index = this.#allocation.acquireService("outbound", name);
    let service: IndexedService | undefined;
    if (index === undefined) {
      this.refuse(`services/${name}`, "this sidecar has met too many services and has no place for it; restart it");
    } else {
      const document = this.#documents.services.get(name) ?? this.#defaultService(name);
      service = { index, document, policy: policyModelOf(index, document, document.policy, `service ${name}`) };
    }
    this.#services.set(name, service);
    return service;
  }

  /** All services that have an index. */
  services(): IndexedService[] {
    return [...this.#services.values()].filter((service) => service !== undefined);
  }

  /** Number of the set of a service's instances with all of `tags`; `undefined` when there is no place for it. */
  setOf(service: IndexedService, tags: Readonly<Record<string, string>>, policy: Policy): number | undefined {
    const { name } = service.document;
    const wanted = Object.entries(tags).sort(([left], [right]) => (left < right ? -1 : 1));
    const own = service.document.policy.balance;
    const { policy: balance, zone } = policy.balance;
    const key = JSON.stringify([name, wanted, balance === own.policy ? "" : balance, zone === own.zone ? "" : zone]);
    // Thousands of rules name the same few sets: a service's instances are gone through once for each set.
    const known = this.sets.get(key);
    if (known !== undefined) return known.id;
    const candidates = (this.#candidates.get(name) ?? []).filter((candidate) => {
      return wanted.every(([tag, value]) => candidate.tags[tag] === value);
    });
    const members = candidates.map(({ member }) => member);
    const prefersLocal = this.#zone !== undefined && zone === "prefer" ? { prefersLocal: true } : {};
    const set = this.#acquireSet(key, { policy: balance, service: service.index, members, ...prefersLocal });
    if (set === undefined)
      this.refuse(`services/${name}`, "routes name more subsets of services than there is place for");
    return set;
  }

  /** The app beside us as the one instance of a service of its own; its index and set. */
  placeApp({ service: name, id, address, protocol }: LocalApp): { index: number; set: number } | undefined {
    const index = this.#allocation.acquireService("inbound", name);
    const slot = this.#allocation.acquireSlot(`inbound ${name}`, id, formatAddress(address), 1);
    if (index === undefined || slot === undefined) {
      this.refuse(`services/${name}`, "there is no place left for the app");
      return undefined;
    }
    const written = protocol === "auto" ? "http" : protocol;
    const flags = { isSidecar: false, isDraining: false, isApp: true, isLeaving: false, weight: 1 };
    this.#place({ ...slot, service: index, id, address, protocol: written, ...flags });
    const members = [{ slot: slot.slot, weight: 1, hash: hashText(id) }];
    const set = this.#acquireSet(JSON.stringify(["inbound", name]), { policy: "round-robin", service: index, members });
    return set === undefined ? undefined : { index, set };
  }

  refuse(document: string, message: string): void {
    if (this.issues.some((issue) => issue.document === document && issue.message === message)) return;
    this.issues.push({ document, message });
  }

  warn(document: string, message: string): void {
    this.warnings.push({ document, message });
  }

  #place(instance: CompiledInstance): void {
    this.#allocation.describe(instance);
    this.instances.push(instance);
  }

  #acquireSet(key: string, content: Omit<CompiledSet, "id">): number | undefined {
    const known = this.sets.get(key);
    if (known !== undefined) return known.id;
    const id = this.#allocation.acquireSet(key);
    if (id !== undefined) this.sets.set(key, { id, ...content });
    return id;
  }

  #placeInstances(name: string, instances: ReadonlyMap<string, Instance>): void {
    const service = this.serviceOf(name);
    if (service === undefined) return;
    const candidates: Candidate[] = [];
    for (const instance of instances.values()) {
      const { id, address, weight, isSidecar, state, tags } = instance;
      const slot = this.#allocation.acquireSlot(name, id, formatAddress(address), weight);
      if (slot === undefined) {
        this.refuse(`services/${name}`, "not all of its instances have a place; restart the sidecar or split the mesh");
        break;
      }
      const protocol = instance.protocol ?? service.document.protocol;
      const flags = { isSidecar, isDraining: state === "draining", isApp: false, isLeaving: false };
      this.#place({ ...slot, service: service.index, id, address, protocol, ...flags, weight });
      const local = this.#zone !== undefined && instance.zone === this.#zone ? { isLocal: true } : {};
      if (state === "ready")
        candidates.push({ member: { slot: slot.slot, weight, hash: hashText(id), ...local }, tags });
    }
    // By slot: an order that does not change by itself, as the round robins want it.
    candidates.sort((left, right) => left.member.slot - right.member.slot);
    this.#candidates.set(name, candidates);
  }

  #defaultService(name: string): Service {
    const { service } = parseService(name, this.#documents.mesh.defaults, undefined);
    // Defaults may ask for something that only a service's document can give (a hash); then Pillion's own apply.
    return service ?? parseService(name, {}, undefined).service!;
  }
}

/** The record of a policy for requests to a service. */
export function policyModelOf(index: number, { protocol }: Service, policy: Policy, limitName: string): PolicyModel {
  return { service: index, metrics: metricsOf(index), protocol, policy, limitName };
}
