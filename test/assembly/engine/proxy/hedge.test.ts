// Goal: a slow attempt gets one other beside it, who answers first goes on, and nothing of the other is left
//       (features.md §3 row 30); never for what must not be executed twice, never beyond the budget.
// Method: two or three instances behind virtual sockets, each answered by hand; after every test all is given back.

import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { SOCKET_REFUSED } from "../../../../assembly/abi/engine-records.ts";
import {
  PROCESS_CELLS,
  SERVICE_CELLS,
  SERVICE_HEDGE_CELLS,
  SERVICE_UNHEDGED_CELLS,
} from "../../../../assembly/abi/metrics.ts";
import { HEDGE_NAMES, UNHEDGED_NAMES } from "../../../../src/telemetry/index.ts";
import * as h2 from "../../../support/frames.ts";
import { prepareWorlds, type Wire, type World, type WorldMaker } from "../../../support/world.ts";

const GET = "GET /a HTTP/1.1\r\nhost: web\r\nx-tag: t\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 4\r\n\r\nbody";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BUSY = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";
const HEDGE = "{after: 50ms, budget: 1}";
const COUNTERS = [0, 1, 2];

let make: WorldMaker;
let world: World;
beforeAll(async () => {
  make = await prepareWorlds();
});

interface Parts {
  readonly hedge?: string;
  readonly web?: string;
  readonly instances?: number;
}

function meshOf({ hedge = HEDGE, web = "", instances = 2 }: Parts): string {
  const list = Array.from({ length: instances }, (_, index) => `{id: i${index}, address: 10.0.0.${index + 1}:80}`);
  return `
services:
  web:
    balance: {policy: round-robin}
    hedge: ${hedge}
    ${web}
    instances: [${list.join(", ")}]
`;
}

function start(parts: Parts = {}): World {
  world = make(meshOf(parts));
  return world;
}

function cellsOf(names: readonly string[], base: number): Record<string, number> {
  const { index } = world.snapshot.services.find((one) => one.name === "web")!;
  const first = PROCESS_CELLS + index * SERVICE_CELLS + base;
  const values = names.map((name, code) => [name, world.balancer.counters.cellOf(first + code)] as const);
  return Object.fromEntries(values.filter(([, value]) => value > 0));
}
const hedges = () => cellsOf(HEDGE_NAMES, SERVICE_HEDGE_CELLS);
const unhedged = () => cellsOf(UNHEDGED_NAMES, SERVICE_UNHEDGED_CELLS);

/** What is under way at the instances and counted against the service's limits. */
function counts(): number[] {
  const { index } = world.snapshot.services.find((one) => one.name === "web")!;
  const inflight = world.snapshot.instances.map(({ slot }) => world.balancer.gaugesOf(slot).inflight);
  return [...inflight, world.balancer.countOf(index, COUNTERS[0]!), world.balancer.countOf(index, COUNTERS[1]!)];
}

/** The client hears of its answer, the two instances of one request each. */
function ask(request = GET): { client: Wire; first: Wire; second: Wire } {
  const before = world.upstreams.length;
  const client = world.accept().send(request);
  expect(world.upstreams.length).toBe(before + 1);
  world.pass(60);
  expect(world.upstreams.length).toBe(before + 2);
  const [first, second] = world.upstreams.slice(before) as [Wire, Wire];
  expect(second.slot).not.toBe(first.slot);
  return { client, first, second };
}

afterEach(() => {
  for (const wire of world.wires.values()) wire.destroy();
  expect(world.engine.exchangeCount()).toBe(0);
  expect(world.engine.streamCount()).toBe(0);
  expect(counts().every((value) => value === 0)).toBe(true);
});

