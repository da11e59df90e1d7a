// A sidecar in a container of 128 MiB, whose clients ask for more than that and read nothing: it refuses what it
// has no room for, and the kernel does not end it. In a real cgroup, where the host lets one be made.

import { mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { createClient } from "../support/foreign-clients.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, startSidecar } from "../support/sidecar.ts";

const LIMIT_BYTES = 128 * 2 ** 20;
const ANSWER = Buffer.alloc(4 * 2 ** 20, "a");
const READERS = 200;

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

test("128 MiB are enough for 200 readers that stopped", { timeout: 60_000 }, async (context) => {
  const cgroup = createCgroup();
  if (cgroup === undefined) return context.skip("this host lets no cgroup with a limit of memory be made");
  let asked = 0;
  const server = createServer((request, response) => {
    if (request.url === "/large") asked += 1;
    response.end(request.url === "/large" ? ANSWER : "small");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  await using mesh = createMesh({ services: { web: { instances: [{ id: "a", address }] } } });
  const sidecar = await startSidecar({ mesh, cgroup });
  const readers: Socket[] = [];
  onTestFinished(async () => {
    for (const socket of readers) socket.destroy();
    await sidecar.stop();
    server.closeAllConnections();
    server.close();
    rmdirSync(cgroup);
  });
  const ask = async () => {
    await using client = createClient("http1", sidecar.outbound);
    const { status, headers } = await client.send({ host: "web", path: "/small" });
    return status === 200 ? "200" : `${headers["x-pillion-reason"]}`;
  };
  expect(await ask()).toBe("200");
  await waitUntil("its worker knows", async () => (await sidecar.metric("pillion_memory_bytes")) === 40 * 2 ** 20);
  const [host = "", port = ""] = sidecar.outbound.split(":");
  for (let index = 0; index < READERS; index += 1) {
    const socket = connect({ host, port: Number(port) }).pause();
    socket.on("error", () => undefined);
    socket.write("GET /large HTTP/1.1\r\nhost: web\r\n\r\n");
    readers.push(socket);
  }
  await waitUntil("all of them are being answered", () => asked >= READERS, 30_000);
  for (let asks = 0; asks < 20; asks += 1) expect(["200", "resource-exhausted"]).toContain(await ask());
  expect(sidecar.program.isRunning).toBe(true);
  for (const socket of readers) socket.destroy();
  await waitUntil("it serves again", async () => (await ask()) === "200", 20_000);
});
