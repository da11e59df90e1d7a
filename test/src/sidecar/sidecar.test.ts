// The composition root with the real engine and a registry in memory: ready, carrying, losing its app, going.

import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { request } from "undici";
import { afterEach, expect, test } from "vitest";
import { createLog } from "../../../src/base/index.ts";
import { parseProcessConfig } from "../../../src/config/index.ts";
import { type Sidecar, startSidecar } from "../../../src/sidecar/index.ts";
import { createMemoryRegistry, type MemoryRegistry } from "../../support/memory-registry.ts";

const ending: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

interface App {
  readonly address: string;
  readonly port: number;
  /** Answers what waits at `/slow`. */
  release(): void;
  readonly waitingCount: number;
  stop(): Promise<void>;
}

async function startApp(name: string, port = 0): Promise<App> {
  const waiting: (() => void)[] = [];
  const server: Server = createServer((asked, response) => {
    const answer = () => response.end(name);
    if (asked.url === "/slow") waiting.push(answer);
    else answer();
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  ending.push(stop);
  const bound = (server.address() as AddressInfo).port;
  return {
    address: `127.0.0.1:${bound}`,
    port: bound,
    release: () => waiting.splice(0).forEach((answer) => void answer()),
    get waitingCount() {
      return waiting.length;
    },
    stop,
  };
}

async function start(registry: MemoryRegistry, flags: Record<string, string | string[]>): Promise<Sidecar> {
  const off = { outbound: "off", inbound: "off", admin: "off", probe: "off" };
  const parsed = parseProcessConfig({ flags: { ...off, ...flags }, env: {} });
  if (!parsed.ok) throw new Error(parsed.issues.join("; "));
  const log = createLog({ level: "silent" });
  const sidecar = await startSidecar({ config: parsed.config, registry, log });
  ending.push(() => sidecar.stop());
  return sidecar;
}

const anywhere = "127.0.0.1:0";
const web = (...addresses: string[]) =>
  JSON.stringify({ services: { web: { instances: addresses.map((address) => ({ address })) } } });

async function ask(sidecar: Sidecar, port: string, host = "web", path = "/") {
  const { statusCode, headers, body } = await request(`http://${sidecar.readiness().ports[port]}${path}`, {
    headers: { host },
  });
  return { status: statusCode, reason: headers["x-pillion-reason"], body: await body.text() };
}

test("ready when the mesh is loaded and the app accepts, and says what it waits for until then", async () => {
  const app = await startApp("a");
  await app.stop();
  const registry = createMemoryRegistry();
  const flags = { mesh: "file:m.yaml", service: "web", app: app.address, inbound: anywhere, outbound: anywhere };
  const sidecar = await start(registry, flags);
  await expect
    .poll(() => sidecar.readiness().waitingFor)
    .toEqual(["the mesh (file:m.yaml) is being read", `the app: ${app.address} does not accept connections`]);
  expect(Object.keys(sidecar.readiness().ports).sort()).toEqual(["inbound", "outbound"]);
  registry.send({ kind: "disconnected", problem: "connection refused", retryMs: 100 });
  expect(sidecar.readiness().waitingFor[0]).toBe("the mesh (file:m.yaml): connection refused");
  registry.set(web());
  await startApp("a", app.port);
  await expect.poll(() => sidecar.readiness()).toMatchObject({ isReady: true, waitingFor: [] });
});

test("without a mesh requests are answered not-ready; pictures put it in force and replace it", async () => {
  const [first, second] = [await startApp("first"), await startApp("second")];
  const registry = createMemoryRegistry();
  const sidecar = await start(registry, { outbound: anywhere, listen: [`${anywhere}=web`] });
  await expect.poll(() => sidecar.readiness().waitingFor.length).toBe(1);
  expect(await ask(sidecar, "outbound")).toMatchObject({ status: 503, reason: "not-ready" });
  registry.set(web(first.address));
  await expect.poll(() => ask(sidecar, "outbound")).toMatchObject({ status: 200, body: "first" });
  expect(await ask(sidecar, "listen web", "anything.example")).toMatchObject({ status: 200, body: "first" });
  registry.set(web(second.address));
  await expect.poll(() => ask(sidecar, "outbound")).toMatchObject({ status: 200, body: "second" });
  expect(sidecar.instances("web").map(({ address }) => address)).toEqual([second.address]);
  expect(await ask(sidecar, "outbound", "nobody.example")).toMatchObject({ status: 404, reason: "no-route" });
});

test("the instance is registered while the app accepts, and its inbound carries to it", async () => {
  const app = await startApp("app");
  const registry = createMemoryRegistry(web());
  const flags = { service: "web", app: app.address, instance: "a", inbound: anywhere, tag: "version=v1" };
  const sidecar = await start(registry, flags);
  const { inbound = "" } = sidecar.readiness().ports;
  await expect.poll(() => registry.history).toEqual([`ready web/a ${inbound}`]);
  await expect.poll(() => ask(sidecar, "inbound", "whatever")).toMatchObject({ status: 200, body: "app" });
  await app.stop();
  await expect.poll(() => registry.history.at(-1)).toBe("out web/a");
  expect(sidecar.readiness().isReady).toBe(false);
  await startApp("app", app.port);
  await expect.poll(() => registry.history.at(-1)).toBe(`ready web/a ${inbound}`);
  await expect.poll(() => sidecar.readiness().isReady).toBe(true);
});

test("counts are seen by instance and in the metrics", async () => {
  const app = await startApp("app");
  const sidecar = await start(createMemoryRegistry(web(app.address)), { outbound: anywhere });
  await expect.poll(() => sidecar.readiness().isReady).toBe(true);
  for (let round = 0; round < 5; round += 1) await ask(sidecar, "outbound");
  await ask(sidecar, "outbound", "nobody.example");
  const slow = ask(sidecar, "outbound", "web", "/slow");
  await expect
    .poll(() => sidecar.instances("web")[0])
    .toMatchObject({ requests: 5, errors: 0, inFlight: 1, state: "ready" });
  expect(sidecar.instances("web")[0]?.p50Us).toBeGreaterThan(0);
  expect(sidecar.services()).toMatchObject([{ name: "web", instances: 1, requests: 5, inFlight: 1 }]);
  const { text } = await sidecar.formatMetrics();
  expect(text).toContain('pillion_requests_total{direction="outbound",service="web",code="200",reason=""} 5');
  expect(text).toContain('code="404",reason="no-route"} 1');
  expect(text).toContain('pillion_request_duration_seconds_count{direction="outbound",service="web"} 5');
  expect(text).toContain('pillion_inflight{service="web"} 1');
  expect(text).toContain("pillion_worker_restarts_total 0");
  await expect.poll(() => app.waitingCount).toBe(1);
  app.release();
  expect(await slow).toMatchObject({ status: 200 });
});

test("draining: announced first, the request in flight ends, then the instance goes", async () => {
  const app = await startApp("app");
  const registry = createMemoryRegistry(web());
  const flags = { service: "web", app: app.address, instance: "a", inbound: anywhere, drain: "20s" };
  const sidecar = await start(registry, flags);
  await expect.poll(() => sidecar.readiness().isReady).toBe(true);
  const slow = ask(sidecar, "inbound", "web", "/slow");
  await expect.poll(() => app.waitingCount).toBe(1);
  expect(sidecar.drain()).toBe(true);
  expect(sidecar.drain()).toBe(false);
  expect(sidecar.readiness().waitingFor[0]).toContain("draining");
  await expect.poll(() => registry.history.at(-1)).toBe("draining web/a");
  app.release();
  expect(await slow).toMatchObject({ status: 200, body: "app" });
  expect(await sidecar.ended).toBe(true);
  expect(registry.history.at(-1)).toBe("out web/a");
  expect(registry.isStopped).toBe(true);
});

test("draining: an answer that is read slowly is read to its end", async () => {
  const total = 24 * 1024 * 1024;
  const server = createServer((_asked, response) => response.end(Buffer.alloc(total, 1)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ending.push(() => server.close());
  const { port } = server.address() as AddressInfo;
  const sidecar = await start(createMemoryRegistry(web(`127.0.0.1:${port}`)), { outbound: anywhere, drain: "20s" });
  await expect.poll(() => sidecar.readiness().isReady).toBe(true);
  const client = connect(Number(sidecar.readiness().ports.outbound?.split(":").at(-1)), "127.0.0.1");
  client.write("GET / HTTP/1.1\r\nhost: web\r\n\r\n");
  let read = 0;
  for await (const part of client) {
    sidecar.drain();
    read += part.length;
    // One part a turn of timers: the kernel's buffers on the way stay full until the very end.
    await new Promise((resolve) => setTimeout(resolve));
  }
  // The body, and a head before it.
  expect(read).toBeGreaterThan(total);
  expect(await sidecar.ended).toBe(true);
});

test("what does not end within --drain is cut off", async () => {
  const app = await startApp("app");
  const sidecar = await start(createMemoryRegistry(web(app.address)), { outbound: anywhere, drain: "300ms" });
  await expect.poll(() => sidecar.readiness().isReady).toBe(true);
  const slow = ask(sidecar, "outbound", "web", "/slow").catch((error: Error) => error);
  await expect.poll(() => app.waitingCount).toBe(1);
  sidecar.drain();
  expect(await sidecar.ended).toBe(false);
  expect(await slow).toBeInstanceOf(Error);
});

test("a port in use fails the start and leaves nothing behind", async () => {
  const app = await startApp("app");
  const registry = createMemoryRegistry(web());
  const starting = start(registry, { outbound: anywhere, admin: app.address });
  await expect(starting).rejects.toThrow(/port \d+ is in use by .*; choose another with --admin/);
  expect(registry.isStopped).toBe(true);
});
