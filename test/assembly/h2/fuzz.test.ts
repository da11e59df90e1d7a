// Any bytes: no trap, no leak, events in an order that a proxy can rely on, and the same ones however they are cut.
//
// Structure-aware: frames of every type with plausible and implausible parts, whole conversations of them, some bytes
// of which are changed afterwards. A proxy of a few lines answers, so that streams reach every state.

import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { encodeFields, type Fields, frame, PREFACE, settings } from "../../support/frames.ts";
import { CLIENT, type H2Connection, loadH2, SERVER } from "../../support/h2.ts";
import { type H2Event, printEvents } from "../../support/h2-print.ts";

const engine = await loadH2();
const base = engine.exports.poolUsedBytes();

afterEach(() => {
  expect(engine.exports.poolUsedBytes()).toBe(base);
  expect(engine.exports.streamCount()).toBe(0);
});

const request: Fields = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/"],
];
const requests: readonly Fields[] = [
  request,
  request,
  [...request, ["cookie", "a=b"], ["te", "trailers"], ["x", "y"]],
  [...request, ["content-length", "60"]],
  [
    [":method", "CONNECT"],
    [":authority", "a:1"],
  ],
  [...request, ["connection", "close"]],
];
const responses: readonly Fields[] = [
  [[":status", "200"]],
  [
    [":status", "200"],
    ["content-length", "60"],
  ],
  [[":status", "204"]],
  [[":status", "103"]],
  [["x-sum", "1"]],
];
const CONNECTION_FRAMES: readonly Buffer[] = [
  settings(),
  settings([[4, 100]]),
  settings([
    [4, 70_000],
    [3, 5],
  ]),
  settings([[1, 0]]),
  settings([[0xf0f1, 1]]),
  frame(6, 0, 0, Buffer.alloc(8)),
  frame(8, 0, 0, Buffer.of(0, 0, 1, 0)),
  frame(2, 0, 1, Buffer.of(0, 0, 0, 0, 9)),
  frame(0xf1, 0, 0, Buffer.alloc(20)),
  frame(7, 0, 0, Buffer.of(0, 0, 0, 3, 0, 0, 0, 0)),
];
const idArbitrary = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(1, 3, 5, 7, 9, 11) },
  { weight: 1, arbitrary: fc.constantFrom(0, 2, 13, 0x7fffffff, 0x80000001) },
);
const flagsArbitrary = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(0, 1, 4, 5, 5, 4) },
  { weight: 1, arbitrary: fc.nat({ max: 255 }) },
);
const bytesArbitrary = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
const blockArbitrary = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...requests, ...responses).map(encodeFields) },
  // Indexed, incremental, size updates, Huffman.
  {
    weight: 2,
    arbitrary: fc.constantFrom("828684", "8286844101614003666f6f0162", "be", "bf", "20", "3f01", "8841018c"),
  },
  { weight: 1, arbitrary: bytesArbitrary },
);
const settingArbitrary = fc.tuple(
  fc.constantFrom(1, 2, 3, 4, 5, 6, 8, 0xf0f1, 99),
  fc.constantFrom(0, 1, 2, 100, 16384, 65535, 0x7fffffff, 0xffffffff),
);
const u32Arbitrary = fc.constantFrom(0, 1, 2, 3, 5, 8, 100, 65535, 0x7fffffff, 0xffffffff);

/** Any frame: mostly the end of the conversation. */
const noiseArbitrary = fc.oneof(
  fc.tuple(fc.constantFrom(1, 9), flagsArbitrary, idArbitrary, blockArbitrary.map(toBytes)),
  fc.tuple(fc.constant(0), flagsArbitrary, idArbitrary, bytesArbitrary),
  fc.tuple(fc.constantFrom(3, 8), flagsArbitrary, idArbitrary, u32Arbitrary.map(toU32)),
  fc.tuple(
    fc.constant(4),
    fc.constantFrom(0, 0, 1),
    fc.constantFrom(0, 0, 0, 1),
    fc.array(settingArbitrary, { maxLength: 4 }).map((entries) => settings(entries).subarray(9)),
  ),
  fc.tuple(fc.constantFrom(6, 7), flagsArbitrary, fc.constant(0), fc.constant(Buffer.alloc(8, 1))),
  fc.tuple(fc.constant(2), flagsArbitrary, idArbitrary, fc.constant(Buffer.of(0, 0, 0, 1, 1))),
  fc.tuple(fc.nat({ max: 255 }), flagsArbitrary, idArbitrary, bytesArbitrary),
);

