// Active health checks: who fails them gets no requests, and comes back; never so many that too few are left.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createClient, type HttpClient } from "../support/foreign-clients.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type Sidecar, startSidecar } from "../support/sidecar.ts";

const opened: { close(): Promise<unknown> | unknown }[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close();
});

/** A server whose `/healthz` says what the test wants; `served` counts everything else. */
class Backend {
  readonly server: Server;
  status = 200;
  served = 0;
  checked = 0;

  constructor() {
    this.server = createServer((request, response) => {
      if (request.url === "/healthz") {
        this.checked += 1;
        response.writeHead(this.status).end();
        return;
      }
      this.served += 1;
      response.end("ok");
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    opened.push({ close: () => this.server.close() && this.server.closeAllConnections() });
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }
}

interface Instances {
  readonly instances: readonly { id: string; state: string; health?: { isHealthy: boolean; problem?: string } }[];
}

async function setUp(health: unknown = { path: "/healthz", interval: "50ms", fall: 2, rise: 2 }) {
  const backends = [new Backend(), new Backend(), new Backend()];
  const addresses = await Promise.all(backends.map((backend) => backend.listen()));
  const instances = addresses.map((address, index) => ({ id: `i${index}`, address }));
  const document = (more: object) => ({
    services: { web: { balance: { policy: "round-robin" }, ...more, instances } },
  });
  const mesh = createMesh(document({ health }));
  const sidecar = await startSidecar({ mesh });
  const client = createClient("http1", sidecar.outbound);
  opened.push({ close: () => mesh[Symbol.asyncDispose]() }, { close: () => sidecar.stop() }, client);
  const states = async () =>
    (await sidecar.read<Instances>("/instances?service=web")).instances.map((one) => one.state);
  const waitForStates = (wanted: readonly string[]) =>
    waitUntil(`the states are ${wanted}`, async () => JSON.stringify(await states()) === JSON.stringify(wanted));
  return { backends, sidecar, mesh, client, document, waitForStates };
}

async function sendMany(client: HttpClient, count = 12): Promise<void> {
  for (let index = 0; index < count; index += 1)
    expect((await client.send({ host: "web", path: "/" })).status).toBe(200);
}

/** Requests that each backend got since the last call. */
function served(backends: readonly Backend[]): number[] {
  return backends.map((backend) => {
    const count = backend.served;
    backend.served = 0;
    return count;
  });
}

function logLines(sidecar: Sidecar, text: string): string[] {
  return sidecar.program.lines.filter((line) => line.includes(text));
}

test("an instance that turns 503 gets no request after `fall` checks, and comes back after `rise`", async () => {
  const { backends, sidecar, client, waitForStates } = await setUp();
  await waitUntil("everybody was checked", () => backends.every(({ checked }) => checked > 0));
  await sendMany(client);
  expect(served(backends)).toEqual([4, 4, 4]);
  backends[1]!.status = 503;
  await waitForStates(["ready", "unhealthy", "ready"]);
  await sendMany(client);
  expect(served(backends)).toEqual([6, 0, 6]);
  const labels = { service: "web", instance: "i1" };
  expect(await sidecar.metric("pillion_instance_healthy", labels)).toBe(0);
  expect(await sidecar.metric("pillion_health_checks_total", { ...labels, outcome: "failed" })).toBeGreaterThan(1);
  const { instances } = await sidecar.read<Instances>("/instances?service=web");
  expect(instances[1]?.health).toMatchObject({ check: "GET /healthz", isHealthy: false, problem: "answered 503" });
  expect(logLines(sidecar, "web/i1 is unhealthy: answered 503")).toHaveLength(1);
  backends[1]!.status = 200;
  await waitForStates(["ready", "ready", "ready"]);
  expect(await sidecar.metric("pillion_instance_healthy", labels)).toBe(1);
  await sendMany(client, 30);
  expect(served(backends)[1]).toBeGreaterThan(0);
});

test("when more than half fails all are used again, and the log says so; checks end with the document", async () => {
  const { backends, sidecar, mesh, client, document, waitForStates } = await setUp();
  for (const backend of backends.slice(1)) backend.status = 500;
  await waitForStates(["ready", "unhealthy", "unhealthy"]);
  await sendMany(client);
  expect(served(backends)).toEqual([4, 4, 4]);
  const words = "more than half of the instances are set aside";
  await waitUntil("the log warns", () => logLines(sidecar, words).length === 1);
  mesh.write(document({}));
  await waitForStates(["ready", "ready", "ready"]);
  await waitUntil("the log says that it is over", () => logLines(sidecar, "enough instances are back").length === 1);
  expect(await sidecar.metric("pillion_instance_healthy", { service: "web", instance: "i1" })).toBeUndefined();
});
