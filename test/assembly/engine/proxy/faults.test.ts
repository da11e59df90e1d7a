// Goal: what fuzzed conversations (test/fuzz) and reading with bad intentions found, one test for each.
// Method: a world of virtual sockets; the turn ends as the pump ends it, so what the engine forgets to say is missed.

import { expect, test } from "vitest";
import { COUNTER_CONNECTIONS } from "../../../../assembly/abi/balancer-codes.ts";
import { RECORDS_MAX } from "../../../../assembly/abi/engine-memory.ts";
import { LISTENER_OUTBOUND, SOCKET_REFUSED } from "../../../../assembly/abi/engine-records.ts";
import { ANSWERED_GRACE_MS } from "../../../../assembly/abi/limits.ts";
import * as h2 from "../../../support/frames.ts";
import { createWorld, type Wire, type World } from "../../../support/world.ts";

const ONE = (more = "", protocol = "http") =>
  `services: {web: {protocol: ${protocol}, ${more} instances: [{id: a, address: 10.0.0.1:80}]}}`;
const TWO = (more = "", protocol = "http") =>
  `services: {web: {protocol: ${protocol}, balance: {policy: round-robin}, ${more}
    instances: [{id: a, address: 10.0.0.1:80}, {id: b, address: 10.0.0.2:80}]}}`;
const GET = "GET / HTTP/1.1\r\nhost: web\r\n\r\n";
const GRPC = "POST / HTTP/1.1\r\nhost: web\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const WHOLE = h2.END_HEADERS | h2.END_STREAM;
const REQUEST: h2.Fields = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "web"],
];

function frames(wire: Wire, isServer: boolean): () => string[] {
  const reader = new h2.FrameReader(isServer);
  const printer = new h2.FramePrinter();
  return () => printer.print(reader.read(wire.read()));
}

/** An HTTP/2 client, and what it hears but for SETTINGS and WINDOW_UPDATE. */
function callH2(world: World, settings: [number, number][] = []): { wire: Wire; hear: () => string[] } {
  const wire = world.accept();
  const hear = frames(wire, false);
  wire.send(Buffer.concat([h2.PREFACE, h2.settings(settings), h2.settings([], h2.ACK)]));
  return { wire, hear: () => hear().filter((line) => !/^(SETTINGS|WINDOW_UPDATE)/.test(line)) };
}

test("who waits for a connection gets a new one when the old one closes, in the same turn", async () => {
  const world = await createWorld(ONE("limits: {connections: 1},"));
  const first = world.accept().send(GET);
  const second = world.accept().send(GET);
  first.destroy(); // what is to be done then is one close: nothing else brings the turn another round
  expect(world.upstreams[0]!.closedBy).toBeDefined();
  world.upstreams[1]!.send(OK);
  expect(second.text()).toContain("200 OK");
});

test("a free connection of the wrong kind makes room for the one that is waited for, and nothing spins", async () => {
  const world = await createWorld(ONE("limits: {connections: 1},"));
  const plain = world.accept().send(GET);
  const grpc = world.accept().send(GRPC); // needs HTTP/2, and one connection is all that is allowed
  world.upstreams[0]!.send(OK);
  expect(plain.text()).toContain("200 OK");
  expect(world.upstreams[0]!.closedBy).toBe("end");
  world.upstreams[1]!.send(Buffer.concat([h2.settings(), h2.headers(1, [[":status", "200"]], WHOLE)]));
  expect(grpc.text()).toContain("200 OK");
  const again = world.accept().send(GET); // and the other way round
  world.upstreams[2]!.send(OK);
  expect(again.text()).toContain("200 OK");
});

test("a limit that is reached at one instance is not the end of a request that another one has room for", async () => {
  const world = await createWorld(TWO("limits: {connections: 1},"));
  const clients = [world.accept().send(GET), world.accept().send(GET), world.accept().send(GET)];
  for (const client of clients) {
    expect(world.upstreams.length).toBe(1); // it carries them one after the other
    world.upstreams[0]!.send(OK);
    expect(client.text()).toContain("200 OK");
  }
});

