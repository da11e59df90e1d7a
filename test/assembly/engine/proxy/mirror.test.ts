// Goal: a copy goes to the mirrored service when a request is whole, and nobody else ever notices it.
// Method: the virtual world; the two services' wires are told apart by name, the mirrored one answers, fails or hangs.

import { beforeAll, expect, test } from "vitest";
import { REASON_UPSTREAM_RESET } from "../../../../assembly/abi/engine-codes.ts";
import { PROCESS_CELLS, SERVICE_CELLS, SERVICE_REASON_CELLS } from "../../../../assembly/abi/metrics.ts";
import * as h2 from "../../../support/frames.ts";
import { prepareWorlds, type Wire, type World, type WorldMaker } from "../../../support/world.ts";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const GET = "GET /a?b=c HTTP/1.1\r\nhost: web.example\r\nx-tag: t\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nhost: web.example\r\ncontent-length: 8\r\n\r\n";

let make: WorldMaker;
beforeAll(async () => {
  make = await prepareWorlds();
});

function worldOf(parts: Parameters<typeof meshOf>[0] = {}): World {
  return make(meshOf(parts));
}

function meshOf({ mirror = "{service: next}", web = "", next = "", second = "", rule = "" }): string {
  return `
services:
  web: {${web} instances: [{id: a, address: 10.0.0.1:80}]}
  next: {${next} instances: [{id: n, address: 10.0.0.2:80}${second}]}
routes:
  all: {rules: [{to: [{service: web}]${mirror === "" ? "" : `, mirror: ${mirror}`}${rule}}]}
`;
}

/** Wires by service, in the order in which they are opened. */
function wiresOf(world: World): { web: Wire[]; next: Wire[] } {
  const wires = { web: [] as Wire[], next: [] as Wire[] };
  const connect = world.onConnect;
  world.onConnect = (wire, name) => {
    wires[name.split("/")[0] as "web" | "next"].push(wire);
    connect(wire, name);
  };
  return wires;
}

/** Requests of a service that ended with a reason. */
function endsOf(world: World, name: string, reason: number): number {
  const { index } = world.snapshot.services.find((one) => one.name === name && one.direction === "outbound")!;
  return world.balancer.counters.cellOf(PROCESS_CELLS + index * SERVICE_CELLS + SERVICE_REASON_CELLS + reason);
}

test("the copy has the head, the body and a mark; its answer goes nowhere", () => {
  const world = worldOf();
  const { web, next } = wiresOf(world);
  const client = world.accept().send(POST);
  client.send("body");
  expect(next).toEqual([]); // not whole yet
  client.send("more");
  const original = web[0]!.text();
  const copy = next[0]!.text();
  const linesOf = (text: string) => text.split("\r\n").sort();
  expect(linesOf(copy)).toEqual([...linesOf(original), "x-pillion-mirror: 1"].sort());
  expect(copy).toContain("\r\nhost: web.example\r\n");
  expect(copy.endsWith("\r\n\r\nbodymore")).toBe(true);
  next[0]!.send("HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n");
  next[0]!.send("HTTP/1.1 500 Oops\r\ncontent-length: 5\r\n\r\nwrong");
  expect(client.text()).toBe("");
  web[0]!.send(OK);
  expect(client.text()).toMatch(/^HTTP\/1.1 200 [\s\S]*ok$/);
  expect(world.engine.exchangeCount()).toBe(0);
  // Both connections serve the next ones.
  client.send(GET);
  expect([web.length, next.length]).toEqual([1, 1]);
  expect(next[0]!.text()).toMatch(/^GET \/a\?b=c HTTP\/1.1[\s\S]*x-pillion-mirror: 1/);
});

test("a copy that fails, hangs or cannot be sent changes nothing for the caller, and is not retried", () => {
  const world = worldOf({ second: ", {id: m, address: 10.0.0.3:80}" });
  const { web, next } = wiresOf(world);
  const client = world.accept().send(GET);
  next[0]!.destroy();
  world.pass(1_000);
  expect(next.filter(({ isAsked }) => isAsked).length).toBe(1);
  web[0]!.send(OK);
  expect(client.text()).toContain("200 OK");
  expect(endsOf(world, "next", REASON_UPSTREAM_RESET)).toBe(1);
  client.send(GET);
  web[0]!.send(OK);
  expect(client.text()).toContain("200 OK");
  expect(world.engine.exchangeCount()).toBe(1); // the copy waits for its answer
  world.pass(15_100);
  expect(world.engine.exchangeCount()).toBe(0);
  expect(world.logs).toEqual([]);
});

