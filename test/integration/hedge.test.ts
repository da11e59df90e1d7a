// Goal: on real sockets a slow attempt gets one other beside it, and a service gets no more of them than its budget
//       (features.md §3 row 30). What callers wait, with and without, is printed.
// Method: sixteen servers; each stops for a moment now and then, or one of them is slow always. They count requests.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createClient } from "../support/foreign-clients.ts";
import { createMesh, startSidecar } from "../support/sidecar.ts";

const SERVERS = 16;
const REQUESTS = process.env.PILLION_FULL === "1" ? 20_000 : 1_500;
const LANES = 16;
const ORDINARY_MS = 4;
const SLOW_MS = 200;

const opened: { close(): Promise<unknown> | unknown }[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close();
});

/** Servers of which number `index` answers its `count`-th request after so many ms; and how many they were asked. */
async function openServers(timeOf: (index: number, count: number) => number) {
  let asked = 0;
  const addresses: string[] = [];
  for (let index = 0; index < SERVERS; index += 1) {
    let count = 0;
    const server = createServer((_, response) => {
      asked += 1;
      count += 1;
      setTimeout(() => response.end("ok"), timeOf(index, count));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    addresses.push(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    opened.push({ close: () => new Promise((resolve) => [server.close(resolve), server.closeAllConnections()]) });
  }
  return { addresses, asked: () => asked };
}

async function load(addresses: readonly string[], hedge: unknown) {
  const instances = addresses.map((address, index) => ({ id: `i${index}`, address }));
  const mesh = createMesh({
    services: { web: { balance: { policy: "round-robin" }, outlier: "none", hedge, instances } },
  });
  opened.push({ close: () => mesh[Symbol.asyncDispose]() });
  const sidecar = await startSidecar({ mesh });
  opened.push({ close: () => sidecar.stop() });
  const client = createClient("http2", sidecar.outbound);
  opened.push(client);
  const timesMs: number[] = [];
  let next = 0;
  const lane = async () => {
    while (next < REQUESTS) {
      next += 1;
      const startedMs = performance.now();
      expect((await client.send({ host: "web" })).status).toBe(200);
      timesMs.push(performance.now() - startedMs);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  timesMs.sort((left, right) => left - right);
  const metrics = await (await fetch(`http://${sidecar.admin}/metrics`)).text();
  const won = Number(/^pillion_hedges_total\{service="web",result="won"\} (\d+)/m.exec(metrics)?.[1]);
  const at = (share: number) => `${timesMs[Math.floor(share * (timesMs.length - 1))]?.toFixed(0)} ms`;
  return { won, text: `p50 ${at(0.5)}, p95 ${at(0.95)}, p99 ${at(0.99)}` };
}

const WORLDS: [string, { after: string; budget: number }, (index: number, count: number) => number][] = [
  [
    "each stops for a moment at every 40th request",
    { after: "p95", budget: 0.05 },
    (index: number, count: number) => ((count + index) % 40 === 0 ? SLOW_MS : ORDINARY_MS),
  ],
  ["one of sixteen is slow", { after: "p90", budget: 0.1 }, (index: number) => (index === 3 ? SLOW_MS : ORDINARY_MS)],
];

test.each(WORLDS)(
  "sixteen servers, %s: hedges are won, and are no more than the budget",
  async (what, hedge, timeOf) => {
    const plain = await openServers(timeOf);
    const without = await load(plain.addresses, "none");
    expect(plain.asked()).toBe(REQUESTS);
    const hedged = await openServers(timeOf);
    const beside = await load(hedged.addresses, hedge);
    expect(beside.won).toBeGreaterThan(0);
    expect(hedged.asked()).toBeLessThanOrEqual(REQUESTS * (1 + hedge.budget));
    const extra = ((hedged.asked() / REQUESTS - 1) * 100).toFixed(1);
    const told = `alone ${without.text}; hedged at ${hedge.after} ${beside.text}, ${extra} % more requests`;
    process.stdout.write(`hedging, ${what}: ${told}\n`);
  },
);
