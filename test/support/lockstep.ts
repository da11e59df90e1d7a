// HTTP/2 in lockstep: every connection sends its requests in one write, and the next round begins when all are
// answered. The server answers whatever one read brought by one write.
//
// The proxy between them is stopped (SIGSTOP) while a round's requests are sent, so that it finds all of them at once:
// how many share a read and a turn is the shape's doing, not the scheduler's, and what is counted for each exchange can
// be compared from run to run.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { startTcpServer } from "./foreign-servers.ts";
import {
  ACK,
  DATA,
  data,
  END_HEADERS,
  END_STREAM,
  FrameReader,
  GOAWAY,
  HEADERS,
  headers,
  PING,
  PREFACE,
  ping,
  RST_STREAM,
  SETTINGS,
  settings,
  windowUpdate,
} from "./frames.ts";
import type { Program } from "./process.ts";

/** RFC 9113 §6.5.2. */
const HEADER_TABLE_SIZE = 1;
const INITIAL_WINDOW_SIZE = 4;
const WINDOW_BYTES = 2 ** 30;
const START = [
  settings([
    [HEADER_TABLE_SIZE, 0],
    [INITIAL_WINDOW_SIZE, WINDOW_BYTES],
  ]),
  windowUpdate(0, WINDOW_BYTES),
];
/** `:status: 200` of the static table (RFC 7541, Appendix A). */
const STATUS_200 = 0x88;
/** A change of the table's size may stand before it (RFC 7541 §6.3). */
const isSizeUpdate = (byte: number | undefined) => byte !== undefined && (byte & 0xe0) === 0x20;

/** Answers each request with 200 and a body; ends with `close`. */
export function startLockstepServer(bodyBytes: number) {
  const body = Buffer.alloc(bodyBytes, "a");
  return startTcpServer((socket) => {
    const frames = new FrameReader(true);
    socket.setNoDelay(true);
    socket.write(Buffer.concat(START));
    socket.on("data", (chunk: Buffer) => {
      const answers: Buffer[] = [];
      for (const { type, flags, id } of frames.read(chunk)) {
        if (type === SETTINGS && (flags & ACK) === 0) answers.push(settings([], ACK));
        if (type !== HEADERS) continue;
        answers.push(headers(id, [[":status", "200"]]), data(id, body, END_STREAM));
      }
      if (answers.length > 0) socket.write(Buffer.concat(answers));
    });
    socket.on("end", () => socket.end());
  }, "lockstep");
}

export interface LockstepClient extends AsyncDisposable {
  /**
   * Stops `proxy`, sends `streams` requests on every connection and lets it go on; resolves when all are answered with
   * 200 and a whole body.
   */
  round(proxy: Pick<Program, "signal">, streams: number): Promise<void>;
}

class Connection {
  readonly socket: Socket;
  readonly #frames = new FrameReader(false);
  readonly #bodyBytes: number;
  readonly #authority: string;
  #id = 1;
  #asked = 0;
  #open = 0;
  #bytes = 0;
  #settle: { resolve: () => void; reject: (error: Error) => void } | undefined;

  constructor(socket: Socket, authority: string, bodyBytes: number) {
    this.socket = socket;
    this.#authority = authority;
    this.#bodyBytes = bodyBytes;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("close", () => this.#settle?.reject(new Error("the connection was closed")));
    socket.write(Buffer.concat([PREFACE, ...START]));
  }

  round(streams: number): Promise<void> {
    const requests: Buffer[] = [];
    const fields = [
      [":method", "GET"],
      [":scheme", "http"],
      [":authority", this.#authority],
      [":path", "/"],
    ] as const;
    for (let count = 0; count < streams; count += 1) {
      requests.push(headers(this.#id, fields, END_HEADERS | END_STREAM));
      this.#id += 2;
    }
    this.#asked = streams;
    this.#open = streams;
    this.#bytes = 0;
    this.socket.write(Buffer.concat(requests));
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  #receive(chunk: Buffer): void {
    for (const { type, flags, payload } of this.#frames.read(chunk)) {
      if (type === SETTINGS && (flags & ACK) === 0) this.socket.write(settings([], ACK));
      if (type === PING && (flags & ACK) === 0) this.socket.write(ping(payload, ACK));
      if (type === GOAWAY || type === RST_STREAM) this.#settle?.reject(new Error(`a frame of type ${type}`));
      if (type === HEADERS) {
        const first = isSizeUpdate(payload[0]) ? payload[1] : payload[0];
        if (first !== STATUS_200) this.#settle?.reject(new Error("an answer that is not 200"));
      }
      if (type === DATA) this.#bytes += payload.length;
      if ((type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0) this.#open -= 1;
    }
    if (this.#open !== 0 || this.#settle === undefined) return;
    const { resolve, reject } = this.#settle;
    this.#settle = undefined;
    if (this.#bytes === this.#bodyBytes * this.#asked) resolve();
    else reject(new Error(`${this.#bytes} bytes for ${this.#asked} answers`));
  }
}

/** Opens `connections` to a proxy, to ask for `authority`; `bodyBytes` is what the server answers with. */
export async function openLockstepClient(
  address: string,
  connections: number,
  authority: string,
  bodyBytes: number,
): Promise<LockstepClient> {
  const [host, port] = address.split(":");
  const open = Array.from({ length: connections }, async () => {
    const socket = connect({ host: host ?? "", port: Number(port) });
    await once(socket, "connect");
    return new Connection(socket, authority, bodyBytes);
  });
  const all = await Promise.all(open);
  return {
    async round(proxy, streams) {
      proxy.signal("SIGSTOP");
      const answered = all.map((connection) => connection.round(streams));
      proxy.signal("SIGCONT");
      await Promise.all(answered);
    },
    async [Symbol.asyncDispose]() {
      for (const { socket } of all) socket.destroy();
    },
  };
}
