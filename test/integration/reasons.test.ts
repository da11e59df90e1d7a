// Requests that cannot be served: status, reason and a body that says what to do (DESIGN §5).

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient, type HttpClient, openRaw } from "../support/foreign-clients.ts";
import { type ForeignServer, startServer, startTcpServer } from "../support/foreign-servers.ts";
import { closedAddress } from "../support/ports.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";

let server: ForeignServer;
let garbage: ForeignServer;
let mesh: MeshFolder;
let sidecar: Sidecar;

beforeAll(async () => {
  server = await startServer("http1");
  garbage = await startTcpServer((socket) => {
    socket.on("data", () => socket.end("this is not HTTP\r\n\r\n"));
  });
  const instances = [{ id: "a", address: server.address }];
  mesh = createMesh({
    services: {
      web: { instances },
      empty: {},
      dead: { instances: [{ id: "dead", address: await closedAddress() }] },
      garbage: { instances: [{ id: "garbage", address: garbage.address }] },
      slow: { timeout: { request: "100ms" }, instances },
      idle: { timeout: { idle: "100ms" }, instances },
      narrow: { limits: { requests: 2 }, instances },
      queued: { limits: { connections: 1, pending: 1, pendingTimeout: "10s" }, instances },
      hasty: { limits: { connections: 1, pending: 10, pendingTimeout: "100ms" }, instances },
    },
  });
  sidecar = await startSidecar({ mesh });
});

afterAll(async () => {
  await sidecar.stop();
  await server.close();
  await garbage.close();
  await mesh[Symbol.asyncDispose]();
});

describe.each(["http1", "http2"] as const)("for %s", (version) => {
  let client: HttpClient;
  beforeAll(() => {
    client = createClient(version, sidecar.outbound);
  });
  afterAll(() => client.close());

  test.each([
    ["nobody", "/", 404, "no-route"],
    ["empty", "/", 503, "no-instance"],
    ["dead", "/", 503, "connect-failed"],
    ["garbage", "/", 502, "upstream-protocol"],
    ["web", "/drop", 502, "upstream-reset"],
    ["slow", "/hang", 504, "request-timeout"],
    ["idle", "/hang", 504, "idle-timeout"],
  ] as const)("%s%s: %i %s", async (host, path, status, reason) => {
    const answer = await client.send({ host, path, method: "POST", body: "x" });
    expect([answer.status, answer.headers["x-pillion-reason"]]).toEqual([status, reason]);
    expect(answer.headers["content-type"]).toMatch(/^application\/json/);
    const { error } = JSON.parse(answer.body.toString());
    expect(error.reason).toBe(reason);
    expect(error.message).toMatch(/^[A-Z].{20,}/);
    if (host !== "nobody") expect(error.service).toBe(host);
    expect(error.attempts).toBeGreaterThanOrEqual(host === "nobody" || host === "empty" ? 0 : 1);
    // The client's connection is as good as before.
    expect((await client.send({ host: "web", path: "/status/200" })).status).toBe(200);
  });

  test("a HEAD gets the reason without a body", async () => {
    const answer = await client.send({ host: "nobody", path: "/", method: "HEAD" });
    expect([answer.status, answer.headers["x-pillion-reason"], answer.body.length]).toEqual([404, "no-route", 0]);
  });

  test("limits.requests: the rest is refused at once, and it heals", async () => {
    const { requests } = server;
    const held = [1, 2].map(() => client.send({ host: "narrow", path: "/delay/500" }));
    await waitUntil("two are in flight", () => server.requests === requests + 2);
    const refused = await client.send({ host: "narrow", path: "/status/200" });
    expect([refused.status, refused.headers["x-pillion-reason"]]).toEqual([503, "overflow"]);
    expect(JSON.parse(refused.body.toString()).error.message).toMatch(/limit/i);
    expect(refused.headers["retry-after"]).toMatch(/^\d+$/);
    for (const { status } of await Promise.all(held)) expect(status).toBe(200);
    expect((await client.send({ host: "narrow", path: "/status/200" })).status).toBe(200);
  });

  test("limits.pending: one may wait for the only connection, the next may not", async () => {
    const { requests } = server;
    const first = client.send({ host: "queued", path: "/delay/400" });
    await waitUntil("the connection is taken", () => server.requests === requests + 1);
    const second = client.send({ host: "queued", path: "/status/200" });
    await waitUntil("one waits", async () => {
      const { instances } = await sidecar.read<{ instances: { pending: number }[] }>("/instances?service=queued");
      return instances.some(({ pending }) => pending === 1);
    });
    const third = await client.send({ host: "queued", path: "/status/200" });
    expect([third.status, third.headers["x-pillion-reason"]]).toEqual([503, "overflow"]);
    expect((await first).status).toBe(200);
    expect((await second).status).toBe(200);
  });

  test("limits.pendingTimeout: nobody waits for ever", async () => {
    const { requests } = server;
    const first = client.send({ host: "hasty", path: "/delay/600" });
    await waitUntil("the connection is taken", () => server.requests === requests + 1);
    const second = await client.send({ host: "hasty", path: "/status/200" });
    expect([second.status, second.headers["x-pillion-reason"]]).toEqual([503, "overflow"]);
    expect((await first).status).toBe(200);
  });
});

test("a request that went in a circle is refused", async () => {
  await using circle = createMesh({});
  await using first = await startSidecar({ mesh: circle });
  circle.write({ services: { web: { instances: [{ id: "self", address: first.outbound, sidecar: true }] } } });
  await first.waitForInstances("web", ["self"]);
  await using raw = await openRaw(first.outbound);
  raw.write("GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n");
  const text = await raw.readUntilEnd();
  expect(text).toMatch(/^HTTP\/1\.1 (508|503) /);
  expect(text.toLowerCase()).toMatch(/x-pillion-reason: (loop|connect-failed)/);
});

test("reasons are counted in the metrics", async () => {
  const client = createClient("http1", sidecar.outbound);
  const labels = { service: "dead", reason: "connect-failed" };
  const before = (await sidecar.metric("pillion_requests_total", labels)) ?? 0;
  await client.send({ host: "dead", path: "/" });
  await waitUntil("it is counted", async () => (await sidecar.metric("pillion_requests_total", labels)) === before + 1);
  await client.close();
});
