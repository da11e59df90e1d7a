// The sidecar as the admin and probe servers see it: plain data out of the shared memory and the snapshot in force.

import { STATE_DRAINING, STATE_EJECTED, STATE_REMOVED, STATE_UNHEALTHY } from "../../assembly/abi/balancer-codes.ts";
import type { ConnectionView, InstanceView, ServiceView } from "../admin/index.ts";
import { formatAddress } from "../base/index.ts";
import type { Documents } from "../config/index.ts";
import type { WorkerReport } from "../dataplane/index.ts";
import type { HealthState } from "../health/index.ts";
import type { CompiledInstance, CompiledSnapshot } from "../snapshot/index.ts";
import { type Balancer, quantileUs } from "../wasm/index.ts";

/** What a view is made of. */
export interface ViewInputs {
  readonly balancer: Balancer;
  readonly snapshot: CompiledSnapshot | undefined;
  readonly documents: Documents | undefined;
  readonly healthOf: (slot: number) => HealthState | undefined;
}

/** Every instance, or those of one service; the local app behind an inbound is one of its service `inbound`. */
export function listInstances(inputs: ViewInputs, wanted: string | undefined): InstanceView[] {
  const { snapshot } = inputs;
  if (snapshot === undefined) return [];
  return snapshot.instances
    .map((instance) => describeInstance(inputs, snapshot, instance))
    .filter(({ service }) => wanted === undefined || service === wanted);
}

/** Services that the snapshot knows, with the sums of their instances. */
export function listServices(inputs: ViewInputs): ServiceView[] {
  const { snapshot, documents } = inputs;
  if (snapshot === undefined) return [];
  return snapshot.services
    .filter(({ isPresent, direction }) => isPresent && direction === "outbound")
    .map(({ index, name }) => {
      const document = documents?.services.get(name);
      const views = snapshot.instances
        .filter(({ service }) => service === index)
        .map((instance) => describeInstance(inputs, snapshot, instance));
      const sumOf = (read: (view: InstanceView) => number) => views.reduce((sum, view) => sum + read(view), 0);
      return {
        name,
        protocol: document?.protocol ?? "http",
        policy: document?.policy.balance.policy ?? "adaptive",
        hosts: document?.hosts ?? [],
        addresses: (document?.addresses ?? []).map(formatAddress),
        instances: views.length,
        requests: sumOf(({ requests }) => requests),
        errors: sumOf(({ errors }) => errors),
        inFlight: sumOf(({ inFlight }) => inFlight),
      };
    });
}

/** TCP connections that are open, or some of them, by what the workers reported last. */
export function listConnections(
  { snapshot }: ViewInputs,
  reports: readonly WorkerReport[],
  wanted: string | undefined,
): ConnectionView[] {
  const instances = new Map(snapshot?.instances.map(({ slot, id }) => [slot, id]));
  return reports
    .flatMap(({ tcpConnections }) => tcpConnections)
    .map((entry) => ({
      direction: entry.direction,
      peer: entry.peer,
      destination: entry.destination,
      serverName: entry.serverName,
      service: entry.service === undefined ? undefined : snapshot?.services[entry.service]?.name,
      instance: entry.instance === undefined ? undefined : instances.get(entry.instance),
      bytesReceived: entry.bytesReceived,
      bytesSent: entry.bytesSent,
      ageMs: Math.round(entry.durationUs / 1_000),
    }))
    .filter(({ service }) => wanted === undefined || service === wanted);
}

function describeInstance(inputs: ViewInputs, snapshot: CompiledSnapshot, instance: CompiledInstance): InstanceView {
  const { balancer, documents } = inputs;
  const { slot, id, address, weight, isSidecar, isApp } = instance;
  const service = snapshot.services[instance.service]?.name ?? "unknown";
  const document = isApp ? undefined : documents?.instances.get(service)?.get(id);
  const { inflight, pending, connections } = balancer.gaugesOf(slot);
  const { requests, failures, buckets } = balancer.counters.workOf(slot);
  return {
    service: isApp ? `${service} (app)` : service,
    id,
    address: formatAddress(address),
    weight,
    zone: document?.zone,
    tags: document?.tags ?? {},
    isSidecar,
    state: stateName(balancer.stateOf(slot)),
    ejection: balancer.ejectionOf(slot),
    health: inputs.healthOf(slot),
    requests,
    errors: failures,
    inFlight: inflight,
    pending,
    connections,
    p50Us: roundUs(quantileUs(buckets, 0.5)),
    p99Us: roundUs(quantileUs(buckets, 0.99)),
  };
}

function stateName(state: number): string {
  if ((state & STATE_REMOVED) !== 0) return "removed";
  if ((state & STATE_DRAINING) !== 0) return "draining";
  if ((state & STATE_UNHEALTHY) !== 0) return "unhealthy";
  return (state & STATE_EJECTED) !== 0 ? "ejected" : "ready";
}

function roundUs(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Math.round(value);
}

/** Documents as JSON: maps become objects. */
export function describeDocuments(documents: Documents | undefined): unknown {
  if (documents === undefined) return undefined;
  const { mesh, services, instances, routes, access } = documents;
  const byService = [...instances].map(([name, byId]) => [name, Object.fromEntries(byId)]);
  return {
    mesh,
    services: Object.fromEntries(services),
    instances: Object.fromEntries(byService),
    routes: Object.fromEntries(routes),
    access: Object.fromEntries(access),
  };
}
