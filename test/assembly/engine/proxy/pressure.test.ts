// Goal: however many connections ask and do not read, or send what nobody takes, the pool is there for those who do;
// and where it is not, that is said, and over as soon as it can be.
// Method: a world of virtual sockets and virtual time with a small pool; a bystander asks all the while.

import { expect, test } from "vitest";
import { POOL_PRESSURE_FULL, POOL_PRESSURE_STALLED } from "../../../../assembly/abi/limits.ts";
import { GLITCH_NAMES } from "../../../../src/telemetry/names.ts";
import * as h2 from "../../../support/frames.ts";
import { createWorld, type Wire, type World } from "../../../support/world.ts";
import { call, type Peer } from "../../../support/world-peer.ts";

const MESH = `services: {web: {timeout: {idle: 1h, request: none}, instances: [{id: a, address: 10.0.0.1:80}]}}`;
const POOL_BYTES = 40 * 2 ** 20;
const STREAMS = 256;
const WHOLE = h2.END_HEADERS | h2.END_STREAM;
const stalledCount = (world: World) => world.engine.glitchCount(GLITCH_NAMES.indexOf("stalled"));
const used = (world: World) => (world.engine.poolUsed() * 256) / world.engine.poolSize();

const asks = (id: number, path: string, flags = WHOLE): Buffer =>
  h2.headers(
    id,
    [
      [":method", flags === WHOLE ? "GET" : "POST"],
      [":scheme", "http"],
      [":path", path],
      [":authority", "web"],
    ],
    flags,
  );

