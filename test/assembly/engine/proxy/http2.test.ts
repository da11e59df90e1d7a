// Goal: HTTP/2 and gRPC through the engine: cancel both ways, flow control end to end, deadlines, draining.
// Method: a world of virtual sockets; frames are built and read by test/support/frames.ts, which shares no code with
// us.

import { expect, test } from "vitest";
import {
  ANSWERED_BODY_BYTES,
  ANSWERED_GRACE_MS,
  ANSWERED_STREAMS_MAX,
  GOAWAY_GRACE_MS,
  H2_SMALL_DATA_OVERHEAD,
  H2_STREAM_WINDOW_BYTES,
  H2_UPSTREAM_WINDOW_BYTES,
  H2_WIDE_STREAMS_MAX,
} from "../../../../assembly/abi/limits.ts";
import * as h2 from "../../../support/frames.ts";
import { createWorld, type Wire, type World } from "../../../support/world.ts";

const ONE = (more = "") => `services: {web: {protocol: http2, ${more} instances: [{id: a, address: 10.0.0.1:80}]}}`;
const TWO = () => `services: {web: {protocol: http2,
  instances: [{id: a, address: 10.0.0.1:80}, {id: b, address: 10.0.0.2:80}]}}`;
const REQUEST: h2.Fields = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/p"],
  [":authority", "web"],
];
const GRPC: h2.Fields = [...REQUEST, ["content-type", "application/grpc"], ["te", "trailers"]];
const WHOLE = h2.END_HEADERS | h2.END_STREAM;

class Peer {
  readonly wire: Wire;
  readonly #reader: h2.FrameReader;
  readonly #printer = new h2.FramePrinter();

  constructor(wire: Wire, isServer: boolean) {
    this.wire = wire;
    this.#reader = new h2.FrameReader(isServer);
  }

  say(...frames: Uint8Array[]): this {
    this.wire.send(Buffer.concat(frames));
    return this;
  }

  /** Frames since the last read, printed, without those that every connection begins with. */
  hear(): string[] {
    const lines = this.#printer.print(this.frames());
    return lines.filter((line) => !/^(SETTINGS|WINDOW_UPDATE)/.test(line));
  }

  frames(): h2.Frame[] {
    return this.#reader.read(this.wire.read());
  }
}

function client(world: World, settings: [number, number][] = []): Peer {
  const peer = new Peer(world.accept(), false);
  peer.say(h2.PREFACE, h2.settings(settings), h2.settings([], h2.ACK));
  return peer;
}

function server(world: World, index = 0): Peer {
  const peer = new Peer(world.upstreams[index]!, true);
  return peer.say(h2.settings(), h2.settings([], h2.ACK));
}

test("trailers, both ways", async () => {
  const world = await createWorld(ONE());
  const caller = client(world).say(h2.headers(1, GRPC), h2.data(1, "question"));
  const callee = server(world);
  caller.say(h2.headers(1, [["x-late", "1"]], WHOLE));
  const heard = callee.hear();
  expect(heard[0]).toContain("te trailers");
  expect(heard.slice(1)).toEqual(['DATA 1 "question"', "HEADERS 1 ES | x-late 1"]);
  callee.say(h2.headers(1, [[":status", "200"]]), h2.data(1, "answer"), h2.headers(1, [["grpc-status", "0"]], WHOLE));
  expect(caller.hear()).toEqual(["HEADERS 1 | :status 200", 'DATA 1 "answer"', "HEADERS 1 ES | grpc-status 0"]);
  expect(world.engine.streamCount()).toBe(0);
});

test("a client's cancel reaches the server in the same turn, a thousand times out of a thousand", async () => {
  const world = await createWorld(ONE());
  const caller = client(world);
  caller.say(h2.headers(1, GRPC));
  const callee = server(world);
  callee.hear();
  caller.say(h2.resetStream(1, 8));
  expect(callee.hear()).toEqual(["RST_STREAM 1 CANCEL"]);
  for (let id = 3; id < 2_003; id += 2) {
    caller.say(h2.headers(id, GRPC));
    callee.say(h2.headers(id, [[":status", "200"]]), h2.data(id, "m"));
    callee.hear();
    caller.say(h2.resetStream(id, 8));
    expect(callee.hear()).toEqual([`RST_STREAM ${id} CANCEL`]);
  }
  expect(world.engine.exchangeCount()).toBe(0);
});