describe("a slow GET", () => {
  test("is asked of another instance after the time; that answer goes on, and the first is told to stop", () => {
    start();
    const client = world.accept().send(GET);
    world.pass(40);
    expect(world.upstreams).toHaveLength(1);
    world.pass(20);
    const [first, second] = world.upstreams as [Wire, Wire];
    expect(second.text()).toBe(first.text());
    expect(counts()).toEqual([1, 1, 2, 0]);
    second.send(OK);
    expect(client.text()).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nok$/);
    expect(first.closedBy).toBeDefined();
    expect(second.closedBy).toBeUndefined();
    expect(counts()).toEqual([0, 0, 0, 0]);
    expect(hedges()).toEqual({ won: 1 });
  });

  test("is answered by the first after all: the second is told to stop, and its answer is nobody's", () => {
    start();
    const { client, first, second } = ask();
    first.send(OK);
    expect(client.text()).toMatch(/200 OK[\s\S]*ok$/);
    expect(second.closedBy).toBeDefined();
    expect(hedges()).toEqual({ lost: 1 });
    // The connection of the first serves on.
    client.send(GET);
    first.send(OK);
    client.send(GET);
    expect(hedges()).toEqual({ lost: 1 });
  });

  test("gets one second attempt, not one after another", () => {
    start({ instances: 3 });
    ask();
    world.pass(900);
    expect(world.upstreams).toHaveLength(2);
  });

  test("is hedged while its first attempt waits for a connection", () => {
    start();
    const connect = world.onConnect;
    world.onConnect = (wire, name) => {
      if (world.upstreams.length > 1) connect(wire, name);
    };
    const { client, first, second } = ask();
    second.send(OK);
    expect(client.text()).toContain("200 OK");
    first.connect();
    expect(first.text()).toBe("");
    expect(hedges()).toEqual({ won: 1 });
  });

  test("has a body: all of it goes to both, and it is still there for a retry", () => {
    start({ instances: 3 });
    const put = POST.replace("POST", "PUT");
    const { client, first, second } = ask(put);
    expect(second.text()).toBe(first.text());
    first.destroy();
    second.destroy();
    world.pass(300);
    const third = world.upstreams[2]!;
    expect(third.text()).toMatch(/\r\n\r\nbody$/);
    expect(new Set(world.upstreams.map(({ slot }) => slot)).size).toBe(3);
    third.send(OK);
    expect(client.text()).toContain("200 OK");
  });

  test("passes no informational answer of the second on before it has won", () => {
    start();
    const { client, second } = ask();
    second.send("HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n");
    expect(client.text()).toBe("");
    second.send(OK);
    expect(client.text()).toMatch(/^HTTP\/1\.1 200/);
  });
});

