// HTTP/2 frames for tests: built, cut apart, and printed as one line each. Foreign to the engine on purpose: nothing
// here shares code with it, and field blocks are read by the npm package hpack.js.

import { createRequire } from "node:module";

/** hpack.js has no types: what is used of it. */
interface Decompressor {
  write(block: Buffer): void;
  execute(): void;
  read(): { name: string; value: string } | null;
  on(event: "error", listener: (error: Error) => void): void;
}
const hpack = createRequire(import.meta.url)("hpack.js") as {
  decompressor: { create(options: { table: { maxSize: number } }): Decompressor };
};

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export const FRAME_TYPES = [
  "DATA",
  "HEADERS",
  "PRIORITY",
  "RST_STREAM",
  "SETTINGS",
  "PUSH_PROMISE",
  "PING",
  "GOAWAY",
  "WINDOW_UPDATE",
  "CONTINUATION",
] as const;

export const ERROR_CODES = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
  "INADEQUATE_SECURITY",
  "HTTP_1_1_REQUIRED",
] as const;

export const DATA = 0;
export const HEADERS = 1;
export const PRIORITY = 2;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PUSH_PROMISE = 5;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;

export const ACK = 1;
export const END_STREAM = 1;
export const END_HEADERS = 4;
export const PADDED = 8;
export const PRIORITY_FLAG = 32;

export type Fields = readonly (readonly [name: string, value: string])[];

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** Any frame; `length` may lie. */
export function frame(type: number, flags: number, id: number, payload: Uint8Array, length = payload.length): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(id >>> 0, 5);
  return Buffer.concat([header, payload]);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export function settings(entries: Fields | readonly (readonly [number, number])[] = [], flags = 0): Buffer {
  const payload = Buffer.alloc(entries.length * 6);
  entries.forEach(([id, value], index) => {
    payload.writeUInt16BE(Number(id), index * 6);
    payload.writeUInt32BE(Number(value) >>> 0, index * 6 + 2);
  });
  return frame(SETTINGS, flags, 0, payload);
}

export function data(id: number, payload: Uint8Array | string, flags = 0): Buffer {
  return frame(DATA, flags, id, Buffer.from(payload));
}

export function headers(id: number, fields: Fields, flags = END_HEADERS): Buffer {
  return frame(HEADERS, flags, id, encodeFields(fields));
}

export function windowUpdate(id: number, increment: number): Buffer {
  return frame(WINDOW_UPDATE, 0, id, u32(increment));
}

export function resetStream(id: number, code: number): Buffer {
  return frame(RST_STREAM, 0, id, u32(code));
}

export function ping(opaque: Uint8Array = Buffer.alloc(8), flags = 0): Buffer {
  return frame(PING, flags, 0, opaque);
}

export function goaway(last: number, code: number): Buffer {
  return frame(GOAWAY, 0, 0, Buffer.concat([u32(last), u32(code)]));
}

/** Every field as a literal that is not indexed, without Huffman (RFC 7541 §6.2.2): no state, nothing hidden. */
export function encodeFields(fields: Fields): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of fields) {
    parts.push(Buffer.of(0), encodeText(name), encodeText(value));
  }
  return Buffer.concat(parts);
}

function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  const length: number[] = [];
  if (bytes.length < 127) length.push(bytes.length);
  else {
    length.push(127);
    let rest = bytes.length - 127;
    while (rest >= 128) {
      length.push((rest & 127) | 128);
      rest >>= 7;
    }
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** Cuts a byte stream into frames. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);
  #prefaceLeft: number;

  /** A client's bytes start with the preface. */
  constructor(hasPreface: boolean) {
    this.#prefaceLeft = hasPreface ? PREFACE.length : 0;
  }

  /** Frames that are whole now. */
  read(bytes: Uint8Array): Frame[] {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    const frames: Frame[] = [];
    if (this.#prefaceLeft > 0 && this.#rest.length >= PREFACE.length) {
      if (!this.#rest.subarray(0, PREFACE.length).equals(PREFACE)) throw new Error("no preface");
      this.#rest = this.#rest.subarray(PREFACE.length);
      this.#prefaceLeft = 0;
    }
    while (this.#prefaceLeft === 0 && this.#rest.length >= 9) {
      const length = this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < 9 + length) break;
      const payload = Buffer.from(this.#rest.subarray(9, 9 + length));
      frames.push({
        type: this.#rest[3]!,
        flags: this.#rest[4]!,
        id: this.#rest.readUInt32BE(5) & 0x7fffffff,
        payload,
      });
      this.#rest = this.#rest.subarray(9 + length);
    }
    return frames;
  }

  get leftover(): number {
    return this.#rest.length;
  }
}

