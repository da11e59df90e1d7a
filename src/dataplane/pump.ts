// Moves bytes between sockets and the engine: one socket ↔ one engine connection.
//
//   readable ─► onread into the engine's read buffer ─► receive(handle, n, now)
//                                                          │ … one setImmediate per turn …
//   poll ─► records ─► write · connect · shutdown · close · pause · resume ─► sockets ─► written(handle, bytes)
//
// The common way of a request is one `receive` for each readable socket and one write for each writable one and turn.
// Whatever is learned while records are walked (bytes taken, a connect that failed at once) is told to the engine after
// the walk, because its records hold only until its next call. Nothing of HTTP is known here.
//
// A Wasm trap or any other exception is not caught: it ends the worker, and the supervisor starts another.

import { connect, type OnReadOpts, Socket } from "node:net";
import {
  RECORD_CLOSE,
  RECORD_CONNECT,
  RECORD_LOG,
  RECORD_PAUSE,
  RECORD_RESUME,
  RECORD_SHUTDOWN,
  RECORD_WRITE,
  SOCKET_TIMEOUT,
  SOCKET_UNREACHABLE,
} from "../../assembly/abi/engine-records.ts";
import { Bug, monotonicUs } from "../base/index.ts";
import { type Engine, RECORD_WORDS } from "../wasm/index.ts";
import { failureOf } from "./failure.ts";
import { type Leg, Legs } from "./leg.ts";
import type { Upstreams } from "./upstream.ts";

/** Rounds of poll and walk in one turn before sockets are served again; more is work that makes itself. */
const ROUNDS_MAX = 8;
/** A timer that fires this much early is left alone: re-arming costs more than one idle `advance`. */
const TIMER_SLACK_US = 1_000;
/** What `more` answers: there are further records; input waits for its turn. */
const MORE_NOW = 1;
const MORE_NEXT_TURN = 2;
const NOTHING = Buffer.alloc(0);

/** Where an accepted socket came from. */
export interface Origin {
  /** LISTENER_*. */
  readonly kind: number;
  /** Number of the `--listen` flag. */
  readonly number: number;
}

export interface PumpOptions {
  readonly engine: Engine;
  readonly upstreams: Upstreams;
  /** Takes a log entry; the bytes are the engine's and must be copied. */
  readonly log: (entry: Uint8Array) => void;
  /** Called at the end of every turn. */
  readonly turned: () => void;
}

export class Pump {
  readonly #engine: Engine;
  readonly #upstreams: Upstreams;
  readonly #log: (entry: Uint8Array) => void;
  readonly #turned: () => void;
  readonly #legs = new Legs();
  /** Legs written to in the walk under way. */
  readonly #touched: Leg[] = [];
  /** Legs whose connect failed within the walk under way. */
  readonly #stillborn: Leg[] = [];
  #isScheduled = false;
  /** Writes that the kernel has not taken yet. */
  #unflushed = 0;
  #timer: NodeJS.Timeout | undefined;
  /** When #timer fires; infinite without one. */
  #timerUs = Number.POSITIVE_INFINITY;

  constructor({ engine, upstreams, log, turned }: PumpOptions) {
    this.#engine = engine;
    this.#upstreams = upstreams;
    this.#log = log;
    this.#turned = turned;
  }

  /** Sockets, connecting ones too. */
  get socketCount(): number {
    return this.#legs.count;
  }

  /** Takes over an accepted, paused socket; false: the engine has no room, the socket was destroyed. */
  accept(accepted: Socket, origin: Origin): boolean {
    const engine = this.#engine;
    const peerBytes = engine.writeText(plainAddress(accepted.remoteAddress ?? ""));
    const handle = engine.accept(origin.kind, origin.number, peerBytes, monotonicUs());
    if (handle < 0) {
      accepted.destroy();
      return false;
    }
    const leg = this.#legs.create(handle, undefined);
    const wrapped = takeHandle(accepted);
    // Node wraps a handle that it is given; its types know descriptors only (DESIGN §8, "reading into Wasm memory").
    const options = { handle: wrapped, onread: this.#onread(leg), allowHalfOpen: true };
    this.#attach(leg, new Socket(options as object));
    this.schedule();
    return true;
  }

  /** Whether the kernel has taken everything that was written. */
  get isFlushed(): boolean {
    return this.#unflushed === 0;
  }

  /** Asks for a turn once the sockets that are readable now have been read. */
  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#isScheduled = false;
    const engine = this.#engine;
    const startUs = monotonicUs();
    const deadlineUs = engine.deadline();
    if (deadlineUs !== 0 && deadlineUs <= startUs) engine.advance(startUs);
    let hasMore = true;
    for (let round = 0; hasMore && round < ROUNDS_MAX; round += 1) {
      this.#walk(engine.poll(startUs));
      // What was learned may be worth another word: a flushed connection is closed, a waiting one goes on.
      const hasLearned = this.#settle();
      const more = engine.more();
      if (more === MORE_NEXT_TURN) this.schedule();
      hasMore = hasLearned || more === MORE_NOW;
    }
    if (hasMore) this.schedule();
    this.#arm();
    this.#turned();
  };

