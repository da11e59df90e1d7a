// What is saved and what is not: retries by proof (DESIGN §5), on another instance.

import { createServer as createServerH2, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createClient } from "../support/foreign-clients.ts";
import { type ForeignServer, startServer, startTcpServer } from "../support/foreign-servers.ts";
import { closedAddress } from "../support/ports.ts";
import { createMesh, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";

const opened: { close(): Promise<unknown> | unknown }[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close();
});

interface Setup {
  readonly sidecar: Sidecar;
  readonly mesh: MeshFolder;
  send(
    path: string,
    more?: Partial<Parameters<ReturnType<typeof createClient>["send"]>[0]>,
  ): ReturnType<ReturnType<typeof createClient>["send"]>;
}

/** A sidecar with one service `web`, round robin over the addresses, so that the bad one gets its turn, each time. */
async function setUp(addresses: readonly string[], service: Record<string, unknown> = {}): Promise<Setup> {
  const instances = addresses.map((address, index) => ({ id: `i${index}`, address }));
  const mesh = createMesh({
    services: { web: { balance: { policy: "round-robin" }, outlier: "none", ...service, instances } },
  });
  const sidecar = await startSidecar({ mesh });
  const client = createClient("http1", sidecar.outbound);
  opened.push({ close: () => mesh[Symbol.asyncDispose]() }, { close: () => sidecar.stop() }, client);
  return { sidecar, mesh, send: (path, more = {}) => client.send({ host: "web", path, ...more }) };
}

async function openServer(name = "good"): Promise<ForeignServer> {
  const server = await startServer("http1", name);
  opened.push(server);
  return server;
}

/** Reads a request and resets the connection, every time. */
async function openResetter(): Promise<ForeignServer & { readonly seen: string[] }> {
  const seen: string[] = [];
  const server = await startTcpServer((socket) => {
    socket.once("data", (chunk: Buffer) => {
      seen.push(chunk.toString("latin1").split(" ", 1)[0] ?? "");
      socket.resetAndDestroy();
    });
  });
  opened.push(server);
  return Object.assign(server, { seen });
}

test("nothing was sent: a refused connection is retried for any method, body and all", async () => {
  const good = await openServer();
  const { send } = await setUp([await closedAddress(), good.address]);
  for (let round = 0; round < 10; round += 1) {
    const body = "x".repeat(round * 1000);
    const answer = await send("/echo", { method: "POST", body });
    expect([answer.status, answer.body.toString()]).toEqual([200, body]);
  }
});

test("idempotent requests survive a reset, others are not sent twice", async () => {
  const good = await openServer();
  const bad = await openResetter();
  const { send } = await setUp([bad.address, good.address]);
  for (let round = 0; round < 4; round += 1) {
    expect((await send("/status/200")).status).toBe(200);
    expect((await send("/echo", { method: "PUT", body: "kept" })).body.toString()).toBe("kept");
  }
  expect(bad.seen.length).toBeGreaterThan(0);
  bad.seen.length = 0;
  const statuses: number[] = [];
  for (let round = 0; round < 4; round += 1)
    statuses.push((await send("/status/200", { method: "POST", body: "x" })).status);
  // Every second POST meets the resetter: it may have been carried out, so it fails, once for each.
  expect(statuses.sort()).toEqual([200, 200, 502, 502]);
  expect(bad.seen.filter((method) => method === "POST")).toHaveLength(2);
});

test("an idempotency key makes a POST retryable", async () => {
  const good = await openServer();
  const bad = await openResetter();
  const { send } = await setUp([bad.address, good.address]);
  for (let round = 0; round < 4; round += 1) {
    const answer = await send("/echo", { method: "POST", body: "x", headers: { "idempotency-key": `${round}` } });
    expect(answer.status).toBe(200);
  }
  expect(bad.seen.length).toBeGreaterThan(0);
});

test("a body above bodyLimit is not kept, and its request not retried", async () => {
  const good = await openServer();
  const bad = await openResetter();
  const { send, sidecar } = await setUp([bad.address, good.address], { retry: { bodyLimit: "1KiB" } });
  const statuses: number[] = [];
  for (let round = 0; round < 4; round += 1) {
    statuses.push((await send("/echo", { method: "PUT", body: Buffer.alloc(200_000, "x") })).status);
  }
  expect(statuses.sort()).toEqual([200, 200, 502, 502]);
  expect(await sidecar.metric("pillion_retries_skipped_total", { service: "web" })).toBeGreaterThanOrEqual(2);
});

test("no retries where the document says so", async () => {
  const good = await openServer();
  const { send } = await setUp([await closedAddress(), good.address], { retry: { attempts: 0 } });
  const statuses: number[] = [];
  for (let round = 0; round < 4; round += 1) statuses.push((await send("/status/200")).status);
  expect(statuses.sort()).toEqual([200, 200, 503, 503]);
});

test("the app's own 503 is passed on for a POST, and retried for a GET", async () => {
  const good = await openServer();
  const failing = await startTcpServer((socket) => {
    socket.on("data", () => socket.write("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"));
  });
  opened.push(failing);
  const { send } = await setUp([failing.address, good.address]);
  for (let round = 0; round < 4; round += 1) expect((await send("/status/200")).status).toBe(200);
  const statuses: number[] = [];
  for (let round = 0; round < 4; round += 1)
    statuses.push((await send("/status/200", { method: "POST", body: "" })).status);
  expect(statuses.sort()).toEqual([200, 200, 503, 503]);
});

test("a reused connection that the app has just closed costs nobody a request", async () => {
  // Answers once for each connection and closes right after, without saying so: the keep-alive race at its worst.
  const rude = await startTcpServer((socket) => {
    socket.once("data", () => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      setTimeout(() => socket.destroy(), 1);
    });
  });
  opened.push(rude);
  const { send } = await setUp([rude.address]);
  // Fewer than the retry budget's minimum: the race is common, a storm of retries is another matter.
  for (let round = 0; round < 8; round += 1) {
    expect((await send("/")).status).toBe(200);
    await new Promise((resolve) => setImmediate(resolve));
  }
});

test("REFUSED_STREAM and GOAWAY prove that nothing happened: retried for any method", async () => {
  let refusals = 0;
  const sessions = new Set<ServerHttp2Session>();
  const refusing = createServerH2();
  refusing.on("session", (session) => sessions.add(session));
  refusing.on("stream", (stream) => {
    refusals += 1;
    stream.on("error", () => {});
    stream.close(7); // REFUSED_STREAM
  });
  await new Promise<void>((resolve) => refusing.listen(0, "127.0.0.1", resolve));
  opened.push({
    close: () => {
      for (const session of sessions) session.destroy();
      refusing.close();
    },
  });
  const good = await startServer("http2", "good");
  opened.push(good);
  const address = `127.0.0.1:${(refusing.address() as AddressInfo).port}`;
  const { send } = await setUp([address, good.address], { protocol: "http2" });
  for (let round = 0; round < 6; round += 1) {
    const answer = await send("/echo", { method: "POST", body: `${round}` });
    expect([answer.status, answer.body.toString()]).toEqual([200, `${round}`]);
  }
  expect(refusals).toBeGreaterThan(0);
});

test("retries are bounded: when every instance fails, the answer says how often", async () => {
  const { send } = await setUp([
    await closedAddress(),
    await closedAddress(),
    await closedAddress(),
    await closedAddress(),
  ]);
  const answer = await send("/", { method: "POST", body: "x" });
  expect([answer.status, answer.headers["x-pillion-reason"]]).toEqual([503, "connect-failed"]);
  expect(JSON.parse(answer.body.toString()).error.attempts).toBe(3);
});
