// Goal: when a service grows, gRPC clients of both kinds find the newcomers (features.md §3 row 16): those without a
//       sidecar because a share of their connections is asked to go, those behind one with their next stream.
//       Nothing fails meanwhile, and streams that are open stay so.
// Method: clients on @grpc/grpc-js, each with a channel of its own that stays open, a stream for all the time, and
//       unary calls one after another. Those without a sidecar come by a layer 4 balancer, as kube-proxy is one: it
//       chooses for each connection, among the instances that there are.

import { status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { createClient } from "../support/foreign-clients.ts";
import { createGrpcClient, startGrpcServer } from "../support/foreign-grpc.ts";
import { startServer } from "../support/foreign-servers.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type Sidecar, startSidecar } from "../support/sidecar.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";

const CLIENTS = 8;
/** Between two calls of a client. */
const PAUSE_MS = 10;

/** A client that keeps a stream open, and calls until it is told to stop. */
function startCaller(address: string) {
  const client = createGrpcClient(address, "echo");
  const stream = client.bidi();
  const echoes = stream[Symbol.asyncIterator]();
  const seen = { calls: 0, failures: [] as string[], instances: new Set<string>(), isStopped: false };
  const run = async () => {
    while (!seen.isStopped) {
      const { code, details, reply = "" } = await client.unary("x");
      seen.calls += 1;
      if (code === status.OK) seen.instances.add(reply.split(":")[0] ?? "");
      else seen.failures.push(`${code} ${details}`);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  const running = run();
  return {
    seen,
    /** Whether the stream that was opened first still carries. */
    async echo(text: string) {
      stream.write(Buffer.from(text));
      return (await echoes.next()).value?.toString();
    },
    async stop() {
      seen.isStopped = true;
      await running;
      stream.end();
      expect((await echoes.next()).done).toBe(true);
      client.close();
    },
  };
}

const addressOf = ({ inbound }: Sidecar) => ({ host: "127.0.0.1", port: Number(inbound.split(":")[1]) });

test.each(["1", "2"])(
  "a second instance gets its share of both kinds of clients, and no call fails (%s worker)",
  async (workers) => {
    await using first = await startGrpcServer("a");
    await using second = await startGrpcServer("b");
    const documentOf = (instances: { id: string; address: string; sidecar: boolean }[]) => ({
      services: { echo: { protocol: "grpc", balance: { shed: "1s" }, instances } },
    });
    await using mesh = createMesh(documentOf([]));
    const flags = ["--outbound", "off", "--log-level", "debug", "--workers", workers];
    const inboundOf = ({ name, address }: { name: string; address: string }) =>
      startSidecar({ mesh, app: { service: "echo", address, id: name }, flags });
    await using old = await inboundOf(first);
    await using young = await inboundOf(second);
    await using outbound = await startSidecar({ mesh });
    const instances = [{ id: "a", address: old.inbound, sidecar: true }];
    mesh.write(documentOf(instances));
    await outbound.waitForInstances("echo", ["a"]);
    await old.program.waitForLine(/"instances":1.*has stood still/);

    const reachable = [addressOf(old)];
    let chosen = 0;
    await using balancer = await startTcpProxy(() => reachable[chosen++ % reachable.length]!);
    const { host, port } = balancer.address;
    const callers = Array.from({ length: CLIENTS }, () => startCaller(`${host}:${port}`));
    const meshed = startCaller(outbound.outbound);
    const everyone = [...callers, meshed];
    for (const caller of everyone) expect(await caller.echo("before")).toBe("before");
    await waitUntil("all have called", () => everyone.every(({ seen }) => seen.calls > 5));
    expect([second.calls, balancer.acceptedCount]).toEqual([0, CLIENTS]);

    reachable.push(addressOf(young));
    instances.push({ id: "b", address: young.inbound, sidecar: true });
    mesh.write(documentOf(instances));
    await waitUntil("the caller behind a sidecar has met it", () => meshed.seen.instances.has("b"));
    await old.program.waitForLine(/"from":1,"to":2,"share":0.5.*asked to go elsewhere/);
    // Half of them; each of two workers rounds its own half up or down.
    const slack = Number(workers) - 1;
    await waitUntil("clients have come anew", () => balancer.acceptedCount >= CLIENTS + CLIENTS / 2 - slack);
    await old.program.waitForLine(/"instances":2.*has stood still/);
    await waitUntil("some call the newcomer", () => callers.some(({ seen }) => seen.instances.has("b")));
    const shedOf = (sidecar: Sidecar) => sidecar.metric("pillion_connections_shed_total", { protocol: "http2" });
    await waitUntil("as many as were asked", async () => (await shedOf(old)) === balancer.acceptedCount - CLIENTS);
    expect(Math.abs(balancer.acceptedCount - CLIENTS - CLIENTS / 2)).toBeLessThanOrEqual(slack);
    expect(callers.filter(({ seen }) => !seen.instances.has("b")).length).toBeGreaterThanOrEqual(CLIENTS / 2 - slack);

    for (const caller of everyone) expect(await caller.echo("after")).toBe("after");
    const calls = everyone.map(({ seen }) => seen.calls);
    await waitUntil("all go on", () => everyone.every(({ seen }, index) => seen.calls > (calls[index] ?? 0) + 5));
    for (const caller of everyone) await caller.stop();
    expect(everyone.flatMap(({ seen }) => seen.failures)).toEqual([]);
    expect(await shedOf(young)).toBe(0);
  },
);

test("HTTP/1.1: half of the clients are told with an answer, and no POST meets a closed connection", async () => {
  await using server = await startServer("http1");
  const documentOf = (ids: readonly string[]) => ({
    services: { web: { balance: { shed: "1s" }, instances: ids.map((id) => ({ id, address: `${id}.test:80` })) } },
  });
  await using mesh = createMesh(documentOf(["a"]));
  const app = { service: "web", address: server.address, id: "a" };
  await using sidecar = await startSidecar({ mesh, app, flags: ["--outbound", "off", "--log-level", "debug"] });
  await using wire = await startTcpProxy(addressOf(sidecar));
  const { host, port } = wire.address;
  const seen = { posts: 0, failures: [] as string[], isStopped: false };
  const clients = Array.from({ length: CLIENTS }, async () => {
    await using client = createClient("http1", `${host}:${port}`);
    while (!seen.isStopped) {
      const outcome = await client.send({ host: "web", method: "POST", body: "x" }).then(
        ({ status }) => `${status}`,
        (error: unknown) => String(error),
      );
      seen.posts += 1;
      if (outcome !== "200") seen.failures.push(outcome);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  });
  await sidecar.program.waitForLine(/"instances":1.*has stood still/);
  await waitUntil("all have asked", () => seen.posts > 5 * CLIENTS);
  expect(wire.acceptedCount).toBe(CLIENTS);
  mesh.write(documentOf(["a", "b"]));
  await sidecar.program.waitForLine(/"instances":2.*has stood still/);
  await waitUntil("half have come anew", () => wire.acceptedCount === CLIENTS + CLIENTS / 2);
  const posts = seen.posts;
  await waitUntil("all go on", () => seen.posts > posts + 5 * CLIENTS);
  seen.isStopped = true;
  await Promise.all(clients);
  expect(seen.failures).toEqual([]);
  const shedOf = () => sidecar.metric("pillion_connections_shed_total", { protocol: "http1" });
  await waitUntil("they are counted", async () => (await shedOf()) === CLIENTS / 2);
  expect(server.requests).toBe(seen.posts); // none was sent twice
});
