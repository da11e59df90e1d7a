// The encoder: what it writes is read by the plain twin and by nghttp2; what may be indexed, and what never.

import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { ENCODE_BUFFER } from "../../../assembly/abi/engine-memory.ts";
import { HPACK_NO_MEMORY } from "../../../assembly/abi/hpack-codes.ts";
import { HpackModel } from "../../models/hpack.ts";
import { type Field, field, type Hpack, hex, loadHpack } from "../../support/hpack.ts";
import { Http2Decoder } from "../../support/http2-decoder.ts";

let hpack: Hpack;
let at: number;
let encoder: number;
beforeEach(async () => {
  hpack = await loadHpack();
  at = hpack.createTables();
  encoder = hpack.exports.encoderOf(at);
});

/** Whether a field must arrive never-indexed. */
function isSecret({ name, value, isNeverIndexed }: Field): boolean {
  if (["authorization", "proxy-authorization", "set-cookie"].includes(name)) return true;
  return isNeverIndexed || (name === "cookie" && value.length < 20);
}

/** Names that DESIGN §2 rule 8 keeps out of the table, whatever their values. */
const UNINDEXED =
  `:path cookie authorization proxy-authorization set-cookie etag date x-request-id traceparent tracestate
  content-length location if-none-match if-modified-since age x-forwarded-for grpc-timeout x-unknown x-api-key`.split(
    /\s+/,
  );
const INDEXED = `:authority user-agent accept accept-encoding content-type te server vary cache-control grpc-encoding
  grpc-accept-encoding x-forwarded-proto x-forwarded-host content-encoding grpc-status x-pillion-service`.split(/\s+/);

const printable = fc.string({
  maxLength: 30,
  unit: fc.integer({ min: 33, max: 126 }).map((n) => String.fromCharCode(n)),
});
const long = fc.integer({ min: 100, max: 4100 }).map((length) => "z".repeat(length));

describe("against the plain twin", () => {
  const names = fc.constantFrom(...UNINDEXED, ...INDEXED, ":method", ":status", ":scheme");
  const bytes = fc.string({ maxLength: 40, unit: fc.integer({ min: 0, max: 255 }).map((n) => String.fromCharCode(n)) });
  const values = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.constantFrom("", "/", "GET", "200", "https", "gzip, deflate", "a", "abc", "same-value-1"),
    },
    { weight: 4, arbitrary: bytes },
    { weight: 1, arbitrary: long },
  );
  const fields = fc.record({
    name: names,
    value: values,
    isNeverIndexed: fc.integer({ max: 9, min: 0 }).map((n) => n === 0),
  });
  const blocks = fc.record({
    limits: fc.array(fc.constantFrom(0, 64, 100, 300, 4095, 4096, 1 << 20), { maxLength: 3 }),
    isCoded: fc.boolean(),
    fields: fc.array(fields, { maxLength: 40 }),
  });

  test("random lists, limits and Huffman", () => {
    fc.assert(
      fc.property(fc.array(blocks, { minLength: 1, maxLength: 10 }), (all) => {
        const tables = hpack.createTables();
        const table = hpack.exports.encoderOf(tables);
        const model = new HpackModel();
        for (const { limits, isCoded, fields: list } of all) {
          for (const limit of limits) hpack.exports.setEncoderLimit(table, limit);
          hpack.exports.setHuffman(table, isCoded ? 1 : 0);
          const block = hpack.encode(tables, list);
          expect(model.decode(block)).toEqual(list.map((one) => ({ ...one, isNeverIndexed: isSecret(one) })));
          const last = limits.at(-1);
          if (last !== undefined) expect(model.max).toBe(Math.min(last, 4096));
          expect(hpack.exports.tableSize(table)).toBe(model.size);
          expect(hpack.exports.tableCount(table)).toBe(model.rows.length);
          for (const [name] of model.rows) expect(UNINDEXED).not.toContain(name);
        }
        hpack.destroyTables(tables);
      }),
      { numRuns: 300 },
    );
  });

  test("many values of few names: the hash finds what the table holds", () => {
    const model = new HpackModel();
    let octets = 0;
    for (let round = 0; round < 3000; round += 1) {
      const list = [field(":authority", `host-${round % 7}.example`), field("user-agent", `agent/${(round * 7) % 41}`)];
      const block = hpack.encode(at, list);
      expect(model.decode(block)).toEqual(list);
      if (round >= 100) octets += block.length;
    }
    expect(octets).toBe(2900 * 2); // 48 values fit the table: each is one octet
  });
});

