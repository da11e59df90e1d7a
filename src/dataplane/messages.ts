// What the main thread and a worker say to each other: one closed union each way.
//
// Types only, so that both sides may import it. Nothing here is on a request's way: listeners, snapshots, the beat of
// the heart, batches of log entries.

import type { Address } from "../base/index.ts";
import type { CompiledTcp } from "../snapshot/index.ts";
import type { TcpEntry } from "../telemetry/index.ts";
import type { SharedDescriptors, WorkerModules } from "../wasm/index.ts";

/** What a worker thread is started with. */
export interface WorkerSetup {
  /** Its number, and its columns in the shared memory. */
  readonly worker: number;
  readonly seed: number;
  readonly modules: WorkerModules;
  readonly sockets: SocketsSetup;
  /** What redirected connections need; undefined: none come. */
  readonly intercept?: InterceptSetup | undefined;
  /** The memory for traffic; undefined: all that an engine has. */
  readonly poolBytes?: number | undefined;
}

/** `--intercept redirect` as a worker needs it. */
export interface InterceptSetup {
  /** `--opaque-ports`: what goes there is carried unread. */
  readonly opaquePorts: readonly number[];
  /** `--unknown`. */
  readonly unknown: "pass" | "deny";
  readonly app: Address | undefined;
  /** Ports of this process: a connection that was going to one of them would come back. */
  readonly ownPorts: readonly number[];
}

/** What moves the bytes of cleartext connections. */
export interface SocketsSetup {
  /** auto: epoll where this system and this Node can, else libuv. */
  readonly driver: "auto" | "epoll" | "libuv";
  /** Where this worker notes the descriptors that the main thread closes when the worker has ended. */
  readonly descriptors: SharedDescriptors;
}

/** A compiled snapshot on its way to a worker's engine, with where each instance slot is reached. */
export interface Program {
  readonly revision: number;
  /** Counts the programs that this process published; `applied` answers with it. */
  readonly sequence: number;
  readonly bytes: Uint8Array;
  /** endpoints.ts says how it is laid out. */
  readonly endpoints: Uint8Array;
  /** Services whose connections are carried unread. */
  readonly tcp: CompiledTcp;
}

/** A listening socket: its descriptor is this worker's own duplicate, closed by it. */
export interface ListenerOffer {
  /** LISTENER_*. */
  readonly kind: number;
  /** Number of the `--listen` flag; 0 for the other kinds. */
  readonly number: number;
  readonly descriptor: number;
  /** Whether the rules of interception lead here (src/interception). */
  readonly takesRedirected?: boolean;
}

export type ToWorker =
  | { readonly type: "listen"; readonly listeners: readonly ListenerOffer[] }
  | { readonly type: "program"; readonly program: Program }
  | { readonly type: "accessLog"; readonly isOn: boolean }
  /** The main thread has taken that many bytes of log entries. */
  | { readonly type: "logTaken"; readonly bytes: number }
  /** Nothing new over listeners of that kind; what is under way ends. */
  | { readonly type: "drainListener"; readonly kind: number }
  /** A share of the clients without a sidecar is asked to connect anew (Engine.shed). */
  | { readonly type: "shed"; readonly round: number; readonly share: number; readonly spreadMs: number }
  /** Nothing new at all; answered by `drained` when nothing is under way any more. */
  | { readonly type: "drain" }
  /** Resets every connection of TCP; answered by `tcpReset`. */
  | { readonly type: "resetTcp" }
  /** Closes the listening sockets of these kinds. */
  | { readonly type: "closeListeners"; readonly kinds: readonly number[] }
  /** Tests only: execute `unreachable`, or never return. */
  | { readonly type: "trap" }
  | { readonly type: "hang" };

/** What one engine has to tell besides the shared memory; cumulative since the worker's start where it counts. */
export interface WorkerReport {
  readonly exchanges: number;
  readonly connections: number;
  /** By role, then protocol: index role × 3 + protocol. */
  readonly connectionsBy: readonly number[];
  /** Connections that were asked to go elsewhere, by protocol. */
  readonly shed: readonly number[];
  /** By GLITCH_*. */
  readonly glitches: readonly number[];
  /** Open TCP connections by first metric cell: cell, count, cell, count … */
  readonly tcpOpen: readonly number[];
  /** Some of them, the latest first. */
  readonly tcpConnections: readonly TcpEntry[];
  readonly poolUsedBytes: number;
  readonly poolBytes: number;
  /** Log entries that were dropped because the main thread did not keep up, or a turn had too many. */
  readonly logDrops: number;
  /** accept(2) failures, and sockets refused because the engine's table was full. */
  readonly acceptFailures: number;
}

export type FromWorker =
  /** `problem`: why it is not the driver that was asked for. */
  | { readonly type: "started"; readonly driver: "epoll" | "libuv"; readonly problem?: string | undefined }
  /** Answers `listen` and `closeListeners`: so many listening sockets are open now. */
  | { readonly type: "listening"; readonly count: number }
  /** `problem` 0: in force; else the engine's code, and the former program stays. */
  | { readonly type: "applied"; readonly sequence: number; readonly problem: number }
  | { readonly type: "beat"; readonly report: WorkerReport }
  /** Log entries one after the other, each behind a word that says what it is (log-batch.ts). */
  | { readonly type: "logs"; readonly bytes: Uint8Array }
  | { readonly type: "acceptFailed"; readonly problem: string }
  /** Answers `resetTcp`. */
  | { readonly type: "tcpReset" }
  | { readonly type: "drained" };

/** Every half second: two seconds of silence are four missed beats (DESIGN §2). */
export const BEAT_MS = 500;
