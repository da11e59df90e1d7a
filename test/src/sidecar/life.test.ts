// Readiness, the app's watch and the order of going, on a clock that the test moves.

import { expect, test } from "vitest";
import { type AppEndOptions, awaitAppEnd } from "../../../src/sidecar/app-end.ts";
import { AppWatch } from "../../../src/sidecar/app-watch.ts";
import { advertisedAddress } from "../../../src/sidecar/own-instance.ts";
import { judgeReadiness } from "../../../src/sidecar/readiness.ts";
import { type ShutdownSteps, shutDown } from "../../../src/sidecar/shutdown.ts";
import { createFakeClock } from "../../support/fake-clock.ts";

const readyConditions = {
  mesh: "etcd://h:2379/pillion",
  isMeshLoaded: true,
  registryProblem: undefined,
  isSnapshotInForce: true,
  workers: 2,
  listeningWorkers: 2,
  app: "127.0.0.1:8080",
  isAppUp: true,
  isDraining: false,
};

test("each condition that is missing has its sentence", () => {
  const judge = (change: Partial<typeof readyConditions> | object) =>
    judgeReadiness({ ...readyConditions, ...change }, {}).waitingFor;
  expect(judge({})).toEqual([]);
  expect(judge({ isDraining: true })).toEqual(["draining: the sidecar is shutting down"]);
  expect(judge({ isMeshLoaded: false, registryProblem: "timeout" })).toEqual([
    "the mesh (etcd://h:2379/pillion): timeout",
  ]);
  expect(judge({ isSnapshotInForce: false })).toEqual(["the mesh's snapshot is being put in force"]);
  expect(judge({ listeningWorkers: 0 })).toEqual(["a data-plane worker (0 of 2 accept connections)"]);
  expect(judge({ isAppUp: false })).toEqual(["the app: 127.0.0.1:8080 does not accept connections"]);
  expect(judge({ app: undefined, isAppUp: false })).toEqual([]);
  // A registry that is lost later does not matter: the last picture serves.
  expect(judge({ registryProblem: "timeout" })).toEqual([]);
  expect(judge({ listeningWorkers: 1 })).toEqual([]);
});

test("the app is asked often until it accepts, then once a second; one silence is forgiven", async () => {
  const clock = createFakeClock();
  const changes: boolean[] = [];
  let answer: "accepts" | "refuses" | "silent" = "refuses";
  let asks = 0;
  const watch = new AppWatch({
    address: { host: "127.0.0.1", port: 1 },
    clock,
    changed: (isUp) => changes.push(isUp),
    ask: async () => {
      asks += 1;
      return answer;
    },
  });
  watch.start();
  await clock.pass(1_000);
  expect(asks).toBe(11);
  expect(changes).toEqual([]);
  answer = "accepts";
  await clock.pass(100);
  expect(changes).toEqual([true]);
  asks = 0;
  answer = "silent";
  await clock.pass(1_000);
  expect([asks, watch.isUp]).toEqual([1, true]);
  await clock.pass(1_000);
  expect([watch.isUp, changes]).toEqual([false, [true, false]]);
  answer = "accepts";
  await clock.pass(100);
  answer = "refuses";
  await clock.pass(1_000);
  expect(changes).toEqual([true, false, true, false]);
  watch.stop();
  asks = 0;
  await clock.pass(5_000);
  expect(asks).toBe(0);
});

function stepsOf(log: string[], change: Partial<ShutdownSteps> = {}): ShutdownSteps {
  return {
    announce: async () => {
      log.push("announce");
      return true;
    },
    drainInbound: () => void log.push("drain inbound"),
    closeInbound: () => void log.push("close inbound"),
    appEnded: async () => void log.push("app ended"),
    drainAll: async () => void log.push("drained"),
    ...change,
  };
}

