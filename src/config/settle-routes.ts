// Routes among each other and among services: who has which host, and whether what a rule overrides fits its services.
//
// A host belongs to one route. A strict reader refuses the later of two; a tolerant one (etcd, where two operators may
// have written at once) gives the host to the route whose name sorts first, so that every sidecar decides alike, and
// says so. A route that is left without a host is out of force.

import { formatAddress, nearestOf } from "../base/index.ts";
import type { Route, Service } from "./documents.ts";
import type { Issue, JudgeMode } from "./issue.ts";
import type { DocumentId } from "./keyspace.ts";
import { MirrorGraph } from "./mirror-graph.ts";
import { parseOverrides } from "./parse-document.ts";

/** A problem and whose it is. */
export interface DocumentIssue extends Issue {
  readonly id: DocumentId;
}

export interface SettledRoutes {
  readonly routes: ReadonlyMap<string, Route>;
  readonly issues: readonly DocumentIssue[];
}

export interface SettleOptions {
  readonly mode: JudgeMode;
  /** Names that `to` may use besides the services at hand; `undefined`: any. */
  readonly knownServices?: ReadonlySet<string> | undefined;
}

/** Settles hosts in the order of names, and lists what does not fit. */
export function settleRoutes(
  routes: ReadonlyMap<string, Route>,
  services: ReadonlyMap<string, Service>,
  { mode, knownServices }: SettleOptions,
): SettledRoutes {
  const issues: DocumentIssue[] = [...checkServiceHosts(services), ...checkServiceAddresses(services)];
  const settled = new Map<string, Route>();
  const ownerOfHost = new Map<string, string>();
  const mirrors = new MirrorGraph();
  for (const name of [...routes.keys()].sort()) {
    const { route, issues: cycles } = breakCycles(routes.get(name)!, mirrors, mode);
    const id: DocumentId = { kind: "route", name };
    const hosts = route.hosts.filter((host) => {
      const owner = ownerOfHost.get(host);
      if (owner === undefined) ownerOfHost.set(host, name);
      else issues.push({ id, ...hostTaken(route, host, owner, mode) });
      return owner === undefined;
    });
    if (hosts.length > 0) settled.set(name, hosts.length === route.hosts.length ? route : { ...route, hosts });
    const misfits = [...cycles, ...checkOverrides(route, services), ...checkProtocols(route, services)];
    issues.push(...misfits.map((issue) => ({ ...issue, id })));
    if (knownServices === undefined) continue;
    issues.push(...checkTargets(route, services, knownServices).map((issue) => ({ ...issue, id })));
  }
  return { routes: settled, issues };
}

/** A route without those of its mirrors that would close a cycle, and an issue for each. */
function breakCycles(route: Route, mirrors: MirrorGraph, mode: JudgeMode): { route: Route; issues: Issue[] } {
  const issues: Issue[] = [];
  const rules = route.rules.map((rule, index) => {
    if (rule.mirror === undefined) return rule;
    const cycle = mirrors.add(
      rule.to.map(({ service }) => service),
      rule.mirror.service,
    );
    if (cycle === undefined) return rule;
    const effect = mode === "strict" ? "" : "; this rule mirrors nothing";
    const message = `mirrors in a circle: ${cycle.join(" → ")}${effect}`;
    issues.push({ path: ["rules", index, "mirror", "service"], message });
    return { ...rule, mirror: undefined };
  });
  return { route: issues.length === 0 ? route : { ...route, rules }, issues };
}

function hostTaken(route: Route, host: string, owner: string, mode: JudgeMode): Issue {
  const what = host === "*" ? "all other hosts" : host;
  const effect = mode === "strict" ? "" : "; it stays with that one";
  const index = route.hosts.indexOf(host);
  return { path: ["hosts", index], message: `route ${owner} has ${what} already${effect}` };
}

function checkServiceHosts(services: ReadonlyMap<string, Service>): DocumentIssue[] {
  const issues: DocumentIssue[] = [];
  const ownerOfHost = new Map<string, string>();
  for (const name of [...services.keys()].sort()) {
    services.get(name)!.hosts.forEach((host, index) => {
      const owner = ownerOfHost.get(host) ?? (services.has(host) && host !== name ? host : undefined);
      if (owner === undefined) ownerOfHost.set(host, name);
      else if (owner !== name) {
        const message = `service ${owner} has ${host} already`;
        issues.push({ id: { kind: "service", name }, path: ["hosts", index], message });
      }
    });
  }
  return issues;
}

/** An address belongs to one service: the one whose name sorts first. */
function checkServiceAddresses(services: ReadonlyMap<string, Service>): DocumentIssue[] {
  const issues: DocumentIssue[] = [];
  const ownerOfAddress = new Map<string, string>();
  for (const name of [...services.keys()].sort()) {
    services.get(name)!.addresses.forEach((address, index) => {
      const text = formatAddress(address);
      const owner = ownerOfAddress.get(text);
      if (owner === undefined) ownerOfAddress.set(text, name);
      else if (owner !== name) {
        const message = `service ${owner} has ${text} already`;
        issues.push({ id: { kind: "service", name }, path: ["addresses", index], message });
      }
    });
  }
  return issues;
}

/** A route carries requests of HTTP, which a service of TCP does not take. */
function checkProtocols(route: Route, services: ReadonlyMap<string, Service>): Issue[] {
  const issues: Issue[] = [];
  const judgeTarget = (name: string, path: readonly (string | number)[]) => {
    if (services.get(name)?.protocol !== "tcp") return;
    const message = `service ${name} speaks tcp; routes carry requests of HTTP`;
    issues.push({ path, message, hint: "its connections need no route: write addresses, or use --listen" });
  };
  route.rules.forEach(({ to, mirror }, index) => {
    for (const [target, { service }] of to.entries()) judgeTarget(service, ["rules", index, "to", target, "service"]);
    if (mirror !== undefined) judgeTarget(mirror.service, ["rules", index, "mirror", "service"]);
  });
  return issues;
}

function checkOverrides(route: Route, services: ReadonlyMap<string, Service>): Issue[] {
  return route.rules.flatMap((rule, index) => {
    if (Object.keys(rule.overrides).length === 0) return [];
    const targets = new Set(rule.to.map(({ service }) => service));
    return [...targets].flatMap((name) => {
      const service = services.get(name);
      const problems = service === undefined ? [] : parseOverrides(service, rule.overrides).issues;
      return problems.map((issue) => ({ ...issue, path: ["rules", index, ...issue.path] }));
    });
  });
}

function checkTargets(route: Route, services: ReadonlyMap<string, Service>, known: ReadonlySet<string>): Issue[] {
  const issues: Issue[] = [];
  const judgeName = (name: string, path: readonly (string | number)[]) => {
    if (services.has(name) || known.has(name)) return;
    const nearest = nearestOf(name, [...services.keys(), ...known]);
    const hint = nearest === undefined ? undefined : `did you mean ${nearest}?`;
    issues.push({ path, message: `there is no service ${name}`, hint });
  };
  route.rules.forEach((rule, index) => {
    rule.to.forEach(({ service }, target) => {
      judgeName(service, ["rules", index, "to", target, "service"]);
    });
    if (rule.mirror !== undefined) judgeName(rule.mirror.service, ["rules", index, "mirror", "service"]);
  });
  return issues;
}
