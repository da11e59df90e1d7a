// HTTP/2 without TLS as foreign clients and servers speak it: many streams, flow control, shutdown, load.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../support/foreign-clients.ts";
import { type ForeignServer, startServer } from "../support/foreign-servers.ts";
import { startProgram, waitUntil } from "../support/process.ts";
import { requireProgram } from "../support/programs.ts";
import { createMesh, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";

let server: ForeignServer;
let plain: ForeignServer;
let mesh: MeshFolder;
let sidecar: Sidecar;

beforeAll(async () => {
  server = await startServer("http2");
  plain = await startServer("http1");
  mesh = createMesh({
    services: {
      web: { protocol: "http2", instances: [{ id: "a", address: server.address }] },
      plain: { instances: [{ id: "a", address: plain.address }] },
    },
  });
  sidecar = await startSidecar({ mesh });
});

afterAll(async () => {
  await sidecar.stop();
  await server.close();
  await plain.close();
  await mesh[Symbol.asyncDispose]();
});

async function openSession(): Promise<ClientHttp2Session> {
  const session = connect(`http://${sidecar.outbound}`);
  session.on("error", () => {});
  await once(session, "connect");
  return session;
}

describe("streams", () => {
  test.each(["web", "plain"])("a thousand at once to %s share few connections", async (host) => {
    await using client = createClient("http2", sidecar.outbound);
    const answers = await Promise.all(
      Array.from({ length: 1000 }, (_, index) =>
        client.send({ host, path: "/echo", method: "POST", body: `${index}` }),
      ),
    );
    expect(answers.map(({ body }) => body.toString())).toEqual(Array.from({ length: 1000 }, (_, index) => `${index}`));
    if (host === "web") expect(server.open).toBeLessThanOrEqual(8);
  });

  test("one that is not read does not hold up its siblings", async () => {
    const session = await openSession();
    const stuck = session.request({ ":path": "/bytes/20000000", ":authority": "web" });
    await once(stuck, "response");
    stuck.pause();
    for (let round = 0; round < 20; round += 1) {
      const sibling = session.request({ ":path": "/bytes/100000", ":authority": "web" });
      let length = 0;
      for await (const chunk of sibling) length += (chunk as Buffer).length;
      expect(length).toBe(100_000);
    }
    let length = 0;
    for await (const chunk of stuck) length += (chunk as Buffer).length;
    expect(length).toBe(20_000_000);
    session.close();
  });

  test("one that is reset does not disturb its siblings", async () => {
    await using client = createClient("http2", sidecar.outbound);
    const lanes = Array.from({ length: 40 }, async (_, index) => {
      if (index % 2 === 0)
        return client.send({ host: "web", path: "/reset" }).then(
          () => "ok",
          () => "reset",
        );
      const { body } = await client.send({ host: "web", path: "/bytes/300000" });
      return body.length;
    });
    const results = await Promise.all(lanes);
    expect(results.filter((result) => result === "reset")).toHaveLength(20);
    expect(results.filter((result) => result === 300_000)).toHaveLength(20);
  });

  test("a client with the smallest windows gets everything", async () => {
    const session = connect(`http://${sidecar.outbound}`, { settings: { initialWindowSize: 1, maxFrameSize: 16_384 } });
    await once(session, "connect");
    const stream = session.request({ ":path": "/bytes/3000", ":authority": "web" });
    let length = 0;
    for await (const chunk of stream) length += (chunk as Buffer).length;
    expect(length).toBe(3000);
    session.close();
  });

  test("settings that change while data flows", async () => {
    const session = await openSession();
    const stream = session.request({ ":path": "/bytes/3000000", ":authority": "web" });
    let length = 0;
    let round = 0;
    for await (const chunk of stream) {
      length += (chunk as Buffer).length;
      round += 1;
      if (round % 10 === 0) session.settings({ initialWindowSize: round % 20 === 0 ? 1000 : 1_000_000 });
    }
    expect(length).toBe(3_000_000);
    session.close();
  });

  test("both directions at once", async () => {
    const session = await openSession();
    const stream = session.request({ ":path": "/echo", ":authority": "plain", ":method": "POST" });
    const sent = randomBytes(4_000_000);
    stream.end(sent);
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).equals(sent)).toBe(true);
    session.close();
  });

  test("PING is answered, and unknown settings are ignored", async () => {
    const session = connect(`http://${sidecar.outbound}`, { settings: { customSettings: { 30583: 5 } } });
    await once(session, "connect");
    const payload = await new Promise<Buffer>((resolve, reject) => {
      session.ping(Buffer.from("pingping"), (error, _ms, echoed) => (error === null ? resolve(echoed) : reject(error)));
    });
    expect(payload.toString()).toBe("pingping");
    session.close();
  });
});

