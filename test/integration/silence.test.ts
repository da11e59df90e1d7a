// Goal: one that accepts, reads and never answers costs nobody more than a moment, whether others are asked meanwhile
//       or not (DESIGN §6, "Silence"); on real sockets.

import { afterEach, expect, test } from "vitest";
import { createClient } from "../support/foreign-clients.ts";
import { startServer, startTcpServer } from "../support/foreign-servers.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type InstanceRow, startSidecar } from "../support/sidecar.ts";

const opened: { close(): Promise<unknown> | unknown }[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close();
});

test.each([
  ["one caller, who waits for each answer", 1],
  ["four of them, until all of them wait for the same", 4],
])("%s", async (_, lanes) => {
  let reads = 0;
  const silent = await startTcpServer((socket) => socket.on("data", () => (reads += 1)));
  const good = [await startServer("http1", "a"), await startServer("http1", "b")];
  opened.push(silent, ...good);
  const instances = [silent, ...good].map(({ address }, index) => ({ id: `i${index}`, address }));
  const mesh = createMesh({ services: { web: { balance: { policy: "round-robin" }, instances } } });
  const sidecar = await startSidecar({ mesh });
  const client = createClient("http2", sidecar.outbound);
  opened.push({ close: () => mesh[Symbol.asyncDispose]() }, { close: () => sidecar.stop() }, client);
  const stateOf = async () => {
    const { instances: rows } = await sidecar.read<{ instances: Row[] }>("/instances");
    return rows.find(({ id }) => id === "i0");
  };
  let isSetAside = false;
  const lane = async () => {
    while (!isSetAside) expect((await client.send({ host: "web", path: "/status/200" })).status).toBe(200);
  };
  const all = Promise.all(Array.from({ length: lanes }, lane));
  await waitUntil("it is set aside", async () => (await stateOf())?.state === "ejected");
  isSetAside = true;
  expect((await stateOf())?.ejection).toMatchObject({ reason: "silent" });
  await all;
  expect(reads).toBeGreaterThan(0);
});

type Row = InstanceRow & { readonly ejection?: { readonly reason: string } };
