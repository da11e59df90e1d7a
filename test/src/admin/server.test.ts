// The admin and probe servers over real HTTP: who may ask what, and what is answered.

import { request } from "node:http";
import { afterEach, expect, test } from "vitest";
import {
  type AdminView,
  type HttpServer,
  type InstanceView,
  startAdmin,
  startProbe,
} from "../../../src/admin/index.ts";
import type { LogLevel } from "../../../src/base/index.ts";

const running: HttpServer[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

const instance: InstanceView = {
  service: "users",
  id: "a",
  address: "127.0.0.1:9001",
  weight: 100,
  zone: undefined,
  tags: {},
  isSidecar: false,
  state: "ready",
  ejection: undefined,
  health: undefined,
  requests: 10,
  errors: 1,
  inFlight: 2,
  pending: 0,
  connections: 1,
  p50Us: 900,
  p99Us: 4000,
};

const connection = {
  direction: "outbound",
  peer: "127.0.0.1",
  destination: "10.0.0.1:6379",
  serverName: "cache.example",
  service: undefined,
  instance: "a",
  bytesReceived: 1,
  bytesSent: 2,
  ageMs: 3,
};

class FakeView implements AdminView {
  logLevel: LogLevel = "info";
  drains = 0;
  waitingFor: string[] = [];
  services() {
    return [];
  }
  instances(service: string | undefined) {
    return service === undefined || service === "users" ? [instance] : [];
  }
  connections(service: string | undefined) {
    return [{ ...connection, service }];
  }
  config() {
    return { flags: { workers: 1 } };
  }
  readiness() {
    return {
      isReady: this.waitingFor.length === 0,
      waitingFor: this.waitingFor,
      ports: { outbound: "127.0.0.1:15001" },
    };
  }
  async formatMetrics() {
    return { contentType: "text/plain; version=0.0.4", text: "up 1\n" };
  }
  drain() {
    this.drains += 1;
    return this.drains === 1;
  }
}

const anywhere = { host: "127.0.0.1", port: 0 };
const explain = (_address: unknown, flag: string, error: Error) => new Error(`${flag}: ${error.message}`);

async function setUp(start: typeof startAdmin) {
  const view = new FakeView();
  const server = await start(anywhere, view, explain);
  running.push(server);
  const ask = (path: string, { method = "GET", host = "localhost", body = "" } = {}) =>
    new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
      const { port } = server.address;
      const asking = request({ host: "127.0.0.1", port, path, method, headers: { host } }, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (part: string) => {
          text += part;
        });
        response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, body: text }));
      });
      asking.on("error", reject);
      asking.end(body);
    });
  return { view, server, ask };
}

test("admin reads: instances with counts and percentiles, config, metrics, an index", async () => {
  const { ask } = await setUp(startAdmin);
  const all = await ask("/instances");
  expect(JSON.parse(all.body).instances).toEqual([JSON.parse(JSON.stringify(instance))]);
  expect(all.headers).toMatchObject({ "x-content-type-options": "nosniff", "cache-control": "no-store" });
  expect(JSON.parse((await ask("/instances?service=web")).body).instances).toEqual([]);
  const { connections } = JSON.parse((await ask("/connections?service=cache")).body);
  expect(connections).toEqual([{ ...connection, service: "cache" }]);
  expect(JSON.parse((await ask("/config")).body).flags.workers).toBe(1);
  expect((await ask("/metrics")).body).toBe("up 1\n");
  expect(Object.keys(JSON.parse((await ask("/")).body).paths)).toContain("/drain");
  expect((await ask("/nothing")).status).toBe(404);
});

test("admin answers only to local names", async () => {
  const { ask } = await setUp(startAdmin);
  for (const host of ["localhost", "localhost:15000", "127.0.0.1", "127.0.0.1:15000", "[::1]:15000", "LOCALHOST"]) {
    expect((await ask("/services", { host })).status, host).toBe(200);
  }
  for (const host of ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1"]) {
    expect((await ask("/services", { host })).status, host).toBe(403);
  }
});

test("reads are GET and HEAD, changes are POST", async () => {
  const { view, ask } = await setUp(startAdmin);
  const refused = await ask("/drain");
  expect([refused.status, refused.headers.allow]).toEqual([405, "POST"]);
  expect((await ask("/instances", { method: "POST" })).status).toBe(405);
  expect((await ask("/instances", { method: "DELETE" })).headers.allow).toBe("GET, HEAD");
  expect(await ask("/instances", { method: "HEAD" })).toMatchObject({ status: 200, body: "" });
  expect(view.drains).toBe(0);
  expect(JSON.parse((await ask("/drain", { method: "POST" })).body)).toEqual({ draining: true, started: true });
  expect(JSON.parse((await ask("/drain", { method: "POST" })).body)).toEqual({ draining: true, started: false });
});

test("the log level is read and changed; a wrong one names the right one", async () => {
  const { view, ask } = await setUp(startAdmin);
  expect(JSON.parse((await ask("/log-level")).body)).toEqual({ level: "info" });
  expect((await ask("/log-level?level=debug", { method: "POST" })).status).toBe(200);
  expect(view.logLevel).toBe("debug");
  await ask("/log-level", { method: "POST", body: '{"level":"warn"}' });
  expect(view.logLevel).toBe("warn");
  const wrong = await ask("/log-level", { method: "POST", body: "eror" });
  expect(wrong.status).toBe(400);
  expect(wrong.body).toContain("did you mean error?");
  expect(view.logLevel).toBe("warn");
  expect((await ask("/log-level", { method: "POST", body: "x".repeat(5_000) })).status).toBe(413);
});

test("the probe port says whether, why not, and where; and nothing else", async () => {
  const { view, ask } = await setUp(startProbe);
  expect((await ask("/live", { host: "any.example" })).status).toBe(200);
  expect(JSON.parse((await ask("/ready")).body)).toMatchObject({ ready: true, ports: { outbound: "127.0.0.1:15001" } });
  view.waitingFor = ["the app: 127.0.0.1:8080 does not accept connections"];
  const waiting = await ask("/ready");
  expect(waiting.status).toBe(503);
  expect(JSON.parse(waiting.body).waitingFor).toEqual(view.waitingFor);
  expect((await ask("/metrics")).status).toBe(200);
  for (const path of ["/services", "/instances", "/connections", "/config", "/drain", "/log-level"]) {
    expect((await ask(path)).status, path).toBe(404);
  }
});

test("an address in use is explained by whoever explains", async () => {
  const { server } = await setUp(startAdmin);
  await expect(startProbe(server.address, new FakeView(), explain)).rejects.toThrow(/--probe: .*EADDRINUSE/);
});