/** An app with HTTP/1.1: `/large` is 8 MiB, said as fast as it is heard; `/hang` says nothing and reads nothing. */
function serveAll(world: World): void {
  const body = Buffer.alloc(2 ** 16, "x");
  world.onConnect = (wire) => {
    const left = { bytes: 0 };
    wire.onBytes = (bytes) => {
      const text = bytes.toString("latin1");
      if (/^\w+ \/hang/.test(text)) wire.isStalled = true;
      if (text.startsWith("GET /large")) left.bytes = 8 * 2 ** 20;
      if (text.startsWith("GET /small"))
        replies.push(() => wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
      else if (left.bytes !== 0) {
        replies.push(() => wire.send(`HTTP/1.1 200 OK\r\ncontent-length: ${left.bytes}\r\n\r\n`));
        replies.push(() => pour(wire, left));
      }
    };
    connects.push(wire);
  };
  const pour = (wire: Wire, left: { bytes: number }) => {
    if (wire.closedBy !== undefined || left.bytes === 0) return;
    if (!wire.isPaused) {
      const part = body.subarray(0, left.bytes);
      left.bytes -= part.length;
      wire.send(part);
    }
    later.push(() => pour(wire, left));
  };
}
const connects: Wire[] = [];
const replies: (() => void)[] = [];
const later: (() => void)[] = [];

/** Lets apps connect and say what they have to say until nobody moves, or so many rounds. */
function run(rounds = 6): void {
  for (let round = 0; round < rounds; round += 1) {
    for (const wire of connects.splice(0)) wire.connect();
    for (const reply of replies.splice(0)) reply();
    for (const pour of later.splice(0)) pour();
  }
}

/** What a client that asks for something small on a connection of its own is answered. */
function bystand(world: World): string {
  const wire = world.accept().send("GET /small HTTP/1.1\r\nhost: web\r\n\r\n");
  run(2);
  const text = wire.text();
  wire.destroy();
  const reason = /x-pillion-reason: (\S+)/.exec(text)?.[1];
  return `${text.slice(9, 12)}${reason === undefined ? "" : ` ${reason}`}`;
}

async function createShortWorld(bytes = POOL_BYTES): Promise<World> {
  for (const list of [connects, replies, later]) list.length = 0;
  const world = await createWorld(MESH);
  world.engine.limitPool(bytes);
  serveAll(world);
  return world;
}

/** Attackers begin, 30 ms apart, and a bystander asks. The most that was used of the pool, in 1/256. */
function attack(world: World, count: number, begin: () => void): number {
  let most = 0;
  for (let each = 0; each < count; each += 1) {
    begin();
    run();
    most = Math.max(most, used(world));
    expect(bystand(world)).toBe("200");
    world.pass(30);
    expect(bystand(world)).toBe("200");
  }
  return most;
}

test("A15 twelve connections with 256 unread answers each: those who read do not notice", async () => {
  const world = await createShortWorld();
  const attackers: Peer[] = [];
  const most = attack(world, 12, () => {
    const peer = call(world, [[4, 2 ** 31 - 1]]);
    peer.wire.isStalled = true;
    attackers.push(peer);
    for (let index = 0; index < STREAMS && peer.wire.closedBy === undefined; index += 16) {
      peer.say(...Array.from({ length: 16 }, (_, at) => asks(2 * (index + at) + 1, "/large")));
      run(3);
      world.pass(10);
    }
  });
  expect(most).toBeLessThan(POOL_PRESSURE_FULL);
  expect(attackers.filter(({ wire }) => wire.closedBy === "reset").length).toBeGreaterThan(8);
  expect(stalledCount(world)).toBeGreaterThan(8);
});

test("A5 answers whose windows stay shut are reset, on connections that read everything else", async () => {
  const world = await createShortWorld();
  const attackers: Peer[] = [];
  const most = attack(world, 8, () => {
    const peer = call(world, [[4, 0]]);
    attackers.push(peer);
    for (let index = 0; index < STREAMS; index += 16) {
      peer.say(...Array.from({ length: 16 }, (_, at) => asks(2 * (index + at) + 1, "/large")));
      run(3);
      world.pass(10);
    }
  });
  expect(most).toBeLessThan(POOL_PRESSURE_FULL);
  const heard = attackers.map((peer) => peer.hear());
  expect(heard.flat().filter((line) => /^RST_STREAM \d+ ENHANCE_YOUR_CALM/.test(line)).length).toBe(
    stalledCount(world),
  );
  expect(stalledCount(world)).toBeGreaterThan(STREAMS);
  expect(attackers.filter(({ wire }) => wire.closedBy !== undefined)).toEqual([]);
});

test("uploads that no app takes: the largest hear so, and the pool lasts", async () => {
  const world = await createShortWorld();
  const attackers: Peer[] = [];
  const most = attack(world, 12, () => {
    const peer = call(world);
    attackers.push(peer);
    for (let id = 1; id < 2 * 60; id += 2) {
      peer.say(
        asks(id, "/hang", h2.END_HEADERS),
        ...Array.from({ length: 12 }, () => h2.data(id, Buffer.alloc(16_384))),
      );
      run(1);
      world.pass(5);
    }
  });
  expect(most).toBeLessThan(POOL_PRESSURE_FULL);
  const refused = attackers.flatMap((peer) => peer.hear()).filter((line) => line.includes("resource-exhausted"));
  expect(refused.length).toBe(stalledCount(world));
  expect(refused.length).toBeGreaterThan(100);
});

test("requests sent behind one that hangs are bounded over all connections", async () => {
  const world = await createShortWorld();
  const more = "GET /small HTTP/1.1\r\nhost: web\r\n\r\n".repeat(6_000);
  const attackers: Wire[] = [];
  const most = attack(world, 250, () => {
    const wire = world.accept().send("GET /hang HTTP/1.1\r\nhost: web\r\n\r\n");
    attackers.push(wire.send(more));
  });
  expect(most).toBeLessThan(POOL_PRESSURE_FULL);
  const refused = attackers.filter((wire) => wire.text().includes("x-pillion-reason: resource-exhausted"));
  expect(refused.length).toBe(stalledCount(world));
  expect(refused.length).toBeGreaterThan(50);
});

test("who reads, however slowly, keeps what it asked for while others are ended", async () => {
  const world = await createShortWorld();
  const reader = world.accept().send("GET /large HTTP/1.1\r\nhost: web\r\n\r\n");
  reader.isStalled = true;
  run();
  const attackers: Wire[] = [];
  for (let each = 0; each < 400; each += 1) {
    const wire = world.accept().send("GET /large HTTP/1.1\r\nhost: web\r\n\r\n");
    wire.isStalled = true;
    attackers.push(wire);
    run(8);
    if (each % 4 === 0) {
      // What was written is taken, and the next is not: some tens of KiB each 80 ms.
      world.takeSome(reader, 4_096);
      world.turn();
    }
    world.pass(20);
    expect(bystand(world)).toBe("200");
  }
  expect(reader.closedBy).toBeUndefined();
  expect(attackers.filter(({ closedBy }) => closedBy === "reset").length).toBe(stalledCount(world));
  expect(stalledCount(world)).toBeGreaterThan(50);
});

test("what comes all at once is refused with its reason, and served again within a second", async () => {
  const world = await createShortWorld(8 * 2 ** 20);
  const wires = Array.from({ length: 60 }, () => {
    const wire = world.accept().send("GET /large HTTP/1.1\r\nhost: web\r\n\r\n");
    wire.isStalled = true;
    run();
    return wire;
  });
  expect(used(world)).toBeGreaterThan(POOL_PRESSURE_STALLED);
  expect(bystand(world)).toBe("503 resource-exhausted");
  expect(wires.filter((wire) => wire.text().includes("resource-exhausted")).length).toBeGreaterThan(0);
  world.pass(1_000);
  for (let asked = 0; asked < 20; asked += 1) expect(bystand(world)).toBe("200");
  for (const wire of wires) if (wire.closedBy === undefined) wire.destroy();
  world.pass(1_000);
  expect(used(world)).toBeLessThan(8);
});
