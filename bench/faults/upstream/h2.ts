// HTTP/2 as a faulty server needs it, in frames written by hand: it says what an act wants said. RFC 9113.

import type { Socket } from "node:net";
import * as h2 from "../../../test/support/frames.ts";
import { BODY_BYTES, bodyOf, type Conversation, type Request, type Serve } from "./conversation.ts";

const STREAMS_MAX = 256;
const SETTING_STREAMS = 3;
const WINDOW_BYTES = 1 << 30;

interface Stream {
  readonly method: string;
  readonly id: number;
}

export class H2Conversation implements Conversation {
  readonly socket: Socket;
  read = 0;
  idleSinceMs: number | undefined = performance.now();
  readonly #serve: Serve;
  readonly #reader = new h2.FrameReader(true);
  readonly #decoder = new h2.FramePrinter();
  /** Requests whose body is still to come, by stream. */
  readonly #streams = new Map<number, Stream>();
  readonly #open = new Set<number>();
  #last = 0;
  #isLeaving = false;

  constructor(socket: Socket, serve: Serve) {
    this.socket = socket;
    this.#serve = serve;
    this.#write(h2.settings([[SETTING_STREAMS, STREAMS_MAX]]), h2.windowUpdate(0, WINDOW_BYTES));
  }

  receive(bytes: Buffer): void {
    for (const frame of this.#reader.read(bytes)) this.#handle(frame);
  }

  goaway(last: number): void {
    this.#write(h2.goaway(last, 0));
  }

  limitStreams(max: number): void {
    this.#write(h2.settings([[SETTING_STREAMS, max]]));
  }

  leave(): void {
    this.#isLeaving = true;
    this.goaway(this.#last);
    if (this.#open.size === 0) this.socket.end();
  }

  #write(...frames: readonly Buffer[]): void {
    if (!this.socket.destroyed && this.socket.writable) this.socket.write(Buffer.concat(frames));
  }

  #handle({ type, flags, id, payload }: h2.Frame): void {
    const isEnd = (flags & h2.END_STREAM) !== 0;
    if (type === h2.SETTINGS && (flags & h2.ACK) === 0) this.#write(h2.settings([], h2.ACK));
    else if (type === h2.PING && (flags & h2.ACK) === 0) this.#write(h2.ping(payload, h2.ACK));
    else if (type === h2.RST_STREAM) this.#close(id);
    else if (type === h2.HEADERS) {
      const fields = new Map(this.#decoder.decode(blockOf(flags, payload)));
      const number = Number(/\/r\/(\d+)/.exec(fields.get(":path") ?? "")?.[1] ?? 0);
      this.#streams.set(id, { method: fields.get(":method") ?? "", id: number });
      this.#open.add(id);
      this.idleSinceMs = undefined;
      if (isEnd) this.#begin(id);
    } else if (type === h2.DATA) {
      if (payload.length > 0) this.#write(h2.windowUpdate(0, payload.length));
      if (isEnd) this.#begin(id);
    }
  }

  #begin(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined || !this.#streams.delete(id) || this.#isLeaving) return;
    this.#last = id;
    this.read += 1;
    this.#serve(this.#requestOf(id, stream));
  }

  #close(id: number): void {
    this.#streams.delete(id);
    this.#open.delete(id);
    if (this.#open.size > 0) return;
    this.idleSinceMs = performance.now();
    if (this.#isLeaving) this.socket.end();
  }

  #requestOf(stream: number, { method, id }: Stream): Request {
    const isGone = () => !this.#open.has(stream);
    const headOf = (status: number, length: number) =>
      h2.headers(stream, [
        [":status", `${status}`],
        ["content-length", `${length}`],
      ]);
    return {
      conversation: this,
      method,
      id,
      stream,
      answer: (status = 200) => {
        if (isGone()) return;
        this.#write(headOf(status, BODY_BYTES), h2.data(stream, bodyOf(id), h2.END_STREAM));
        this.#close(stream);
      },
      answerPart: (bytes) => {
        if (!isGone()) this.#write(headOf(200, BODY_BYTES), h2.data(stream, bodyOf(id).slice(0, bytes)));
      },
      answerShort: () => {
        if (isGone()) return;
        this.#write(headOf(200, BODY_BYTES + 10), h2.data(stream, bodyOf(id), h2.END_STREAM));
        this.#close(stream);
      },
      resetStream: (code) => {
        if (isGone()) return;
        this.#write(h2.resetStream(stream, code));
        this.#close(stream);
      },
    };
  }
}

/** The field block of a HEADERS frame, without padding and priority (RFC 9113 §6.2). */
function blockOf(flags: number, payload: Buffer): Buffer {
  const padding = (flags & h2.PADDED) !== 0 ? payload.readUInt8(0) : undefined;
  const start = (padding === undefined ? 0 : 1) + ((flags & h2.PRIORITY_FLAG) !== 0 ? 5 : 0);
  return payload.subarray(start, payload.length - (padding ?? 0));
}
