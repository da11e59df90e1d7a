// HTTP/2 peers of a world that say any frames, for what honest ones never do.

import * as h2 from "./frames.ts";
import type { Wire, World } from "./world.ts";

export const ACK = h2.settings([], h2.ACK);

/** One end of an HTTP/2 connection of a world, which says what frames it is told to. */
export class Peer {
  readonly wire: Wire;
  readonly #reader: h2.FrameReader;
  readonly #printer = new h2.FramePrinter();

  constructor(wire: Wire, isServer: boolean) {
    this.wire = wire;
    this.#reader = new h2.FrameReader(isServer);
  }

  say(...frames: Uint8Array[]): this {
    this.wire.send(Buffer.concat(frames));
    return this;
  }

  hear(): string[] {
    const lines = this.#printer.print(this.#reader.read(this.wire.read()));
    return lines.filter((line) => !/^(SETTINGS|WINDOW_UPDATE)/.test(line));
  }
}

/** A client, with its preface said. */
export function call(world: World, settings: [number, number][] = []): Peer {
  return new Peer(world.accept(), false).say(h2.PREFACE, h2.settings(settings), ACK);
}

/** The server behind the n-th connection that the engine opened. */
export function serve(world: World, index = 0): Peer {
  return new Peer(world.upstreams[index]!, true).say(h2.settings(), ACK);
}
