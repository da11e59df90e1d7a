// The route program before it is bytes: plain records with numbers for services, sets and slots, texts for the rest.
//
// lower-route.ts and compile.ts make it of documents, encode-*.ts write it down. It says what the engine can do, which
// is more than the documents' schema can write: query parameters, header edits, redirects, direct responses.

import type { Policy, Protocol } from "../config/index.ts";
import type { Automaton } from "./regex.ts";

export interface ProgramModel {
  readonly revision: number;
  /** By service index; `undefined` = an index that was never used. */
  readonly services: readonly (ServiceModel | undefined)[];
  /** By slot. */
  readonly instances: readonly (InstanceModel | undefined)[];
  /** Service index of each `--listen`; `undefined` = it cannot be served. */
  readonly listeners: readonly (number | undefined)[];
  readonly vhosts: readonly VhostModel[];
  /** "users.example" → who claims it. */
  readonly hosts: ReadonlyMap<string, HostClaim>;
  /** ".users.example" → who claims everything that ends so. */
  readonly wildcards: ReadonlyMap<string, HostClaim>;
  /** The virtual host that takes what nobody claims. */
  readonly catchAll: number | undefined;
  readonly inbound: number | undefined;
}

/** The host tables while they are being filled. */
export interface HostTables {
  readonly hosts: Map<string, HostClaim>;
  readonly wildcards: Map<string, HostClaim>;
}

export interface HostClaim {
  readonly vhost?: number;
  readonly service?: number;
}

export interface ServiceModel {
  readonly name: string;
  readonly direction: "outbound" | "inbound";
  /** First metric cell. */
  readonly metrics: number;
  /** Takes everything to the service; `undefined` = the service has left the mesh. */
  readonly rule: RuleModel | undefined;
}

export interface InstanceModel {
  readonly id: string;
  readonly generation: number;
  readonly protocol: InstanceProtocol;
  readonly isSidecar: boolean;
  readonly isDraining: boolean;
  readonly isApp: boolean;
  /** Whether this snapshot still knows it; gone ones keep their id for the logs. */
  readonly isPresent: boolean;
}

/** What an instance speaks; `http1` exists for `--app-protocol` only. */
export type InstanceProtocol = Protocol | "http1";

/** One route: its rules in order. */
export interface VhostModel {
  readonly name: string;
  readonly rules: readonly RuleModel[];
}

export interface RuleModel {
  readonly path?: PathModel;
  /** Empty: any. */
  readonly methods: readonly string[];
  readonly conditions: readonly ConditionModel[];
  readonly action: ActionModel;
  /** Replaces what the path's prefix matched. */
  readonly pathPrefix?: string;
  /** Whether `pathPrefix` replaces the whole path, whatever matched. */
  readonly isWholePath?: boolean;
  readonly host?: string;
  readonly requestEdits: readonly EditModel[];
  readonly responseEdits: readonly EditModel[];
  readonly fault?: FaultModel | undefined;
  readonly mirror?: MirrorModel | undefined;
}

/** Who gets copies of a part of the requests, from 0 to 1. */
export interface MirrorModel {
  readonly service: number;
  readonly share: number;
}

/** Failures made on purpose; shares from 0 to 1. */
export interface FaultModel {
  readonly delay?: { readonly share: number; readonly durationMs: number } | undefined;
  readonly abort?: { readonly share: number; readonly status: number } | undefined;
}

export type PathModel =
  | { readonly kind: "exact" | "prefix"; readonly value: string }
  /** Paths that begin with whole segments, and whose rest the automaton accepts. */
  | { readonly kind: "regex"; readonly segments: string; readonly rest: Automaton };

export interface ConditionModel {
  readonly on: "header" | "query" | "authority";
  /** Header names in lower case; empty for the authority. */
  readonly name: string;
  readonly test: TestModel;
}

export type TestModel =
  | { readonly kind: "present" | "absent" }
  | { readonly kind: "exact" | "prefix"; readonly value: string }
  | { readonly kind: "regex"; readonly automaton: Automaton };

export type ActionModel =
  | { readonly kind: "forward"; readonly destinations: readonly DestinationModel[] }
  | { readonly kind: "redirect"; readonly status: number; readonly scheme: "same" | "http" | "https" }
  | { readonly kind: "response"; readonly status: number; readonly body: string };

export interface DestinationModel {
  readonly service: number;
  readonly set: number;
  readonly weight: number;
  readonly policy: PolicyModel;
}

/** A policy record; the same object is written once. */
export interface PolicyModel {
  readonly service: number;
  readonly metrics: number;
  readonly protocol: InstanceProtocol;
  readonly policy: Policy;
  /** Names whose rate limit it is: requests under the same name share its buckets. */
  readonly limitName: string;
}

export interface EditModel {
  readonly kind: "add" | "set" | "remove";
  /** In lower case. */
  readonly name: string;
  /** Empty for `remove`. */
  readonly value: string;
}