test("a server's reset after its head reaches the client as a reset, never as an end", async () => {
  const world = await createWorld(ONE());
  const caller = client(world).say(h2.headers(1, REQUEST, WHOLE));
  const callee = server(world).say(h2.headers(1, [[":status", "200"]]), h2.data(1, "half"), h2.resetStream(1, 2));
  callee.hear();
  expect(caller.hear()).toEqual(["HEADERS 1 | :status 200", 'DATA 1 "half"', "RST_STREAM 1 INTERNAL_ERROR"]);
});

test("a stalled reader holds its stream's window, its sibling flows on", async () => {
  const world = await createWorld(ONE());
  const caller = client(world, [[4, 0]]); // both streams begin without credit
  caller.say(h2.headers(1, REQUEST, WHOLE), h2.headers(3, REQUEST, WHOLE));
  const callee = server(world);
  callee.frames();
  callee.say(h2.headers(1, [[":status", "200"]]), h2.headers(3, [[":status", "200"]]));
  const piece = Buffer.alloc(16_384, 97);
  let credit = H2_UPSTREAM_WINDOW_BYTES;
  for (let sent = 0; sent + piece.length <= credit; sent += piece.length) callee.say(h2.data(1, piece));
  const stalled = callee.frames().filter((frame) => frame.type === h2.WINDOW_UPDATE && frame.id === 1);
  expect(stalled).toEqual([]); // nobody read, so no credit for stream 1
  caller.say(h2.windowUpdate(3, 10_000_000), h2.windowUpdate(0, 10_000_000));
  let passed = 0;
  credit = H2_UPSTREAM_WINDOW_BYTES;
  while (passed < 8_000_000) {
    expect(credit).toBeGreaterThanOrEqual(piece.length);
    callee.say(h2.data(3, piece));
    credit -= piece.length;
    for (const frame of callee.frames()) {
      if (frame.type === h2.WINDOW_UPDATE && frame.id === 3) credit += frame.payload.readUInt32BE();
    }
    for (const frame of caller.frames()) if (frame.type === h2.DATA && frame.id === 3) passed += frame.payload.length;
  }
  expect(world.engine.poolUsed()).toBeLessThan(2_000_000);
  caller.say(h2.windowUpdate(1, 1_000_000));
  const late = caller.frames().filter((frame) => frame.type === h2.DATA && frame.id === 1);
  expect(late.reduce((sum, frame) => sum + frame.payload.length, 0)).toBe(3 * piece.length);
});

test("the large window is for clients that read, and for so many of their streams at a time", async () => {
  const world = await createWorld(ONE());
  const caller = client(world, [[4, 1_000_000]]).say(h2.windowUpdate(0, 100_000_000));
  const ids = Array.from({ length: H2_WIDE_STREAMS_MAX + 4 }, (_, index) => 1 + 2 * index);
  caller.say(...ids.map((id) => h2.headers(id, REQUEST, WHOLE)));
  const callee = server(world);
  callee.frames();
  const widened = () => {
    const large = callee.frames().filter(({ type, payload }) => {
      return type === h2.WINDOW_UPDATE && payload.readUInt32BE() === H2_STREAM_WINDOW_BYTES - H2_UPSTREAM_WINDOW_BYTES;
    });
    return large.map(({ id }) => id);
  };
  const piece = Buffer.alloc(16_384, 97);
  for (const id of ids) callee.say(h2.headers(id, [[":status", "200"]]), h2.data(id, piece));
  expect(widened()).toEqual([]); // most answers are short: nothing more is promised
  for (const id of ids) callee.say(h2.data(id, piece));
  expect(widened()).toEqual(ids.slice(0, H2_WIDE_STREAMS_MAX));
  callee.say(h2.data(1, piece, h2.END_STREAM));
  const [next = 0] = ids.slice(H2_WIDE_STREAMS_MAX);
  callee.say(h2.data(next, piece));
  expect(widened()).toEqual([next]);
});

