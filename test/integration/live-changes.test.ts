// Goal: every policy and every rule may be changed while requests run, and none fails because of it (DESIGN §3).
// Method: one load of HTTP/1.1 and one of HTTP/2 through a list of documents, each until it has been answered under.

import { expect, test } from "vitest";
import { startServer } from "../support/foreign-servers.ts";
import { startLoad } from "../support/load.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, startSidecar } from "../support/sidecar.ts";

const HASH = { hash: { header: "x-request-id" } };

/** Sections of the service, one after another; each leaves out what the one before had. */
const SERVICES: readonly Record<string, unknown>[] = [
  { balance: { policy: "adaptive" } },
  { balance: { policy: "round-robin" } },
  { balance: { policy: "weighted-round-robin" } },
  { balance: { policy: "random" } },
  { balance: { policy: "least-connections" } },
  { balance: { policy: "ring-hash", ...HASH } },
  { balance: { policy: "maglev", ...HASH } },
  { hedge: { after: "5ms", budget: 0.2 } },
  { limits: { connections: 64, requests: 64, pending: 64 } },
  { rateLimit: { requestsPerSecond: 1_000_000, by: "source" } },
  { outlier: "none", retry: { attempts: 0 } },
  { timeout: { request: "10s", attempt: "5s" } },
  { health: { path: "/status/200", interval: "100ms" } },
];

/** Sections of the only rule. */
const RULES: readonly Record<string, unknown>[] = [
  { mirror: { service: "web", share: 0.2 }, to: [{ service: "next" }] },
  { fault: { delay: { share: 0.5, duration: "3ms" } } },
  {
    to: [
      { service: "web", weight: 10 },
      { service: "next", weight: 90 },
    ],
  },
  { rewrite: { host: "inside", pathPrefix: "/status/200" }, match: { path: { prefix: "/status/200" } } },
  { balance: { policy: "round-robin" }, retry: { attempts: 1 } },
  { requestHeaders: { set: { "x-env": "prod" } }, responseHeaders: { set: { "x-mesh": "1" } } },
];

test("services and rules are rewritten under load, and no request fails", async () => {
  const servers = await Promise.all(["a", "b", "c"].map((name) => startServer("http1", name)));
  const instances = servers.map(({ name, address }) => ({ id: name, address }));
  const documents = (service: object, rule: object) => ({
    services: { web: { ...service, instances }, next: { instances } },
    routes: { all: { hosts: ["front.example"], rules: [{ to: [{ service: "web" }], ...rule }] } },
  });
  await using mesh = createMesh(documents({}, {}));
  await using sidecar = await startSidecar({ mesh, flags: ["--workers", "2"] });
  const hosts = ["web", "front.example"];
  const loads = (["http1", "http2"] as const).flatMap((version) =>
    hosts.map((host) => startLoad({ address: sidecar.outbound, version, host, lanes: 3 })),
  );
  const revision = async () => (await sidecar.metric("pillion_registry_revision")) ?? 0;
  const changes = [...SERVICES.map((one) => [one, {}] as const), ...RULES.map((one) => [{}, one] as const)];
  for (const [service, rule] of changes) {
    const before = await revision();
    mesh.write(documents(service, rule));
    await waitUntil(`${JSON.stringify([service, rule])} is in force`, async () => (await revision()) > before);
    await Promise.all(loads.map((load) => load.answered(30)));
  }
  for (const load of loads) {
    await load.stop();
    expect(load.failures).toEqual({});
  }
  expect((await sidecar.metric("pillion_config_rejected_total")) ?? 0).toBe(0);
  for (const server of servers) await server.close();
}, 60_000);
