// Fuzzes the HTTP/2 codec with whole conversations of frames: right ones, which the engine must hear exactly as they
// were said; and wrong ones, of which only order and cleanliness are asked. Either way nothing may depend on how the
// bytes are cut, what is written must be readable, and everything comes back to the pool.

import { HpackModel } from "../models/hpack.ts";
import { encodeFields, type Fields, frame, PREFACE, settings, u32 } from "../support/frames.ts";
import { CLIENT, type H2Connection, type H2Engine, SERVER } from "../support/h2.ts";
import { type H2Event, printEvents } from "../support/h2-print.ts";
import type { Fuzzer } from "./fuzzer.ts";
import { Random } from "./random.ts";

/** Requests that the engine makes when it is the client. */
const OWN_REQUESTS = 4;
const REQUEST: Fields = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/"],
];
const MORE: Fields = [
  ["x-a", "1"],
  ["x-b", "some longer value"],
  ["cookie", "a=b"],
  ["accept", "*/*"],
  ["user-agent", "u"],
];
/** Blocks that are wrong in some way, or that need a table entry which may not be there. */
const WRONG_BLOCKS: readonly Buffer[] = [
  encodeFields([...REQUEST, ["connection", "close"]]),
  encodeFields([...REQUEST, ["X", "1"]]),
  encodeFields([...REQUEST, ["x", "a\r\nb: c"]]),
  encodeFields([...REQUEST, ["content-length", "60"]]),
  encodeFields([...REQUEST, ["content-length", "x"]]),
  encodeFields([...REQUEST, [":path", "/"]]),
  encodeFields([[":status", "20x"]]),
  encodeFields([[":status", "101"]]),
  encodeFields([
    [":method", "CONNECT"],
    [":authority", "a:1"],
  ]),
  ...["be", "bf", "ff", "20", "3f01", "3fe21f", "8841018c", "80", "0081ff00", "7f"].map((text) =>
    Buffer.from(text, "hex"),
  ),
];
const WORDS = [0, 1, 2, 3, 5, 8, 100, 65535, 0x7fffffff, 0xffffffff];

interface Said {
  fields: string;
  body: string;
  trailers: string;
  end: "open" | "end" | "reset";
}

export function createH2Fuzzer(engine: H2Engine): Fuzzer {
  const base = engine.exports.poolUsedBytes();
  const run = (seed: number) => {
    const executions = runH2(engine, new Random(seed));
    // A table block that grew stays until the next field block begins: one more block, then everything is back.
    if (engine.exports.poolUsedBytes() !== base) decodeOne(engine);
    const left = [engine.exports.poolUsedBytes() - base, engine.exports.streamCount()];
    if (left.some((count) => count !== 0)) throw new Error(`not given back: ${left} bytes, streams`);
    return executions;
  };
  return { name: "h2", run };
}

function decodeOne(engine: H2Engine): void {
  const connection = engine.connect(SERVER);
  connection.receive(Buffer.concat([PREFACE, settings(), frame(1, 5, 1, encodeFields(REQUEST))]));
  connection.destroy();
}

function runH2(engine: H2Engine, random: Random): number {
  const writer = new Writer(random, random.once(3));
  const input = writer.write();
  const fin = random.once(3);
  const whole = play(engine, writer, [input], fin);
  const pieces = random.once(6) ? [...input].map((byte) => Buffer.of(byte)) : cutAnywhere(input, random);
  const cut = play(engine, writer, pieces, fin);
  if (JSON.stringify(whole) !== JSON.stringify(cut)) {
    throw new Error(`cut differently: ${input.toString("hex")}\n${show(whole)}\n${show(cut)}`);
  }
  return 2;
}

const show = ({ events, output }: Outcome) => [...events, "--", ...output].join("\n");

function cutAnywhere(input: Buffer, random: Random): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < input.length; ) {
    const length = 1 + random.below(random.pick([2, 12, 80]));
    pieces.push(input.subarray(at, at + length));
    at += length;
  }
  return pieces;
}

/** Writes one side of a conversation, and keeps what it says. */
class Writer {
  readonly isServer: boolean;
  readonly #random: Random;
  readonly #model = new HpackModel();
  readonly #open: number[] = [];
  /** Streams of ours that the peer may answer. */
  readonly #asked = Array.from({ length: OWN_REQUESTS }, (_, index) => 1 + 2 * index);
  readonly said = new Map<number, Said>();
  #nextId = 1;
  isHonest = true;

  /** `isServer`: the writer is the server, and the engine the client. */
  constructor(random: Random, isServer: boolean) {
    this.#random = random;
    this.isServer = isServer;
  }

