// SIGTERM: nobody's request fails, and the process ends by itself with exit 0.

import { once } from "node:events";
import { connect } from "node:http2";
import { expect, test } from "vitest";
import { createClient, openRaw } from "../support/foreign-clients.ts";
import { startServer } from "../support/foreign-servers.ts";
import { startLoad } from "../support/load.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, startSidecar } from "../support/sidecar.ts";

test("an outbound that drains finishes what is under way", async () => {
  const server = await startServer("http1", "a");
  await using mesh = createMesh({ services: { web: { instances: [{ id: "a", address: server.address }] } } });
  const sidecar = await startSidecar({ mesh });
  const http1 = createClient("http1", sidecar.outbound);
  const http2 = createClient("http2", sidecar.outbound);
  const { requests } = server;
  const answers = [http1, http2].map((client) => client.send({ host: "web", path: "/delay/500" }));
  await waitUntil("both are under way", () => server.requests === requests + 2);
  sidecar.program.signal("SIGTERM");
  for (const answer of await Promise.all(answers))
    expect([answer.status, answer.body.toString()]).toEqual([200, "500"]);
  expect(await sidecar.program.ended).toEqual({ code: 0, signal: undefined });
  await http1.close();
  await http2.close();
  await server.close();
});

test("an HTTP/2 client is told by GOAWAY, an HTTP/1.1 client by connection: close", async () => {
  const server = await startServer("http1", "a");
  await using mesh = createMesh({ services: { web: { instances: [{ id: "a", address: server.address }] } } });
  const sidecar = await startSidecar({ mesh });
  const session = connect(`http://${sidecar.outbound}`);
  const goaway = once(session, "goaway");
  const stream = session.request({ ":path": "/delay/400", ":authority": "web" });
  stream.resume();
  await using raw = await openRaw(sidecar.outbound);
  const { requests } = server;
  raw.write("GET /delay/400 HTTP/1.1\r\nhost: web\r\n\r\n");
  await waitUntil("both are under way", () => server.requests >= requests + 1 && server.open >= 1);
  sidecar.program.signal("SIGTERM");
  await goaway;
  await once(stream, "end");
  expect(await raw.readUntilEnd()).toMatch(/^HTTP\/1\.1 200 [\s\S]*connection: close[\s\S]*400$/i);
  expect((await sidecar.program.ended).code).toBe(0);
  session.destroy();
  await server.close();
});

test("an instance that drains under load is left by its callers without a failure", async () => {
  const [a, b] = await Promise.all(["a", "b"].map((name) => startServer("http1", name)));
  if (a === undefined || b === undefined) throw new Error("no servers");
  await using mesh = createMesh({ services: { web: {} } });
  const inbounds = await Promise.all(
    [a, b].map((server) => {
      const app = { service: "web", address: server.address, id: server.name };
      return startSidecar({ mesh, app, flags: ["--outbound", "off"] });
    }),
  );
  const instances = inbounds.map(({ inbound }, index) => ({ id: `${"ab"[index]}`, address: inbound, sidecar: true }));
  mesh.write({ services: { web: { balance: { policy: "round-robin" }, instances } } });
  await using outbound = await startSidecar({ mesh });
  await outbound.waitForInstances("web", ["a", "b"]);
  const loads = (["GET", "POST"] as const).map((method) =>
    startLoad({
      address: outbound.outbound,
      version: "http1",
      host: "web",
      path: "/echo",
      method,
      ...(method === "POST" ? { body: "x" } : {}),
    }),
  );
  for (const load of loads) await load.answered(200);
  // A file does not learn of it: GOAWAY, the mark on refusals and refused connections must do.
  await inbounds[0]?.stop();
  for (const load of loads) await load.answered(200);
  for (const load of loads) await load.stop();
  expect(loads.map(({ failures }) => failures)).toEqual([{}, {}]);
  await inbounds[1]?.stop();
  await a.close();
  await b.close();
});

test("an app that has closed its port may still call others, until it has hung up", async () => {
  const [app, other] = await Promise.all([startServer("http1", "app"), startServer("http1", "other")]);
  await using mesh = createMesh({ services: { other: { instances: [{ id: "o", address: other.address }] } } });
  const sidecar = await startSidecar({
    mesh,
    app: { service: "web", address: app.address },
    flags: ["--drain", "20s"],
  });
  const client = createClient("http1", sidecar.outbound);
  const call = async (path: string) => (await client.send({ host: "other", path })).status;
  expect(await call("/delay/1")).toBe(200);
  sidecar.program.signal("SIGTERM");
  await sidecar.program.waitForLine(/"msg":"draining"/);
  await app.close();
  // Longer than it takes to find the port closed, and longer than nobody being connected would hold it.
  for (let calls = 0; calls < 4; calls += 1) expect(await call("/delay/600")).toBe(200);
  await client.close();
  expect(await sidecar.program.ended).toEqual({ code: 0, signal: undefined });
  expect(sidecar.program.lines.join("\n")).toContain('"msg":"drained"');
  await other.close();
});

test("a second SIGTERM ends at once, and --drain bounds the first", async () => {
  const server = await startServer("http1", "a");
  await using mesh = createMesh({ services: { web: { instances: [{ id: "a", address: server.address }] } } });
  const hang = async (flags: string[]) => {
    const sidecar = await startSidecar({ mesh, flags });
    const client = createClient("http1", sidecar.outbound);
    const { requests } = server;
    client.send({ host: "web", path: "/hang" }).catch(() => undefined);
    await waitUntil("it is under way", () => server.requests === requests + 1);
    sidecar.program.signal("SIGTERM");
    await sidecar.program.waitForLine(/"msg":"draining"/);
    return { sidecar, client };
  };
  const twice = await hang(["--drain", "60s"]);
  twice.sidecar.program.signal("SIGTERM");
  expect((await twice.sidecar.program.ended).code).not.toBe(0);
  const bounded = await hang(["--drain", "300ms"]);
  expect((await bounded.sidecar.program.ended).code).toBe(0);
  await twice.client.close();
  await bounded.client.close();
  await server.close();
});