test("connections at rest at one instance make room for another", async () => {
  const world = await createWorld(TWO("limits: {connections: 1},"));
  const client = world.accept();
  const slots = [0, 1, 2, 3].map((index) => {
    client.send(GET);
    world.upstreams[index]!.send(OK);
    expect(client.text()).toContain("200 OK");
    return world.upstreams[index]!.slot;
  });
  expect(slots[1]).not.toBe(slots[0]);
  expect(slots).toEqual([slots[0], slots[1], slots[0], slots[1]]); // round robin stays exact
  expect(world.upstreams.filter((wire) => wire.closedBy === undefined)).toHaveLength(1);
});

test("room that comes without a word, from another worker or a new limit, is found by who waits for it", async () => {
  const world = await createWorld(ONE("limits: {connections: 1},"));
  const first = world.accept().send(GET);
  const second = world.accept().send(GET);
  world.pass(100);
  expect(world.upstreams.length).toBe(1);
  const service = world.snapshot.services.find((one) => one.name === "web")!.index;
  world.balancer.setLimit(service, COUNTER_CONNECTIONS, 2);
  world.pass(30);
  world.upstreams[1]!.send(OK);
  expect(second.text()).toContain("200 OK");
  expect(first.text()).toBe("");
  world.upstreams[0]!.send(OK);
  expect(first.text()).toContain("200 OK");
});

test("an HTTP/2 connection whose callers left while it was opened is closed in the end", async () => {
  const world = await createWorld(ONE("", "http2"));
  world.onConnect = () => {};
  const client = world.accept().send(GET);
  client.destroy();
  world.upstreams[0]!.connect().send(h2.settings());
  world.pass(301_000);
  expect(world.upstreams[0]!.closedBy).toBe("end");
  expect(world.engine.connectionCount()).toBe(0);
});

test("a server that reads nothing cannot hold a connection that is to be closed", async () => {
  const world = await createWorld(ONE("", "http2"));
  world.onConnect = (wire) => {
    wire.isStalled = true;
  };
  const client = callH2(world);
  client.wire.send(h2.headers(1, REQUEST, WHOLE));
  world.upstreams[0]!.connect();
  client.wire.send(h2.resetStream(1, 8));
  world.load(ONE("", "http2").replace("id: a", "id: other")); // the instance is gone: its connection is to close
  expect(world.engine.connectionCount()).toBe(2);
  world.pass(130_000);
  expect(world.upstreams[0]!.closedBy).toBe("reset");
});

test("a response that closes its connection has as long as it needs while its client reads", async () => {
  const world = await createWorld(ONE());
  const client = world.accept().send("GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n");
  client.isStalled = true;
  world.upstreams[0]!.send(OK);
  world.pass(15_000); // the periodic look at every client's connection falls into this
  expect(client.closedBy).toBeUndefined();
  client.resume();
  expect(client.text()).toMatch(/ok$/);
  expect(client.closedBy).toBe("end");
});

test("a connection accepted while we drain says so in its first answer", async () => {
  const world = await createWorld(ONE());
  world.engine.drain(world.nowUs);
  const client = world.accept().send(GET);
  world.upstreams[0]!.send(OK);
  expect(client.text()).toContain("connection: close");
  expect(client.closedBy).toBe("end");
  const caller = callH2(world);
  expect(caller.hear()).toEqual(["GOAWAY NO_ERROR last=2147483647"]);
  world.pass(1_100);
  expect(caller.wire.closedBy).toBe("end");
});

