// What a fuzzed client and a fuzzed server of HTTP/2 have in common: frames, windows both ways, bodies in pieces.
// The windows that it has given are enforced: an engine that sends more than it was allowed is found out.

import * as h2 from "../support/frames.ts";
import { bodyOf, markOf } from "./ledger.ts";
import { Peer } from "./peer.ts";

const WINDOW_DEFAULT = 65_535;
const SETTING_STREAMS = 3;
const SETTING_WINDOW = 4;

/** One message on its way out. */
interface Outgoing {
  body: Buffer;
  readonly trailers: h2.Fields | undefined;
  readonly sent: () => void;
  /** A content-length says where the body ends: to an HTTP/1.1 reader its last byte is the end, whatever follows. */
  readonly isCounted?: boolean;
}

export class Stream {
  readonly id: number;
  sendWindow: number;
  receiveWindow: number;
  outgoing: Outgoing | undefined;
  isReset = false;
  isHeard = false;

  constructor(id: number, sendWindow: number, receiveWindow: number) {
    this.id = id;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
  }
}

export abstract class H2Peer<S extends Stream> extends Peer {
  protected readonly streams = new Map<number, S>();
  protected abstract readonly reader: h2.FrameReader;
  readonly #printer = new h2.FramePrinter();
  #block: { id: number; end: boolean; parts: Buffer[] } | undefined;
  #sendWindow = WINDOW_DEFAULT;
  #peerWindow = WINDOW_DEFAULT;
  #receiveWindow = WINDOW_DEFAULT;
  /** INITIAL_WINDOW_SIZE that we announced, and what the engine goes by until it has acknowledged. */
  #announced = WINDOW_DEFAULT;
  #agreed = WINDOW_DEFAULT;
  /** Last stream that the engine's GOAWAY leaves alive. */
  protected lastAllowed = 0x7fffffff;

