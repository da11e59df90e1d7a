// An HTTP/1.1 client with keep-alive: as many connections as requests are under way, the one used last is used next.
//
// It never repeats a request, so that what it sees is what the proxy did.

import { connect, type Socket } from "node:net";
import type { Call, Tally } from "./tally.ts";

/** Who sends calls to a proxy. */
export interface Caller {
  send(call: Call): void;
  close(): void;
}

const END_OF_HEAD = "\r\n\r\n";
const BODY = "b".repeat(64);

class Connection {
  readonly #socket: Socket;
  readonly #tally: Tally;
  readonly #rest: (connection: Connection) => void;
  #call: Call | undefined;
  #text = "";
  isClosed = false;

  constructor(port: number, tally: Tally, rest: (connection: Connection) => void) {
    this.#tally = tally;
    this.#rest = rest;
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (bytes: Buffer) => this.#receive(bytes));
    this.#socket.on("error", () => {});
    this.#socket.on("end", () => this.#lose());
    this.#socket.on("close", () => this.#lose());
  }

  get callId(): number | undefined {
    return this.#call?.id;
  }

  send(call: Call, authority: string): void {
    this.#call = call;
    this.#text = "";
    const body = call.method === "POST" ? BODY : "";
    const length = call.method === "POST" ? `content-length: ${body.length}\r\n` : "";
    this.#socket.write(`${call.method} /r/${call.id} HTTP/1.1\r\nhost: ${authority}\r\n${length}\r\n${body}`);
  }

  destroy(): void {
    this.isClosed = true;
    this.#socket.destroy();
  }

  #lose(): void {
    if (this.isClosed) return;
    this.destroy();
    if (this.#call !== undefined) this.#tally.fail(this.#call.id, "broken");
    this.#call = undefined;
  }

  #receive(bytes: Buffer): void {
    if (this.#call === undefined) {
      this.destroy(); // nobody asked
      return;
    }
    this.#text += bytes.toString("latin1");
    const end = this.#text.indexOf(END_OF_HEAD);
    if (end < 0) return;
    const head = this.#text.slice(0, end + 2);
    const body = bodyIn(head, this.#text.slice(end + END_OF_HEAD.length));
    if (body === undefined) return;
    this.#tally.answer(this.#call.id, Number(head.slice(9, 12)), body);
    this.#call = undefined;
    if (/\r\nconnection: *close\r\n/i.test(head)) this.destroy();
    else this.#rest(this);
  }
}

/** The body, once all of it is there: counted or in chunks. */
function bodyIn(head: string, rest: string): string | undefined {
  const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1];
  if (length !== undefined) return rest.length < Number(length) ? undefined : rest.slice(0, Number(length));
  if (!/\r\ntransfer-encoding: *chunked\r\n/i.test(head)) return undefined; // up to the end of the connection: broken
  let body = "";
  for (let at = 0; ; ) {
    const line = rest.indexOf("\r\n", at);
    if (line < 0) return undefined;
    const size = Number.parseInt(rest.slice(at, line), 16);
    if (rest.length < line + 2 + size + 2) return undefined;
    if (size === 0) return body;
    body += rest.slice(line + 2, line + 2 + size);
    at = line + 2 + size + 2;
  }
}

export function openHttp1(port: number, authority: string, tally: Tally): Caller {
  const idle: Connection[] = [];
  const all = new Set<Connection>();
  tally.onGivenUp = (call) => {
    for (const connection of all) if (connection.callId === call.id) connection.destroy();
  };
  return {
    send(call) {
      tally.begin(call);
      let connection = idle.pop();
      while (connection?.isClosed) connection = idle.pop();
      connection ??= new Connection(port, tally, (rested) => idle.push(rested));
      for (const one of all) if (one.isClosed) all.delete(one);
      all.add(connection);
      connection.send(call, authority);
    },
    close() {
      for (const connection of all) connection.destroy();
    },
  };
}
