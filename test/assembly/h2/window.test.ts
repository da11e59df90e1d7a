// Flow control against a model that anybody can check: windows as plain numbers, one rule after the other.

import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { data, END_HEADERS, END_STREAM, headers, resetStream, settings, windowUpdate } from "../../support/frames.ts";
import { type H2Connection, loadH2, SERVER } from "../../support/h2.ts";
import { printEvents } from "../../support/h2-print.ts";

const engine = await loadH2();
const base = engine.exports.poolUsedBytes();
const LARGEST = 0x7fffffff;
const OUTPUT_HIGH = 262144;
const STREAM_WINDOW = 262144;
const CONNECTION_WINDOW = 4194304;

afterEach(() => {
  expect(engine.exports.poolUsedBytes()).toBe(base);
});

function open(connection: H2Connection, id: number, flags: number): void {
  const fields = [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", "/"],
  ] as const;
  connection.receive(headers(id, fields, flags));
}

describe("sending", () => {
  const size = fc.oneof(
    fc.integer({ min: 0, max: 40 }),
    fc.integer({ min: 0, max: 70_000 }),
    fc.constantFrom(LARGEST, LARGEST - 1, LARGEST - 65_535, 65_535),
  );
  const operation = fc.oneof(
    fc.record({ kind: fc.constant("settings" as const), size }),
    fc.record({ kind: fc.constant("update" as const), on: fc.nat({ max: 3 }), size }),
    fc.record({ kind: fc.constant("send" as const), on: fc.integer({ min: 1, max: 3 }), size }),
    fc.record({ kind: fc.constant("drain" as const) }),
    fc.record({ kind: fc.constant("open" as const) }),
    fc.record({ kind: fc.constant("reset" as const), on: fc.integer({ min: 1, max: 3 }) }),
  );

  test("windows follow the model through settings, updates, data and resets", () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const connection = engine.connect(SERVER, true);
        connection.handshake();
        try {
          const model = new SendModel();
          for (const one of operations) {
            model.apply(connection, one);
            if (model.isDead) return;
            model.compare(connection);
          }
        } finally {
          connection.destroy();
        }
      }),
      { numRuns: 400 },
    );
  });

  type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

  class SendModel {
    connection = 65_535;
    initial = 65_535;
    isDead = false;
    queued = 0;
    lastId = -1;
    readonly streams = new Map<number, number>();

    apply(connection: H2Connection, one: Operation): void {
      // Streams are addressed by their rank, so that shrinking keeps a meaning.
      const id = "on" in one ? [...this.streams.keys()][one.on - 1] : undefined;
      switch (one.kind) {
        case "settings": {
          const events = printEvents(connection.receive(settings([[4, one.size]])));
          const delta = one.size - this.initial;
          this.initial = one.size;
          for (const [stream, window] of this.streams) this.streams.set(stream, window + delta);
          this.isDead = [...this.streams.values()].some((window) => window > LARGEST);
          expect(events.includes("FATAL FLOW_CONTROL_ERROR")).toBe(this.isDead);
          return;
        }
        case "update": {
          if (one.on !== 0 && id === undefined) return;
          const events = printEvents(connection.receive(windowUpdate(one.on === 0 ? 0 : id!, one.size)));
          if (one.on === 0) {
            this.connection += one.size;
            this.isDead = one.size === 0 || this.connection > LARGEST;
            expect(events.some((line) => line.startsWith("FATAL"))).toBe(this.isDead);
            return;
          }
          const before = this.streams.get(id!)!;
          const after = before + one.size;
          const isReset = one.size === 0 || after > LARGEST;
          expect(events.some((line) => line.startsWith("RESET"))).toBe(isReset);
          expect(events.includes(`CREDIT ${id}`)).toBe(!isReset && before <= 0 && after > 0);
          if (isReset) this.streams.delete(id!);
          else this.streams.set(id!, after);
          return;
        }
        case "send": {
          if (id === undefined) return;
          const length = Math.min(one.size, connection.sendable(id));
          connection.sendData(id, Buffer.alloc(length), false);
          this.streams.set(id, this.streams.get(id)! - length);
          this.connection -= length;
          return;
        }
        case "drain":
          connection.frames();
          return;
        case "open": {
          if (this.streams.size === 3) return;
          this.lastId += 2;
          open(connection, this.lastId, END_HEADERS | END_STREAM);
          connection.respond(this.lastId, { status: 200 }, false);
          this.streams.set(this.lastId, this.initial);
          return;
        }
        case "reset": {
          if (id === undefined) return;
          connection.receive(resetStream(id, 8));
          this.streams.delete(id);
        }
      }
    }

    compare(connection: H2Connection): void {
      const { exports } = engine;
      const queued = exports.outputTotal(connection.address);
      expect(exports.windowOf(connection.address, 2)).toBe(this.connection);
      expect([...connection.streams.keys()].sort()).toEqual([...this.streams.keys()].sort());
      for (const [id, window] of this.streams) {
        expect(exports.windowOf(connection.stream(id), 0)).toBe(window);
        const room = Math.max(0, OUTPUT_HIGH - queued);
        expect(connection.sendable(id)).toBe(Math.max(0, Math.min(window, this.connection, room)));
      }
    }
  }
});

