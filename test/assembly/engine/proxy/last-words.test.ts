// Goal: what a server said before its connection was gone counts, however much of it there was in one read.
// Method: a world of virtual sockets; the socket goes in the turn in which its last bytes came, as a process that ends
// and a reset behind its answers make it.

import { expect, test } from "vitest";
import { FRAMES_PER_TURN_MAX } from "../../../../assembly/abi/limits.ts";
import * as h2 from "../../../support/frames.ts";
import { createWorld, type Wire, type World } from "../../../support/world.ts";

const TWO = `services: {web: {protocol: http2, balance: {policy: round-robin},
  instances: [{id: a, address: 10.0.0.1:80}, {id: b, address: 10.0.0.2:80}]}}`;
const WHOLE = h2.END_HEADERS | h2.END_STREAM;
const POST: h2.Fields = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "web"],
];
/** With HEADERS, DATA and DATA each: more frames than one turn takes. */
const ANSWERED = FRAMES_PER_TURN_MAX / 2;
const UNSEEN = 10;

function callH2(world: World): { wire: Wire; hear: () => string[] } {
  const wire = world.accept();
  const reader = new h2.FrameReader(false);
  const printer = new h2.FramePrinter();
  wire.send(Buffer.concat([h2.PREFACE, h2.settings(), h2.settings([], h2.ACK)]));
  const hear = () => printer.print(reader.read(wire.read())).filter((line) => !/^(SETTINGS|WINDOW_UPDATE)/.test(line));
  return { wire, hear };
}

/** Says the ids of the requests that a server was sent since it was last asked. */
function requestsOf(wire: Wire): () => number[] {
  const reader = new h2.FrameReader(true);
  return () => {
    const frames = reader.read(wire.read());
    return frames.filter(({ type }) => type === h2.HEADERS).map(({ id }) => id);
  };
}

const WORDS = h2.settings();
const ACK = h2.settings([], h2.ACK);
const OK: h2.Fields = [[":status", "200"]];

test.each(["ends", "is reset"])(
  "a server answers, says GOAWAY and %s: who was answered has it, the others go on",
  async (how) => {
    const world = await createWorld(TWO);
    const client = callH2(world);
    const heads = Array.from({ length: 2 * (ANSWERED + UNSEEN) }, (_, index) => h2.headers(2 * index + 1, POST, WHOLE));
    client.wire.send(Buffer.concat(heads));
    const [a, b] = world.upstreams as [Wire, Wire];
    for (const wire of [a, b]) wire.send(Buffer.concat([WORDS, ACK]));
    const ids = requestsOf(a)();
    expect(ids).toHaveLength(ANSWERED + UNSEEN);
    const toB = requestsOf(b);
    expect(toB()).toHaveLength(ANSWERED + UNSEEN);
    const answers = ids
      .slice(0, ANSWERED)
      .flatMap((id) => [h2.headers(id, OK), h2.data(id, "half"), h2.data(id, "half", h2.END_STREAM)]);
    const last = h2.goaway(ids[ANSWERED - 1] ?? 0, 0);
    world.receive(a, Buffer.concat([...answers, last]));
    if (how === "ends") world.engine.ended(a.handle, world.nowUs);
    a.destroy();
    const heard = client.hear();
    expect(heard.filter((line) => line.includes(":status 200"))).toHaveLength(ANSWERED);
    expect(heard.filter((line) => line.includes(":status 50"))).toEqual([]);
    expect(heard.filter((line) => line.startsWith("RST_STREAM"))).toEqual([]);
    expect(toB()).toHaveLength(UNSEEN);
  },
);

test("a server that never speaks is sent nothing: a POST goes elsewhere, however the wait ends", async () => {
  const ends: ((wire: Wire, world: World) => void)[] = [
    (wire) => wire.destroy(), // it was in the backlog of a listener that closed
    (wire, world) => {
      world.engine.ended(wire.handle, world.nowUs);
      world.turn();
    },
    (_, world) => world.pass(1_100), // it hangs: timeout.connect
  ];
  for (const end of ends) {
    const world = await createWorld(TWO);
    const client = callH2(world);
    client.wire.send(h2.headers(1, POST, WHOLE));
    const mute = world.upstreams[0] as Wire;
    const asked = requestsOf(mute);
    end(mute, world);
    expect(asked()).toEqual([]);
    const other = world.upstreams[1] as Wire;
    other.send(Buffer.concat([WORDS, ACK]));
    other.send(h2.headers(1, OK, WHOLE));
    expect(client.hear()).toEqual(["HEADERS 1 ES | :status 200"]);
    expect(mute.closedBy).toBeDefined();
  }
});

test("a lone server that never speaks is told by its name, not waited for", async () => {
  const world = await createWorld("services: {web: {protocol: http2, instances: [{id: a, address: 10.0.0.1:80}]}}");
  const client = callH2(world);
  client.wire.send(h2.headers(1, POST, WHOLE));
  world.pass(4_000);
  expect(client.hear()[0]).toContain("x-pillion-reason connect-timeout");
  expect(world.engine.exchangeCount()).toBe(0);
});
