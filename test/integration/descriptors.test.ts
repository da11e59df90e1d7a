// Clients take at most half of the process' descriptors: whoever is connected is served, and so is the admin port.

import { expect, test } from "vitest";
import { openRaw } from "../support/foreign-clients.ts";
import { startServer } from "../support/foreign-servers.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, startSidecar } from "../support/sidecar.ts";

const DESCRIPTORS = 400;
const CLIENTS = 260;

test.each(["epoll", "libuv"])("with half of the descriptors in use no client more is taken (%s)", async (driver) => {
  await using server = await startServer("http1");
  await using mesh = createMesh({ services: { web: { instances: [{ id: "a", address: server.address }] } } });
  const flags = ["--workers", "1", "--socket-driver", driver];
  await using sidecar = await startSidecar({ mesh, flags, descriptors: DESCRIPTORS });
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => openRaw(sidecar.outbound)));
  const isGone = ({ socket }: (typeof clients)[number]) => socket.readableEnded || socket.destroyed;
  const refused = () => sidecar.metric("pillion_accept_failures_total");
  await waitUntil("some are refused", async () => ((await refused()) ?? 0) > CLIENTS - DESCRIPTORS / 2);
  await waitUntil("the refused know it", async () => clients.filter(isGone).length === (await refused()));
  const served = clients.filter((client) => !isGone(client));
  expect(served.length).toBeGreaterThan(DESCRIPTORS / 8);
  // All at once, and each has an upstream connection of its own.
  for (const client of served) client.write("GET /delay/300 HTTP/1.1\r\nhost: web\r\n\r\n");
  await Promise.all(served.map((client) => client.waitFor(/^HTTP\/1\.1 200 /)));
  expect(server.connections).toBeGreaterThanOrEqual(served.length);
  for (const client of clients) client.socket.destroy();
});
