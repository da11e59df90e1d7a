// Shedding: how many are asked to go, when, who is not, and that nothing of theirs is lost.

import { expect, test } from "vitest";
import { PROTOCOL_H1, PROTOCOL_H2 } from "../../../../assembly/abi/engine-codes.ts";
import { LISTENER_INBOUND, LISTENER_OUTBOUND } from "../../../../assembly/abi/engine-records.ts";
import * as h2 from "../../../support/frames.ts";
import { createWorld, type Wire, type World } from "../../../support/world.ts";
import { ACK, Peer, serve } from "../../../support/world-peer.ts";

const PILLION: [number, number] = [0xf0f1, 1];
const MESH = "services: {web: {protocol: http2, instances: []}}";
const MESH_H1 = "services: {web: {instances: []}}";
const appOf = (protocol: "http1" | "http2") => ({
  app: { service: "web", id: "me", address: { host: "127.0.0.1", port: 80 }, protocol },
});
const REQUEST: h2.Fields = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "web"],
];
const WHOLE = h2.END_HEADERS | h2.END_STREAM;
const FIRST_NOTICE = "GOAWAY NO_ERROR last=2147483647";
const SPREAD_MS = 10_000;
const STEP_MS = 100;

/** A client of our app, with its preface said. */
function caller(world: World, settings: [number, number][] = [], listener = LISTENER_INBOUND): Peer {
  const peer = new Peer(world.accept(listener), false).say(h2.PREFACE, h2.settings(settings), ACK);
  return settings.length === 0 ? peer : peer.say(ACK); // sidecars are told wider limits
}

const callers = (world: World, count: number) => Array.from({ length: count }, () => caller(world));

function shed(world: World, round: number, share: number, spreadMs = SPREAD_MS): void {
  world.engine.shed(round, share, spreadMs, world.nowUs);
  world.turn();
}

/** Lets time pass, and says after how long each of them heard the first notice. */
function noticesAfter(world: World, peers: readonly Peer[], ms = SPREAD_MS): number[] {
  const heard: number[] = [];
  for (let at = STEP_MS; at <= ms; at += STEP_MS) {
    world.pass(STEP_MS);
    for (const peer of peers) if (peer.hear().includes(FIRST_NOTICE)) heard.push(at);
  }
  return heard;
}

test("the share of those without a sidecar, spread over the time; nobody else is asked", async () => {
  const world = await createWorld(MESH, appOf("http2"));
  const plain = callers(world, 40);
  const sidecars = Array.from({ length: 20 }, () => caller(world, [PILLION]));
  const others = [...sidecars, ...Array.from({ length: 20 }, () => caller(world, [], LISTENER_OUTBOUND))];
  shed(world, 1, 0.25);
  const heard = noticesAfter(world, plain);
  expect(heard.length).toBe(10);
  for (let second = 0; second < 10; second += 1) {
    const within = heard.filter((at) => at > second * 1_000 && at <= (second + 1) * 1_000);
    expect(within.length).toBeLessThanOrEqual(3); // one a second is even
  }
  expect(world.engine.shedCount(PROTOCOL_H2)).toBe(10);
  expect(noticesAfter(world, plain)).toEqual([]);
  expect(others.filter(({ wire }) => wire.closedBy !== undefined)).toEqual([]);
  expect(others.flatMap((peer) => peer.hear()).filter((line) => line.startsWith("GOAWAY"))).toEqual([]);
  // Whoever had nothing under way was closed behind the last notice, nobody else.
  expect(plain.filter(({ wire }) => wire.closedBy === "end").length).toBe(10);
});

test("what is under way ends where it is, and so does what was sent before the last notice", async () => {
  const world = await createWorld(MESH, appOf("http2"));
  const peers = callers(world, 4);
  peers[0]?.say(h2.headers(1, REQUEST)); // an upload that takes its time
  const app = serve(world);
  for (const peer of peers.slice(1)) peer.say(h2.headers(1, REQUEST));
  app.hear();
  shed(world, 1, 0.5, 2_000);
  const gone = new Set<Peer>();
  for (let at = 0; at < 2_000; at += STEP_MS) {
    world.pass(STEP_MS);
    for (const peer of peers) {
      if (peer.hear().includes(FIRST_NOTICE)) {
        gone.add(peer);
        peer.say(h2.headers(3, REQUEST, WHOLE)); // was on its way when the notice came
      }
    }
  }
  expect(gone.size).toBe(2);
  world.pass(3_000); // the last notices are out
  for (const peer of gone) expect(peer.wire.closedBy).toBe(undefined);
  for (const peer of peers) peer.say(h2.data(1, "the end of it", h2.END_STREAM));
  // All six were asked once, in one order: four uploads, two that came late.
  const answered = [1, 3, 5, 7, 9, 11].map((id) => h2.headers(id, [[":status", "200"]], WHOLE));
  app.say(...answered);
  for (const peer of peers) {
    const heard = peer.hear().filter((line) => !line.startsWith("PING"));
    const answers = ["HEADERS 1 ES | :status 200"];
    if (gone.has(peer)) answers.push("HEADERS 3 ES | :status 200");
    expect(heard.filter((line) => line.startsWith("HEADERS")).sort()).toEqual(answers);
    expect(heard.some((line) => line.startsWith("RST_STREAM"))).toBe(false);
    expect(peer.wire.closedBy).toBe(gone.has(peer) ? "end" : undefined);
  }
  expect([world.engine.exchangeCount(), world.engine.streamCount()]).toEqual([0, 0]);
});

