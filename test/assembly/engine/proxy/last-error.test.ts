// Goal: a server that breaks the rules of HTTP/2 is told so by GOAWAY and its code (RFC 9113 §5.4.1), also where
// requests for it are still unwritten; those are never written, go elsewhere, and what was written before is whole.
// Method: a world of virtual sockets; the error comes in the turn in which the requests were queued.

import { expect, test } from "vitest";
import * as h2 from "../../../support/frames.ts";
import { createWorld, type World } from "../../../support/world.ts";
import { ACK, call, Peer } from "../../../support/world-peer.ts";

const TWO = `services: {web: {protocol: http2, balance: {policy: round-robin},
  instances: [{id: a, address: 10.0.0.1:80}, {id: b, address: 10.0.0.2:80}]}}`;
const WHOLE = h2.END_HEADERS | h2.END_STREAM;
const POST: h2.Fields = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "web"],
];
const OK: h2.Fields = [[":status", "200"]];
const WIDE = 2 ** 31 - 1;
const ON_STREAM = h2.frame(h2.PING, 0, 3, Buffer.alloc(8));
const OVERFLOW = Buffer.concat([h2.windowUpdate(0, WIDE), h2.windowUpdate(0, WIDE)]);

function serverAt(world: World, index: number): Peer {
  return new Peer(world.upstreams[index]!, true);
}

test.each([
  ["PROTOCOL_ERROR", ON_STREAM],
  ["FLOW_CONTROL_ERROR", OVERFLOW],
])("%s in the turn of a server's SETTINGS: GOAWAY and no request; another server has it", async (code, error) => {
  const world = await createWorld(TWO);
  const client = call(world).say(h2.headers(1, POST), h2.data(1, "body", h2.END_STREAM));
  const faulty = serverAt(world, 0).say(h2.settings(), ACK, error);
  expect(faulty.hear()).toEqual([`GOAWAY ${code} last=0`]);
  expect(faulty.wire.isEnded).toBe(true); // half-closed: what the server still says must not reset what it is told
  expect(faulty.wire.closedBy).toBeUndefined();
  faulty.wire.end();
  expect(faulty.wire.closedBy).toBe("end");
  const sound = serverAt(world, 1).say(h2.settings(), ACK);
  expect(sound.hear().join()).toMatch(/HEADERS 1 .*POST.*DATA 1 ES "body"/);
  sound.say(h2.headers(1, OK, WHOLE));
  expect(client.hear().join()).toMatch(/HEADERS 1 ES.*:status 200/);
});

test("what was handed to the socket stays, whole frames of it, and the requests behind it go elsewhere", async () => {
  const world = await createWorld(TWO);
  const client = call(world);
  client.say(h2.headers(1, POST), h2.headers(3, POST));
  const [a, b] = [serverAt(world, 0), serverAt(world, 1)];
  for (const server of [a, b]) server.say(h2.settings(), ACK);
  expect(a.hear().join()).toMatch(/HEADERS 1/);
  expect(b.hear().join()).toMatch(/HEADERS 1/);
  a.wire.isStalled = true;
  client.say(h2.data(1, "first")); // in flight
  client.say(h2.data(1, "second")); // waits behind it
  client.say(...[5, 7, 9, 11].map((id) => h2.headers(id, POST, WHOLE)));
  a.say(ON_STREAM);
  expect(world.upstreams.length).toBe(2);
  a.wire.resume();
  expect(a.hear()).toEqual([`DATA 1 "first"`, `DATA 1 "second"`, "GOAWAY PROTOCOL_ERROR last=0"]);
  expect(b.hear().filter((line) => line.startsWith("HEADERS"))).toHaveLength(4);
});
