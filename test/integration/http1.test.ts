// HTTP/1.1 and 1.0 as the app speaks it to its outbound, in bytes (RFC 9112), and what is refused.

import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRaw } from "../support/foreign-clients.ts";
import { type ForeignServer, startServer } from "../support/foreign-servers.ts";
import { startProgram, waitUntil } from "../support/process.ts";
import { findProgram, requireProgram } from "../support/programs.ts";
import { createMesh, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";

let server: ForeignServer;
let mesh: MeshFolder;
let sidecar: Sidecar;

beforeAll(async () => {
  server = await startServer("http1");
  mesh = createMesh({ services: { web: { instances: [{ id: "a", address: server.address }] } } });
  sidecar = await startSidecar({ mesh });
});

afterAll(async () => {
  await sidecar.stop();
  await server.close();
  await mesh[Symbol.asyncDispose]();
});

/** Sends bytes and reads until the sidecar ends the connection. */
async function exchange(bytes: string): Promise<string> {
  await using raw = await openRaw(sidecar.outbound);
  raw.write(bytes);
  return await raw.readUntilEnd();
}

describe("connections", () => {
  test("pipelined requests are answered in order", async () => {
    await using raw = await openRaw(sidecar.outbound);
    const delays = [60, 5, 30, 1];
    raw.write(delays.map((delay) => `GET /delay/${delay} HTTP/1.1\r\nhost: web\r\n\r\n`).join(""));
    await raw.waitFor(/(HTTP\/1\.1 200[\s\S]*?\r\n\r\n\d+){4}$/);
    const bodies = [...raw.received.toString().matchAll(/\r\n\r\n(\d+)/g)].map((match) => Number(match[1]));
    expect(bodies).toEqual(delays);
  });

  test("pipelined requests with bodies stay in step", async () => {
    await using raw = await openRaw(sidecar.outbound);
    const bodies = ["first", "second one", "", "4"];
    const requests = bodies.map(
      (body, index) =>
        `POST /echo HTTP/1.1\r\nhost: web\r\n${
          index % 2 === 0
            ? `content-length: ${body.length}\r\n\r\n${body}`
            : `transfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
        }`,
    );
    raw.write(`${requests.join("")}GET /status/418 HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n`);
    const text = await raw.readUntilEnd();
    expect([...text.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map((match) => match[1])).toEqual([
      "200",
      "200",
      "200",
      "200",
      "418",
    ]);
    for (const body of bodies) expect(text).toContain(body);
    expect(text).toContain("status 418");
  });

  test("a connection is kept, and closed when the client says so", async () => {
    await using raw = await openRaw(sidecar.outbound);
    raw.write("GET /bytes/3 HTTP/1.1\r\nhost: web\r\n\r\n");
    await raw.waitFor(/\r\n\r\nxxx$/);
    raw.write("GET /bytes/4 HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n");
    const text = await raw.readUntilEnd();
    expect(text).toMatch(/\r\n\r\nxxxx$/);
    expect(text.toLowerCase()).toMatch(/connection: close/);
  });

  test("HTTP/1.0 gets no chunks, and an end", async () => {
    const known = await exchange("GET /bytes/3 HTTP/1.0\r\nhost: web\r\n\r\n");
    expect(known).toMatch(/^HTTP\/1\.[01] 200 [\s\S]*\r\n\r\nxxx$/);
    const unknown = await exchange("GET /chunks/2 HTTP/1.0\r\nhost: web\r\n\r\n");
    expect(unknown.toLowerCase()).not.toContain("transfer-encoding");
    expect(unknown).toMatch(/\r\n\r\nchunk 1\nchunk 2\n$/);
  });

  test("HTTP/1.0 with keep-alive is kept", async () => {
    await using raw = await openRaw(sidecar.outbound);
    raw.write("GET /bytes/3 HTTP/1.0\r\nhost: web\r\nconnection: keep-alive\r\n\r\n");
    await raw.waitFor(/connection: keep-alive[\s\S]*\r\n\r\nxxx$/i);
    raw.write("GET /bytes/4 HTTP/1.0\r\nhost: web\r\n\r\n");
    expect(await raw.readUntilEnd()).toMatch(/\r\n\r\nxxxx$/);
  });

  test("bytes may arrive one by one", async () => {
    await using raw = await openRaw(sidecar.outbound);
    raw.socket.setNoDelay(true);
    const head = "POST /echo HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n";
    const text = `${head}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nx-t: 1\r\n\r\n`;
    for (const char of text) await new Promise<void>((resolve) => raw.socket.write(char, () => resolve()));
    const [, chunked = ""] = await raw.waitFor(/\r\n\r\n([\s\S]*\r\n0\r\n\r\n)$/);
    expect(chunked.replace(/[0-9a-f]+\r\n(.*)\r\n/g, "$1").trim()).toBe("abcde");
  });

  test("a client that ends its side while it waits has given up: the app sees it", async () => {
    const { requests, aborts } = server;
    await using raw = await openRaw(sidecar.outbound);
    raw.write("GET /hang HTTP/1.1\r\nhost: web\r\n\r\n");
    await waitUntil("the app has the request", () => server.requests === requests + 1);
    await pause(1_000); // right behind its request it is a half-close, and how late a busy host sees it is not known
    raw.socket.end();
    await waitUntil("the app sees the end", () => server.aborts === aborts + 1);
  });
});

describe("the request target", () => {
  test("absolute-form names the host: the sidecar is the app's HTTP proxy", async () => {
    const text = await exchange("GET http://web/inspect?x=1 HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n");
    const seen = JSON.parse(text.slice(text.indexOf("\r\n\r\n{") + 4));
    expect(seen).toMatchObject({ path: "/inspect?x=1", headers: { host: "web" } });
  });

  test("OPTIONS * reaches the app as it is", async () => {
    const text = await exchange("OPTIONS * HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n");
    expect(text).toMatch(/^HTTP\/1\.1 200 [\s\S]*"path":"\*"/);
  });

  test("host names are matched without port, case and trailing dot", async () => {
    for (const host of ["web:80", "WEB", "web.mesh", "Web.", "web:15001"]) {
      const text = await exchange(`GET /status/200 HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
      expect([host, text.slice(0, 12)]).toEqual([host, "HTTP/1.1 200"]);
    }
  });
});

