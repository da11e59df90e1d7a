// Goal: whose tokens a request takes, and what a refused one is told.
// Method: documents in the virtual world; time stands still unless the test moves it.

import { beforeAll, expect, test } from "vitest";
import { LISTENER_INBOUND, LISTENER_OUTBOUND } from "../../../../assembly/abi/engine-records.ts";
import { prepareWorlds, type World, type WorldMaker } from "../../../support/world.ts";

let make: WorldMaker;
beforeAll(async () => {
  make = await prepareWorlds();
});

const MESH = (limit: string, rule = "") => `
services:
  web: {rateLimit: ${limit}, instances: [{id: a, address: 10.0.0.1:80}]}
  other: {rateLimit: ${limit}, instances: [{id: b, address: 10.0.0.2:80}]}
routes:
  api: {hosts: [api], rules: [{to: [{service: web}, {service: other}]${rule}}]}
`;

/** Sends so many requests at once, each on a connection of its own; how many got through. */
function passed(world: World, count: number, { host = "web", headers = "", kind = LISTENER_OUTBOUND } = {}): number {
  let through = 0;
  for (let index = 0; index < count; index += 1) {
    const client = world.accept(kind).send(`GET / HTTP/1.1\r\nhost: ${host}\r\n${headers}\r\n`);
    if (!client.text().includes("rate-limited")) through += 1;
    client.destroy();
  }
  return through;
}

test("a service's limit holds for all that goes to it, and each service has its own", () => {
  const world = make(MESH("{requestsPerSecond: 10, burst: 4}"));
  expect(passed(world, 10)).toBe(4);
  expect(passed(world, 3, { host: "web.mesh" })).toBe(0);
  expect(passed(world, 10, { host: "other" })).toBe(4);
  world.pass(250);
  expect(passed(world, 10)).toBe(2);
  world.pass(60_000);
  expect(passed(world, 10)).toBe(4);
});

test("who is refused gets 429, the reason, and when to come again; no instance hears of it", () => {
  const world = make(MESH("{requestsPerSecond: 0.1, burst: 1}"));
  expect(passed(world, 1)).toBe(1);
  const before = world.upstreams.length;
  const answer = world.accept().send("GET / HTTP/1.1\r\nhost: web\r\n\r\n").text();
  expect(answer).toMatch(/^HTTP\/1.1 429 /);
  expect(answer).toContain("x-pillion-reason: rate-limited\r\n");
  expect(answer).toContain("retry-after: 10\r\n");
  expect(world.upstreams.length).toBe(before);
  world.pass(7_500);
  expect(world.accept().send("GET / HTTP/1.1\r\nhost: web\r\n\r\n").text()).toContain("retry-after: 3\r\n");
  expect(world.balancer.countOf(world.snapshot.instances[0]!.service, 0)).toBe(0);
});

test("the burst is one second's worth unless it is written", () => {
  expect(passed(make(MESH("{requestsPerSecond: 6.5}")), 10)).toBe(7);
});

test("by a header: each value has a bucket, requests without it share one", () => {
  const world = make(MESH("{requestsPerSecond: 1, burst: 2, by: 'header:X-Api-Key'}"));
  for (const key of ["k1", "k2"]) expect(passed(world, 5, { headers: `x-api-key: ${key}\r\n` })).toBe(2);
  expect(passed(world, 5)).toBe(2);
  expect(passed(world, 5, { headers: "x-other: k3\r\n" })).toBe(0);
  expect(passed(world, 1, { headers: "x-api-key: k1\r\n" })).toBe(0);
});

test("by source: all connections of one address share a bucket", () => {
  const world = make(MESH("{requestsPerSecond: 1, burst: 3, by: source}"));
  expect(passed(world, 5)).toBe(3);
});

test("a rule's limit is the rule's, over all its targets, and leaves its services' alone", () => {
  const world = make(MESH("{requestsPerSecond: 1, burst: 2}", ", rateLimit: {requestsPerSecond: 10, burst: 5}"));
  expect(passed(world, 20, { host: "api" })).toBe(5);
  expect(passed(world, 20)).toBe(2);
});

test("a rule without a limit of its own takes its service's tokens, and `none` takes none", () => {
  const world = make(MESH("{requestsPerSecond: 1, burst: 2}"));
  expect(passed(world, 20, { host: "api" })).toBe(4);
  expect(passed(world, 20)).toBe(0);
  const free = make(MESH("{requestsPerSecond: 1, burst: 2}", ", rateLimit: none"));
  expect(passed(free, 20, { host: "api" })).toBe(20);
});

test("an inbound counts for itself, and a new document is in force at once", () => {
  const app = { service: "web", id: "me", address: { host: "127.0.0.1", port: 1 }, protocol: "http1" } as const;
  const world = make(MESH("{requestsPerSecond: 1, burst: 2}"), { app });
  expect(passed(world, 5)).toBe(2);
  expect(passed(world, 5, { kind: LISTENER_INBOUND })).toBe(2);
  world.load(MESH("none"), { app, revision: 2 });
  expect(passed(world, 5)).toBe(5);
});
