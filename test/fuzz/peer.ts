// One end of a fuzzed socket: bytes wait in an outbox and go out cut anywhere; what the engine wrote is seen once the
// kernel took it. What a peer says and expects is its subclass's matter.

import type { Wire } from "../support/world.ts";
import type { Ledger } from "./ledger.ts";
import type { Random } from "./random.ts";

interface Parcel {
  bytes: Buffer;
  readonly sent: (() => void) | undefined;
  /** Goes out in one piece. */
  readonly isWhole: boolean;
}

export abstract class Peer {
  readonly wire: Wire;
  readonly ledger: Ledger;
  readonly random: Random;
  readonly #outbox: Parcel[] = [];
  #finWanted = false;
  #finSent = false;
  #finSeen = false;
  isOver = false;

  constructor(wire: Wire, ledger: Ledger, random: Random) {
    this.wire = wire;
    this.ledger = ledger;
    this.random = random;
  }

  /** Something for the engine, sooner or later; `sent` is called when the last byte of it went out. */
  write(text: Buffer | string, sent?: () => void, isWhole = false): void {
    if (this.#finWanted) return;
    const bytes = typeof text === "string" ? Buffer.from(text, "latin1") : text;
    this.#outbox.push({ bytes, sent, isWhole });
  }

  get hasOutput(): boolean {
    return this.#outbox.length > 0 || (this.#finWanted && !this.#finSent);
  }

  /** Sends some of the outbox, unless the engine has paused this socket. */
  flush(all = false): void {
    let left =
      all || this.random.once(2) ? Number.POSITIVE_INFINITY : 1 + this.random.below(this.random.pick([3, 40, 2_000]));
    while (left > 0 && this.#outbox.length > 0 && !this.isOver && !this.wire.isPaused) {
      const parcel = this.#outbox[0]!;
      const part = parcel.bytes.subarray(0, parcel.isWhole ? parcel.bytes.length : Math.min(left, parcel.bytes.length));
      parcel.bytes = parcel.bytes.subarray(part.length);
      left -= part.length;
      // What says nothing goes with what it follows: a length of 0 is an end.
      while (this.#outbox[0]?.bytes.length === 0) this.#outbox.shift()!.sent?.();
      if (part.length > 0) this.wire.send(part);
      this.listen();
    }
    if (this.#outbox.length > 0 || !this.#finWanted || this.#finSent || this.isOver || this.wire.isPaused) return;
    this.#finSent = true;
    this.wire.end();
    this.listen();
  }

  /** A FIN behind what is in the outbox. */
  end(): void {
    this.#finWanted = true;
  }

  /** The socket breaks; of what the kernel was about to take, some was taken. */
  cut(failure = 0): void {
    if (this.isOver) return;
    const limbo = this.wire.inFlight === 0 ? 0 : this.random.below(this.wire.inFlight + 1);
    const bytes = this.wire.read();
    this.receive(bytes.subarray(0, bytes.length - this.wire.inFlight + limbo));
    if (this.isOver) return;
    this.isOver = true;
    this.over("reset");
    if (this.wire.closedBy === undefined) this.wire.destroy(failure);
  }

  stall(): void {
    if (!this.isOver) this.wire.isStalled = true;
  }

  unstall(): void {
    if (!this.isOver && this.wire.isStalled) this.wire.resume();
  }

  /** Reads what has arrived, and how the socket ended. */
  listen(): void {
    if (this.isOver) return;
    if (this.wire.closedBy === "reset") {
      this.cut();
      return;
    }
    if (this.wire.inFlight === 0) this.receive(this.wire.read());
    if (this.isOver || this.wire.inFlight !== 0) return;
    if (this.wire.isEnded && !this.#finSeen) {
      this.#finSeen = true;
      this.fin();
    }
    if (this.wire.closedBy === undefined) return;
    this.isOver = true;
    this.over("end");
  }

  /** Bytes that were read before this peer was made for them. */
  hear(bytes: Buffer): void {
    this.receive(bytes);
  }

  protected abstract receive(bytes: Buffer): void;
  /** The engine's FIN while the socket stays. */
  protected abstract fin(): void;
  /** The socket is gone, after everything was read ("end") or not. */
  protected abstract over(how: "end" | "reset"): void;
  /** Does something of its own accord. */
  abstract act(): void;
  /** Does what is left to be done: finishes requests, answers everything. */
  abstract complete(): void;
}
