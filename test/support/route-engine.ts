// Routing in Wasm, as tests drive it: documents compiled and loaded, requests made into heads, results read back.

import { NONE } from "../../assembly/abi/engine-codes.ts";
import { PROGRAM_RULES_AT, PROGRAM_RULES_COUNT_AT, RULE_BYTES } from "../../assembly/abi/route-program.ts";
import { createDocumentStore, type DocumentChange, type Documents } from "../../src/config/index.ts";
import {
  Allocation,
  type CompiledSnapshot,
  checkRegex,
  compileSnapshot,
  type SlotSource,
  type SnapshotOptions,
} from "../../src/snapshot/index.ts";
import type { RouteRequest } from "../models/route.ts";
import { loadTestingModule, type TestingModule } from "./wasm.ts";

/** assembly/testing/route.ts. */
export interface RouteExports {
  createPool(): void;
  poolUsedBytes(): number;
  scratchHead(): number;
  answerHead(): number;
  startHead(head: number, kind: number): void;
  addField(head: number, id: number, name: number, nameBytes: number, value: number, valueBytes: number): number;
  takeText(head: number, length: number): number;
  activateSnapshot(ptr: number, length: number): number;
  snapshotSpare(): number;
  snapshotRevision(): number;
  hasSnapshot(): number;
  matchRoute(head: number, kind: number, listener: number, random: number): number;
  rewriteHead(head: number, rule: number): number;
  keepEdits(rule: number): number;
  editResponse(head: number, kept: number): number;
  releaseEdits(kept: number): void;
  answerRule(request: number, answer: number, rule: number): number;
  ruleText(rule: number): number;
  hashOf(head: number, policy: number, peer: number, peerBytes: number): number;
  instanceAt(slot: number): number;
  instanceId(slot: number): number;
  serviceName(index: number): number;
  serviceMetrics(index: number): number;
  /** The codecs' numbers of methods and of names in lower case. */
  methodIdOf(ptr: number, length: number): number;
  nameIdOf(ptr: number, length: number): number;
  readonly nameBytes: WebAssembly.Global;
  readonly program: WebAssembly.Global;
  readonly routeAction: WebAssembly.Global;
  readonly routeMatchedPrefixBytes: WebAssembly.Global;
  readonly routePolicy: WebAssembly.Global;
  readonly routeRule: WebAssembly.Global;
  readonly routeService: WebAssembly.Global;
  readonly routeSet: WebAssembly.Global;
  readonly ruleTextBytes: WebAssembly.Global;
}

// Offsets of engine/http/head.ts, which only asc can read.
const HEAD_STATUS = 2;
const HEAD_COUNT = 4;
const HEAD_METHOD = 12;
const HEAD_METHOD_BYTES = 16;
const HEAD_METHOD_ID = 20;
const HEAD_PATH = 24;
const HEAD_PATH_BYTES = 28;
const HEAD_AUTHORITY = 32;
const HEAD_AUTHORITY_BYTES = 36;
const HEAD_SCHEME = 40;
const HEAD_HEADER_BYTES = 96;
const FIELD_BYTES = 16;

/** What `matchRoute` found. */
export interface Matched {
  readonly reason: number;
  readonly action: number;
  /** Address of the rule, 0 = none. */
  readonly rule: number;
  /** Its number among the rules of routes; `undefined` for a service's own rule. */
  readonly ruleNumber: number | undefined;
  readonly service: number | undefined;
  readonly set: number | undefined;
  readonly policy: number;
  readonly prefixBytes: number;
}

export class RouteEngine {
  readonly exports: RouteExports;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;

  constructor(module: TestingModule<RouteExports>) {
    this.exports = module.exports;
    this.bytes = module.bytes;
    this.view = module.view;
    this.exports.createPool();
  }

  /** Loads a block; ACTIVATE_*. */
  load(bytes: Uint8Array): number {
    const at = this.exports.snapshotSpare();
    this.bytes.set(bytes, at);
    return this.exports.activateSnapshot(at, bytes.length);
  }

  /** Makes the scratch head of a request; its address. */
  writeHead(request: Partial<RouteRequest>): number {
    const { authority = "", path = "/", method = "GET", headers = [] } = request;
    const head = this.exports.scratchHead();
    this.exports.startHead(head, 0);
    const methodAt = this.#putText(head, head + HEAD_METHOD, head + HEAD_METHOD_BYTES, method);
    this.view.setUint32(head + HEAD_METHOD_ID, this.exports.methodIdOf(methodAt, method.length), true);
    this.#putText(head, head + HEAD_PATH, head + HEAD_PATH_BYTES, path);
    this.#putText(head, head + HEAD_AUTHORITY, head + HEAD_AUTHORITY_BYTES, authority);
    for (const [name, value] of headers) this.addField(head, name, value);
    return head;
  }

