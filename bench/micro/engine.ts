// The product's engine without sockets: release module, real balancer, real snapshots, and a clock around every call.
//
// What a pump does in TypeScript (walking records, handing bytes on) is done here too, but outside of the clock: the
// figure is what WebAssembly costs, and calls say how often it was entered.

import { deserialize, serialize } from "node:v8";
import { TEXT_AREA } from "../../assembly/abi/engine-memory.ts";
import { LISTENER_OUTBOUND, RECORD_CONNECT, RECORD_WRITE } from "../../assembly/abi/engine-records.ts";
import type { Documents } from "../../src/config/index.ts";
import { encodeEndpoints } from "../../src/dataplane/endpoints.ts";
import { Upstreams } from "../../src/dataplane/upstream.ts";
import {
  Allocation,
  type CompiledSnapshot,
  compileSnapshot,
  planPublication,
  publishStep,
  settleSnapshot,
} from "../../src/snapshot/index.ts";
import {
  Balancer,
  type Engine,
  instantiateBalancer,
  instantiateEngine,
  loadModule,
  RECORD_WORDS,
} from "../../src/wasm/index.ts";

/** Calls of one export: how often, how long in all and at most. */
export interface CallTimes {
  count: number;
  sumUs: number;
  mostUs: number;
}

const PEER = Buffer.from("127.0.0.1");

export class BenchEngine {
  readonly balancer: Balancer;
  readonly calls = new Map<string, CallTimes>();
  /** Called with what the engine wrote to a connection in one walk. */
  onBytes: (handle: number, bytes: Buffer) => void = () => {};
  readonly #engine: Engine;
  readonly #allocation: Allocation;
  #inForce: CompiledSnapshot | undefined;
  /** The worker's book of addresses; nothing is looked up here. */
  readonly #upstreams = new Upstreams(
    () => {},
    () => 0,
  );
  #nowUs = 1_000_000;

  constructor() {
    const module = loadModule("balancer");
    this.balancer = new Balancer(module);
    const exports = instantiateBalancer(module, this.balancer.memory);
    exports.start(0, 7);
    this.#engine = instantiateEngine(loadModule("engine"), exports);
    this.#engine.start(0, 42, this.#nowUs);
    this.#allocation = new Allocation(this.balancer);
  }

  /** Runs something under the name of an export. */
  time<T>(name: string, call: () => T): T {
    const startMs = performance.now();
    const result = call();
    const tookUs = (performance.now() - startMs) * 1_000;
    const times = this.calls.get(name) ?? { count: 0, sumUs: 0, mostUs: 0 };
    this.calls.set(name, times);
    times.count += 1;
    times.sumUs += tookUs;
    times.mostUs = Math.max(times.mostUs, tookUs);
    return result;
  }

  /** Puts a mesh in force in the order of a publication; every call is timed. */
  load(documents: Documents, revision: number): void {
    const next = this.time("compile (main thread)", () => compileSnapshot(documents, { revision }, this.#allocation));
    const plan = this.time("plan (main thread)", () => planPublication(this.#inForce, next));
    const publish = (steps: typeof plan.before) => {
      for (const step of steps) this.time(`publish ${step.kind} (main thread)`, () => publishStep(this.balancer, step));
    };
    publish(plan.before);
    this.#activate(next);
    publish(plan.after);
    this.#inForce = this.time("settle (main thread)", () => settleSnapshot(next));
    if (this.#inForce !== next) this.#activate(this.#inForce);
    this.#allocation.releaseSlots();
    this.turn();
  }

  /** What the main thread's message does on a worker, taking the message apart included. */
  #activate({ revision, bytes, instances }: CompiledSnapshot): void {
    const engine = this.#engine;
    const message = this.time("write the message (main thread)", () => {
      const addresses = instances.map(({ slot, generation, address }) => ({ slot, generation, ...address }));
      return serialize({ revision, bytes, endpoints: encodeEndpoints(addresses) });
    });
    const program = this.time("read the message", () => deserialize(message) as { readonly endpoints: Uint8Array });
    this.time("copy the program", () => engine.bytes.set(bytes, engine.snapshotArea()));
    const code = this.time("loadSnapshot", () => engine.loadSnapshot(bytes.length, this.#nowUs));
    if (code !== 0) throw new Error(`the engine refused the snapshot: ${code}`);
    this.time("replace the endpoints", () => this.#upstreams.replace(program.endpoints));
  }

  /** A client connects; its handle. */
  accept(): number {
    const engine = this.#engine;
    engine.bytes.set(PEER, TEXT_AREA);
    const handle = engine.accept(LISTENER_OUTBOUND, 0, PEER.length, this.#nowUs);
    if (handle < 0) throw new Error("the engine has no room for a connection");
    return handle;
  }

  /** Gives the engine bytes of a socket. */
  receive(handle: number, bytes: Buffer): void {
    const engine = this.#engine;
    engine.readBuffer.set(bytes);
    this.time("receive", () => engine.receive(handle, bytes.length, this.#nowUs));
  }

  /** One turn of the pump; sockets take everything, connects succeed at once. */
  turn(): void {
    const engine = this.#engine;
    this.#nowUs += 100;
    const deadline = engine.deadline();
    if (deadline !== 0 && deadline <= this.#nowUs) this.time("advance", () => engine.advance(this.#nowUs));
    let hasMore = true;
    while (hasMore) {
      const written = new Map<number, Buffer[]>();
      const connects: number[] = [];
      const count = this.time("poll", () => engine.poll(this.#nowUs));
      for (let at = 0; at < count * RECORD_WORDS; at += RECORD_WORDS) {
        const [kind, handle = 0, from = 0, length = 0] = engine.records.subarray(at, at + 4);
        if (kind === RECORD_CONNECT) connects.push(handle);
        if (kind !== RECORD_WRITE) continue;
        const pieces = written.get(handle) ?? [];
        written.set(handle, pieces);
        pieces.push(Buffer.from(engine.bytes.subarray(from, from + length)));
      }
      for (const handle of connects) this.time("connected", () => engine.connected(handle, this.#nowUs));
      for (const [handle, pieces] of written) {
        const bytes = Buffer.concat(pieces);
        this.time("written", () => engine.written(handle, bytes.length, this.#nowUs));
        this.onBytes(handle, bytes);
      }
      hasMore = written.size + connects.length > 0 || engine.more() !== 0;
    }
  }

  /** µs of all calls since the last time it was asked. */
  takeUs(): number {
    const sum = [...this.calls.values()].reduce((all, { sumUs }) => all + sumUs, 0);
    this.calls.clear();
    return sum;
  }
}
