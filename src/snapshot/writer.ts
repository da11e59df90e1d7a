// A growing block of bytes with offsets into itself: what the route program is written with.
//
// Records are reserved first and filled in later, texts are written once however often they are needed. All words are
// little-endian and aligned, as Wasm wants them.

/** Where a text lies. */
export interface TextRange {
  readonly offset: number;
  readonly length: number;
}

const INITIAL_BYTES = 65_536;

export class ProgramWriter {
  readonly #encoder = new TextEncoder();
  readonly #texts = new Map<string, TextRange>();
  #bytes = new Uint8Array(INITIAL_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Zeroed room for a record or an array, on a multiple of 8; its offset. */
  reserve(bytes: number): number {
    const offset = (this.#length + 7) & ~7;
    this.#grow(offset + bytes);
    this.#length = offset + bytes;
    return offset;
  }

  putU8(offset: number, value: number): void {
    this.#view.setUint8(offset, value);
  }

  putU16(offset: number, value: number): void {
    this.#view.setUint16(offset, value, true);
  }

  putU32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, true);
  }

  putU64(offset: number, value: bigint): void {
    this.#view.setBigUint64(offset, value, true);
  }

  putF64(offset: number, value: number): void {
    this.#view.setFloat64(offset, value, true);
  }

  putBytes(offset: number, bytes: Uint8Array): void {
    this.#bytes.set(bytes, offset);
  }

  /** Writes a text's offset and length, two words, at `offset`. */
  putText(offset: number, text: string): TextRange {
    const range = this.internText(text);
    this.putU32(offset, range.offset);
    this.putU32(offset + 4, range.length);
    return range;
  }

  /** The place of a text, written if it is new. */
  internText(text: string): TextRange {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    // UTF-16 units are at most three bytes each; one byte more, so that an empty text has a place of its own too.
    this.#grow(this.#length + text.length * 3 + 1);
    const { written } = this.#encoder.encodeInto(text, this.#bytes.subarray(this.#length));
    const range = { offset: this.#length, length: written };
    this.#length += Math.max(written, 1);
    this.#texts.set(text, range);
    return range;
  }

  /** The bytes of a text; they hold until the next write. */
  bytesOf({ offset, length }: TextRange): Uint8Array {
    return this.#bytes.subarray(offset, offset + length);
  }

  /** The whole block, a multiple of 8 long, for the caller to keep. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.reserve(0));
  }

  #grow(needed: number): void {
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}
