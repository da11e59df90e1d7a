// Goal: what a peer may hold without moving (reliability.md §1.2: A5, A13, A24, A26, A31): each has an end, and none
// that an honest slow peer would meet.
// Method: a world of virtual sockets and virtual time.

import { expect, test } from "vitest";
import { GLITCH_NAMES } from "../../../../src/telemetry/names.ts";
import * as h2 from "../../../support/frames.ts";
import { createWorld, type World } from "../../../support/world.ts";
import { call, Peer, serve } from "../../../support/world-peer.ts";

const MESH = (more = "") => `services: {web: {protocol: http2, ${more} instances: [{id: a, address: 10.0.0.1:80}]}}`;
/** Its apps speak HTTP/1.1, and nothing is idle for an hour. */
const PLAIN = MESH("timeout: {idle: 1h},").replace("protocol: http2,", "");
const ANSWER = `HTTP/1.1 200 OK\r\ncontent-length: 16000\r\n\r\n${"x".repeat(16_000)}`;
const WHOLE = h2.END_HEADERS | h2.END_STREAM;
const REQUEST: h2.Fields = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/p"],
  [":authority", "web"],
];
const GRPC: h2.Fields = [...REQUEST, ["content-type", "application/grpc"], ["te", "trailers"]];
const CALM = "GOAWAY ENHANCE_YOUR_CALM";

const glitches = (world: World, kind: (typeof GLITCH_NAMES)[number]) =>
  world.engine.glitchCount(GLITCH_NAMES.indexOf(kind));

test("A26 a client that never acknowledges our SETTINGS is told so after ten seconds, streams or not", async () => {
  const world = await createWorld(MESH());
  for (const streams of [[], [h2.headers(1, GRPC)]]) {
    const caller = new Peer(world.accept(), false).say(h2.PREFACE, h2.settings(), ...streams);
    world.pass(9_900);
    expect(caller.wire.closedBy).toBeUndefined();
    world.pass(200);
    expect(caller.hear().at(-1)).toMatch(/^GOAWAY SETTINGS_TIMEOUT/);
    expect(caller.wire.closedBy).toBe("end");
  }
  expect(glitches(world, "settings")).toBe(2); // the server that nobody plays here was given up long before
});

test("A26 a server that never acknowledges our SETTINGS loses the connection", async () => {
  const world = await createWorld(MESH());
  const caller = call(world).say(h2.headers(1, GRPC));
  const callee = new Peer(world.upstreams[0]!, true).say(h2.settings());
  world.pass(10_100);
  expect(callee.hear().at(-1)).toMatch(/^GOAWAY SETTINGS_TIMEOUT/);
  expect(caller.hear().join()).toContain("x-pillion-reason upstream-reset");
});

test("A26 a field block or a frame that was begun has ten seconds, and a minute beside other streams", async () => {
  const world = await createWorld(MESH());
  const block = call(world).say(h2.headers(1, REQUEST, h2.END_STREAM));
  const frame = call(world).say(h2.headers(1, REQUEST, WHOLE).subarray(0, 30));
  const shared = call(world).say(h2.headers(1, GRPC), h2.headers(3, REQUEST, h2.END_STREAM));
  serve(world);
  world.pass(10_100);
  expect([block.wire.closedBy, frame.wire.closedBy, shared.wire.closedBy]).toEqual(["end", "end", undefined]);
  world.pass(60_000);
  expect(shared.wire.closedBy).toBe("end");
  expect(glitches(world, "slow-head")).toBe(3);
});

test("A5 an own answer to a client with a window of 0 does not wait for ever", async () => {
  const world = await createWorld(MESH());
  const caller = call(world, [[4, 0]]).say(h2.headers(1, [...REQUEST.slice(0, 3), [":authority", "nobody"]], WHOLE));
  expect(caller.hear()[0]).toContain(":status 404");
  world.pass(299_000);
  expect(world.engine.exchangeCount()).toBe(1);
  world.pass(31_000);
  expect(caller.hear()).toEqual(["RST_STREAM 1 ENHANCE_YOUR_CALM"]);
  expect([world.engine.exchangeCount(), world.engine.streamCount()]).toEqual([0, 0]);
  expect(glitches(world, "stalled")).toBe(1);
});