test("a list that came before costs one octet a field", () => {
  const list = [
    field(":method", "POST"),
    field(":scheme", "http"),
    field(":path", "/"),
    ...INDEXED.map((name) => field(name, "some value")),
  ];
  hpack.encode(at, list);
  const again = hpack.encode(at, list);
  expect(again.length).toBe(list.length);
});

test("every status", () => {
  const model = new HpackModel();
  for (let status = 100; status < 600; status += 1) {
    const end = hpack.exports.encodeStatus(encoder, ENCODE_BUFFER, status);
    const block = hpack.copy(ENCODE_BUFFER, end - ENCODE_BUFFER);
    expect(model.decode(block)).toEqual([field(":status", String(status))]);
    if ([200, 204, 206, 304, 400, 404, 500].includes(status)) expect(block.length).toBe(1);
  }
});

describe("secrets (§6.2.3, §7.1)", () => {
  test("credentials are written never-indexed", () => {
    expect(hpack.encode(at, [field("authorization", "x")]).toString("hex")).toBe("1f080178");
    expect(hpack.encode(at, [field("cookie", "a=b")]).toString("hex")).toBe("1f1103613d62");
    expect(hpack.encode(at, [field("cookie", "a=12345678901234567")])[0]! & 0xf0).toBe(0x10); // 19
    expect(hpack.encode(at, [field("cookie", "a=123456789012345678")])[0]! & 0xf0).toBe(0); // 20
    expect(hpack.exports.tableCount(encoder)).toBe(0);
  });

  test("what came never-indexed leaves so, even where a table has it", () => {
    hpack.encode(at, [field("user-agent", "u")]);
    expect(hpack.encode(at, [field("user-agent", "u", true)]).toString("hex")).toBe("1f2b0175");
    expect(hpack.encode(at, [field(":method", "GET", true)]).toString("hex")).toBe("1203474554");
    expect(hpack.encode(at, [field("user-agent", "u")]).toString("hex")).toBe("be");
  });

  test("only names of the list enter the table", () => {
    for (const name of UNINDEXED) hpack.encode(at, [field(name, "a value that repeats")]);
    expect(hpack.exports.tableCount(encoder)).toBe(0);
    for (const name of INDEXED) hpack.encode(at, [field(name, "a value that repeats")]);
    expect(hpack.exports.tableCount(encoder)).toBe(INDEXED.length);
  });
});

describe("table size (§4.2)", () => {
  test("changes are told at the start of the next block: the least, then the last", () => {
    const { setEncoderLimit } = hpack.exports;
    const list = [field(":method", "GET")];
    expect(hpack.encode(at, list).toString("hex")).toBe("82");
    setEncoderLimit(encoder, 65536); // more than we use
    expect(hpack.encode(at, list).toString("hex")).toBe("82");
    setEncoderLimit(encoder, 100);
    expect(hpack.encode(at, list).toString("hex")).toBe("3f4582");
    expect(hpack.encode(at, list).toString("hex")).toBe("82");
    setEncoderLimit(encoder, 0);
    setEncoderLimit(encoder, 4096);
    setEncoderLimit(encoder, 31);
    expect(hpack.encode(at, list).toString("hex")).toBe("203f0082");
    setEncoderLimit(encoder, 4096);
    setEncoderLimit(encoder, 31);
    setEncoderLimit(encoder, 31);
    expect(hpack.encode(at, list).toString("hex")).toBe("3f0082");
  });

  test("an entry of more than three quarters is not entered", () => {
    hpack.encode(at, [field("user-agent", "u".repeat(3072 - 32 - 10))]);
    expect(hpack.exports.tableCount(encoder)).toBe(1);
    hpack.encode(at, [field("user-agent", "v".repeat(3072 - 32 - 9))]);
    expect(hpack.exports.tableCount(encoder)).toBe(1);
  });
});

