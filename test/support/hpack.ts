// HPACK of the engine behind a TypeScript face: blocks as buffers, fields as strings (latin1, so that bytes survive).

import {
  ENCODE_BUFFER,
  ENCODE_BUFFER_BYTES,
  PROXY_SCRATCH,
  READ_BUFFER,
  SCRATCH_HEAD,
} from "../../assembly/abi/engine-memory.ts";
import { HPACK_END, HPACK_FIELD, HPACK_FIELD_LOST } from "../../assembly/abi/hpack-codes.ts";
import { loadTestingModule, type TestingModule } from "./wasm.ts";

export interface Field {
  readonly name: string;
  readonly value: string;
  readonly isNeverIndexed: boolean;
}

export interface DecodedBlock {
  readonly fields: readonly Field[];
  /** Lengths of fields whose text was lost. */
  readonly lost: readonly (readonly [number, number])[];
  readonly nameIds: readonly number[];
  /** HPACK_END, or the negative code. */
  readonly end: number;
}

/** Exports of assembly/testing/hpack.ts. */
export interface HpackExports {
  allocate(bytes: number): number;
  createPool(): void;
  createTables(at: number): void;
  decodeHuffman(ptr: number, length: number, out: number, keep: number): number;
  decodeInteger(ptr: number, end: number, mask: number): number;
  decoderOf(at: number): number;
  destroyTables(at: number): void;
  encodeField(
    table: number,
    out: number,
    nameId: number,
    namePtr: number,
    nameLen: number,
    valuePtr: number,
    valueLen: number,
    flags: number,
  ): number;
  encodeHuffman(out: number, ptr: number, length: number): number;
  encodeInteger(out: number, pattern: number, mask: number, value: number): number;
  encoderOf(at: number): number;
  encodeSizeUpdates(table: number, out: number): number;
  encodeStatus(table: number, out: number, status: number): number;
  huffmanLength(ptr: number, length: number): number;
  nameIdOf(ptr: number, length: number): number;
  nameLen(id: number): number;
  namePtr(id: number): number;
  nextField(): number;
  poolUsedBytes(): number;
  release(block: number): void;
  setDecoderLimit(table: number, bytes: number): void;
  setEncoderLimit(table: number, bytes: number): void;
  setHuffman(table: number, on: number): void;
  setTextArea(ptr: number, end: number): void;
  startBlock(table: number, ptr: number, length: number): void;
  staticIndexOf(id: number): number;
  tableCount(table: number): number;
  tableMax(table: number): number;
  tableSize(table: number): number;
  readonly fieldFlags: WebAssembly.Global;
  readonly fieldNameId: WebAssembly.Global;
  readonly fieldNameLen: WebAssembly.Global;
  readonly fieldNamePtr: WebAssembly.Global;
  readonly fieldValueLen: WebAssembly.Global;
  readonly fieldValuePtr: WebAssembly.Global;
  readonly integer: WebAssembly.Global;
  readonly integerError: WebAssembly.Global;
  readonly textPtr: WebAssembly.Global;
}

/** FIELD_NEVER_INDEXED of engine/http/head.ts. */
export const NEVER_INDEXED = 2;
/** As much as a scratch head has for text, and a little less. */
const TEXT_BYTES = 131072;

export class Hpack {
  readonly exports: HpackExports;
  readonly #bytes: Uint8Array;

  constructor(module: TestingModule<HpackExports>) {
    this.exports = module.exports;
    this.#bytes = module.bytes;
    this.exports.createPool();
  }

  /** Both tables of a new connection, in a block of the pool. */
  createTables(): number {
    const at = this.exports.allocate(256);
    this.exports.createTables(at);
    return at;
  }

  destroyTables(at: number): void {
    this.exports.destroyTables(at);
    this.exports.release(at);
  }