test("A5 a response that is let out by single bytes ends too; one that moves is never cut off", async () => {
  const world = await createWorld(PLAIN);
  const drip = call(world, [[4, 0]]).say(h2.headers(1, REQUEST, WHOLE));
  const slow = call(world, [[4, 0]]).say(h2.headers(1, REQUEST, WHOLE));
  for (const wire of world.upstreams) wire.send(ANSWER);
  let got = "";
  for (let second = 0; second < 400; second += 10) {
    if (second % 20 === 0) drip.say(h2.windowUpdate(1, 1)); // 15 bytes in five minutes
    slow.say(h2.windowUpdate(1, 10)); // 300
    world.pass(10_000);
    got += drip.hear().join();
  }
  expect(got).toContain("RST_STREAM 1 ENHANCE_YOUR_CALM");
  expect(slow.hear().join()).not.toContain("RST_STREAM");
  expect(world.engine.exchangeCount()).toBe(1);
});

test("A5 while memory is short, half a minute without progress is enough", async () => {
  const world = await createWorld(PLAIN);
  const caller = call(world, [[4, 0]]).say(h2.headers(1, REQUEST, WHOLE));
  world.upstreams[0]!.send(ANSWER);
  world.engine.hoardPool(100);
  world.pass(61_000);
  world.engine.unhoardPool();
  expect(caller.hear().at(-1)).toBe("RST_STREAM 1 ENHANCE_YOUR_CALM");
});

test("a slow reader is not idle: what it takes counts as a sign of life", async () => {
  const world = await createWorld(MESH("timeout: {idle: 60s},"));
  const caller = call(world, [[4, 0]]).say(h2.headers(1, REQUEST, WHOLE));
  serve(world).say(h2.headers(1, [[":status", "200"]]), h2.data(1, Buffer.alloc(4_000), h2.END_STREAM));
  let got = "";
  for (let round = 0; round < 8; round += 1) {
    world.pass(50_000);
    got += caller.say(h2.windowUpdate(1, 500)).hear().join(" ");
  }
  expect(got).toContain("DATA 1 ES");
});

test("A5 request heads that one client keeps here are bounded, whatever they were made of", async () => {
  const world = await createWorld(MESH());
  const caller = call(world, [[4, 0]]);
  const before = world.engine.poolUsed();
  for (let id = 1; id < 500; id += 2) {
    caller.say(h2.headers(id, [...REQUEST, ["x-large", "a".repeat(15_000)]], WHOLE));
    if (caller.wire.closedBy !== undefined) break;
  }
  const heard = caller.hear();
  expect(heard.filter((line) => line.endsWith("REFUSED_STREAM")).length).toBeGreaterThan(90);
  expect(heard.at(-1)).toContain(CALM);
  expect(world.engine.poolUsed() - before).toBeLessThan(8 * 2 ** 20);
});

test("A31 informational heads and the final one share one limit on HTTP/2 too", async () => {
  const world = await createWorld(MESH());
  const caller = call(world).say(h2.headers(1, REQUEST, WHOLE));
  const callee = serve(world);
  for (let count = 0; count < 5; count += 1) {
    callee.say(
      h2.headers(1, [
        [":status", "103"],
        ["link", "a".repeat(14_000)],
      ]),
    );
  }
  expect(callee.hear().at(-1)).toBe("RST_STREAM 1 ENHANCE_YOUR_CALM");
  expect(caller.hear().at(-1)).toMatch(/HEADERS 1 .*x-pillion-reason upstream-protocol|DATA 1 ES/);
});

test("A21 A22 A24 frames that say nothing have a budget; the client is asked to go before it is spent", async () => {
  const world = await createWorld(MESH());
  const floods: Record<string, Buffer> = {
    "unknown-frames": h2.frame(12, 0, 0, Buffer.alloc(20)), // ORIGIN
    goaway: h2.goaway(0, 0),
    priority: h2.frame(16, 0, 0, Buffer.alloc(5)), // PRIORITY_UPDATE
    "stream-state": h2.data(1, "x"),
  };
  for (const [kind, one] of Object.entries(floods)) {
    const caller = call(world).say(h2.headers(1, [...REQUEST.slice(0, 3), [":authority", "nobody"]]));
    caller.hear();
    for (let sent = 0; sent < 12_000 && caller.wire.closedBy === undefined; sent += 100) {
      caller.say(Buffer.concat(Array.from({ length: 100 }, () => one)));
    }
    const heard = caller.hear().filter((line) => line.startsWith("GOAWAY"));
    expect([kind, heard.at(-1)?.startsWith(CALM)]).toEqual([kind, true]);
    if (kind !== "priority") expect(heard[0]).toContain("NO_ERROR");
    expect(glitches(world, kind as "goaway")).toBeGreaterThan(0);
  }
});
