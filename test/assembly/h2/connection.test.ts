// Verbs that conversations of frames do not show: limits, opening, FIN, long heads, and what an idle connection holds.

import { afterEach, describe, expect, test } from "vitest";
import {
  CONTINUATION,
  data,
  END_HEADERS,
  END_STREAM,
  type Fields,
  frame,
  goaway,
  HEADERS,
  headers,
  PREFACE,
  ping,
  settings,
} from "../../support/frames.ts";
import { CLIENT, type H2Connection, loadH2, SERVER } from "../../support/h2.ts";
import { printEvents } from "../../support/h2-print.ts";

const engine = await loadH2();
const { exports } = engine;
const base = exports.poolUsedBytes();
const get: Fields = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
];
const request = (id: number): Buffer => headers(id, get, END_HEADERS | END_STREAM);

let connections: H2Connection[] = [];
function connect(role: number, isPillion = false, entries: readonly (readonly [number, number])[] = []): H2Connection {
  const connection = engine.connect(role, isPillion);
  connection.handshake(entries);
  connections.push(connection);
  return connection;
}
afterEach(() => {
  for (const connection of connections) connection.destroy();
  connections = [];
  expect(exports.poolUsedBytes()).toBe(base);
  expect(exports.streamCount()).toBe(0);
});

describe("opening", () => {
  test("as many as the peer allows, again when one was released", () => {
    const connection = connect(CLIENT, false, [[3, 2]]);
    expect(exports.maxStreamsH2(connection.address)).toBe(2);
    const id = connection.request({}, true);
    connection.request({}, true);
    expect(exports.canOpenH2(connection.address)).toBe(0);
    expect(exports.openH2(connection.address)).toBe(0);
    connection.release(id);
    expect(exports.canOpenH2(connection.address)).toBe(1);
  });

  test("a hundred before SETTINGS, at most 1,024 after", () => {
    const connection = engine.connect(CLIENT);
    connections.push(connection);
    expect(exports.maxStreamsH2(connection.address)).toBe(100);
    connection.receive(settings());
    expect(exports.maxStreamsH2(connection.address)).toBe(512);
  });

  test("a limit of nothing, and news of a higher one", () => {
    const connection = connect(CLIENT, false, [[3, 0]]);
    expect(exports.canOpenH2(connection.address)).toBe(0);
    expect(printEvents(connection.receive(settings([[3, 5]])))).toEqual(["CREDIT"]);
    expect(exports.canOpenH2(connection.address)).toBe(1);
    expect(printEvents(connection.receive(settings([[3, 4]])))).toEqual([]);
  });

  test("heads may be sent in another order than streams were opened", () => {
    const connection = connect(CLIENT);
    const [first, second] = [exports.openH2(connection.address), exports.openH2(connection.address)];
    exports.sendHeadH2(second, engine.writeHead(0, { path: "/second" }), true);
    exports.sendHeadH2(first, engine.writeHead(0, { path: "/first" }), true);
    expect([exports.streamId(first), exports.streamId(second)]).toEqual([3, 1]);
    expect(connection.output().map((line) => line.slice(0, 9))).toEqual(["HEADERS 1", "HEADERS 3"]);
  });

  test("what was never announced is not reset on the wire", () => {
    const connection = connect(CLIENT);
    const stream = exports.openH2(connection.address);
    exports.resetH2(stream, 8);
    exports.sendHeadH2(stream, engine.writeHead(0, {}), true);
    exports.releaseStreamH2(stream);
    exports.releaseStreamH2(exports.openH2(connection.address));
    expect(connection.output()).toEqual([]);
  });

  test("what was never announced is unprocessed after GOAWAY", () => {
    const connection = connect(CLIENT);
    const id = connection.request({}, true);
    exports.openH2(connection.address);
    const events = printEvents(connection.receive(goaway(id, 0)));
    expect(events).toEqual([`GOAWAY NO_ERROR last=${id}`, "RESET 0 NO_ERROR peer unprocessed"]);
    expect(exports.canOpenH2(connection.address)).toBe(0);
  });

  test("whether the peer takes extended CONNECT", () => {
    expect(exports.hasExtendedConnectH2(connect(CLIENT).address)).toBe(0);
    expect(exports.hasExtendedConnectH2(connect(CLIENT, false, [[8, 1]]).address)).toBe(1);
  });
});