  /** Sees to it that `advance` is called when the engine asks for it. */
  #arm(): void {
    const deadlineUs = this.#engine.deadline();
    if (deadlineUs === 0 || deadlineUs >= this.#timerUs - TIMER_SLACK_US) return;
    const delayUs = deadlineUs - monotonicUs();
    if (delayUs <= 0) {
      this.schedule();
      return;
    }
    clearTimeout(this.#timer);
    this.#timerUs = deadlineUs;
    this.#timer = setTimeout(this.#wake, Math.ceil(delayUs / 1_000));
  }

  readonly #wake = (): void => {
    this.#timerUs = Number.POSITIVE_INFINITY;
    this.#timer = undefined;
    this.schedule();
  };

  /** Carries out records, in order. Calls nothing of the engine. */
  #walk(count: number): void {
    const records = this.#engine.records;
    const end = count * RECORD_WORDS;
    for (let at = 0; at < end; at += RECORD_WORDS) {
      const kind = records[at]!;
      if (kind === RECORD_LOG) {
        const from = records[at + 2]!;
        this.#log(this.#engine.bytes.subarray(from, from + records[at + 3]!));
        continue;
      }
      const handle = records[at + 1]!;
      if (kind === RECORD_CONNECT) {
        this.#connect(handle, records[at + 2]!, records[at + 3]!, records[at + 4]!);
        continue;
      }
      const leg = this.#legs.find(handle);
      const socket = leg?.socket;
      if (leg === undefined || socket === undefined) {
        // A name is still being looked up: nothing can have been written, so only a close makes sense.
        if (leg !== undefined && kind === RECORD_CLOSE) this.#legs.forget(leg);
        continue;
      }
      if (kind === RECORD_WRITE) at = this.#write(leg, socket, at, end);
      else this.#command(kind, leg, socket, records[at + 2]!);
    }
  }

  /** Writes this record and those of the same connection right behind it, as one writev; the last one's place. */
  #write(leg: Leg, socket: Socket, first: number, end: number): number {
    const { records, bytes } = this.#engine;
    if (leg.handed === 0) this.#touched.push(leg);
    let at = first;
    let next = first + RECORD_WORDS;
    const isAlone = next >= end || records[next] !== RECORD_WRITE || records[next + 1] !== leg.handle;
    if (!isAlone) socket.cork();
    for (;;) {
      const from = records[at + 2]!;
      const length = records[at + 3]!;
      leg.handed += length;
      socket.write(bytes.subarray(from, from + length));
      if (next >= end || records[next] !== RECORD_WRITE || records[next + 1] !== leg.handle) break;
      at = next;
      next += RECORD_WORDS;
    }
    if (!isAlone) socket.uncork();
    return at;
  }

  #command(kind: number, leg: Leg, socket: Socket, detail: number): void {
    switch (kind) {
      case RECORD_SHUTDOWN:
        socket.end();
        return;
      case RECORD_CLOSE:
        this.#legs.forget(leg);
        if (detail === 0) socket.destroySoon();
        else destroyNow(socket);
        return;
      case RECORD_PAUSE:
        socket.pause();
        return;
      case RECORD_RESUME:
        socket.resume();
        return;
      default:
        throw new Bug(`the engine left a record of the unknown kind ${kind}`);
    }
  }

  /** Tells the engine what the walk brought; whether there was anything. */
  #settle(): boolean {
    const touched = this.#touched;
    const stillborn = this.#stillborn;
    if (touched.length === 0 && stillborn.length === 0) return false;
    const atUs = monotonicUs();
    for (const leg of touched) {
      const bytes = leg.handed;
      leg.handed = 0;
      if (leg.isOver || leg.socket === undefined) continue;
      if (leg.socket.writableLength === 0) this.#engine.written(leg.handle, bytes, atUs);
      else this.#await(leg, leg.socket, bytes);
    }
    touched.length = 0;
    for (const leg of stillborn) this.#end(leg, leg.failure, atUs);
    stillborn.length = 0;
    return true;
  }

  /**
   * Reports bytes that the kernel has not taken yet once it has. An empty write behind them brings the callback: giving
   * one to every write would cost a tick for each, and only slow readers need it.
   */
  #await(leg: Leg, socket: Socket, bytes: number): void {
    this.#unflushed += 1;
    socket.write(NOTHING, (error) => {
      this.#unflushed -= 1;
      if (leg.isOver || (error !== null && error !== undefined)) return;
      this.#engine.written(leg.handle, bytes, monotonicUs());
      this.schedule();
    });
  }

  #connect(handle: number, slot: number, generation: number, timeoutMs: number): void {
    const leg = this.#legs.create(handle, undefined);
    const endpoint = this.#upstreams.endpointOf(slot, generation);
    if (endpoint === undefined) {
      leg.failure = SOCKET_UNREACHABLE;
      this.#stillborn.push(leg);
      return;
    }
    leg.timer = setTimeout(() => {
      this.#upstreams.failed(endpoint.host);
      this.#fail(leg, SOCKET_TIMEOUT);
    }, timeoutMs);
    this.#upstreams.resolve(endpoint.host, (address) => {
      if (leg.isOver) return;
      if (address === undefined) {
        // Never within the walk: an unknown name is always answered later.
        this.#fail(leg, SOCKET_UNREACHABLE);
        return;
      }
      const onread = this.#onread(leg);
      const options = { host: address, port: endpoint.port, noDelay: true, allowHalfOpen: true, onread };
      const socket = connect({ ...options, autoSelectFamily: false });
      let isOpen = false;
      socket.once("connect", () => {
        isOpen = true;
        if (leg.isOver) return;
        clearTimeout(leg.timer);
        this.#engine.connected(leg.handle, monotonicUs());
        this.schedule();
      });
      socket.once("error", () => {
        if (!isOpen) this.#upstreams.failed(endpoint.host);
      });
      this.#attach(leg, socket);
    });
  }

  #onread(leg: Leg): OnReadOpts {
    const callback = (length: number): boolean => {
      if (leg.isOver) return true;
      this.#engine.receive(leg.handle, length, monotonicUs());
      this.schedule();
      return true;
    };
    return { buffer: this.#engine.readBuffer, callback };
  }

  #attach(leg: Leg, socket: Socket): void {
    leg.socket = socket;
    socket.on("end", () => {
      if (leg.isOver) return;
      this.#engine.ended(leg.handle, monotonicUs());
      this.schedule();
    });
    socket.on("error", (error) => {
      leg.failure = failureOf(error);
    });
    socket.on("close", () => {
      if (!leg.isOver) this.#end(leg, leg.failure, monotonicUs());
    });
  }

  /** Gives a socket up from our side. */
  #fail(leg: Leg, failure: number): void {
    if (leg.isOver) return;
    leg.socket?.destroy();
    this.#end(leg, failure, monotonicUs());
  }

  /** Tells the engine that a socket is gone. */
  #end(leg: Leg, failure: number, atUs: number): void {
    this.#legs.forget(leg);
    this.#engine.closed(leg.handle, failure, atUs);
    this.schedule();
  }
}

/** Takes the libuv handle out of a paused socket, which is good for nothing afterwards. */
function takeHandle(socket: Socket): unknown {
  const holder = socket as unknown as { _handle: unknown };
  const handle = holder._handle;
  holder._handle = null;
  return handle;
}

/** Closes with a reset, so that the peer cannot take what it got for complete. */
function destroyNow(socket: Socket): void {
  if (socket.connecting || socket.destroyed) socket.destroy();
  else socket.resetAndDestroy();
}

/** IPv4 in IPv6's clothes (RFC 4291 §2.5.5.2) is IPv4. */
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
}
