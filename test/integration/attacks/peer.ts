// The attacker: an HTTP/2 peer that says whatever frames it is told to, and may be deaf.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import * as h2 from "../../support/frames.ts";
import { waitUntil } from "../../support/process.ts";

/** The private setting "I am Pillion too" (assembly/engine/h2/state.ts); anybody can say it. */
export const PILLION = 0xf0f1;
export const WHOLE = h2.END_HEADERS | h2.END_STREAM;
/** Bytes that are written at once, so that a peer that reads no more is noticed. */
const BATCH_BYTES = 65_536;
/** A write that the far side does not take for so long will not be taken. */
const STUCK_MS = 500;

export interface PeerOptions {
  readonly settings?: readonly (readonly [number, number])[];
  /** Never reads. */
  readonly isDeaf?: boolean;
  /** Does not acknowledge SETTINGS. */
  readonly isRude?: boolean;
  /** Not even the preface is said. */
  readonly isSilent?: boolean;
}

/** The first request that asks whether a connection is still of use: above those of every attack. */
const HONEST_ID = 999_999;

/** A request's fields. */
export function fields(host: string, path: string, method = "GET", more: h2.Fields = []): h2.Fields {
  return [[":method", method], [":scheme", "http"], [":path", path], [":authority", host], ...more];
}

export class Peer implements Disposable {
  readonly socket: Socket;
  /** What was heard, one line a frame, SETTINGS and WINDOW_UPDATE apart. */
  readonly lines: string[] = [];
  isClosed = false;
  readonly #reader: h2.FrameReader;
  #honestId = HONEST_ID;
  readonly #printer = new h2.FramePrinter();

  private constructor(socket: Socket, isDeaf: boolean, isServer: boolean) {
    this.socket = socket;
    this.#reader = new h2.FrameReader(isServer);
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => {
      const lines = this.#printer.print(this.#reader.read(bytes));
      if (isServer && lines.some((line) => /^SETTINGS (?!ACK)/.test(line))) this.say(h2.settings([], h2.ACK));
      for (const line of lines) if (!/^(SETTINGS|WINDOW_UPDATE|PING)/.test(line)) this.lines.push(line);
    });
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.isClosed = true;
        socket.destroy();
      });
    }
    if (isDeaf) socket.pause();
  }

  static async open(address: string, options: PeerOptions = {}): Promise<Peer> {
    const { settings = [], isDeaf = false, isRude = false, isSilent = false } = options;
    const [host = "", port = ""] = address.split(":");
    const socket = connect({ host, port: Number(port) });
    await once(socket, "connect");
    const peer = new Peer(socket, isDeaf, false);
    if (isSilent) return peer;
    // Who says that it is Pillion hears of its wider limit in further SETTINGS.
    const isDeclared = settings.some(([id]) => id === PILLION);
    const acks = isRude ? [] : Array.from({ length: isDeclared ? 2 : 1 }, () => h2.settings([], h2.ACK));
    socket.write(Buffer.concat([h2.PREFACE, h2.settings(settings), ...acks]));
    return peer;
  }

  /** What a sidecar's connection is served by. */
  static serve(
    script: (server: Peer) => Promise<void> | void,
    settings: PeerOptions["settings"] = [],
  ): (socket: Socket, more?: PeerOptions["settings"]) => void {
    return (socket, more = []) => {
      const server = new Peer(socket, false, true);
      server.say(h2.settings([...more, ...settings]));
      // What is not heard shows on the other side.
      Promise.resolve(script(server)).catch(() => {});
    };
  }

  say(...frames: Uint8Array[]): this {
    if (!this.isClosed) this.socket.write(Buffer.concat(frames));
    return this;
  }

  /** Says frames one after another until all are taken, the connection is closed, or nothing is taken any more. */
  async flood(count: number, frame: (index: number) => Uint8Array): Promise<void> {
    let batch: Uint8Array[] = [];
    let bytes = 0;
    for (let index = 0; index < count && !this.isClosed; index += 1) {
      const next = frame(index);
      batch.push(next);
      bytes += next.length;
      if (bytes < BATCH_BYTES && index + 1 < count) continue;
      const isTaken = this.socket.write(Buffer.concat(batch));
      [batch, bytes] = [[], 0];
      if (isTaken) continue;
      const drained = once(this.socket, "drain").then(
        () => true,
        () => false,
      );
      const gaveUp = pause(STUCK_MS, false, { ref: false });
      if (!(await Promise.race([drained, gaveUp, once(this.socket, "close").then(() => false)]))) return;
    }
  }

  /** Waits for a line. */
  async hear(pattern: RegExp): Promise<string> {
    let found: string | undefined;
    await waitUntil(`${pattern} is heard`, () => {
      found = this.lines.find((line) => pattern.test(line));
      if (found === undefined && this.isClosed) throw new Error(`closed after ${this.lines.slice(-3).join("; ")}`);
      return found !== undefined;
    });
    return found ?? "";
  }

  /** Is deaf no more. */
  listen(): void {
    this.socket.resume();
  }

  /** Listens, and waits until the connection is closed with this GOAWAY. */
  async beCutOff(code: (typeof h2.ERROR_CODES)[number] | "closed"): Promise<void> {
    this.listen();
    await waitUntil(`the connection is closed with ${code}`, () => this.isClosed);
    const last = this.lines.findLast((line) => line.startsWith("GOAWAY"));
    // A reset behind our bytes may overtake the farewell; the metric tells the rest.
    if (last === undefined || code === "closed") return;
    if (!last.startsWith(`GOAWAY ${code}`)) throw new Error(`${last} instead of ${code}`);
  }

  /** An honest request on the same connection is answered. */
  async beServed(host: string): Promise<void> {
    const id = this.#honestId;
    this.#honestId += 2;
    this.listen();
    this.say(h2.headers(id, fields(host, "/status/200"), WHOLE));
    await this.hear(new RegExp(`^HEADERS ${id} .*:status 200`));
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** The id of the n-th stream. */
export const idOf = (index: number): number => index * 2 + 1;
