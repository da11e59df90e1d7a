// HTTP/2 requests over raw sockets, cheap enough that the client is not what is measured: the field block is made once,
// frames are counted and not copied. RFC 9113.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import {
  ACK,
  DATA,
  END_HEADERS,
  END_STREAM,
  encodeFields,
  frame,
  GOAWAY,
  HEADERS,
  PING,
  PREFACE,
  ping,
  RST_STREAM,
  SETTINGS,
  settings,
  windowUpdate,
} from "../../test/support/frames.ts";
import type { Sender } from "./schedule.ts";

/** What each client is started with. */
export interface Aim {
  readonly port: number;
  readonly authority: string;
  readonly path: string;
  readonly connections: number;
  /** Bytes of each answer's body. */
  readonly bodyBytes: number;
}

/** What servers allow where they say nothing else; more would be refused. */
const STREAMS_MAX = 100;
const FRAME_HEADER_BYTES = 9;
const WINDOW_BYTES = 2 ** 30;
/** Streams whose answers may be out on one connection: due times lie in a ring by stream number. */
const RING = 4_096;
/** `:status: 200` of the static table (RFC 7541, Appendix A); a change of the table's size may stand before it. */
const STATUS_200 = 0x88;

class Connection {
  readonly #socket: Socket;
  readonly #block: Buffer;
  readonly #bodyBytes: number;
  readonly #done: (dueMs: number) => void;
  readonly #dueMs = new Float64Array(RING);
  readonly #bytes = new Uint32Array(RING);
  readonly #waiting: number[] = [];
  #out: Buffer[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #id = 1;
  #open = 0;
  #credit = 0;

  constructor(socket: Socket, block: Buffer, bodyBytes: number, done: (dueMs: number) => void) {
    this.#socket = socket;
    this.#block = block;
    this.#bodyBytes = bodyBytes;
    this.#done = done;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    // HEADER_TABLE_SIZE 0: answers carry no state; ENABLE_PUSH 0; INITIAL_WINDOW_SIZE (RFC 9113 §6.5.2).
    const options = settings([
      [1, 0],
      [2, 0],
      [4, WINDOW_BYTES],
    ]);
    socket.write(Buffer.concat([PREFACE, options, windowUpdate(0, WINDOW_BYTES)]));
  }

  send(dueMs: number): void {
    if (this.#open >= STREAMS_MAX) {
      this.#waiting.push(dueMs);
      return;
    }
    const id = this.#id;
    this.#id += 2;
    this.#open += 1;
    const at = (id >> 1) % RING;
    this.#dueMs[at] = dueMs;
    this.#bytes[at] = 0;
    this.#out.push(frame(HEADERS, END_HEADERS | END_STREAM, id, this.#block));
  }

  flush(): void {
    if (this.#out.length === 0) return;
    this.#socket.write(this.#out.length === 1 ? (this.#out[0] as Buffer) : Buffer.concat(this.#out));
    this.#out = [];
  }

  #receive(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEADER_BYTES) {
      const length = bytes.readUIntBE(at, 3);
      const next = at + FRAME_HEADER_BYTES + length;
      if (next > bytes.length) break;
      const payload = at + FRAME_HEADER_BYTES;
      this.#handle(bytes, bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, bytes.readUInt32BE(at + 5), payload, length);
      at = next;
    }
    // The chunk's memory is not used again by Node: a view of it may be kept.
    this.#rest = bytes.subarray(at);
  }

  #handle(bytes: Buffer, type: number, flags: number, id: number, at: number, length: number): void {
    if (type === DATA) {
      const slot = (id >> 1) % RING;
      this.#bytes[slot] = (this.#bytes[slot] ?? 0) + length;
      this.#credit += length;
      if (this.#credit > WINDOW_BYTES / 2) {
        this.#out.push(windowUpdate(0, this.#credit));
        this.#credit = 0;
      }
    } else if (type === HEADERS) {
      const first = bytes[at] ?? 0;
      const status = (first & 0xe0) === 0x20 ? bytes[at + 1] : first;
      if (status !== STATUS_200) throw new Error(`an answer that is not 200: ${hexOf(bytes, at, length)}`);
    } else if (type === SETTINGS && (flags & ACK) === 0) this.#out.push(settings([], ACK));
    else if (type === PING && (flags & ACK) === 0) this.#out.push(ping(bytes.subarray(at, at + length), ACK));
    else if (type === RST_STREAM || type === GOAWAY) throw new Error(`the proxy sent a frame of type ${type}`);
    if ((type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0) this.#end(id);
  }

  #end(id: number): void {
    const at = (id >> 1) % RING;
    if (this.#bytes[at] !== this.#bodyBytes) throw new Error(`an answer of ${this.#bytes[at]} bytes`);
    this.#open -= 1;
    this.#done(this.#dueMs[at] ?? Number.NaN);
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) this.send(waiting);
  }
}

function hexOf(bytes: Buffer, at: number, length: number): string {
  return bytes.toString("hex", at, at + Math.min(length, 64));
}

/** Connects; requests go round the connections. An answer that is wrong throws where nobody catches: the run ends. */
export async function openH2(aim: Aim, done: (dueMs: number) => void): Promise<Sender> {
  const block = encodeFields([
    [":method", "GET"],
    [":scheme", "http"],
    [":path", aim.path],
    [":authority", aim.authority],
    ["user-agent", "bench"],
  ]);
  const open = Array.from({ length: aim.connections }, async () => {
    const socket = connect(aim.port, "127.0.0.1");
    await once(socket, "connect");
    return new Connection(socket, block, aim.bodyBytes, done);
  });
  const connections = await Promise.all(open);
  let turn = 0;
  return {
    send(dueMs) {
      connections[turn]?.send(dueMs);
      turn = (turn + 1) % connections.length;
    },
    flush() {
      for (const connection of connections) connection.flush();
    },
  };
}
