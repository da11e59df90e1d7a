// Which hosts a service answers for by itself (DESIGN §3), and who has a host that several could claim.
//
//   users.shop   users.shop.svc   users.shop.svc.cluster.local   users.shop.mesh   users (--namespace shop)
//
// A name that somebody chose beats one that follows from another: first the services' own names, then the hosts that
// documents write, then the suffixed forms, then the bare ones. Among equals the service whose name sorts first has it.

import type { HostTables } from "./program-model.ts";

const SUFFIXES = [".svc", ".svc.cluster.local", ".mesh"] as const;

/** A service with an index, for claiming hosts. */
export interface ClaimingService {
  readonly name: string;
  readonly index: number;
  /** Lower case, `*.` for wildcards. */
  readonly hosts: readonly string[];
}

/** Claims a host for a route's virtual host; false when another route has it. */
export function claimForVhost({ hosts, wildcards }: HostTables, host: string, vhost: number): boolean {
  const [table, key] = host.startsWith("*.") ? [wildcards, host.slice(1)] : [hosts, host];
  const known = table.get(key);
  if (known?.vhost !== undefined) return false;
  table.set(key, { ...known, vhost });
  return true;
}

/** All hosts that a service's name stands for. */
export function ownHostsOf(name: string, namespace: string | undefined): string[] {
  const hosts = [name, ...SUFFIXES.map((suffix) => name + suffix)];
  const dot = name.indexOf(".");
  return dot > 0 && name.slice(dot + 1) === namespace ? [...hosts, name.slice(0, dot)] : hosts;
}

/** Claims all hosts of all services. */
export function claimForServices(tables: HostTables, services: readonly ClaimingService[], namespace?: string): void {
  const sorted = [...services].sort((left, right) => (left.name < right.name ? -1 : 1));
  for (const { name, index } of sorted) claimForService(tables, name, index);
  for (const { hosts, index } of sorted) for (const host of hosts) claimForService(tables, host, index);
  for (const { name, index } of sorted) for (const suffix of SUFFIXES) claimForService(tables, name + suffix, index);
  if (namespace === undefined) return;
  for (const { name, index } of sorted) {
    const dot = name.indexOf(".");
    if (dot > 0 && name.slice(dot + 1) === namespace) claimForService(tables, name.slice(0, dot), index);
  }
}

function claimForService({ hosts, wildcards }: HostTables, host: string, service: number): void {
  const [table, key] = host.startsWith("*.") ? [wildcards, host.slice(1)] : [hosts, host];
  const known = table.get(key);
  if (known?.service === undefined) table.set(key, { ...known, service });
}
