// Random messages: what our writer writes our parser reads, however it is cut; what Node's parser reads we read alike;
// and no mutation of a message makes the codec trap or say something else when it is cut.

import { createServer, request as httpRequest, type Server } from "node:http";
import { type AddressInfo, connect as connectSocket } from "node:net";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type Connection, type Event, type Field, type H1, loadH1 } from "../../support/h1.ts";
import { type Case, runCase } from "../../support/h1-cases.ts";

let h1: H1;
let server: Server;
beforeAll(async () => {
  h1 = await loadH1();
  server = createServer({ requireHostHeader: true });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(() => {
  server.close();
});
afterEach(() => {
  expect([h1.exports.poolUsedBytes(), h1.exports.streamCount(), h1.exports.connectionCount()]).toEqual([0, 0, 0]);
});

const tokenChars = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
const token = (maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...tokenChars), minLength: 1, maxLength });
// Names that the codec gives a meaning are not random.
const hop = "connection|te|upgrade|keep-alive|proxy-connection|http2-settings|transfer.encoding";
const reserved = new RegExp(`^(${hop}|host|cookie|expect|trailer|content.length)$`);
const name = fc.oneof(token(40), fc.constantFrom("accept", "x-request-id", "content-type", "user-agent"));
const valueByte = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: 33, max: 126 }) },
  fc.constantFrom(32, 9, 0x80, 0xff),
);
const value = fc.array(valueByte, { maxLength: 60 }).map((bytes) =>
  Buffer.from(bytes)
    .toString("latin1")
    .replace(/^[ \t]+|[ \t]+$/g, ""),
);
const field: fc.Arbitrary<Field> = fc.tuple(
  name.filter((text) => !reserved.test(text)),
  value,
);
const target = fc
  .string({ unit: fc.constantFrom(..."/abcXYZ019-._~!$&'()*+,;=:@?%[]{}|"), maxLength: 80 })
  .map((text) => `/${text.replaceAll("%", "%2")}`);
const body = fc.array(
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((b) => String.fromCharCode(b)), maxLength: 300 }),
  {
    maxLength: 4,
  },
);

interface Message {
  readonly method: string;
  readonly path: string;
  readonly fields: readonly Field[];
  readonly parts: readonly string[];
  readonly isChunked: boolean;
  readonly trailers: readonly Field[];
  readonly cookies: readonly string[];
}

const message: fc.Arbitrary<Message> = fc.record({
  method: fc.constantFrom("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE"),
  path: target,
  fields: fc.array(field, { maxLength: 20 }),
  parts: body,
  isChunked: fc.boolean(),
  trailers: fc.array(
    fc.tuple(
      token(20).map((text) => `x-${text}`),
      value,
    ),
    { maxLength: 3 },
  ),
  cookies: fc.array(token(10), { maxLength: 3 }),
});

/** Cuts text at the given places (any numbers; taken modulo its length). */
function cut(text: string, places: readonly number[]): string[] {
  const sorted = [...new Set(places.map((place) => place % (text.length + 1)))].sort((a, b) => a - b);
  const pieces = sorted.map((place, index) => text.slice(index === 0 ? 0 : sorted[index - 1], place));
  return [...pieces, text.slice(sorted.at(-1) ?? 0)];
}

function send(connection: Connection, stream: number, one: Message): void {
  const text = one.parts.join("");
  const cookies: Field[] = one.cookies.map((cookie) => ["cookie", cookie]);
  const length = one.isChunked ? {} : { length: text.length };
  const fields = [...one.fields, ...cookies];
  connection.sendRequest(stream, { method: one.method, path: one.path, authority: "a", fields, ...length }, false);
  for (const part of one.parts) connection.sendData(stream, part, false);
  if (one.trailers.length > 0) connection.sendTrailers(stream, one.trailers);
  else connection.sendEnd(stream);
}

/** What a message's events say, joined. */
function summarize(events: readonly Event[]): unknown {
  const head = events.find((event) => event.kind === "head");
  const trailers = events.find((event) => event.kind === "trailers");
  return {
    head: head?.kind === "head" ? [head.head.method, head.head.path, head.head.authority, head.head.fields] : undefined,
    body: events.map((event) => (event.kind === "data" ? event.data : "")).join(""),
    trailers: trailers?.kind === "trailers" ? trailers.fields : [],
    ends: events.filter((e) => e.kind === "end" || e.kind === "trailers" || ("end" in e && e.end)).length,
    others: events.filter((e) => e.kind !== "head" && e.kind !== "data" && e.kind !== "end" && e.kind !== "trailers"),
  };
}

