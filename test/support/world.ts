// A world for the engine: virtual sockets, virtual time, the real balancer and real snapshots. No I/O, no waiting.
//
// The engine is driven through its exports exactly as the pump does it, so what passes here passes there. A `Wire` is
// one end of a socket, held by the test: it writes bytes to the engine and reads what the engine wrote. Upstream wires
// come into being when the engine connects; `world.onConnect` decides what becomes of a connect.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  CONNECTION_BYTES,
  CONNECTION_READS_NARROW,
  CONNECTIONS,
  READ_BUFFER,
  RECORDS,
  SCRATCH_HEAD,
  TEXT_AREA,
  WHEEL,
} from "../../assembly/abi/engine-memory.ts";
import {
  LISTENER_OUTBOUND,
  RECORD_CLOSE,
  RECORD_CONNECT,
  RECORD_LOG,
  RECORD_PAUSE,
  RECORD_RESUME,
  RECORD_SHUTDOWN,
  RECORD_WRITE,
} from "../../assembly/abi/engine-records.ts";
import { H1_NARROW_READ_BYTES, READ_BUFFER_BYTES } from "../../assembly/abi/limits.ts";
import { parseMeshFile } from "../../src/config/index.ts";
import {
  Allocation,
  type CompiledSnapshot,
  compileSnapshot,
  planPublication,
  publishStep,
  type SnapshotOptions,
  settleSnapshot,
} from "../../src/snapshot/index.ts";
import { Balancer, type BalancerExports, createBalancerMemory, instantiateBalancer } from "../../src/wasm/index.ts";
import { projectRoot } from "./source.ts";
import { compileTestingModule, instantiateTestingModule, type TestingModule } from "./wasm.ts";

interface EngineExports {
  start(worker: number, seed: number, nowUs: number): void;
  snapshotArea(): number;
  loadSnapshot(length: number, nowUs: number): number;
  accept(kind: number, service: number, peerBytes: number, nowUs: number): number;
  receive(handle: number, length: number, nowUs: number): void;
  ended(handle: number, nowUs: number): void;
  closed(handle: number, failure: number, nowUs: number): void;
  connected(handle: number, nowUs: number): void;
  written(handle: number, bytes: number, nowUs: number): void;
  poll(nowUs: number): number;
  more(): number;
  advance(nowUs: number): void;
  deadline(): number;
  drain(nowUs: number): void;
  shed(round: number, share: number, spreadMs: number, nowUs: number): void;
  shedCount(protocol: number): number;
  setAccessLog(on: number): void;
  logDropped(): number;
  glitchCount(kind: number): number;
  exchangeCount(): number;
  connectionCount(): number;
  streamCount(): number;
  poolUsed(): number;
  poolSize(): number;
  limitPool(bytes: number): void;
  hoardTables(connectionsLeft: number, streamsLeft: number, exchangesLeft: number): number;
  hoardPool(pagesLeft: number): void;
  unhoardPool(): void;
}

/** What the debug build fills released memory with; engine/core/pool.ts. */
export const POISON = 0xdb;

/** What a wire's far side does with bytes: nothing, unless the test says so. */
export class Wire {
  readonly handle: number;
  readonly #world: World;
  readonly slot: number | undefined;
  /** Bytes that the engine wrote and that were not read yet. */
  #inbox: Buffer[] = [];
  isPaused = false;
  /** The engine sent its FIN. */
  isEnded = false;
  /** The engine closed the socket: "end" after a flush, "reset" at once. */
  closedBy: "end" | "reset" | undefined;
  /** While true the kernel takes nothing: writes stay in flight. */
  isStalled = false;
  inFlight = 0;
  /** Bytes of one piece may arrive changed: the canary of what watches them. */
  corrupt: ((bytes: Buffer) => Buffer) | undefined;
  /** Called with every piece that the engine writes. */
  onBytes: ((bytes: Buffer) => void) | undefined;

  constructor(world: World, handle: number, slot?: number) {
    this.#world = world;
    this.handle = handle;
    this.slot = slot;
  }