  write(): Buffer {
    const random = this.#random;
    const parts: Buffer[] = [this.isServer ? Buffer.alloc(0) : PREFACE, settings()];
    this.isHonest = random.once(2);
    for (let left = random.below(30); left > 0; left -= 1) {
      parts.push(this.isHonest || !random.once(6) ? this.#move() : this.#noise());
    }
    const input = Buffer.concat(parts);
    if (!this.isHonest && random.once(3)) {
      const at = random.below(input.length);
      input[at]! ^= 1 << random.below(8);
    }
    return input;
  }

  #move(): Buffer {
    const random = this.#random;
    const dice = random.below(20);
    if (dice < 6) return this.#head();
    if (dice === 6) return this.#control();
    if (this.#open.length === 0) return this.#head();
    const id = random.pick(this.#open);
    const said = this.said.get(id)!;
    if (dice < 14) return this.#data(id, said);
    if (dice < 16) {
      this.#close(id, "end");
      said.trailers = "x-sum: 1";
      return this.#block(id, this.#encode([["x-sum", "1"]]), 1);
    }
    if (dice === 16) {
      this.#close(id, "reset");
      return frame(3, 0, id, u32(8));
    }
    return frame(8, 0, id, u32(1 + random.below(100)));
  }

  #head(): Buffer {
    const random = this.#random;
    const rank = random.below(Math.max(1, this.#asked.length));
    const id = this.isServer ? this.#asked[rank] : this.#nextId;
    if (id === undefined) return this.#control();
    const extra = MORE.filter(() => random.once(2));
    const first: Fields = this.isServer ? [[":status", random.pick(["200", "404", "503"])]] : REQUEST;
    if (this.isServer && random.once(6)) return this.#block(id, this.#encode([[":status", "103"], ...extra]), 0);
    if (this.isServer) this.#asked.splice(rank, 1);
    else this.#nextId += 2 + 2 * random.below(2);
    const end = random.once(3);
    const fields = extra.map(([name, value]) => `${name}: ${value}`).join();
    this.said.set(id, { fields, body: "", trailers: "", end: end ? "end" : "open" });
    if (!end) this.#open.push(id);
    return this.#block(id, this.#encode([...first, ...extra]), end ? 1 : 0);
  }

  #data(id: number, said: Said): Buffer {
    const random = this.#random;
    const length = random.below(random.pick([2, 40, 300]));
    const text = String.fromCharCode(65 + (id % 26)).repeat(length);
    const end = random.once(5) || length === 0 ? 1 : 0;
    said.body += text;
    if (end === 1) this.#close(id, "end");
    if (!random.once(4)) return frame(0, end, id, Buffer.from(text));
    const padding = random.below(random.pick([1, 10, 256]));
    return frame(0, end | 8, id, Buffer.concat([Buffer.of(padding), Buffer.from(text), Buffer.alloc(padding)]));
  }

  #close(id: number, how: "end" | "reset"): void {
    this.#open.splice(this.#open.indexOf(id), 1);
    this.said.get(id)!.end = how;
  }

  /** A block with whatever the dice put around it: padding, a priority, CONTINUATION frames. */
  #block(id: number, block: Buffer, end: number): Buffer {
    const random = this.#random;
    const isCut = random.once(4);
    const at = isCut ? random.below(block.length + 1) : block.length;
    let flags = end | (isCut ? 0 : 4);
    let first = block.subarray(0, at);
    if (random.once(5)) {
      flags |= 32;
      first = Buffer.concat([u32(id === 0 ? 1 : 0), Buffer.of(9), first]);
    }
    if (random.once(5)) {
      const padding = random.below(20);
      flags |= 8;
      first = Buffer.concat([Buffer.of(padding), first, Buffer.alloc(padding)]);
    }
    const frames = [frame(1, flags, id, first)];
    for (let from = at; isCut; ) {
      const length = random.once(2) ? block.length - from : random.below(block.length - from + 1);
      const isLast = frames.length > 4 || from + length === block.length;
      frames.push(frame(9, isLast ? 4 : 0, id, block.subarray(from, isLast ? block.length : from + length)));
      from += length;
      if (isLast) break;
    }
    return Buffer.concat(frames);
  }

