// Goal: limits hold exactly over all workers, and whoever meets one is told which, and when to come back (DESIGN §5).
// Method: two workers, many client connections, a server that holds its answers; what it got is counted there.

import { request } from "node:http";
import { expect, test } from "vitest";
import { type Answer, createClient } from "../support/foreign-clients.ts";
import { startServer } from "../support/foreign-servers.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, startSidecar } from "../support/sidecar.ts";

const CLIENTS = 8;
const REQUESTS = 48;

/** Sent before the rest, with the server, waiting. */
const LIMITS = [
  ["requests", { requests: 7 }, 0, 7, 0],
  // Who waits for a connection to be opened is pending too: so all five are opened first.
  ["pending", { connections: 5, pending: 3, pendingTimeout: "1m" }, 5, 5, 3],
] as const;

test.each(LIMITS)("limits.%s: exact over two workers, and named", async (name, limits, first, atServer, waiting) => {
  await using server = await startServer("http1");
  await using mesh = createMesh({ services: { web: { limits, instances: [{ address: server.address }] } } });
  await using sidecar = await startSidecar({ mesh, flags: ["--workers", "2"] });
  const clients = Array.from({ length: CLIENTS }, () => createClient("http2", sidecar.outbound));
  const abort = new AbortController();
  const refused: Answer[] = [];
  const all: Promise<unknown>[] = [];
  const send = () => {
    const answer = clients[all.length % CLIENTS]!.send({ host: "web", path: "/hang", signal: abort.signal });
    all.push(answer.then((one) => refused.push(one)).catch(() => {}));
  };
  for (let count = 1; count <= first; count += 1) {
    send();
    await waitUntil("the server has it", () => server.requests === count);
  }
  while (all.length < REQUESTS) send();
  await waitUntil("the rest is refused", () => refused.length === REQUESTS - atServer - waiting);
  await waitUntil("the others are with the server", () => server.requests === atServer);
  for (const { status, headers, body } of refused) {
    expect([status, headers["x-pillion-reason"]]).toEqual([503, "overflow"]);
    expect(headers["retry-after"]).toMatch(/^\d+$/);
    expect(JSON.parse(body.toString()).error.limit).toBe(name);
  }
  abort.abort();
  await Promise.all(all);
  expect(refused).toHaveLength(REQUESTS - atServer - waiting);
  for (const client of clients) await client.close();
});

test("rateLimit by source: one bucket for each address", async () => {
  await using server = await startServer("http1");
  const rateLimit = { requestsPerSecond: 0.01, burst: 4, by: "source" };
  await using mesh = createMesh({ services: { web: { rateLimit, instances: [{ address: server.address }] } } });
  await using sidecar = await startSidecar({ mesh, flags: ["--workers", "2"] });
  const [host, port] = sidecar.outbound.split(":");
  const send = (localAddress: string) =>
    new Promise<number>((resolve, reject) => {
      const options = { host, port, localAddress, path: "/status/200", headers: { host: "web" }, agent: false };
      request(options, (response) => response.resume().on("end", () => resolve(response.statusCode ?? 0)))
        .on("error", reject)
        .end();
    });
  for (const source of ["127.0.0.1", "127.0.0.2"]) {
    const statuses = await Promise.all(Array.from({ length: 9 }, () => send(source)));
    expect([source, statuses.filter((status) => status === 200).length]).toEqual([source, 4]);
    expect(statuses.filter((status) => status === 429)).toHaveLength(5);
  }
});
