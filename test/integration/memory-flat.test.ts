// Memory stays where it was: over many requests, over many connections, behind a reader that stops.
//
// Short by default; PILLION_FULL=1 runs a million requests by shape, and four gigabytes behind a stopped reader.

import { once } from "node:events";
import { connect } from "node:http2";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openRaw } from "../support/foreign-clients.ts";
import { type ForeignServer, startServer } from "../support/foreign-servers.ts";
import { descriptorCount, startProgram, waitUntil } from "../support/process.ts";
import { requireProgram } from "../support/programs.ts";
import { createMesh, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";

const IS_FULL = process.env.PILLION_FULL === "1";
const MIB = 2 ** 20;
/** The first tenth is for V8 and the pools to settle. */
const REQUESTS = IS_FULL ? 1_000_000 : 60_000;
/** The full bound is the product's promise; the short run has fewer requests to settle in. */
const GROWTH_BYTES_MAX = (IS_FULL ? 2 : 6) * MIB;
const STREAM_BYTES = IS_FULL ? 4096 * MIB : 256 * MIB;
const STALL_BYTES_MAX = 16 * MIB;

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

const timeout = IS_FULL ? 3_600_000 : 120_000;

test.for([
  ["web", ["-c", "10", "-m", "32"]],
  ["plain", ["-c", "50", "-m", "1"]],
  ["plain", ["--h1", "-c", "50"]],
  ["web", ["-c", "500", "-m", "1"]],
] as const)("h2load to %s with %j", { timeout }, async ([host, shape], context) => {
  const h2load = requireProgram(context, "h2load");
  const [, port] = sidecar.outbound.split(":");
  const target = [`--connect-to=${sidecar.outbound}`, `http://${host}:${port}/bytes/100`];
  const answered = async () => (await sidecar.metric("pillion_requests_total", { service: host })) ?? 0;
  const descriptors = descriptorCount(sidecar.program.pid);
  const start = await answered();
  const program = startProgram(h2load, [...shape, "-n", `${REQUESTS}`, ...target]);
  await waitUntil("a tenth is answered", async () => (await answered()) - start >= REQUESTS / 10);
  const before = sidecar.residentBytes();
  expect((await program.ended).code).toBe(0);
  expect(sidecar.residentBytes() - before).toBeLessThan(GROWTH_BYTES_MAX);
  expect(program.lines.join("\n")).toContain(`${REQUESTS} 2xx, 0 3xx, 0 4xx, 0 5xx`);
  // Some for connections to the app that are kept for reuse.
  await waitUntil("descriptors are given back", () => descriptorCount(sidecar.program.pid) <= descriptors + 64);
});

test.each(["web", "plain"])(
  "a stopped HTTP/2 reader of %s holds the sender, not the memory",
  async (host) => {
    const session = connect(`http://${sidecar.outbound}`);
    await once(session, "connect");
    const before = sidecar.residentBytes();
    const stream = session.request({ ":path": `/bytes/${STREAM_BYTES}`, ":authority": host });
    let received = 0;
    stream.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    await waitUntil("it flows", () => received > MIB);
    stream.pause();
    // A sibling keeps its rate meanwhile, through the same connection.
    for (let round = 0; round < 30; round += 1) {
      const sibling = session.request({ ":path": "/bytes/1000000", ":authority": host });
      let length = 0;
      for await (const chunk of sibling) length += (chunk as Buffer).length;
      expect(length).toBe(1_000_000);
    }
    expect(sidecar.residentBytes() - before).toBeLessThan(STALL_BYTES_MAX);
    stream.resume();
    await once(stream, "end");
    expect(received).toBe(STREAM_BYTES);
    expect(sidecar.residentBytes() - before).toBeLessThan(STALL_BYTES_MAX);
    session.destroy();
  },
  timeout,
);

test.each(["web", "plain"])(
  "a stopped HTTP/1.1 reader of %s holds the sender, not the memory",
  async (host) => {
    await using raw = await openRaw(sidecar.outbound);
    const before = sidecar.residentBytes();
    raw.socket.removeAllListeners("data");
    let received = 0;
    raw.socket.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    raw.write(`GET /bytes/${STREAM_BYTES} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
    await waitUntil("it flows", () => received > MIB);
    raw.socket.pause();
    let settled = -1;
    await waitUntil("nothing moves any more", async () => {
      const { length } = await sidecar.instanceNames();
      const resident = sidecar.residentBytes();
      const isStill = resident === settled && length > 0;
      settled = resident;
      return isStill;
    });
    expect(settled - before).toBeLessThan(STALL_BYTES_MAX);
    raw.socket.resume();
    await once(raw.socket, "end");
    expect(received).toBeGreaterThan(STREAM_BYTES);
    expect(sidecar.residentBytes() - before).toBeLessThan(STALL_BYTES_MAX);
  },
  timeout,
);
