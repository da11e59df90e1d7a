// The decoder: every rule that a block can break, the plain twin on random tables and evictions, memory, lost text.

import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { NAME_CONTENT_LENGTH, NAME_OTHER } from "../../../assembly/abi/field-names.ts";
import {
  HPACK_BAD_HUFFMAN,
  HPACK_BAD_INDEX,
  HPACK_BAD_INTEGER,
  HPACK_BAD_SIZE_UPDATE,
  HPACK_TRUNCATED,
} from "../../../assembly/abi/hpack-codes.ts";
import { encodeIntegerModel, HpackModel, type Literal, type Row } from "../../models/hpack.ts";
import { field, type Hpack, hex, loadHpack } from "../../support/hpack.ts";

let hpack: Hpack;
let at: number;
beforeEach(async () => {
  hpack = await loadHpack();
  at = hpack.createTables();
});

function endOf(wire: string): number {
  return hpack.decode(at, hex(wire)).end;
}

function literal(name: string, value: string, kind: Literal = "inserted", isCoded = false): Buffer {
  return Buffer.from(new HpackModel().encodeLiteral(kind, 0, [name, value], isCoded));
}

describe("refusals", () => {
  test("index 0, and beyond both tables", () => {
    expect(endOf("80")).toBe(HPACK_BAD_INDEX);
    expect(endOf("be")).toBe(HPACK_BAD_INDEX); // 62 in an empty table
    expect(endOf("7f00 00")).toBe(HPACK_BAD_INDEX); // name 63
    expect(endOf("ff ffffff7f")).toBe(HPACK_BAD_INDEX);
    expect(hpack.decode(at, literal("a", "b")).end).toBe(0);
    expect(endOf("be")).toBe(0);
    expect(endOf("bf")).toBe(HPACK_BAD_INDEX);
    expect(endOf("0f31 00")).toBe(HPACK_BAD_INDEX); // name 64
  });

  test("integers", () => {
    expect(endOf("ff ff ff ff ff 01")).toBe(HPACK_BAD_INTEGER);
    expect(endOf("ff 80 80 80 80 00")).toBe(HPACK_BAD_INTEGER);
    expect(endOf("0f ff ff ff ff 7f 00")).toBe(HPACK_BAD_INTEGER);
    expect(endOf("00 7f ff ff ff ff 0f")).toBe(HPACK_BAD_INTEGER);
    expect(endOf("3f ff ff ff ff ff 00")).toBe(HPACK_BAD_INTEGER);
    expect(endOf("ff 80")).toBe(HPACK_TRUNCATED);
    expect(endOf("00 7f 80")).toBe(HPACK_TRUNCATED);
    expect(endOf("00 7f ffffff7f 61")).toBe(HPACK_TRUNCATED); // a length far beyond the block
  });

  test("Huffman code", () => {
    expect(endOf("00 81 1f 01 61")).toBe(0);
    expect(endOf("00 82 1fff 01 61")).toBe(HPACK_BAD_HUFFMAN);
    expect(endOf("00 81 1e 01 61")).toBe(HPACK_BAD_HUFFMAN);
    expect(endOf("00 01 61 84 ffffffff")).toBe(HPACK_BAD_HUFFMAN);
    expect(endOf("40 01 61 84 fffffffc")).toBe(HPACK_BAD_HUFFMAN);
  });

  test("table size updates", () => {
    expect(endOf("20 82")).toBe(0);
    expect(endOf("20 3fe11f 82")).toBe(0); // 0, then 4096
    expect(endOf("20 20 20 82")).toBe(HPACK_BAD_SIZE_UPDATE); // a third one
    expect(endOf("82 20")).toBe(HPACK_BAD_SIZE_UPDATE); // behind a field
    expect(endOf("3fe21f")).toBe(HPACK_BAD_SIZE_UPDATE); // 4097
    expect(endOf("3fe11f")).toBe(0); // 4096
  });

  test("a lowered limit is due in the next block", () => {
    const decoder = hpack.exports.decoderOf(at);
    hpack.exports.setDecoderLimit(decoder, 100);
    expect(endOf("82")).toBe(HPACK_BAD_SIZE_UPDATE);
    expect(endOf("3f46 82")).toBe(HPACK_BAD_SIZE_UPDATE); // 101
    expect(endOf("3f45 82")).toBe(0); // 100
    expect(endOf("82")).toBe(0);
    hpack.exports.setDecoderLimit(decoder, 65536);
    expect(endOf("82")).toBe(0); // a raised one need not be used
    expect(hpack.exports.tableMax(decoder)).toBe(100);
    expect(endOf("3fe1ff03 82")).toBe(0); // 65536
    expect(hpack.exports.tableMax(decoder)).toBe(65536);
  });

  test("any block cut at any byte ends in order or as an error, and so does any block with a bit flipped", () => {
    const rows: Row[] = [
      [":path", "/a/rather/long/path?with=a&query=string"],
      ["user-agent", "curl/8.0"],
      ["x-other", "\x00\xff~{}".repeat(30)],
    ];
    const model = new HpackModel();
    const block = Buffer.from([
      ...encodeIntegerModel(0x20, 31, 4096),
      ...rows.flatMap((row) => model.encodeLiteral("inserted", 0, row, true)),
      ...rows.flatMap((row) => model.encodeLiteral("never", 0, row, false)),
      ...model.encodeIndexed(62),
      ...model.encodeIndexed(64),
    ]);
    for (let cut = 0; cut <= block.length; cut += 1) {
      const tables = hpack.createTables();
      const { end, fields } = hpack.decode(tables, block.subarray(0, cut));
      expect([0, HPACK_TRUNCATED]).toContain(end);
      expect(fields.length).toBeLessThanOrEqual(8);
      if (cut === block.length) expect([end, fields.length]).toEqual([0, 8]);
      hpack.destroyTables(tables);
    }
    for (let bit = 0; bit < 8 * block.length; bit += 1) {
      const broken = Buffer.from(block);
      broken[bit >> 3]! ^= 1 << (bit & 7);
      const tables = hpack.createTables();
      expect(hpack.decode(tables, broken).end).toBeLessThanOrEqual(0);
      hpack.destroyTables(tables);
    }
  });

  test("random bytes never trap", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), (blocks) => {
        const tables = hpack.createTables();
        for (const block of blocks) {
          const { end } = hpack.decode(tables, block);
          expect(end).toBeLessThanOrEqual(0);
          if (end < 0) break;
        }
        hpack.destroyTables(tables);
      }),
      { numRuns: 1000 },
    );
  });
});

