// Two of our codecs talk over a wire that cuts bytes wherever it likes: what one was told to send is what the other
// says it received, whatever happens in between: back-pressure, resets, trailers, GOAWAY.

import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import type { Fields } from "../../support/frames.ts";
import { CLIENT, type H2Connection, loadH2, SERVER } from "../../support/h2.ts";
import type { H2Event } from "../../support/h2-print.ts";

const engine = await loadH2();
const base = engine.exports.poolUsedBytes();

afterEach(() => {
  expect(engine.exports.poolUsedBytes()).toBe(base);
  expect(engine.exports.streamCount()).toBe(0);
});

const nameArbitrary = fc.oneof(
  fc.constantFrom("user-agent", "cookie", "accept", "x-request-id", "grpc-timeout", "authorization", "traceparent"),
  fc.stringMatching(/^[a-z][a-z0-9_.!#$%&'*+^`|~-]{0,20}$/).filter((name) => !SPECIAL.has(name)),
);
const SPECIAL = new Set(["te", "host", "connection", "upgrade", "keep-alive", "expect", "trailer", "age", "date"]);
const valueArbitrary = fc.oneof(
  fc.constantFrom("", "1", "application/json", "a b", "caf\xe9"),
  fc.stringMatching(/^[!-~\xa0-\xff]([ -~\xa0-\xff]{0,60}[!-~])?$/),
  fc.integer({ min: 1000, max: 6000 }).map((length) => "v".repeat(length)),
);
const fieldsArbitrary = fc.array(fc.tuple(nameArbitrary, valueArbitrary), { maxLength: 8 });
/** Trailers have a limit of their own, and some names are dropped from them (RFC 9110 §6.5.1). */
const trailersArbitrary = fc.array(
  fc.tuple(
    nameArbitrary.filter((name) => !["cookie", "authorization"].includes(name)),
    valueArbitrary.filter((value) => value.length < 1000),
  ),
  { maxLength: 8 },
);
const bodyArbitrary = fc.array(fc.oneof(fc.nat({ max: 50 }), fc.nat({ max: 40_000 })), { maxLength: 6 });

const messageArbitrary = fc.record({
  fields: fieldsArbitrary,
  body: bodyArbitrary,
  trailers: fc.option(trailersArbitrary),
  saysLength: fc.boolean(),
  /** Parts after which the sender resets instead. */
  resetsAfter: fc.option(fc.nat({ max: 5 }), { freq: 5 }),
});
type Message = typeof messageArbitrary extends fc.Arbitrary<infer T> ? T : never;

const worldArbitrary = fc.record({
  exchanges: fc.array(
    fc.record({
      path: fc.webPath().filter((path) => !path.includes("%00")),
      request: messageArbitrary,
      response: messageArbitrary,
    }),
    {
      minLength: 1,
      maxLength: 12,
    },
  ),
  isPillion: fc.boolean(),
  goawayAt: fc.option(fc.nat({ max: 200 }), { freq: 3 }),
  seed: fc.nat(),
});

/** Small and the same everywhere: xorshift32. */
function createRandom(seed: number): (max: number) => number {
  let state = (seed | 1) >>> 0;
  return (max) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % max;
  };
}

/** A message being sent: head, then body by credit, then its end. */
class Sender {
  readonly #message: Message;
  readonly #parts: number[];
  #step = 0;
  isDone = false;
  hasReset = false;

  constructor(message: Message) {
    this.#message = message;
    this.#parts = [...message.body];
  }

  get contentLength(): number {
    return this.#message.saysLength ? this.#message.body.reduce((sum, length) => sum + length, 0) : -1;
  }

  get isWholeInHead(): boolean {
    return this.#parts.length === 0 && this.#message.trailers === null && this.#message.resetsAfter === null;
  }

  /** Sends the next part; false when there is no credit for it. */
  send(connection: H2Connection, id: number): boolean {
    this.#step += 1;
    if (this.#message.resetsAfter !== null && this.#step > this.#message.resetsAfter) {
      connection.reset(id, 8);
      this.isDone = true;
      this.hasReset = true;
      return true;
    }
    const next = this.#parts[0];
    if (next === undefined) {
      if (this.#message.trailers === null) connection.engine.exports.sendEndH2(connection.stream(id));
      else connection.sendTrailers(id, this.#message.trailers);
      this.isDone = true;
      return true;
    }
    const length = Math.min(next, connection.sendable(id));
    if (length === 0 && next !== 0) return false;
    const isLast = length === next && this.#parts.length === 1 && this.#message.trailers === null;
    const ends = isLast && this.#message.resetsAfter === null;
    connection.sendData(id, Buffer.alloc(length, 97 + (id % 26)), ends);
    if (length === next) this.#parts.shift();
    else this.#parts[0] = next - length;
    if (ends) this.isDone = true;
    return true;
  }
}

/** What arrived of one message. */
interface Received {
  head: H2Event | undefined;
  bytes: number;
  trailers: Fields | undefined;
  isEnded: boolean;
  isReset: boolean;
  isUnprocessed: boolean;
}
const nothing = (): Received => ({
  head: undefined,
  bytes: 0,
  trailers: undefined,
  isEnded: false,
  isReset: false,
  isUnprocessed: false,
});

function take(received: Map<number, Received>, events: readonly H2Event[]): void {
  for (const event of events) {
    expect(event.name, `${event.name} ${event.code}`).not.toMatch(/FATAL|REFUSE/);
    if (event.id === 0) continue;
    const one = received.get(event.id) ?? nothing();
    received.set(event.id, one);
    expect(one.isEnded && event.name !== "CREDIT" && event.name !== "RESET").toBe(false);
    expect(one.isReset).toBe(false);
    switch (event.name) {
      case "HEAD":
        one.head = event;
        break;
      case "DATA":
        one.bytes += event.bytes.length;
        expect(event.bytes.every((byte) => byte === 97 + (event.id % 26))).toBe(true);
        break;
      case "TRAILERS":
        one.trailers = event.head!.fields;
        one.isEnded = true;
        break;
      case "RESET":
        one.isReset = true;
        one.isUnprocessed = (event.flags & 2) !== 0;
        break;
    }
    if (event.name === "END" || ((event.name === "HEAD" || event.name === "DATA") && event.end)) one.isEnded = true;
  }
}

/** A wire in one direction. */
class Wire {
  #bytes: Buffer = Buffer.alloc(0);

  /** Takes output, hands over a piece; returns whether something moved. */
  move(from: H2Connection, to: H2Connection, received: Map<number, Received>, size: number): boolean {
    this.#bytes = Buffer.concat([this.#bytes, from.outputBytes()]);
    const piece = this.#bytes.subarray(0, size);
    this.#bytes = this.#bytes.subarray(piece.length);
    take(received, piece.length === 0 ? to.poll() : to.receive(piece));
    return piece.length !== 0;
  }

  get isEmpty(): boolean {
    return this.#bytes.length === 0;
  }
}

function compare(sent: Message, got: Received, wasCut: boolean): void {
  expect(got.head!.head!.fields).toEqual(sent.fields);
  const total = sent.body.reduce((sum, length) => sum + length, 0);
  if (wasCut || got.isReset) {
    expect(got.bytes).toBeLessThanOrEqual(total);
    return;
  }
  expect(got.isEnded).toBe(true);
  expect(got.bytes).toBe(total);
  const trailers = sent.trailers ?? [];
  expect(got.trailers ?? []).toEqual(trailers);
}

test("what is sent is what arrives", () => {
  fc.assert(
    fc.property(worldArbitrary, (world) => {
      const random = createRandom(world.seed);
      const client = engine.connect(CLIENT, world.isPillion);
      const server = engine.connect(SERVER, world.isPillion);
      try {
        const [toServer, toClient] = [new Wire(), new Wire()];
        const [atServer, atClient] = [new Map<number, Received>(), new Map<number, Received>()];
        const waiting = [...world.exchanges];
        const senders = new Map<number, Sender>();
        const answers = new Map<number, Sender>();
        const sent = new Map<number, (typeof world.exchanges)[number]>();
        const refused: unknown[] = [];
        let idle = 0;
        for (let tick = 0; idle < 400; tick += 1) {
          idle += 1;
          if (tick === world.goawayAt) engine.exports.goawayH2(server.address, 0, false);
          if (world.goawayAt !== null && tick === world.goawayAt + 30) engine.exports.goawayH2(server.address, 0, true);
          const choice = random(4);
          if (choice === 0 && toServer.move(client, server, atServer, 1 + random(random(2) === 0 ? 20 : 60_000)))
            idle = 0;
          if (choice === 1 && toClient.move(server, client, atClient, 1 + random(random(2) === 0 ? 20 : 60_000)))
            idle = 0;
          if (choice === 2) {
            const next = waiting[0];
            if (next !== undefined && random(3) === 0) {
              waiting.shift();
              if (engine.exports.canOpenH2(client.address) === 0) refused.push(next);
              else {
                const sender = new Sender(next.request);
                const head = { method: "POST", path: next.path || "/", fields: next.request.fields };
                const id = client.request({ ...head, contentLength: sender.contentLength }, sender.isWholeInHead);
                sent.set(id, next);
                if (!sender.isWholeInHead) senders.set(id, sender);
              }
              idle = 0;
            } else if (advance(client, senders, random)) idle = 0;
          }
          if (choice === 3) {
            for (const [id, got] of atServer) {
              const exchange = sent.get(id)!;
              if (answers.has(id) || got.isReset || random(2) === 0) continue;
              const sender = new Sender(exchange.response);
              const head = { status: 200, fields: exchange.response.fields, contentLength: sender.contentLength };
              server.respond(id, head, sender.isWholeInHead);
              answers.set(id, sender);
              if (sender.isWholeInHead) sender.isDone = true;
              idle = 0;
            }
            if (advance(server, answers, random)) idle = 0;
          }
        }
        expect(toServer.isEmpty && toClient.isEmpty).toBe(true);
        if (world.goawayAt === null) expect(refused).toEqual([]);
        for (const [id, exchange] of sent) {
          const [request, response] = [atServer.get(id), atClient.get(id)];
          if (response?.isUnprocessed) {
            expect(request).toBeUndefined();
            continue;
          }
          const wasCut = senders.get(id)?.hasReset === true || answers.get(id)?.hasReset === true;
          // Reset by us before the server's final GOAWAY told that it was not processed.
          if (request === undefined && wasCut && world.goawayAt !== null) continue;
          expect(request!.head!.head!.path).toBe(exchange.path || "/");
          compare(exchange.request, request!, wasCut);
          if (response?.head !== undefined) compare(exchange.response, response, wasCut);
          else expect(wasCut).toBe(true);
        }
      } finally {
        client.destroy();
        server.destroy();
      }
    }),
    { numRuns: 300 },
  );
});

/** One step of one random message. */
function advance(connection: H2Connection, senders: Map<number, Sender>, random: (max: number) => number): boolean {
  const open = [...senders].filter(([id, sender]) => !sender.isDone && connection.streams.has(id));
  const chosen = open[random(Math.max(1, open.length))];
  return chosen?.[1].send(connection, chosen[0]) ?? false;
}
