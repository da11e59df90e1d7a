// Goal: instances that fail are set aside with a reason and a time, come back by one request, and never all of them
//       (DESIGN §6, docs/BALANCING.md); on real sockets.
// Method: servers that answer 500 while they are told to; who is asked is counted at the server.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createClient } from "../support/foreign-clients.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type InstanceRow, startSidecar } from "../support/sidecar.ts";

const opened: { close(): Promise<unknown> | unknown }[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close();
});

interface Backend {
  readonly address: string;
  isFailing: boolean;
  asked: number;
  /** Answers wait until `release`. */
  isHeld: boolean;
  release(): void;
}

async function openBackend(): Promise<Backend> {
  const held: (() => void)[] = [];
  const server = createServer((_request, response) => {
    backend.asked += 1;
    const answer = () => response.writeHead(backend.isFailing ? 500 : 200).end();
    if (backend.isHeld) held.push(answer);
    else answer();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  opened.push({ close: () => [server.closeAllConnections(), server.close()] });
  const backend: Backend = {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    isFailing: false,
    asked: 0,
    isHeld: false,
    release: () => {
      for (const answer of held.splice(0)) answer();
    },
  };
  return backend;
}

type Row = InstanceRow & {
  readonly ejection?: { readonly reason: string; readonly sinceMs: number; readonly leftMs: number };
};

async function setUp(count: number, outlier: Record<string, unknown>) {
  const backends = await Promise.all(Array.from({ length: count }, openBackend));
  const instances = backends.map(({ address }, index) => ({ id: `i${index}`, address }));
  const balance = { policy: "round-robin" };
  const mesh = createMesh({ services: { web: { balance, outlier, retry: { attempts: 0 }, instances } } });
  opened.push({ close: () => mesh[Symbol.asyncDispose]() });
  const sidecar = await startSidecar({ mesh });
  opened.push({ close: () => sidecar.stop() });
  const client = createClient("http2", sidecar.outbound);
  opened.push(client);
  const send = async () => (await client.send({ host: "web", path: "/" })).status;
  const rows = async () => (await sidecar.read<{ instances: Row[] }>("/instances?service=web")).instances;
  const ejected = (instance: string) => sidecar.metric("pillion_instance_ejected", { service: "web", instance });
  const seconds = (instance: string, reason = "") =>
    sidecar.metric("pillion_instance_ejection_seconds", { service: "web", instance, ...(reason && { reason }) });
  return { backends, send, rows, ejected, seconds };
}

test("set aside with reason and time; one request decides over the return, a failure doubles the time", async () => {
  const { backends, send, rows, ejected, seconds } = await setUp(3, { consecutiveFailures: 3, ejection: "400ms" });
  const [bad] = backends as [Backend];
  bad.isFailing = true;
  const isOut = async () => (await rows())[0]?.state === "ejected";
  while (!(await isOut())) await send();
  const [first] = await rows();
  expect(first?.ejection?.reason).toBe("consecutive-failures");
  const leftMs = first?.ejection?.leftMs ?? 0;
  expect(leftMs).toBeGreaterThan(0);
  expect(await ejected("i0")).toBe(1);
  expect(await ejected("i1")).toBe(0);
  expect(await seconds("i0", "consecutive-failures")).toBeGreaterThan(0);
  expect(await seconds("i1")).toBeUndefined();
  // The trial fails: out again, for longer.
  const before = bad.asked;
  await waitUntil("the first time is over", async () => (await send()) === 500);
  expect(bad.asked).toBe(before + 1);
  expect((await rows())[0]?.ejection?.leftMs).toBeGreaterThan(leftMs);
  // The next trial is held: nobody else is sent there meanwhile. Then it passes, and it is back.
  bad.isFailing = false;
  bad.isHeld = true;
  const statuses: Promise<number>[] = [];
  await waitUntil("a trial is under way", () => {
    statuses.push(send());
    return bad.asked === before + 2;
  });
  for (let round = 0; round < 30; round += 1) statuses.push(send());
  const others = statuses.length - 1;
  await waitUntil("all others are answered", () => {
    return backends[1]!.asked + backends[2]!.asked >= others;
  });
  expect(bad.asked).toBe(before + 2);
  bad.isHeld = false;
  bad.release();
  expect((await Promise.all(statuses)).every((status) => status === 200)).toBe(true);
  await waitUntil("it is back", async () => (await rows())[0]?.state === "ready" && (await ejected("i0")) === 0);
});

test("nobody is set aside when all fail alike, and the last one never", async () => {
  const { backends, send, rows } = await setUp(3, { consecutiveFailures: 3, ejection: "1m", ejectedShareMax: 1 });
  for (const backend of backends) backend.isFailing = true;
  for (let round = 0; round < 60; round += 1) expect(await send()).toBe(500);
  const states = (await rows()).map(({ state }) => state);
  expect(states.filter((state) => state === "ready").length).toBeGreaterThanOrEqual(1);
  // Whoever is well again is found by the requests themselves.
  backends[states.indexOf("ready")]!.isFailing = false;
  await waitUntil("one that is well is found", async () => (await send()) === 200);
});
