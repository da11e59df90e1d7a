// The flood catalogue of reliability.md §1.2: each attack ends the connection with ENHANCE_YOUR_CALM, each honest
// neighbour of it does not, and memory is back at its base.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  CONTINUATION,
  data,
  END_HEADERS,
  END_STREAM,
  encodeFields,
  type Fields,
  frame,
  headers,
  PING,
  PRIORITY,
  ping,
  resetStream,
  settings,
  windowUpdate,
} from "../../support/frames.ts";
import { CLIENT, type H2Connection, loadH2, SERVER } from "../../support/h2.ts";
import { printEvents } from "../../support/h2-print.ts";

const engine = await loadH2();
const base = engine.exports.poolUsedBytes();
const get: Fields = [
  [":method", "GET"],
  [":scheme", "http"],
  [":authority", "a"],
  [":path", "/"],
];
const request = (id: number, flags = END_HEADERS | END_STREAM): Buffer => headers(id, get, flags);
const CANCEL = 8;
const FATAL = "FATAL ENHANCE_YOUR_CALM";
const SECOND = 1_000_000n;

let connection: H2Connection;
beforeEach(() => {
  engine.exports.setNow(0n);
  connection = engine.connect(SERVER);
  connection.handshake();
});
afterEach(() => {
  connection.destroy();
  expect(engine.exports.poolUsedBytes()).toBe(base);
  expect(engine.exports.streamCount()).toBe(0);
});

/** Feeds `step(index)` until the connection dies; returns after how many. */
function countUntilFatal(stepsMax: number, step: (index: number) => Buffer, reads = true): number {
  for (let index = 0; index < stepsMax; index += 1) {
    if (printEvents(connection.receive(step(index))).includes(FATAL)) {
      expect(connection.output().at(-1)).toMatch(/^GOAWAY ENHANCE_YOUR_CALM/);
      return index + 1;
    }
    if (reads) connection.frames();
  }
  return Number.POSITIVE_INFINITY;
}

/** The id of the n-th stream. */
const idOf = (index: number): number => index * 2 + 1;

