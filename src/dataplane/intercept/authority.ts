// Whom the first request of an HTTP/2 connection is for.
//
// The name is in a header block, so it takes an HPACK decoder: Node's own HTTP/2 reads a copy of the client's bytes and
// is told nothing else; what it wants to send is thrown away. It costs a session for each intercepted HTTP/2
// connection, of which there are few and long-lived ones.
//
// Some clients (grpc-go) send no request before they have seen the server's SETTINGS. They are sent an empty SETTINGS
// frame, which promises nothing, and their acknowledgement is taken out of what is passed on: whoever serves the
// connection afterwards sends its own, and a second SETTINGS frame is in order (RFC 9113 §6.5).

import type { ServerHttp2Session } from "node:http2";
import { Duplex } from "node:stream";

const PREFACE_BYTES = 24;
const FRAME_HEAD_BYTES = 9;
const TYPE_SETTINGS = 4;
const FLAG_ACK = 1;

/** An empty SETTINGS frame on stream 0. */
export const EMPTY_SETTINGS = Buffer.from([0, 0, 0, TYPE_SETTINGS, 0, 0, 0, 0, 0]);

export class AuthorityReader {
  readonly #wire: Duplex;
  readonly #session: ServerHttp2Session;

  /** `found` is called once: with the authority, or undefined when there is none or it is no HTTP/2. */
  constructor(found: (authority: string | undefined) => void) {
    this.#wire = new Duplex({ read: () => undefined, write: (_bytes, _encoding, done) => done() });
    // Loaded when the first such connection comes: it takes megabytes, and most workers never need it.
    this.#session = process.getBuiltinModule("node:http2").performServerHandshake(this.#wire);
    this.#session.on("stream", (stream, headers) => {
      stream.on("error", () => undefined);
      found(headers[":authority"] ?? headers.host);
    });
    this.#session.on("error", () => found(undefined));
  }

  /** Bytes of the client, in order. */
  write(bytes: Buffer): void {
    // A copy, because what is passed on is another's to keep.
    if (!this.#wire.destroyed) this.#wire.push(Buffer.from(bytes));
  }

  stop(): void {
    this.#session.destroy();
    this.#wire.destroy();
  }
}

/** The bytes without the first acknowledgement of SETTINGS; undefined while it is not there. */
export function withoutAcknowledgement(bytes: Buffer): Buffer | undefined {
  for (let at = PREFACE_BYTES; at + FRAME_HEAD_BYTES <= bytes.length; ) {
    const end = at + FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
    if (bytes[at + 3] === TYPE_SETTINGS && (bytes[at + 4]! & FLAG_ACK) !== 0) {
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
    }
    at = end;
  }
  return undefined;
}
