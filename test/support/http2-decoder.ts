// nghttp2 (in node:http2) as a foreign HPACK decoder: field blocks go in as requests over a socket, lists come out.
//
// Only as much HTTP/2 as that takes: preface, SETTINGS and its acknowledgement, HEADERS and CONTINUATION.

import { once } from "node:events";
import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  sensitiveHeaders,
} from "node:http2";
import { type AddressInfo, connect, type Socket } from "node:net";
import { type Field, field } from "./hpack.ts";

const FRAME_HEADERS = 1;
const FRAME_RST_STREAM = 3;
const FRAME_SETTINGS = 4;
const FRAME_GOAWAY = 7;
const FRAME_CONTINUATION = 9;
const FLAG_ACK = 1;
const FLAG_END_STREAM = 1;
const FLAG_END_HEADERS = 4;
const SETTING_TABLE_BYTES = 1;
const FRAME_BYTES_MAX = 16384;

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

export class Http2Decoder implements AsyncDisposable {
  readonly #server: Http2Server;
  readonly #socket: Socket;
  readonly #onTableBytes: (bytes: number) => void;
  readonly #session: ServerHttp2Session;
  #input = Buffer.alloc(0);
  #stream = -1;
  #decoded: ((fields: Field[]) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  private constructor(
    server: Http2Server,
    session: ServerHttp2Session,
    socket: Socket,
    onTableBytes: (bytes: number) => void,
  ) {
    this.#server = server;
    this.#socket = socket;
    this.#onTableBytes = onTableBytes;
    this.#session = session;
    session.on("error", (error) => this.#failed?.(error));
    server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, raw: string[]) => {
      stream.on("error", () => undefined); // the session's own error tells more
      const sensitive = Reflect.get(headers, sensitiveHeaders) as string[];
      const fields: Field[] = [];
      for (let at = 0; at < raw.length; at += 2) {
        fields.push(field(raw[at]!, raw[at + 1]!, sensitive.includes(raw[at]!)));
      }
      stream.respond({ ":status": 204 }, { endStream: true });
      this.#decoded?.(fields);
    });
    socket.setNoDelay(true); // small frames in turn: Nagle would cost 40 ms each time
    socket.on("data", (bytes: Buffer) => this.#receive(bytes));
    socket.on("error", (error) => this.#failed?.(error));
    socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    socket.write(frame(FRAME_SETTINGS, 0, 0, Buffer.alloc(0)));
  }

  /** `onTableBytes` hears each SETTINGS_HEADER_TABLE_SIZE before it is acknowledged. */
  static async start(onTableBytes: (bytes: number) => void): Promise<Http2Decoder> {
    const server = createServer({ maxHeaderListPairs: 500 });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const accepted = once(server, "session") as Promise<[ServerHttp2Session]>;
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    const [session] = await accepted;
    return new Http2Decoder(server, session, socket, onTableBytes);
  }

  /** Changes the size of the decoder's table, and waits until it was acknowledged. */
  async resize(bytes: number): Promise<void> {
    this.#session.settings({ headerTableSize: bytes });
    await once(this.#session, "localSettings");
  }

  /** The fields of one block; it must be a whole request. */
  decode(block: Uint8Array): Promise<Field[]> {
    this.#stream += 2;
    const decoded = new Promise<Field[]>((resolve, reject) => {
      this.#decoded = resolve;
      this.#failed = reject;
    });
    for (let at = 0; at < block.length; at += FRAME_BYTES_MAX) {
      const flags = at + FRAME_BYTES_MAX >= block.length ? FLAG_END_HEADERS : 0;
      const type = at === 0 ? FRAME_HEADERS : FRAME_CONTINUATION;
      const payload = block.subarray(at, at + FRAME_BYTES_MAX);
      this.#socket.write(frame(type, at === 0 ? flags | FLAG_END_STREAM : flags, this.#stream, payload));
    }
    return decoded;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#failed = undefined;
    this.#session.destroy();
    this.#socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #receive(bytes: Uint8Array): void {
    this.#input = Buffer.concat([this.#input, bytes]);
    while (this.#input.length >= 9) {
      const length = this.#input.readUIntBE(0, 3);
      if (this.#input.length < 9 + length) return;
      const [type, flags] = [this.#input[3]!, this.#input[4]!];
      const payload = this.#input.subarray(9, 9 + length);
      this.#input = this.#input.subarray(9 + length);
      if (type === FRAME_RST_STREAM || type === FRAME_GOAWAY) {
        this.#failed?.(new Error(`nghttp2 answered with frame ${type}: ${payload.toString("hex")}`));
      }
      if (type !== FRAME_SETTINGS || flags & FLAG_ACK) continue;
      for (let at = 0; at < payload.length; at += 6) {
        if (payload.readUInt16BE(at) === SETTING_TABLE_BYTES) this.#onTableBytes(payload.readUInt32BE(at + 2));
      }
      this.#socket.write(frame(FRAME_SETTINGS, FLAG_ACK, 0, Buffer.alloc(0)));
    }
  }
}