describe("fields", () => {
  test("hop-by-hop fields and those that Connection names do not travel", async () => {
    const text = await exchange(
      "GET /inspect HTTP/1.1\r\nhost: web\r\nconnection: close, x-secret\r\nx-secret: 1\r\nkeep-alive: 5\r\n" +
        "proxy-connection: keep-alive\r\nte: gzip\r\nx-stays: 1\r\n\r\n",
    );
    const { headers } = JSON.parse(text.slice(text.indexOf("\r\n\r\n{") + 4));
    expect(headers["x-stays"]).toBe("1");
    for (const field of ["x-secret", "keep-alive", "proxy-connection"]) expect(headers[field]).toBeUndefined();
    expect(headers.te ?? "trailers").toBe("trailers");
  });

  test("x-request-id is made where absent, x-forwarded-for is appended", async () => {
    const { body } = await request(`http://${sidecar.outbound}/inspect`, {
      headers: { host: "web", "x-forwarded-for": "192.0.2.1" },
    });
    const { headers } = (await body.json()) as { headers: Record<string, string> };
    expect(headers["x-forwarded-for"]).toMatch(/^192\.0\.2\.1, ?127\.0\.0\.1$/);
    expect(headers["x-forwarded-proto"]).toBe("http");
    expect(headers["x-request-id"]).toMatch(/^[0-9a-f-]{16,36}$/);
  });
});

