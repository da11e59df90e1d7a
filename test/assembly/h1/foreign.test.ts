// Foreign clients on our downstream codec, our upstream codec on a foreign server: curl, undici, node:http. They know
// nothing of Pillion, so what both sides of a pair test could misunderstand alike shows here.

import { execFile } from "node:child_process";
import { createServer, type Server } from "node:http";
import type { AddressInfo, Server as TcpServer } from "node:net";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Event, H1 } from "../../support/h1.ts";
import { HEAD_FLAG, loadH1 } from "../../support/h1.ts";
import { dialH1, serveH1 } from "../../support/h1-sockets.ts";
import { requireProgram } from "../../support/programs.ts";

const execute = promisify(execFile);

let h1: H1;
let ours: TcpServer;
let port: number;
let theirs: Server;
let theirPort: number;

beforeAll(async () => {
  h1 = await loadH1();
  const served = await serveH1(h1, (request, { connection, finish }, isComplete) => {
    if (!isComplete) {
      if ((request.flags & HEAD_FLAG.continue) !== 0) connection.sendInformational(request.stream, { status: 100 });
      if (request.protocol === "echo")
        connection.sendResponse(request.stream, { status: 101, protocol: "echo" }, false);
      return;
    }
    if (request.protocol === "echo") {
      connection.sendData(request.stream, request.body, true);
      finish();
      return;
    }
    const text = JSON.stringify([request.method, request.path, request.body.length, request.trailers]);
    const isChunked = request.path === "/chunked";
    const head = { status: 200, fields: [["content-type", "text/plain"]] as const };
    connection.sendResponse(request.stream, isChunked ? head : { ...head, length: text.length }, false);
    connection.sendData(request.stream, text, !isChunked);
    if (isChunked) connection.sendTrailers(request.stream, [["x-sum", "1"]]);
    finish();
  });
  ours = served.server;
  port = served.port;
  theirs = createServer((incoming, outgoing) => {
    let body = "";
    incoming.on("data", (chunk: Buffer) => {
      body += chunk.toString("latin1");
    });
    incoming.on("end", () => {
      const text = JSON.stringify([incoming.method, incoming.url, body, incoming.headers.host, incoming.trailers]);
      if (incoming.url === "/204") outgoing.writeHead(204).end();
      else if (incoming.url === "/chunked") {
        outgoing.writeEarlyHints({ link: "</a>; rel=preload" });
        outgoing.writeHead(200, { trailer: "x-sum" });
        outgoing.write(text);
        outgoing.addTrailers({ "x-sum": "1" });
        outgoing.end();
      } else outgoing.end(text);
    });
  });
  theirs.on("upgrade", (_incoming, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
    socket.pipe(socket);
  });
  theirs.on("connect", (_incoming, socket) => {
    socket.write("HTTP/1.1 200 Connected\r\n\r\n");
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => theirs.listen(0, "127.0.0.1", resolve));
  theirPort = (theirs.address() as AddressInfo).port;
});

afterAll(async () => {
  theirs.closeAllConnections();
  await Promise.all([theirs, ours].map((server) => new Promise((resolve) => server.close(resolve))));
  expect([h1.exports.poolUsedBytes(), h1.exports.streamCount(), h1.exports.connectionCount()]).toEqual([0, 0, 0]);
});

test("curl: every kind of request", async (context) => {
  const curl = requireProgram(context, "curl");
  const run = async (...words: string[]): Promise<string> =>
    (await execute(curl, ["-sS", "-m", "10", ...words])).stdout;
  const url = `http://127.0.0.1:${port}`;
  expect(await run(`${url}/a?b=c`)).toBe('["GET","/a?b=c",0,[]]');
  expect(await run("--http1.0", `${url}/old`)).toBe('["GET","/old",0,[]]');
  expect(await run("-d", "hello", `${url}/post`)).toBe('["POST","/post",5,[]]');
  const big = "x".repeat(100000);
  expect(await run("-d", big, "-H", "Transfer-Encoding: chunked", `${url}/up`)).toBe('["POST","/up",100000,[]]');
  expect(await run("-d", big, "-H", "Expect: 100-continue", `${url}/wait`)).toBe('["POST","/wait",100000,[]]');
  expect(await run("-X", "PATCH", `${url}/patch`)).toBe('["PATCH","/patch",0,[]]');
  expect(await run("-I", `${url}/head`)).toContain("content-length: 21\r\n");
  expect(await run("-H", "TE: trailers", "-i", "--raw", `${url}/chunked`)).toMatch(/\r\n0\r\nx-sum: 1\r\n\r\n$/);
  expect(await run("-x", url, "http://users.example/proxied")).toBe('["GET","/proxied",0,[]]');
});

test("curl: several requests share one connection", async (context) => {
  const curl = requireProgram(context, "curl");
  const urls = ["/1", "/chunked", "/3"].map((path) => `http://127.0.0.1:${port}${path}`);
  const { stdout } = await execute(curl, ["-sS", "-m", "10", "-w", " %{num_connects}\n", ...urls]);
  expect(stdout).toBe('["GET","/1",0,[]] 1\n["GET","/chunked",0,[]] 0\n["GET","/3",0,[]] 0\n');
});

test("undici: pipelined, streamed, upgraded", async () => {
  const { Client } = await import("undici");
  const client = new Client(`http://127.0.0.1:${port}`, { pipelining: 10 });
  const get = async (path: string): Promise<string> => (await client.request({ path, method: "GET" })).body.text();
  const answers = await Promise.all([...Array(50).keys()].map((index) => get(`/${index}`)));
  expect(answers).toEqual([...Array(50).keys()].map((index) => `["GET","/${index}",0,[]]`));
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let index = 0; index < 20; index += 1) yield Buffer.alloc(5000, 120);
  }
  const post = await client.request({ path: "/stream", method: "POST", body: Readable.from(pieces()) });
  expect(await post.body.text()).toBe('["POST","/stream",100000,[]]');
  const chunked = await client.request({ path: "/chunked", method: "GET", headers: { te: "trailers" } });
  expect(await chunked.body.text()).toBe('["GET","/chunked",0,[]]');
  expect(chunked.trailers).toEqual({ "x-sum": "1" });
  const { socket } = await client.upgrade({ path: "/", protocol: "echo" });
  socket.end("hello");
  expect((await socket.toArray()).join("")).toBe("hello");
  await client.close();
});