  /** Decodes a block; text is read only at its end, so what did not hold until then shows. */
  decode(at: number, block: Uint8Array, textBytes: number = TEXT_BYTES): DecodedBlock {
    const { exports } = this;
    this.#bytes.fill(0xdb, READ_BUFFER, READ_BUFFER + block.length + 64);
    this.#bytes.set(block, READ_BUFFER);
    exports.setTextArea(SCRATCH_HEAD, SCRATCH_HEAD + textBytes);
    this.#bytes.fill(0xdb, SCRATCH_HEAD + textBytes, SCRATCH_HEAD + textBytes + 64);
    exports.startBlock(exports.decoderOf(at), READ_BUFFER, block.length);
    const places: number[][] = [];
    const lost: [number, number][] = [];
    let result = exports.nextField();
    while (result > HPACK_END) {
      const [nameLen, valueLen] = [exports.fieldNameLen.value, exports.fieldValueLen.value];
      if (result === HPACK_FIELD_LOST) lost.push([nameLen, valueLen]);
      else if (result === HPACK_FIELD) {
        const { fieldNamePtr, fieldValuePtr, fieldFlags, fieldNameId } = exports;
        places.push([fieldNamePtr.value, nameLen, fieldValuePtr.value, valueLen, fieldFlags.value, fieldNameId.value]);
      }
      result = exports.nextField();
    }
    if (exports.textPtr.value > SCRATCH_HEAD + textBytes) throw new Error("text beyond its area");
    if (this.#bytes.subarray(SCRATCH_HEAD + textBytes, SCRATCH_HEAD + textBytes + 64).some((byte) => byte !== 0xdb)) {
      throw new Error("something was written behind the text area");
    }
    const fields = places.map(([namePtr, nameLen, valuePtr, valueLen, flags]) => ({
      name: this.text(namePtr!, nameLen!),
      value: this.text(valuePtr!, valueLen!),
      isNeverIndexed: flags === NEVER_INDEXED,
    }));
    return { fields, lost, nameIds: places.map((place) => place[5]!), end: result };
  }

  /** Encodes a block of fields, size updates before them. */
  encode(at: number, fields: readonly Field[]): Buffer {
    const { exports } = this;
    const table = exports.encoderOf(at);
    this.#bytes.fill(0xdb, ENCODE_BUFFER, ENCODE_BUFFER + ENCODE_BUFFER_BYTES);
    let out = exports.encodeSizeUpdates(table, ENCODE_BUFFER);
    for (const { name, value, isNeverIndexed } of fields) {
      const namePtr = this.put(PROXY_SCRATCH, name);
      const valuePtr = this.put(namePtr + name.length, value);
      const id = exports.nameIdOf(namePtr, name.length);
      const flags = isNeverIndexed ? NEVER_INDEXED : 0;
      const next = exports.encodeField(table, out, id, namePtr, name.length, valuePtr, value.length, flags);
      if (next - out > name.length + value.length + 12) throw new Error("longer than promised");
      if (this.#bytes[next] !== 0xdb) throw new Error("something was written behind the field");
      out = next;
    }
    return this.copy(ENCODE_BUFFER, out - ENCODE_BUFFER);
  }

  text(ptr: number, length: number): string {
    return Buffer.from(this.#bytes.buffer, ptr, length).toString("latin1");
  }

  copy(ptr: number, length: number): Buffer {
    return Buffer.from(this.#bytes.slice(ptr, ptr + length));
  }

  /** Writes text; returns where it was put. */
  put(ptr: number, text: string): number {
    this.#bytes.set(Buffer.from(text, "latin1"), ptr);
    return ptr;
  }
}

export async function loadHpack(): Promise<Hpack> {
  return new Hpack(await loadTestingModule<HpackExports>("hpack"));
}

/** A field as the tests write it. */
export function field(name: string, value: string, isNeverIndexed = false): Field {
  return { name, value, isNeverIndexed };
}

/** Bytes out of hexadecimal with blanks in it. */
export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ""), "hex");
}
