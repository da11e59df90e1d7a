// Goal: HTTP/1.1 through the engine: what goes upstream, what comes back, what happens to the connection.
// Method: a world of virtual sockets (test/support/world.ts); both ends are written by hand.

import { expect, test } from "vitest";
import * as h2 from "../../../support/frames.ts";
import { createWorld, type World } from "../../../support/world.ts";

const ONE = "services: {web: {protocol: http, instances: [{id: a, address: 10.0.0.1:80}]}}";
const GET = "GET /x?y=1 HTTP/1.1\r\nhost: web\r\n\r\n";

function upstream(world: World, index = 0) {
  const wire = world.upstreams[index];
  if (wire === undefined) throw new Error(`no upstream connection ${index}`);
  return wire;
}

test("a request and its response", async () => {
  const world = await createWorld(ONE);
  const client = world.accept().send(GET);
  const sent = upstream(world).text();
  expect(sent).toMatch(/^GET \/x\?y=1 HTTP\/1\.1\r\nhost: web\r\n/);
  expect(sent).toContain("x-forwarded-for: 10.0.0.9\r\n");
  expect(sent).toMatch(/x-request-id: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\r\n/);
  expect(sent).toMatch(/traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-00\r\n/);
  upstream(world).send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: b\r\n\r\nhello");
  expect(client.text()).toBe("HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 5\r\n\r\nhello");
  expect(world.engine.exchangeCount()).toBe(0);
  expect(world.engine.streamCount()).toBe(0);
});

test("the upstream connection is used again, and closed after 3 s of rest", async () => {
  const world = await createWorld(ONE);
  const client = world.accept();
  for (let index = 0; index < 3; index += 1) {
    client.send(GET);
    upstream(world).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  }
  expect(world.upstreams.length).toBe(1);
  world.pass(2_900);
  expect(upstream(world).closedBy).toBeUndefined();
  world.pass(200);
  expect(upstream(world).closedBy).toBe("end");
});

test.each([
  ["", 1],
  ["content-length: 0\r\n", 1],
  ["content-length: 5\r\n", 2],
  ["transfer-encoding: chunked\r\n", 2],
])(
  "a 204 with %j: passed on bare, and no request stands behind a body that it may have",
  async (field, connections) => {
    const world = await createWorld(ONE);
    const client = world.accept().send(GET);
    upstream(world).send(`HTTP/1.1 204 No Content\r\n${field}\r\n`);
    expect(client.text()).toBe("HTTP/1.1 204 No Content\r\n\r\n");
    client.send(GET);
    expect(world.upstreams.length).toBe(connections);
  },
);

test("pipelined requests are executed one at a time and answered in order", async () => {
  const world = await createWorld(ONE);
  const client = world.accept().send(GET + GET.replace("/x", "/second"));
  expect(upstream(world).text()).toContain("GET /x?y=1");
  expect(world.upstreams.length).toBe(1);
  upstream(world).send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1");
  expect(upstream(world).text()).toContain("GET /second?y=1");
  upstream(world).send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2");
  expect(
    client
      .text()
      .match(/\r\n\r\n./g)
      ?.map((end) => end.at(-1)),
  ).toEqual(["1", "2"]);
});

test("an own answer names its reason and what to do", async () => {
  const world = await createWorld(ONE);
  const client = world.accept().send(GET.replace("host: web", "host: nobody"));
  const answer = client.text();
  expect(answer).toMatch(/^HTTP\/1\.1 404 /);
  expect(answer).toContain("x-pillion-reason: no-route\r\n");
  expect(JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4)).error.reason).toBe("no-route");
  client.send(GET); // the connection lives on
  expect(upstream(world).text()).toContain("GET /x?y=1");
});

test("HTTP/1.0 need not name a host: the server is told the service's name, in either version", async () => {
  const any = 'routes: {any: {hosts: ["*"], rules: [{to: [{service: web}]}]}}';
  for (const host of ["", "host:\r\n"]) {
    const first = await createWorld(`${ONE}\n${any}`);
    first.accept().send(`GET /x HTTP/1.0\r\n${host}\r\n`);
    expect(upstream(first).text()).toMatch(/^GET \/x HTTP\/1\.1\r\nhost: web\r\n/);
    const second = await createWorld(`${ONE.replace("http,", "http2,")}\n${any}`);
    second.accept().send(`GET /x HTTP/1.0\r\n${host}\r\n`);
    const frames = new h2.FrameReader(true).read(upstream(second).send(h2.settings()).read());
    expect(new h2.FramePrinter().print(frames).join("\n")).toContain(":path /x | :authority web |");
  }
});

test("a request that nobody may forward is refused and the connection closed", async () => {
  const world = await createWorld(ONE);
  const client = world.accept().send("GET /x HTTP/1.1\r\nhost: web\r\nhost: web\r\n\r\n");
  expect(client.text()).toMatch(/^HTTP\/1\.1 400 [\s\S]*connection: close\r\n/);
  expect(client.isEnded).toBe(true);
  client.end();
  expect(client.closedBy).toBe("end");
  expect(world.upstreams.length).toBe(0);
});

