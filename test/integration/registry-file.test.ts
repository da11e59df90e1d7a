// A file as the registry: saves take effect, broken ones do not, and no request is lost while instances come and go.

import { expect, test } from "vitest";
import { createClient } from "../support/foreign-clients.ts";
import { type ForeignServer, startServer } from "../support/foreign-servers.ts";
import { startLoad } from "../support/load.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, startSidecar } from "../support/sidecar.ts";

const listed = (servers: readonly ForeignServer[], more: Record<string, unknown> = {}) => ({
  services: {
    web: {
      balance: { policy: "round-robin" },
      ...more,
      instances: servers.map(({ name, address }) => ({ id: name, address })),
    },
  },
});

test.each(["http1", "http2"] as const)(
  "instances added, removed and killed under %s load: none lost",
  async (version) => {
    const protocol = version === "http1" ? "http" : "http2";
    const [a, b, c] = await Promise.all(["a", "b", "c"].map((name) => startServer(version, name)));
    if (a === undefined || b === undefined || c === undefined) throw new Error("no servers");
    await using mesh = createMesh(listed([a, b], { protocol }));
    await using sidecar = await startSidecar({ mesh });
    const load = startLoad({ address: sidecar.outbound, version, host: "web" });
    await load.answered(200);
    expect(Object.keys(load.shares).sort()).toEqual(["a", "b"]);

    mesh.write(listed([a, b, c], { protocol }));
    await waitUntil("c answers", () => (load.shares.c ?? 0) > 20);

    mesh.write(listed([b, c], { protocol }));
    await sidecar.waitForInstances("web", ["b", "c"]);
    // A removed instance may go as soon as nobody is on the way to it.
    await waitUntil("a is left alone", () => a.open === 0);
    await a.close();
    await load.answered(200);

    // Killed without a word: what was under way there is idempotent, and is saved elsewhere.
    await b.close();
    await load.answered(500);
    mesh.write(listed([c], { protocol }));
    await sidecar.waitForInstances("web", ["c"]);
    await load.answered(100);
    await load.stop();
    // Nothing is lost that can be saved. An answer that had begun when its server was killed cannot be: it must be seen
    // to be cut short, and there are no more of those than requests were under way.
    const cutShort = Object.entries(load.failures).filter(([text]) =>
      /NGHTTP2_INTERNAL_ERROR|aborted|ECONNRESET/.test(text),
    );
    expect(Object.keys(load.failures).length).toBe(cutShort.length);
    expect(cutShort.reduce((sum, [, count]) => sum + count, 0)).toBeLessThanOrEqual(8);
    await c.close();
  },
);

test("round robin is exact over a still set", async () => {
  const servers = await Promise.all(["a", "b", "c"].map((name) => startServer("http1", name)));
  await using mesh = createMesh(listed(servers));
  await using sidecar = await startSidecar({ mesh });
  const client = createClient("http1", sidecar.outbound);
  await Promise.all(Array.from({ length: 300 }, () => client.send({ host: "web", path: "/status/200" })));
  expect(servers.map(({ requests }) => requests)).toEqual([100, 100, 100]);
  await client.close();
  for (const server of servers) await server.close();
});

test("a broken save keeps the last good one, and says where it is broken", async () => {
  const server = await startServer("http1", "a");
  await using mesh = createMesh(listed([server]));
  await using sidecar = await startSidecar({ mesh });
  const client = createClient("http1", sidecar.outbound);
  for (const broken of ["services:\n  web:\n    balanc: {}\n", "services: [\n", ""]) {
    const rejected = (await sidecar.metric("pillion_config_rejected_total")) ?? 0;
    mesh.write(broken);
    await waitUntil("it is refused", async () => {
      return ((await sidecar.metric("pillion_config_rejected_total")) ?? 0) > rejected;
    });
    expect((await client.send({ host: "web", path: "/status/200" })).status).toBe(200);
  }
  expect(sidecar.program.lines.some((line) => /mesh\.yaml:3:5.*did you mean balance/.test(line))).toBe(true);
  mesh.write(listed([server], { hosts: ["mended.example"] }));
  await waitUntil("the mended file is in force", async () => {
    return (await client.send({ host: "mended.example", path: "/status/200" })).status === 200;
  });
  await client.close();
  await server.close();
});

test("without a file the sidecar waits, alive and not ready, and says for what", async () => {
  await using mesh = createMesh(listed([]));
  await using sidecar = await startSidecar({
    mesh: `file:${mesh.folder}/missing.yaml`,
    isReadyAwaited: false,
  });
  const client = createClient("http1", sidecar.outbound);
  const answer = await client.send({ host: "web", path: "/" });
  expect([answer.status, answer.headers["x-pillion-reason"]]).toEqual([503, "not-ready"]);
  const probe = createClient("http1", sidecar.probe);
  expect((await probe.send({ host: "probe", path: "/live" })).status).toBe(200);
  const ready = await probe.send({ host: "probe", path: "/ready" });
  expect(ready.status).toBe(503);
  expect(JSON.parse(ready.body.toString()).waitingFor.join()).toMatch(/missing\.yaml/);
  await client.close();
  await probe.close();
});