/** A server whose sessions the test ends as it likes. */
async function openEndingServer(): Promise<{
  server: Http2Server;
  address: string;
  sessions: Set<ServerHttp2Session>;
}> {
  const sessions = new Set<ServerHttp2Session>();
  const ending = createServer();
  ending.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => {});
  });
  ending.on("stream", (stream: ServerHttp2Stream) => {
    stream.on("error", () => {});
    stream.respond({ ":status": 200 });
    stream.end("done");
  });
  await new Promise<void>((resolve) => ending.listen(0, "127.0.0.1", resolve));
  return { server: ending, address: `127.0.0.1:${(ending.address() as AddressInfo).port}`, sessions };
}

test("a server that keeps ending its connections by GOAWAY costs nobody a request", async () => {
  const ending = await openEndingServer();
  await using endingMesh = createMesh({
    services: { web: { protocol: "http2", instances: [{ id: "a", address: ending.address }] } },
  });
  await using endingSidecar = await startSidecar({ mesh: endingMesh });
  await using client = createClient("http1", endingSidecar.outbound);
  let goaways = 0;
  for (let round = 0; round < 200; round += 1) {
    const answer = await client.send({ host: "web", path: "/", method: "POST", body: "x" });
    expect([round, answer.status, answer.body.toString()]).toEqual([round, 200, "done"]);
    if (round % 10 === 9) {
      for (const session of ending.sessions) session.close();
      goaways += 1;
    }
  }
  expect(goaways).toBe(20);
  for (const session of ending.sessions) session.destroy();
  ending.server.close();
});

describe("foreign clients", () => {
  test("curl with prior knowledge", async (context) => {
    const curl = requireProgram(context, "curl");
    const url = `http://${sidecar.outbound}/bytes/100000`;
    const program = startProgram(curl, [
      "-sS",
      "--http2-prior-knowledge",
      "-H",
      "Host: plain",
      "-o",
      "/dev/null",
      "-w",
      "%{http_code} %{http_version} %{size_download}",
      url,
    ]);
    expect((await program.ended).code).toBe(0);
    expect(program.lines).toEqual(["200 2 100000"]);
  });

  test("nghttp sees a clean conversation", async (context) => {
    const nghttp = requireProgram(context, "nghttp");
    const program = startProgram(nghttp, [
      "-v",
      "-n",
      "-H",
      ":authority: web",
      `http://${sidecar.outbound}/bytes/1000`,
    ]);
    expect((await program.ended).code).toBe(0);
    const text = program.lines.join("\n");
    expect(text).toMatch(/:status: 200/);
    expect(text).not.toMatch(/\[ERROR\]|[A-Z]+_ERROR\(0x0[1-9a-f]\)/);
  });

  test.for([
    ["web", ["-c", "10", "-m", "32"]],
    ["web", ["-c", "50", "-m", "1"]],
    ["plain", ["-c", "10", "-m", "32"]],
    ["plain", ["--h1", "-c", "50"]],
  ] as const)("h2load to %s with %j: every answer is 2xx", async ([host, shape], context) => {
    const h2load = requireProgram(context, "h2load");
    const [, port] = sidecar.outbound.split(":");
    const target = [`--connect-to=${sidecar.outbound}`, `http://${host}:${port}/bytes/100`];
    const program = startProgram(h2load, [...shape, "-n", "20000", ...target]);
    expect((await program.ended).code).toBe(0);
    expect(program.lines.join("\n")).toContain("20000 2xx, 0 3xx, 0 4xx, 0 5xx");
  });

  test("connections are given back when the clients have gone", async () => {
    await waitUntil("no client is left", async () => {
      return (await sidecar.metric("pillion_connections", { direction: "downstream" })) === 0;
    });
    expect(await sidecar.metric("pillion_inflight")).toBe(0);
  });
});
