// Instances that nobody can connect to are visited until somebody can, and are newcomers then; and what a sidecar says
// of its app that is away.

import { beforeEach, expect, test } from "vitest";
import { STATE_EJECTED } from "../../../../assembly/abi/balancer-codes.ts";
import { LISTENER_INBOUND, SOCKET_REFUSED } from "../../../../assembly/abi/engine-records.ts";
import * as h2 from "../../../support/frames.ts";
import { createWorld, type Wire, type World } from "../../../support/world.ts";

const MESH = (protocol: string) => `services: {web: {protocol: ${protocol}, retry: {attempts: 0}, instances: [
  {id: a, address: 10.0.0.1:80}, {id: b, address: 10.0.0.2:80}, {id: c, address: 10.0.0.3:80}]}}`;
const GET = "GET / HTTP/1.1\r\nhost: web\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

let world: World;
/** Those that refuse. */
const down = new Set<string>();
const visits: string[] = [];

beforeEach(() => {
  down.clear();
  visits.length = 0;
});

/** Instances that answer at once, but those that refuse. */
function serve(): void {
  const connect = world.onConnect;
  world.onConnect = (wire, name) => {
    if (down.has(name) || down.has("all")) {
      visits.push(name);
      queueMicrotask(() => wire.destroy(SOCKET_REFUSED));
      return;
    }
    wire.onBytes = () => queueMicrotask(() => wire.closedBy === undefined && wire.send(OK));
    connect(wire, name);
  };
}

/** A request each 20 ms; who answered them, by name. */
async function call(ms: number): Promise<string[]> {
  const answered: string[] = [];
  for (let passed = 0; passed < ms; passed += 20) {
    const before = new Set(world.upstreams.filter(({ isAsked }) => isAsked));
    for (const wire of world.upstreams) wire.isAsked = false;
    world.accept().send(GET);
    await settle();
    for (const wire of world.upstreams) {
      if (wire.isAsked) answered.push(world.nameOf(wire.slot ?? -1));
      wire.isAsked ||= before.has(wire);
    }
    world.pass(20);
    await settle();
  }
  return answered;
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 8; turn += 1) await Promise.resolve();
}

test("one that refuses is visited, less and less often, and gets requests soon after it accepts again", async () => {
  world = await createWorld(MESH("http"));
  serve();
  expect(new Set(await call(1_000)).size).toBe(3);
  down.add("web/a");
  for (const wire of world.upstreams) if (world.nameOf(wire.slot ?? -1) === "web/a") wire.destroy();
  await call(8_000);
  expect(visits.length).toBeGreaterThan(5);
  visits.length = 0;
  expect(await call(4_000)).not.toContain("web/a");
  expect(visits.length).toBeGreaterThan(2); // one a second
  expect(visits.length).toBeLessThan(8);
  down.clear();
  expect(await call(2_000)).toContain("web/a");
  const later = await call(12_000);
  expect(later.filter((name) => name === "web/a").length).toBeGreaterThan(later.length / 8);
});

test.each([
  ["broke", (wire: Wire) => wire.destroy()],
  ["ended", (wire: Wire) => wire.end()],
] as const)("one whose connection %s under a request is looked at once: it is there", async (_how, lose) => {
  world = await createWorld(MESH("http"));
  world.accept().send(GET);
  const { slot } = world.upstreams[0]!;
  for (let index = 0; index < 5; index += 1) {
    world.accept().send(GET);
    await settle();
  }
  const name = world.nameOf(slot ?? -1);
  for (const wire of world.upstreams.filter((one) => one.slot === slot)) lose(wire);
  const before = world.upstreams.length;
  world.pass(60);
  const [visit] = world.upstreams.slice(before);
  expect(world.nameOf(visit?.slot ?? -1)).toBe(name);
  expect(visit?.isAsked).toBe(false);
  world.pass(5_000);
  expect(world.upstreams.length).toBe(before + 1); // it is there: no further visit
});

test("visits end when the instance is not offered any more", async () => {
  world = await createWorld(MESH("http"));
  serve();
  down.add("web/a").add("web/b").add("web/c");
  await call(200);
  world.load("services: {web: {protocol: http, instances: []}}");
  const before = visits.length;
  await call(3_000);
  expect(visits.length).toBe(before);
});

test("a sidecar tells its callers at once that its app is away, and that it is back", async () => {
  const app = { service: "web", id: "me", address: { host: "127.0.0.1", port: 80 }, protocol: "http1" as const };
  world = await createWorld("services: {web: {instances: []}}", { app });
  serve();
  const reader = new h2.FrameReader(false);
  const caller: Wire = world.accept(LISTENER_INBOUND);
  const flags = () => {
    const reports = reader.read(caller.read()).filter(({ type }) => type === 0xf1);
    return reports.map(({ payload }) => payload[8]);
  };
  let id = -1;
  const ask = () => {
    id += 2;
    const fields: h2.Fields = [
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "/"],
      [":authority", "web"],
    ];
    caller.send(h2.headers(id, fields, h2.END_HEADERS | h2.END_STREAM));
  };
  caller.send(Buffer.concat([h2.PREFACE, h2.settings([[0xf0f1, 1]])]));
  ask();
  await settle();
  expect(flags().at(-1)).toBe(0);
  down.add("all");
  for (const wire of world.upstreams) wire.destroy();
  ask();
  await settle();
  world.pass(50);
  expect(flags().at(-1)).toBe(1);
  for (let second = 0; second < 3; second += 1) {
    world.pass(1_000);
    await settle();
  }
  expect(flags().at(-1)).toBe(1);
  down.clear();
  world.pass(1_100);
  await settle();
  world.pass(20);
  expect(flags().at(-1)).toBe(0);
});

test("one that was ejected and away is back in its set as soon as a connection to it speaks", async () => {
  world = await createWorld(MESH("http2"));
  const { slot } = world.snapshot.instances[0]!;
  down.add("web/a");
  const connect = world.onConnect;
  world.onConnect = (wire, name) => {
    if (down.has(name)) queueMicrotask(() => wire.destroy(SOCKET_REFUSED));
    else connect(wire, name);
  };
  for (let index = 0; index < 60; index += 1) {
    world.accept().send(GET);
    await settle();
    world.pass(10);
    await settle();
  }
  down.clear();
  const before = world.upstreams.length;
  for (let index = 0; index < 12; index += 1) {
    world.pass(100);
    await settle();
  }
  const visit = world.upstreams.slice(before).find((wire) => wire.slot === slot);
  expect(visit).toBeDefined();
  visit?.send(h2.settings());
  expect(world.balancer.stateOf(slot) & STATE_EJECTED).toBe(0);
});
