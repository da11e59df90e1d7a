// Goal: no request meets a connection that its server is about to close (features.md §3 row 5).
// Method: a server with an idle time of its own, in virtual time; it counts what reaches it too late.

import { beforeEach, expect, test } from "vitest";
import { createWorld, type Wire, type World } from "../../../support/world.ts";

const ONE = "services: {web: {protocol: http, instances: [{id: a, address: 10.0.0.1:80}]}}";
const POST = "POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 0\r\n\r\n";

let world: World;
let client: Wire;
beforeEach(async () => {
  world = await createWorld(ONE);
  client = world.accept();
});

/** One request and its answer on the newest upstream connection; how old in connections the world is then. */
function exchange(more = ""): Wire {
  client.send(POST);
  const upstream = world.upstreams.at(-1)!;
  expect(upstream.text()).toContain("POST / HTTP/1.1");
  upstream.send(`HTTP/1.1 200 OK\r\n${more}content-length: 0\r\n\r\n`);
  expect(client.text()).toContain("200 OK");
  return upstream;
}

/** The server's timer: closes what has been idle for `ms`, if we have not. */
function closeAfter(upstream: Wire, ms: number): boolean {
  world.pass(ms);
  if (upstream.closedBy !== undefined) return false;
  upstream.end();
  return true;
}

test("a server that closes twice at the same age is not surprised a third time", () => {
  expect(closeAfter(exchange(), 1_000)).toBe(true);
  world.pass(500);
  expect(closeAfter(exchange(), 1_000)).toBe(true);
  for (let round = 0; round < 20; round += 1) {
    world.pass(137 * round);
    expect(closeAfter(exchange(), 1_000)).toBe(false); // ours was closed before
  }
});

test("what was learned is not stretched by use: the time counts from the last byte", () => {
  closeAfter(exchange(), 1_000);
  closeAfter(exchange(), 1_000);
  const upstream = exchange();
  for (let round = 0; round < 5; round += 1) {
    world.pass(600);
    expect(exchange()).toBe(upstream);
  }
  world.pass(760);
  expect(upstream.closedBy).toBe("end");
});

test("a server that closes right behind its answers, and does not say so, is given a new connection for each", () => {
  exchange().end();
  world.pass(150);
  exchange().end();
  world.pass(150);
  for (let round = 0; round < 20; round += 1) {
    expect(exchange().closedBy).toBe("end"); // by us, at once: no request can meet its FIN
    world.pass(10);
  }
  world.pass(61_000); // it is given another chance
  const upstream = exchange();
  expect(upstream.closedBy).toBeUndefined();
  expect(exchange()).toBe(upstream);
});

test("those who wait for such a server are served", () => {
  for (let round = 0; round < 2; round += 1) {
    exchange().end();
    world.pass(150);
  }
  const others = [world.accept(), world.accept(), world.accept()];
  for (const other of others) other.send(POST);
  for (const upstream of world.upstreams.slice(-3)) upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  for (const other of others) expect(other.text()).toContain("200 OK");
});

test("one that closes now and then, and is reused between, keeps its connections", () => {
  for (let round = 0; round < 6; round += 1) {
    const upstream = exchange();
    expect(exchange()).toBe(upstream);
    upstream.end();
    world.pass(150);
  }
  expect(exchange().closedBy).toBeUndefined();
});

test("a restart, which closes all at once, teaches nothing", () => {
  const other = world.accept();
  client.send(POST);
  other.send(POST);
  const pair = world.upstreams.slice();
  expect(pair).toHaveLength(2);
  for (const upstream of pair) upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  client.read();
  world.pass(400);
  for (const upstream of pair) upstream.end();
  const next = exchange();
  world.pass(2_900);
  expect(next.closedBy).toBeUndefined();
});

test("the announced time is believed, both shorter and longer than ours", () => {
  const short = exchange("keep-alive: timeout=1\r\n");
  world.pass(760);
  expect(short.closedBy).toBe("end");
  const long = exchange("Keep-Alive: max=100, timeout=9\r\n");
  world.pass(2_900);
  expect(long.closedBy).toBeUndefined();
  const longer = exchange("Keep-Alive: timeout=20, max=100\r\n");
  world.pass(18_900);
  expect(longer.closedBy).toBeUndefined();
  world.pass(200);
  expect(longer.closedBy).toBe("end");
});

test("nothing is said: three seconds", () => {
  const upstream = exchange();
  world.pass(2_990);
  expect(upstream.closedBy).toBeUndefined();
  world.pass(20);
  expect(upstream.closedBy).toBe("end");
});

test("another instance in the same place is learned anew", () => {
  closeAfter(exchange(), 1_000);
  closeAfter(exchange(), 1_000);
  world.load("services: {web: {protocol: http, instances: [{id: b, address: 10.0.0.2:80}]}}");
  const upstream = exchange();
  world.pass(1_500);
  expect(upstream.closedBy).toBeUndefined();
});