test("between the two steps of a drain the last answer does not close the connection", async () => {
  const world = await createWorld(ONE("", "http2"));
  const caller = callH2(world);
  caller.wire.send(h2.headers(1, REQUEST, WHOLE));
  const callee = world.upstreams[0]!.send(h2.settings());
  world.engine.drain(world.nowUs);
  world.turn();
  callee.send(h2.headers(1, [[":status", "200"]], WHOLE));
  expect(caller.hear()).toEqual(["GOAWAY NO_ERROR last=2147483647", "HEADERS 1 ES | :status 200"]);
  caller.wire.send(h2.headers(3, REQUEST, WHOLE)); // was on its way when the notice came
  callee.send(h2.headers(3, [[":status", "201"]], WHOLE));
  expect(caller.hear()).toEqual(["HEADERS 3 ES | :status 201"]);
  world.pass(1_100);
  expect(caller.hear()).toEqual(["GOAWAY NO_ERROR last=3"]);
  expect(caller.wire.closedBy).toBe("end");
});

test("a client that stalls during a drain is cut off like any other", async () => {
  const world = await createWorld(ONE());
  const client = world.accept().send(GET);
  client.isStalled = true;
  world.upstreams[0]!.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe");
  world.engine.drain(world.nowUs);
  world.turn();
  world.pass(80_000);
  expect(client.closedBy).toBe("reset");
});

test("a response that was received whole is not lost with its connection, however slow its reader", async () => {
  const world = await createWorld(ONE("", "http2"));
  const caller = callH2(world, [[4, 0]]);
  caller.wire.send(h2.headers(1, REQUEST, WHOLE));
  const callee = world.upstreams[0]!.send(h2.settings());
  callee.send(
    Buffer.concat([h2.headers(1, [[":status", "200"]]), h2.data(1, "all of it", h2.END_STREAM), h2.goaway(1, 0)]),
  );
  callee.destroy();
  expect(caller.hear()).toEqual(["HEADERS 1 | :status 200"]);
  caller.wire.send(h2.windowUpdate(1, 100));
  expect(caller.hear()).toEqual(['DATA 1 ES "all of it"']);
  expect([world.engine.exchangeCount(), world.engine.streamCount()]).toEqual([0, 0]);
});

test("RST_STREAM NO_ERROR behind an early answer takes nothing of it back (RFC 9113 §8.1)", async () => {
  const world = await createWorld(ONE("", "http2"));
  const caller = callH2(world, [[4, 0]]);
  caller.wire.send(h2.headers(1, [[":method", "POST"], ...REQUEST.slice(1)]));
  const callee = world.upstreams[0]!.send(h2.settings());
  callee.send(
    Buffer.concat([h2.headers(1, [[":status", "413"]]), h2.data(1, "too much", h2.END_STREAM), h2.resetStream(1, 0)]),
  );
  caller.wire.send(h2.windowUpdate(1, 100));
  expect(caller.hear()).toEqual(["HEADERS 1 | :status 413", 'DATA 1 ES "too much"']);
  caller.wire.send(h2.data(1, "more"));
  world.pass(ANSWERED_GRACE_MS + 10);
  expect(caller.hear()).toEqual(["RST_STREAM 1 NO_ERROR"]);
});

test("a POST that was handed to the socket may be with the server: it is never sent again", async () => {
  const world = await createWorld(TWO());
  world.onConnect = (wire) => {
    wire.isStalled = true; // the kernel takes a part, which nobody hears of
  };
  const client = world.accept().send("POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 4\r\n\r\nbody");
  world.upstreams[0]!.connect().destroy();
  world.pass(1_000);
  expect(world.asked.length).toBe(1);
  expect(client.text()).toContain("x-pillion-reason: upstream-reset");
});

test("a POST that is sent elsewhere is not written behind a server's FIN as well", async () => {
  const world = await createWorld(TWO("", "http2"));
  const post = Buffer.from("POST /again HTTP/1.1\r\nhost: web\r\ncontent-length: 4\r\n\r\nbody");
  world.accept().send(GET);
  const first = world.upstreams[0]!.send(h2.settings());
  world.accept().send(GET); // in turn: the other instance
  const second = world.upstreams[1]!.send(h2.settings());
  const [hearFirst, hearSecond] = [frames(first, true), frames(second, true)];
  hearFirst();
  hearSecond();
  first.isStalled = true;
  first.send(h2.ping()); // its answer is what the kernel does not take
  world.accept().send(post); // waits behind that
  first.end(); // the server says no more, but reads on
  first.isStalled = false;
  world.takeWrites(first);
  world.turn();
  world.pass(100);
  expect(hearFirst().join("\n")).not.toContain("/again");
  expect(hearSecond().join("\n")).toContain("/again");
});

