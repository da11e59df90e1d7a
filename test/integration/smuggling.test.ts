// Goal: whatever a client says, a backend is sent whole well-formed messages or nothing; whatever a backend says, a
// client gets its own answer or 502. Method: real sockets through one sidecar; the backend is raw TCP and a strict
// reader that shares no code with the engine (support/raw-backend.ts), or node:http2 behind an HTTP/2 service. After
// each vector an honest request is sent: nothing that came before may show in it.

import { createServer as createHttp2Server, type Http2Server, type IncomingHttpHeaders } from "node:http2";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openRaw } from "../support/foreign-clients.ts";
import * as h2 from "../support/frames.ts";
import { waitUntil } from "../support/process.ts";
import { RawBackend } from "../support/raw-backend.ts";
import { createMesh, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";
import {
  H1_VECTORS,
  H2_VECTORS,
  type H2Vector,
  RESPONSE_VECTORS,
  SPLIT_VECTORS,
} from "../support/smuggling-vectors.ts";

const HONEST = "GET /honest HTTP/1.1\r\nHost: raw\r\nConnection: close\r\n\r\n";

let backend: RawBackend;
let modern: Http2Server;
const modernRequests: IncomingHttpHeaders[] = [];
let mesh: MeshFolder;
let sidecar: Sidecar;
const sockets: Socket[] = [];

beforeAll(async () => {
  backend = await RawBackend.start();
  modern = createHttp2Server((request, response) => {
    request.resume();
    request.on("error", () => {}); // a stream that was reset: its request never became whole
    request.on("end", () => {
      if (request.aborted || request.stream.aborted || request.stream.rstCode !== 0) return;
      modernRequests.push(request.headers);
      response.end("ok");
    });
  });
  modern.on("connection", (socket: Socket) => sockets.push(socket));
  await new Promise<void>((resolve) => modern.listen(0, "127.0.0.1", resolve));
  const { port } = modern.address() as { port: number };
  const instances = [{ id: "a", address: backend.address }];
  mesh = createMesh({
    services: {
      raw: { instances, retry: { attempts: 0 } },
      modern: { protocol: "http2", retry: { attempts: 0 }, instances: [{ id: "a", address: `127.0.0.1:${port}` }] },
    },
  });
  sidecar = await startSidecar({ mesh });
});

afterAll(async () => {
  await sidecar.stop();
  await backend[Symbol.asyncDispose]();
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => modern.close(resolve));
  await mesh[Symbol.asyncDispose]();
});

beforeEach(() => {
  backend.forget();
  backend.answer = () => ({ text: "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" });
  modernRequests.length = 0;
});

/** An honest request on a connection of its own: answered by its backend, and the last thing that arrives there. */
async function expectHonest(): Promise<void> {
  const raw = await openRaw(sidecar.outbound);
  raw.write(HONEST);
  const text = await raw.readUntilEnd();
  raw.socket.destroy();
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(text.endsWith("ok")).toBe(true);
}

/** What arrived before the honest request: only well-formed messages, without anything evil. */
function expectArrived(targets: readonly string[]): void {
  const { messages, errors } = backend.read();
  expect(errors).toEqual([]);
  const arrived = messages.filter(({ first }) => first[1] !== "/honest");
  expect(arrived.map(({ first }) => first[1])).toEqual(targets);
  for (const { fields, trailers } of arrived) {
    const names = [...fields, ...trailers].map(([name]) => name);
    expect(names.filter((name) => name === "host")).toHaveLength(1);
    expect(names).not.toContain("x-evil");
    expect(names.filter((name) => /^(http2-settings|upgrade|proxy-connection)$/.test(name))).toEqual([]);
    expect(trailers.filter(([name]) => /^(content-length|transfer-encoding|host)$/.test(name))).toEqual([]);
  }
}

/** Sends one request of raw frames; how the sidecar ended it. */
async function sendFrames(vector: H2Vector, service: string): Promise<string> {
  const [host = "", port = "0"] = sidecar.outbound.split(":");
  const socket = connect({ host, port: Number(port) });
  const reader = new h2.FrameReader(false);
  const printer = new h2.FramePrinter();
  const lines: string[] = [];
  let isClosed = false;
  socket.on("error", () => {});
  socket.on("data", (bytes: Buffer) => lines.push(...printer.print(reader.read(bytes))));
  socket.on("close", () => {
    isClosed = true;
  });
  const { data = [], trailers } = vector;
  const fields = vector.fields.map(([name, value]) => [
    name,
    name === ":authority" && value === "raw" ? service : value,
  ]);
  const end = data.length === 0 && trailers === undefined ? h2.END_STREAM : 0;
  const frames = [h2.PREFACE, h2.settings(), h2.headers(1, fields as [string, string][], h2.END_HEADERS | end)];
  data.forEach((part, index) => {
    frames.push(h2.data(1, part, index === data.length - 1 && trailers === undefined ? h2.END_STREAM : 0));
  });
  if (trailers !== undefined) frames.push(h2.headers(1, trailers, h2.END_HEADERS | h2.END_STREAM));
  socket.write(Buffer.concat(frames));
  const outcome = () => lines.find((line) => /^(HEADERS 1|RST_STREAM 1|GOAWAY)/.test(line));
  await waitUntil("the request has an end", () => outcome() !== undefined || isClosed);
  socket.destroy();
  return outcome() ?? "closed";
}

