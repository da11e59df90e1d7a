// The picture of a mesh, kept as documents come and go: what is good replaces, what is broken does not.
//
// A registry writes whole revisions in here and takes the composed `Documents` out. Parsing happens once per changed
// document, and of the composed maps only those that a change touches are made anew: one instance more among ten
// thousand costs a copy of its own service's map and little else.
//
// Rule 1: a document that does not parse leaves the last good one in force, and is listed until it is mended or gone.
// Rule 2: a document is blamed for what it breaks elsewhere: `mesh.defaults` that make a service impossible are
//         refused, not the service.

import type { CheckPattern } from "./checks.ts";
import type { Documents, Mesh, Route, Service } from "./documents.ts";
import { createDraft } from "./draft.ts";
import type { Issue, JudgeMode } from "./issue.ts";
import { type DocumentId, formatId } from "./keyspace.ts";
import type { Written } from "./merge.ts";
import { parseDocument, parseOverrides } from "./parse-document.ts";
import type { Policy } from "./policy.ts";
import { type DocumentIssue, settleRoutes } from "./settle-routes.ts";

/** One document written or, without a value, deleted. */
export interface DocumentChange {
  readonly id: DocumentId;
  readonly value: unknown;
}

/** What a write led to. */
export interface StoreOutcome {
  readonly documents: Documents;
  /** Problems of this write's documents: each of them was refused. */
  readonly rejected: readonly DocumentIssue[];
}

export interface DocumentStore {
  /** Takes the changes of one revision in, all at once. */
  write(changes: readonly DocumentChange[]): StoreOutcome;
  readonly documents: Documents;
  /** Everything that stands wrong now: refused documents, dropped fields, hosts in dispute, what is not acted on. */
  warnings(): readonly DocumentIssue[];
}

export interface StoreOptions {
  readonly mode: JudgeMode;
  readonly checkPattern?: CheckPattern | undefined;
  /** Services that rules may name although no document or instance at hand does; `undefined`: any. */
  readonly knownServices?: ReadonlySet<string> | undefined;
}

const EMPTY_MESH: Mesh = Object.freeze({ schemaVersion: 1, defaults: Object.freeze({}) });

/** A picture with nothing in it. */
export const EMPTY_DOCUMENTS: Documents = Object.freeze({
  mesh: EMPTY_MESH,
  services: new Map(),
  instances: new Map(),
  routes: new Map(),
  access: new Map(),
});

/** Makes an empty store. */
export function createDocumentStore(options: StoreOptions): DocumentStore {
  let documents = EMPTY_DOCUMENTS;
  /** Service documents in force, as written, and routes before their hosts were settled. */
  let written: ReadonlyMap<string, Written> = new Map();
  let routes: ReadonlyMap<string, Route> = new Map();
  let routeIssues: readonly DocumentIssue[] = [];
  const ownIssues = new Map<string, readonly DocumentIssue[]>();

  const note = (id: DocumentId, issues: readonly Issue[]) => {
    if (issues.length === 0) ownIssues.delete(formatId(id));
    else
      ownIssues.set(
        formatId(id),
        issues.map((issue) => ({ ...issue, id })),
      );
  };

  const write = (changes: readonly DocumentChange[]): StoreOutcome => {
    const draft = createDraft(documents, written, routes);
    const rejected: DocumentIssue[] = [];
    for (const { id, value } of changes) {
      const judged = value === undefined ? undefined : parseDocument(id, value, options);
      note(id, judged === undefined ? [] : [...judged.issues, ...judged.warnings]);
      if (judged === undefined) draft.erase(id);
      else if (judged.parsed !== undefined) draft.put(id, judged.parsed, judged.written);
      else rejected.push(...judged.issues.map((issue) => ({ ...issue, id })));
    }
    const settled = draft.settle();
    for (const issue of settled.rejected) {
      note(issue.id, [...(ownIssues.get(formatId(issue.id)) ?? []), issue]);
      rejected.push(issue);
    }
    written = settled.written;
    routes = settled.routes;
    let routesInForce = documents.routes;
    if (settled.isRoutingChanged) {
      const routing = settleRoutes(routes, settled.services, options);
      routesInForce = routing.routes;
      routeIssues = routing.issues;
      if (options.mode === "strict") rejected.push(...routing.issues);
    }
    const { mesh, services, instances, access } = settled;
    documents = Object.freeze({ mesh, services, instances, routes: routesInForce, access });
    return { documents, rejected };
  };

  return {
    write,
    get documents() {
      return documents;
    },
    warnings: () => [...[...ownIssues.values()].flat(), ...routeIssues],
  };
}

const policies = new WeakMap<Service, WeakMap<Written, Policy>>();

/** The policy of `service` for requests that came by a rule: the service's, with the rule's overrides laid over it. */
export function policyOf(service: Service, overrides: Written): Policy {
  const known = policies.get(service) ?? new WeakMap<Written, Policy>();
  policies.set(service, known);
  const policy = known.get(overrides) ?? parseOverrides(service, overrides).policy;
  known.set(overrides, policy);
  return policy;
}