describe("what is ambiguous is refused, and the connection ends", () => {
  const cases: [name: string, bytes: string, status: number][] = [
    ["no host", "GET / HTTP/1.1\r\n\r\n", 400],
    ["a host that is not the absolute target's", "GET http://web/ HTTP/1.1\r\nhost: else\r\n\r\n", 400],
    ["two hosts", "GET / HTTP/1.1\r\nhost: web\r\nhost: web\r\n\r\n", 400],
    [
      "content-length and transfer-encoding",
      "POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabc",
      400,
    ],
    ["two content-lengths", "POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd", 400],
    ["a signed content-length", "POST / HTTP/1.1\r\nhost: web\r\ncontent-length: +3\r\n\r\nabc", 400],
    ["chunked that is not last", "POST / HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked, gzip\r\n\r\n", 400],
    ["a folded field", "GET / HTTP/1.1\r\nhost: web\r\nx: a\r\n b\r\n\r\n", 400],
    ["space before the colon", "GET / HTTP/1.1\r\nhost : web\r\n\r\n", 400],
    ["a bare line feed", "GET / HTTP/1.1\nhost: web\n\n", 400],
    ["a control byte in a value", "GET / HTTP/1.1\r\nhost: web\r\nx: a\x00b\r\n\r\n", 400],
    ["not HTTP at all", "EHLO mail.example\r\n\r\n", 400],
    ["a version of the future", "GET / HTTP/3.0\r\nhost: web\r\n\r\n", 505],
    ["a long target", `GET /${"x".repeat(9000)} HTTP/1.1\r\nhost: web\r\n\r\n`, 414],
    ["many fields", `GET / HTTP/1.1\r\nhost: web\r\n${"x: y\r\n".repeat(300)}\r\n`, 431],
    ["large fields", `GET / HTTP/1.1\r\nhost: web\r\nx: ${"y".repeat(70_000)}\r\n\r\n`, 431],
    ["an unknown transfer coding", "POST / HTTP/1.1\r\nhost: web\r\ntransfer-encoding: rot13\r\n\r\n", 501],
  ];
  test.each(cases)("%s", async (_name, bytes, status) => {
    const { requests } = server;
    const text = await exchange(bytes);
    expect(text.slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
    expect(text.toLowerCase()).toContain("x-pillion-reason: ");
    expect(server.requests).toBe(requests);
  });

  test("a broken chunk ends the request, upstream too", async () => {
    await using raw = await openRaw(sidecar.outbound);
    raw.write("POST /echo HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n");
    const text = await raw.readUntilEnd();
    expect(text).not.toMatch(/\r\n0\r\n\r\n$/);
  });

  test("a request behind a refused one is not read", async () => {
    const { requests } = server;
    const text = await exchange("GET / HTTP/1.1\r\n\r\nGET /status/200 HTTP/1.1\r\nhost: web\r\n\r\n");
    expect([...text.matchAll(/HTTP\/1\.1 /g)]).toHaveLength(1);
    expect(server.requests).toBe(requests);
  });
});

describe("foreign clients", () => {
  test("curl: plain, as a proxy, with an upload", async (context) => {
    const curl = requireProgram(context, "curl");
    const commands: [args: string[], expected: RegExp][] = [
      [["-H", "Host: web", `http://${sidecar.outbound}/status/200`], /^status 200$/],
      [["-x", `http://${sidecar.outbound}`, "http://web/status/200"], /^status 200$/],
      [["-H", "Host: web", "-d", "x=1", `http://${sidecar.outbound}/echo`], /^x=1$/],
      [["-H", "Host: web", "-I", `http://${sidecar.outbound}/bytes/10`], /^HTTP\/1\.1 200 OK/],
    ];
    for (const [args, expected] of commands) {
      const program = startProgram(curl, ["-sS", "--max-time", "20", ...args]);
      expect((await program.ended).code).toBe(0);
      expect(program.lines.join("\n")).toMatch(expected);
    }
  });

  test("curl sends and waits for 100 with a large body", async (context) => {
    const curl = requireProgram(context, "curl");
    const body = ["--data-binary", `@${findProgram("curl")}`, "-H", "Expect: 100-continue"];
    const program = startProgram(curl, ["-sS", "-H", "Host: web", ...body, `http://${sidecar.outbound}/inspect`]);
    expect((await program.ended).code).toBe(0);
    expect(JSON.parse(program.lines.join("")).bodyBytes).toBeGreaterThan(100_000);
  });

  test("a client that connects and says nothing harms nobody", async () => {
    const [host = "", port = ""] = sidecar.outbound.split(":");
    const silent = Array.from({ length: 50 }, () => connect({ host, port: Number(port) }));
    const { statusCode, body } = await request(`http://${sidecar.outbound}/status/200`, { headers: { host: "web" } });
    await body.dump();
    expect(statusCode).toBe(200);
    for (const socket of silent) socket.destroy();
  });
});
