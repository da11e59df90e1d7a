// Rate limits on real sockets: two workers, one bucket.

import { expect, test } from "vitest";
import { createClient } from "../support/foreign-clients.ts";
import { startServer } from "../support/foreign-servers.ts";
import { createMesh, startSidecar } from "../support/sidecar.ts";

test.each(["http1", "http2"] as const)("two workers let exactly the burst through, for %s", async (version) => {
  await using server = await startServer(version, "a");
  const rateLimit = { requestsPerSecond: 0.01, burst: 25, by: "header:x-key" };
  const protocol = version === "http1" ? "http" : "http2";
  await using mesh = createMesh({
    services: { web: { protocol, rateLimit, instances: [{ address: server.address }] } },
  });
  await using sidecar = await startSidecar({ mesh, flags: ["--workers", "2"] });
  const clients = Array.from({ length: 8 }, () => createClient(version, sidecar.outbound));
  const answers = await Promise.all(
    Array.from({ length: 80 }, (_, index) => {
      const headers = { "x-key": index % 2 === 0 ? "even" : "odd" };
      return clients[index % 8]!.send({ host: "web", path: "/status/200", headers });
    }),
  );
  const passed = (parity: number) => answers.filter(({ status }, index) => index % 2 === parity && status === 200);
  expect([passed(0).length, passed(1).length]).toEqual([25, 25]);
  const refused = answers.find(({ status }) => status === 429);
  expect(refused?.headers["x-pillion-reason"]).toBe("rate-limited");
  expect(Number(refused?.headers["retry-after"])).toBeGreaterThan(60);
  expect(server.requests).toBe(50);
  const labels = { service: "web", code: "429", reason: "rate-limited" };
  expect(await sidecar.metric("pillion_requests_total", labels)).toBe(30);
  for (const client of clients) await client.close();
});