test("grpc-timeout is honoured: DEADLINE_EXCEEDED downstream, a reset upstream, at the time", async () => {
  const world = await createWorld(ONE());
  const caller = client(world).say(h2.headers(1, [...GRPC, ["grpc-timeout", "200m"]], WHOLE));
  const callee = server(world);
  callee.hear();
  world.pass(190);
  expect(caller.hear()).toEqual([]);
  world.pass(20);
  expect(caller.hear()[0]).toMatch(/^HEADERS 1 ES .*:status 200 .*grpc-status 4 /);
  expect(callee.hear()).toEqual(["RST_STREAM 1 CANCEL"]);
});

test("grpc-timeout goes upstream as what is left of it, anew for each attempt", async () => {
  const world = await createWorld(TWO());
  client(world).say(h2.headers(1, [...GRPC, ["grpc-timeout", "200m"]], WHOLE));
  const timeoutIn = (lines: string[]) => /grpc-timeout (\S+)/.exec(lines.join())?.[1];
  const first = server(world, 0);
  expect(timeoutIn(first.hear())).toBe("200000u");
  world.pass(50);
  first.say(h2.resetStream(1, 7)); // REFUSED_STREAM
  expect(timeoutIn(server(world, 1).hear())).toBe("150000u");
});

test.each([
  ["100S", "100ms", "100000u"], // the route's own is shorter
  ["50m", "100ms", "50000u"],
  ["99S", "none", "99000000u"],
  ["101S", "none", "101000m"],
  ["99999999S", "none", "99999999S"],
  ["30H", "none", "108000S"],
  ["99999999H", "none", "99999999H"],
  ["1n", "none", "1u"],
  ["soon", "100ms", "soon"], // not a timeout: nobody's business but the server's
])("grpc-timeout %s under a request timeout of %s goes upstream as %s", async (asked, configured, sent) => {
  const world = await createWorld(ONE(`timeout: {request: ${configured}},`));
  client(world).say(h2.headers(1, [...GRPC, ["grpc-timeout", asked]], WHOLE));
  expect(server(world).hear().join()).toContain(`grpc-timeout ${sent} `.trimEnd());
});

test("a server that takes no streams is waited for, on one connection", async () => {
  const world = await createWorld(ONE("limits: {pendingTimeout: 1s},"));
  world.onConnect = () => {};
  const caller = client(world).say(h2.headers(1, GRPC, WHOLE));
  const none = h2.settings([[3, 0]]);
  world.upstreams[0]!.connect();
  const callee = server(world);
  callee.hear();
  callee.say(none, h2.resetStream(1, 7)); // what came before it knew is refused
  for (const id of [3, 5, 7]) caller.say(h2.headers(id, GRPC, WHOLE));
  world.pass(500);
  expect(world.upstreams.length).toBe(1);
  expect(caller.hear()).toEqual([]);
  callee.say(h2.settings([[3, 100]]));
  expect(callee.hear().filter((line) => line.startsWith("HEADERS")).length).toBe(4);
  callee.say(none);
  caller.say(h2.headers(9, GRPC, WHOLE));
  world.pass(6000); // three attempts
  expect(world.upstreams.length).toBe(1);
  expect(caller.hear().find((line) => line.startsWith("HEADERS 9"))).toContain("x-pillion-reason overflow");
});

test("a server that gives up at the caller's deadline before our timer: DEADLINE_EXCEEDED", async () => {
  const world = await createWorld(ONE());
  const caller = client(world).say(h2.headers(1, [...GRPC, ["grpc-timeout", "200m"]], WHOLE));
  const callee = server(world);
  callee.hear();
  world.nowUs += 200_000; // no timer has fired yet: the server's was earlier by a hair
  callee.say(h2.resetStream(1, 8));
  expect(caller.hear()[0]).toMatch(/^HEADERS 1 ES .*:status 200 .*grpc-status 4 .*request-timeout/);
});

