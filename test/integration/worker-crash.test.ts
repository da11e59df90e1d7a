// A worker that traps under load: its connections close, the others notice nothing, and no count is left behind.

import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient, openRaw, type RawConnection } from "../support/foreign-clients.ts";
import { type ForeignServer, startServer } from "../support/foreign-servers.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type MeshFolder, type Sidecar, startSidecar, WORKER_ENDED } from "../support/sidecar.ts";
import { projectRoot } from "../support/source.ts";

const CONNECTIONS = 24;
/** A second is promised; a busy machine may need longer, a pause that grows with each restart would need more. */
const BACK_MS = 10_000;
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
    flags: ["--workers", "2", "--log-level", "debug"],
    isTrapExpected: true,
    env: { NODE_OPTIONS: `--import=${join(projectRoot, "test/support/break-workers.mjs")}` },
  });
});

afterAll(async () => {
  await sidecar.stop();
  await server.close();
  await mesh[Symbol.asyncDispose]();
});

/** Numbers of the workers that said this, in order. */
function workersThat(message: string): number[] {
  const said = sidecar.program.lines.filter((line) => line.includes(message));
  return said.map((line) => (JSON.parse(line) as { worker: number }).worker);
}

/** Traps one worker and waits until it accepts again; which it was. */
async function trapNextWorker(): Promise<number> {
  const ended = workersThat(WORKER_ENDED).length;
  const started = workersThat("a worker has started").length;
  sidecar.program.signal("SIGUSR2");
  await waitUntil("a worker has ended", () => workersThat(WORKER_ENDED).length > ended);
  await waitUntil("it is back", () => workersThat("a worker has started").length > started, BACK_MS);
  const worker = workersThat(WORKER_ENDED).at(-1)!;
  expect(workersThat("a worker has started").at(-1)).toBe(worker);
  // That one and no other.
  expect(workersThat(WORKER_ENDED)).toHaveLength(ended + 1);
  expect(await sidecar.metric("pillion_worker_restarts_total")).toBe(ended + 1);
  return worker;
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

  const first = await trapNextWorker();
  const alive = [];
  for (const raw of open) if (!raw.socket.readableEnded && !raw.socket.destroyed) alive.push(raw);
  for (const raw of alive) await ask(raw);
  const stillHanging = hanging.filter(({ socket }) => !socket.readableEnded && !socket.destroyed).length;
  await waitUntil("those of the dead worker are forgotten", async () => (await inFlight("web")) === stillHanging);

  const second = await trapNextWorker();
  expect([first, second].toSorted()).toEqual([0, 1]);
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
