// An HTTP/2 server and a client in frames written by hand: they say exactly what a test wants said, a byte at a time.
//
// The server answers by path:
//
//   /ok        200          /slow/<n>    10 ms later; every third is reset     /echo    each DATA frame as it comes
//   /bytes/<n> n bytes      /cookies     the cookies that arrived, as text

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type ForeignServer, startTcpServer } from "./foreign-servers.ts";
import * as h2 from "./frames.ts";

const INTERNAL_ERROR = 2;
const HEAD = h2.headers(0, [[":status", "200"]]).subarray(9);
const REPLY = h2.END_HEADERS | h2.END_STREAM;

/** Starts the server; it takes back every byte of credit that it is owed at once. */
export function startPlainServer(): Promise<ForeignServer> {
  return startTcpServer((socket) => {
    const reader = new h2.FrameReader(true);
    const printer = new h2.FramePrinter();
    socket.write(h2.settings([[3, 1_024]]));
    socket.on("data", (bytes: Buffer) => {
      const out = reader.read(bytes).flatMap((one) => respond(socket, printer, one));
      if (out.length > 0) socket.write(Buffer.concat(out));
    });
    socket.on("end", () => socket.end());
  }, "plain-h2");
}

function respond(socket: Socket, printer: h2.FramePrinter, one: h2.Frame): Buffer[] {
  const { type, flags, id, payload } = one;
  if (type === h2.SETTINGS && (flags & h2.ACK) === 0) return [h2.settings([], h2.ACK)];
  if (type === h2.PING && (flags & h2.ACK) === 0) return [h2.ping(payload, h2.ACK)];
  if (type === h2.HEADERS) return respondHead(socket, id, printer.decode(payload));
  if (type !== h2.DATA) return [];
  const echo = h2.data(id, payload, flags & h2.END_STREAM);
  if (payload.length === 0) return [echo];
  return [echo, h2.windowUpdate(id, payload.length), h2.windowUpdate(0, payload.length)];
}

function respondHead(socket: Socket, id: number, fields: h2.Fields): Buffer[] {
  const path = fields.find(([name]) => name === ":path")?.[1] ?? "/";
  const [, verb = "", argument = ""] = path.split("/");
  const head = (flags: number) => h2.frame(h2.HEADERS, flags, id, HEAD);
  switch (verb) {
    case "ok":
      return [head(REPLY)];
    case "slow":
      setTimeout(() => {
        socket.write(Number(argument) % 3 === 0 ? h2.resetStream(id, INTERNAL_ERROR) : head(REPLY));
      }, 10);
      return [];
    case "bytes":
      return [head(h2.END_HEADERS), h2.data(id, Buffer.alloc(Number(argument), "x"), h2.END_STREAM)];
    case "cookies": {
      const cookies = fields.filter(([name]) => name === "cookie").map(([, value]) => value);
      return [head(h2.END_HEADERS), h2.data(id, Buffer.from(cookies.join("; ")), h2.END_STREAM)];
    }
    default:
      return [head(h2.END_HEADERS)];
  }
}

/** A client whose frames are all its user's; pings and settings are acknowledged. */
export class PlainClient implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #reader = new h2.FrameReader(false);
  /** Called for every frame that is not connection housekeeping. */
  onFrame: (frame: h2.Frame) => void = () => {};
  /** GOAWAY frames and what else ended the connection; empty while all is well. */
  readonly endings: string[] = [];
  #nextId = 1;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => this.#read(bytes));
    socket.on("error", (error) => this.endings.push(error.message));
    socket.on("close", () => this.endings.push("closed"));
  }

  static async open(address: string, settings: readonly (readonly [number, number])[] = []): Promise<PlainClient> {
    const [host = "", port = "0"] = address.split(":");
    const socket = connect({ host, port: Number(port), noDelay: true });
    await once(socket, "connect");
    const client = new PlainClient(socket);
    client.write(h2.PREFACE, h2.settings(settings));
    return client;
  }

  write(...frames: readonly Buffer[]): void {
    this.#socket.write(Buffer.concat(frames));
  }

  /** Opens a stream and returns its id. */
  request(method: string, path: string, flags = h2.END_HEADERS, more: h2.Fields = []): number {
    const id = this.#nextId;
    this.#nextId += 2;
    const fields: h2.Fields = [
      [":method", method],
      [":scheme", "http"],
      [":authority", "web"],
      [":path", path],
      ...more,
    ];
    this.write(h2.headers(id, fields, flags));
    return id;
  }

  #read(bytes: Buffer): void {
    for (const one of this.#reader.read(bytes)) {
      const isAck = (one.flags & h2.ACK) !== 0;
      if (one.type === h2.SETTINGS && !isAck) this.write(h2.settings([], h2.ACK));
      else if (one.type === h2.PING && !isAck) this.write(h2.ping(one.payload, h2.ACK));
      else if (one.type === h2.GOAWAY) this.endings.push(`GOAWAY ${h2.ERROR_CODES[one.payload.readUInt32BE(4)]}`);
      else this.onFrame(one);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }
}