describe("resets", () => {
  test("A1 rapid reset, one by one", () => {
    const count = countUntilFatal(3000, (index) =>
      Buffer.concat([request(idOf(index)), resetStream(idOf(index), CANCEL)]),
    );
    expect(count).toBe(1001);
  });

  test("A1 in batches of a hundred", () => {
    const count = countUntilFatal(50, (batch) => {
      const ids = Array.from({ length: 100 }, (_, index) => idOf(batch * 100 + index));
      return Buffer.concat([...ids.map((id) => request(id)), ...ids.map((id) => resetStream(id, CANCEL))]);
    });
    expect(count).toBe(11);
  });

  const provocations: readonly (readonly [string, (id: number) => Buffer])[] = [
    ["WINDOW_UPDATE of 0", (id) => windowUpdate(id, 0)],
    ["WINDOW_UPDATE overflow", (id) => windowUpdate(id, 0x7fffffff)],
    ["PRIORITY of a wrong length", (id) => frame(PRIORITY, 0, id, Buffer.alloc(4))],
    ["PRIORITY on itself", (id) => frame(PRIORITY, 0, id, Buffer.of(0, 0, id >> 8, id & 255, 1))],
    ["HEADERS after the end", (id) => request(id)],
    ["DATA after the end", (id) => data(id, "x")],
  ];
  test.each(provocations)("A2 made-you-reset by %s", (_, provoke) => {
    const count = countUntilFatal(3000, (index) => Buffer.concat([request(idOf(index)), provoke(idOf(index))]));
    expect(count).toBe(1001);
  });

  test("A11 malformed requests", () => {
    const count = countUntilFatal(3000, (index) =>
      headers(idOf(index), [[":method", "GET"]], END_HEADERS | END_STREAM),
    );
    expect(count).toBe(1001);
  });

  test("a method that HTTP/1.1 would not take is malformed", () => {
    const asking = (method: string) => [[":method", method], ...get.filter(([name]) => name !== ":method")] as const;
    connection.receive(headers(1, asking("A".repeat(32)), END_HEADERS | END_STREAM));
    expect(connection.output()).toEqual([]);
    connection.receive(headers(3, asking("A".repeat(33)), END_HEADERS | END_STREAM));
    expect(connection.output()).toEqual(["RST_STREAM 3 PROTOCOL_ERROR"]);
  });

  test("resets after a response are no attack, however many", () => {
    const count = countUntilFatal(5000, (index) => {
      const events = connection.receive(request(idOf(index), END_HEADERS));
      expect(events.map((event) => event.name)).toEqual(["HEAD"]);
      connection.respond(idOf(index), { status: 200 }, false);
      return resetStream(idOf(index), CANCEL);
    });
    expect(count).toBe(Number.POSITIVE_INFINITY);
  });

  test("a tenth of cancelled requests is no attack", () => {
    const count = countUntilFatal(20_000, (index) => {
      if (index % 10 === 0) return Buffer.concat([request(idOf(index)), resetStream(idOf(index), CANCEL)]);
      connection.receive(request(idOf(index)));
      connection.respond(idOf(index), { status: 200 }, true);
      connection.release(idOf(index));
      return Buffer.alloc(0);
    });
    expect(count).toBe(Number.POSITIVE_INFINITY);
  });

  test("the bucket fills again with time", () => {
    const count = countUntilFatal(3000, (index) => {
      engine.exports.setNow((SECOND * BigInt(index)) / 33n);
      return Buffer.concat([request(idOf(index)), resetStream(idOf(index), CANCEL)]);
    });
    expect(count).toBe(Number.POSITIVE_INFINITY);
  });

  test("a Pillion peer has sixteen times as much", () => {
    connection.receive(settings([[0xf0f1, 1]]));
    const count = countUntilFatal(20_000, (index) =>
      Buffer.concat([request(idOf(index)), resetStream(idOf(index), CANCEL)]),
    );
    expect(count).toBe(16_001);
  });

  test("an upstream's resets are no attack", () => {
    connection.destroy();
    connection = engine.connect(CLIENT);
    connection.handshake([[3, 1000]]);
    const count = countUntilFatal(5000, () => resetStream(connection.request({}, true), CANCEL));
    expect(count).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("field blocks", () => {
  test("A3 CONTINUATION without end", () => {
    connection.receive(headers(1, get, END_STREAM));
    expect(countUntilFatal(100, () => frame(CONTINUATION, 0, 1, Buffer.alloc(10)))).toBe(9);
  });

  test("A4 empty CONTINUATION frames count as well", () => {
    connection.receive(headers(1, get, END_STREAM));
    expect(countUntilFatal(100, () => frame(CONTINUATION, 0, 1, Buffer.alloc(0)))).toBe(9);
  });

  test("A3 the limit is met at the frame's header, before its payload", () => {
    connection.receive(headers(1, get, END_STREAM));
    for (let index = 0; index < 3; index += 1) connection.receive(frame(CONTINUATION, 0, 1, Buffer.alloc(16384)));
    const header = frame(CONTINUATION, 0, 1, Buffer.alloc(0), 16384);
    expect(printEvents(connection.receive(header))).toEqual([FATAL]);
  });

  test("A5 references to one large entry", () => {
    const name = "x".repeat(2000);
    const entry = Buffer.concat([Buffer.of(0x40, 0x7f, 0xd1, 0x0e), Buffer.from(name), Buffer.of(0)]);
    const pseudo = Buffer.from("828684410161", "hex");
    const flags = END_HEADERS | END_STREAM;
    expect(printEvents(connection.receive(frame(1, flags, 1, Buffer.concat([pseudo, entry]))))[0]).toMatch(/^HEAD 1/);
    const bomb = Buffer.concat([Buffer.from("828684bf", "hex"), Buffer.alloc(10_000, 0xbe)]);
    expect(printEvents(connection.receive(frame(1, flags, 3, bomb)))).toEqual([FATAL]);
  });

  test("a thousand cookie crumbs and two hundred fields are welcome", () => {
    const crumbs: Fields = Array.from({ length: 1000 }, (_, index) => ["cookie", `c${index}=1`]);
    const fields: Fields = Array.from({ length: 200 }, (_, index) => [`f${index}`, "v"]);
    const block = encodeFields([...get, ...crumbs, ...fields]);
    const [first, second] = [block.subarray(0, 16384), block.subarray(16384)];
    const input = Buffer.concat([frame(1, END_STREAM, 1, first), frame(CONTINUATION, END_HEADERS, 1, second)]);
    const [event] = connection.receive(input);
    expect(event!.name).toBe("HEAD");
    expect(event!.head!.fields).toEqual([...crumbs, ...fields]);
  });
});

describe("frames that say nothing", () => {
  test("A9 PING without reading the answers", () => {
    const count = countUntilFatal(5000, () => ping(), false);
    // What else waits in the output takes from the thousand.
    expect(count).toBeGreaterThan(900);
    expect(count).toBeLessThanOrEqual(1001);
  });

  test("A10 SETTINGS without reading the answers", () => {
    const count = countUntilFatal(5000, () => settings(), false);
    expect(count).toBeGreaterThan(900);
    expect(count).toBeLessThanOrEqual(1001);
  });

  test("PING and SETTINGS with the answers read", () => {
    expect(countUntilFatal(20_000, (index) => (index % 2 === 0 ? ping() : settings()))).toBe(Number.POSITIVE_INFINITY);
  });

  test("A29 one PING is too much when a megabyte of answers waits unread", () => {
    for (let id = 1; id < 2 * 100; id += 2) {
      connection.receive(request(id));
      connection.respond(id, { status: 200, fields: [["x", "y".repeat(15_000)]] }, true);
      connection.release(id);
    }
    expect(printEvents(connection.receive(ping()))).toEqual([FATAL]);
  });

  test("PING beside bulk on a slow link: an output that is never empty", () => {
    connection.receive(Buffer.concat([windowUpdate(0, 1_000_000), request(1)]));
    connection.receive(windowUpdate(1, 1_000_000));
    connection.respond(1, { status: 200 }, false);
    connection.sendData(1, Buffer.alloc(60_000), false);
    const count = countUntilFatal(
      4000,
      (index) => {
        engine.exports.setNow(SECOND * BigInt(index));
        return ping();
      },
      false,
    );
    expect(count).toBe(Number.POSITIVE_INFINITY);
  });

  test("A10 more entries than anybody has settings", () => {
    const entries = (count: number): Buffer => settings(Array.from({ length: count }, () => [1, 4096] as const));
    expect(printEvents(connection.receive(entries(32)))).toEqual([]);
    expect(printEvents(connection.receive(entries(33)))).toEqual([FATAL]);
  });

  test("A14 PRIORITY", () => {
    expect(countUntilFatal(5000, () => frame(PRIORITY, 0, 1, Buffer.of(0, 0, 0, 0, 1)))).toBe(101);
  });

  test("A14 A18 ids that were stepped over earn nothing", () => {
    connection.receive(request(1_000_001));
    expect(countUntilFatal(5000, () => frame(PRIORITY, 0, 1, Buffer.of(0, 0, 0, 0, 1)))).toBe(201);
    connection.destroy();
    connection = engine.connect(SERVER);
    connection.handshake();
    connection.receive(request(1_000_001));
    expect(countUntilFatal(5000, () => windowUpdate(0, 1))).toBe(8);
  });

  test("A16 empty DATA", () => {
    connection.receive(request(1, END_HEADERS));
    expect(countUntilFatal(5000, () => data(1, ""))).toBe(101);
  });

  test("A17 tiny DATA that nobody takes", () => {
    connection.creditsAtOnce = false;
    connection.receive(request(1, END_HEADERS));
    const count = countUntilFatal(20_000, () => data(1, "x"));
    expect(count).toBe(Math.floor(1_638_400 / 255) + 1);
  });

  test("tiny messages that are passed on are a conversation", () => {
    connection.receive(request(1, END_HEADERS));
    expect(countUntilFatal(30_000, () => data(1, "\0\0\0\0\x01x"))).toBe(Number.POSITIVE_INFINITY);
  });

  test("A18 WINDOW_UPDATE for nothing", () => {
    expect(countUntilFatal(5000, () => windowUpdate(0, 1))).toBe(6);
  });

  test("WINDOW_UPDATE for what was sent", () => {
    connection.receive(request(1, END_HEADERS | END_STREAM));
    connection.respond(1, { status: 200 }, false);
    const count = countUntilFatal(2000, () => {
      connection.sendData(1, Buffer.alloc(1000), false);
      return Buffer.concat([windowUpdate(0, 1000), windowUpdate(1, 1000)]);
    });
    expect(count).toBe(Number.POSITIVE_INFINITY);
  });

  test("answers to a PING that was never sent", () => {
    const answers = Buffer.concat(Array.from({ length: 100 }, () => frame(PING, 1, 0, Buffer.alloc(8))));
    expect(countUntilFatal(200, () => answers)).toBe(101);
  });
});

describe("streams", () => {
  test("A28 above the limit: refused, then cut off", () => {
    const open = Buffer.concat(Array.from({ length: 256 }, (_, index) => request(idOf(index))));
    expect(connection.receive(open)).toHaveLength(256);
    connection.output();
    expect(printEvents(connection.receive(request(idOf(256))))).toEqual([]);
    expect(connection.output()).toEqual([`RST_STREAM ${idOf(256)} REFUSED_STREAM`]);
    expect(countUntilFatal(500, (index) => request(idOf(257 + index)))).toBe(100);
  });

  test("a slot is free when the proxy released it, not when the wire says so", () => {
    const open = Buffer.concat(Array.from({ length: 256 }, (_, index) => request(idOf(index))));
    connection.receive(open);
    connection.respond(1, { status: 200 }, true);
    connection.output();
    connection.receive(request(idOf(256)));
    expect(connection.output()).toEqual([`RST_STREAM ${idOf(256)} REFUSED_STREAM`]);
    connection.release(1);
    expect(printEvents(connection.receive(request(idOf(257))))).toHaveLength(1);
  });

  test("a Pillion peer may open more", () => {
    connection.receive(settings([[0xf0f1, 1]]));
    expect(connection.output()).toEqual(["SETTINGS 3=512", "SETTINGS ACK"]);
    const open = Buffer.concat(Array.from({ length: 512 }, (_, index) => request(idOf(index))));
    expect(connection.receive(open)).toHaveLength(512);
    connection.receive(request(idOf(512)));
    expect(connection.output()).toEqual([`RST_STREAM ${idOf(512)} REFUSED_STREAM`]);
  });

  test("A29 resets that nobody reads", () => {
    let sent = 0;
    const count = countUntilFatal(
      200_000,
      () => {
        // Answered and released at once: only the frames that follow make us say something.
        const id = idOf(sent);
        sent += 1;
        connection.receive(request(id));
        connection.respond(id, { status: 200, fields: [["x", "y".repeat(200)]] }, true);
        connection.release(id);
        return ping();
      },
      false,
    );
    expect(count).toBeLessThan(8000);
    expect(engine.exports.outputTotal(connection.address)).toBeLessThan(2_000_000);
  });
});

describe("turns", () => {
  test("a hundred frames, then the next connection", () => {
    connection.receive(Buffer.concat(Array.from({ length: 100 }, () => ping())));
    expect(connection.blocks).toBe(0);
    connection.receive(Buffer.concat(Array.from({ length: 250 }, () => ping())));
    expect(connection.blocks).toBe(2);
  });

  test("DATA that is worth its frame does not count", () => {
    connection.receive(request(1, END_HEADERS));
    connection.receive(Buffer.concat(Array.from({ length: 200 }, () => data(1, Buffer.alloc(1024)))));
    expect(connection.blocks).toBe(0);
    connection.receive(Buffer.concat(Array.from({ length: 150 }, () => data(1, Buffer.alloc(1023)))));
    expect(connection.blocks).toBe(1);
  });
});

describe("an exhausted pool", () => {
  const blocks: number[] = [];
  const exhaust = (): void => {
    for (let size = 131072; size >= 256; size /= 2) {
      for (let block = engine.exports.allocate(size); block !== 0; block = engine.exports.allocate(size)) {
        blocks.push(block);
      }
    }
  };
  afterEach(() => {
    for (const block of blocks.splice(0)) engine.exports.release(block);
  });

  test("ends a connection whose frame is cut, and nothing else", () => {
    exhaust();
    expect(printEvents(connection.receive(request(1)))).toHaveLength(1);
    expect(printEvents(connection.receive(request(3).subarray(0, 20)))).toEqual(["FATAL INTERNAL_ERROR"]);
  });

  test("ends a connection whose block is in fragments", () => {
    exhaust();
    expect(printEvents(connection.receive(headers(1, get, END_STREAM)))).toEqual(["FATAL INTERNAL_ERROR"]);
  });

  test("loses what cannot be said, without a trap", () => {
    connection.receive(request(1));
    connection.output();
    exhaust();
    connection.respond(1, { status: 200 }, false);
    connection.sendData(1, "x", true);
    expect(connection.outputBytes()).toHaveLength(0);
  });

  test("that is nearly full grants each stream no more than the default window", () => {
    connection.creditsAtOnce = false;
    connection.receive(request(1, END_HEADERS));
    exhaust();
    const all = blocks.length;
    for (const block of blocks.splice(0, Math.floor(all * 0.12))) engine.exports.release(block);
    for (let index = 0; index < 16; index += 1) connection.receive(data(1, Buffer.alloc(16384)));
    connection.credit(1, 262144);
    expect(connection.output()).toEqual(["WINDOW_UPDATE 1 65535"]);
    connection.receive(data(1, Buffer.alloc(16384)));
    connection.credit(1, 16384);
    expect(connection.output()).toEqual([]);
    connection.receive(Buffer.concat([data(1, Buffer.alloc(16384)), data(1, Buffer.alloc(16384))]));
    connection.credit(1, 32768);
    expect(connection.output()).toEqual(["WINDOW_UPDATE 1 49152"]);
  });

  test("withholds credit until something was released", () => {
    connection.creditsAtOnce = false;
    connection.receive(request(1, END_HEADERS));
    exhaust();
    const kept = blocks.splice(0, 2);
    for (const block of kept) engine.exports.release(block);
    for (let id = 1; id < 2 * 9; id += 2) {
      if (id > 1) connection.receive(request(id, END_HEADERS));
      for (let index = 0; index < 15; index += 1) connection.receive(data(id, Buffer.alloc(16384)));
    }
    expect(connection.output()).toEqual([]);
    // More than half of the connection's window is owed; it is given when there is room and a stream goes.
    for (const block of blocks.splice(0)) engine.exports.release(block);
    connection.release(1);
    expect(connection.output()).toEqual(["RST_STREAM 1 CANCEL", "WINDOW_UPDATE 0 2211840"]);
  });
});