test("a table that is exactly full evicts nothing; one byte more does (§4.4)", () => {
  const decoder = hpack.exports.decoderOf(at);
  for (const size of [33, 57, 64, 128, 1024, 4096]) {
    hpack.decode(at, hex("20 3fe11f"));
    const whole = Math.floor(4096 / size);
    for (let round = 0; round < whole; round += 1) hpack.decode(at, literal("n", "v".repeat(size - 33)));
    const rest = 4096 - whole * size;
    if (rest >= 33) hpack.decode(at, literal("n", "v".repeat(rest - 33)));
    const count = hpack.exports.tableCount(decoder);
    expect(count).toBe(rest >= 33 ? whole + 1 : whole);
    if (rest === 0 || rest >= 33) expect(hpack.exports.tableSize(decoder)).toBe(4096);
    hpack.decode(at, literal("n", "v".repeat(size - 32)));
    expect(hpack.exports.tableSize(decoder)).toBeLessThanOrEqual(4096);
    expect(hpack.exports.tableCount(decoder)).toBeLessThanOrEqual(count);
  }
  expect(hpack.exports.tableCount(decoder)).toBe(0); // 4,097 bytes: the table is emptied, the field not entered
});

describe("against the plain twin", () => {
  // What a random encoder does next; numbers are taken modulo what there is.
  const name = fc.oneof(
    fc.constantFrom("x-a", "custom", ":path", "cookie", "content-length", "accept", "n".repeat(300)),
    fc.string({ minLength: 1, maxLength: 12, unit: "binary-ascii" }),
  );
  const value = fc.oneof(
    fc.string({ maxLength: 20, unit: "binary-ascii" }),
    fc.integer({ min: 0, max: 1500 }).map((length) => "v".repeat(length)),
  );
  const operation = fc.oneof(
    { weight: 3, arbitrary: fc.record({ index: fc.nat() }) },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constantFrom<Literal>("inserted", "inserted", "plain", "never"),
        nameIndex: fc.option(fc.nat(), { nil: undefined }),
        name,
        value,
        isCoded: fc.boolean(),
      }),
    },
  );
  const block = fc.record({
    limit: fc.option(fc.constantFrom(0, 40, 256, 1000, 4096, 20000), { nil: undefined, freq: 4 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    operations: fc.array(operation, { maxLength: 25 }),
    textBytes: fc.constantFrom(131072, 131072, 131072, 30, 400),
  });

  test("random blocks over random table sizes", () => {
    fc.assert(
      fc.property(fc.array(block, { minLength: 1, maxLength: 12 }), (blocks) => {
        const tables = hpack.createTables();
        const decoder = hpack.exports.decoderOf(tables);
        const model = new HpackModel();
        for (const { limit, share, operations, textBytes } of blocks) {
          const octets: number[] = [];
          const expected: ReturnType<typeof field>[] = [];
          if (limit !== undefined) {
            hpack.exports.setDecoderLimit(decoder, limit);
            octets.push(...model.encodeSizeUpdate(0), ...model.encodeSizeUpdate(Math.floor(limit * share)));
          }
          for (const one of operations) {
            if ("index" in one) {
              const index = 1 + (one.index % model.indexMax);
              expected.push(field(...model.row(index)!));
              octets.push(...model.encodeIndexed(index));
            } else {
              const index = one.nameIndex === undefined ? 0 : 1 + (one.nameIndex % model.indexMax);
              const row: Row = [index === 0 ? one.name : model.row(index)![0], one.value];
              expected.push(field(...row, one.kind === "never"));
              octets.push(...model.encodeLiteral(one.kind, index, row, one.isCoded));
            }
          }
          const decoded = hpack.decode(tables, Buffer.from(octets), textBytes);
          expect(decoded.end).toBe(0);
          if (textBytes > 1000) expect(decoded.fields).toEqual(expected);
          else {
            // What found room is a beginning of the list; of the rest only the lengths are told.
            expect(decoded.fields).toEqual(expected.slice(0, decoded.fields.length));
            const lost = expected.slice(decoded.fields.length).map((one) => [one.name.length, one.value.length]);
            expect(decoded.lost).toEqual(lost);
          }
          expect(hpack.exports.tableSize(decoder)).toBe(model.size);
          expect(hpack.exports.tableCount(decoder)).toBe(model.rows.length);
          expect(hpack.exports.tableMax(decoder)).toBe(model.max);
        }
        hpack.destroyTables(tables);
      }),
      { numRuns: 400 },
    );
  });
});