test("growth in steps adds up to the share of the whole; who came since the round began is left", async () => {
  const world = await createWorld(MESH, appOf("http2"));
  const old = callers(world, 40);
  shed(world, 1, 0.25);
  const before = noticesAfter(world, old, 5_000).length;
  expect(before).toBeGreaterThanOrEqual(3);
  expect(before).toBeLessThanOrEqual(7);
  const fresh = callers(world, 40);
  shed(world, 1, 0.4);
  shed(world, 1, 0.5);
  expect(noticesAfter(world, old).length).toBe(20 - before);
  expect(fresh.flatMap((peer) => peer.hear())).toEqual([]);
  shed(world, 1, 1); // whatever is asked for
  expect(noticesAfter(world, [...old, ...fresh])).toEqual([]);
  // The next round begins with all there are now.
  shed(world, 2, 0.5);
  expect(noticesAfter(world, [...old, ...fresh]).length).toBe(30);
});

test("the growth is undone: nobody else is asked", async () => {
  const world = await createWorld(MESH, appOf("http2"));
  const peers = callers(world, 40);
  shed(world, 1, 0.5);
  const before = noticesAfter(world, peers, 2_000).length;
  expect(before).toBeGreaterThan(0);
  shed(world, 1, 0);
  expect(noticesAfter(world, peers)).toEqual([]);
  shed(world, 1, 0.5);
  expect(noticesAfter(world, peers).length).toBe(20 - before);
});

test("one client on each of many sidecars: about the share of them in all", async () => {
  const world = await createWorld(MESH, appOf("http2"));
  let asked = 0;
  for (let round = 1; round <= 200; round += 1) {
    const alone = caller(world);
    shed(world, round, 0.3);
    asked += noticesAfter(world, [alone]).length;
    alone.wire.destroy();
  }
  expect(asked).toBeGreaterThan(35);
  expect(asked).toBeLessThan(85);
});

test("nobody is there: nothing happens; thousands are asked in portions", async () => {
  const world = await createWorld(MESH, appOf("http2"));
  shed(world, 1, 0.5);
  world.pass(SPREAD_MS);
  const peers = callers(world, 3_000);
  shed(world, 2, 0.5, 1_000);
  const heard = noticesAfter(world, peers, 1_100);
  expect(heard.length).toBe(1_500);
  for (let at = STEP_MS; at <= 1_000; at += STEP_MS) {
    expect(heard.filter((one) => one === at).length).toBeLessThan(300); // 150 are even
  }
});

test("draining: nobody is shed, and who was shed before is told no less", async () => {
  const world = await createWorld(MESH, appOf("http2"));
  const peers = callers(world, 10);
  shed(world, 1, 0.5);
  expect(noticesAfter(world, peers, 12_000).length).toBe(5);
  shed(world, 2, 0.5);
  world.engine.drain(world.nowUs);
  world.turn();
  expect(noticesAfter(world, peers, STEP_MS).length).toBe(5);
  shed(world, 3, 0.5);
  world.pass(2_000);
  expect(world.engine.shedCount(PROTOCOL_H2)).toBe(5);
  expect(peers.every(({ wire }) => wire.closedBy === "end")).toBe(true);
});

test("a connection that was shed is no word of our draining", async () => {
  const world = await createWorld(MESH, appOf("http2"));
  const peers = callers(world, 2).map((peer) => peer.say(h2.headers(1, REQUEST)));
  const app = serve(world);
  shed(world, 1, 0.5, 1_000);
  const reports = (peer: Peer) =>
    new h2.FrameReader(false).read(peer.wire.read()).filter(({ type, id }) => type === 0xf1 && id === 0);
  world.pass(1_500);
  // A sidecar that says so late: its connection has been asked to go already, or not.
  for (const peer of peers) peer.say(h2.settings([PILLION]));
  world.pass(2_000);
  app.hear();
  const flags = peers.flatMap((peer) => reports(peer).map(({ payload }) => payload[8]));
  expect(flags.length).toBeGreaterThanOrEqual(2);
  expect(new Set(flags)).toEqual(new Set([0]));
  world.engine.drain(world.nowUs);
  world.pass(2_000);
  for (const peer of peers) expect(reports(peer).at(-1)?.payload[8]).toBe(1);
});

test("HTTP/1.1: the next answer says that the connection closes, an idle one is left open until then", async () => {
  const world = await createWorld(MESH_H1, appOf("http1"));
  const ask = (wire: Wire) => wire.send("GET / HTTP/1.1\r\nhost: web\r\n\r\n");
  const answer = (more = "") => {
    for (const wire of world.upstreams) {
      if (wire.text().includes("GET /")) wire.send(`HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n${more || "ok"}`);
    }
  };
  const idle = Array.from({ length: 20 }, () => world.accept(LISTENER_INBOUND));
  for (const wire of idle) ask(wire);
  answer();
  expect(idle.every((wire) => wire.text().endsWith("ok"))).toBe(true);
  // Its head has said already that the connection stays.
  const late = world.accept(LISTENER_INBOUND);
  ask(late);
  answer("o");
  shed(world, 1, 0.5);
  world.pass(SPREAD_MS);
  expect(world.engine.shedCount(PROTOCOL_H1)).toBe(10);
  expect(idle.every((wire) => wire.closedBy === undefined)).toBe(true);
  for (const wire of world.upstreams) wire.send("k");
  expect(late.text().toLowerCase()).not.toContain("connection: close");
  expect(late.closedBy).toBe(undefined);
  for (const wire of idle) ask(wire);
  answer();
  const told = idle.filter((wire) => wire.text().toLowerCase().includes("connection: close\r\n"));
  expect(told.length).toBe(10);
  expect(idle.filter(({ closedBy }) => closedBy === "end")).toEqual(told);
  expect(idle.filter(({ closedBy }) => closedBy === "reset")).toEqual([]);
});
