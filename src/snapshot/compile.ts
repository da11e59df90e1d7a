// Compiles the documents to one snapshot: the block that the engines execute, and what the balancer is to publish.
//
//   documents ─┐                 ┌─ bytes: routes, policies, hosts, instance records
//   options  ──┼──► compile ─────┼─ sets, limits: for the balancer (publication.ts says in which order)
//   allocation ┘                 └─ services, instances: numbers and names, for metrics, health checks, admin
//
// Whatever the documents say, there is a snapshot, unless it exceeds what an engine holds. What cannot be carried out
// is left out and listed in `issues`; what is carried out otherwise than written, in `warnings`. No I/O, no clock, no
// randomness: the allocation is the only thing that changes.

import { COUNTER_CONNECTIONS, COUNTER_PENDING, COUNTER_REQUESTS } from "../../assembly/abi/balancer-codes.ts";
import { SNAPSHOT_BYTES_MAX } from "../../assembly/abi/engine-memory.ts";
import { pillionError } from "../base/index.ts";
import type { Documents, Policy, Route } from "../config/index.ts";
import { type Allocation, metricsOf } from "./allocation.ts";
import { Compilation, type IndexedService, policyModelOf } from "./compilation.ts";
import { claimForConnect, compileTcp } from "./compile-tcp.ts";
import type {
  CompiledInstance,
  CompiledLimit,
  CompiledSnapshot,
  CompiledTuning,
  LocalApp,
  SnapshotOptions,
} from "./compiled.ts";
import { encodeProgram } from "./encode-program.ts";
import { lowerRoute, warnOfPolicy } from "./lower-route.ts";
import type {
  DestinationModel,
  HostTables,
  InstanceModel,
  RuleModel,
  ServiceModel,
  VhostModel,
} from "./program-model.ts";
import { claimForServices, claimForVhost } from "./service-hosts.ts";

/** The app is asked once more, and only when it cannot have seen the request: everything else its caller decides. */
const INBOUND_RETRIES = 1;

/**
 * Compiles `documents`; numbers come from `allocation`, which remembers them for the next time. Throws
 * PILLION_CONFIG_INVALID when the result is more than an engine holds.
 */
export function compileSnapshot(
  documents: Documents,
  options: SnapshotOptions,
  allocation: Allocation,
): CompiledSnapshot {
  const { revision, namespace, zone, listen = [], app } = options;
  const compilation = new Compilation(documents, allocation, zone);
  const tables: HostTables = { hosts: new Map(), wildcards: new Map() };
  const { vhosts, catchAll } = lowerRoutes(documents.routes, compilation, tables);
  const listeners = listen.map((name) => compilation.serviceOf(name)?.index);
  const services = compilation.services();
  const rules = new Map<number, RuleModel>();
  for (const service of services) rules.set(service.index, serviceRule(service, compilation));
  const placed = app === undefined ? undefined : placeApp(app, compilation, rules);
  const inbound = placed?.index;
  const claiming = services.filter(({ document }) => document.protocol !== "tcp");
  claimForServices(
    tables,
    claiming.map(({ index, document: { name, hosts } }) => ({ index, name, hosts })),
    namespace,
  );
  const hosts = claimForConnect(services, (index) => rules.get(index), { tables, vhosts, namespace });
  const numbered = allocation.services();
  const instances = [...compilation.instances, ...allocation.leaving()];
  const bytes = encodeProgram({
    revision,
    services: numbered.map(({ index, name, direction }): ServiceModel => {
      return { name, direction, metrics: metricsOf(index), rule: rules.get(index) };
    }),
    instances: instanceModels(instances, allocation),
    listeners,
    vhosts,
    ...tables,
    catchAll,
    inbound,
  });
  checkSize(bytes.length);
  return {
    bytes,
    revision,
    services: numbered.map((service) => {
      return { ...service, metrics: metricsOf(service.index), isPresent: rules.has(service.index) };
    }),
    instances,
    sets: [...compilation.sets.values()],
    limits: [...services.flatMap(limitsOf), ...inboundLimits(inbound)],
    tunings: services.map(tuningOf),
    tcp: compileTcp({ compilation, listen, app, inbound: placed, hosts }),
    warnings: compilation.warnings,
    issues: compilation.issues,
  };
}

function checkSize(bytes: number): void {
  if (bytes <= SNAPSHOT_BYTES_MAX) return;
  throw pillionError("PILLION_CONFIG_INVALID", {
    problem: `the mesh compiles to ${bytes} bytes; an engine holds ${SNAPSHOT_BYTES_MAX}`,
  });
}

