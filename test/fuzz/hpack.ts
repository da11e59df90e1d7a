// Fuzzes HPACK. The decoder: blocks by dice, some of them changed, read by the engine and by the plain twin, which must
// agree on every field, on the table, and on what is an error. The encoder: what it writes is read by npm's hpack.js.

import { createRequire } from "node:module";
import { decodeHuffmanModel, HpackModel, type Literal, type Row } from "../models/hpack.ts";
import { type Field, field, type Hpack } from "../support/hpack.ts";
import type { Fuzzer } from "./fuzzer.ts";
import { Random } from "./random.ts";

interface Decompressor {
  write(block: Buffer): void;
  execute(): void;
  read(): { name: string; value: string } | null;
  on(event: "error", listener: (error: Error) => void): void;
}
const foreign = createRequire(import.meta.url)("hpack.js") as {
  decompressor: { create(options: { table: { maxSize: number } }): Decompressor };
};

const NAMES = [
  "x-a",
  ":path",
  "cookie",
  "content-length",
  "accept",
  "user-agent",
  "te",
  "n".repeat(40),
  "authorization",
];
const VALUES = ["", "/", "GET", "gzip", "a", "same", "v".repeat(60), "\x00\xff~{}", "secret-secret-secret-secret"];
const LIMITS = [0, 33, 64, 100, 256, 4095, 4096];
const SIZE_UPDATES_MAX = 2;
const INTEGER_OCTETS_MAX = 5;
/** As octets: what decoders have stumbled over. */
const SPLINTERS = [
  "80",
  "ff",
  "7f",
  "20",
  "3f",
  "1f",
  "be",
  "00",
  "40",
  "ffffffff0f",
  "ff8080808000",
  "3fe11f",
  "81ff",
  "84fffffffc",
];

/** The engine's limit on its encoder's table. */
const ENCODER_LIMIT_MAX = 4096;

export function createHpackFuzzer(hpack: Hpack): Fuzzer {
  const run = (seed: number) => {
    const random = new Random(seed);
    const before = hpack.exports.poolUsedBytes();
    const executions = random.once(3) ? runEncoder(hpack, random) : runDecoder(hpack, random);
    const left = hpack.exports.poolUsedBytes() - before;
    if (left !== 0) throw new Error(`${left} bytes were not given back`);
    return executions;
  };
  return { name: "hpack", run };
}

/** Blocks of one connection until the first error. */
function runDecoder(hpack: Hpack, random: Random): number {
  const tables = hpack.createTables();
  const writer = new HpackModel();
  const reader = new StrictReader();
  let executions = 0;
  for (let left = 1 + random.below(6); left > 0; left -= 1) {
    const octets: number[] = [];
    if (random.once(5)) {
      const limit = random.pick(LIMITS);
      hpack.exports.setDecoderLimit(hpack.exports.decoderOf(tables), limit);
      reader.allow(limit);
      if (!random.once(8)) octets.push(...writer.encodeSizeUpdate(sizeFor(writer, limit, random)));
      if (random.once(3)) octets.push(...writer.encodeSizeUpdate(sizeFor(writer, limit, random)));
    }
    for (let fields = random.below(8); fields > 0; fields -= 1) octets.push(...writeField(writer, random));
    let block: Buffer = Buffer.from(octets);
    while (random.once(3)) block = changed(block, random);
    executions += 1;
    if (!compareBlock(hpack, tables, reader, block)) break;
    writer.rows = [...reader.model.rows];
    writer.max = reader.model.max;
  }
  hpack.destroyTables(tables);
  const next = hpack.createTables();
  hpack.decode(next, Buffer.alloc(0)); // lets go of the last block's text
  hpack.destroyTables(next);
  return executions;
}

/** A table size: any, or just what the newest entries need. */
function sizeFor(model: HpackModel, limit: number, random: Random): number {
  if (random.once(2)) return random.below(limit + 1);
  const kept = model.rows.slice(0, random.below(model.rows.length + 1));
  return Math.min(
    limit,
    kept.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0),
  );
}

function writeField(model: HpackModel, random: Random): number[] {
  if (random.once(3)) return model.encodeIndexed(1 + random.below(model.indexMax + (random.once(20) ? 2 : 0)));
  const kind = random.pick<Literal>(["inserted", "inserted", "plain", "never"]);
  const index = random.once(2) ? 0 : 1 + random.below(model.indexMax);
  const row: Row = [index === 0 ? random.pick(NAMES) : model.row(index)![0], random.pick(VALUES)];
  return model.encodeLiteral(kind, index, row, random.once(2));
}

function changed(block: Buffer, random: Random): Buffer {
  const at = random.below(block.length + 1);
  const rest = block.subarray(at);
  if (random.once(4)) return Buffer.from(block.subarray(0, at));
  if (random.once(3)) {
    const flipped = Buffer.from(block);
    if (at < flipped.length) flipped[at]! ^= 1 << random.below(8);
    return flipped;
  }
  return Buffer.concat([block.subarray(0, at), Buffer.from(random.pick(SPLINTERS), "hex"), rest]);
}

