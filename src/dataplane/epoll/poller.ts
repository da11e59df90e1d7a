// One epoll instance: what is watched, and what has happened.
//
// Connections are registered once, edge-triggered, for everything (man 7 epoll): no epoll_ctl(2) for back-pressure or
// for a full socket, and the kernel does not look at each of them again in the next wait. Who is told of an event must
// read until a short read, or remember that there is more.

import { EINTR, type Kernel } from "./system-calls.ts";

export const EPOLLIN = 0x1;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;
const EPOLLRDHUP = 0x2000;
/** One of the workers that share a listening socket is woken, not all. */
export const EPOLLEXCLUSIVE = 0x10000000;
/** 1 << 31 as an int. */
const EPOLLET = -0x80000000;

/** What a connection is watched for. */
export const EVERYTHING = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
export const READABLE = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
/** There is a FIN or an error behind the bytes, and no further event will tell: read up to it. */
export const ENDING = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CLOEXEC = 0o2000000;

/** struct epoll_event is packed on x86-64 only (eventpoll.h: EPOLL_PACKED): events, then two words of data. */
const DATA_WORD = process.arch === "x64" ? 1 : 2;
const EVENT_WORDS = DATA_WORD + 2;
/** Events of one wait; more connections than these take turns. */
const EVENTS_MAX = 256;
const CONTROL = EVENT_WORDS * EVENTS_MAX;

export class Poller {
  readonly descriptor: number;
  readonly #kernel: Kernel;
  /** What a wait brought, and behind it the argument of epoll_ctl. */
  readonly #events = new Int32Array(EVENT_WORDS * (EVENTS_MAX + 1));
  readonly #address: bigint;
  readonly #controlAddress: bigint;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#address = kernel.addressOf(this.#events);
    this.#controlAddress = this.#address + BigInt(CONTROL * Int32Array.BYTES_PER_ELEMENT);
    this.descriptor = kernel.calls.epoll_create1(EPOLL_CLOEXEC);
    if (this.descriptor < 0) throw new Error(`epoll_create1 failed with errno ${kernel.errno()}`);
  }

  /** Watches a descriptor; events carry `kind` and `id`. False when the kernel has no room. */
  add(descriptor: number, events: number, kind: number, id: number): boolean {
    this.#events[CONTROL] = events;
    this.#events[CONTROL + DATA_WORD] = id;
    this.#events[CONTROL + DATA_WORD + 1] = kind;
    return this.#kernel.calls.epoll_ctl(this.descriptor, EPOLL_CTL_ADD, descriptor, this.#controlAddress) === 0;
  }

  remove(descriptor: number): void {
    this.#kernel.calls.epoll_ctl(this.descriptor, EPOLL_CTL_DEL, descriptor, this.#controlAddress);
  }

  /** How many events there are; waits for the first one up to `timeoutMs` (-1: for ever). They hold until the next. */
  wait(timeoutMs: number): number {
    const count = this.#kernel.calls.epoll_wait(this.descriptor, this.#address, EVENTS_MAX, timeoutMs);
    if (count >= 0) return count;
    const errno = this.#kernel.errno();
    if (errno !== EINTR) throw new Error(`epoll_wait failed with errno ${errno}`);
    return 0;
  }

  eventsAt(index: number): number {
    return this.#events[index * EVENT_WORDS]!;
  }

  kindAt(index: number): number {
    return this.#events[index * EVENT_WORDS + DATA_WORD + 1]!;
  }

  idAt(index: number): number {
    return this.#events[index * EVENT_WORDS + DATA_WORD]!;
  }
}