test("a 2xx of an app that did not switch is no consent to an extended CONNECT", async () => {
  const world = await createWorld(ONE());
  const caller = callH2(world);
  const fields: h2.Fields = [
    [":method", "CONNECT"],
    [":protocol", "websocket"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "web"],
  ];
  caller.wire.send(h2.headers(1, fields));
  world.upstreams[0]!.send(OK);
  expect(caller.hear()[0]).toMatch(/^HEADERS 1 \| :status 502 .*x-pillion-reason upstream-protocol/);
});

test("what is reported of a socket that is gone means nothing, in its last turn too", async () => {
  const world = await createWorld(ONE());
  const client = world.accept(LISTENER_OUTBOUND).send(GET);
  const { engine, nowUs } = world;
  const server = world.upstreams[0]!;
  engine.closed(server.handle, 0, nowUs);
  world.wires.delete(server.handle);
  engine.written(server.handle, 10, nowUs);
  engine.receive(server.handle, 10, nowUs);
  engine.ended(server.handle, nowUs);
  engine.connected(server.handle, nowUs);
  world.turn();
  client.destroy();
  expect([engine.exchangeCount(), engine.streamCount()]).toEqual([0, 0]);
});

test("a long body that nobody has been sent is sent to the other instance when a connect fails", async () => {
  const world = await createWorld(TWO());
  world.onConnect = () => {};
  const body = "b".repeat(70_000); // more than bodyLimit: not kept once it is sent
  const client = world.accept().send(`POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 70000\r\n\r\n${body}`);
  world.upstreams[0]!.destroy(SOCKET_REFUSED);
  const second = world.upstreams[1]!.connect();
  expect(second.text().endsWith(`\r\n\r\n${body}`)).toBe(true);
  second.send(OK);
  expect(client.text()).toContain("200 OK");
});

test("a client that sends half a preface has no more time than one that sends half a head", async () => {
  const world = await createWorld(ONE());
  const [preface, settings] = [world.accept(), world.accept()];
  preface.send(h2.PREFACE.subarray(0, 10));
  settings.send(h2.PREFACE);
  world.pass(10_100);
  expect([preface.closedBy, settings.closedBy]).toEqual(["end", "end"]);
  const good = callH2(world);
  world.pass(60_000);
  expect(good.wire.closedBy).toBeUndefined();
});

test("more records than one poll has room for: nobody is left out", async () => {
  const world = await createWorld(ONE());
  const clients = Array.from({ length: RECORDS_MAX + 500 }, () => world.accept());
  const request = Buffer.from(GET.replace("web", "nobody"));
  for (const client of clients) world.receive(client, request);
  world.turn();
  expect(clients.filter((client) => !client.text().startsWith("HTTP/1.1 404 ")).length).toBe(0);
});

test("time that passes in one leap, longer than the timing wheel, neither loses nor hastens a timer", async () => {
  const world = await createWorld(ONE("timeout: {request: 17s},"));
  world.nowUs += 3_600_000_000; // nothing was armed: nobody asked for the time
  const client = world.accept().send(GET);
  world.pass(16_900);
  expect(client.text()).toBe("");
  world.nowUs += 3_600_000_000; // the process was stopped
  world.pass(10);
  expect(client.text()).toContain("x-pillion-reason: request-timeout");
});

test("a handle that comes round again after all generations is a connection like any other", async () => {
  const world = await createWorld(ONE());
  const first = world.accept();
  first.destroy();
  let again = world.accept();
  for (let count = 0; again.handle !== first.handle; count += 1) {
    expect(count).toBeLessThan(20_000);
    again.destroy();
    again = world.accept();
  }
  again.send(GET);
  world.upstreams[0]!.send(OK);
  expect(again.text()).toContain("200 OK");
});
