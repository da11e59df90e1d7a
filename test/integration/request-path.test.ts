// The common way of a request stays in WebAssembly: few calls from JavaScript, next to no garbage, whatever is added.
//
// A real sidecar with a counter preloaded (support/count-calls.ts) between a client and a server in lockstep, 10
// connections × 32 streams. No time is measured. A busy machine may cut a turn in two, which costs calls; so there are
// several windows and the least counts: work that belongs to each exchange is in all of them. The canary does some for
// every exchange in JavaScript, and must be caught.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Counts } from "../support/count-calls.ts";
import { DRIVER_NAMES } from "../support/drivers.ts";
import type { ForeignServer } from "../support/foreign-servers.ts";
import { openLockstepClient, startLockstepServer } from "../support/lockstep.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";

const CONNECTIONS = 10;
const STREAMS = 32;
const BODY_BYTES = 100;
const WARM_UP_ROUNDS = 100;
const WINDOWS = 8;
const WINDOW_ROUNDS = 10;
/** DESIGN §2: one call for each readable socket, one write for each writable one and turn; 32 streams share them. */
const CALLS_AND_WRITES_MAX = 0.3;
const ALLOCATED_BYTES_MAX = 200;
const preload = new URL("../support/count-calls.ts", import.meta.url).href;

let server: ForeignServer;
let mesh: MeshFolder;

beforeAll(async () => {
  server = await startLockstepServer(BODY_BYTES);
  mesh = createMesh({ services: { web: { protocol: "http2", instances: [{ id: "a", address: server.address }] } } });
});

afterAll(async () => {
  await server.close();
  await mesh[Symbol.asyncDispose]();
});

async function readCounts({ program }: Sidecar): Promise<Counts> {
  const find = () => program.lines.filter((line) => line.startsWith("counts "));
  const known = find().length;
  program.signal("SIGUSR2");
  await waitUntil("the worker has said its counts", () => find().length > known);
  return JSON.parse(find().at(-1)?.slice("counts ".length) ?? "") as Counts;
}

/** What one exchange took of a sidecar's worker. */
async function countPerExchange(driver: string, env: NodeJS.ProcessEnv = {}): Promise<{ work: number; bytes: number }> {
  const options = `${process.env.NODE_OPTIONS ?? ""} --import=${preload}`;
  const flags = ["--workers", "1", "--socket-driver", driver];
  await using sidecar = await startSidecar({ mesh, env: { ...env, NODE_OPTIONS: options }, flags });
  await using client = await openLockstepClient(sidecar.outbound, CONNECTIONS, "web", BODY_BYTES);
  for (let round = 0; round < WARM_UP_ROUNDS; round += 1) await client.round(sidecar.program, STREAMS);
  const windows: { work: number; bytes: number }[] = [];
  for (let window = 0; window < WINDOWS; window += 1) {
    const before = await readCounts(sidecar);
    for (let round = 0; round < WINDOW_ROUNDS; round += 1) await client.round(sidecar.program, STREAMS);
    const after = await readCounts(sidecar);
    // The epoll driver writes without Node; each write is one call of `written` there.
    if (driver === "libuv") expect(after.writes).toBeGreaterThan(before.writes);
    expect(after.engineCalls).toBeGreaterThan(before.engineCalls);
    const exchanges = WINDOW_ROUNDS * CONNECTIONS * STREAMS;
    const work = after.engineCalls + after.writes - before.engineCalls - before.writes;
    windows.push({ work: work / exchanges, bytes: (after.allocatedBytes - before.allocatedBytes) / exchanges });
  }
  return { work: Math.min(...windows.map(({ work }) => work)), bytes: Math.min(...windows.map(({ bytes }) => bytes)) };
}

describe.each(DRIVER_NAMES)("10 connections × 32 streams on %s", { timeout: 60_000 }, (driver) => {
  test("cost few calls and next to no garbage", async () => {
    const { work, bytes } = await countPerExchange(driver);
    expect(work).toBeLessThan(CALLS_AND_WRITES_MAX);
    expect(bytes).toBeLessThan(ALLOCATED_BYTES_MAX);
  });

  test("are seen when JavaScript does the work (canary)", async () => {
    const { work, bytes } = await countPerExchange(driver, { PILLION_COUNT_CANARY: "1" });
    expect(work).toBeGreaterThan(CALLS_AND_WRITES_MAX);
    expect(bytes).toBeGreaterThan(ALLOCATED_BYTES_MAX);
  });
});
