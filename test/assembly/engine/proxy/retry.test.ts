// Goal: which failed attempts are tried again, and which are never (DESIGN §5).
// Method: two instances behind virtual sockets; every server is written by hand and counts what it is asked to do.

import { beforeEach, expect, test } from "vitest";
import { SOCKET_REFUSED } from "../../../../assembly/abi/engine-records.ts";
import * as h2 from "../../../support/frames.ts";
import { createWorld, type Wire, type World } from "../../../support/world.ts";

const TWO = (protocol: string, more = "") => `
services:
  web:
    protocol: ${protocol}
    balance: {policy: round-robin}
    ${more}
    instances: [{id: a, address: 10.0.0.1:80}, {id: b, address: 10.0.0.2:80}]
`;
const GET = "GET / HTTP/1.1\r\nhost: web\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 4\r\n\r\nbody";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

let world: World;
beforeEach(async () => {
  world = await createWorld(TWO("http"));
});

/** The far side of an HTTP/2 upstream wire: says its SETTINGS, reads frames. */
function serveH2(wire: Wire): { frames: () => h2.Frame[]; say: (...frames: Buffer[]) => void } {
  const reader = new h2.FrameReader(true);
  wire.send(h2.settings());
  return { frames: () => reader.read(wire.read()), say: (...frames) => wire.send(Buffer.concat(frames)) };
}

test("a refused connect goes to the other instance at once, for any method", () => {
  world.onConnect = () => {};
  const client = world.accept().send(POST);
  world.upstreams[0]!.destroy(SOCKET_REFUSED);
  const second = world.upstreams[1]!.connect();
  expect(second.slot).not.toBe(world.upstreams[0]!.slot);
  expect(second.text()).toContain("\r\n\r\nbody");
  second.send(OK);
  expect(client.text()).toContain("200 OK");
});

test("no instance accepts: 503 connect-failed, after as many attempts as the policy allows", () => {
  world.onConnect = () => {};
  const client = world.accept().send(GET);
  for (let index = 0; index < 9; index += 1) {
    world.upstreams[index]?.destroy(SOCKET_REFUSED);
    world.pass(300); // the backoff before a third attempt; and visits
  }
  const answer = client.text();
  expect(answer).toMatch(/^HTTP\/1\.1 503 /);
  expect(answer).toContain("x-pillion-reason: connect-failed");
  expect(JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4)).error.attempts).toBe(3);
});

test("a GET whose connection closes before the response head is tried on the other instance", () => {
  const client = world.accept().send(GET);
  world.upstreams[0]!.destroy();
  world.pass(300);
  const second = world.upstreams[1]!;
  expect(second.slot).not.toBe(world.upstreams[0]!.slot);
  expect(second.text()).toContain("GET / HTTP/1.1");
  second.send(OK);
  expect(client.text()).toContain("200 OK");
});

test("a POST that may have been processed is never sent twice", () => {
  const client = world.accept().send(POST);
  expect(world.upstreams[0]!.text()).toContain("body");
  world.upstreams[0]!.destroy();
  world.pass(1_000);
  expect(world.asked.length).toBe(1);
  expect(client.text()).toContain("x-pillion-reason: upstream-reset");
});

test("a POST with an idempotency-key is", () => {
  const client = world.accept().send(POST.replace("content-length", "idempotency-key: k1\r\ncontent-length"));
  world.upstreams[0]!.destroy();
  world.pass(300);
  world.upstreams[1]!.send(OK);
  expect(client.text()).toContain("200 OK");
});

test("a POST of which no byte was handed to the socket is sent elsewhere", async () => {
  world = await createWorld(TWO("http2"));
  world.onConnect = () => {};
  const early = world.accept().send(POST);
  const first = world.upstreams[0]!.connect();
  first.isStalled = true; // it speaks, and what it is asked then stays in flight
  serveH2(first);
  const other = world.accept().send(POST); // in turn: the other instance
  const second = serveH2(world.upstreams[1]!.connect());
  const late = world.accept().send(POST); // the first one again, behind what its socket has not taken
  first.destroy();
  second.say(h2.headers(1, [[":status", "201"]], h2.END_HEADERS | h2.END_STREAM));
  second.say(h2.headers(3, [[":status", "202"]], h2.END_HEADERS | h2.END_STREAM));
  expect(early.text()).toContain("x-pillion-reason: upstream-reset");
  expect(other.text()).toContain("201 Created");
  expect(late.text()).toContain("202 Accepted");
});

test("a body longer than bodyLimit is not kept: the failure is told, and nothing is sent twice", () => {
  const client = world
    .accept()
    .send(`PUT / HTTP/1.1\r\nhost: web\r\ncontent-length: 70000\r\n\r\n${"b".repeat(70_000)}`);
  world.upstreams[0]!.destroy();
  world.pass(1_000);
  expect(world.asked.length).toBe(1);
  expect(client.text()).toContain("x-pillion-reason: upstream-reset");
});