  protected begin(isClient: boolean): void {
    const { random } = this;
    const entries: [number, number][] = [];
    if (random.once(2)) {
      this.#announced = random.pick([0, 1, 100, 20_000, 1_000_000]);
      entries.push([SETTING_WINDOW, this.#announced]);
    }
    if (!isClient && random.once(4)) entries.push([SETTING_STREAMS, 1 + random.below(3)]);
    if (!isClient && random.once(2)) entries.push([8, 1]);
    if (isClient) this.write(h2.PREFACE);
    this.write(h2.settings(entries));
  }

  protected add(stream: S): S {
    this.streams.set(stream.id, stream);
    return stream;
  }

  protected get windows(): [send: number, receive: number] {
    return [this.#peerWindow, this.#agreed];
  }

  protected receive(bytes: Buffer): void {
    for (const frame of this.reader.read(bytes)) if (!this.isOver) this.#frame(frame);
  }

  protected fin(): void {
    this.end();
  }

  /** Sends a piece of some body, as the engine's windows allow. */
  protected sendPiece(everything = false): void {
    const waiting = [...this.streams.values()].filter((one) => one.outgoing !== undefined);
    if (waiting.length === 0) return;
    const stream = this.random.pick(waiting);
    const out = stream.outgoing!;
    const most = everything ? 16_384 : this.random.pick([1, 10, 1_000, 16_384]);
    const length = Math.min(out.body.length, most, Math.max(0, stream.sendWindow), Math.max(0, this.#sendWindow));
    if (length === 0 && out.body.length > 0) return;
    stream.sendWindow -= length;
    this.#sendWindow -= length;
    const piece = out.body.subarray(0, length);
    out.body = out.body.subarray(length);
    const isLast = out.body.length === 0;
    if (isLast) stream.outgoing = undefined;
    if (!isLast || out.trailers === undefined) {
      this.write(h2.data(stream.id, piece, isLast ? h2.END_STREAM : 0), isLast ? out.sent : undefined);
      return;
    }
    this.write(h2.data(stream.id, piece), out.isCounted ? out.sent : undefined);
    this.write(h2.headers(stream.id, out.trailers, h2.END_HEADERS | h2.END_STREAM), out.sent);
  }

  /** Bodies of this stream go out from now on. */
  protected sendBody(stream: S, tag: string, length: number, sent: () => void, isCounted = false): void {
    const mark = markOf(tag);
    const trailers = this.random.once(4) ? ([["x-late", mark]] as const) : undefined;
    stream.outgoing = { body: bodyOf(tag, length), trailers, sent, isCounted };
  }

  /** Gives the engine credit, now and then in single bytes. */
  protected grant(bytes: number): void {
    const open = [...this.streams.values()].filter((one) => !one.isReset && !one.isHeard);
    if (this.random.once(2) || open.length === 0) {
      this.#receiveWindow += bytes;
      this.write(h2.windowUpdate(0, bytes));
    }
    for (const stream of open) {
      if (bytes < 100_000 && this.random.once(2)) continue;
      stream.receiveWindow += bytes;
      this.write(h2.windowUpdate(stream.id, bytes));
    }
  }

  protected resetStream(stream: S, code: number): void {
    stream.isReset = true;
    stream.outgoing = undefined;
    this.write(h2.resetStream(stream.id, code));
  }

  protected goAway(last: number): void {
    this.write(h2.goaway(last, 0));
  }

  #frame({ type, flags, id, payload }: h2.Frame): void {
    switch (type) {
      case h2.SETTINGS:
        this.#settings(flags, payload);
        return;
      case h2.PING:
        if ((flags & h2.ACK) === 0) this.write(h2.ping(payload, h2.ACK));
        return;
      case h2.GOAWAY:
        this.lastAllowed = payload.readUInt32BE() & 0x7fffffff;
        this.onGoaway();
        return;
      case h2.WINDOW_UPDATE: {
        const stream = this.streams.get(id);
        if (id === 0) this.#sendWindow += payload.readUInt32BE();
        else if (stream !== undefined) stream.sendWindow += payload.readUInt32BE();
        return;
      }
      case h2.HEADERS:
      case h2.CONTINUATION:
        if (type === h2.HEADERS) this.#block = { id, end: (flags & h2.END_STREAM) !== 0, parts: [] };
        this.#block!.parts.push(payload);
        if (flags & h2.END_HEADERS) {
          const fields = this.#printer.decode(Buffer.concat(this.#block!.parts));
          this.onHead(id, new Map(fields), this.#block!.end);
        }
        return;
      case h2.RST_STREAM: {
        const stream = this.streams.get(id);
        if (stream === undefined) return;
        stream.isReset = true;
        stream.outgoing = undefined;
        this.onReset(stream, payload.readUInt32BE());
        return;
      }
      case h2.DATA:
        this.#data(id, payload, (flags & h2.END_STREAM) !== 0);
        return;
      default:
        throw new Error(`a frame of type ${type}`);
    }
  }

  #settings(flags: number, payload: Buffer): void {
    if (flags & h2.ACK) {
      for (const stream of this.streams.values()) stream.receiveWindow += this.#announced - this.#agreed;
      this.#agreed = this.#announced;
      return;
    }
    for (let at = 0; at < payload.length; at += 6) {
      if (payload.readUInt16BE(at) !== SETTING_WINDOW) continue;
      const window = payload.readUInt32BE(at + 2);
      for (const stream of this.streams.values()) stream.sendWindow += window - this.#peerWindow;
      this.#peerWindow = window;
    }
    this.write(h2.settings([], h2.ACK));
  }

  #data(id: number, payload: Buffer, end: boolean): void {
    const stream = this.streams.get(id);
    this.#receiveWindow -= payload.length;
    if (this.#receiveWindow < 0) throw new Error("more DATA than the connection's window");
    if (stream === undefined) throw new Error(`DATA for stream ${id}`);
    stream.receiveWindow -= payload.length;
    if (stream.receiveWindow < 0 && payload.length > 0) throw new Error(`more DATA than the window of stream ${id}`);
    if (stream.isReset) return;
    this.onData(stream, payload, end);
  }

  protected abstract onHead(id: number, fields: ReadonlyMap<string, string>, end: boolean): void;
  protected abstract onData(stream: S, bytes: Buffer, end: boolean): void;
  protected abstract onReset(stream: S, code: number): void;
  protected abstract onGoaway(): void;
}
