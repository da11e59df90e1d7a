// The adaptive policy and outlier detection on real sockets: sidecars before servers that wait by timer.
//
// Shortened: three servers and some hundred requests. PILLION_FULL=1: sixteen servers, 500 requests a second.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient, type HttpClient } from "../support/foreign-clients.ts";
import { createMesh, type InstanceRow, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";

const IS_FULL = process.env.PILLION_FULL === "1";
const SERVERS = IS_FULL ? 16 : 3;
const REQUESTS_PER_SECOND = IS_FULL ? 500 : 80;
/** After this the balancer must know what is wrong. */
const LEARNING_MS = 2_000;
const LOOKING_MS = IS_FULL ? 20_000 : 3_000;
/** What a slow or failing one may still get, of a third if nobody looked. Shortened, a busy host stalls the others. */
const SHARE_MAX = IS_FULL ? 0.01 : 0.12;
/** Far above what a busy host adds. */
const WAIT_MS = 40;

interface Ejectable extends InstanceRow {
  readonly ejection?: { readonly reason: string; readonly leftMs: number };
}

/** A server whose answers wait, or fail at once. */
class WaitingServer {
  waitMs = WAIT_MS;
  isFailing = false;
  requests = 0;
  readonly #server: Server = createServer((_request, response) => {
    this.requests += 1;
    if (this.isFailing) response.writeHead(500).end();
    else setTimeout(() => response.end("answer"), this.waitMs);
  });

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return this;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const servers: WaitingServer[] = [];
const inbounds: Sidecar[] = [];
let mesh: MeshFolder;
let outbound: Sidecar;
let client: HttpClient;

beforeAll(async () => {
  mesh = createMesh({ services: { behind: {}, bare: {}, turns: {} } });
  for (let index = 0; index < SERVERS; index += 1) servers.push(await new WaitingServer().start());
  const apps = servers.map(({ address }, index) => ({ service: "behind", address, id: `i${index}` }));
  inbounds.push(...(await Promise.all(apps.map((app) => startSidecar({ mesh, app, flags: ["--outbound", "off"] })))));
  const behind = inbounds.map(({ inbound }, index) => ({ id: `i${index}`, address: inbound, sidecar: true }));
  const bare = servers.map(({ address }, index) => ({ id: `i${index}`, address }));
  const turns = { balance: { policy: "round-robin" }, instances: bare };
  mesh.write({ services: { behind: { instances: behind }, bare: { instances: bare }, turns } });
  outbound = await startSidecar({ mesh });
  const ids = servers.map((_, index) => `i${index}`);
  await outbound.waitForInstances("behind", ids);
  await outbound.waitForInstances("bare", ids);
  await outbound.waitForInstances("turns", ids);
  client = createClient("http2", outbound.outbound);
}, 60_000);

afterAll(async () => {
  await client.close();
  await outbound.stop();
  await Promise.all(inbounds.map((sidecar) => sidecar.stop()));
  await Promise.all(servers.map((server) => server.stop()));
  await mesh[Symbol.asyncDispose]();
}, 60_000);

/** Sends at an even pace, whatever the answers; resolves with the statuses when all are here. */
async function send(service: string, ms: number): Promise<number[]> {
  const answers: Promise<number>[] = [];
  const startMs = performance.now();
  for (let passedMs = 0; passedMs < ms; passedMs = performance.now() - startMs) {
    const due = Math.floor((passedMs * REQUESTS_PER_SECOND) / 1_000);
    while (answers.length <= due) {
      answers.push(client.send({ host: service, path: "/", method: "POST", body: "x" }).then(({ status }) => status));
    }
    await pause(5);
  }
  return Promise.all(answers);
}

/** Which share of requests each server gets, after the time to learn. */
async function sharesOf(service: string): Promise<{ shares: number[]; failed: number }> {
  await send(service, LEARNING_MS);
  const before = servers.map(({ requests }) => requests);
  const statuses = await send(service, LOOKING_MS);
  const counts = servers.map(({ requests }, index) => requests - (before[index] ?? 0));
  const failed = statuses.filter((status) => status !== 200).length;
  return { shares: counts.map((count) => count / statuses.length), failed: failed / statuses.length };
}

function reset(): void {
  for (const server of servers) Object.assign(server, { waitMs: WAIT_MS, isFailing: false });
}

describe.each(["behind", "bare"] as const)("%s sidecars", (service) => {
  test("equal servers share; one that becomes sixteen times slower gets next to nothing", async () => {
    reset();
    const equal = await sharesOf(service);
    expect(Math.max(...equal.shares)).toBeLessThan(3 / SERVERS);
    expect(Math.min(...equal.shares)).toBeGreaterThan(0);
    servers[1]!.waitMs = WAIT_MS * 16;
    const { shares, failed } = await sharesOf(service);
    expect(shares[1]).toBeLessThan(SHARE_MAX);
    expect(failed).toBe(0);
  }, 120_000);

  test("one that fails at once gets next to nothing", async () => {
    reset();
    servers[2]!.isFailing = true;
    const { shares, failed } = await sharesOf(service);
    expect(shares[2]).toBeLessThan(SHARE_MAX);
    expect(failed).toBeLessThan(SHARE_MAX);
  }, 120_000);
});

test("in turns too, one that fails at once is set aside, and shown so", async () => {
  reset();
  servers[2]!.isFailing = true;
  const { failed } = await sharesOf("turns");
  expect(failed).toBeLessThan(SHARE_MAX);
  const { instances } = await outbound.read<{ instances: Ejectable[] }>("/instances");
  const row = instances.find(({ service: name, id }) => name === "turns" && id === "i2");
  expect(row?.errors).toBeGreaterThanOrEqual(5);
  expect(row?.ejection?.reason).toBe("consecutive-failures");
  expect(await outbound.metric("pillion_instance_ejected", { service: "turns", instance: "i2" })).toBe(1);
}, 120_000);

test("the slow one moves, and the load moves away from it", async () => {
  for (const slow of [0, 1]) {
    reset();
    servers[slow]!.waitMs = WAIT_MS * 16;
    const { shares } = await sharesOf("behind");
    expect(shares[slow]).toBeLessThan(SHARE_MAX);
  }
}, 120_000);
