// Goal: a unary gRPC call is judged by its trailers, and no stream waits for it (DESIGN §2 rule 10).
// Method: two hand-written gRPC servers in virtual time; the first says in its trailers how it went.

import { beforeEach, expect, test } from "vitest";
import * as h2 from "../../../support/frames.ts";
import { createWorld, type Wire, type World } from "../../../support/world.ts";

const mesh = (retry: string) => `
services:
  greeter:
    protocol: grpc
    balance: {policy: round-robin}
    ${retry}
    instances: [{id: a, address: 10.0.0.1:80}, {id: b, address: 10.0.0.2:80}]
`;
const RETRY = "retry: {when: [unprocessed, unavailable]}";
const MESSAGE = Buffer.from([0, 0, 0, 0, 2, 104, 105]);
const HEAD: h2.Fields = [
  [":status", "200"],
  ["content-type", "application/grpc"],
];

let world: World;
let client: Wire;
let answers: h2.FrameReader;

async function start(yaml: string, more: h2.Fields = []): Promise<void> {
  world = await createWorld(yaml);
  client = world.accept();
  answers = new h2.FrameReader(false);
  client.send(Buffer.concat([h2.PREFACE, h2.settings(), h2.settings([], h2.ACK)]));
  call(1, more);
}

function call(id = 1, more: h2.Fields = []): void {
  const fields: h2.Fields = [
    [":method", "POST"],
    [":scheme", "http"],
    [":authority", "greeter"],
    [":path", "/helloworld.Greeter/SayHello"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
    ...more,
  ];
  client.send(Buffer.concat([h2.headers(id, fields), h2.data(id, MESSAGE, h2.END_STREAM)]));
}

/** The newest upstream, ready to answer stream 1. */
function server(): Wire {
  const wire = world.upstreams.at(-1)!;
  wire.send(Buffer.concat([h2.settings(), h2.settings([], h2.ACK)]));
  return wire;
}

/** What the client has been told since it was asked last: types of frames on stream 1, and the status of trailers. */
function told(): string {
  return answers
    .read(client.read())
    .filter((frame) => frame.id === 1)
    .map((frame) => (frame.type === h2.HEADERS ? "head" : frame.type === h2.DATA ? "data" : h2.FRAME_TYPES[frame.type]))
    .join(" ");
}

const trailers = (code: number) => h2.headers(1, [["grpc-status", `${code}`]], h2.END_HEADERS | h2.END_STREAM);

beforeEach(() => start(mesh(RETRY)));

test("trailers with a code that is retried: nothing went downstream, another instance is asked", () => {
  server().send(Buffer.concat([h2.headers(1, HEAD), h2.data(1, MESSAGE), trailers(14)]));
  expect(told()).toBe("");
  world.pass(300);
  expect(world.upstreams).toHaveLength(2);
  expect(world.upstreams[1]!.slot).not.toBe(world.upstreams[0]!.slot);
  server().send(Buffer.concat([h2.headers(1, HEAD), h2.data(1, MESSAGE), trailers(0)]));
  expect(told()).toBe("head data head");
});

test("the same in pieces, within two milliseconds", () => {
  const first = server();
  first.send(h2.headers(1, HEAD));
  world.pass(1);
  first.send(h2.data(1, MESSAGE));
  expect(told()).toBe("");
  first.send(trailers(14));
  world.pass(300);
  expect(world.upstreams).toHaveLength(2);
});

test("trailers with any other code pass", () => {
  server().send(Buffer.concat([h2.headers(1, HEAD), h2.data(1, MESSAGE), trailers(5)]));
  expect(told()).toBe("head data head");
  expect(world.upstreams).toHaveLength(1);
});

test("a stream is delayed by two milliseconds at most", () => {
  const first = server();
  first.send(h2.headers(1, HEAD));
  world.pass(1);
  expect(told()).toBe("");
  world.pass(1);
  expect(told()).toBe("head");
  first.send(h2.data(1, MESSAGE));
  expect(told()).toBe("data");
  first.send(trailers(14));
  expect(told()).toBe("head");
  expect(world.upstreams).toHaveLength(1);
});

test("and by one message of ordinary size at most", () => {
  const first = server();
  first.send(Buffer.concat([h2.headers(1, HEAD), h2.data(1, Buffer.alloc(16_384)), h2.data(1, MESSAGE)]));
  expect(told()).toMatch(/^head( data)+$/); // what waited is sent as it lay: not in the server's frames
});

test("a server that breaks off while its answer is held: the client hears of both", () => {
  const first = server();
  first.send(Buffer.concat([h2.headers(1, HEAD), h2.data(1, MESSAGE), h2.resetStream(1, 2)]));
  expect(told()).toBe("head data RST_STREAM");
});

test("a client that goes away while its answer is held: nothing is left behind", () => {
  const first = server();
  first.send(Buffer.concat([h2.headers(1, HEAD), h2.data(1, MESSAGE)]));
  client.send(h2.resetStream(1, 8));
  expect(world.engine.exchangeCount()).toBe(0);
  world.pass(10);
  expect(told()).toBe("");
});

test("several are let go in the order in which they came, whichever was dropped between", () => {
  const first = server();
  call(3);
  call(5);
  const second = server(); // streams 1 and 5 are with one instance, 3 with the other
  first.send(h2.headers(1, HEAD));
  world.pass(1);
  second.send(h2.headers(1, HEAD));
  first.send(h2.headers(3, HEAD));
  client.send(h2.resetStream(3, 8));
  world.pass(1);
  expect(told()).toBe("head");
  world.pass(2);
  expect(world.engine.exchangeCount()).toBe(2);
});

test("nothing is held where the document does not retry on gRPC codes, nor when no attempt is left", async () => {
  for (const retry of ["", "retry: {attempts: 0, when: [unprocessed, unavailable]}"]) {
    await start(mesh(retry));
    server().send(h2.headers(1, HEAD));
    expect(told()).toBe("head");
  }
});

test("the attempt's time is over while its answer is held: the head was in time, nothing is asked again", async () => {
  const key: h2.Fields = [["idempotency-key", "k"]];
  await start(mesh(`${RETRY.replace("]}", ", idempotent]}")}\n    timeout: {attempt: 100ms}`), key);
  const first = server();
  world.pass(99);
  // Half a millisecond before the timer of the attempt.
  world.pass((world.engine.deadline() - world.nowUs) / 1000 - 0.5);
  first.send(Buffer.concat([h2.headers(1, HEAD), h2.data(1, MESSAGE)]));
  world.pass(50);
  expect(told()).toBe("head data");
  first.send(trailers(0));
  expect(told()).toBe("head");
  world.pass(1_000);
  expect(world.upstreams).toHaveLength(1);
  expect(world.engine.exchangeCount()).toBe(0);
});

test("an answer to an Upgrade is never held, whatever its content-type is", async () => {
  world = await createWorld(mesh(RETRY).replace("protocol: grpc", "protocol: http"));
  client = world.accept();
  answers = new h2.FrameReader(false);
  client.send(Buffer.concat([h2.PREFACE, h2.settings(), h2.settings([], h2.ACK)]));
  const fields: h2.Fields = [
    [":method", "CONNECT"],
    [":protocol", "websocket"],
    [":scheme", "http"],
    [":authority", "greeter"],
    [":path", "/"],
    ["content-type", "application/grpc"],
    ["sec-websocket-version", "13"],
  ];
  client.send(h2.headers(1, fields, h2.END_HEADERS));
  const first = world.upstreams[0]!;
  first.send("HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ncontent-length: 9\r\n\r\nabc");
  expect(told()).toMatch(/^head/);
  world.pass(10);
  expect(world.engine.exchangeCount()).toBe(0);
});