function lowerRoutes(routes: ReadonlyMap<string, Route>, compilation: Compilation, tables: HostTables) {
  const vhosts: VhostModel[] = [];
  let catchAll: number | undefined;
  // In the order of names, as config settles who has a host.
  for (const [name, route] of [...routes].sort(([left], [right]) => (left < right ? -1 : 1))) {
    const number = vhosts.length;
    vhosts.push(lowerRoute(route, compilation));
    for (const host of route.hosts) {
      const isTaken = host === "*" ? catchAll !== undefined : !claimForVhost(tables, host, number);
      if (isTaken) compilation.refuse(`routes/${name}`, `host ${host} belongs to another route`);
      else if (host === "*") catchAll = number;
    }
  }
  return { vhosts, catchAll };
}

/** What happens to a request that names the service itself. */
function serviceRule(service: IndexedService, compilation: Compilation): RuleModel {
  const { name, policy } = service.document;
  warnOfPolicy(policy, compilation, `services/${name}`, "");
  const set = compilation.setOf(service, {}, policy);
  const destinations = set === undefined ? [] : [{ service: service.index, set, weight: 1, policy: service.policy }];
  return plainRule(destinations);
}

function placeApp(app: LocalApp, compilation: Compilation, rules: Map<number, RuleModel>) {
  const placed = compilation.placeApp(app);
  const outbound = compilation.serviceOf(app.service);
  if (placed === undefined || outbound === undefined) return undefined;
  const { index, set } = placed;
  const policy = policyModelOf(
    index,
    outbound.document,
    inboundPolicy(outbound.document.policy),
    `inbound ${app.service}`,
  );
  rules.set(index, plainRule([{ service: index, set, weight: 1, policy }]));
  return placed;
}

/** The caller's sidecar keeps the deadline, retries and hedges elsewhere and breaks circuits; here is one app. */
function inboundPolicy({ balance, timeout, retry, limits, ...rest }: Policy): Policy {
  return {
    ...rest,
    balance: { ...balance, policy: "round-robin", hash: undefined },
    timeout: { ...timeout, requestMs: undefined, attemptMs: undefined },
    retry: {
      ...retry,
      attempts: INBOUND_RETRIES,
      when: { isUnprocessed: true, isIdempotent: false, statuses: [], grpcCodes: [] },
    },
    hedge: undefined,
    limits: { ...limits, connections: UNLIMITED, requests: UNLIMITED },
  };
}

/** As a count: more than there can be. */
const UNLIMITED = 2 ** 31 - 1;

function plainRule(destinations: readonly DestinationModel[]): RuleModel {
  return {
    methods: [],
    conditions: [],
    action: { kind: "forward", destinations },
    requestEdits: [],
    responseEdits: [],
  };
}

function instanceModels(instances: readonly CompiledInstance[], allocation: Allocation): (InstanceModel | undefined)[] {
  const models = allocation.slots().map((holder): InstanceModel | undefined => {
    if (holder === undefined) return undefined;
    const { id, generation } = holder;
    const flags = { isSidecar: false, isDraining: false, isApp: false, isPresent: false };
    return { id, generation, protocol: "http", ...flags };
  });
  for (const { slot, id, generation, protocol, isSidecar, isDraining, isApp } of instances) {
    models[slot] = { id, generation, protocol, isSidecar, isDraining, isApp, isPresent: true };
  }
  return models;
}

function limitsOf({ index, document }: IndexedService): CompiledLimit[] {
  const { requests, pending, connections } = document.policy.limits;
  return [
    { service: index, counter: COUNTER_REQUESTS, limit: requests },
    { service: index, counter: COUNTER_PENDING, limit: pending },
    { service: index, counter: COUNTER_CONNECTIONS, limit: connections },
  ];
}

/** The one app behind an inbound has no peers: its service is never tuned. */
function tuningOf({ index, document }: IndexedService): CompiledTuning {
  const { outlier, balance } = document.policy;
  return { service: index, outlier, slowStartMs: balance.slowStartMs };
}

function inboundLimits(inbound: number | undefined): CompiledLimit[] {
  if (inbound === undefined) return [];
  const counters = [COUNTER_REQUESTS, COUNTER_PENDING, COUNTER_CONNECTIONS];
  return counters.map((counter) => ({ service: inbound, counter, limit: undefined }));
}