test("a deadline in the middle of an answer is a CANCEL, which a gRPC client takes for its deadline", async () => {
  const world = await createWorld(ONE());
  const caller = client(world).say(h2.headers(1, [...GRPC, ["grpc-timeout", "200m"]], WHOLE));
  server(world).say(h2.headers(1, [[":status", "200"]]), h2.data(1, "half"));
  world.pass(210);
  expect(caller.hear()).toEqual(["HEADERS 1 | :status 200", 'DATA 1 "half"', "RST_STREAM 1 CANCEL"]);
});

test("an own answer to a gRPC call is trailers only", async () => {
  const world = await createWorld(ONE());
  const caller = client(world).say(h2.headers(1, GRPC.with(3, [":authority", "nobody"])));
  expect(caller.hear()[0]).toMatch(/^HEADERS 1 ES .*grpc-status 12 .*x-pillion-reason no-route/);
});

test("an answer of our own after a deadline waits for its client's window, and is whole", async () => {
  const world = await createWorld(ONE("timeout: {request: 100ms},"));
  const client = world.accept();
  const shut = h2.settings([[4, 0]]);
  client.send(Buffer.concat([h2.PREFACE, shut, h2.settings([], h2.ACK), h2.headers(1, REQUEST, WHOLE)]));
  world.pass(3_000);
  const reader = new h2.FrameReader(false);
  expect(reader.read(client.read()).some(({ type }) => type === h2.RST_STREAM)).toBe(false);
  client.send(h2.windowUpdate(1, 10_000));
  const last = reader.read(client.read()).at(-1)!;
  expect([last.type, last.flags & h2.END_STREAM]).toEqual([h2.DATA, h2.END_STREAM]);
  expect(world.engine.exchangeCount()).toBe(0);
});

test("the limit on requests admits exactly N, and says which limit it was", async () => {
  const world = await createWorld(ONE("limits: {requests: 2},"));
  const caller = client(world).say(...[1, 3, 5].map((id) => h2.headers(id, REQUEST, WHOLE)));
  const callee = server(world);
  expect(callee.hear().length).toBe(2);
  const refused = caller.hear().join("\n");
  expect(refused).toContain("x-pillion-reason overflow");
  expect(refused).toContain("retry-after 1");
  const grpc: h2.Fields = [...REQUEST, ["content-type", "application/grpc"], ["te", "trailers"]];
  caller.say(h2.headers(9, grpc, WHOLE));
  expect(caller.hear().join("\n")).toMatch(/grpc-message A limit of the service is reached.* \(limits\.requests\)/);
  callee.say(h2.headers(1, [[":status", "200"]], WHOLE));
  caller.say(h2.headers(11, REQUEST, WHOLE));
  expect(callee.hear().length).toBe(1);
});

test("who waits for a connection waits no longer than pendingTimeout", async () => {
  const world = await createWorld(ONE("retry: {attempts: 0}, limits: {pendingTimeout: 100ms},"));
  world.onConnect = () => {};
  const caller = client(world).say(h2.headers(1, REQUEST, WHOLE));
  world.pass(110);
  expect(caller.hear()[0]).toContain("x-pillion-reason overflow");
});

test("draining: GOAWAY in two steps, what is under way ends, then the connection closes", async () => {
  const world = await createWorld(ONE());
  const caller = client(world).say(h2.headers(1, REQUEST, WHOLE));
  const callee = server(world);
  callee.hear();
  world.engine.drain(world.nowUs);
  world.turn();
  expect(caller.hear()).toEqual(["GOAWAY NO_ERROR last=2147483647"]);
  caller.say(h2.headers(3, REQUEST, WHOLE)); // was on its way when the notice came
  expect(callee.hear().length).toBe(1);
  world.pass(1_100);
  expect(caller.hear()).toEqual(["GOAWAY NO_ERROR last=3"]);
  callee.say(h2.headers(1, [[":status", "200"]], WHOLE), h2.headers(3, [[":status", "200"]], WHOLE));
  expect(caller.hear().length).toBe(2);
  expect(caller.wire.closedBy).toBe("end");
});