test("503 of an idempotent request is tried elsewhere, of a POST it is passed on", () => {
  const client = world.accept().send(GET);
  world.upstreams[0]!.send("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
  world.pass(300);
  world.upstreams[1]!.send(OK);
  expect(client.text()).toContain("200 OK");
  client.send(POST);
  const busy = world.upstreams.findLast((wire) => wire.text().includes("POST"))!;
  busy.send("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
  expect(client.text()).toContain("503 Service Unavailable");
});

test("REFUSED_STREAM is proof: even a POST is sent to the other instance", async () => {
  world = await createWorld(TWO("http2"));
  const client = world.accept().send(POST);
  serveH2(world.upstreams[0]!).say(h2.resetStream(1, 7));
  const second = serveH2(world.upstreams[1]!);
  const sent = second.frames();
  expect(sent.filter((frame) => frame.type === h2.DATA).map((frame) => frame.payload.toString())).toEqual(["body"]);
  second.say(h2.headers(1, [[":status", "200"]], h2.END_HEADERS | h2.END_STREAM));
  expect(client.text()).toContain("200 OK");
});

test("a stream above GOAWAY's last id is proof; one below it stays", async () => {
  world = await createWorld(`services: {web: {protocol: http2, instances: [{id: a, address: 10.0.0.1:80}]}}`);
  const clients = [world.accept().send(POST), world.accept().send(POST)];
  const first = serveH2(world.upstreams[0]!);
  first.say(h2.goaway(1, 0));
  expect(world.upstreams.length).toBe(2);
  serveH2(world.upstreams[1]!).say(h2.headers(1, [[":status", "201"]], h2.END_HEADERS | h2.END_STREAM));
  first.say(h2.headers(1, [[":status", "200"]], h2.END_HEADERS | h2.END_STREAM));
  expect(clients.map((client) => client.text().slice(9, 12))).toEqual(["200", "201"]);
  expect(world.upstreams[0]!.closedBy).toBe("end");
});

test("the budget bounds retries when everything fails", async () => {
  world = await createWorld(TWO("http", "retry: {attempts: 2, budget: {ratio: 0.2, minimumPerSecond: 0}}"));
  let attempts = 0;
  for (let index = 0; index < 200; index += 1) {
    world.accept().send(GET);
    while (attempts < world.upstreams.length) {
      world.upstreams[attempts]!.destroy();
      attempts += 1;
      world.pass(60); // longer than two backoffs
    }
  }
  expect(world.asked.length).toBe(200 + 200 * 0.2);
  expect(world.engine.exchangeCount()).toBe(0);
});

/** Two instances of a kind, a POST on the first, which answers it with the mark; what the client hears in the end. */
async function answerWithMark(more: string, meanwhile: (world: World) => void): Promise<Wire> {
  const instances = [1, 2].map((index) => `{id: i${index}, address: "10.0.0.${index}:80", ${more}}`);
  const yaml = `services: {web: {protocol: http2, balance: {policy: round-robin}, instances: [${instances}]}}`;
  const marked = await createWorld(yaml);
  const client = marked.accept().send(POST);
  const refusing = serveH2(marked.upstreams[0]!);
  refusing.frames();
  meanwhile(marked);
  const fields: h2.Fields = [
    [":status", "503"],
    ["x-pillion-unprocessed", "1"],
  ];
  refusing.say(h2.headers(1, fields, h2.END_HEADERS | h2.END_STREAM));
  const serving = marked.upstreams[1];
  if (serving !== undefined) {
    const server = serveH2(serving);
    server.frames();
    server.say(h2.headers(1, [[":status", "200"]], h2.END_HEADERS | h2.END_STREAM));
  }
  return client;
}

test("a sidecar's mark that its app saw nothing: even a POST goes elsewhere", async () => {
  const client = await answerWithMark("sidecar: true", () => {});
  expect(client.text()).toMatch(/^HTTP\/1\.1 200 /);
});

test("the mark is believed although the sidecar has left the mesh meanwhile", async () => {
  const client = await answerWithMark("sidecar: true", (world) => {
    const slot = world.upstreams[0]!.slot;
    const left = [1, 2].filter((index) => world.nameOf(slot ?? 0) !== `web/i${index}`);
    world.load(
      `services: {web: {protocol: http2, instances: [{id: i${left}, address: "10.0.0.${left}:80", sidecar: true}]}}`,
    );
  });
  expect(client.text()).toMatch(/^HTTP\/1\.1 200 /);
});

test("an app's mark is not believed, nor passed on", async () => {
  const client = await answerWithMark("sidecar: false", () => {});
  const text = client.text();
  expect(text).toMatch(/^HTTP\/1\.1 503 /);
  expect(text).not.toContain("unprocessed");
});
