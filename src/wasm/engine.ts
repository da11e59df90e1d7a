// The engine as TypeScript calls it: engine.wasm's exports with types, and its memory's views.
//
// Nothing is wrapped that is called for every read: `receive` and its like are the Wasm exports themselves. All times
// are microseconds of one monotonic clock. Three rules bind the caller (the pump keeps them):
//
// 1. Records hold until the next call of any export, so no export is called while they are walked.
// 2. A RECORD_WRITE's bytes belong to the socket until `written` says that it took them.
// 3. After `closed`, or a RECORD_CLOSE, a handle is forgotten and never spoken of again.

import {
  CONNECTION_BYTES,
  CONNECTION_READS_NARROW,
  CONNECTIONS,
  SNAPSHOT_BYTES_MAX,
} from "../../assembly/abi/engine-memory.ts";
import { messageOf, pillionError } from "../base/index.ts";
import type { BalancerExports } from "./balancer.ts";
import { createEngineMemory, createEngineViews, type EngineViews } from "./memory.ts";

/** Words of one record: kind, connection, then a to f. */
export const RECORD_WORDS = 8;

/** What engine.wasm exports, and nothing else (assembly/engine/index.ts). */
export interface EngineExports {
  start(worker: number, seed: number, nowUs: number): void;
  snapshotArea(): number;
  /** 0: in force; else the code of what is wrong with it, and the former one stays. */
  loadSnapshot(length: number, nowUs: number): number;
  /** A socket was accepted; the peer's address lies in the text area. A handle, or -1: full, destroy the socket. */
  accept(listenerKind: number, listenerService: number, peerBytes: number, nowUs: number): number;
  /** Whether a route or a service claims the authority in the text area: 1 or 0. */
  knowsHost(length: number): number;
  /** `length` bytes lie in the read buffer; all are consumed on return. */
  receive(handle: number, length: number, nowUs: number): void;
  /** The peer's FIN. */
  ended(handle: number, nowUs: number): void;
  /** Reading is paused, and there is a FIN behind what was not read. */
  left(handle: number, nowUs: number): void;
  /** The socket is gone, or never came to be: SOCKET_*. */
  closed(handle: number, failure: number, nowUs: number): void;
  /** The upstream socket that a RECORD_CONNECT asked for is open. */
  connected(handle: number, nowUs: number): void;
  /** The kernel took that many bytes of RECORD_WRITEs. */
  written(handle: number, bytes: number, nowUs: number): void;
  /** Number of records. */
  poll(nowUs: number): number;
  /** After `poll`: 0 when it has said everything, 1 when it is to be called again, 2 when in the next turn. */
  more(): number;
  /** Runs what is due. */
  advance(nowUs: number): void;
  /** When `advance` is needed next; 0 = never. */
  deadline(): number;
  /** No new work on any connection; what is under way ends. */
  drain(nowUs: number): void;
  drainDownstream(listenerKind: number, nowUs: number): void;
  /** Asks a share of the clients without a sidecar to connect anew, of those there were when the round began. */
  shed(round: number, share: number, spreadMs: number, nowUs: number): void;
  /** Connections of a protocol that were asked so, since the start. */
  shedCount(protocol: number): number;
  exchangeCount(): number;
  /** Clients that have yet to take bytes of ours, apart from those that were cut off. */
  unservedCount(): number;
  connectionCount(): number;
  connectionsBy(role: number, protocol: number): number;
  glitchCount(kind: number): number;
  poolUsed(): number;
  limitPool(bytes: number): void;
  poolSize(): number;
  /** Log entries that found no room in the block of their turn, since the start. */
  logDropped(): number;
  setAccessLog(on: number): void;
  /** Executes `unreachable`: for tests of the supervisor. */
  trap(): void;
}

/** The exports, the views, and the calls that need both. */
export interface Engine extends EngineViews, EngineExports {
  /** Puts a compiled snapshot in force; 0 or the engine's code of what is wrong with it. */
  loadProgram(program: Uint8Array, nowUs: number): number;
  /** Writes ASCII text into the text area; its length in bytes. */
  writeText(text: string): number;
  /** Whether no more than H1_NARROW_READ_BYTES are to be read of the upstream connection with that index. */
  readsNarrow(index: number): boolean;
}

/** Joins exports and views; tests join a twin written in TypeScript the same way. */
export function createEngine(exports: EngineExports, views: EngineViews): Engine {
  return {
    ...exports,
    ...views,
    loadProgram(program, nowUs) {
      if (program.length > SNAPSHOT_BYTES_MAX) {
        throw pillionError("PILLION_CONFIG_INVALID", {
          problem: `the mesh compiles to ${program.length} bytes; an engine holds ${SNAPSHOT_BYTES_MAX}`,
        });
      }
      views.bytes.set(program, exports.snapshotArea());
      return exports.loadSnapshot(program.length, nowUs);
    },
    writeText(text) {
      const length = Math.min(text.length, views.text.length);
      for (let at = 0; at < length; at += 1) views.text[at] = text.charCodeAt(at);
      return length;
    },
    readsNarrow(index) {
      return views.bytes[CONNECTIONS + index * CONNECTION_BYTES + CONNECTION_READS_NARROW] === 1;
    },
  };
}

/** Instantiates engine.wasm over fresh memory, on this thread's balancer. */
export function instantiateEngine(module: WebAssembly.Module, balancer: BalancerExports): Engine {
  const memory = createEngineMemory();
  const imports = { env: { memory, abort: refuseAssertion }, balancer: balancer as unknown as WebAssembly.Exports };
  let instance: WebAssembly.Instance;
  try {
    instance = new WebAssembly.Instance(module, imports);
  } catch (error) {
    throw pillionError("PILLION_WASM", { module: "engine.wasm", problem: messageOf(error) }, error);
  }
  return createEngine(instance.exports as unknown as EngineExports, createEngineViews(memory.buffer as ArrayBuffer));
}

/** Where an engine's record starts in `records`. */
export function recordAt(index: number): number {
  return index * RECORD_WORDS;
}

/** Debug builds report a failed assertion by this import; release builds trap. */
function refuseAssertion(_message: number, _file: number, line: number, column: number): never {
  throw new Error(`assertion failed in engine.wasm at ${line}:${column}`);
}