test("a client that gives up ends its own request, not the copy", () => {
  const world = worldOf();
  const { next } = wiresOf(world);
  world.accept().send(GET).destroy();
  expect(world.engine.exchangeCount()).toBe(1);
  next[0]!.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n");
  expect(world.engine.exchangeCount()).toBe(1);
  next[0]!.send("0\r\n\r\n");
  expect(world.engine.exchangeCount()).toBe(0);
});

test("the mirrored service's limit holds for copies", () => {
  const world = worldOf({ next: "limits: {requests: 1}," });
  const { web, next } = wiresOf(world);
  const [one, two] = [world.accept().send(GET), world.accept().send(GET)];
  expect([web.length, next.length]).toEqual([2, 1]);
  for (const wire of web) wire.send(OK);
  expect([one.text(), two.text()]).toEqual([expect.stringContaining("200"), expect.stringContaining("200")]);
  expect(world.engine.exchangeCount()).toBe(1);
});

test("what is not whole is not copied: a body that is too long, or answered before its end; an upgrade", () => {
  const world = worldOf({ web: "retry: {attempts: 0, bodyLimit: 4}," });
  const { web, next } = wiresOf(world);
  world.accept().send(`${POST}bodymore`);
  const early = world.accept().send(POST);
  web[1]!.send(OK);
  early.send("bodymore");
  world.accept().send("GET / HTTP/1.1\r\nhost: web.example\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
  expect([web.length, next.length]).toEqual([3, 0]);
  // Without retries a short body is kept for the copy alone.
  world.accept().send(POST.replace("8", "4")).send("body");
  expect(next[0]!.text()).toMatch(/\r\n\r\nbody$/);
});

test("a share of the requests is copied, and nothing any more after a new document", () => {
  const world = worldOf({ mirror: "{service: next, share: 0.25}" });
  let copies = 0;
  const seen = wiresOf(world);
  for (let round = 0; round < 200; round += 1) {
    const before = seen.next.length;
    const client = world.accept().send(GET);
    if (seen.next.length > before) copies += 1;
    client.destroy();
    for (const wire of [...seen.web, ...seen.next]) if (wire.closedBy === undefined) wire.destroy();
    world.pass(1_000);
  }
  // Five standard deviations around 50, by a generator with a fixed seed.
  expect(Math.abs(copies - 50)).toBeLessThan(31);
  world.load(meshOf({ mirror: "" }), { revision: 2 });
  const before = seen.next.length;
  for (let round = 0; round < 20; round += 1) world.accept().send(GET);
  expect(seen.next.length).toBe(before);
});

test("gRPC: the copy has a deadline of its own; the trailers of its answer end it", () => {
  const world = worldOf({ web: "protocol: grpc,", next: "protocol: grpc, timeout: {request: 30s}," });
  const { web, next } = wiresOf(world);
  const caller = world.accept().send(Buffer.concat([h2.PREFACE, h2.settings()]));
  const call: h2.Fields = [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", "/a.B/C"],
    [":authority", "web.example"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
    ["grpc-timeout", "5S"],
  ];
  caller.send(Buffer.concat([h2.headers(1, call)]));
  web[0]!.send(h2.settings());
  world.pass(4_950); // what is left has fewer digits than what the copy is given
  caller.send(h2.data(1, "message", h2.END_STREAM));
  next[0]!.send(h2.settings());
  const reader = new h2.FrameReader(true);
  const printer = new h2.FramePrinter();
  const lines = printer.print(reader.read(next[0]!.read()).filter(({ id }) => id === 1));
  expect(lines[0]).toMatch(/x-pillion-mirror 1/);
  expect(lines[0]).toMatch(/grpc-timeout 30000000u/);
  expect(lines[1]).toBe('DATA 1 ES "message"');
  next[0]!.send(Buffer.concat([h2.headers(1, [[":status", "200"]]), h2.headers(1, [["grpc-status", "13"]], 5)]));
  expect(world.engine.exchangeCount()).toBe(1); // the original
  expect(caller.closedBy).toBeUndefined();
});

test("nothing is copied of what a fault aborts", () => {
  const world = worldOf({ rule: ", fault: {delay: {share: 1, duration: 1s}, abort: {share: 1}}" });
  world.accept().send(GET);
  world.pass(2_000);
  expect(world.upstreams).toEqual([]);
});