test("an instance that leaves is drained: its stream ends there, new ones go elsewhere", async () => {
  const both = ONE().replace("80}]", "80}, {id: b, address: 10.0.0.2:80}]");
  const world = await createWorld(ONE());
  const caller = client(world).say(h2.headers(1, REQUEST, WHOLE));
  const first = server(world);
  first.hear();
  world.load(both);
  world.load(both.replace("{id: a, address: 10.0.0.1:80}, ", ""));
  caller.say(h2.headers(3, REQUEST, WHOLE));
  expect(first.hear()).toEqual([]);
  const second = server(world, 1).say(h2.headers(1, [[":status", "201"]], WHOLE));
  second.hear();
  first.say(h2.headers(1, [[":status", "200"]], WHOLE));
  expect(caller.hear()).toEqual(["HEADERS 3 ES | :status 201", "HEADERS 1 ES | :status 200"]);
  expect(world.upstreams[0]!.closedBy).toBe("end");
});

test("connections that a burst opened close soon after it, the last one of an instance much later", async () => {
  const world = await createWorld(ONE());
  const caller = client(world).say(h2.headers(1, REQUEST, WHOLE), h2.headers(3, REQUEST, WHOLE));
  // It takes one stream at a time.
  const first = new Peer(world.upstreams[0]!, true).say(h2.settings([[3, 1]]), h2.settings([], h2.ACK));
  const taken = first.frames().filter((frame) => frame.type === h2.HEADERS).length;
  expect([taken, world.upstreams.length]).toEqual([1, 2]); // it was asked for no more than it said
  const second = server(world, 1);
  first.say(h2.headers(1, [[":status", "200"]], WHOLE));
  second.say(h2.headers(1, [[":status", "200"]], WHOLE));
  expect(caller.hear().length).toBe(2);
  const open = () => world.upstreams.filter((wire) => wire.closedBy === undefined).length;
  world.pass(9_000);
  expect(open()).toBe(2);
  world.pass(2_000);
  expect(open()).toBe(1);
  world.pass(280_000);
  expect(open()).toBe(1);
  world.pass(20_000);
  expect(open()).toBe(0);
});

test("an expectation that nobody meets is refused as in HTTP/1.1, and one of 100-continue is not", async () => {
  const world = await createWorld(ONE());
  const caller = client(world).say(h2.headers(1, [...REQUEST, ["expect", "200-ok"]], WHOLE));
  expect(caller.hear()[0]).toMatch(/HEADERS 1 .*:status 400.*x-pillion-reason bad-request/);
  expect(world.upstreams.length).toBe(0);
  const sound = client(world).say(h2.headers(1, [...REQUEST, ["expect", "100-Continue"]]));
  expect(server(world).hear().join()).toContain("expect 100-Continue");
  expect(sound.hear()).toEqual([]);
});

test("a request that has passed too many sidecars is a loop", async () => {
  const world = await createWorld(ONE());
  const caller = client(world).say(h2.headers(1, [...REQUEST, ["x-pillion-hops", "8"]], WHOLE));
  expect(caller.hear()[0]).toContain("x-pillion-reason loop");
  caller.say(h2.headers(3, [...REQUEST, ["x-pillion-hops", "7"]], WHOLE));
  expect(world.upstreams.length).toBe(1);
});

test("an answer of a whole response before the request's end: passed on, the rest refused with NO_ERROR", async () => {
  const world = await createWorld(ONE());
  const caller = client(world).say(h2.headers(1, REQUEST), h2.data(1, LARGE), h2.data(1, "more"));
  server(world).say(h2.headers(1, [[":status", "413"]], WHOLE));
  expect(caller.hear()).toEqual(["HEADERS 1 ES | :status 413", "RST_STREAM 1 NO_ERROR"]);
  expect(world.engine.streamCount()).toBe(0);
});