/** Prints frames of one connection, field blocks decoded and joined. */
export class FramePrinter {
  readonly #decompressor: Decompressor = hpack.decompressor.create({ table: { maxSize: 4096 } });
  #block: { frame: Frame; parts: Buffer[] } | undefined;
  /** Fields of the last whole block. */
  fields: Fields = [];

  constructor() {
    this.#decompressor.on("error", (error) => {
      throw error;
    });
  }

  /** One line for each frame; a block with its CONTINUATION frames is one line, with their number. */
  print(frames: readonly Frame[]): string[] {
    return frames.flatMap((one) => this.#printFrame(one) ?? []);
  }

  #printFrame(one: Frame): string | undefined {
    const { type, flags, id, payload } = one;
    switch (type) {
      case DATA:
        return words("DATA", id, flags & END_STREAM ? "ES" : "", printBytes(payload));
      case HEADERS:
        this.#block = { frame: one, parts: [payload] };
        return flags & END_HEADERS ? this.#finishBlock() : undefined;
      case CONTINUATION:
        if (this.#block === undefined || this.#block.frame.id !== id) throw new Error("CONTINUATION of nothing");
        this.#block.parts.push(payload);
        return flags & END_HEADERS ? this.#finishBlock() : undefined;
      case RST_STREAM:
        return words("RST_STREAM", id, ERROR_CODES[payload.readUInt32BE()]);
      case SETTINGS:
        return words("SETTINGS", flags & ACK ? "ACK" : "", printSettings(payload));
      case PING:
        return words("PING", flags & ACK ? "ACK" : "", `0x${payload.toString("hex")}`);
      case GOAWAY:
        return words("GOAWAY", ERROR_CODES[payload.readUInt32BE(4)], `last=${payload.readUInt32BE()}`);
      case WINDOW_UPDATE:
        return words("WINDOW_UPDATE", id, payload.readUInt32BE());
      default:
        return words(FRAME_TYPES[type] ?? `TYPE_${type}`, id, flags, `0x${payload.toString("hex")}`);
    }
  }

  #finishBlock(): string {
    const { frame: first, parts } = this.#block!;
    this.#block = undefined;
    this.fields = this.decode(Buffer.concat(parts));
    const more = parts.length > 1 ? `+${parts.length - 1}` : "";
    return words("HEADERS", first.id, first.flags & END_STREAM ? "ES" : "", more, printFields(this.fields));
  }

  decode(block: Buffer): Fields {
    const fields: [string, string][] = [];
    this.#decompressor.write(block);
    this.#decompressor.execute();
    for (let next = this.#decompressor.read(); next; next = this.#decompressor.read()) {
      fields.push([next.name, next.value]);
    }
    return fields;
  }
}

export function printFields(fields: Fields): string {
  return fields.map(([name, value]) => `| ${name} ${printText(value)}`).join(" ");
}

/** Short text as text, long or binary bytes by their number. */
export function printBytes(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString("latin1");
  return bytes.length <= 40 ? `"${printText(text)}"` : `${bytes.length} bytes`;
}

function printText(text: string): string {
  return text.length > 120
    ? `…${text.length}`
    : text.replaceAll(/[^\x20-\x7e]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

function printSettings(payload: Buffer): string {
  const entries: string[] = [];
  for (let at = 0; at < payload.length; at += 6)
    entries.push(`${payload.readUInt16BE(at)}=${payload.readUInt32BE(at + 2)}`);
  return entries.join(" ");
}

function words(...parts: readonly (string | number | undefined)[]): string {
  return parts.filter((part) => part !== "").join(" ");
}
