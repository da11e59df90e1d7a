// Descriptors that a worker has open besides libuv's: nobody closes them when its thread ends, so the main thread does.
//
// One word for each in memory that both threads see. The worker clears a word before it closes the descriptor, so the
// main thread, which looks only when the thread has ended, never closes a number that means something else by then.

import { CONNECTIONS_MAX } from "../../assembly/abi/limits.ts";

/** Listening sockets, epoll instances and the like. */
const OTHERS_MAX = 1024;

export type SharedDescriptors = SharedArrayBuffer;

export function createSharedDescriptors(): SharedDescriptors {
  return new SharedArrayBuffer((OTHERS_MAX + CONNECTIONS_MAX) * Int32Array.BYTES_PER_ELEMENT);
}

export class DescriptorTable {
  readonly #words: Int32Array;

  constructor(memory: SharedDescriptors) {
    this.#words = new Int32Array(memory);
  }

  /** Keeps the descriptor of a connection, by its index. */
  keepConnection(index: number, descriptor: number): void {
    this.#words[OTHERS_MAX + index] = descriptor;
  }

  forgetConnection(index: number): void {
    this.#words[OTHERS_MAX + index] = 0;
  }

  keep(descriptor: number): void {
    const free = this.#words.indexOf(0);
    if (free < OTHERS_MAX) this.#words[free] = descriptor;
  }

  forget(descriptor: number): void {
    const index = this.#words.indexOf(descriptor);
    if (index >= 0) this.#words[index] = 0;
  }

  /** Everything that is open. */
  list(): readonly number[] {
    return [...this.#words.filter((descriptor) => descriptor !== 0)];
  }

  /** The same, which is the caller's from now on. */
  takeAll(): readonly number[] {
    const open = this.list();
    this.#words.fill(0);
    return open;
  }
}
