// HTTP/1.1 as a faulty server needs it: requests one at a time, with a counted body or none. Not a parser to rely on.

import type { Socket } from "node:net";
import { BODY_BYTES, bodyOf, type Conversation, type Request, type Serve } from "./conversation.ts";

const END_OF_HEAD = "\r\n\r\n";

export class Http1Conversation implements Conversation {
  readonly socket: Socket;
  read = 0;
  idleSinceMs: number | undefined = performance.now();
  readonly #serve: Serve;
  #text = "";
  #isBusy = false;
  #isLeaving = false;

  constructor(socket: Socket, serve: Serve) {
    this.socket = socket;
    this.#serve = serve;
  }

  receive(bytes: Buffer): void {
    this.#text += bytes.toString("latin1");
    this.#next();
  }

  goaway(): void {}

  limitStreams(): void {}

  leave(): void {
    this.#isLeaving = true;
    if (!this.#isBusy) this.socket.end();
  }

  #next(): void {
    if (this.#isBusy) return;
    const end = this.#text.indexOf(END_OF_HEAD);
    if (end < 0) return;
    const head = this.#text.slice(0, end);
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    const whole = end + END_OF_HEAD.length + length;
    if (this.#text.length < whole) return;
    this.#text = this.#text.slice(whole);
    this.#isBusy = true;
    this.idleSinceMs = undefined;
    this.read += 1;
    const [method = "", path = ""] = head.split(" ", 2);
    this.#serve(this.#requestOf(method, Number(/\/r\/(\d+)/.exec(path)?.[1] ?? 0)));
  }

  #requestOf(method: string, id: number): Request {
    const write = (text: string) => {
      if (!this.socket.destroyed && this.socket.writable) this.socket.write(text, "latin1");
    };
    const headOf = (status: number, length: number) =>
      `HTTP/1.1 ${status} ${status === 200 ? "OK" : "Busy"}\r\ncontent-length: ${length}\r\n` +
      `${this.#isLeaving ? "connection: close\r\n" : ""}\r\n`;
    return {
      conversation: this,
      method,
      id,
      stream: 0,
      answer: (status = 200) => {
        write(`${headOf(status, BODY_BYTES)}${bodyOf(id)}`);
        this.#isBusy = false;
        this.idleSinceMs = performance.now();
        if (this.#isLeaving) this.socket.end();
        else this.#next();
      },
      answerPart: (bytes) => write(`${headOf(200, BODY_BYTES)}${bodyOf(id).slice(0, bytes)}`),
      answerShort: () => {
        write(`${headOf(200, BODY_BYTES + 10)}${bodyOf(id)}`);
        this.socket.end();
      },
      resetStream: () => {},
    };
  }
}