/** Reads a block both ways; false when both found it wrong. */
function compareBlock(hpack: Hpack, tables: number, reader: StrictReader, block: Buffer): boolean {
  const theirs = reader.read(block);
  const ours = hpack.decode(tables, block);
  const say = (what: string) => new Error(`${what}: ${block.toString("hex")}\n${JSON.stringify({ ours, theirs })}`);
  if (ours.end < 0 !== (theirs === undefined)) throw say("one of two finds it wrong");
  if (theirs === undefined) return false;
  if (JSON.stringify(ours.fields) !== JSON.stringify(theirs)) throw say("other fields");
  const decoder = hpack.exports.decoderOf(tables);
  const { model } = reader;
  const table = [hpack.exports.tableCount(decoder), hpack.exports.tableSize(decoder), hpack.exports.tableMax(decoder)];
  if (`${table}` !== `${[model.rows.length, model.size, model.max]}`) throw say("another table");
  return true;
}

class Wrong extends Error {}

/** The twin's table with every refusal of RFC 7541 in front of it. */
class StrictReader {
  readonly model = new HpackModel();
  #limit = 4096;
  #block: Buffer = Buffer.alloc(0);
  #at = 0;

  allow(limit: number): void {
    this.#limit = limit;
  }

  /** Fields, or undefined where the block is wrong. */
  read(block: Buffer): Field[] | undefined {
    [this.#block, this.#at] = [block, 0];
    try {
      this.#sizeUpdates();
      const fields: Field[] = [];
      while (this.#at < block.length) fields.push(this.#field());
      return fields;
    } catch (error) {
      if (error instanceof Wrong) return undefined;
      throw error;
    }
  }

  #sizeUpdates(): void {
    let count = 0;
    for (; this.#at < this.#block.length && (this.#block[this.#at]! & 0xe0) === 0x20; count += 1) {
      const size = this.#integer(31);
      if (size > this.#limit || count === SIZE_UPDATES_MAX) throw new Wrong();
      this.model.resize(size);
    }
    // A lowered limit is due first thing in the next block (§4.2).
    if (this.model.max > this.#limit && this.#at < this.#block.length) throw new Wrong();
  }

  #field(): Field {
    const first = this.#block[this.#at]!;
    if (first >= 0x80) return field(...this.#row(this.#integer(127)));
    if ((first & 0xe0) === 0x20) throw new Wrong();
    const isInserted = first >= 0x40;
    const index = this.#integer(isInserted ? 63 : 15);
    const name = index === 0 ? this.#string() : this.#row(index)[0];
    const value = this.#string();
    if (isInserted) this.model.insert([name, value]);
    return field(name, value, !isInserted && (first & 0x10) !== 0);
  }

  #row(index: number): Row {
    const row = index === 0 ? undefined : this.model.row(index);
    if (row === undefined) throw new Wrong();
    return row;
  }

  #octet(): number {
    const octet = this.#block[this.#at];
    if (octet === undefined) throw new Wrong();
    this.#at += 1;
    return octet;
  }

  #integer(mask: number): number {
    let value = this.#octet() & mask;
    if (value < mask) return value;
    for (let octets = 1, factor = 1; ; octets += 1, factor *= 128) {
      if (octets === INTEGER_OCTETS_MAX) throw new Wrong();
      const octet = this.#octet();
      value += (octet & 127) * factor;
      if (octet < 128) return value;
    }
  }

  #string(): string {
    const isCoded = this.#block[this.#at]! >= 128;
    const length = this.#integer(127);
    if (this.#at + length > this.#block.length) throw new Wrong();
    const octets = this.#block.subarray(this.#at, this.#at + length);
    this.#at += length;
    const text = isCoded ? decodeHuffmanModel(octets) : octets.toString("latin1");
    if (text === undefined) throw new Wrong();
    return text;
  }
}

/** Lists by dice over one connection, with its table resized meanwhile. */
function runEncoder(hpack: Hpack, random: Random): number {
  const tables = hpack.createTables();
  const encoder = hpack.exports.encoderOf(tables);
  const decompressor = foreign.decompressor.create({ table: { maxSize: ENCODER_LIMIT_MAX } });
  decompressor.on("error", (error) => {
    throw error;
  });
  let executions = 0;
  for (let left = 1 + random.below(8); left > 0; left -= 1) {
    while (random.once(4)) hpack.exports.setEncoderLimit(encoder, random.pick(LIMITS));
    hpack.exports.setHuffman(encoder, random.below(2));
    const list = Array.from({ length: random.below(10) }, () => fieldOf(random));
    const block = hpack.encode(tables, list);
    executions += 1;
    const rows = list.map(({ name, value }) => [name, value]);
    const read = readForeign(decompressor, block);
    if (JSON.stringify(read) !== JSON.stringify(rows)) {
      throw new Error(`hpack.js reads ${JSON.stringify(read)} where we wrote ${JSON.stringify(rows)}`);
    }
  }
  hpack.destroyTables(tables);
  return executions;
}

function fieldOf(random: Random): Field {
  return field(random.pick(NAMES), random.pick(VALUES.filter((value) => !value.includes("\xff"))), random.once(8));
}

function readForeign(decompressor: Decompressor, block: Buffer): string[][] {
  const rows: string[][] = [];
  decompressor.write(block);
  decompressor.execute();
  for (let next = decompressor.read(); next; next = decompressor.read()) rows.push([next.name, next.value]);
  return rows;
}
