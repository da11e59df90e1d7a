// etcd as the registry: sidecars register, callers find them, and etcd may go away meanwhile.

import { expect, test } from "vitest";
import { formatAddress } from "../../src/base/index.ts";
import { type Etcd, startEtcd } from "../support/etcd.ts";
import { createClient } from "../support/foreign-clients.ts";
import { type ForeignServer, startServer } from "../support/foreign-servers.ts";
import { startLoad } from "../support/load.ts";
import { waitUntil } from "../support/process.ts";
import { requireProgram } from "../support/programs.ts";
import { createMesh, type Sidecar, startPillion, startSidecar } from "../support/sidecar.ts";

const urlOf = (etcd: Etcd) => `etcd://${formatAddress(etcd.address)}`;

/** A server with its sidecar, registered as an instance of `web`. */
async function startInstance(etcd: Etcd, id: string): Promise<{ server: ForeignServer; sidecar: Sidecar }> {
  const server = await startServer("http1", id);
  const app = { service: "web", address: server.address, id };
  const sidecar = await startSidecar({ mesh: urlOf(etcd), app, flags: ["--outbound", "off"] });
  return { server, sidecar };
}

/** Runs a command to its end; its exit code and what it printed. */
async function runPillion(...args: string[]): Promise<{ code: number | undefined; text: string }> {
  const program = startPillion(args);
  const { code } = await program.ended;
  return { code, text: program.lines.join("\n") };
}

test("instances register themselves, are found, and leave in order: no request lost", async (context) => {
  await using etcd = await startEtcd(requireProgram(context, "etcd"));
  await using mesh = createMesh({ services: { web: { balance: { policy: "round-robin" } } } });
  const applied = await runPillion("apply", "-f", mesh.path, "--mesh", urlOf(etcd));
  expect(applied).toMatchObject({ code: 0, text: expect.stringContaining("1 created") });

  const a = await startInstance(etcd, "a");
  const b = await startInstance(etcd, "b");
  await using outbound = await startSidecar({ mesh: urlOf(etcd) });
  const client = createClient("http1", outbound.outbound);
  await waitUntil("web is found", async () => (await client.send({ host: "web", path: "/status/200" })).status === 200);
  await outbound.waitForInstances("web", ["a", "b"]);

  const load = startLoad({ address: outbound.outbound, version: "http2", host: "web" });
  await load.answered(300);
  const c = await startInstance(etcd, "c");
  await waitUntil("c answers", () => (load.shares.c ?? 0) > 20);
  // A rolling restart: SIGTERM, and its requests end well.
  await a.sidecar.stop();
  await outbound.waitForInstances("web", ["b", "c"]);
  await load.answered(300);
  // A sidecar that is killed: what it carried is idempotent and saved; its lease ends later.
  b.sidecar.program.signal("SIGKILL");
  await load.answered(500);
  await load.stop();
  expect(load.failures).toEqual({});

  const listed = await runPillion("get", "instances", "web", "--mesh", urlOf(etcd), "-o", "json");
  expect(JSON.parse(listed.text).map(({ name }: { name: string }) => name)).toContain("c");
  await c.sidecar.stop();
  await client.close();
  for (const { server } of [a, b, c]) await server.close();
});

test("etcd may go away: what is known stays, and changes arrive after it is back", async (context) => {
  await using etcd = await startEtcd(requireProgram(context, "etcd"));
  await using web = createMesh({ services: { web: {} } });
  expect((await runPillion("apply", "-f", web.path, "--mesh", urlOf(etcd))).code).toBe(0);
  const a = await startInstance(etcd, "a");
  await using outbound = await startSidecar({ mesh: urlOf(etcd) });
  const client = createClient("http1", outbound.outbound);
  const status = async (host: string) => (await client.send({ host, path: "/status/200" })).status;
  await waitUntil("web is found", async () => (await status("web")) === 200);

  await etcd.kill();
  await waitUntil("the loss is noticed", async () => (await outbound.metric("pillion_registry_connected")) === 0);
  for (let round = 0; round < 20; round += 1) expect(await status("web")).toBe(200);
  await etcd.start();
  await waitUntil(
    "the registry is seen again",
    async () => (await outbound.metric("pillion_registry_connected")) === 1,
  );

  const other = await startServer("http1", "other");
  await using mesh = createMesh({
    services: { other: { protocol: "http", instances: [{ id: "o", address: other.address }] } },
  });
  expect((await runPillion("apply", "-f", mesh.path, "--mesh", urlOf(etcd))).code).toBe(0);
  await waitUntil("the new service is found", async () => (await status("other")) === 200);
  await a.sidecar.stop();
  await client.close();
  await a.server.close();
  await other.close();
});

test("a service that only its instances speak of is found too", async (context) => {
  await using etcd = await startEtcd(requireProgram(context, "etcd"));
  await using outbound = await startSidecar({ mesh: urlOf(etcd) });
  const a = await startInstance(etcd, "a");
  await using client = createClient("http1", outbound.outbound);
  await waitUntil("web is found", async () => (await client.send({ host: "web", path: "/status/200" })).status === 200);
  await a.sidecar.stop();
  await a.server.close();
});

test("apply, diff, get and delete speak to etcd", async (context) => {
  await using etcd = await startEtcd(requireProgram(context, "etcd"));
  const document = (policy: string) => ({
    services: { web: { balance: { policy }, instances: [{ id: "a", address: "127.0.0.1:1" }] } },
    routes: { api: { hosts: ["api.example"], rules: [{ to: [{ service: "web" }] }] } },
  });
  await using mesh = createMesh(document("random"));
  const at = ["--mesh", urlOf(etcd)];
  expect(await runPillion("apply", "-f", mesh.path, ...at)).toMatchObject({
    code: 0,
    text: expect.stringContaining("3 created, 0 updated, 0 deleted, 0 unchanged"),
  });
  expect((await runPillion("diff", "-f", mesh.path, "--exit-code", ...at)).code).toBe(0);
  mesh.write(document("round-robin"));
  const difference = await runPillion("diff", "-f", mesh.path, "--exit-code", ...at);
  expect(difference).toEqual({
    code: 1,
    text: "~ service web\n    balance.policy: random → round-robin",
  });
  const dryRun = await runPillion("apply", "-f", mesh.path, "--dry-run", ...at);
  expect(dryRun).toMatchObject({ code: 0, text: expect.stringContaining("would change") });
  expect((await runPillion("get", "service", "web", "-o", "yaml", ...at)).text).toContain("policy: random");
  expect((await runPillion("apply", "-f", mesh.path, ...at)).code).toBe(0);
  expect((await runPillion("get", "service", "web", "-o", "yaml", ...at)).text).toContain("policy: round-robin");

  mesh.write({ services: { web: { balance: { policy: "round-robin" } } } });
  const pruned = await runPillion("apply", "-f", mesh.path, "--prune", ...at);
  expect(pruned.text).toContain("0 created, 0 updated, 2 deleted, 1 unchanged");
  expect((await runPillion("get", "route", "api", ...at)).code).toBe(1);
  expect((await runPillion("delete", "service", "wbe", ...at)).code).toBe(1);
  expect((await runPillion("delete", "service", "web", ...at)).code).toBe(0);
  expect((await runPillion("get", "-o", "json", ...at)).text).toBe("[]");
});
