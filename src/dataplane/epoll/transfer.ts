// Bytes between descriptors and the engine's memory: read(2) and writev(2).
//
// Addresses of the engine's memory become the kernel's by adding where it lies; that is done in doubles, which hold 53
// bits (user space has 47), because BigInts would be allocated.

import { READ_BUFFER } from "../../../assembly/abi/engine-memory.ts";
import { H1_NARROW_READ_BYTES, READ_BUFFER_BYTES } from "../../../assembly/abi/limits.ts";
import type { Engine } from "../../wasm/index.ts";
import { EAGAIN, EINTR, type Kernel, type SystemCalls } from "./system-calls.ts";

/** Chunks of one writev; the kernel takes up to 1,024 (UIO_MAXIOV), the engine gives 24 at a time. */
export const VECTORS_MAX = 64;
/** What one read asks for: as much as fits, and then the socket is the next one's turn. */
export const READ_BYTES = READ_BUFFER_BYTES;
/** What is read in one turn lies in the engine until its end, so that a turn reads this much and a little. */
export const TURN_BYTES_MAX = 16 * READ_BYTES;
/** The same where the engine has no use for as much. */
export const NARROW_BYTES = H1_NARROW_READ_BYTES;

/** struct iovec: an address and a length of 64 bits each, as pairs of words. */
const VECTOR_WORDS = 4;
const WORD_VALUES = 2 ** 32;

export class Transfer {
  readonly #kernel: Kernel;
  readonly #calls: SystemCalls;
  readonly #readAddress: bigint;
  readonly #readBytes = BigInt(READ_BYTES);
  readonly #narrowBytes = BigInt(NARROW_BYTES);
  readonly #vectors = new Uint32Array(VECTOR_WORDS * VECTORS_MAX);
  readonly #vectorsAddress: bigint;
  /** Where the engine's memory lies. */
  readonly #low: number;
  readonly #high: number;
  #count = 0;
  #errno = 0;

  constructor(kernel: Kernel, engine: Engine) {
    this.#kernel = kernel;
    this.#calls = kernel.calls;
    const base = kernel.addressOf(engine.bytes);
    this.#readAddress = base + BigInt(READ_BUFFER);
    this.#low = Number(base % BigInt(WORD_VALUES));
    this.#high = Number(base / BigInt(WORD_VALUES));
    this.#vectorsAddress = kernel.addressOf(this.#vectors);
  }

  /** After a result below zero: why. */
  get errno(): number {
    return this.#errno;
  }

  /** Bytes read into the engine's read buffer; 0: FIN; -1: see `errno`, EAGAIN when there is nothing. */
  read(descriptor: number, isNarrow = false): number {
    const wanted = isNarrow ? this.#narrowBytes : this.#readBytes;
    for (;;) {
      const bytes = this.#calls.read(descriptor, this.#readAddress, wanted);
      if (bytes >= 0) return bytes;
      this.#errno = this.#kernel.errno();
      if (this.#errno !== EINTR) return -1;
    }
  }

  /** Vectors that are waiting to be written. */
  get count(): number {
    return this.#count;
  }

  /** Adds a range of the engine's memory to the next write; there is room for VECTORS_MAX. */
  add(address: number, bytes: number): void {
    const vectors = this.#vectors;
    const at = this.#count * VECTOR_WORDS;
    const low = this.#low + address;
    vectors[at] = low;
    vectors[at + 1] = low >= WORD_VALUES ? this.#high + 1 : this.#high;
    vectors[at + 2] = bytes;
    vectors[at + 3] = 0;
    this.#count += 1;
  }

  /** Writes what was added; the bytes that the kernel took (0: it has no room), or -1: see `errno`. */
  write(descriptor: number): number {
    const count = this.#count;
    this.#count = 0;
    for (;;) {
      const bytes = this.#calls.writev(descriptor, this.#vectorsAddress, count);
      if (bytes >= 0) return bytes;
      this.#errno = this.#kernel.errno();
      if (this.#errno === EAGAIN) return 0;
      if (this.#errno !== EINTR) return -1;
    }
  }
}
