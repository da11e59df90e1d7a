// What undici's client makes of the bytes of a response: its own parser and the checks around it, without sockets.

import { Duplex } from "node:stream";
import { Client } from "undici";

export interface UndiciReading {
  /** Status and body (latin1) of the final response when it was taken whole. */
  readonly message: readonly [status: string, body: string] | undefined;
  /** UND_ERR_* or HPE_*; undefined when nothing was wrong. */
  readonly error: string | undefined;
}

/** The server's end of a connection: after the request come `text` and FIN. */
class Wire extends Duplex {
  readonly #text: string;
  #isAsked = false;

  constructor(text: string) {
    super({ allowHalfOpen: true });
    this.#text = text;
  }

  override _read(): void {}

  override _write(_bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (!this.#isAsked) {
      this.#isAsked = true;
      setImmediate(() => {
        if (this.#text !== "") this.push(Buffer.from(this.#text, "latin1"));
        setImmediate(() => this.push(null));
      });
    }
    done();
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

/** Reads one response to GET or HEAD, as the first on its connection. */
export async function readUndici(text: string, method: "GET" | "HEAD"): Promise<UndiciReading> {
  const client = new Client("http://a", {
    connect: ((_options: unknown, done: (error: null, socket: unknown) => void) =>
      queueMicrotask(() => done(null, new Wire(text)))) as never,
    headersTimeout: 0,
    bodyTimeout: 0,
    pipelining: 1,
  });
  try {
    const { statusCode, body } = await client.request({ path: "/", method });
    const parts: Buffer[] = [];
    for await (const part of body) parts.push(part as Buffer);
    return { message: [String(statusCode), Buffer.concat(parts).toString("latin1")], error: undefined };
  } catch (error) {
    return { message: undefined, error: codeOf(error) };
  } finally {
    await client.destroy();
  }
}

function codeOf(error: unknown): string {
  const { code, message, name } = error as NodeJS.ErrnoException;
  return code === undefined ? `${name}: ${message}` : code === "UND_ERR_SOCKET" ? message : code;
}
