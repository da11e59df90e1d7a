// What a pod does with its sidecar: it waits for it, asks it for its parts, and tells it to go before SIGTERM comes.

import { request } from "undici";
import { expect, test } from "vitest";
import { createClient } from "../support/foreign-clients.ts";
import { startServer } from "../support/foreign-servers.ts";
import { closedAddress } from "../support/ports.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, startPillion, startSidecar } from "../support/sidecar.ts";

test("the sidecar is ready before its app, and says so", async () => {
  const address = await closedAddress();
  await using mesh = createMesh({ services: { web: {} } });
  const app = { service: "web", address };
  await using sidecar = await startSidecar({ mesh, app, isReadyAwaited: false });
  const statusOf = async (query: string) => {
    const { statusCode, body } = await request(`http://${sidecar.probe}/ready${query}`);
    await body.dump();
    return statusCode;
  };
  const wait = (...args: string[]) => startPillion(["wait", "--admin", sidecar.admin, ...args]);
  expect(await wait("--part", "sidecar").ended).toEqual({ code: 0, signal: undefined });
  expect([await statusOf("?part=sidecar"), await statusOf("?part=app"), await statusOf("")]).toEqual([200, 503, 503]);
  expect(await statusOf("?part=ap")).toBe(400);
  const tired = wait("--timeout", "150ms");
  expect((await tired.ended).code).toBe(1);
  expect(tired.lines.join()).toContain(`the app: ${address} does not accept connections`);
  const patient = wait();
  const server = await startServer("http1", "a", Number(address.split(":")[1]));
  expect(await patient.ended).toEqual({ code: 0, signal: undefined });
  expect([await statusOf("?part=sidecar"), await statusOf("?part=app"), await statusOf("")]).toEqual([200, 200, 200]);
  await server.close();
});

test("SIGTERM after `drain --no-wait` lets the drain go on; a second one ends it", async () => {
  const server = await startServer("http1", "a");
  await using mesh = createMesh({ services: { web: { instances: [{ id: "a", address: server.address }] } } });
  for (const isHasty of [false, true]) {
    const sidecar = await startSidecar({ mesh });
    const client = createClient("http1", sidecar.outbound);
    const { requests } = server;
    const answer = client.send({ host: "web", path: `/delay/${isHasty ? 10_000 : 800}` }).catch(() => undefined);
    await waitUntil("it is under way", () => server.requests === requests + 1);
    expect((await startPillion(["drain", "--no-wait", "--admin", sidecar.admin]).ended).code).toBe(0);
    sidecar.program.signal("SIGTERM");
    if (isHasty) {
      await sidecar.program.waitForLine(/signal received/);
      sidecar.program.signal("SIGTERM");
    }
    expect((await answer)?.status).toBe(isHasty ? undefined : 200);
    expect((await sidecar.program.ended).code).toBe(isHasty ? 143 : 0);
    await client.close();
  }
  await server.close();
});

test("`drain` waits for the end, and fails where nobody is", async () => {
  await using mesh = createMesh({ services: { web: {} } });
  const sidecar = await startSidecar({ mesh });
  expect((await startPillion(["drain", "--admin", sidecar.admin]).ended).code).toBe(0);
  expect(await sidecar.program.ended).toEqual({ code: 0, signal: undefined });
  const late = startPillion(["drain", "--admin", sidecar.admin]);
  expect((await late.ended).code).toBe(1);
  expect(late.lines.join()).toContain("nobody answers");
});
