// Sockets of Node: `onread` into the engine's memory, writes of views on it, one setImmediate for each turn.
//
// It needs nothing but Node, and is what TLS stands on.

import { connect, type OnReadOpts, Socket } from "node:net";
import { RECORD_WRITE } from "../../../assembly/abi/engine-records.ts";
import { H1_NARROW_READ_BYTES } from "../../../assembly/abi/limits.ts";
import { monotonicUs } from "../../base/index.ts";
import { type Engine, RECORD_WORDS } from "../../wasm/index.ts";
import { failureOf } from "../failure.ts";
import { Legs } from "../legs.ts";
import type { ListenerOffer } from "../messages.ts";
import type { AcceptFailure, Divert, Listener, Origin, SocketDriver, SocketHost } from "../sockets.ts";
import { createLeg, type Leg } from "./leg.ts";
import { startListener } from "./listener.ts";

/** A timer that fires this much early is left alone: re-arming costs more than one idle `advance`. */
const TIMER_SLACK_US = 1_000;
const NOTHING = Buffer.alloc(0);

export class LibuvDriver implements SocketDriver {
  readonly name = "libuv";
  readonly #engine: Engine;
  readonly #host: SocketHost;
  readonly #legs = new Legs<Leg>();
  /** Legs written to in the walk under way. */
  readonly #touched: Leg[] = [];
  #isScheduled = false;
  #timer: NodeJS.Timeout | undefined;
  /** When #timer fires; infinite without one. */
  #timerUs = Number.POSITIVE_INFINITY;

  constructor(engine: Engine, host: SocketHost) {
    this.#engine = engine;
    this.#host = host;
  }

  get count(): number {
    return this.#legs.count;
  }

  listen(offer: ListenerOffer, failed: (failure: AcceptFailure) => void, divert?: Divert): Promise<Listener> {
    const origin: Origin = { kind: offer.kind, number: offer.number };
    const take = (socket: Socket) => divert?.(() => socket) === true || this.adopt(socket, origin) >= 0;
    return startListener(offer, take, failed);
  }

  adopt(accepted: Socket, origin: Origin): number {
    const handle = this.#host.accept(accepted.remoteAddress ?? "", origin, monotonicUs());
    if (handle < 0) {
      accepted.destroy();
      return handle;
    }
    const { readBuffer } = this.#engine;
    // Node wraps a handle that it is given; its types know descriptors only (DESIGN §8, "reading into Wasm memory").
    const options = { handle: takeHandle(accepted), onread: this.#onread(handle, readBuffer), allowHalfOpen: true };
    this.#attach(handle, new Socket(options as object));
    this.schedule();
    return handle;
  }

  connect(handle: number, address: string, port: number): undefined {
    // All answers are read in small portions here: what the engine would allow for the next read is not asked.
    const onread = this.#onread(handle, this.#engine.readBuffer.subarray(0, H1_NARROW_READ_BYTES));
    const options = { host: address, port, noDelay: true, allowHalfOpen: true, onread };
    const socket = connect({ ...options, autoSelectFamily: false });
    const leg = this.#attach(handle, socket);
    socket.once("connect", () => {
      if (leg.isOver) return;
      this.#host.connected(handle, monotonicUs());
      this.schedule();
    });
  }

  write(first: number, end: number): number {
    const { records, bytes } = this.#engine;
    const handle = records[first + 1]!;
    const leg = this.#legs.find(handle);
    if (leg === undefined) return first;
    if (leg.handed === 0) this.#touched.push(leg);
    let at = first;
    let next = first + RECORD_WORDS;
    const isAlone = next >= end || records[next] !== RECORD_WRITE || records[next + 1] !== handle;
    if (!isAlone) leg.socket.cork();
    for (;;) {
      const from = records[at + 2]!;
      const length = records[at + 3]!;
      leg.handed += length;
      leg.socket.write(bytes.subarray(from, from + length));
      if (next >= end || records[next] !== RECORD_WRITE || records[next + 1] !== handle) break;
      at = next;
      next += RECORD_WORDS;
    }
    if (!isAlone) leg.socket.uncork();
    return at;
  }

  shutdown(handle: number): void {
    const leg = this.#legs.find(handle);
    if (leg === undefined) return;
    leg.isEnding = true;
    // Not before the callback of what is written was asked for, by a write of its own: see #await.
    if (leg.handed === 0) this.#endIfFlushed(leg);
  }

  close(handle: number, isReset: boolean): void {
    const leg = this.#legs.find(handle);
    if (leg === undefined) return;
    const { socket } = leg;
    this.#legs.forget(leg);
    if (socket.connecting || socket.destroyed) socket.destroy();
    else if (isReset) socket.resetAndDestroy();
    else socket.destroySoon();
  }

  pause(handle: number): void {
    this.#legs.find(handle)?.socket.pause();
  }

  resume(handle: number): void {
    this.#legs.find(handle)?.socket.resume();
  }

  settle(): boolean {
    const touched = this.#touched;
    if (touched.length === 0) return false;
    const atUs = monotonicUs();
    for (const leg of touched) {
      const bytes = leg.handed;
      leg.handed = 0;
      if (leg.isOver) continue;
      if (leg.socket.writableLength === 0) {
        this.#engine.written(leg.handle, bytes, atUs);
        this.#endIfFlushed(leg);
      } else this.#await(leg, bytes);
    }
    touched.length = 0;
    return true;
  }

  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#turn);
  }

