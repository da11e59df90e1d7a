// The corpus of http2jp/hpack-test-case: what the encoders of six other projects wrote, decoded exactly; and what ours
// makes of the same fields, decoded by the plain twin.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { HpackModel } from "../../models/hpack.ts";
import { field, type Hpack, loadHpack } from "../../support/hpack.ts";
import { readTarball } from "../../support/tar.ts";

interface Story {
  cases: { wire?: string; header_table_size?: unknown; headers: Record<string, string>[] }[];
}

const path = fileURLToPath(new URL("../../../../shared/data/hpack.tar.gz", import.meta.url));
const isAbsent = !existsSync(path);
const ABSENT = "../shared/data/hpack.tar.gz is not there (the stories of github.com/http2jp/hpack-test-case)";

let hpack: Hpack;
const stories = new Map<string, Story>();
beforeAll(async () => {
  hpack = await loadHpack();
  if (isAbsent) return;
  for (const { name, content } of readTarball(path)) {
    if (name.endsWith(".json")) stories.set(name, JSON.parse(content.toString("utf8")) as Story);
  }
});

function rowsOf(headers: Record<string, string>[]): [string, string][] {
  return headers.flatMap((header) => Object.entries(header));
}

test("every story of every encoder is decoded exactly", (context) => {
  if (isAbsent) context.skip(ABSENT);
  const before = hpack.exports.poolUsedBytes();
  let decoded = 0;
  for (const [name, { cases }] of stories) {
    if (name.includes("raw-data")) continue;
    const at = hpack.createTables();
    for (const { wire, header_table_size: limit, headers } of cases) {
      if (typeof limit === "number") hpack.exports.setDecoderLimit(hpack.exports.decoderOf(at), limit);
      const { fields, end, lost } = hpack.decode(at, Buffer.from(wire!, "hex"));
      const rows = fields.map((one): [string, string] => [one.name, one.value]);
      expect([name, end, lost, rows]).toEqual([name, 0, [], rowsOf(headers)]);
      decoded += 1;
    }
    hpack.destroyTables(at);
  }
  expect(decoded).toBeGreaterThan(30000);
  hpack.decode(hpack.createTables(), Buffer.alloc(0)); // lets go of the last block's text
  expect(hpack.exports.poolUsedBytes()).toBe(before + 256);
});

test("the raw stories survive our encoder, with and without Huffman", (context) => {
  if (isAbsent) context.skip(ABSENT);
  for (const [name, { cases }] of stories) {
    if (!name.includes("raw-data")) continue;
    for (const isCoded of [0, 1]) {
      const at = hpack.createTables();
      hpack.exports.setHuffman(hpack.exports.encoderOf(at), isCoded);
      const model = new HpackModel();
      for (const { headers } of cases) {
        const rows = rowsOf(headers);
        const block = hpack.encode(
          at,
          rows.map(([one, value]) => field(one, value)),
        );
        const fields = model.decode(block).map((one): [string, string] => [one.name, one.value]);
        expect([name, fields]).toEqual([name, rows]);
        expect(hpack.exports.tableSize(hpack.exports.encoderOf(at))).toBe(model.size);
      }
      hpack.destroyTables(at);
    }
  }
});
