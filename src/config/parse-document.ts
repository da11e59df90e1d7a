// One document: from what was written to what the model holds.
//
// Mesh, instance, route and access stand for themselves. A service does not: it is parsed with `mesh.defaults` laid
// under it, and a rule's policy with the service's laid under that, so those two take the lower layers as arguments.

import { assertNever } from "../base/index.ts";
import { checkProtocol } from "./check-tcp.ts";
import { type CheckPattern, checkPolicy, checkRoute } from "./checks.ts";
import {
  accessSchema,
  instanceSchema,
  meshSchema,
  routeSchema,
  SCHEMA_VERSION,
  serviceSchema,
} from "./document-schemas.ts";
import { type Access, freezeDeep, type Instance, type Mesh, type Route, type Rule, type Service } from "./documents.ts";
import { doubtsIn } from "./doubts.ts";
import { type Issue, type JudgeMode, type Judgement, judge } from "./issue.ts";
import type { DocumentId } from "./keyspace.ts";
import { isSection, mergeWritten, type Written } from "./merge.ts";
import { notYetIn } from "./not-yet.ts";
import { POLICY_SECTIONS, type Policy, policySchema, resolvePolicy } from "./policy.ts";

/** A parsed document with its kind. A service is parsed later, when what lies under it is known. */
export type ParsedDocument =
  | { readonly kind: "mesh"; readonly value: Mesh }
  | { readonly kind: "service" }
  | { readonly kind: "instance"; readonly value: Instance }
  | { readonly kind: "route"; readonly value: Route }
  | { readonly kind: "access"; readonly value: Access };

/** The outcome for one document. */
export interface DocumentJudgement {
  readonly parsed: ParsedDocument | undefined;
  readonly written: Written;
  readonly issues: readonly Issue[];
  readonly warnings: readonly Issue[];
}

export interface ParseOptions {
  readonly mode: JudgeMode;
  readonly checkPattern?: CheckPattern | undefined;
}

/** Parses one document by its kind. */
export function parseDocument(id: DocumentId, value: unknown, options: ParseOptions): DocumentJudgement {
  switch (id.kind) {
    case "mesh": {
      const judgement = judge(meshSchema, value, options.mode);
      const defaults = sectionAt(judgement.written, "defaults");
      return conclude(id, judgement, options, ({ schemaVersion }) => ({
        kind: "mesh",
        value: { schemaVersion, defaults },
      }));
    }
    case "service":
      return conclude(id, judge(serviceSchema, value, options.mode), options, () => ({ kind: "service" }));
    case "instance":
      return conclude(id, judge(instanceSchema, value, options.mode), options, (instance) => ({
        kind: "instance",
        value: { ...instance, service: id.service, id: id.name },
      }));
    case "route": {
      const judgement = judge(routeSchema, value, options.mode);
      const route = judgement.value === undefined ? undefined : routeOf(id.name, judgement.value, judgement.written);
      const issues = route === undefined ? [] : checkRoute(route, options.checkPattern);
      return conclude(id, { ...judgement, issues: [...judgement.issues, ...issues] }, options, () =>
        route === undefined ? undefined : { kind: "route", value: route },
      );
    }
    case "access":
      return conclude(id, judge(accessSchema, value, options.mode), options, (access) => ({
        kind: "access",
        value: { ...access, name: id.name },
      }));
    default:
      return assertNever(id);
  }
}

/** Parses a service over the mesh's defaults; `written` is `undefined` where nobody wrote a document. */
export function parseService(name: string, defaults: Written, written: Written | undefined): ServiceJudgement {
  const whole = mergeWritten(defaults, written ?? {});
  const { value, issues } = judge(serviceSchema, whole, "strict");
  if (value === undefined) return { service: undefined, issues };
  const { schemaVersion, protocol, hosts, addresses, ...sections } = value;
  const policy = resolvePolicy(sections, protocol);
  const isImplicit = written === undefined;
  const service = { name, schemaVersion, protocol, hosts, addresses, policy, isImplicit, written: whole };
  const problems = [...checkProtocol(protocol, written ?? {}), ...checkPolicy(policy)];
  return problems.length > 0 ? { service: undefined, issues: problems } : { service: freezeDeep(service), issues: [] };
}

export interface ServiceJudgement {
  readonly service: Service | undefined;
  readonly issues: readonly Issue[];
}

/** The policy of a rule for one of its targets, and what is wrong with it. */
export function parseOverrides(service: Service, overrides: Written): { policy: Policy; issues: readonly Issue[] } {
  if (Object.keys(overrides).length === 0) return { policy: service.policy, issues: [] };
  const below = Object.fromEntries(POLICY_SECTIONS.map((field) => [field, service.written[field]]));
  const { value, issues } = judge(policySchema, mergeWritten(below, overrides), "strict");
  if (value === undefined) return { policy: service.policy, issues };
  const policy = freezeDeep(resolvePolicy(value, service.protocol));
  const problems = checkPolicy(policy);
  return problems.length > 0 ? { policy: service.policy, issues: problems } : { policy, issues: [] };
}

function conclude<T>(
  id: DocumentId,
  judgement: Judgement<T>,
  { mode }: ParseOptions,
  wrap: (value: T) => ParsedDocument | undefined,
): DocumentJudgement {
  const { value, written, dropped } = judgement;
  const version = checkVersion(written);
  const isRefused = mode === "strict";
  const issues = isRefused ? [...judgement.issues, ...version] : judgement.issues;
  const warnings = [
    ...dropped,
    ...(isRefused ? [] : version),
    ...notYetIn(id.kind, written),
    ...doubtsIn(id.kind, written),
  ];
  const parsed = value === undefined || issues.length > 0 ? undefined : wrap(value);
  return { parsed: freezeDeep(parsed), written: freezeDeep(written), issues, warnings };
}

function checkVersion(written: Written): Issue[] {
  const { schemaVersion } = written;
  if (typeof schemaVersion !== "number" || schemaVersion <= SCHEMA_VERSION) return [];
  return [{ path: ["schemaVersion"], message: `is newer than this Pillion knows (${SCHEMA_VERSION})` }];
}

function routeOf(name: string, parsed: Exclude<Judgement<ParsedRoute>["value"], undefined>, written: Written): Route {
  const writtenRules = Array.isArray(written.rules) ? written.rules : [];
  const rules = parsed.rules.map((rule, index): Rule => {
    const source: unknown = writtenRules[index];
    const entries = POLICY_SECTIONS.map((field) => [field, isSection(source) ? source[field] : undefined] as const);
    const overrides = Object.fromEntries(entries.filter(([, value]) => value !== undefined));
    const { match, to = [], rewrite, requestHeaders = [], responseHeaders = [] } = rule;
    const { redirect, directResponse, mirror, fault } = rule;
    return { match, to, rewrite, requestHeaders, responseHeaders, redirect, directResponse, mirror, fault, overrides };
  });
  const hosts = parsed.hosts.length === 0 ? ["*"] : [...new Set(parsed.hosts)];
  return { name, schemaVersion: parsed.schemaVersion, hosts, rules };
}

type ParsedRoute = ReturnType<typeof routeSchema.parse>;

function sectionAt(written: Written, field: string): Written {
  const value = written[field];
  return isSection(value) ? value : {};
}
