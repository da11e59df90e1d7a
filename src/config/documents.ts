// The document model: what the rest of Pillion sees of a mesh, whether it came from a file or from etcd.
//
// Everything here is complete (defaults filled in), checked and frozen. A service that only instances speak of exists
// too: a server may register before anybody has written a document for its service.

import type * as z from "zod";
import type { Address } from "../base/index.ts";
import type { accessSchema, FieldMatch, instanceSchema, PathMatch } from "./document-schemas.ts";
import type { Written } from "./merge.ts";
import type { Policy, Protocol } from "./policy.ts";
import type { DirectResponse, Fault, FieldEdit, Mirror, Redirect } from "./rule-schemas.ts";

/** One consistent picture of a mesh. Maps are never changed; a change makes new ones. */
export interface Documents {
  readonly mesh: Mesh;
  readonly services: ReadonlyMap<string, Service>;
  /** Service name → id → instance. */
  readonly instances: ReadonlyMap<string, ReadonlyMap<string, Instance>>;
  readonly routes: ReadonlyMap<string, Route>;
  readonly access: ReadonlyMap<string, Access>;
}

export interface Mesh {
  readonly schemaVersion: number;
  /** As written: it lies under every service before that is parsed. */
  readonly defaults: Written;
}

export interface Service {
  readonly name: string;
  readonly schemaVersion: number;
  readonly protocol: Protocol;
  /** Lower case; without the names that the service answers for by itself. */
  readonly hosts: readonly string[];
  /** `protocol: tcp`: where apps connect to. Empty: wherever its instances are. */
  readonly addresses: readonly Address[];
  readonly policy: Policy;
  /** Nobody wrote a document; instances name the service. */
  readonly isImplicit: boolean;
  /** The document with `mesh.defaults` under it, for the overrides of rules. */
  readonly written: Written;
}

export interface Instance extends Readonly<z.output<typeof instanceSchema>> {
  readonly service: string;
  readonly id: string;
}

export interface Route {
  readonly name: string;
  readonly schemaVersion: number;
  /** Lower case; `*` takes what nothing else claims. Never empty. */
  readonly hosts: readonly string[];
  readonly rules: readonly Rule[];
}

export interface Rule {
  readonly match: RuleMatch;
  /** Empty where the rule answers by itself: `redirect` or `directResponse`. */
  readonly to: readonly Target[];
  readonly rewrite: { readonly pathPrefix?: string | undefined; readonly host?: string | undefined };
  readonly requestHeaders: readonly FieldEdit[];
  readonly responseHeaders: readonly FieldEdit[];
  readonly redirect: Redirect | undefined;
  readonly directResponse: DirectResponse | undefined;
  readonly mirror: Mirror | undefined;
  readonly fault: Fault | undefined;
  /** Policy sections as written; `policyOf` lays them over the service's. */
  readonly overrides: Written;
}

export interface RuleMatch {
  readonly path: PathMatch | undefined;
  readonly methods: readonly string[] | undefined;
  readonly headers: readonly NamedMatch[];
  readonly query: readonly NamedMatch[];
}

/** A condition on a header field or a query parameter. */
export interface NamedMatch {
  readonly name: string;
  readonly match: FieldMatch;
}

export interface Target {
  readonly service: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly weight: number;
}

export interface Access extends Readonly<z.output<typeof accessSchema>> {
  readonly name: string;
}

/** What an instance's own sidecar writes of it, and `apply` of a bare one: the document before defaults. */
export interface InstanceDocument {
  readonly address: string;
  readonly weight?: number;
  readonly zone?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly protocol?: Protocol;
  readonly sidecar?: boolean;
  readonly state?: InstanceState;
}

export type InstanceState = Instance["state"];

/** Freezes a tree of plain objects and arrays; maps are left to their type. */
export function freezeDeep<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) freezeDeep(inner);
  return Object.freeze(value);
}
