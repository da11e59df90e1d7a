// A worker that traps under load: its connections close, the others notice nothing, and no count is left behind.

import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient, openRaw, type RawConnection } from "../support/foreign-clients.ts";
import { type ForeignServer, startServer } from "../support/foreign-servers.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";
import { projectRoot } from "../support/source.ts";

const CONNECTIONS = 24;
/** limits.requests of the service `narrow`. */
const REQUESTS = 4;

let server: ForeignServer;
let mesh: MeshFolder;
let sidecar: Sidecar;

beforeAll(async () => {
  server = await startServer("http1");
  const instances = [{ id: "a", address: server.address }];
  mesh = createMesh({ services: { web: { instances }, narrow: { limits: { requests: REQUESTS }, instances } } });
  sidecar = await startSidecar({
    mesh,
    flags: ["--workers", "2"],
    env: { NODE_OPTIONS: `--import=${join(projectRoot, "test/support/break-workers.mjs")}` },
  });
});

afterAll(async () => {
  await sidecar.stop();
  await server.close();
  await mesh[Symbol.asyncDispose]();
});

async function trapNextWorker(): Promise<void> {
  const restarts = (await sidecar.metric("pillion_worker_restarts_total")) ?? 0;
  sidecar.program.signal("SIGUSR2");
  await waitUntil("the worker is started again", async () => {
    return (await sidecar.metric("pillion_worker_restarts_total")) === restarts + 1;
  });
}

const inFlight = (service: string) => sidecar.metric("pillion_inflight", { service });

/** Fills the limit of `narrow`, and tells how many were let in; all are given up again. */
async function countAdmitted(): Promise<number> {
  const { requests } = server;
  const client = createClient("http2", sidecar.outbound);
  const controller = new AbortController();
  let refused = 0;
  const held = Array.from({ length: REQUESTS + 5 }, () =>
    client.send({ host: "narrow", path: "/hang", signal: controller.signal }).then(
      ({ status, headers }) => {
        expect([status, headers["x-pillion-reason"]]).toEqual([503, "overflow"]);
        refused += 1;
      },
      () => undefined,
    ),
  );
  await waitUntil("the rest is refused", () => refused >= 5);
  await waitUntil("the others arrived", () => server.requests >= requests + REQUESTS + 5 - refused);
  controller.abort();
  await Promise.all(held);
  await client.close();
  await waitUntil("none is in flight", async () => (await inFlight("narrow")) === 0);
  return REQUESTS + 5 - refused;
}

test("both workers trap in turn: the other one's clients see nothing, counts and limits are exact again", async () => {
  const open = await Promise.all(Array.from({ length: CONNECTIONS }, () => openRaw(sidecar.outbound)));
  const ask = async (raw: RawConnection) => {
    const before = raw.received.length;
    raw.write("GET /bytes/5 HTTP/1.1\r\nhost: web\r\n\r\n");
    await waitUntil("an answer", () => raw.received.length > before && raw.received.toString().endsWith("xxxxx"));
  };
  for (const raw of open) await ask(raw);
  expect(await countAdmitted()).toBe(REQUESTS);

  // Requests that hang on whichever worker has them: a crash must not leave them counted.
  const { requests } = server;
  const hanging = await Promise.all(Array.from({ length: 8 }, () => openRaw(sidecar.outbound)));
  for (const raw of hanging) raw.write("GET /hang HTTP/1.1\r\nhost: web\r\n\r\n");
  await waitUntil("they are in flight", () => server.requests === requests + 8);
  expect(await inFlight("web")).toBe(8);

  await trapNextWorker();
  const alive = [];
  for (const raw of open) if (!raw.socket.readableEnded && !raw.socket.destroyed) alive.push(raw);
  for (const raw of alive) await ask(raw);
  const stillHanging = hanging.filter(({ socket }) => !socket.readableEnded && !socket.destroyed).length;
  await waitUntil("those of the dead worker are forgotten", async () => (await inFlight("web")) === stillHanging);

  await trapNextWorker();
  await waitUntil("every connection has lost its worker", () =>
    [...open, ...hanging].every(({ socket }) => socket.readableEnded || socket.destroyed),
  );
  await waitUntil("nothing is in flight", async () => (await inFlight("web")) === 0);

  const client = createClient("http1", sidecar.outbound);
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => client.send({ host: "web", path: "/status/200" })),
  );
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  expect(await countAdmitted()).toBe(REQUESTS);
  await client.close();
  for (const raw of [...open, ...hanging]) raw.socket.destroy();
});
