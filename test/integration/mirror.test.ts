// Mirrors on real sockets: the copy arrives whole, and its failures reach nobody.

import { expect, test } from "vitest";
import { createClient } from "../support/foreign-clients.ts";
import { startServer, startTcpServer } from "../support/foreign-servers.ts";
import { closedAddress } from "../support/ports.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, startSidecar } from "../support/sidecar.ts";

test.each(["http1", "http2"] as const)("requests are copied to another service, for %s", async (version) => {
  await using server = await startServer(version, "a");
  await using shadow = await startServer(version, "shadow");
  await using silent = await startTcpServer((socket) => socket.resume());
  const closed = await closedAddress();
  await using broken = await startTcpServer((socket) => socket.resetAndDestroy());
  const protocol = version === "http1" ? "http" : "http2";
  const rulesFor = (service: string) => [{ to: [{ service: "web" }], mirror: { service } }];
  await using mesh = createMesh({
    services: {
      web: { protocol, instances: [{ address: server.address }] },
      next: { protocol, instances: [{ address: shadow.address }] },
      bad: { protocol, outlier: "none", instances: [{ address: broken.address }] },
      silent: { protocol, timeout: { request: "300ms" }, instances: [{ address: silent.address }] },
      closed: { protocol, instances: [{ address: closed }] },
      empty: { protocol },
    },
    routes: {
      good: { hosts: ["good.example"], rules: rulesFor("next") },
      bad: { hosts: ["bad.example"], rules: rulesFor("bad") },
      silent: { hosts: ["silent.example"], rules: rulesFor("silent") },
      closed: { hosts: ["closed.example"], rules: rulesFor("closed") },
      empty: { hosts: ["empty.example"], rules: rulesFor("empty") },
    },
  });
  await using sidecar = await startSidecar({ mesh });
  const client = createClient(version, sidecar.outbound);
  const body = "x".repeat(20_000);
  for (let round = 0; round < 10; round += 1) {
    for (const name of ["good", "bad", "silent", "closed", "empty"]) {
      const answer = await client.send({ host: `${name}.example`, path: "/echo", method: "POST", body });
      expect([answer.status, answer.body.toString()]).toEqual([200, body]);
    }
  }
  await waitUntil("all copies have arrived", () => shadow.requests === 10);
  const labels = { service: "next", code: "200" };
  await waitUntil("they are counted", async () => (await sidecar.metric("pillion_requests_total", labels)) === 10);
  expect(server.requests).toBe(50);
  expect(sidecar.program.lines.filter((line) => line.includes("upstream-reset"))).toEqual([]);
  await client.close();
});
