// A sidecar in a container of 128 MiB, whose clients ask for more than that and read nothing: it ends those that hold
// most, serves the others, and the kernel does not end it. In a real cgroup, where the host lets one be made.

import { mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { createClient } from "../support/foreign-clients.ts";
import * as h2 from "../support/frames.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, startSidecar } from "../support/sidecar.ts";

const LIMIT_BYTES = 128 * 2 ** 20;
const POOL_BYTES = 40 * 2 ** 20;
const READERS = 200;
const REQUEST: h2.Fields = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/large"],
  [":authority", "web"],
];

/** A cgroup with a limit of memory: v2, or the controller of v1; undefined where none may be made. */
function createCgroup(): string | undefined {
  for (const [parent, file] of [
    ["/sys/fs/cgroup", "memory.max"],
    ["/sys/fs/cgroup/memory", "memory.limit_in_bytes"],
  ]) {
    const folder = `${parent}/pillion-test-${process.pid}`;
    try {
      mkdirSync(folder);
    } catch {
      continue;
    }
    try {
      writeFileSync(`${folder}/${file}`, `${LIMIT_BYTES}`, { flag: "r+" });
      return folder;
    } catch {
      rmdirSync(folder);
    }
  }
  return undefined;
}

/** A sidecar in such a cgroup, before an app of which `/large` is `answer`; undefined where there is none. */
async function startInContainer(answer: Buffer) {
  const cgroup = createCgroup();
  if (cgroup === undefined) return undefined;
  const asked = { large: 0 };
  const server = createServer((request, response) => {
    if (request.url === "/large") asked.large += 1;
    response.end(request.url === "/large" ? answer : "small");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const limits = { requests: 10_000, pending: 10_000, connections: 10_000 };
  const mesh = createMesh({ services: { web: { limits, instances: [{ id: "a", address }] } } });
  const sidecar = await startSidecar({ mesh, cgroup });
  const sockets = new Set<Socket>();
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await sidecar.stop();
    await mesh[Symbol.asyncDispose]();
    server.closeAllConnections();
    server.close();
    rmdirSync(cgroup);
  });
  const [host = "", port = ""] = sidecar.outbound.split(":");
  /** A client that says this and reads nothing. */
  const say = (bytes: string | Buffer): Socket => {
    const socket = connect({ host, port: Number(port) }).pause();
    socket.on("error", () => undefined);
    socket.write(bytes);
    sockets.add(socket);
    return socket;
  };
  const ask = async () => {
    await using client = createClient("http1", sidecar.outbound);
    const { status, headers } = await client.send({ host: "web", path: "/small" });
    return status === 200 ? "200" : `${headers["x-pillion-reason"]}`;
  };
  expect(await ask()).toBe("200");
  await waitUntil("its worker knows", async () => (await sidecar.metric("pillion_memory_bytes")) === POOL_BYTES);
  return { sidecar, asked, sockets, say, ask };
}

test("128 MiB are enough for 200 readers that stopped", { timeout: 60_000 }, async (context) => {
  const container = await startInContainer(Buffer.alloc(4 * 2 ** 20, "a"));
  if (container === undefined) return context.skip("this host lets no cgroup with a limit of memory be made");
  const { sidecar, asked, sockets, say, ask } = container;
  for (let index = 0; index < READERS; index += 1) say("GET /large HTTP/1.1\r\nhost: web\r\n\r\n");
  await waitUntil("all of them are being answered", () => asked.large >= READERS, 30_000);
  for (let asks = 0; asks < 20; asks += 1) expect(["200", "resource-exhausted"]).toContain(await ask());
  expect(sidecar.program.isRunning).toBe(true);
  for (const socket of sockets) socket.destroy();
  await waitUntil("it serves again", async () => (await ask()) === "200", 20_000);
});

test("connections with 256 unread answers each, again and again", { timeout: 60_000 }, async (context) => {
  const container = await startInContainer(Buffer.alloc(96 * 1024, "a"));
  if (container === undefined) return context.skip("this host lets no cgroup with a limit of memory be made");
  const { sidecar, sockets, say, ask } = container;
  const heads = Array.from({ length: 256 }, (_, index) =>
    h2.headers(2 * index + 1, REQUEST, h2.END_HEADERS | h2.END_STREAM),
  );
  const wide = [h2.settings([[4, 0x7fffffff]]), h2.settings([], h2.ACK), h2.windowUpdate(0, 0x7fff0000 - 65_535)];
  const attack = Buffer.concat([h2.PREFACE, ...wide, ...heads]);
  const seen = { "200": 0, "resource-exhausted": 0 };
  const endAt = performance.now() + 4_000;
  while (performance.now() < endAt) {
    for (const socket of sockets) if (socket.destroyed) sockets.delete(socket);
    if (sockets.size < 12) say(attack);
    for (let asks = 0; asks < 20; asks += 1) {
      const answer = await ask();
      expect(["200", "resource-exhausted"]).toContain(answer);
      seen[answer as "200"] += 1;
    }
  }
  // One connection may fill two fifths of so small a pool between two looks: nearly everybody is served, not all.
  expect(seen["resource-exhausted"] * 100).toBeLessThan(seen["200"]);
  const stalled = async () => (await sidecar.metric("pillion_glitches_total", { kind: "stalled" })) ?? 0;
  await waitUntil("it is counted", async () => (await stalled()) > 0);
  expect(sidecar.program.isRunning).toBe(true);
});