describe("a failure of one of the two", () => {
  test("of the first: the second goes on instead of a retry", () => {
    start({ instances: 3 });
    const { client, first, second } = ask();
    first.destroy();
    world.pass(500);
    expect(world.asked).toHaveLength(2);
    expect(client.text()).toBe("");
    second.send(OK);
    expect(client.text()).toContain("200 OK");
    expect(hedges()).toEqual({ "took-over": 1 });
  });

  test("of the second: the first is waited for", () => {
    start();
    const { client, first, second } = ask();
    second.destroy();
    world.pass(500);
    expect(world.asked).toHaveLength(2);
    first.send(OK);
    expect(client.text()).toContain("200 OK");
    expect(hedges()).toEqual({ failed: 1 });
  });

  test("of both: the last one's is retried as ever, and told when nothing is left", () => {
    start({ instances: 3, web: "retry: {attempts: 2}" });
    const { client, first, second } = ask();
    first.destroy();
    second.destroy();
    world.pass(300);
    world.upstreams[2]!.destroy();
    expect(client.text()).toMatch(/^HTTP\/1\.1 502[\s\S]*"attempts":3/);
  });

  test("a 503 does not win, whoever says it", () => {
    start();
    const one = ask();
    one.second.send(BUSY);
    expect(one.client.text()).toBe("");
    one.first.send(OK);
    expect(one.client.text()).toContain("200 OK");
    one.client.destroy();
    for (const wire of world.upstreams) if (wire.closedBy === undefined) wire.destroy();
    const two = ask();
    two.first.send(BUSY);
    expect(two.client.text()).toBe("");
    two.second.send(OK);
    expect(two.client.text()).toContain("200 OK");
    expect(hedges()).toEqual({ failed: 1, "took-over": 1 });
  });

  test("a 503 of the last one is the answer", () => {
    start({ web: "retry: {attempts: 0}" });
    const { client, first, second } = ask();
    second.send(BUSY);
    first.send(BUSY);
    expect(client.text()).toMatch(/^HTTP\/1\.1 503 Busy|^HTTP\/1\.1 503 Service Unavailable/);
  });

  test("a second that cannot connect changes nothing", () => {
    start();
    const connect = world.onConnect;
    world.onConnect = (wire, name) => {
      if (world.upstreams.length === 1) connect(wire, name);
    };
    const { client, first, second } = ask();
    second.destroy(SOCKET_REFUSED);
    first.send(OK);
    expect(client.text()).toContain("200 OK");
    expect(hedges()).toEqual({ failed: 1 });
  });

  test("a first whose connection never comes: the second, still in line too, takes over and is served", () => {
    start();
    world.onConnect = () => {};
    const { client, first, second } = ask();
    first.destroy(SOCKET_REFUSED);
    expect(counts()).toEqual([0, 1, 1, 1]);
    second.connect().send(OK);
    expect(client.text()).toContain("200 OK");
  });

  test("an instance that is silent: its request is with another already", () => {
    start({ hedge: "{after: 500ms, budget: 1}", instances: 3 });
    const client = world.accept().send(GET);
    world.pass(510);
    const other = world.accept().send(GET); // whose answer shows that the first is silent, not everybody slow
    world.upstreams[2]!.send(OK);
    expect(other.text()).toContain("200 OK");
    world.pass(600);
    expect(world.upstreams[0]!.closedBy).toBeDefined();
    expect(world.upstreams).toHaveLength(3);
    expect(hedges()).toEqual({ "took-over": 1 });
    world.upstreams[1]!.send(OK);
    expect(client.text()).toContain("200 OK");
  });
});

describe("what ends both", () => {
  test("the client gives up", () => {
    start();
    const { client, first, second } = ask();
    client.destroy();
    expect(first.closedBy).toBeDefined();
    expect(second.closedBy).toBeDefined();
    expect(hedges()).toEqual({ cancelled: 1 });
  });

  test("the request's time is over", () => {
    start({ web: "timeout: {request: 100ms}" });
    const { client, first, second } = ask();
    world.pass(50);
    expect(client.text()).toMatch(/^HTTP\/1\.1 504/);
    expect(first.closedBy).toBeDefined();
    expect(second.closedBy).toBeDefined();
  });

  test("each attempt has its own time: the second lives on when the first one's is over", () => {
    start({ web: "timeout: {attempt: 80ms}" });
    const { client, first, second } = ask();
    world.pass(30);
    expect(first.closedBy).toBeDefined();
    second.send(OK);
    expect(client.text()).toContain("200 OK");
    expect(hedges()).toEqual({ "took-over": 1 });
  });
});

