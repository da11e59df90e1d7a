// One write of the store in the making: the maps of the picture before it, copied where they change.
//
// Documents are put and erased first; `settle` then resolves the services, which depend on one another through
// `mesh.defaults`, and says what had to be refused on the way.

import { assert, assertNever } from "../base/index.ts";
import type { Access, Documents, Instance, Mesh, Route, Service } from "./documents.ts";
import type { Issue } from "./issue.ts";
import type { DocumentId } from "./keyspace.ts";
import type { Written } from "./merge.ts";
import { type ParsedDocument, parseService } from "./parse-document.ts";
import type { DocumentIssue } from "./settle-routes.ts";

export interface Draft {
  put(id: DocumentId, parsed: ParsedDocument, written: Written): void;
  erase(id: DocumentId): void;
  /** Ends the draft. */
  settle(): SettledDraft;
}

export interface SettledDraft {
  readonly mesh: Mesh;
  readonly services: ReadonlyMap<string, Service>;
  readonly instances: Documents["instances"];
  readonly routes: ReadonlyMap<string, Route>;
  readonly access: Documents["access"];
  /** Service documents in force. */
  readonly written: ReadonlyMap<string, Written>;
  readonly rejected: readonly DocumentIssue[];
  /** A route or a service is not what it was. */
  readonly isRoutingChanged: boolean;
}

const NO_DEFAULTS: Mesh = Object.freeze({ schemaVersion: 1, defaults: Object.freeze({}) });

/** Opens a draft over a picture. */
export function createDraft(
  before: Documents,
  written: ReadonlyMap<string, Written>,
  routes: ReadonlyMap<string, Route>,
): Draft {
  return new DocumentDraft(before, written, routes);
}

class DocumentDraft implements Draft {
  readonly #before: Documents;
  readonly #writtenBefore: ReadonlyMap<string, Written>;
  readonly #written: Map<string, Written>;
  readonly #routes: Map<string, Route>;
  readonly #access: Map<string, Access>;
  readonly #instances: Map<string, ReadonlyMap<string, Instance>>;
  /** The inner maps of `#instances` that are this draft's own. */
  readonly #ownInstances = new Map<string, Map<string, Instance>>();
  readonly #touchedServices = new Set<string>();
  readonly #rejected: DocumentIssue[] = [];
  #mesh: Mesh;
  #isRouteTouched = false;

  constructor(before: Documents, written: ReadonlyMap<string, Written>, routes: ReadonlyMap<string, Route>) {
    this.#before = before;
    this.#mesh = before.mesh;
    this.#writtenBefore = written;
    this.#written = new Map(written);
    this.#routes = new Map(routes);
    this.#access = new Map(before.access);
    this.#instances = new Map(before.instances);
  }

  put(id: DocumentId, parsed: ParsedDocument, written: Written): void {
    switch (parsed.kind) {
      case "mesh":
        this.#mesh = parsed.value;
        return;
      case "service":
        assert(id.kind === "service", "a parsed service has a service's id");
        this.#written.set(id.name, written);
        this.#touchedServices.add(id.name);
        return;
      case "instance":
        this.#ownInstancesOf(parsed.value.service).set(parsed.value.id, parsed.value);
        return;
      case "route":
        this.#routes.set(parsed.value.name, parsed.value);
        this.#isRouteTouched = true;
        return;
      case "access":
        this.#access.set(parsed.value.name, parsed.value);
        return;
      default:
        assertNever(parsed);
    }
  }

  erase(id: DocumentId): void {
    switch (id.kind) {
      case "mesh":
        this.#mesh = NO_DEFAULTS;
        return;
      case "service":
        this.#written.delete(id.name);
        this.#touchedServices.add(id.name);
        return;
      case "instance":
        this.#eraseInstance(id.service, id.name);
        return;
      case "route":
        this.#routes.delete(id.name);
        this.#isRouteTouched = true;
        return;
      case "access":
        this.#access.delete(id.name);
        return;
      default:
        assertNever(id);
    }
  }