  /** Sends bytes to the engine, in reads of at most its buffer, and runs the turn. */
  send(bytes: Uint8Array | string): this {
    const all = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : Buffer.from(bytes);
    for (let at = 0; at < all.length; ) {
      const part = all.subarray(at, at + this.#world.readBytesOf(this));
      this.#world.receive(this, part);
      at += part.length;
    }
    this.#world.turn();
    return this;
  }

  /** Sends a FIN. */
  end(): void {
    this.#world.engine.ended(this.handle, this.#world.nowUs);
    this.#world.turn();
  }

  /** The socket is gone. */
  destroy(failure = 0): void {
    this.#world.wires.delete(this.handle);
    this.closedBy = "reset";
    if (!this.#world.isDeaf) this.#world.engine.closed(this.handle, failure, this.#world.nowUs);
    this.#world.turn();
  }

  /** Completes a connect. */
  connect(): this {
    this.#world.engine.connected(this.handle, this.#world.nowUs);
    this.#world.turn();
    return this;
  }

  /** Takes the writes that were held back. */
  resume(): void {
    this.isStalled = false;
    this.#world.takeWrites(this);
    this.#world.turn();
  }

  /** Everything that the engine wrote since the last read. */
  read(): Buffer {
    const bytes = Buffer.concat(this.#inbox);
    this.#inbox = [];
    return bytes;
  }

  text(): string {
    return this.read().toString("latin1");
  }

  /** Whether the engine wrote anything to it: else it was opened for nobody yet. */
  isAsked = false;

  deliver(sent: Buffer): void {
    this.isAsked = true;
    const bytes = this.corrupt?.(sent) ?? sent;
    this.#inbox.push(bytes);
    this.onBytes?.(bytes);
  }
}

/** The engine has no room for another socket: the pump destroys it. */
export class TableFull extends Error {
  constructor() {
    super("the connection table is full");
  }
}

export class World {
  readonly engine: EngineExports;
  readonly balancer: Balancer;
  readonly wires = new Map<number, Wire>();
  /** Upstream wires in the order in which they were opened. */
  readonly upstreams: Wire[] = [];
  /** Those of them that were sent something: others are visits (proxy/visits.ts). */
  get asked(): Wire[] {
    return this.upstreams.filter(({ isAsked }) => isAsked);
  }

  /** What becomes of a connect: connected at once by default. Names are `service/id`. */
  onConnect: (wire: Wire, name: string) => void = (wire) => this.#later(() => wire.connect());
  logs: Buffer[] = [];
  /** Fills the read buffer and the scratch areas after each read: whoever reads them later than promised shows. */
  poisons = false;
  /** Keeps quiet about sockets that break: for canaries. */
  isDeaf = false;
  nowUs = 1_000_000;
  readonly #module: TestingModule<EngineExports>;
  readonly #allocation: Allocation;
  #snapshot: CompiledSnapshot | undefined;
  #deferred: (() => void)[] = [];
  #isTurning = false;

  constructor(module: TestingModule<EngineExports>, balancer: Balancer) {
    this.#module = module;
    this.engine = module.exports;
    this.balancer = balancer;
    this.#allocation = new Allocation(balancer);
  }

  /** All of the engine's memory. */
  get memory(): Uint8Array<ArrayBuffer> {
    return this.#module.bytes;
  }

  /** Puts a mesh document in force, in the order of a publication. */
  load(yaml: string, options: Partial<SnapshotOptions> = {}): this {
    const parsed = parseMeshFile(yaml, { fileName: "mesh.yaml" });
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues));
    const next = compileSnapshot(parsed.documents, { revision: 1, ...options }, this.#allocation);
    const plan = planPublication(this.#snapshot, next);
    for (const step of plan.before) publishStep(this.balancer, step);
    this.#activate(next);
    for (const step of plan.after) publishStep(this.balancer, step);
    this.#snapshot = settleSnapshot(next);
    if (this.#snapshot !== next) this.#activate(this.#snapshot);
    this.turn();
    return this;
  }

  #activate({ bytes }: CompiledSnapshot): void {
    this.#module.bytes.set(bytes, this.engine.snapshotArea());
    const code = this.engine.loadSnapshot(bytes.length, this.nowUs);
    if (code !== 0) throw new Error(`snapshot refused: ${code}`);
  }

  /** What the snapshot in force says of instances and services. */
  get snapshot(): CompiledSnapshot {
    if (this.#snapshot === undefined) throw new Error("nothing was loaded yet");
    return this.#snapshot;
  }

  /** What one read of a socket takes at most. */
  readBytesOf({ handle, slot }: Wire): number {
    const record = CONNECTIONS + (handle & 0xffff) * CONNECTION_BYTES;
    const isNarrow = slot !== undefined && this.memory[record + CONNECTION_READS_NARROW] === 1;
    return isNarrow ? H1_NARROW_READ_BYTES : READ_BUFFER_BYTES;
  }

  /** `service/id` of a slot. */
  nameOf(slot: number): string {
    const instance = this.#snapshot?.instances.find((one) => one.slot === slot);
    const service = this.#snapshot?.services.find((one) => one.index === instance?.service);
    return `${service?.name}/${instance?.id}`;
  }

  /** A client connects. */
  accept(kind = LISTENER_OUTBOUND, service = 0): Wire {
    const peer = Buffer.from("10.0.0.9");
    this.#module.bytes.set(peer, TEXT_AREA);
    const handle = this.engine.accept(kind, service, peer.length, this.nowUs);
    if (handle < 0) throw new TableFull();
    const wire = new Wire(this, handle);
    this.wires.set(handle, wire);
    return wire;
  }

  receive(wire: Wire, bytes: Buffer): void {
    const memory = this.#module.bytes;
    memory.set(bytes, READ_BUFFER);
    this.engine.receive(wire.handle, bytes.length, this.nowUs);
    if (!this.poisons) return;
    memory.fill(POISON, READ_BUFFER, READ_BUFFER + bytes.length);
    memory.fill(POISON, SCRATCH_HEAD, WHEEL);
  }

  /** Lets time pass, timer by timer. */
  pass(ms: number): void {
    const endUs = this.nowUs + ms * 1000;
    for (;;) {
      const next = this.engine.deadline();
      if (next === 0 || next > endUs) break;
      this.nowUs = Math.max(this.nowUs, next);
      this.engine.advance(this.nowUs);
      this.turn();
    }
    this.nowUs = endUs;
    this.engine.advance(endUs);
    this.turn();
  }

  /** Polls as the pump does: until the walk brought nothing and the engine says that it has said everything. */
  turn(): void {
    if (this.#isTurning) return;
    this.#isTurning = true;
    for (let rounds = 0; ; rounds += 1) {
      if (rounds > 10_000) throw new Error("the engine never comes to rest");
      this.#walk(this.engine.poll(this.nowUs));
      const deferred = this.#deferred;
      this.#deferred = [];
      for (const action of deferred) action();
      if (deferred.length === 0 && this.engine.more() === 0) break;
    }
    this.#isTurning = false;
  }

  takeWrites(wire: Wire): void {
    if (wire.inFlight === 0 || wire.isStalled) return;
    const bytes = wire.inFlight;
    wire.inFlight = 0;
    this.engine.written(wire.handle, bytes, this.nowUs);
  }

  /** The kernel takes some of what it was given, and holds back the rest. */
  takeSome(wire: Wire, most: number): void {
    const bytes = Math.min(wire.inFlight, most);
    if (bytes === 0) return;
    wire.inFlight -= bytes;
    this.engine.written(wire.handle, bytes, this.nowUs);
  }

  #walk(count: number): void {
    const { view, bytes } = this.#module;
    for (let index = 0; index < count; index += 1) {
      const at = RECORDS + index * 32;
      const kind = view.getUint32(at, true);
      const a = view.getUint32(at + 8, true);
      const b = view.getUint32(at + 12, true);
      if (kind === RECORD_LOG) {
        this.logs.push(Buffer.from(bytes.subarray(a, a + b)));
        continue;
      }
      const handle = view.getUint32(at + 4, true);
      if (kind === RECORD_CONNECT) {
        const wire = new Wire(this, handle, a);
        this.wires.set(handle, wire);
        this.upstreams.push(wire);
        this.onConnect(wire, this.nameOf(a));
        continue;
      }
      const wire = this.wires.get(handle);
      if (wire === undefined) throw new Error(`record ${kind} for a socket that is gone`);
      this.#carryOut(kind, wire, a, b);
    }
  }

  #carryOut(kind: number, wire: Wire, a: number, b: number): void {
    switch (kind) {
      case RECORD_WRITE:
        wire.deliver(Buffer.from(this.#module.bytes.subarray(a, a + b)));
        wire.inFlight += b;
        this.#later(() => this.takeWrites(wire));
        return;
      case RECORD_SHUTDOWN:
        wire.isEnded = true;
        return;
      case RECORD_CLOSE:
        wire.closedBy = a === 1 ? "reset" : "end";
        this.wires.delete(wire.handle);
        return;
      case RECORD_PAUSE:
      case RECORD_RESUME:
        wire.isPaused = kind === RECORD_PAUSE;
        return;
      default:
        throw new Error(`unknown record ${kind}`);
    }
  }

  /** After the walk: no export may be called while records are read. */
  #later(action: () => void): void {
    this.#deferred.push(action);
  }
}

/** Makes worlds of modules that are built and compiled once. */
export type WorldMaker = (yaml: string, options?: Partial<SnapshotOptions>) => World;

/** `engine` is another than the one that the sources make: with a planted bug. */
export async function prepareWorlds(engine?: WebAssembly.Module): Promise<WorldMaker> {
  const wasm = await WebAssembly.compile(readFileSync(join(projectRoot, "build/wasm/balancer.wasm")));
  return worldsOf(wasm, engine ?? (await compileTestingModule("engine")));
}

function worldsOf(wasm: WebAssembly.Module, engine: WebAssembly.Module): WorldMaker {
  return (yaml, options = {}) => {
    let nowUs = () => 0;
    const balancer = new Balancer(wasm, createBalancerMemory(), () => nowUs());
    const exports: BalancerExports = instantiateBalancer(wasm, balancer.memory);
    exports.start(1, 7);
    const imports = { balancer: exports as unknown as WebAssembly.Exports };
    const module = instantiateTestingModule<EngineExports>(engine, imports);
    const world = new World(module, balancer);
    nowUs = () => world.nowUs;
    module.exports.start(1, 42, world.nowUs);
    return world.load(yaml, options);
  };
}

/** A world with an engine that has just started; `options.app` makes it an inbound one too. */
export async function createWorld(yaml: string, options: Partial<SnapshotOptions> = {}): Promise<World> {
  const make = await prepareWorlds();
  return make(yaml, options);
}