/** A client whose request is still open when its answer is whole; what it says then, and what it hears. */
async function afterEarlyAnswer(body = ""): Promise<{ world: World; caller: Peer }> {
  const world = await createWorld(ONE());
  const caller = client(world).say(h2.headers(1, REQUEST));
  if (body !== "") caller.say(h2.data(1, body));
  server(world).say(h2.headers(1, [[":status", "200"]], WHOLE));
  expect(caller.hear()).toEqual(["HEADERS 1 ES | :status 200"]);
  return { world, caller };
}

/** One frame of the default size: all of the body that an answered request may have. */
const LARGE = "x".repeat(ANSWERED_BODY_BYTES);
const BODIES = ["", "some", LARGE];

test.for(BODIES)(
  "a request may end by itself after its answer, with a body of %.4s…: nothing is reset",
  async (body) => {
    for (const end of [h2.data(1, "", h2.END_STREAM), h2.headers(1, [["x-late", "1"]], WHOLE), h2.resetStream(1, 8)]) {
      const { world, caller } = await afterEarlyAnswer(body);
      caller.say(end);
      expect(caller.hear()).toEqual([]);
      expect(world.engine.streamCount()).toBe(0);
    }
  },
);

test("… and until it does, what breaks the rules is refused as ever", async () => {
  const wrong: [Uint8Array, string][] = [
    [h2.headers(1, [["x-late", "1"]]), "RST_STREAM 1 PROTOCOL_ERROR"],
    [h2.headers(1, [[":path", "/"]], WHOLE), "RST_STREAM 1 PROTOCOL_ERROR"],
    [h2.windowUpdate(1, 0), "RST_STREAM 1 PROTOCOL_ERROR"],
  ];
  for (const [[frame, heard], body] of wrong.flatMap((one) => BODIES.map((body) => [one, body] as const))) {
    const { world, caller } = await afterEarlyAnswer();
    if (body !== "") caller.say(h2.data(1, body)); // it crosses the answer
    caller.say(frame);
    expect(caller.hear()).toEqual([heard]);
    expect(world.engine.streamCount()).toBe(0);
  }
});

test("… a body that goes on, in large frames or small ones, or a second without an end: NO_ERROR", async () => {
  const drip = Array.from({ length: ANSWERED_BODY_BYTES / H2_SMALL_DATA_OVERHEAD }, () => h2.data(1, "x"));
  for (const body of [[h2.data(1, LARGE)], drip]) {
    const sent = await afterEarlyAnswer();
    sent.caller.say(...body);
    expect(sent.caller.hear()).toEqual([]);
    sent.caller.say(h2.data(1, "x"));
    expect(sent.caller.hear()).toEqual(["RST_STREAM 1 NO_ERROR"]);
    expect(sent.world.engine.streamCount()).toBe(0);
  }
  const silent = await afterEarlyAnswer();
  silent.world.pass(ANSWERED_GRACE_MS + 10);
  expect(silent.caller.hear()).toEqual(["RST_STREAM 1 NO_ERROR"]);
  expect(silent.world.engine.streamCount()).toBe(0);
});

test("… and where many streams are open none is kept for it", async () => {
  const world = await createWorld(ONE());
  const caller = client(world);
  const ids = Array.from({ length: ANSWERED_STREAMS_MAX + 2 }, (_, index) => 2 * index + 1);
  for (const id of ids) caller.say(h2.headers(id, REQUEST));
  server(world).say(...ids.map((id) => h2.headers(id, [[":status", "200"]], WHOLE)));
  const resets = caller.hear().filter((line) => line.startsWith("RST_STREAM"));
  expect(resets).toEqual(["RST_STREAM 1 NO_ERROR", "RST_STREAM 3 NO_ERROR"]);
  expect(world.engine.streamCount()).toBe(ANSWERED_STREAMS_MAX);
});

test("… and after a drain's last word its end closes the connection", async () => {
  const { world, caller } = await afterEarlyAnswer();
  world.engine.drain(world.nowUs);
  world.pass(GOAWAY_GRACE_MS + 10);
  expect(caller.hear().slice(-2)).toEqual(["GOAWAY NO_ERROR last=1", "RST_STREAM 1 NO_ERROR"]);
  expect(caller.wire.closedBy).toBe("end");
});