test("node:http as the server: keep-alive, bodies, trailers, early hints", async () => {
  let events: Event[] = [];
  let complete = (): void => undefined;
  const { connection, flush, socket } = await dialH1(h1, theirPort, (event) => {
    events.push(event);
    if (event.kind === "end" || event.kind === "trailers" || ("end" in event && event.end)) complete();
  });
  const ask = async (method: string, path: string, body?: string, chunked = false): Promise<readonly Event[]> => {
    events = [];
    const stream = connection.open();
    expect(stream).not.toBe(0);
    const done = new Promise<void>((resolve) => {
      complete = resolve;
    });
    const length = body === undefined || chunked ? {} : { length: body.length };
    connection.sendRequest(stream, { method, path, authority: "a.example", ...length }, body === undefined);
    if (body !== undefined) connection.sendData(stream, body, !chunked);
    if (chunked) connection.sendTrailers(stream, [["x-check", "2"]]);
    flush();
    await done;
    connection.release(stream);
    expect(connection.isReusable).toBe(true);
    return events;
  };
  const text = (all: readonly Event[]): string =>
    all.map((event) => (event.kind === "data" ? event.data : "")).join("");
  expect(text(await ask("GET", "/a"))).toBe('["GET","/a","","a.example",{}]');
  expect(text(await ask("POST", "/b", "hello"))).toBe('["POST","/b","hello","a.example",{}]');
  expect(text(await ask("POST", "/c", "hello", true))).toBe('["POST","/c","hello","a.example",{"x-check":"2"}]');
  expect((await ask("HEAD", "/d")).map((event) => event.kind)).toEqual(["head"]);
  expect((await ask("GET", "/204")).map((event) => event.kind)).toEqual(["head"]);
  const last = await ask("GET", "/chunked");
  expect(last.map((event) => event.kind)).toEqual(["informational", "head", "data", "trailers"]);
  expect(last.at(-1)).toMatchObject({ fields: [["x-sum", "1"]] });
  await new Promise((resolve) => socket.on("close", resolve).destroy());
});

test("node:http as the server: upgrade and CONNECT make tunnels with half-close", async () => {
  for (const [method, path, protocol] of [
    ["GET", "/", "echo"],
    ["CONNECT", "", ""],
  ] as const) {
    let received = "";
    let isEnded = (): void => undefined;
    const ended = new Promise<void>((resolve) => {
      isEnded = resolve;
    });
    const { connection, flush, socket } = await dialH1(h1, theirPort, (event) => {
      if (event.kind === "head") {
        connection.sendData(stream, "ping", false);
        connection.sendEnd(stream);
      } else if (event.kind === "data") received += event.data;
      else if (event.kind === "end") isEnded();
      else throw new Error(event.kind);
    });
    const stream = connection.open();
    const flags = protocol === "" ? 0 : HEAD_FLAG.upgrade;
    connection.sendRequest(stream, { method, path, authority: "a:1", protocol, flags }, false);
    flush();
    await ended;
    expect(received).toBe("ping");
    await new Promise((resolve) => socket.on("close", resolve).destroy());
  }
});
