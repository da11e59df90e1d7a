// Readiness, the app's watch and the order of going, on a clock that the test moves.

import { expect, test } from "vitest";
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
