// The server name in a TLS ClientHello (RFC 8446 §4.1.2, RFC 6066 §3), noted as the bytes go by.
//
//   record: 22 · version · length ─┐
//   record: 22 · version · length ─┴─► handshake: 1 · length u24 · ClientHello ─► extensions ─► server_name
//
// Nothing waits for it: whoever carries the connection gives copies of nothing, only a look at each chunk, until an
// answer is there or it is clear that there is none. A hello may come in any pieces and over several records; no more
// than HELLO_BYTES_MAX of it are kept. Strict: whatever a server would refuse has no name.

const RECORD_HEAD_BYTES = 5;
const RECORD_HANDSHAKE = 22;
/** RFC 8446 §5.1: the length of a plaintext fragment. */
const FRAGMENT_BYTES_MAX = 2 ** 14;
const HANDSHAKE_HEAD_BYTES = 4;
const CLIENT_HELLO = 1;
/** Today's have some 2 KiB, post-quantum key shares included. */
const HELLO_BYTES_MAX = 16 * 1024;
const RANDOM_BYTES = 32;
const SESSION_ID_BYTES_MAX = 32;
const EXTENSION_SERVER_NAME = 0;
const NAME_TYPE_HOST = 0;
/** A DNS name: RFC 1035 §2.3.4. */
const NAME_BYTES_MAX = 253;

export type Hello =
  | { readonly kind: "more" }
  /** Not TLS, or nothing that a server would take. */
  | { readonly kind: "none" }
  | { readonly kind: "tls"; readonly serverName: string | undefined };

const MORE: Hello = { kind: "more" };
const NONE: Hello = { kind: "none" };

export class ClientHelloReader {
  readonly #head = Buffer.alloc(RECORD_HEAD_BYTES);
  #headBytes = 0;
  /** Of the record's fragment, not seen yet. */
  #leftBytes = 0;
  #hello: Buffer = Buffer.alloc(0);
  #helloBytes = 0;
  #verdict: Hello = MORE;

  /** Looks at the next bytes of the client; anything but `more` is the last word. */
  read(bytes: Uint8Array): Hello {
    for (let at = 0; at < bytes.length && this.#verdict.kind === "more"; ) {
      at += this.#leftBytes > 0 ? this.#readFragment(bytes, at) : this.#readHead(bytes, at);
    }
    return this.#verdict;
  }

  #readHead(bytes: Uint8Array, at: number): number {
    const taken = Math.min(RECORD_HEAD_BYTES - this.#headBytes, bytes.length - at);
    this.#head.set(bytes.subarray(at, at + taken), this.#headBytes);
    this.#headBytes += taken;
    const isWrong = this.#head[0] !== RECORD_HANDSHAKE || (this.#headBytes > 1 && this.#head[1] !== 3);
    if (isWrong) this.#verdict = NONE;
    if (isWrong || this.#headBytes < RECORD_HEAD_BYTES) return taken;
    this.#headBytes = 0;
    this.#leftBytes = this.#head.readUInt16BE(3);
    // RFC 8446 §5.1: no empty fragments of handshake messages.
    if (this.#leftBytes === 0 || this.#leftBytes > FRAGMENT_BYTES_MAX) this.#verdict = NONE;
    return taken;
  }

  #readFragment(bytes: Uint8Array, at: number): number {
    const taken = Math.min(this.#leftBytes, bytes.length - at);
    this.#leftBytes -= taken;
    if (this.#hello.length === 0) this.#hello = Buffer.alloc(HELLO_BYTES_MAX);
    const kept = Math.min(taken, HELLO_BYTES_MAX - this.#helloBytes);
    this.#hello.set(bytes.subarray(at, at + kept), this.#helloBytes);
    this.#helloBytes += kept;
    this.#judge();
    return taken;
  }

  #judge(): void {
    if (this.#hello[0] !== CLIENT_HELLO) this.#verdict = NONE;
    if (this.#verdict.kind !== "more" || this.#helloBytes < HANDSHAKE_HEAD_BYTES) return;
    const end = HANDSHAKE_HEAD_BYTES + this.#hello.readUIntBE(1, 3);
    if (end > HELLO_BYTES_MAX) this.#verdict = NONE;
    else if (this.#helloBytes >= end) {
      this.#verdict = readHello(this.#hello.subarray(HANDSHAKE_HEAD_BYTES, end));
      this.#hello = Buffer.alloc(0);
    }
  }
}

/** Thrown where a hello is not one; never leaves this file. */
class NoHello extends Error {}

/** Reads lengths and bytes in order, within its bounds. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  number(size: number): number {
    return this.bytes(size).readUIntBE(0, size);
  }

  bytes(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new NoHello();
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** Bytes behind their length, which has `size` bytes. */
  vector(size: number, min = 0): Buffer {
    const length = this.number(size);
    if (length < min) throw new NoHello();
    return this.bytes(length);
  }

  end(): void {
    if (!this.isAtEnd) throw new NoHello();
  }
}

function readHello(bytes: Buffer): Hello {
  try {
    return { kind: "tls", serverName: readServerName(bytes) };
  } catch (error) {
    if (error instanceof NoHello) return NONE;
    throw error;
  }
}

function readServerName(bytes: Buffer): string | undefined {
  const hello = new Reader(bytes);
  if (hello.number(2) >> 8 !== 3) throw new NoHello();
  hello.bytes(RANDOM_BYTES);
  if (hello.vector(1).length > SESSION_ID_BYTES_MAX) throw new NoHello();
  if (hello.vector(2, 2).length % 2 !== 0) throw new NoHello(); // cipher suites
  hello.vector(1, 1); // compression methods
  // TLS 1.2 and before: there need not be extensions.
  if (hello.isAtEnd) return undefined;
  const extensions = new Reader(hello.vector(2));
  hello.end();
  const seen = new Set<number>();
  let name: string | undefined;
  while (!extensions.isAtEnd) {
    const type = extensions.number(2);
    const data = extensions.vector(2);
    // RFC 8446 §4.2: not more than one of a type.
    if (seen.has(type)) throw new NoHello();
    seen.add(type);
    if (type === EXTENSION_SERVER_NAME) name = readNameList(data);
  }
  return name;
}

function readNameList(data: Buffer): string | undefined {
  const extension = new Reader(data);
  const list = new Reader(extension.vector(2, 1));
  extension.end();
  let name: string | undefined;
  while (!list.isAtEnd) {
    const type = list.number(1);
    const value = list.vector(2, 1);
    if (type !== NAME_TYPE_HOST) continue;
    // RFC 6066 §3: not more than one of a type.
    if (name !== undefined) throw new NoHello();
    name = value.toString("latin1").toLowerCase();
    // It goes into logs: a name of DNS, and nothing else.
    if (name.length > NAME_BYTES_MAX || !/^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(name)) throw new NoHello();
  }
  return name;
}
