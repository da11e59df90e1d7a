// The supervisor over real threads and real sockets: workers that trap, that hang, that end while others go on.

import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { Worker } from "node:worker_threads";
import { afterEach, expect, test } from "vitest";
import { LISTENER_OUTBOUND } from "../../../assembly/abi/engine-records.ts";
import { createRandom, silentLog, systemClock } from "../../../src/base/index.ts";
import { type ListeningSocket, openListening } from "../../../src/sidecar/listening.ts";
import { Supervisor } from "../../../src/sidecar/supervisor.ts";

const fakeWorker = new URL("../../support/fake-worker.ts", import.meta.url);
const ending: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

async function setUp(workers: number) {
  const socket = await openListening({ host: "127.0.0.1", port: 0 }, "--outbound");
  const cleared: number[] = [];
  const supervisor = new Supervisor({
    workers,
    startThread: (worker) => new Worker(fakeWorker, { workerData: { worker } }),
    clearWorker: (worker) => cleared.push(worker),
    offerListeners: () => [{ kind: LISTENER_OUTBOUND, number: 0, descriptor: socket.duplicate() }],
    takeLogs: () => undefined,
    clock: systemClock,
    random: createRandom(1),
    log: silentLog,
  });
  ending.push(() => socket.close());
  ending.push(() => supervisor.stop());
  await supervisor.start(false);
  await supervisor.listen();
  return { socket, supervisor, cleared };
}

async function dial(socket: ListeningSocket): Promise<Socket> {
  const client = connect({ ...socket.address, noDelay: true });
  client.on("error", () => undefined);
  ending.push(() => client.destroy());
  await once(client, "connect");
  return client;
}

async function ask(client: Socket): Promise<string> {
  client.write("who");
  const [answer] = (await once(client, "data")) as [Buffer];
  return answer.toString();
}

/** A connection that worker `wanted` accepted: of two idle workers the kernel may always wake the same one. */
async function dialWorker(supervisor: Supervisor, socket: ListeningSocket, wanted: number): Promise<Socket> {
  await supervisor.listen();
  supervisor.tell(1 - wanted, { type: "closeListeners", kinds: [LISTENER_OUTBOUND] });
  for (;;) {
    const client = await dial(socket);
    if ((await ask(client)) === `worker ${wanted}`) return client;
  }
}

test("a trap costs one worker's connections; it is started again, the port and the other worker go on", async () => {
  const { socket, supervisor, cleared } = await setUp(2);
  const doomed = await dialWorker(supervisor, socket, 0);
  const bystander = await dialWorker(supervisor, socket, 1);
  supervisor.tell(0, { type: "trap" });
  await once(doomed, "close");
  expect(await ask(bystander)).toBe("worker 1");
  await expect.poll(() => supervisor.restarts).toBe(1);
  expect(cleared).toEqual([0]);
  await expect.poll(() => supervisor.listeningCount).toBe(2);
  expect(await ask(await dialWorker(supervisor, socket, 0))).toBe("worker 0");
  expect(await ask(bystander)).toBe("worker 1");
});

test("a worker that hangs is ended and replaced", async () => {
  const { socket, supervisor, cleared } = await setUp(1);
  expect(await ask(await dial(socket))).toBe("worker 0");
  supervisor.tell(0, { type: "hang" });
  await expect.poll(() => supervisor.restarts, { timeout: 10_000 }).toBe(1);
  expect(cleared).toEqual([0]);
  // Connections made meanwhile waited in the backlog of a socket that never closed.
  expect(await ask(await dial(socket))).toBe("worker 0");
});

test("a connection made while no worker lives is served by the next one", async () => {
  const { socket, supervisor } = await setUp(1);
  supervisor.tell(0, { type: "trap" });
  await expect.poll(() => supervisor.listeningCount).toBe(0);
  const early = await dial(socket);
  expect(await ask(early)).toBe("worker 0");
});

test("restarts leave no descriptor behind", async () => {
  const { socket, supervisor } = await setUp(1);
  const count = () => readdirSync("/proc/self/fd").length;
  await ask(await dial(socket));
  supervisor.tell(0, { type: "trap" });
  await expect.poll(() => supervisor.restarts).toBe(1);
  await expect.poll(() => supervisor.listeningCount).toBe(1);
  const before = count();
  for (let round = 2; round <= 5; round += 1) {
    supervisor.tell(0, { type: "trap" });
    await expect.poll(() => supervisor.restarts, { timeout: 5_000 }).toBe(round);
    await expect.poll(() => supervisor.listeningCount, { timeout: 5_000 }).toBe(1);
  }
  expect(count()).toBe(before);
});

test("an address that this host has not: the remedy names one that it has", async () => {
  // RFC 5737: documentation addresses belong to nobody.
  const opening = openListening({ host: "192.0.2.1", port: 1234 }, "--outbound");
  await expect(opening).rejects.toThrow(/no address 192\.0\.2\.1; .* --outbound 127\.0\.0\.1:1234, or off/);
});

test("the port in use is told with its flag and its holder", async () => {
  const first = await openListening({ host: "127.0.0.1", port: 0 }, "--outbound");
  ending.push(() => first.close());
  const failure = openListening(first.address, "--inbound");
  await expect(failure).rejects.toThrow(
    new RegExp(`port ${first.address.port} is in use by .*\\(pid ${process.pid}\\); choose another with --inbound`),
  );
});

test("a closed listening socket refuses", async () => {
  const { socket, supervisor } = await setUp(1);
  await ask(await dial(socket));
  supervisor.tellAll({ type: "closeListeners", kinds: [LISTENER_OUTBOUND] });
  socket.close();
  await expect
    .poll(async () => {
      const client = connect(socket.address);
      const [error] = await Promise.race([
        once(client, "error"),
        new Promise<[undefined]>((resolve) => client.once("connect", () => resolve([undefined]))),
      ]);
      client.destroy();
      return (error as NodeJS.ErrnoException | undefined)?.code;
    })
    .toBe("ECONNREFUSED");
});