/** What an honest peer might do next, `on` one of its streams. */
const moveArbitrary = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("open"), on: fc.nat(), end: fc.boolean(), size: fc.nat(9) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("data"), on: fc.nat(), end: fc.boolean(), size: fc.nat(60) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("padded"), on: fc.nat(), end: fc.boolean(), size: fc.nat(9) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("trailers"), on: fc.nat(), end: fc.constant(true), size: fc.nat(9) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reset"), on: fc.nat(), end: fc.boolean(), size: fc.nat(9) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("update"), on: fc.nat(), end: fc.boolean(), size: fc.nat(9) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("connection"), on: fc.nat(), end: fc.boolean(), size: fc.nat(9) }),
  },
);
type Move = typeof moveArbitrary extends fc.Arbitrary<infer T> ? T : never;

const worldArbitrary = fc.record({
  isClient: fc.boolean(),
  moves: fc.array(moveArbitrary, { maxLength: 40 }),
  /** Where noise is put, and what. */
  noise: fc.oneof(fc.constant([]), fc.array(fc.tuple(fc.nat({ max: 40 }), noiseArbitrary), { maxLength: 2 })),
  /** Bytes changed afterwards: place as a share of all, and what is xored. */
  changes: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    {
      weight: 1,
      arbitrary: fc.array(fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat({ max: 255 })), {
        maxLength: 3,
      }),
    },
  ),
  cuts: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 20 }),
  endsWithFin: fc.boolean(),
});
type World = typeof worldArbitrary extends fc.Arbitrary<infer T> ? T : never;

/** Writes moves as frames, knowing which streams are open. */
class Peer {
  readonly #isClient: boolean;
  #nextId = 1;
  readonly #open: number[] = [];
  /** Streams of ours that the peer may answer, when it is the server. */
  readonly #unanswered: (number | undefined)[] = [1, 3, 5, 7];

  constructor(isClient: boolean) {
    this.#isClient = isClient;
  }

  write(move: Move): Buffer {
    if (move.kind === "connection") return CONNECTION_FRAMES[move.size % CONNECTION_FRAMES.length]!;
    if (move.kind === "open") return this.#writeHead(move);
    const rank = this.#open.length === 0 ? -1 : move.on % this.#open.length;
    const id = this.#open[rank];
    if (id === undefined) return Buffer.alloc(0);
    if (move.end || move.kind === "reset") this.#open.splice(rank, 1);
    const end = move.end ? 1 : 0;
    switch (move.kind) {
      case "data":
        return frame(0, end, id, Buffer.alloc(move.size, 120));
      case "padded":
        return frame(0, end | 8, id, Buffer.alloc(1 + 2 * move.size, move.size));
      case "trailers":
        return frame(1, 5, id, encodeFields([["x-sum", "1"]]));
      case "reset":
        return frame(3, 0, id, toU32(8));
      default:
        if (move.end) this.#open.push(id);
        return frame(8, 0, id, toU32(1 + move.size));
    }
  }

  /** A request, or the response to one of four; now and then in two fragments, or of the malformed kind. */
  #writeHead(move: Move): Buffer {
    const fields = this.#isClient ? responses[move.size % responses.length]! : requests[move.size % requests.length]!;
    const id = this.#isClient ? this.#unanswered[move.on % 4] : this.#nextId;
    if (id === undefined) return Buffer.alloc(0);
    if (this.#isClient && !fields.some(([, value]) => value === "103")) this.#unanswered[move.on % 4] = undefined;
    this.#nextId += 2;
    if (!move.end) this.#open.push(id);
    const block = encodeFields(fields);
    const end = move.end ? 1 : 0;
    if (move.on % 5 !== 0) return frame(1, end | 4, id, block);
    const at = move.on % block.length;
    return Buffer.concat([frame(1, end, id, block.subarray(0, at)), frame(9, 4, id, block.subarray(at))]);
  }
}