describe("receiving", () => {
  const operation = fc.oneof(
    fc.record({
      kind: fc.constant("data" as const),
      on: fc.nat({ max: 2 }),
      length: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 16_000 }), fc.constant(16_384)),
      padding: fc.option(fc.nat({ max: 255 })),
    }),
    fc.record({
      kind: fc.constant("credit" as const),
      on: fc.nat({ max: 2 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
    fc.record({ kind: fc.constant("cancel" as const), on: fc.nat({ max: 2 }) }),
  );

  test("the peer's windows and ours are the same, and credit comes back", () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const connection = engine.connect(SERVER, true);
        connection.handshake();
        connection.creditsAtOnce = false;
        connection.releasesOnReset = false;
        for (const id of [1, 3, 5]) open(connection, id, END_HEADERS);
        // As the peer sees it.
        let shared = CONNECTION_WINDOW;
        const windows = new Map([1, 3, 5].map((id) => [id, STREAM_WINDOW]));
        const held = new Map([1, 3, 5].map((id) => [id, 0]));
        const cancelled = new Set<number>();
        const hear = (): void => {
          for (const one of connection.frames()) {
            if (one.type !== 8) continue;
            const increment = one.payload.readUInt32BE();
            if (one.id === 0) shared += increment;
            else windows.set(one.id, windows.get(one.id)! + increment);
          }
        };
        for (const one of operations) {
          const id = one.on * 2 + 1;
          if (one.kind === "data") {
            const length = one.padding === null ? one.length : Math.min(one.length, 16_384 - 1 - one.padding);
            const total = one.padding === null ? length : length + 1 + one.padding;
            if (total > shared || (total > windows.get(id)! && !cancelled.has(id))) continue;
            const payload =
              one.padding === null
                ? data(id, Buffer.alloc(length))
                : data(id, Buffer.concat([Buffer.of(one.padding), Buffer.alloc(length + one.padding)]), 8);
            const events = connection.receive(payload);
            expect(events.map((event) => event.name)).toEqual(cancelled.has(id) ? [] : ["DATA"]);
            shared -= total;
            windows.set(id, windows.get(id)! - total);
            held.set(id, held.get(id)! + length);
          } else if (one.kind === "credit") {
            const bytes = Math.floor(held.get(id)! * one.share);
            held.set(id, held.get(id)! - bytes);
            connection.credit(id, bytes);
          } else {
            connection.reset(id, 8);
            cancelled.add(id);
          }
          hear();
          expect(engine.exports.windowOf(connection.address, 3)).toBe(shared);
          expect(shared).toBeGreaterThan(CONNECTION_WINDOW / 2);
          for (const stream of [1, 3, 5]) {
            if (cancelled.has(stream)) continue;
            expect(engine.exports.windowOf(connection.stream(stream), 1)).toBe(windows.get(stream));
            expect(windows.get(stream)! + held.get(stream)!).toBeGreaterThan(STREAM_WINDOW / 2);
            expect(windows.get(stream)! + held.get(stream)!).toBeLessThanOrEqual(STREAM_WINDOW);
          }
        }
        connection.destroy();
      }),
      { numRuns: 200 },
    );
  });

  test("a byte above the connection's window is a connection error", () => {
    const connection = engine.connect(SERVER);
    connection.handshake();
    connection.creditsAtOnce = false;
    // Seventeen streams' windows are more than the connection's; nothing is owed until half of it has come.
    const names: string[] = [];
    for (let id = 1; id < 2 * 17; id += 2) {
      open(connection, id, END_HEADERS);
      for (let index = 0; index < 16; index += 1) {
        names.push(...connection.receive(data(id, Buffer.alloc(16_384))).map((event) => event.name));
      }
    }
    // Credit was given on receipt: the window never ran dry.
    expect(names).not.toContain("FATAL");
    expect(connection.output().filter((line) => line.startsWith("WINDOW_UPDATE 0"))).toHaveLength(2);
    connection.destroy();
  });
});
