// Load reports on the wire: who gets them, when, what they say; and that what they say decides a pick.

import { expect, test } from "vitest";
import { LISTENER_INBOUND } from "../../../../assembly/abi/engine-records.ts";
import * as h2 from "../../../support/frames.ts";
import { createWorld, type Wire, type World } from "../../../support/world.ts";

const REPORT = 0xf1;
const PILLION: [number, number] = [0xf0f1, 1];
const MESH = "services: {web: {protocol: http2, instances: []}}";
const APP = {
  app: { service: "web", id: "me", address: { host: "127.0.0.1", port: 80 }, protocol: "http2" as const },
};
const REQUEST: h2.Fields = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "web"],
];
const WHOLE = h2.END_HEADERS | h2.END_STREAM;

class Peer {
  readonly wire: Wire;
  readonly #reader: h2.FrameReader;

  constructor(wire: Wire, isServer: boolean) {
    this.wire = wire;
    this.#reader = new h2.FrameReader(isServer);
  }

  say(...frames: Uint8Array[]): this {
    this.wire.send(Buffer.concat(frames));
    return this;
  }

  frames(): h2.Frame[] {
    return this.#reader.read(this.wire.read());
  }

  /** Load reports since the last look: [in flight, µs, flags]. */
  reports(): number[][] {
    return this.frames()
      .filter(({ type, id }) => type === REPORT && id === 0)
      .map(({ payload }) => [payload.readUInt32BE(0), payload.readUInt32BE(4), payload[8] ?? 0]);
  }
}

function caller(world: World, settings: [number, number][]): Peer {
  const peer = new Peer(world.accept(LISTENER_INBOUND), false);
  return peer.say(h2.PREFACE, h2.settings(settings));
}

test("a calling sidecar hears of the load with the answers, at most every 10 ms; others hear nothing", async () => {
  const world = await createWorld(MESH, APP);
  const sidecar = caller(world, [PILLION]);
  const stranger = caller(world, []);
  for (const id of [1, 3, 5, 7]) sidecar.say(h2.headers(id, REQUEST, WHOLE));
  stranger.say(h2.headers(1, REQUEST, WHOLE));
  const app = new Peer(world.upstreams[0]!, true).say(h2.settings());
  expect(sidecar.reports()).toEqual([[0, 0, 0]]); // with the connection's first bytes: idle, no answer seen yet
  world.pass(20);
  app.say(h2.headers(1, [[":status", "200"]], WHOLE));
  app.say(h2.headers(3, [[":status", "200"]], WHOLE));
  expect(sidecar.reports()).toEqual([[4, 20_000, 0]]);
  world.pass(11);
  app.say(h2.headers(5, [[":status", "200"]], WHOLE), h2.headers(7, [[":status", "200"]], WHOLE));
  app.say(h2.headers(9, [[":status", "200"]], WHOLE));
  const [later, ...more] = sidecar.reports();
  expect(more).toEqual([]);
  expect(later?.[0]).toBeLessThanOrEqual(2);
  expect(later?.[1]).toBeGreaterThanOrEqual(20_000);
  expect(stranger.reports()).toEqual([]);
});

test("an idle connection says once a second that it is idle, and that we drain", async () => {
  const world = await createWorld(MESH, APP);
  const sidecar = caller(world, [PILLION]).say(h2.headers(1, REQUEST, WHOLE));
  const app = new Peer(world.upstreams[0]!, true).say(h2.settings());
  world.pass(20);
  app.say(h2.headers(1, [[":status", "200"]], WHOLE));
  sidecar.reports();
  const heard: number[][] = [];
  for (let tenth = 0; tenth < 50; tenth += 1) {
    world.pass(100);
    heard.push(...sidecar.reports());
  }
  expect(heard.length).toBeGreaterThanOrEqual(4);
  expect(heard.length).toBeLessThanOrEqual(5);
  expect(heard.at(-1)).toEqual([0, 0, 0]); // no fresh sample: no estimate
  world.pass(11);
  world.engine.drain(world.nowUs);
  world.turn();
  expect(sidecar.reports().at(-1)?.[2]).toBe(1);
});

test("a report decides a pick; nobody but a registered sidecar is believed, and nonsense is passed over", async () => {
  const instances = (more: string) => ["1", "2"].map((n) => `{id: i${n}, address: "10.0.0.${n}:80"${more}}`).join(", ");
  for (const [more, isBelieved] of [
    [", sidecar: true", true],
    ["", false],
  ] as const) {
    const world = await createWorld(
      `services: {web: {protocol: http2, balance: {slowStart: 0s}, instances: [${instances(more)}]}}`,
    );
    const client = new Peer(world.accept(), false).say(h2.PREFACE, h2.settings([]));
    const counts = [0, 0];
    const ask = (id: number) => {
      client.say(h2.headers(id, REQUEST, WHOLE));
      for (const [index, wire] of world.upstreams.entries()) {
        servers[index] ??= new Peer(wire, true).say(h2.settings([PILLION]));
      }
      world.pass(1);
    };
    const servers: Peer[] = [];
    const answer = () => {
      for (const [index, peer] of servers.entries()) {
        for (const frame of peer.frames()) {
          if (frame.type !== 1) continue;
          counts[index] = (counts[index] ?? 0) + 1;
          peer.say(h2.headers(frame.id, [[":status", "200"]], WHOLE));
        }
      }
    };
    for (let id = 1; id < 80; id += 2) {
      ask(id);
      answer();
    }
    expect(servers).toHaveLength(2);
    const body = Buffer.alloc(12);
    body.writeUInt32BE(500, 0);
    body.writeUInt32BE(1_000, 4);
    servers[0]!.say(
      h2.frame(REPORT, 0, 0, body),
      h2.frame(REPORT, 0, 3, body),
      h2.frame(REPORT, 0, 0, body.subarray(3)),
    );
    servers[1]!.say(h2.frame(REPORT, 0, 0, Buffer.from("000000010000000000000000", "hex")));
    counts.fill(0);
    for (let id = 81; id < 121; id += 2) {
      ask(id);
      answer();
    }
    expect(counts[0]! + counts[1]!).toBe(20);
    if (isBelieved) expect(counts[0]).toBe(0);
    else expect(counts[0]).toBeGreaterThan(0);
  }
});