describe("the peer's FIN", () => {
  test("cuts short what was not whole, and leaves whole requests to be answered", () => {
    const connection = connect(SERVER);
    connection.receive(Buffer.concat([request(1), headers(3, get, END_HEADERS), request(5)]));
    expect(printEvents(connection.end())).toEqual(["RESET 3 CANCEL peer"]);
    connection.respond(1, { status: 200 }, true);
    connection.respond(5, { status: 200 }, true);
    expect(connection.output()).toEqual(["HEADERS 1 ES | :status 200", "HEADERS 5 ES | :status 200"]);
  });

  test("of an upstream cuts short its responses; what was not sent is unprocessed", () => {
    const connection = connect(CLIENT);
    const ids = [connection.request({}, true), connection.request({}, true)];
    connection.receive(headers(ids[0]!, [[":status", "200"]], END_HEADERS | END_STREAM));
    exports.openH2(connection.address);
    expect(printEvents(connection.end())).toEqual(["RESET 0 CANCEL peer unprocessed", `RESET ${ids[1]} CANCEL peer`]);
    expect(exports.canOpenH2(connection.address)).toBe(0);
  });

  test("on an idle connection is nothing", () => {
    expect(connect(SERVER).end()).toEqual([]);
  });
});

describe("long heads", () => {
  const fields: Fields = Array.from({ length: 12 }, (_, index) => [`x-f${index}`, `${index}`.repeat(3500)]);

  test("go out as HEADERS and CONTINUATION, the end on the first, the end of the block on the last", () => {
    const connection = connect(SERVER);
    connection.receive(request(1));
    connection.respond(1, { status: 200, fields }, true);
    const frames = connection.frames();
    expect(frames.map(({ type, flags, payload }) => [type, flags, payload.length])).toEqual([
      [HEADERS, END_STREAM, 16384],
      [CONTINUATION, 0, 16384],
      [CONTINUATION, END_HEADERS, expect.any(Number)],
    ]);
  });

  test("go out in one frame where the peer takes larger ones", () => {
    const connection = connect(SERVER, false, [[5, 100_000]]);
    connection.receive(request(1));
    connection.respond(1, { status: 200, fields }, true);
    expect(connection.frames().map(({ type, flags }) => [type, flags])).toEqual([[HEADERS, END_STREAM | END_HEADERS]]);
  });

  test("arrive whole at another of us", () => {
    const [client, server] = [connect(CLIENT), connect(SERVER)];
    const id = client.request({ fields, path: `/${"p".repeat(8000)}` }, true);
    const [event] = server.receive(client.outputBytes());
    expect(event!.id).toBe(id);
    expect(event!.head!.fields).toEqual(fields);
    expect(event!.head!.path).toBe(`/${"p".repeat(8000)}`);
  });
});

describe("memory", () => {
  test("an idle connection holds none but HPACK's", () => {
    const connection = connect(SERVER);
    const before = exports.poolUsedBytes();
    const block = headers(1, get, 0).subarray(9);
    for (const piece of [
      headers(1, get, END_STREAM),
      frame(CONTINUATION, END_HEADERS, 1, Buffer.alloc(0)),
      data(1, "").subarray(0, 4),
      data(1, "").subarray(4),
      settings([[4, 5]]).subarray(0, 12),
      settings([[4, 5]]).subarray(12),
      frame(HEADERS, END_HEADERS | END_STREAM, 3, block).subarray(0, 15),
      frame(HEADERS, END_HEADERS | END_STREAM, 3, block).subarray(15),
      ping().subarray(0, 5),
      ping().subarray(5),
    ]) {
      connection.receive(piece);
    }
    connection.outputBytes();
    expect(exports.poolUsedBytes()).toBe(before);
  });

  test("an announced frame takes memory only as it arrives", () => {
    const connection = connect(SERVER);
    const before = exports.poolUsedBytes();
    connection.receive(frame(HEADERS, END_HEADERS, 1, Buffer.alloc(0), 16384));
    expect(exports.poolUsedBytes() - before).toBe(256);
    connection.receive(Buffer.alloc(1000));
    expect(exports.poolUsedBytes() - before).toBe(1024);
  });

  test("a connection that stops in the middle of everything gives it back", () => {
    const connection = engine.connect(SERVER);
    connection.receive(Buffer.concat([PREFACE, settings()]));
    connection.receive(headers(1, get, END_STREAM));
    connection.receive(frame(CONTINUATION, 0, 1, Buffer.alloc(300)).subarray(0, 200));
    connection.destroy();
    expect(exports.poolUsedBytes()).toBe(base);
  });
});

describe("refused streams", () => {
  test("each accepted one forgives one", () => {
    const connection = connect(SERVER);
    let opened = 0;
    const open = (count: number): string[] => {
      const ids = Array.from({ length: count }, (_, index) => (opened + index) * 2 + 1);
      opened += count;
      return connection.receive(Buffer.concat(ids.map(request))).map((event) => event.name);
    };
    for (let round = 0; round < 5; round += 1) {
      open(256 - connection.streams.size);
      expect(open(60)).toEqual([]);
      for (const id of [...connection.streams.keys()].slice(0, 80)) {
        connection.respond(id, { status: 200 }, true);
        connection.release(id);
      }
    }
    open(256 - connection.streams.size);
    expect(open(101)).toContain("FATAL");
  });
});
