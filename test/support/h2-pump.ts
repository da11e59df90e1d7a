// A socket and one HTTP/2 connection of the engine: what the data plane's pump does, in its plainest form, so that
// foreign programs can talk to the codec alone.

import type { Socket } from "node:net";
import type { H2Connection } from "./h2.ts";
import type { H2Event } from "./h2-print.ts";

export class H2Pump {
  readonly connection: H2Connection;
  readonly #socket: Socket;
  readonly #handle: (event: H2Event, pump: H2Pump) => void;
  /** Bodies that wait for credit. */
  readonly #waiting = new Map<number, { chunks: Buffer[]; end: boolean; finish: (() => void) | undefined }>();

  constructor(socket: Socket, connection: H2Connection, handle: (event: H2Event, pump: H2Pump) => void) {
    this.connection = connection;
    this.#socket = socket;
    this.#handle = handle;
    socket.setNoDelay(true);
    socket.on("data", (bytes: Buffer) => this.#receive(bytes));
    socket.on("error", () => socket.destroy());
    socket.on("end", () => {
      for (const event of connection.end()) handle(event, this);
      this.flush();
      socket.end();
    });
    socket.on("close", () => connection.destroy());
    this.flush();
  }

  #receive(bytes: Buffer): void {
    for (const event of this.connection.receive(bytes)) {
      if (event.name === "RESET") this.#waiting.delete(event.id);
      this.#handle(event, this);
      if (event.name === "FATAL") {
        this.flush();
        this.#socket.end();
        return;
      }
    }
    this.flush();
  }

  /** Sends a body as fast as windows allow; `finish` runs after its last byte instead of an end. */
  send(id: number, bytes: Buffer, end: boolean, finish?: () => void): void {
    const waiting = this.#waiting.get(id) ?? { chunks: [], end: false, finish: undefined };
    this.#waiting.set(id, waiting);
    if (bytes.length > 0) waiting.chunks.push(bytes);
    waiting.end = end;
    waiting.finish = finish;
  }

  /** Writes what may be written. */
  flush(): void {
    for (const id of this.#waiting.keys()) this.#flushStream(id);
    const output = this.connection.outputBytes();
    if (output.length > 0 && !this.#socket.destroyed) this.#socket.write(output, () => this.#flushAgain());
  }

  #flushAgain(): void {
    if (this.#waiting.size > 0 && !this.#socket.destroyed) this.flush();
  }

  #flushStream(id: number): void {
    const waiting = this.#waiting.get(id)!;
    for (;;) {
      const chunk = waiting.chunks[0];
      if (chunk === undefined) break;
      const part = Math.min(chunk.length, this.connection.sendable(id), 16384);
      if (part === 0) return;
      const isLast =
        part === chunk.length && waiting.chunks.length === 1 && waiting.end && waiting.finish === undefined;
      this.connection.sendData(id, chunk.subarray(0, part), isLast);
      if (part === chunk.length) waiting.chunks.shift();
      else waiting.chunks[0] = chunk.subarray(part);
      if (isLast) {
        this.#waiting.delete(id);
        return;
      }
    }
    if (!waiting.end) return;
    this.#waiting.delete(id);
    if (waiting.finish === undefined) this.connection.engine.exports.sendEndH2(this.connection.stream(id));
    else waiting.finish();
  }
}

/** A server that sends back what it gets: fields, body and trailers. Streams are released when both sides are over. */
export function echo(event: H2Event, pump: H2Pump): void {
  const { connection } = pump;
  const ended = (id: number): void => {
    pump.flush();
    if (connection.streams.has(id)) connection.release(id);
  };
  switch (event.name) {
    case "HEAD": {
      const { method, path, contentLength, fields } = event.head!;
      const sent = fields.filter(([name]) => name.startsWith("x-") || name.startsWith("content-type"));
      const length = method === "HEAD" ? 5 : contentLength;
      connection.respond(
        event.id,
        { status: 200, fields: [...sent, ["x-path", path]], contentLength: length },
        event.end,
      );
      if (event.end) ended(event.id);
      return;
    }
    case "DATA":
      pump.send(event.id, event.bytes, event.end);
      return;
    case "END":
      pump.send(event.id, Buffer.alloc(0), true);
      return;
    case "TRAILERS":
      pump.send(event.id, Buffer.alloc(0), true, () => connection.sendTrailers(event.id, event.head!.fields));
      return;
    case "REFUSE":
      connection.respond(event.id, { status: 431 }, true);
      ended(event.id);
  }
}