test("going: the registry first, and others have a moment to hear of it", async () => {
  const clock = createFakeClock();
  const log: string[] = [];
  const gone = shutDown({ clock, drainMs: 30_000, steps: stepsOf(log) });
  await clock.pass(400);
  expect(log).toEqual(["announce"]);
  await clock.pass(200);
  expect(await gone).toBe(true);
  expect(log).toEqual(["announce", "drain inbound", "close inbound", "app ended", "drained"]);
});

test("going: nobody to tell, nothing to wait for", async () => {
  const log: string[] = [];
  const steps = stepsOf(log, { announce: async () => false });
  expect(await shutDown({ clock: createFakeClock(), drainMs: 30_000, steps })).toBe(true);
});

test("going: an app that lives on is waited for until --drain is over", async () => {
  const clock = createFakeClock();
  const log: string[] = [];
  let signal: AbortSignal | undefined;
  const appEnded = (given: AbortSignal) => {
    signal = given;
    return new Promise<void>(() => undefined);
  };
  const gone = shutDown({ clock, drainMs: 10_000, steps: stepsOf(log, { appEnded }) });
  await clock.pass(9_999);
  expect(log).toEqual(["announce", "drain inbound", "close inbound"]);
  expect(signal?.aborted).toBe(false);
  await clock.pass(1);
  expect(await gone).toBe(false);
  expect(signal?.aborted).toBe(true);
});

test("a bound address is advertised as it is, all interfaces as one that others can reach", () => {
  expect(advertisedAddress({ host: "127.0.0.1", port: 5 })).toEqual({ host: "127.0.0.1", port: 5 });
  const found = advertisedAddress({ host: "0.0.0.0", port: 5 });
  expect(found.port).toBe(5);
  expect(found.host).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
  expect(found.host).not.toBe("0.0.0.0");
});

/** An app that closes its port, calls somebody 800 ms later for 3 s, and keeps that connection open for a while. */
function watchEnd(state: { isUp: boolean; exchanges: number; callers: number }) {
  const clock = createFakeClock();
  const deadline = new AbortController();
  const supervisor: AppEndOptions["supervisor"] = {
    get reports() {
      return [{ exchanges: state.exchanges, connectionsBy: [0, state.callers, 0, 9, 9, 9] }];
    },
  };
  let hasEnded = false;
  void awaitAppEnd({ clock, watch: state, supervisor, signal: deadline.signal }).then(() => {
    hasEnded = true;
  });
  const after = async (ms: number) => {
    await clock.pass(ms);
    return hasEnded;
  };
  return { after, deadline };
}

test("an app has ended when its port is closed and it has hung up, not when its port is closed", async () => {
  const app = { isUp: true, exchanges: 0, callers: 0 };
  const { after } = watchEnd(app);
  expect(await after(60_000)).toBe(false);
  app.isUp = false;
  expect(await after(800)).toBe(false);
  Object.assign(app, { exchanges: 1, callers: 1 });
  expect(await after(60_000)).toBe(false);
  app.exchanges = 0;
  expect(await after(4_000)).toBe(false);
  app.callers = 0;
  expect(await after(1_200)).toBe(true);
});

test("a connection that is only kept open holds us for five seconds at most, and --drain bounds it all", async () => {
  const app = { isUp: false, exchanges: 0, callers: 1 };
  const idle = watchEnd(app);
  expect(await idle.after(4_800)).toBe(false);
  expect(await idle.after(400)).toBe(true);
  const busy = watchEnd({ isUp: false, exchanges: 1, callers: 1 });
  expect(await busy.after(60_000)).toBe(false);
  busy.deadline.abort();
  expect(await busy.after(0)).toBe(true);
});

test("a mesh that was kept is told as old, with its time and why", () => {
  const stale = { ...readyConditions, keptAtMs: 0, registryProblem: "timeout" };
  expect(judgeReadiness(stale, {})).toMatchObject({
    isReady: true,
    stale: "the mesh is that of 1970-01-01T00:00:00.000Z, kept by --state: (etcd://h:2379/pillion) timeout",
  });
});