describe("HTTP/2 to HTTP/1.1", () => {
  test.each(H2_VECTORS)("$name", async (vector) => {
    const outcome = await sendFrames(vector, "raw");
    await expectHonest();
    if (vector.arrives) {
      expect(outcome).toMatch(/:status 200/);
      expectArrived(["/v"]);
      expect(backend.read().messages[0]?.body).toBe(vector.data?.join("") ?? "");
    } else {
      expect(outcome).toMatch(/RST_STREAM 1 (PROTOCOL_ERROR|CANCEL)|:status 4\d\d|GOAWAY PROTOCOL_ERROR/);
      expectArrived([]);
    }
  });
});

describe("HTTP/2 to HTTP/2", () => {
  test.each(H2_VECTORS)("$name", async (vector) => {
    const outcome = await sendFrames(vector, "modern");
    expect(/:status 200/.test(outcome)).toBe(vector.arrives);
    const paths = modernRequests.map((headers) => headers[":path"]);
    expect(paths).toEqual(vector.arrives ? ["/v"] : []);
    expect(modernRequests.filter((headers) => "x-evil" in headers)).toEqual([]);
  });
});

describe("HTTP/1.1 to HTTP/1.1", () => {
  test.each(H1_VECTORS)("$name", async ({ text, arrives }) => {
    const raw = await openRaw(sidecar.outbound);
    raw.write(text);
    if (arrives.length > 0) raw.write(HONEST);
    else raw.socket.end();
    const answers = await raw.readUntilEnd();
    raw.socket.destroy();
    await expectHonest();
    expectArrived(arrives);
    const statuses = [...answers.matchAll(/HTTP\/1\.1 (\d\d\d) /g)].map((match) => Number(match[1]));
    if (arrives.length > 0) expect(statuses).toEqual([...arrives.map(() => 200), 200]);
    // Nothing behind what was refused is answered.
    else expect([statuses.length <= 1, statuses.every((status) => status >= 400)]).toEqual([true, true]);
  });
});

describe("HTTP/1.1 to HTTP/2", () => {
  test.each(H1_VECTORS)("$name", async ({ text, arrives }) => {
    const raw = await openRaw(sidecar.outbound);
    raw.write(text.replaceAll(/(Host: |http:\/\/(?:user@)?)raw/g, "$1modern"));
    raw.socket.end();
    const answers = await raw.readUntilEnd();
    raw.socket.destroy();
    expect(modernRequests.map((headers) => headers[":path"])).toEqual(arrives);
    expect(modernRequests.filter((headers) => "x-evil" in headers || "connection" in headers)).toEqual([]);
    expect(answers).not.toContain("evil");
  });
});

describe("responses", () => {
  test.each(RESPONSE_VECTORS)("502 for $name", async ({ text }) => {
    backend.answer = ({ first }) => (first[1] === "/honest" ? { text: HONEST_ANSWER } : { text, ends: true });
    const raw = await openRaw(sidecar.outbound);
    raw.write("GET /v HTTP/1.1\r\nHost: raw\r\nConnection: close\r\n\r\n");
    const answer = await raw.readUntilEnd();
    raw.socket.destroy();
    expect(answer).toMatch(/^(HTTP\/1\.1 1\d\d [\s\S]*?\r\n\r\n)*HTTP\/1\.1 502 /);
    expect(answer).not.toMatch(/x-evil|x-stolen/);
    await waitUntil("the connection is destroyed", () => backend.openCount === 0);
    await expectHonest();
  });

  test.each(SPLIT_VECTORS)("another response $name answers nobody", async ({ text }) => {
    backend.answer = ({ first }) => ({ text: first[1] === "/honest" ? HONEST_ANSWER : text });
    const raw = await openRaw(sidecar.outbound);
    raw.write("GET /v HTTP/1.1\r\nHost: raw\r\n\r\n");
    await raw.waitFor(/^HTTP\/1\.1 (200|204|304|502) /);
    await waitUntil("the connection is destroyed", () => backend.openCount === 0);
    raw.write(HONEST);
    const answers = await raw.readUntilEnd();
    raw.socket.destroy();
    expect(answers).not.toMatch(/stolen/);
    expect(answers.endsWith("ok")).toBe(true);
  });
});

const HONEST_ANSWER = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