test("requests: what one side writes the other reads, on one connection, in any pieces", () => {
  fc.assert(
    fc.property(
      fc.array(message, { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat(), { maxLength: 30 }),
      (all, places) => {
        const client = h1.connect("upstream");
        const peer = h1.connect("downstream");
        for (const one of all) {
          const stream = client.open();
          expect(stream).not.toBe(0);
          send(client, stream, one);
          const events = cut(client.output(), places).flatMap((piece) => peer.events(piece));
          const joined: Field[] = one.cookies.length === 0 ? [] : [["cookie", one.cookies.join("; ")]];
          expect(summarize(events)).toEqual({
            head: [one.method, one.path, "a", [...one.fields, ...joined]],
            body: one.parts.join(""),
            trailers: one.isChunked ? one.trailers : [],
            ends: 1,
            others: [],
          });
          answer(peer, events, one, client, stream, places);
        }
        client.close();
        peer.close();
      },
    ),
    { numRuns: 300 },
  );
});

/** The other half of the pair: the same message back as a response, and both connections go on. */
function answer(
  peer: Connection,
  events: readonly Event[],
  one: Message,
  client: Connection,
  stream: number,
  places: readonly number[],
): void {
  const head = events.find((event) => event.kind === "head");
  if (head?.kind !== "head") throw new Error("no request");
  const text = one.parts.join("");
  const length = one.isChunked ? {} : { length: text.length };
  peer.sendResponse(head.stream, { status: 200, fields: one.fields, ...length }, false);
  for (const part of one.parts) peer.sendData(head.stream, part, false);
  peer.sendEnd(head.stream);
  const back = cut(peer.output(), places).flatMap((piece) => client.events(piece));
  const said = back.find((event) => event.kind === "head");
  expect(said?.kind === "head" ? [said.head.status, said.head.fields] : undefined).toEqual([200, one.fields]);
  expect(back.map((event) => (event.kind === "data" ? event.data : "")).join("")).toBe(text);
  peer.release(head.stream);
  client.release(stream);
  expect([peer.isReusable, client.isReusable]).toEqual([true, true]);
}

test("pipelined requests come out one at a time, in order", () => {
  fc.assert(
    fc.property(
      fc.array(message, { minLength: 2, maxLength: 5 }),
      fc.array(fc.nat(), { maxLength: 30 }),
      (all, places) => {
        const client = h1.connect("upstream");
        const text = all
          .map((one) => {
            const stream = client.open();
            send(client, stream, one);
            client.events("HTTP/1.1 204 No Content\r\n\r\n");
            client.release(stream);
            return client.output();
          })
          .join("");
        client.close();
        const peer = h1.connect("downstream");
        const paths: string[] = [];
        for (const piece of cut(text, places)) {
          let events = peer.events(piece);
          for (;;) {
            for (const event of events) if (event.kind === "head") paths.push(event.head.path);
            const stream = events.find((event) => "stream" in event)?.stream ?? current;
            current = stream;
            if (stream === 0 || (peer.streamFlags(stream) & 2) === 0) break;
            peer.sendResponse(stream, { status: 204 }, true);
            peer.release(stream);
            current = 0;
            if (!peer.hasBacklog) break;
            events = peer.events("");
          }
        }
        expect(paths).toEqual(all.map((one) => one.path));
        peer.close();
      },
    ),
  );
});
let current = 0;

test("what Node's parser reads of a request we read alike", async () => {
  const messages = fc.sample(message, { numRuns: 80, seed: 9112 });
  for (const one of messages) {
    const client = h1.connect("upstream");
    const stream = client.open();
    send(client, stream, one);
    const text = client.output();
    client.close();
    const theirs = await readByNode(text);
    const peer = h1.connect("downstream");
    const ours = summarize(peer.events(text)) as { head: [string, string, string, Field[]]; body: string };
    peer.close();
    expect(theirs).toEqual({ method: ours.head[0], path: ours.head[1], fields: ours.head[3], body: ours.body });
  }
});

test("what Node's client reads of a response is what we sent", async () => {
  const messages = fc.sample(message, { numRuns: 40, seed: 9112 });
  for (const one of messages) {
    const peer = h1.connect("downstream");
    const event = peer.events("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")[0];
    if (event?.kind !== "head") throw new Error("no request");
    const length = one.isChunked ? {} : { length: one.parts.join("").length };
    peer.sendResponse(event.stream, { status: 200, fields: one.fields, ...length }, false);
    for (const part of one.parts) peer.sendData(event.stream, part, false);
    peer.sendEnd(event.stream);
    const text = peer.output();
    peer.close();
    const theirs = await answerToNode(text);
    expect(theirs).toEqual({ status: 200, fields: one.fields, body: one.parts.join("") });
  }
});

test("mutations: no trap, and the same however they are cut", () => {
  const chunks = '5;a="b"\r\nhello\r\n0\r\nX: y\r\n\r\n';
  const seeds = [
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: b\r\n\r\n",
    `POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}GET / HTTP/1.0\r\n\r\n`,
    "GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: upgrade, x\r\nUpgrade: websocket\r\nX: y\r\n\r\nframes",
    "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
  ];
  const piece = fc.oneof(
    fc.constantFrom("\r\n", "\n", "\r", " ", ":", ",", ";", "\0", "0", "5", "chunked", "Content-Length: 5\r\n", "\xff"),
    fc.constantFrom(
      "Transfer-Encoding: chunked\r\n",
      "Connection: close\r\n",
      "\t",
      "\r\n\r\n",
      "%00",
      "#",
      '"',
      "HTTP/1.1",
    ),
  );
  const edit = fc.record({ at: fc.nat(), removed: fc.nat({ max: 6 }), piece });
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.array(edit, { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat(), { maxLength: 8 }),
      (seed, edits, places) => {
        let input = seed;
        for (const one of edits) {
          const at = one.at % (input.length + 1);
          input = input.slice(0, at) + one.piece + input.slice(at + one.removed);
        }
        const request = seed.startsWith("HTTP") ? ["GET / a end"] : undefined;
        const one: Case = {
          name: "",
          file: "",
          probes: [],
          input,
          ends: true,
          request,
          answer: request === undefined ? ["200 length=0 end"] : undefined,
          events: undefined,
          output: undefined,
        };
        const whole = runCase(h1, one, [input]);
        expect(runCase(h1, one, cut(input, places))).toEqual(whole);
        expect(runCase(h1, one, [...input])).toEqual(whole);
      },
    ),
    { numRuns: 3000 },
  );
});

