// RFC 7541 as plainly as it can be written: strings of bits, arrays, no thought of speed. The twin of engine/hpack.
//
// Its Huffman code and static table are read from npm's hpack.js. The generators' lists were taken from there too, so
// this twin shows slips of ours, not of that package: for those there are Appendix C, the corpus and nghttp2.

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { encode: codes } = require("hpack.js/lib/hpack/huffman.js") as { encode: [number, number][] };
const { table: staticRows } = require("hpack.js/lib/hpack/static-table.js") as {
  table: { name: string; value: string }[];
};

export type Row = readonly [name: string, value: string];

const STATIC: readonly Row[] = staticRows.map(({ name, value }) => [name, value]);
const BITS = codes.map(([length, code]) => (code >>> 0).toString(2).padStart(length, "0"));
const SYMBOLS = new Map(BITS.map((bits, symbol) => [bits, symbol]));

/** How a field is written. */
export type Literal = "inserted" | "plain" | "never";

export function encodeHuffmanModel(text: string): Buffer {
  let bits = "";
  for (const byte of Buffer.from(text, "latin1")) bits += BITS[byte]!;
  while (bits.length % 8 !== 0) bits += "1";
  return Buffer.from(bits.match(/.{8}/g)?.map((octet) => Number.parseInt(octet, 2)) ?? []);
}

export function decodeHuffmanModel(code: Uint8Array): string | undefined {
  let bits = "";
  let text = "";
  for (const octet of code) {
    for (const bit of octet.toString(2).padStart(8, "0")) {
      bits += bit;
      const symbol = SYMBOLS.get(bits);
      if (symbol === undefined) continue;
      if (symbol === 256) return undefined;
      text += String.fromCharCode(symbol);
      bits = "";
    }
  }
  return bits.length < 8 && !bits.includes("0") ? text : undefined;
}

export function encodeIntegerModel(pattern: number, mask: number, value: number): number[] {
  if (value < mask) return [pattern | value];
  const octets = [pattern | mask];
  let rest = value - mask;
  for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push(128 + (rest % 128));
  return [...octets, rest];
}

/** One dynamic table and what both ends do with it. */
export class HpackModel {
  rows: Row[] = [];
  max = 4096;

  get size(): number {
    return this.rows.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
  }

  row(index: number): Row | undefined {
    return index <= STATIC.length ? STATIC[index - 1] : this.rows[index - STATIC.length - 1];
  }

  get indexMax(): number {
    return STATIC.length + this.rows.length;
  }

  resize(max: number): void {
    this.max = max;
    while (this.size > max) this.rows.pop();
  }

  insert(row: Row): void {
    this.rows.unshift(row);
    while (this.size > this.max) this.rows.pop();
  }

  /** Writes an indexed field. */
  encodeIndexed(index: number): number[] {
    return encodeIntegerModel(0x80, 127, index);
  }

  encodeSizeUpdate(max: number): number[] {
    this.resize(max);
    return encodeIntegerModel(0x20, 31, max);
  }

  /** Writes a literal with a name by index, or in full (index 0). */
  encodeLiteral(kind: Literal, index: number, [name, value]: Row, isCoded: boolean): number[] {
    const head = kind === "inserted" ? [0x40, 63] : [kind === "never" ? 0x10 : 0, 15];
    const octets = encodeIntegerModel(head[0]!, head[1]!, index);
    if (index === 0) octets.push(...encodeString(name, isCoded));
    octets.push(...encodeString(value, isCoded));
    if (kind === "inserted") this.insert([name, value]);
    return octets;
  }

  /** Decodes a block that is known to be right. */
  decode(block: Uint8Array): { name: string; value: string; isNeverIndexed: boolean }[] {
    const fields: { name: string; value: string; isNeverIndexed: boolean }[] = [];
    let at = 0;
    const readInteger = (mask: number) => {
      let value = block[at]! & mask;
      at += 1;
      if (value < mask) return value;
      for (let factor = 1; ; factor *= 128) {
        const octet = block[at]!;
        at += 1;
        value += (octet % 128) * factor;
        if (octet < 128) return value;
      }
    };
    const readString = () => {
      const isCoded = block[at]! >= 128;
      const length = readInteger(127);
      if (at + length > block.length) throw new Error("string beyond the block");
      const octets = block.subarray(at, at + length);
      at += length;
      const text = isCoded ? decodeHuffmanModel(octets) : Buffer.from(octets).toString("latin1");
      if (text === undefined) throw new Error("wrong Huffman code");
      return text;
    };
    while (at < block.length) {
      const first = block[at]!;
      if (first >= 0x80) {
        const [name, value] = this.row(readInteger(127))!;
        fields.push({ name, value, isNeverIndexed: false });
      } else if ((first & 0xe0) === 0x20) this.resize(readInteger(31));
      else {
        const isInserted = first >= 0x40;
        const index = readInteger(isInserted ? 63 : 15);
        const name = index === 0 ? readString() : this.row(index)![0];
        const value = readString();
        fields.push({ name, value, isNeverIndexed: !isInserted && (first & 0x10) !== 0 });
        if (isInserted) this.insert([name, value]);
      }
    }
    return fields;
  }
}

function encodeString(text: string, isCoded: boolean): number[] {
  const octets = isCoded ? encodeHuffmanModel(text) : Buffer.from(text, "latin1");
  return [...encodeIntegerModel(isCoded ? 0x80 : 0, 127, octets.length), ...octets];
}
