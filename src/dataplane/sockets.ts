// The seam between the pump and what moves bytes: one small interface, two drivers.
//
//   pump ── write · connect · shutdown · close · pause · resume ──► driver ──► sockets
//        ◄── accept · connected · closed · turn ──                   │
//   engine ◄── receive · ended · written ────────────────────────────┘
//
// libuv/ stands on Node's sockets and works everywhere; epoll/ calls the kernel itself, which costs about half as much.
// Both keep these promises, and test/src/dataplane runs the same tests over both:
//
// - Bytes are read into the engine's read buffer and told at once, in order; nothing is read while a socket is paused.
//   epoll tells of a paused client's reset (`closed`) and FIN (`left`) all the same; libuv does when it reads again.
// - Nothing of the engine is called while records are walked: what a write brought is told by `settle`.
// - A handle that was closed, by either side, is never spoken of again. What it had open is closed.
// - A FIN is told by `ended` and leaves our side open; when both sides have ended the socket is closed, told by
//   `closed`.

import type { Socket } from "node:net";
import type { Engine } from "../wasm/index.ts";
import type { ListenerOffer } from "./messages.ts";

/** Where an accepted socket came from. */
export interface Origin {
  /** LISTENER_*. */
  readonly kind: number;
  /** Number of the `--listen` flag. */
  readonly number: number;
}

/** Takes an accepted socket before the engine does; false: it is the engine's, and was not touched. */
export type Divert = (take: () => Socket) => boolean;

/** What became of an accept. */
export interface AcceptFailure {
  readonly kind: "accept" | "full";
  readonly problem: string;
}

export interface Listener {
  readonly kind: number;
  /** Closes this worker's duplicate. */
  stop(): void;
}

/** What a driver tells the pump. */
export interface SocketHost {
  /** Announces an accepted socket; its handle, or -1: the engine has no room, close it. */
  accept(peer: string, origin: Origin, atUs: number): number;
  /** The socket that `connect` was asked for is open. */
  connected(handle: number, atUs: number): void;
  /** The socket is gone by itself; `failure` is SOCKET_*. */
  closed(handle: number, failure: number, atUs: number): void;
  /** Everything that was readable has been read: carry out what the engine wants. */
  turn(atUs: number): void;
}

export interface SocketDriver {
  readonly name: SocketDriverName;
  /** Sockets, connecting ones too. */
  readonly count: number;
  /**
   * Accepts from a descriptor, which is the driver's from now on; resolves when it listens. `divert` is asked of each
   * socket first; what it takes is a paused socket of Node, and none of the driver's.
   */
  listen(offer: ListenerOffer, failed: (failure: AcceptFailure) => void, divert?: Divert): Promise<Listener>;
  /** Takes over an accepted socket of Node's, which is over for Node; its handle, or -1: no room, it was closed. */
  adopt(socket: Socket, origin: Origin): number;
  /** Begins to connect; a SOCKET_* when that failed at once, and then nothing is told of the handle. */
  connect(handle: number, address: string, port: number): number | undefined;
  /** Carries out the RECORD_WRITE at `first` and those of the same connection right behind it; the last one's place. */
  write(first: number, end: number): number;
  /** FIN, once everything before it is written. */
  shutdown(handle: number): void;
  /** Closes now; with a reset, so that the peer cannot take what it got for complete. */
  close(handle: number, isReset: boolean): void;
  pause(handle: number): void;
  resume(handle: number): void;
  /** Tells the engine what the walk brought; whether there was anything. */
  settle(): boolean;
  /** Asks for a turn once the sockets that are readable now have been read. */
  schedule(): void;
  /** Asks for a turn at that time (0: none is needed). */
  arm(deadlineUs: number): void;
  /** Closes every socket and serves no more. */
  stop(): void;
}

export type SocketDriverName = "libuv" | "epoll";

/** How a driver comes to be: over an engine, for a pump. */
export type CreateDriver = (engine: Engine, host: SocketHost) => SocketDriver;

/** A handle is generation << 16 | index (assembly/engine/tables/connections.ts). */
export const HANDLE_INDEX_MASK = 0xffff;