interface Reading {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly fields: readonly Field[];
  readonly body: string;
}

/** What node:http's server makes of a request's bytes. */
function readByNode(text: string): Promise<Reading> {
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    const socket = connectSocket(port, "127.0.0.1", () => socket.write(text, "latin1"));
    socket.on("error", reject);
    socket.resume();
    server.removeAllListeners("request").removeAllListeners("clientError");
    // The socket of the message before may still be closing; what counts are errors of parsing.
    server.on("clientError", (error: NodeJS.ErrnoException) => {
      if (error.code !== "ECONNRESET") reject(error);
    });
    server.once("request", (incoming, outgoing) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("end", () => {
        const fields = plainFields(incoming.rawHeaders);
        resolve({
          method: incoming.method,
          path: incoming.url,
          fields,
          body: Buffer.concat(chunks).toString("latin1"),
        });
        outgoing.end();
        socket.destroy();
      });
    });
  });
}

/** What node:http's client makes of a response's bytes. */
async function answerToNode(text: string): Promise<{ status: number | undefined; fields: Field[]; body: string }> {
  const { createServer: createTcpServer } = await import("node:net");
  const tcp = createTcpServer((socket) => {
    socket.once("data", () => socket.end(text, "latin1"));
  });
  await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
  try {
    return await new Promise((resolve, reject) => {
      const outgoing = httpRequest({ port: (tcp.address() as AddressInfo).port, agent: false }, (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.on("error", reject);
        incoming.on("end", () => {
          const received = Buffer.concat(chunks).toString("latin1");
          resolve({ status: incoming.statusCode, fields: plainFields(incoming.rawHeaders), body: received });
        });
      });
      outgoing.on("error", reject);
      outgoing.end();
    });
  } finally {
    tcp.close();
  }
}

/** Raw headers without those of the hop. */
function plainFields(raw: readonly string[]): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < raw.length; at += 2) {
    const key = (raw[at] ?? "").toLowerCase();
    if (/^(host|content-length|transfer-encoding|connection)$/.test(key)) continue;
    fields.push([key, raw[at + 1] ?? ""]);
  }
  return fields;
}
