// A listening descriptor, shared with other workers: accepts a few connections at a time.
//
// Once clients have their share it closes what it accepts: a client learns at once what a backlog would hide, and
// those already here can still be served. Out of descriptors, it rests: what waits stays in the kernel's backlog,
// another worker or a later moment takes it. Level-triggered, because a turn takes only so many.

import { ACCEPTS_PER_TURN_MAX } from "../../../assembly/abi/limits.ts";
import { firstReservedDescriptor } from "../descriptor-limit.ts";
import type { ListenerOffer } from "../messages.ts";
import type { AcceptFailure, Listener } from "../sockets.ts";
import type { SocketAddress } from "./addresses.ts";
import { EPOLLEXCLUSIVE, EPOLLIN, type Poller } from "./poller.ts";
import { enableNoDelay } from "./socket.ts";
import { EAGAIN, ECONNABORTED, EINTR, type Kernel, SOCK_CLOEXEC, SOCK_NONBLOCK } from "./system-calls.ts";

/** Longer than the kernel lets wait (somaxconn): at the end all that waits is taken. */
const LAST_ACCEPTS_MAX = 8_192;
/** Out of descriptors or memory: long enough to spin no core, short enough for a client to wait. */
const REST_MS = 50;

export interface AcceptorOptions {
  readonly kernel: Kernel;
  readonly poller: Poller;
  readonly address: SocketAddress;
  readonly offer: ListenerOffer;
  /** Kind and id of its events. */
  readonly eventKind: number;
  readonly eventId: number;
  /** Takes a socket over; false: there is no room for it, it was closed. */
  readonly take: (descriptor: number, peer: string) => boolean;
  readonly failed: (failure: AcceptFailure) => void;
  /** The listening descriptor is about to be closed. */
  readonly stopped: () => void;
}

export class Acceptor implements Listener {
  readonly kind: number;
  readonly #options: AcceptorOptions;
  /** From this number on descriptors are not for clients. */
  readonly #reserved = firstReservedDescriptor();
  #timer: NodeJS.Timeout | undefined;
  #isOpen = true;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.kind = options.offer.kind;
    const { kernel, address, offer } = options;
    // Inherited by what is accepted: one call instead of one for each connection.
    enableNoDelay(kernel, address, offer.descriptor);
    if (!this.#watch()) throw new Error(`cannot watch the listening socket: errno ${kernel.errno()}`);
  }

  /** Takes what waits, within bounds. */
  accept(most = ACCEPTS_PER_TURN_MAX): void {
    const { kernel, address, offer, take, failed } = this.#options;
    for (let count = 0; count < most; count += 1) {
      address.clear();
      const flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
      const descriptor = kernel.calls.accept4(offer.descriptor, address.address, address.lengthAddress, flags);
      if (descriptor >= this.#reserved) {
        kernel.calls.close(descriptor);
        failed({ kind: "full", problem: `clients' share of this process' descriptors (${this.#reserved}) is in use` });
        continue;
      }
      if (descriptor >= 0) {
        if (!take(descriptor, address.read())) {
          failed({ kind: "full", problem: "the engine's connection table is full" });
        }
        continue;
      }
      const errno = kernel.errno();
      if (errno === EAGAIN) return;
      // man 2 accept: errors of the new connection come here too, and only it is lost.
      if (errno === EINTR || errno === ECONNABORTED) continue;
      failed({ kind: "accept", problem: `accept failed: ${kernel.describe(errno)}` });
      this.#rest();
      return;
    }
  }

  stop(): void {
    if (!this.#isOpen) return;
    // Whoever is in the backlog when the last descriptor closes is reset: rather serve them.
    this.accept(LAST_ACCEPTS_MAX);
    this.#isOpen = false;
    clearTimeout(this.#timer);
    const { kernel, poller, offer, stopped } = this.#options;
    poller.remove(offer.descriptor);
    stopped();
    kernel.calls.close(offer.descriptor);
  }

  #watch(): boolean {
    const { poller, offer, eventKind, eventId } = this.#options;
    return poller.add(offer.descriptor, EPOLLIN | EPOLLEXCLUSIVE, eventKind, eventId);
  }

  #rest(): void {
    if (this.#timer !== undefined || !this.#isOpen) return;
    this.#options.poller.remove(this.#options.offer.descriptor);
    const wake = () => {
      this.#timer = this.#watch() ? undefined : setTimeout(wake, REST_MS);
    };
    this.#timer = setTimeout(wake, REST_MS);
  }
}