function toBytes(block: Buffer | string): Buffer {
  return Buffer.isBuffer(block) ? block : Buffer.from(block, "hex");
}

function toU32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function inputOf(world: World): Buffer {
  const peer = new Peer(world.isClient);
  const frames = world.moves.map((move) => peer.write(move));
  for (const [at, [type, flags, id, payload]] of world.noise) frames.splice(at, 0, frame(type, flags, id, payload));
  const input = Buffer.concat([world.isClient ? Buffer.alloc(0) : PREFACE, settings(), ...frames]);
  for (const [share, mask] of world.changes) {
    const at = Math.floor(share * input.length);
    input[at] = input[at]! ^ mask;
  }
  return input;
}

/** What a proxy counts on: no stream before its head, nothing after its end or reset. */
class Order {
  readonly #ended = new Set<number>();
  readonly #headed = new Set<number>();
  #isDead = false;

  take(event: H2Event, isClient: boolean): void {
    expect(this.#isDead, "an event after FATAL").toBe(false);
    if (event.name === "FATAL") this.#isDead = true;
    if (event.id === 0) return;
    if (event.name === "RESET") {
      if (!isClient) expect(this.#headed).toContain(event.id);
      this.#ended.add(event.id);
      return;
    }
    if (event.name === "CREDIT") return;
    expect(this.#ended, `${event.name} ${event.id}`).not.toContain(event.id);
    if (event.name === "HEAD" || event.name === "REFUSE") {
      expect(this.#headed).not.toContain(event.id);
      this.#headed.add(event.id);
    } else if (event.name !== "INFORMATIONAL") expect(this.#headed).toContain(event.id);
    const isEnd = event.name === "END" || event.name === "TRAILERS" || event.end;
    if (isEnd && event.name !== "REFUSE" && event.name !== "INFORMATIONAL") this.#ended.add(event.id);
  }
}

/** Answers requests when they end, gives up streams that were answered. */
function serve(connection: H2Connection, event: H2Event): void {
  if (connection.role === CLIENT || !connection.streams.has(event.id)) return;
  const isEnd = event.name === "END" || event.name === "TRAILERS" || event.name === "REFUSE" || event.end;
  if (!isEnd) return;
  connection.respond(event.id, { status: 200 }, event.id % 4 === 1);
  if (event.id % 4 === 1) connection.release(event.id);
}

function play(world: World, cuts: readonly number[]): { events: string[]; output: string[] } {
  const input = inputOf(world);
  const connection = engine.connect(world.isClient ? CLIENT : SERVER);
  const order = new Order();
  connection.onEvent = (event) => {
    order.take(event, world.isClient);
    serve(connection, event);
  };
  try {
    if (world.isClient)
      for (let count = 0; count < 4; count += 1) connection.request({ method: "POST" }, count % 2 === 0);
    const events: H2Event[] = [];
    let from = 0;
    for (let index = 0; from < input.length; index += 1) {
      const size = cuts[index % cuts.length]!;
      events.push(...connection.receive(input.subarray(from, from + size)));
      from += size;
    }
    if (world.endsWithFin && !events.some((event) => event.name === "FATAL")) events.push(...connection.end());
    return { events: printEvents(events), output: connection.output() };
  } finally {
    connection.destroy();
  }
}

describe("conversations of any frames", () => {
  test("do not depend on how they are cut", () => {
    fc.assert(
      fc.property(worldArbitrary, (world) => {
        expect(play(world, world.cuts)).toEqual(play(world, [1_000_000]));
      }),
      { numRuns: 3000 },
    );
  });
});

describe("any bytes", () => {
  test("do not trap", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.uint8Array({ maxLength: 200 }), (isClient, bytes) => {
        const connection = engine.connect(isClient ? CLIENT : SERVER);
        connection.handshake();
        connection.receive(bytes);
        connection.destroy();
      }),
      { numRuns: 2000 },
    );
  });
});