describe("what is not hedged", () => {
  test("a POST, unless it has a key or the document says all", () => {
    start();
    world.accept().send(POST);
    world.pass(500);
    expect(world.upstreams).toHaveLength(1);
    ask(POST.replace("host", "idempotency-key: k\r\nhost"));
    for (const wire of world.wires.values()) wire.destroy();
    start({ hedge: "{after: 50ms, budget: 1, calls: all}" });
    const { second } = ask(POST);
    expect(second.text()).toMatch(/\r\n\r\nbody$/);
  });

  test("a request that is not whole yet: its time begins with its last byte", () => {
    start({ hedge: "{after: 50ms, budget: 1, calls: all}" });
    const client = world.accept().send(POST.slice(0, -2));
    world.pass(500);
    expect(world.upstreams).toHaveLength(1);
    client.send("dy");
    world.pass(40);
    expect(world.upstreams).toHaveLength(1);
    world.pass(70);
    expect(world.upstreams).toHaveLength(2);
    expect(world.upstreams[1]!.text()).toMatch(/\r\n\r\nbody$/);
  });

  test("a body that was not kept", () => {
    start({ web: "retry: {bodyLimit: 3}" });
    world.accept().send(POST.replace("POST", "PUT"));
    world.pass(500);
    expect(world.upstreams).toHaveLength(1);
    expect(unhedged()).toEqual({ body: 1 });
  });

  test("an upgrade", () => {
    start();
    world.accept().send("GET / HTTP/1.1\r\nhost: web\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
    world.pass(500);
    expect(world.upstreams).toHaveLength(1);
    expect(unhedged()).toEqual({});
  });

  test("where there is no other instance", () => {
    start({ instances: 1 });
    world.accept().send(GET);
    world.pass(500);
    expect(world.upstreams).toHaveLength(1);
    expect(unhedged()).toEqual({ instance: 1 });
  });

  test("beyond the limit of the service's requests", () => {
    start({ web: "limits: {requests: 1}" });
    world.accept().send(GET);
    world.pass(500);
    expect(world.upstreams).toHaveLength(1);
    expect(unhedged()).toEqual({ limit: 1 });
  });

  test("beyond the budget: of a hundred slow requests a tenth", () => {
    start({ hedge: "{after: 50ms, budget: 0.1}" });
    for (let index = 0; index < 100; index += 1) world.accept().send(GET);
    world.pass(500);
    expect(world.upstreams).toHaveLength(109); // 102 of 1,024 for each request
    expect(unhedged()).toEqual({ budget: 91 });
  });

  test("without `hedge`", () => {
    start({ hedge: "none" });
    world.accept().send(GET);
    world.pass(500);
    expect(world.upstreams).toHaveLength(1);
  });
});

describe("a percentile", () => {
  /** So many requests, one after another, each answered after its time. */
  function serve(client: Wire, timesMs: readonly number[]): void {
    for (const ms of timesMs) {
      const before = world.upstreams.length;
      client.send(GET);
      world.pass(ms);
      for (const wire of [...world.wires.values()]) {
        if (wire.slot !== undefined && wire.read().length > 0) wire.send(OK);
      }
      expect(client.text()).toContain("200 OK");
      expect(world.upstreams.length - before).toBeLessThan(3);
    }
  }

  test("of the service's own response time decides when, once there are samples enough", () => {
    start({ hedge: "{after: p95, budget: 1}" });
    const client = world.accept();
    serve(
      client,
      Array.from({ length: 127 }, () => 10),
    );
    client.send(GET);
    world.pass(200);
    expect(hedges()).toEqual({});
    for (const wire of [...world.wires.values()]) if (wire.slot !== undefined) wire.send(OK);
    client.read();
    const known = world.upstreams.length;
    client.send(GET);
    world.pass(8);
    expect(counts().slice(0, 2)).not.toEqual([1, 1]);
    world.pass(12);
    expect(counts().slice(0, 2)).toEqual([1, 1]);
    expect(world.upstreams.length).toBeLessThanOrEqual(known + 1);
  });

  test("follows a service that becomes slower: hedges stay rare", () => {
    start({ hedge: "{after: p95, budget: 1}" });
    const client = world.accept();
    serve(
      client,
      Array.from({ length: 200 }, () => 10),
    );
    serve(
      client,
      Array.from({ length: 100 }, () => 40),
    );
    const before = Object.values(hedges()).reduce((sum, one) => sum + one, 0);
    expect(before).toBeGreaterThan(0);
    serve(
      client,
      Array.from({ length: 200 }, () => 40),
    );
    expect(Object.values(hedges()).reduce((sum, one) => sum + one, 0) - before).toBeLessThan(10);
  });
});

describe("HTTP/2", () => {
  function serverOf(wire: Wire) {
    const reader = new h2.FrameReader(true);
    const printer = new h2.FramePrinter();
    wire.send(Buffer.concat([h2.settings(), h2.settings([], h2.ACK)]));
    return { lines: () => printer.print(reader.read(wire.read()).filter(({ id }) => id === 1)) };
  }

  test("the loser's stream is cancelled, its connection stays", () => {
    start({ web: "protocol: http2" });
    const { client, first, second } = ask();
    const slow = serverOf(first);
    const fast = serverOf(second);
    expect(slow.lines()).toHaveLength(1);
    expect(fast.lines()).toHaveLength(1);
    second.send(Buffer.concat([h2.headers(1, [[":status", "200"]]), h2.data(1, "ok", h2.END_STREAM)]));
    expect(client.text()).toMatch(/200 OK[\s\S]*ok/);
    expect(slow.lines()).toEqual(["RST_STREAM 1 CANCEL"]);
    expect(first.closedBy).toBeUndefined();
    // What the loser says too late is nobody's.
    first.send(Buffer.concat([h2.headers(1, [[":status", "200"]]), h2.data(1, "no", h2.END_STREAM)]));
    expect(client.text()).toBe("");
  });

  test("a gRPC call that says unavailable does not win, nor one held for its trailers lose", () => {
    start({
      hedge: "{after: 50ms, budget: 1, calls: all}",
      web: "protocol: grpc\n    retry: {when: [unprocessed, unavailable]}",
    });
    const message = Buffer.from([0, 0, 0, 0, 2, 104, 105]);
    const client = world.accept();
    const answers = new h2.FrameReader(false);
    client.send(Buffer.concat([h2.PREFACE, h2.settings(), h2.settings([], h2.ACK)]));
    const call: h2.Fields = [
      [":method", "POST"],
      [":scheme", "http"],
      [":authority", "web"],
      [":path", "/a.B/C"],
      ["content-type", "application/grpc"],
      ["te", "trailers"],
      ["grpc-timeout", "5S"],
    ];
    const told = () => answers.read(client.read()).filter(({ id }) => id % 2 === 1);
    client.send(Buffer.concat([h2.headers(1, call), h2.data(1, message, h2.END_STREAM)]));
    world.pass(60);
    const [first, second] = world.upstreams as [Wire, Wire];
    serverOf(first);
    expect(serverOf(second).lines()[0]).toMatch(/grpc-timeout 49\d+u/); // what is left by then
    const head: h2.Fields = [
      [":status", "200"],
      ["content-type", "application/grpc"],
    ];
    const failed: h2.Fields = [...head, ["grpc-status", "14"]];
    second.send(h2.headers(1, failed, h2.END_HEADERS | h2.END_STREAM));
    expect(told()).toHaveLength(0);
    first.send(Buffer.concat([h2.headers(1, head), h2.data(1, message)]));
    expect(told()).toHaveLength(0); // held
    first.send(h2.headers(1, [["grpc-status", "0"]], h2.END_HEADERS | h2.END_STREAM));
    expect(told()).toHaveLength(3);
    expect(hedges()).toEqual({ failed: 1 });

    client.send(Buffer.concat([h2.headers(3, call), h2.data(3, message, h2.END_STREAM)]));
    world.pass(60);
    const late = world.upstreams.map((wire) => wire.text().length > 0);
    expect(late).toEqual([true, true]);
    first.send(Buffer.concat([h2.headers(3, head), h2.data(3, message)]));
    second.send(h2.headers(3, head));
    world.pass(3);
    expect(told().map(({ type }) => type)).toEqual([h2.HEADERS, h2.DATA]);
    expect(hedges()).toEqual({ failed: 1, lost: 1 });
  });
});