  /** Fields through a table of our own. */
  #encode(fields: Fields): Buffer {
    const octets: number[] = [];
    for (const [name, value] of fields) {
      let index = 0;
      for (let rank = 1; rank <= this.#model.indexMax && index === 0; rank += 1) {
        const row = this.#model.row(rank)!;
        if (row[0] === name && row[1] === value) index = rank;
      }
      const kind = this.#random.pick(["inserted", "plain"] as const);
      if (index !== 0 && !this.#random.once(4)) octets.push(...this.#model.encodeIndexed(index));
      else octets.push(...this.#model.encodeLiteral(kind, 0, [name, value], this.#random.once(2)));
    }
    return Buffer.from(octets);
  }

  #control(): Buffer {
    const random = this.#random;
    const opened = this.isServer ? 1 : Math.max(1, this.#nextId - 2);
    return random.pick([
      settings(),
      settings([[4, random.pick([100, 70_000])]]),
      settings([
        [1, random.pick([0, 100, 4096])],
        [99, 5],
      ]),
      settings([[0xf0f1, 1]]),
      frame(6, 0, 0, Buffer.alloc(8, random.below(256))),
      frame(8, 0, 0, u32(1 + random.below(1000))),
      frame(2, 0, opened, Buffer.of(0, 0, 0, 0, 9)),
      frame(0xf2, random.below(256), random.below(9), Buffer.alloc(random.below(20))),
    ]);
  }

  /** Any frame at all. */
  #noise(): Buffer {
    const random = this.#random;
    const id = random.pick([0, 1, 2, 3, 5, 7, this.#nextId, 0x7fffffff, 0x80000001]);
    const flags = random.once(4) ? random.below(256) : random.pick([0, 1, 4, 5]);
    const bytes = Buffer.from(Array.from({ length: random.below(30) }, () => random.below(256)));
    switch (random.below(7)) {
      case 0:
        return frame(random.pick([1, 1, 9]), flags, id, random.pick(WRONG_BLOCKS));
      case 1:
        return frame(random.pick([3, 8]), flags, id, u32(random.pick(WORDS)));
      case 2:
        return settings([[random.pick([1, 2, 3, 4, 5, 6, 8, 0xf0f1]), random.pick(WORDS)]]);
      case 3:
        return frame(
          random.pick([6, 7]),
          flags,
          random.pick([0, 0, 1]),
          Buffer.alloc(random.pick([8, 8, 7, 9, 20]), 1),
        );
      case 4:
        return frame(0, flags, id, bytes);
      case 5:
        return frame(random.below(256), flags, id, bytes);
      default:
        return frame(random.below(10), flags, id, bytes, random.pick([bytes.length, 0, 16384, 16385, 0xffffff]));
    }
  }
}

interface Outcome {
  readonly events: string[];
  readonly output: string[];
}

function play(engine: H2Engine, writer: Writer, pieces: readonly Buffer[], fin: boolean): Outcome {
  const connection = engine.connect(writer.isServer ? CLIENT : SERVER);
  const order = new Order(writer.isServer);
  connection.onEvent = (event) => {
    order.take(event);
    serve(connection, event);
  };
  try {
    for (let count = 0; writer.isServer && count < OWN_REQUESTS; count += 1) {
      connection.request({ method: "POST" }, count % 2 === 0);
    }
    const events: H2Event[] = pieces.flatMap((piece) => connection.receive(piece));
    if (writer.isHonest) compareSaid(writer.said, events);
    if (fin && !events.some((event) => event.name === "FATAL")) events.push(...connection.end());
    return { events: printEvents(events), output: connection.output() };
  } finally {
    connection.destroy();
  }
}

/** What was heard of each stream is what was said. */
function compareSaid(said: ReadonlyMap<number, Said>, events: readonly H2Event[]): void {
  const heard = new Map<number, Said>();
  for (const event of events) {
    if (event.name === "FATAL") throw new Error(`FATAL ${event.code} without a reason`);
    const one = heard.get(event.id) ?? { fields: "", body: "", trailers: "", end: "open" };
    const fields = (event.head?.fields ?? []).map(([name, value]) => `${name}: ${value}`).join();
    if (event.name === "HEAD") one.fields = fields;
    else if (event.name === "DATA") one.body += event.bytes.toString("latin1");
    else if (event.name === "TRAILERS") one.trailers = fields;
    else if (event.name !== "RESET" && event.name !== "END") continue;
    if (isEndOf(event)) one.end = "end";
    if (event.name === "RESET" && one.end === "open") one.end = "reset";
    heard.set(event.id, one);
  }
  for (const [id, one] of said) {
    const other = JSON.stringify(heard.get(id));
    if (other !== JSON.stringify(one)) throw new Error(`stream ${id}: said ${JSON.stringify(one)}, heard ${other}`);
  }
}

/** The peer's side of the stream is over; only of HEAD and DATA `end` says so. */
function isEndOf({ name, end }: H2Event): boolean {
  return name === "END" || name === "TRAILERS" || (end && (name === "HEAD" || name === "DATA"));
}

/** What a proxy counts on: no stream before its head, nothing after its end or reset, nothing after a FATAL. */
class Order {
  readonly #isClient: boolean;
  readonly #ended = new Set<number>();
  readonly #headed = new Set<number>();
  #isDead = false;

  constructor(isClient: boolean) {
    this.#isClient = isClient;
  }

  take(event: H2Event): void {
    const { name, id } = event;
    const insist = (holds: boolean) => {
      if (!holds) throw new Error(`${name} of stream ${id} comes out of turn`);
    };
    insist(!this.#isDead);
    if (name === "FATAL") this.#isDead = true;
    if (id === 0 || name === "CREDIT") return;
    if (name === "RESET") {
      insist(this.#isClient || this.#headed.has(id));
      this.#ended.add(id);
      return;
    }
    insist(!this.#ended.has(id));
    if (name === "HEAD" || name === "REFUSE") {
      insist(!this.#headed.has(id));
      this.#headed.add(id);
    } else if (name !== "INFORMATIONAL") insist(this.#headed.has(id));
    if (isEndOf(event)) this.#ended.add(id);
  }
}

/** Answers requests when they end; of half of them nothing more is to be heard. */
function serve(connection: H2Connection, event: H2Event): void {
  if (connection.role === CLIENT || !connection.streams.has(event.id)) return;
  if (!isEndOf(event) && event.name !== "REFUSE") return;
  connection.respond(event.id, { status: 200 }, event.id % 4 === 1);
  if (event.id % 4 === 1) connection.release(event.id);
}