  addField(head: number, name: string, value: string): void {
    const [at, valueAt] = [this.#takeText(head, name), this.#takeText(head, value)];
    const id = this.exports.nameIdOf(at, name.length);
    const added = this.exports.addField(head, id, at, name.length, valueAt, value.length);
    if (added !== 1) throw new Error("no room for a field");
  }

  setSecure(head: number): void {
    this.bytes[head + HEAD_SCHEME] = 1;
  }

  /** Matches a request; `kind` and `listener` are those of an outbound listener unless given. */
  match(request: Partial<RouteRequest>, kind = 0, listener = 0): Matched {
    const reason = this.exports.matchRoute(this.writeHead(request), kind, listener, request.random ?? 0);
    const rule = this.exports.routeRule.value;
    const program = this.exports.program.value;
    const rules = program + this.view.getUint32(program + PROGRAM_RULES_AT, true);
    const count = this.view.getUint32(program + PROGRAM_RULES_COUNT_AT, true);
    const isRouted = rule >= rules && rule < rules + count * RULE_BYTES;
    const service = this.exports.routeService.value;
    const set = this.exports.routeSet.value;
    return {
      reason,
      action: this.exports.routeAction.value,
      rule,
      ruleNumber: isRouted ? (rule - rules) / RULE_BYTES : undefined,
      service: service === NONE ? undefined : service,
      set: set === NONE ? undefined : set,
      policy: this.exports.routePolicy.value,
      prefixBytes: this.exports.routeMatchedPrefixBytes.value,
    };
  }

  pathOf(head: number): string {
    return this.readText(
      this.view.getUint32(head + HEAD_PATH, true),
      this.view.getUint32(head + HEAD_PATH_BYTES, true),
    );
  }

  authorityOf(head: number): string {
    const length = this.view.getUint32(head + HEAD_AUTHORITY_BYTES, true);
    return this.readText(this.view.getUint32(head + HEAD_AUTHORITY, true), length);
  }

  statusOf(head: number): number {
    return this.view.getUint16(head + HEAD_STATUS, true);
  }

  /** Fields that were not removed. */
  fieldsOf(head: number): [string, string][] {
    const count = this.view.getUint32(head + HEAD_COUNT, true);
    const fields: [string, string][] = [];
    for (let index = 0; index < count; index += 1) {
      const at = head + HEAD_HEADER_BYTES + FIELD_BYTES * index;
      if ((this.view.getUint8(at + 2) & 1) !== 0) continue;
      const name = this.readText(this.view.getUint32(at + 8, true), this.view.getUint16(at + 4, true));
      fields.push([name, this.readText(this.view.getUint32(at + 12, true), this.view.getUint16(at + 6, true))]);
    }
    return fields;
  }

  readText(ptr: number, length: number): string {
    return new TextDecoder().decode(this.bytes.subarray(ptr, ptr + length));
  }

  #putText(head: number, at: number, lengthAt: number, text: string): number {
    const ptr = this.#takeText(head, text);
    this.view.setUint32(at, ptr, true);
    this.view.setUint32(lengthAt, new TextEncoder().encode(text).length, true);
    return ptr;
  }

  #takeText(head: number, text: string): number {
    const encoded = new TextEncoder().encode(text);
    const ptr = this.exports.takeText(head, encoded.length);
    this.bytes.set(encoded, ptr);
    return ptr;
  }
}

/** Builds and instantiates the routing part of the engine. */
export async function loadRouteEngine(): Promise<RouteEngine> {
  return new RouteEngine(await loadTestingModule<RouteExports>("route"));
}

/** Slots without a balancer: numbered through, given back slots are reused with a new generation. */
export class FakeSlots implements SlotSource {
  readonly released: number[] = [];
  readonly #generations: number[] = [];
  readonly #slotsMax: number;

  constructor(slotsMax = 16_384) {
    this.#slotsMax = slotsMax;
  }

  acquireSlot() {
    const slot = this.released.shift() ?? this.#generations.length;
    if (slot >= this.#slotsMax) return undefined;
    const generation = (this.#generations[slot] ?? 0) + 1;
    this.#generations[slot] = generation;
    return { slot, generation };
  }

  releaseSlot(slot: number) {
    this.released.push(slot);
  }
}

/** Documents as an operator writes them: services (with their instances by id) and routes, by name. */
export interface WrittenMesh {
  readonly mesh?: unknown;
  readonly services?: Readonly<Record<string, unknown>>;
  readonly instances?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly routes?: Readonly<Record<string, unknown>>;
}

/** Parses documents; what a tolerant reader would drop is dropped, anything refused is an error of the test. */
export function parseMesh({ mesh, services = {}, instances = {}, routes = {} }: WrittenMesh): Documents {
  const store = createDocumentStore({ mode: "tolerant", checkPattern: checkRegex });
  const changes: DocumentChange[] = [];
  if (mesh !== undefined) changes.push({ id: { kind: "mesh" }, value: mesh });
  for (const [name, value] of Object.entries(services)) changes.push({ id: { kind: "service", name }, value });
  for (const [service, list] of Object.entries(instances)) {
    for (const [name, value] of Object.entries(list)) changes.push({ id: { kind: "instance", service, name }, value });
  }
  for (const [name, value] of Object.entries(routes)) changes.push({ id: { kind: "route", name }, value });
  const { documents, rejected } = store.write(changes);
  if (rejected.length > 0) throw new Error(JSON.stringify(rejected, undefined, 1));
  return documents;
}

/** Parses and compiles in one go. */
export function compileMesh(
  mesh: WrittenMesh,
  options: Partial<SnapshotOptions> = {},
  allocation = new Allocation(new FakeSlots()),
): CompiledSnapshot {
  return compileSnapshot(parseMesh(mesh), { revision: 1, ...options }, allocation);
}
