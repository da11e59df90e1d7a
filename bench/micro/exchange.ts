// One exchange through the product's engine without sockets: decoded, routed, balanced, encoded, and the answer back.
//
// Downstream and upstream are byte strings made here; only calls of the engine are on the clock (engine.ts).

import {
  data,
  END_HEADERS,
  END_STREAM,
  FrameReader,
  HEADERS,
  headers,
  PREFACE,
  settings,
  windowUpdate,
} from "../../test/support/frames.ts";
import { parseMesh } from "../../test/support/route-engine.ts";
import { spreadOf } from "../load/statistics.ts";
import type { Row } from "./clock.ts";
import { BenchEngine } from "./engine.ts";

const BODY = Buffer.alloc(100, "a");
const WINDOW_BYTES = 2 ** 30;
const WARM_UP_EXCHANGES = 60_000;
const ROUND_EXCHANGES = 8_000;
const ROUNDS = 15;
/** RFC 9113 §6.5.2, INITIAL_WINDOW_SIZE. */
const START = Buffer.concat([settings([[4, WINDOW_BYTES]]), windowUpdate(0, WINDOW_BYTES)]);
const FIELDS = [
  [":method", "GET"],
  [":scheme", "http"],
  [":authority", "bench"],
  [":path", "/100"],
  ["user-agent", "bench"],
] as const;
const HTTP1_REQUEST = Buffer.from("GET /100 HTTP/1.1\r\nhost: bench\r\nuser-agent: bench\r\n\r\n");
const HTTP1_ANSWER = Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`);

interface Shape {
  readonly what: string;
  readonly version: "h2" | "http1";
  readonly connections: number;
  readonly streams: number;
}

const SHAPES: readonly Shape[] = [
  { what: "h2c, 10 × 32", version: "h2", connections: 10, streams: 32 },
  { what: "h2c, 50 × 1", version: "h2", connections: 50, streams: 1 },
  { what: "HTTP/1.1, 50", version: "http1", connections: 50, streams: 1 },
];

/** Clients and backends of one shape around one engine. */
class Traffic {
  readonly #engine = new BenchEngine();
  readonly #shape: Shape;
  readonly #clients = new Map<number, { id: number; readonly frames: FrameReader }>();
  readonly #backends = new Map<number, FrameReader>();
  /** Answers on their way to the engine. */
  #answers: { handle: number; bytes: Buffer }[] = [];
  #answered = 0;

  constructor(shape: Shape) {
    this.#shape = shape;
    const protocol = shape.version === "h2" ? "http2" : "http";
    const service = { protocol };
    const instance = { address: "127.0.0.1:9" };
    this.#engine.load(parseMesh({ services: { bench: service }, instances: { bench: { a: instance } } }), 1);
    this.#engine.onBytes = (handle, bytes) => this.#take(handle, bytes);
    for (let index = 0; index < shape.connections; index += 1) {
      const handle = this.#engine.accept();
      this.#clients.set(handle, { id: 1, frames: new FrameReader(false) });
      if (shape.version === "h2") this.#engine.receive(handle, Buffer.concat([PREFACE, START]));
    }
    this.#engine.turn();
  }

  /** One request on every stream, answered; µs on the clock. */
  round(): number {
    const { connections, streams } = this.#shape;
    this.#engine.takeUs();
    this.#answered = 0;
    for (const [handle, client] of this.#clients) this.#engine.receive(handle, this.#requests(client));
    this.#engine.turn();
    while (this.#answers.length > 0) {
      const answers = this.#answers;
      this.#answers = [];
      for (const { handle, bytes } of answers) this.#engine.receive(handle, bytes);
      this.#engine.turn();
    }
    if (this.#answered !== connections * streams) throw new Error(`${this.#answered} answers in a round`);
    return this.#engine.takeUs();
  }

  #requests(client: { id: number }): Buffer {
    if (this.#shape.version === "http1") return HTTP1_REQUEST;
    const parts = Array.from({ length: this.#shape.streams }, () => {
      client.id += 2;
      return headers(client.id, FIELDS, END_HEADERS | END_STREAM);
    });
    return Buffer.concat(parts);
  }

  #take(handle: number, bytes: Buffer): void {
    const client = this.#clients.get(handle);
    if (this.#shape.version === "http1") {
      if (client !== undefined) this.#answered += bytes.toString("latin1").split("HTTP/1.1 200").length - 1;
      else this.#answer(handle, HTTP1_ANSWER, bytes.toString("latin1").split("\r\n\r\n").length - 1);
      return;
    }
    if (client !== undefined) {
      for (const { type, flags } of client.frames.read(bytes))
        if (type <= HEADERS && flags & END_STREAM) this.#answered += 1;
      return;
    }
    const isNew = !this.#backends.has(handle);
    const frames = this.#backends.get(handle) ?? new FrameReader(true);
    this.#backends.set(handle, frames);
    if (isNew) this.#answers.push({ handle, bytes: START });
    const ids = frames.read(bytes).flatMap(({ type, id }) => (type === HEADERS ? [id] : []));
    const parts = ids.flatMap((id) => [headers(id, [[":status", "200"]]), data(id, BODY, END_STREAM)]);
    if (parts.length > 0) this.#answers.push({ handle, bytes: Buffer.concat(parts) });
  }

  #answer(handle: number, bytes: Buffer, count: number): void {
    if (count > 0) this.#answers.push({ handle, bytes: Buffer.concat(Array.from({ length: count }, () => bytes)) });
  }
}

/** The shapes of the product's promise. */
export function* measureExchanges(): Generator<Row> {
  for (const shape of SHAPES) {
    const traffic = new Traffic(shape);
    const each = shape.connections * shape.streams;
    for (let done = 0; done < WARM_UP_EXCHANGES; done += each) traffic.round();
    const rounds = Array.from({ length: ROUNDS }, () => {
      let us = 0;
      let done = 0;
      for (; done < ROUND_EXCHANGES; done += each) us += traffic.round();
      return (us * 1_000) / done;
    });
    yield { part: "exchange in the engine", what: shape.what, ns: spreadOf(rounds) };
  }
}