test("a response cut short is never a clean end", async () => {
  const world = await createWorld(ONE);
  const client = world.accept().send(GET);
  upstream(world).send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhell").destroy();
  expect(client.closedBy).toBe("reset");
  const second = world.accept().send(GET);
  upstream(world, 1).send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhell\r\n").end();
  expect(second.text()).not.toContain("\r\n0\r\n");
  expect(second.closedBy).toBe("reset");
  expect(world.engine.exchangeCount()).toBe(0);
});

test("an early answer closes both sides, and nothing of the unread body is taken for a request", async () => {
  const world = await createWorld(ONE);
  const client = world.accept().send("POST /x HTTP/1.1\r\nhost: web\r\ncontent-length: 100\r\n\r\npart");
  upstream(world).send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n");
  expect(client.text()).toMatch(/^HTTP\/1\.1 413 [\s\S]*connection: close/);
  client.send(GET);
  expect(world.upstreams.length).toBe(1);
  expect(upstream(world).closedBy).toBeDefined();
});

test("a slow client pauses the server, not the engine's memory", async () => {
  const world = await createWorld(ONE);
  const client = world.accept().send(GET);
  client.isStalled = true;
  const server = upstream(world).send("HTTP/1.1 200 OK\r\ncontent-length: 40000000\r\n\r\n");
  const piece = Buffer.alloc(65_536, 97);
  let sent = 0;
  while (!server.isPaused && sent < 40_000_000) {
    server.send(piece);
    sent += piece.length;
  }
  expect(sent).toBeLessThan(1_000_000);
  const held = world.engine.poolUsed();
  client.resume();
  expect(server.isPaused).toBe(false);
  expect(world.engine.poolUsed()).toBeLessThan(held);
});

test("a head that does not arrive in time is answered 408, counted from its first byte", async () => {
  const world = await createWorld(ONE);
  const client = world.accept().send(GET);
  upstream(world).send("HTTP/1.1 204 No Content\r\n\r\n");
  client.text();
  world.pass(30_000); // idle between two requests: nothing is late
  client.send("GET /slow HTTP/1.1\r\nhost:");
  world.pass(9_000);
  client.send(" web\r\nx");
  world.pass(900);
  expect(client.text()).toBe("");
  world.pass(200);
  expect(client.text()).toMatch(/^HTTP\/1\.1 408 [\s\S]*x-pillion-reason: request-header-timeout/);
  world.pass(1_100);
  expect(client.closedBy).toBeDefined();
});

test("a peer that takes none of our bytes for a minute is cut off", async () => {
  const world = await createWorld(ONE);
  const client = world.accept().send(GET);
  client.isStalled = true;
  upstream(world).send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
  world.pass(50_000);
  expect(client.closedBy).toBeUndefined();
  world.pass(25_000);
  expect(client.closedBy).toBe("reset");
  expect(world.engine.connectionCount()).toBe(0);
});

test("a client that closes while it waits has given up: the server hears of it in the same turn", async () => {
  const world = await createWorld(ONE);
  const client = world.accept().send(GET);
  world.pass(150);
  client.end();
  expect(upstream(world).closedBy).toBeDefined();
  expect(world.engine.exchangeCount()).toBe(0);
  expect(world.engine.connectionCount()).toBe(0);
});

test.each([0, 90])("a client that half-closes %s ms after its request gets its answer", async (ms) => {
  const world = await createWorld(ONE);
  const client = world.accept().send(GET);
  world.pass(ms);
  client.end();
  world.pass(500);
  upstream(world).send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  expect(client.text()).toMatch(/^HTTP\/1\.1 200 [\s\S]*connection: close[\s\S]*ok$/);
  expect(client.closedBy).toBe("end");
});

test("an own answer to a request that is still arriving says that it is the last", async () => {
  const world = await createWorld(ONE.replace("protocol: http,", "retry: {attempts: 0},"));
  const client = world.accept().send("PUT / HTTP/1.1\r\nhost: web\r\ncontent-length: 9\r\n\r\npart");
  upstream(world).destroy();
  expect(client.text()).toMatch(/^HTTP\/1\.1 502 [\s\S]*connection: close/);
});

test("an answer to a body that was received but never sent on leaves the connection readable", async () => {
  const world = await createWorld(ONE.replace("protocol: http,", "protocol: http2,"));
  const client = world
    .accept()
    .send(`POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 300000\r\n\r\n${"b".repeat(300_000)}`);
  expect(client.isPaused).toBe(true); // the server's window is 64 KiB
  const answer = h2.headers(1, [[":status", "200"]], h2.END_HEADERS | h2.END_STREAM);
  upstream(world).send(Buffer.concat([h2.settings(), answer]));
  expect(client.text()).toMatch(/^HTTP\/1\.1 200 /);
  expect(client.isPaused).toBe(false);
});
