// Active health checks: who fails them gets no requests, and comes back; never so many that too few are left.

import { createServer, type Server } from "node:http";
import { createServer as createServerH2, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createClient, type HttpClient } from "../support/foreign-clients.ts";
import { startServer } from "../support/foreign-servers.ts";
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
  // A newcomer's share is small at first.
  await waitUntil("it is asked again", async () => {
    await sendMany(client);
    return backends[1]!.served > 0;
  });
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

test("checks by gRPC and by TCP: who says NOT_SERVING, or takes no connection, is unhealthy", async () => {
  let status = 1; // SERVING
  const grpc = createServerH2();
  grpc.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => {});
    const isCheck = headers[":path"] === "/grpc.health.v1.Health/Check";
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.from(isCheck ? [0, 0, 0, 0, 2, 8, status] : [0, 0, 0, 0, 0]));
  });
  await new Promise<void>((resolve) => grpc.listen(0, "127.0.0.1", resolve));
  opened.push({ close: () => grpc.close() });
  const closing = await startServer("http1", "closing");
  const timing = { interval: "50ms", fall: 2, rise: 2 };
  const grpcAddress = `127.0.0.1:${(grpc.address() as AddressInfo).port}`;
  const only = (address: string) => [{ id: "it", address }];
  const mesh = createMesh({
    services: {
      calls: { protocol: "grpc", health: { grpc: "echo", ...timing }, instances: only(grpcAddress) },
      web: { health: { tcp: true, ...timing }, instances: only(closing.address) },
    },
  });
  const sidecar = await startSidecar({ mesh });
  opened.push({ close: () => mesh[Symbol.asyncDispose]() }, { close: () => sidecar.stop() });
  const waitFor = (service: string, state: string, problem?: RegExp) =>
    waitUntil(`${service} is ${state}`, async () => {
      const [row] = (await sidecar.read<Instances>(`/instances?service=${service}`)).instances;
      return row?.state === state && (problem === undefined || problem.test(row.health?.problem ?? ""));
    });
  const passed = (service: string) => sidecar.metric("pillion_health_checks_total", { service, outcome: "passed" });
  for (const service of ["calls", "web"]) {
    await waitUntil(`${service} passed`, async () => ((await passed(service)) ?? 0) > 0);
  }
  status = 2;
  await waitFor("calls", "unhealthy", /NOT_SERVING/);
  status = 1;
  await waitFor("calls", "ready");
  await closing.close();
  await waitFor("web", "unhealthy", /ECONNREFUSED/);
});
