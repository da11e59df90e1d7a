// An HTTP/2 client with one connection, opened again when it ends. It never repeats a request.

import { connect, type Socket } from "node:net";
import * as h2 from "../../../test/support/frames.ts";
import type { Caller } from "./http1.ts";
import type { Call, Tally } from "./tally.ts";

const BODY = Buffer.alloc(64, "b");
const WINDOW_BYTES = 1 << 30;
const CANCEL = 8;

interface Answer {
  readonly call: Call;
  status: number;
  body: string;
}

class Connection {
  readonly #socket: Socket;
  readonly #tally: Tally;
  readonly #reader = new h2.FrameReader(false);
  readonly #decoder = new h2.FramePrinter();
  readonly #answers = new Map<number, Answer>();
  #nextId = 1;
  /** It takes no requests any more. */
  isOver = false;

  constructor(port: number, tally: Tally) {
    this.#tally = tally;
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (bytes: Buffer) => {
      for (const frame of this.#reader.read(bytes)) this.#handle(frame);
    });
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => this.#lose());
    this.#socket.on("end", () => this.#lose());
    this.#write(h2.PREFACE, h2.settings([[2, 0]]), h2.windowUpdate(0, WINDOW_BYTES));
  }

  send(call: Call, authority: string): void {
    const id = this.#nextId;
    this.#nextId += 2;
    this.#answers.set(id, { call, status: 0, body: "" });
    const isPost = call.method === "POST";
    const fields: [string, string][] = [
      [":method", call.method],
      [":scheme", "http"],
      [":path", `/r/${call.id}`],
      [":authority", authority],
    ];
    if (isPost) fields.push(["content-length", `${BODY.length}`]);
    const head = h2.headers(id, fields, isPost ? h2.END_HEADERS : h2.END_HEADERS | h2.END_STREAM);
    if (isPost) this.#write(head, h2.data(id, BODY, h2.END_STREAM));
    else this.#write(head);
  }

  giveUp(call: Call): void {
    for (const [id, answer] of this.#answers) {
      if (answer.call.id !== call.id) continue;
      this.#answers.delete(id);
      this.#write(h2.resetStream(id, CANCEL));
    }
  }

  destroy(): void {
    this.isOver = true;
    this.#socket.destroy();
  }

  #write(...frames: readonly Buffer[]): void {
    if (this.#socket.writable) this.#socket.write(Buffer.concat(frames));
  }

  #lose(): void {
    this.destroy();
    for (const { call } of this.#answers.values()) this.#tally.fail(call.id, "broken");
    this.#answers.clear();
  }

  #handle({ type, flags, id, payload }: h2.Frame): void {
    const isAck = (flags & h2.ACK) !== 0;
    if (type === h2.SETTINGS && !isAck) this.#write(h2.settings([], h2.ACK));
    else if (type === h2.PING && !isAck) this.#write(h2.ping(payload, h2.ACK));
    else if (type === h2.GOAWAY) {
      this.isOver = true;
      const last = payload.readUInt32BE(0) & 0x7fffffff;
      for (const stream of this.#answers.keys()) if (stream > last) this.#fail(stream);
    } else if (type === h2.RST_STREAM) this.#fail(id);
    else if (type === h2.HEADERS || type === h2.DATA) this.#take(type, flags, id, payload);
  }

  #fail(id: number): void {
    const answer = this.#answers.get(id);
    this.#answers.delete(id);
    if (answer !== undefined) this.#tally.fail(answer.call.id, "broken");
  }

  #take(type: number, flags: number, id: number, payload: Buffer): void {
    const fields = type === h2.HEADERS ? new Map(this.#decoder.decode(payload)) : undefined;
    const answer = this.#answers.get(id);
    if (answer === undefined) return;
    if (fields !== undefined) answer.status = Number(fields.get(":status") ?? answer.status);
    else {
      answer.body += payload.toString("latin1");
      if (payload.length > 0) this.#write(h2.windowUpdate(id, payload.length), h2.windowUpdate(0, payload.length));
    }
    if ((flags & h2.END_STREAM) === 0) return;
    this.#answers.delete(id);
    this.#tally.answer(answer.call.id, answer.status, answer.body);
  }
}

export function openH2(port: number, authority: string, tally: Tally): Caller {
  let connection = new Connection(port, tally);
  const old: Connection[] = [];
  tally.onGivenUp = (call) => {
    for (const one of [connection, ...old]) one.giveUp(call);
  };
  return {
    send(call) {
      tally.begin(call);
      if (connection.isOver) {
        old.push(connection);
        connection = new Connection(port, tally);
      }
      connection.send(call, authority);
    },
    close() {
      for (const one of [connection, ...old]) one.destroy();
    },
  };
}
