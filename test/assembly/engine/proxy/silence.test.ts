// Goal: an instance that takes requests and never answers costs nobody more than a moment while others answer
//       (DESIGN §6, "Silence"), and a peer that is gone without a word is noticed (PING).
// Method: hand-written servers in virtual time; one of them says nothing.

import { beforeEach, describe, expect, test } from "vitest";
import * as h2 from "../../../support/frames.ts";
import { createWorld, type Wire, type World } from "../../../support/world.ts";

const mesh = (protocol: string, more = "") => `
services:
  web:
    protocol: ${protocol}
    balance: {policy: round-robin}
    ${more}
    instances: [{id: a, address: 10.0.0.1:80}, {id: b, address: 10.0.0.2:80}, {id: c, address: 10.0.0.3:80}]
`;
const GET = "GET / HTTP/1.1\r\nhost: web\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 2\r\n\r\nhi";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

let world: World;
/** Requests that each instance got, and POSTs that all of them got. */
let asked: Record<string, number>;
let posts: number;
/** The instance that never answers. */
let silent: string;

/** All instances answer `delayMs` after they were asked, but the silent one. */
function serve(delayMs = 0): void {
  world.onConnect = (wire, name) => {
    const id = name.split("/")[1]!;
    wire.onBytes = (bytes) => {
      const method = /^(GET|POST) /.exec(bytes.toString("latin1"))?.[1];
      if (method === undefined) return;
      if (method === "POST") posts += 1;
      asked[id] = (asked[id] ?? 0) + 1;
      if (id !== silent) waiting.push({ wire, atUs: world.nowUs + delayMs * 1000 });
    };
    opened.push(wire);
  };
}
let waiting: { wire: Wire; atUs: number }[];
let opened: Wire[];

/** Lets time pass and the servers answer. */
function pass(ms: number): void {
  const endUs = world.nowUs + ms * 1000;
  while (world.nowUs < endUs) {
    for (const wire of opened.splice(0)) wire.connect();
    const due = waiting.filter((one) => one.atUs <= world.nowUs);
    waiting = waiting.filter((one) => one.atUs > world.nowUs);
    for (const { wire } of due) if (wire.closedBy === undefined) wire.send(OK);
    world.pass(1);
  }
}

beforeEach(() => {
  waiting = [];
  opened = [];
  asked = {};
  posts = 0;
  silent = "none";
});

describe("an instance that never answers", () => {
  beforeEach(async () => {
    world = await createWorld(mesh("http"));
    silent = "b";
    serve();
  });

  test("an idempotent request is taken elsewhere after a second, and the instance is set aside", () => {
    const clients = Array.from({ length: 6 }, () => world.accept().send(GET));
    pass(900);
    expect(clients.filter((client) => client.text().includes("200 OK"))).toHaveLength(4);
    // Others answer meanwhile, which is what makes it silent and not everybody slow.
    const before = asked.b!;
    for (let round = 0; round < 4; round += 1) {
      world.accept().send(GET);
      pass(100);
    }
    pass(400);
    expect(clients.filter((client) => client.text().includes("200 OK")).length).toBe(2);
    const asideSince = asked.b!;
    expect(asideSince - before).toBeLessThanOrEqual(2);
    for (let round = 0; round < 20; round += 1) world.accept().send(GET);
    pass(10);
    expect(asked.b! - asideSince).toBeLessThanOrEqual(1); // a trial at most
  });

  test("one that is not safe to repeat waits, and is never sent twice", () => {
    const clients = Array.from({ length: 3 }, () => world.accept().send(POST));
    for (let round = 0; round < 30; round += 1) {
      world.accept().send(GET);
      pass(100);
    }
    expect(clients.filter((client) => client.text().includes("200 OK"))).toHaveLength(2);
    expect(clients.every((client) => client.closedBy === undefined)).toBe(true);
    expect(posts).toBe(3);
  });
});

describe("an instance that never answers, and nobody else is asked", () => {
  beforeEach(async () => {
    world = await createWorld(mesh("http"));
    silent = "a";
    serve();
  });

  test("another one is asked beside after a second; if that answers, the first was silent", () => {
    const client = world.accept().send(GET);
    pass(990);
    expect(asked).toEqual({ a: 1 });
    pass(50);
    expect(client.text()).toContain("200 OK");
    for (let round = 0; round < 20; round += 1) world.accept().send(GET);
    pass(10);
    expect(asked.a).toBe(1);
  });

  test("if that does not answer either, both are waited for, and no third is asked", () => {
    waiting = [];
    serve(3_000);
    const client = world.accept().send(GET);
    pass(4_100);
    expect(asked).toEqual({ a: 1, b: 1 });
    expect(client.text()).toContain("200 OK");
  });

  test("what is not safe to repeat waits", () => {
    world.accept().send(POST);
    pass(10_000);
    expect(asked).toEqual({ a: 1 });
  });
});