describe("memory", () => {
  test("an idle connection has none, a used one by use, and all comes back", () => {
    const before = hpack.exports.poolUsedBytes();
    hpack.decode(at, hex("82 8684 0001610162"));
    expect(hpack.exports.poolUsedBytes()).toBe(before);
    hpack.decode(at, literal("a", "b"));
    expect(hpack.exports.poolUsedBytes()).toBe(before + 512);
    const model = new HpackModel();
    for (let round = 0; round < 300; round += 1) {
      const row: Row = [`name-${round}`, "v".repeat(round % 50)];
      hpack.decode(at, Buffer.from(model.encodeLiteral("inserted", 0, row, false)));
      expect(hpack.exports.poolUsedBytes()).toBeLessThanOrEqual(before + 2 * 8192);
    }
    hpack.decode(at, hex("82"));
    expect(hpack.exports.poolUsedBytes()).toBeLessThanOrEqual(before + 8192);
    hpack.decode(at, hex("20")); // table size 0
    expect(hpack.exports.poolUsedBytes()).toBe(before);
    hpack.decode(at, hex("3fe11f 4001610162"));
    hpack.destroyTables(at);
    expect(hpack.exports.poolUsedBytes()).toBe(before - 256);
  });

  test("a bomb of insertions stays bounded, is declared lost, and leaves the table in step", () => {
    const model = new HpackModel();
    const big: Row = ["n".repeat(1900), "x"];
    hpack.decode(at, Buffer.from(model.encodeLiteral("inserted", 0, big, false)));
    const before = hpack.exports.poolUsedBytes();
    const octets: number[] = [];
    for (let round = 0; round < 15000; round += 1) {
      octets.push(...model.encodeLiteral("inserted", 62, [big[0], String.fromCharCode(97 + (round % 26))], false));
    }
    const { fields, lost, end } = hpack.decode(at, Buffer.from(octets));
    expect(end).toBe(0);
    expect(fields.length + lost.length).toBe(15000);
    expect(fields.reduce((sum, one) => sum + one.name.length, 0)).toBeGreaterThan(61440); // no honest head is lost
    expect(lost.length).toBeGreaterThan(10000);
    for (const [round, one] of fields.entries())
      expect(one).toEqual(field(big[0], String.fromCharCode(97 + (round % 26))));
    expect(hpack.exports.poolUsedBytes() - before).toBeLessThanOrEqual(34 * 8192);
    const newest = hpack.decode(at, Buffer.from([0xbe, 0xbf]));
    expect(newest.fields).toEqual(model.rows.map((row) => field(...row)));
    expect(hpack.exports.poolUsedBytes()).toBeLessThanOrEqual(before + 8192);
  });

  test("a known name whose text was lost is known again from the table", () => {
    const block = literal("content-length", "12345", "inserted", true);
    expect(hpack.decode(at, block, 4).lost).toEqual([[14, 5]]);
    const { fields, nameIds } = hpack.decode(at, hex("be"));
    expect(fields).toEqual([field("content-length", "12345")]);
    expect(nameIds).toEqual([NAME_CONTENT_LENGTH]);
    const other = literal("x-unknown-name", "12345", "inserted", true);
    expect(hpack.decode(at, other, 4).lost).toEqual([[14, 5]]);
    expect(hpack.decode(at, hex("be")).nameIds).toEqual([NAME_OTHER]);
    expect(hpack.decode(at, hex("be")).fields).toEqual([field("x-unknown-name", "12345")]);
  });
});
