// Two workers with the real engine on one balancer, over each socket driver: one is killed under load, and only its own
// connections notice.

import { closeSync } from "node:fs";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, test } from "vitest";
import { LISTENER_OUTBOUND } from "../../../assembly/abi/engine-records.ts";
import { createRandom, silentLog, systemClock } from "../../../src/base/index.ts";
import { parseMeshFile } from "../../../src/config/index.ts";
import { workerEntry, workerFlags } from "../../../src/dataplane/index.ts";
import type { SocketDriverName } from "../../../src/dataplane/sockets.ts";
import { openListening } from "../../../src/sidecar/listening.ts";
import { Publisher } from "../../../src/sidecar/publisher.ts";
import { Supervisor } from "../../../src/sidecar/supervisor.ts";
import { Allocation } from "../../../src/snapshot/index.ts";
import { Balancer, createSharedDescriptors, DescriptorTable, loadModule } from "../../../src/wasm/index.ts";
import { DRIVER_NAMES } from "../../support/drivers.ts";

const ending: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

/** Answers nothing until told to. */
async function startSlowApp() {
  const waiting: (() => void)[] = [];
  const server = createServer((_asked, response) => waiting.push(() => response.end("done")));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ending.push(
    () => server.closeAllConnections(),
    () => server.close(),
  );
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get waitingCount() {
      return waiting.length;
    },
    release: () => {
      for (const answer of waiting.splice(0)) answer();
    },
  };
}

const meshOf = (address: string, limits = {}) => ({ services: { web: { limits, instances: [{ address }] } } });

async function startWorkers(name: SocketDriverName, mesh: unknown) {
  const modules = { balancer: loadModule("balancer"), engine: loadModule("engine") };
  const balancer = new Balancer(modules.balancer);
  const descriptors = [createSharedDescriptors(), createSharedDescriptors()];
  const socket = await openListening({ host: "127.0.0.1", port: 0 }, "--outbound");
  const supervisor = new Supervisor({
    workers: 2,
    startThread: (worker) => {
      const sockets = { driver: name, descriptors: descriptors[worker]! };
      const setup = { worker, seed: worker + 1, modules: { ...modules, balancerMemory: balancer.memory }, sockets };
      return new Worker(workerEntry, { workerData: setup, execArgv: [...workerFlags] });
    },
    clearWorker: (worker) => {
      balancer.clearWorker(worker);
      for (const descriptor of new DescriptorTable(descriptors[worker]!).takeAll()) closeSync(descriptor);
    },
    offerListeners: () => [{ kind: LISTENER_OUTBOUND, number: 0, descriptor: socket.duplicate() }],
    takeLogs: () => undefined,
    clock: systemClock,
    random: createRandom(1),
    log: silentLog,
  });
  ending.push(
    () => socket.close(),
    () => supervisor.stop(),
  );
  const publisher = new Publisher({
    balancer,
    allocation: new Allocation(balancer),
    snapshot: {},
    distribute: (program) => supervisor.publish(program),
    log: silentLog,
  });
  await supervisor.start(false);
  const file = parseMeshFile(JSON.stringify(mesh), { fileName: "mesh.yaml" });
  if (!file.ok) throw new Error(JSON.stringify(file.issues));
  await publisher.publish({ revision: 1, documents: file.documents, warnings: [] });
  await supervisor.listen();
  const { port } = socket.address;
  const ask = () =>
    new Promise<string>((resolve) => {
      const asking = request({ host: "127.0.0.1", port, headers: { host: "web" }, agent: false }, (response) => {
        let text = "";
        response.on("data", (part) => {
          text += part;
        });
        response.on("end", () => resolve(`${response.statusCode} ${text}`));
      });
      asking.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      asking.end();
    });
  /** Only this worker accepts from now on. */
  const leaveListening = async (worker: number) => {
    await supervisor.listen();
    await expect.poll(() => supervisor.listeningCount).toBe(2);
    supervisor.tell(1 - worker, { type: "closeListeners", kinds: [LISTENER_OUTBOUND] });
    await expect.poll(() => supervisor.listeningCount).toBe(1);
  };
  const inflight = () => balancer.gaugesOf(publisher.inForce!.instances[0]!.slot).inflight;
  const exchanges = () => supervisor.reports.map((report) => report.exchanges);
  return { balancer, supervisor, ask, leaveListening, inflight, exchanges };
}

describe.each(DRIVER_NAMES)("%s", (name) => {
  test("a killed worker's requests leave the gauges, the other's end as if nothing had been", async () => {
    const app = await startSlowApp();
    const { supervisor, ask, leaveListening, inflight, exchanges } = await startWorkers(name, meshOf(app.address));
    await leaveListening(0);
    const doomed = Array.from({ length: 5 }, ask);
    await expect.poll(inflight).toBe(5);
    await expect.poll(() => exchanges()[0]).toBe(5);
    await leaveListening(1);
    const safe = Array.from({ length: 7 }, ask);
    await expect.poll(() => exchanges()[1]).toBe(7);
    expect(inflight()).toBe(12);
    await expect.poll(() => app.waitingCount).toBe(12);
    supervisor.tell(0, { type: "trap" });
    expect(await Promise.all(doomed)).toEqual(Array(5).fill("ECONNRESET"));
    await expect.poll(inflight).toBe(7);
    await expect.poll(() => supervisor.restarts).toBe(1);
    app.release();
    expect(await Promise.all(safe)).toEqual(Array(7).fill("200 done"));
    await expect.poll(inflight).toBe(0);
  });

  test("limits admit exactly as many after a worker was killed", async () => {
    const app = await startSlowApp();
    const limits = { requests: 4 };
    const { supervisor, ask, leaveListening, inflight } = await startWorkers(name, meshOf(app.address, limits));
    await leaveListening(0);
    const doomed = Array.from({ length: 3 }, ask);
    await expect.poll(inflight).toBe(3);
    supervisor.tell(0, { type: "trap" });
    await Promise.all(doomed);
    await expect.poll(() => supervisor.restarts).toBe(1);
    await expect.poll(() => supervisor.listeningCount).toBe(1);
    await expect.poll(inflight).toBe(0);
    const later = Array.from({ length: 9 }, ask);
    await expect.poll(inflight).toBe(4);
    // What waits of the doomed ones answers nobody; the four behind them are the admitted ones.
    await expect.poll(() => app.waitingCount).toBe(7);
    app.release();
    const outcomes = await Promise.all(later);
    expect(outcomes.filter((outcome) => outcome === "200 done").length).toBe(4);
    expect(outcomes.filter((outcome) => outcome.startsWith("503")).length).toBe(5);
  });
});
