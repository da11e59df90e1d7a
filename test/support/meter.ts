// What one conversation costs the engine: memory held, bytes sent back, bytes sent on, for each byte that came in.

import { CONNECTION_BYTES, EXCHANGE_BYTES, STREAM_BYTES } from "../../assembly/abi/engine-memory.ts";
import type { Wire, World, WorldMaker } from "./world.ts";

export interface Reading {
  /** Bytes that the peer sent. */
  readonly received: number;
  /** Blocks of the pool and records of the tables, at the worst moment, above those of an idle engine. */
  readonly held: number;
  /** What the peer had sent at that moment. */
  readonly receivedThen: number;
  readonly sentBack: number;
  readonly sentOn: number;
  readonly isClosed: boolean;
}

/** One hostile client of a world. */
export class Meter {
  readonly world: World;
  readonly wire: Wire;
  readonly isDeclared: boolean;
  readonly #base: number;
  #received = 0;
  #held = 0;
  #receivedThen = 0;
  #sentBack = 0;
  #sentOn = 0;

  /** `isDeclared`: the client says that it is Pillion too. */
  constructor(make: WorldMaker, mesh: string, isDeclared = false) {
    this.isDeclared = isDeclared;
    this.world = make(mesh);
    this.#base = heldBy(this.world);
    this.wire = this.world.accept();
    this.wire.onBytes = (bytes) => {
      this.#sentBack += bytes.length;
    };
    const connect = this.world.onConnect;
    this.world.onConnect = (wire, name) => {
      wire.onBytes = (bytes) => {
        this.#sentOn += bytes.length;
      };
      connect(wire, name);
    };
    this.look();
  }

  get isClosed(): boolean {
    return this.wire.closedBy !== undefined;
  }

  /** Sends until the connection is closed. */
  send(bytes: Buffer | string): this {
    const all = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
    if (this.isClosed || this.wire.isPaused) return this;
    this.#received += all.length;
    this.wire.send(all);
    this.look();
    return this;
  }

  /** Memory is looked at: after each send, and when something else happened. */
  look(): void {
    const held = heldBy(this.world) - this.#base;
    if (held <= this.#held) return;
    this.#held = held;
    this.#receivedThen = this.#received;
  }

  read(): Reading {
    return {
      received: this.#received,
      held: this.#held,
      receivedThen: this.#receivedThen,
      sentBack: this.#sentBack,
      sentOn: this.#sentOn,
      isClosed: this.isClosed,
    };
  }
}

function heldBy({ engine }: World): number {
  const records = engine.connectionCount() * CONNECTION_BYTES + engine.streamCount() * STREAM_BYTES;
  return engine.poolUsed() + records + engine.exchangeCount() * EXCHANGE_BYTES;
}