  settle(): SettledDraft {
    this.#settleMesh();
    const isServiceTouched = this.#touchedServices.size > 0;
    const services = isServiceTouched ? new Map(this.#before.services) : this.#before.services;
    for (const name of this.#touchedServices) {
      const service = this.#settleService(name);
      if (service === undefined) (services as Map<string, Service>).delete(name);
      else (services as Map<string, Service>).set(name, service);
    }
    return {
      mesh: this.#mesh,
      services,
      instances: this.#instances,
      routes: this.#routes,
      access: this.#access,
      written: this.#written,
      rejected: this.#rejected,
      isRoutingChanged: this.#isRouteTouched || isServiceTouched,
    };
  }

  /** New defaults lie under every service; defaults that make a good service impossible are refused. */
  #settleMesh(): void {
    if (this.#mesh.defaults === this.#before.mesh.defaults) return;
    const issues = this.#problemsOfDefaults();
    if (issues.length > 0) {
      this.#rejected.push(...issues.map((issue): DocumentIssue => ({ ...issue, id: { kind: "mesh" } })));
      this.#mesh = this.#before.mesh;
      return;
    }
    for (const name of [...this.#written.keys(), ...this.#instances.keys()]) this.#touchedServices.add(name);
  }

  #problemsOfDefaults(): Issue[] {
    const issues: Issue[] = [];
    for (const [name, written] of this.#written) {
      const after = parseService(name, this.#mesh.defaults, written);
      if (after.service !== undefined) continue;
      // Impossible under the old defaults as well: then the service is to blame, and #settleService says so.
      if (parseService(name, this.#before.mesh.defaults, written).service === undefined) continue;
      for (const issue of after.issues) {
        issues.push({ ...issue, path: ["defaults", ...issue.path], message: `service ${name}: ${issue.message}` });
      }
    }
    return issues;
  }

  #settleService(name: string): Service | undefined {
    const written = this.#written.get(name);
    if (written !== undefined) {
      const { service, issues } = parseService(name, this.#mesh.defaults, written);
      if (service !== undefined) return service;
      this.#rejected.push(...issues.map((issue): DocumentIssue => ({ ...issue, id: { kind: "service", name } })));
      const lastGood = this.#writtenBefore.get(name);
      const kept = lastGood === undefined ? undefined : parseService(name, this.#mesh.defaults, lastGood).service;
      if (lastGood !== undefined && kept !== undefined) {
        this.#written.set(name, lastGood);
        return kept;
      }
      this.#written.delete(name);
    }
    return this.#instances.has(name) ? this.#settleImplicit(name) : undefined;
  }

  /** A service without a document; defaults may need what only a document can give (a hash for ring-hash). */
  #settleImplicit(name: string): Service | undefined {
    const { service, issues } = parseService(name, this.#mesh.defaults, undefined);
    if (service !== undefined) return service;
    for (const issue of issues) {
      const message = `mesh.defaults do not fit a service without a document: ${issue.message}`;
      this.#rejected.push({ ...issue, path: [], message, id: { kind: "service", name } });
    }
    return parseService(name, {}, undefined).service;
  }

  #ownInstancesOf(service: string): Map<string, Instance> {
    const known = this.#ownInstances.get(service);
    if (known !== undefined) return known;
    const current = this.#instances.get(service);
    if (current === undefined) this.#touchedServices.add(service);
    const own = new Map(current);
    this.#ownInstances.set(service, own);
    this.#instances.set(service, own);
    return own;
  }

  #eraseInstance(service: string, id: string): void {
    if (this.#instances.get(service)?.has(id) !== true) return;
    const own = this.#ownInstancesOf(service);
    own.delete(id);
    if (own.size > 0) return;
    this.#instances.delete(service);
    this.#ownInstances.delete(service);
    this.#touchedServices.add(service);
  }
}
