// Carries out what the engine wants, turn by turn: one socket ↔ one engine connection.
//
//   readable ─► driver reads into the engine's read buffer ─► receive(handle, n, now)
//                                                                │ … one turn …
//   poll ─► records ─► write · connect · shutdown · close · pause · resume ─► driver ─► written(handle, bytes)
//
// The common way of a request is one `receive` for each readable socket and one write for each writable one and turn.
// Whatever is learned while records are walked (bytes taken, a connect that failed at once) is told to the engine after
// the walk, because its records hold only until its next call. Nothing of HTTP is known here, nor of descriptors.
//
// A Wasm trap or any other exception is not caught: it ends the worker, and the supervisor starts another.

import type { Socket } from "node:net";
import {
  RECORD_CLOSE,
  RECORD_CONNECT,
  RECORD_LOG,
  RECORD_PAUSE,
  RECORD_RESUME,
  RECORD_SHUTDOWN,
  RECORD_WRITE,
} from "../../assembly/abi/engine-records.ts";
import { Bug, monotonicUs } from "../base/index.ts";
import { type Engine, RECORD_WORDS } from "../wasm/index.ts";
import { Connects } from "./connects.ts";
import type { ListenerOffer } from "./messages.ts";
import type { AcceptFailure, CreateDriver, Divert, Listener, Origin, SocketDriver, SocketHost } from "./sockets.ts";
import type { Upstreams } from "./upstream.ts";

/** Rounds of poll and walk in one turn before sockets are served again; more is work that makes itself. */
const ROUNDS_MAX = 8;
/** What `more` answers: there are further records; input waits for its turn. */
const MORE_NOW = 1;
const MORE_NEXT_TURN = 2;

export interface PumpOptions {
  readonly engine: Engine;
  readonly upstreams: Upstreams;
  readonly createDriver: CreateDriver;
  /** Takes a log entry; the bytes are the engine's and must be copied. */
  readonly log: (entry: Uint8Array) => void;
  /** Called at the end of every turn. */
  readonly turned: () => void;
}

export class Pump implements SocketHost {
  readonly #engine: Engine;
  readonly #driver: SocketDriver;
  readonly #connects: Connects;
  readonly #log: (entry: Uint8Array) => void;
  readonly #turned: () => void;

  constructor({ engine, upstreams, createDriver, log, turned }: PumpOptions) {
    this.#engine = engine;
    this.#log = log;
    this.#turned = turned;
    this.#driver = createDriver(engine, this);
    const timedOut = (handle: number, failure: number) => {
      this.closed(handle, failure, monotonicUs());
      this.schedule();
    };
    this.#connects = new Connects({ driver: this.#driver, upstreams, timedOut });
  }

  /** Sockets, connecting ones too. */
  get socketCount(): number {
    return this.#driver.count + this.#connects.waitingCount;
  }

  /** Accepts connections of one descriptor; resolves when it listens. */
  listen(offer: ListenerOffer, failed: (failure: AcceptFailure) => void, divert?: Divert): Promise<Listener> {
    return this.#driver.listen(offer, failed, divert);
  }

  /** Takes over a socket of Node with what was read of it; false: there is no room, it was closed. */
  adopt(socket: Socket, origin: Origin, first: readonly Buffer[]): boolean {
    const handle = this.#driver.adopt(socket, origin);
    if (handle < 0) return false;
    const { readBuffer } = this.#engine;
    for (const bytes of first) {
      // All is read by one `receive` or less: what is looked at is bounded (intercept/detect.ts).
      readBuffer.set(bytes);
      this.#engine.receive(handle, bytes.length, monotonicUs());
    }
    this.schedule();
    return true;
  }

  /** Asks for a turn once the sockets that are readable now have been read. */
  schedule(): void {
    this.#driver.schedule();
  }

  /** Closes every socket and serves no more. */
  stop(): void {
    this.#driver.stop();
  }

  // ── What the driver tells ──────────────────────────────────────────────────────────────────────

  accept(peer: string, origin: Origin, atUs: number): number {
    const peerBytes = this.#engine.writeText(plainAddress(peer));
    return this.#engine.accept(origin.kind, origin.number, peerBytes, atUs);
  }

  connected(handle: number, atUs: number): void {
    this.#connects.opened(handle);
    this.#engine.connected(handle, atUs);
  }

  closed(handle: number, failure: number, atUs: number): void {
    this.#connects.closed(handle);
    this.#engine.closed(handle, failure, atUs);
  }

  turn(atUs: number): void {
    const engine = this.#engine;
    const driver = this.#driver;
    const deadlineUs = engine.deadline();
    if (deadlineUs !== 0 && deadlineUs <= atUs) engine.advance(atUs);
    let hasMore = true;
    for (let round = 0; hasMore && round < ROUNDS_MAX; round += 1) {
      this.#walk(engine.poll(atUs));
      // What was learned may be worth another word: a flushed connection is closed, a waiting one goes on.
      const hasLearned = this.#settle();
      const more = engine.more();
      if (more === MORE_NEXT_TURN) driver.schedule();
      hasMore = hasLearned || more === MORE_NOW;
    }
    if (hasMore) driver.schedule();
    driver.arm(engine.deadline());
    this.#turned();
  }

  /** Carries out records, in order. Calls nothing of the engine. */
  #walk(count: number): void {
    const records = this.#engine.records;
    const end = count * RECORD_WORDS;
    for (let at = 0; at < end; at += RECORD_WORDS) {
      const kind = records[at]!;
      if (kind === RECORD_WRITE) at = this.#driver.write(at, end);
      else if (kind === RECORD_LOG) {
        const from = records[at + 2]!;
        this.#log(this.#engine.bytes.subarray(from, from + records[at + 3]!));
      } else this.#command(kind, at);
    }
  }

  #command(kind: number, at: number): void {
    const records = this.#engine.records;
    const handle = records[at + 1]!;
    switch (kind) {
      case RECORD_CONNECT:
        this.#connects.start(handle, records[at + 2]!, records[at + 3]!, records[at + 4]!);
        return;
      case RECORD_SHUTDOWN:
        this.#driver.shutdown(handle);
        return;
      case RECORD_CLOSE:
        this.#connects.forget(handle);
        this.#driver.close(handle, records[at + 2] !== 0);
        return;
      case RECORD_PAUSE:
        this.#driver.pause(handle);
        return;
      case RECORD_RESUME:
        this.#driver.resume(handle);
        return;
      default:
        throw new Bug(`the engine left a record of the unknown kind ${kind}`);
    }
  }

  /** Tells the engine what the walk brought; whether there was anything. */
  #settle(): boolean {
    const hasWritten = this.#driver.settle();
    return this.#connects.settle((handle, failure) => this.closed(handle, failure, monotonicUs())) || hasWritten;
  }
}

/** IPv4 in IPv6's clothes (RFC 4291 §2.5.5.2) is IPv4. */
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
}