  arm(deadlineUs: number): void {
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

  stop(): void {
    for (const leg of this.#legs.list()) this.close(leg.handle, false);
    clearTimeout(this.#timer);
  }

  readonly #turn = (): void => {
    this.#isScheduled = false;
    this.#host.turn(monotonicUs());
  };

  readonly #wake = (): void => {
    this.#timerUs = Number.POSITIVE_INFINITY;
    this.#timer = undefined;
    this.schedule();
  };

  /**
   * Reports bytes that the kernel has not taken yet once it has. An empty write behind them brings the callback: giving
   * one to every write would cost a tick for each, and only slow readers need it.
   */
  #await(leg: Leg, bytes: number): void {
    leg.unflushed += 1;
    leg.socket.write(NOTHING, (error) => {
      leg.unflushed -= 1;
      if (leg.isOver || (error !== null && error !== undefined)) return;
      this.#engine.written(leg.handle, bytes, monotonicUs());
      this.#endIfFlushed(leg);
      this.schedule();
    });
  }

  #endIfFlushed(leg: Leg): void {
    if (leg.isEnding && leg.unflushed === 0) leg.socket.end();
  }

  #onread(handle: number, buffer: Uint8Array): OnReadOpts {
    const callback = (length: number): boolean => {
      if (this.#legs.find(handle) === undefined) return true;
      this.#engine.receive(handle, length, monotonicUs());
      this.schedule();
      return true;
    };
    return { buffer, callback };
  }

  #attach(handle: number, socket: Socket): Leg {
    const leg = createLeg(handle, socket);
    this.#legs.add(leg);
    socket.on("end", () => {
      if (leg.isOver) return;
      this.#engine.ended(handle, monotonicUs());
      this.schedule();
    });
    socket.on("error", (error) => {
      leg.failure = failureOf(error);
    });
    socket.on("close", () => {
      if (leg.isOver) return;
      this.#legs.forget(leg);
      this.#host.closed(handle, leg.failure, monotonicUs());
      this.schedule();
    });
    return leg;
  }
}

/** The part of a TCPWrap that says whether it reads. */
interface ReadingHandle {
  reading: boolean;
  readStop(): void;
}

/** Takes the libuv handle out of a paused socket, which is good for nothing afterwards. */
function takeHandle(socket: Socket): unknown {
  const holder = socket as unknown as { _handle: ReadingHandle | undefined };
  const handle = holder._handle;
  // One that was read from: as new, so that who gets it begins to read.
  if (handle !== undefined) {
    handle.readStop();
    handle.reading = false;
  }
  holder._handle = undefined;
  return handle;
}
