// Routing as one would write it on a page: the naive twin of the route program.
//
// No index, no hash, no automaton: every host, every rule and every condition in turn, patterns by JavaScript's RegExp.
// It shares nothing with src/snapshot and assembly/engine/route but the documents.

import type { Documents, FieldMatch, PathMatch, Rule, RuleMatch } from "../../src/config/index.ts";

/** A request as routes see it. */
export interface RouteRequest {
  readonly authority: string;
  /** With its query. */
  readonly path: string;
  readonly method: string;
  /** Lower-case names; a name may occur more than once. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** 0 to 2^32 − 1. */
  readonly random: number;
}

/** Where it goes. */
export type RouteOutcome =
  | { readonly kind: "no-route" }
  | { readonly kind: "service"; readonly service: string }
  | {
      readonly kind: "rule";
      readonly route: string;
      readonly rule: number;
      /** Index in `to`. */
      readonly target: number;
    };

/** Matches a request of an outbound listener. */
export function matchNaively(documents: Documents, namespace: string | undefined, request: RouteRequest): RouteOutcome {
  const host = bareHost(request.authority);
  const route =
    routeBy(documents, (pattern) => pattern === host) ??
    longest(documents, host) ??
    (serviceOf(documents, namespace, host) === undefined
      ? routeBy(documents, (pattern) => pattern === "*")
      : undefined);
  if (route === undefined) {
    const service = serviceOf(documents, namespace, host);
    return service === undefined ? { kind: "no-route" } : { kind: "service", service };
  }
  const rules = documents.routes.get(route)!.rules;
  const rule = rules.findIndex(({ match }) => fulfils(match, request));
  if (rule < 0) return { kind: "no-route" };
  return { kind: "rule", route, rule, target: draw(rules[rule]!, request.random) };
}

/** Whether a path has a prefix of whole segments. */
export function hasPrefix(path: string, prefix: string): boolean {
  const segments = prefix.replace(/\/$/, "");
  return segments === "" || path === segments || path.startsWith(`${segments}/`);
}

function bareHost(authority: string): string {
  const withoutPort = authority.toLowerCase().replace(/:\d*$/, "");
  return withoutPort.replace(/\.$/, "");
}

function routeBy(documents: Documents, isWanted: (pattern: string) => boolean): string | undefined {
  return [...documents.routes.values()].find(({ hosts }) => hosts.some(isWanted))?.name;
}

function longest(documents: Documents, host: string): string | undefined {
  const patterns = [...documents.routes.values()].flatMap(({ hosts }) =>
    hosts.filter((one) => isWildcardOf(one, host)),
  );
  const winner = patterns.sort((left, right) => right.length - left.length)[0];
  return winner === undefined ? undefined : routeBy(documents, (pattern) => pattern === winner);
}

function isWildcardOf(pattern: string, host: string): boolean {
  return pattern.startsWith("*.") && host.endsWith(pattern.slice(1)) && host.length >= pattern.length;
}

function serviceOf(documents: Documents, namespace: string | undefined, host: string): string | undefined {
  const names = new Set(documents.services.keys());
  for (const { rules } of documents.routes.values()) {
    for (const { to } of rules) for (const { service } of to) names.add(service);
  }
  const sorted = [...names].sort();
  const hostsOf = (name: string) => documents.services.get(name)?.hosts ?? [];
  const exact =
    sorted.find((name) => name === host) ??
    sorted.find((name) => hostsOf(name).includes(host)) ??
    sorted.find((name) => [".svc", ".svc.cluster.local", ".mesh"].some((suffix) => name + suffix === host)) ??
    sorted.find((name) => namespace !== undefined && name === `${host}.${namespace}`);
  if (exact !== undefined) return exact;
  const claims = sorted.flatMap((name) =>
    hostsOf(name)
      .filter((one) => isWildcardOf(one, host))
      .map((one) => ({ name, one })),
  );
  return claims.sort((left, right) => right.one.length - left.one.length)[0]?.name;
}

function fulfils({ path, methods, headers }: RuleMatch, request: RouteRequest): boolean {
  if (path !== undefined && !fulfilsPath(path, request.path.split("?")[0]!)) return false;
  if (methods !== undefined && methods.length > 0 && !methods.includes(request.method)) return false;
  return headers.every(({ name, match }) => {
    const values = name === "host" ? [request.authority].filter((one) => one !== "") : valuesOf(request, name);
    return match.kind === "absent" ? values.length === 0 : values.some((value) => fulfilsField(match, value));
  });
}

function valuesOf({ headers }: RouteRequest, name: string): string[] {
  return headers.filter(([other]) => other === name).map(([, value]) => value);
}

function fulfilsPath({ kind, value }: PathMatch, path: string): boolean {
  if (kind === "exact") return path === value;
  return kind === "prefix" ? hasPrefix(path, value) : new RegExp(`^(?:${value})$`).test(path);
}

function fulfilsField(match: FieldMatch, value: string): boolean {
  switch (match.kind) {
    case "present":
      return true;
    case "absent":
      return false;
    case "exact":
      return value === match.value;
    case "prefix":
      return value.startsWith(match.value);
    case "regex":
      return new RegExp(`^(?:${match.value})$`).test(value);
  }
}

/** The target whose share of [0, 2^32) the random number falls into. */
function draw({ to }: Rule, random: number): number {
  const total = to.reduce((sum, { weight }) => sum + BigInt(weight), 0n);
  const drawn = (BigInt(random) * total) >> 32n;
  let upTo = 0n;
  return to.findIndex(({ weight }) => {
    upTo += BigInt(weight);
    return drawn < upTo;
  });
}