describe("memory", () => {
  test("none before the first entry, none when the peer wants no table, all comes back", () => {
    const before = hpack.exports.poolUsedBytes();
    hpack.encode(at, [field(":method", "GET"), field(":path", "/x"), field("cookie", "abc")]);
    expect(hpack.exports.poolUsedBytes()).toBe(before);
    hpack.encode(at, [field("user-agent", "u")]);
    expect(hpack.exports.poolUsedBytes()).toBe(before + 512 + 256);
    for (let round = 0; round < 2000; round += 1) hpack.encode(at, [field("user-agent", `u${round}`.repeat(20))]);
    expect(hpack.exports.poolUsedBytes()).toBeLessThanOrEqual(before + 8192 + 256);
    hpack.exports.setEncoderLimit(encoder, 0);
    expect(hpack.exports.poolUsedBytes()).toBe(before + 256);
    hpack.destroyTables(at);
    expect(hpack.exports.poolUsedBytes()).toBe(before - 256);
  });

  test("an exhausted pool costs compression, not correctness; the decoder gives up", () => {
    const blocks: number[] = [];
    for (let block = hpack.exports.allocate(131072); block !== 0; block = hpack.exports.allocate(131072))
      blocks.push(block);
    const list = [field("user-agent", "u"), field("user-agent", "u")];
    const block = hpack.encode(at, list);
    expect(new HpackModel().decode(block)).toEqual(list);
    expect(hpack.exports.tableCount(encoder)).toBe(0);
    expect(hpack.decode(at, hex("4001610162")).end).toBe(HPACK_NO_MEMORY);
    for (const one of blocks) hpack.exports.release(one);
    expect(hpack.encode(at, list).at(-1)).toBe(0xbe);
  });
});

describe("against nghttp2", () => {
  const request = [field(":method", "GET"), field(":scheme", "http")];
  const regular = fc.constantFrom(
    ...[...UNINDEXED, ...INDEXED].filter((name) => !name.startsWith(":") && !["te", "content-length"].includes(name)),
  );
  const fields = fc.record({
    name: regular,
    value: fc.oneof({ weight: 5, arbitrary: printable }, { weight: 1, arbitrary: long }),
    isNeverIndexed: fc.integer({ max: 9, min: 0 }).map((n) => n === 0),
  });
  const block = fc.record({
    limit: fc.option(fc.constantFrom(0, 80, 500, 4096, 65536), { nil: undefined, freq: 2 }),
    isCoded: fc.boolean(),
    authority: fc.constantFrom("a.example", "b.example:8080", "users"),
    path: printable.map((text) => `/${text}`),
    fields: fc.array(fields, { maxLength: 30 }),
  });

  test("the Huffman code of every byte that a value may hold", async () => {
    hpack.exports.setHuffman(encoder, 1);
    await using foreign = await Http2Decoder.start((bytes) => hpack.exports.setEncoderLimit(encoder, bytes));
    const head = [...request, field(":authority", "a"), field(":path", "/")];
    for (let byte = 33; byte < 256; byte += 1) {
      if (byte === 127) continue; // DEL and controls are refused as values (RFC 9110 §5.5)
      // So many short codes around it that the whole is coded, whatever the length of this one.
      const value = `aaaaaaaaaaaaaaaaaaaa${String.fromCharCode(byte)}aaaaaaaaaaaaaaaaaaaa`;
      const block = hpack.encode(at, [...head, field("x-unknown", value)]);
      expect(block.includes("aaaaaaaa")).toBe(false);
      expect((await foreign.decode(block)).at(-1)).toEqual(field("x-unknown", value));
    }
  });

  test("random requests over one connection, its table resized meanwhile", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(block, { minLength: 1, maxLength: 20 }), async (blocks) => {
        const tables = hpack.createTables();
        const table = hpack.exports.encoderOf(tables);
        await using foreign = await Http2Decoder.start((bytes) => hpack.exports.setEncoderLimit(table, bytes));
        for (const { limit, isCoded, authority, path, fields: list } of blocks) {
          if (limit !== undefined) await foreign.resize(limit);
          hpack.exports.setHuffman(table, isCoded ? 1 : 0);
          const all = [...request, field(":authority", authority), field(":path", path), ...list];
          const decoded = await foreign.decode(hpack.encode(tables, all));
          // node:http2 lists sensitive fields by name only.
          const secrets = new Set(all.filter(isSecret).map((one) => one.name));
          const expected = all.map((one) => ({ ...one, isNeverIndexed: secrets.has(one.name) }));
          expect(decoded).toEqual(expected);
        }
        hpack.destroyTables(tables);
      }),
      { numRuns: 40 },
    );
  });
});
