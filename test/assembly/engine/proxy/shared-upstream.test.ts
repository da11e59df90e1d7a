// Goal: whatever one client makes an upstream say, others keep the connection that they share with it; and an upstream
// that goes beyond what a client can have caused is still cut off.
// Method: a world with one HTTP/2 upstream connection, an honest caller's stream on it, and hostile callers beside.

import { expect, test } from "vitest";
import { GLITCH_NAMES } from "../../../../src/telemetry/names.ts";
import * as h2 from "../../../support/frames.ts";
import { createWorld, type World } from "../../../support/world.ts";
import { call, type Peer, serve } from "../../../support/world-peer.ts";

const MESH = `services: {web: {protocol: http2, limits: {requests: 100000}, retry: {attempts: 0},
  timeout: {idle: none}, instances: [{id: a, address: 10.0.0.1:80}]}}`;
const WHOLE = h2.END_HEADERS | h2.END_STREAM;
const REQUEST: h2.Fields = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "web"],
];
const OK: h2.Fields = [[":status", "200"]];
const CANCEL = 8;
const WINDOW = 65_535;
const idOf = (index: number) => 2 * index + 1;

/** An honest caller, whose request is stream 1 of the upstream connection, and that connection's server. */
async function share(): Promise<{ world: World; honest: Peer; server: Peer; beServed(): void }> {
  const world = await createWorld(MESH);
  const honest = call(world).say(h2.headers(1, REQUEST, WHOLE));
  const server = serve(world).say(h2.settings([[3, 10_000]]));
  server.hear();
  return {
    world,
    honest,
    server,
    beServed() {
      server.say(h2.headers(1, OK), h2.data(1, "here", h2.END_STREAM));
      expect(honest.hear().join()).toMatch(/HEADERS 1 .*:status 200.*DATA 1 ES/);
      expect(world.upstreams).toHaveLength(1);
      expect(server.wire.closedBy).toBeUndefined();
      expect(server.hear().filter((line) => line.startsWith("GOAWAY"))).toEqual([]);
    },
  };
}

/** `count` frames of one byte, in portions that no turn is too short for. */
function drip(server: Peer, id: number, count: number): void {
  for (let sent = 0; sent < count; sent += 1_000) {
    server.say(...Array.from({ length: Math.min(1_000, count - sent) }, () => h2.data(id, "x")));
  }
}

/** Hostile callers open streams in batches; each batch is handed to `answer` with its ids at the upstream. */
function besiege(world: World, server: Peer, count: number, answer: (caller: Peer, own: number, up: number) => void) {
  let up = 3;
  for (let opened = 0; opened < count; ) {
    const caller = call(world).say(h2.windowUpdate(0, 10_000_000));
    for (let index = 0; index < 900 && opened < count; index += 1, opened += 1, up += 2) {
      caller.say(h2.headers(idOf(index), REQUEST, WHOLE));
      answer(caller, idOf(index), up);
    }
    expect(caller.wire.closedBy).toBeUndefined();
    caller.wire.destroy();
    server.hear();
  }
}

test("A17 a client that does not read tiny frames which it asked for", async () => {
  const { world, server, beServed } = await share();
  call(world, [[4, 0]]).say(h2.headers(1, REQUEST, WHOLE));
  server.say(h2.headers(3, OK));
  drip(server, 3, WINDOW);
  beServed();
});

test("A1 a client that cancels while tiny frames are under way", async () => {
  const { world, server, beServed } = await share();
  call(world).say(h2.headers(1, REQUEST, WHOLE), h2.resetStream(1, CANCEL));
  drip(server, 3, WINDOW);
  beServed();
});

test("A1 clients that cancel by the thousand, and each answer comes all the same", async () => {
  const { world, server, beServed } = await share();
  besiege(world, server, 13_500, (caller, own, up) => {
    caller.say(h2.resetStream(own, CANCEL));
    server.say(h2.headers(up, OK), h2.data(up, "late", h2.END_STREAM));
  });
  beServed();
});

test.each<[string, (up: number) => Buffer[]]>([
  ["resets", (up) => [h2.resetStream(up, 2)]],
  ["answers wrongly", (up) => [h2.headers(up, [[":status", "abc"]], WHOLE)]],
  [
    "answers to with a body longer than was said",
    (up) => [h2.headers(up, [...OK, ["content-length", "1"]]), h2.data(up, "xx")],
  ],
])("A11 clients whose every request the upstream %s", async (_, answer) => {
  const { world, server, beServed } = await share();
  besiege(world, server, 12_000, (_caller, _own, up) => void server.say(...answer(up)));
  beServed();
});

test("A16 empty frames without end cost their stream", async () => {
  const { world, server, beServed } = await share();
  const hostile = call(world).say(h2.headers(1, REQUEST, WHOLE));
  server.say(h2.headers(3, OK), ...Array.from({ length: 300 }, () => h2.data(3, "")));
  expect(hostile.hear().join()).toMatch(/RST_STREAM 1/);
  expect(world.engine.glitchCount(GLITCH_NAMES.indexOf("empty-frames"))).toBe(1);
  beServed();
});

test("an upstream that goes on and on after a reset is cut off", async () => {
  const { world, server } = await share();
  call(world).say(h2.headers(1, REQUEST, WHOLE), h2.resetStream(1, CANCEL));
  drip(server, 3, 2 * WINDOW);
  expect(server.hear().join()).toContain("GOAWAY ENHANCE_YOUR_CALM");
});