test("HTTP/2: what a server's library says by itself is no answer", async () => {
  world = await createWorld(mesh("http2"));
  const talk = new Map<Wire, h2.FrameReader>();
  let elsewhere = 0;
  world.onConnect = (wire, name) => {
    opened.push(wire);
    wire.onBytes = (bytes) => {
      const reader = talk.get(wire) ?? new h2.FrameReader(true);
      talk.set(wire, reader);
      for (const { type, id } of reader.read(bytes)) {
        if (type !== h2.HEADERS || name.includes("/b")) continue;
        elsewhere += 1;
        answers.push(() => wire.send(h2.headers(id, [[":status", "204"]], h2.END_HEADERS | h2.END_STREAM)));
      }
    };
  };
  const answers: (() => void)[] = [];
  const step = () => {
    for (const wire of opened.splice(0)) {
      wire.connect();
      wire.send(Buffer.concat([h2.settings(), h2.settings([], h2.ACK)]));
    }
    for (const answer of answers.splice(0)) answer();
    for (const wire of talk.keys()) if (wire.closedBy === undefined) wire.send(h2.windowUpdate(0, 100));
    world.pass(250);
  };
  const clients = Array.from({ length: 3 }, () => world.accept().send(GET));
  for (let round = 0; round < 10; round += 1) {
    world.accept().send(GET);
    step();
  }
  expect(clients.filter((client) => client.text().includes("204"))).toHaveLength(3);
  expect(elsewhere).toBeGreaterThan(3);
});

test("when nobody answers, nobody is silent: the wait goes on", async () => {
  world = await createWorld(mesh("http"));
  serve(5_000);
  const clients = Array.from({ length: 6 }, () => world.accept().send(GET));
  pass(4_900);
  expect(asked).toEqual({ a: 2, b: 2, c: 2 });
  pass(200);
  expect(clients.every((client) => client.text().includes("200 OK"))).toBe(true);
});

test("a service that is slow by nature is given ten times its p99", async () => {
  world = await createWorld(mesh("http"));
  serve(400);
  for (let round = 0; round < 12; round += 1) {
    world.accept().send(GET);
    pass(150);
  }
  silent = "b";
  pass(500);
  const client = Array.from({ length: 3 }, () => world.accept().send(GET));
  for (let round = 0; round < 20; round += 1) {
    world.accept().send(POST);
    pass(150);
  }
  // 3 s have passed, 4 s are allowed.
  expect(client.filter((one) => one.text().includes("200 OK"))).toHaveLength(2);
});

describe("PING", () => {
  let upstream: Wire;
  let reader: h2.FrameReader;
  let client: Wire;
  beforeEach(async () => {
    world = await createWorld("services: {web: {protocol: http2, instances: [{id: a, address: 10.0.0.1:80}]}}");
    client = world.accept().send(GET);
    upstream = world.upstreams[0]!;
    upstream.send(Buffer.concat([h2.settings(), h2.settings([], h2.ACK)]));
    reader = new h2.FrameReader(true);
    reader.read(upstream.read());
  });
  const pings = () => reader.read(upstream.read()).filter((frame) => frame.type === h2.PING);

  test("answered in the same millisecond: that is an answer", () => {
    let asked = 0;
    const endUs = world.nowUs + 20_000_000;
    while (world.nowUs < endUs) {
      world.pass((world.engine.deadline() - world.nowUs) / 1000);
      for (const ping of pings()) {
        asked += 1;
        upstream.send(h2.frame(h2.PING, h2.ACK, 0, ping.payload));
      }
    }
    expect(asked).toBe(1);
    expect(upstream.closedBy).toBeUndefined();
  });

  test("is asked after ten seconds of silence; without an answer in three the connection is given up", () => {
    world.pass(9_900);
    expect(pings()).toHaveLength(0);
    world.pass(200);
    expect(pings()).toHaveLength(1);
    world.pass(2_800);
    expect(upstream.closedBy).toBeUndefined();
    world.pass(300);
    expect(upstream.closedBy).toBe("reset");
    world.pass(300);
    expect(world.upstreams.length).toBeGreaterThan(1); // the GET is tried again
  });

  test("is asked twice in five minutes at most: gRPC servers end connections that ask more often", () => {
    let asked = 0;
    for (let second = 0; second < 300; second += 1) {
      world.pass(1_000);
      for (const ping of pings()) {
        asked += 1;
        upstream.send(h2.frame(h2.PING, h2.ACK, 0, ping.payload));
      }
    }
    expect(asked).toBe(2);
    expect(upstream.closedBy).toBeUndefined();
    expect(client.closedBy).toBeUndefined();
  });

  test("is not asked while answers come, nor of an idle connection", () => {
    upstream.send(h2.headers(1, [[":status", "200"]]));
    for (let round = 0; round < 5; round += 1) {
      world.pass(9_000);
      upstream.send(h2.data(1, Buffer.from("x")));
    }
    expect(pings()).toHaveLength(0);
    upstream.send(h2.data(1, Buffer.from("end"), h2.END_STREAM));
    world.pass(60_000);
    expect(pings()).toHaveLength(0);
    expect(upstream.closedBy).toBeUndefined();
  });
});
