// The engine's HTTP/2 codec for tests: connections that are fed bytes and say lines.
//
// An event and a frame are one line each, so that whole conversations can be compared as text. The bytes of an event
// are read before the next call and the read buffer is poisoned afterwards: a pointer that outlives its promise shows.

import { type Fields, type Frame, FramePrinter, FrameReader, PREFACE, settings } from "./frames.ts";
import type { H2Exports, HeadInput, HeadOutput } from "./h2-exports.ts";
import { EVENTS, type EventName, type H2Event, NONE } from "./h2-print.ts";
import { loadTestingModule, type TestingModule } from "./wasm.ts";

export const SERVER = 0;
export const CLIENT = 1;

const READ_BUFFER_BYTES = 262144;
const FIELD_BYTES = 16;
const HEAD_HEADER_BYTES = 96;
const METHODS = ["", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

export class H2Engine {
  readonly exports: H2Exports;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;

  constructor(module: TestingModule<H2Exports>) {
    this.exports = module.exports;
    this.bytes = module.bytes;
    this.view = module.view;
    this.exports.createPool();
    this.exports.setNow(0n);
  }

  /** A connection that has begun, with its own preface already in the output. */
  connect(role: number, isPillion = false): H2Connection {
    return new H2Connection(this, role, isPillion);
  }

  /** Writes a head into ANSWER_HEAD; `kind` as HEAD_*. */
  writeHead(kind: number, head: HeadInput): number {
    const { exports, view } = this;
    const at = exports.answerHead.value as number;
    let text = exports.scratch.value as number;
    const put = (value: string): readonly [number, number] => {
      const bytes = Buffer.from(value, "latin1");
      this.bytes.set(bytes, text);
      text += bytes.length;
      return [text - bytes.length, bytes.length];
    };
    const point = (offset: WebAssembly.Global, value: string): void => {
      const [ptr, length] = put(value);
      view.setUint32(at + offset.value, ptr, true);
      view.setUint32(at + offset.value + 4, length, true);
    };
    exports.startHead(at, kind);
    if (kind === 0) {
      point(exports.HEAD_METHOD!, head.method ?? "GET");
      view.setUint32(at + exports.HEAD_METHOD_ID!.value, Math.max(0, METHODS.indexOf(head.method ?? "GET")), true);
      point(exports.HEAD_PATH!, head.path ?? "/");
      point(exports.HEAD_AUTHORITY!, head.authority ?? "a");
      point(exports.HEAD_PROTOCOL!, head.protocol ?? "");
      view.setUint8(at + exports.HEAD_SCHEME!.value, head.scheme === "https" ? 1 : 0);
    }
    if (kind === 1) view.setUint16(at + exports.HEAD_STATUS!.value, head.status ?? 200, true);
    view.setUint32(at + exports.HEAD_FLAGS!.value, head.flags ?? (head.protocol === undefined ? 0 : 32), true);
    view.setBigInt64(at + exports.HEAD_CONTENT_LENGTH!.value, BigInt(head.contentLength ?? -1), true);
    for (const [name, value] of head.fields ?? []) {
      const [namePtr, nameBytes] = put(name);
      const [valuePtr, valueBytes] = put(value);
      const id = exports.nameIdOf(namePtr, nameBytes);
      if (exports.addField(at, id, namePtr, nameBytes, valuePtr, valueBytes) === 0) throw new Error("too many fields");
    }
    return at;
  }

  readHead(at: number): HeadOutput {
    const { exports, view } = this;
    const text = (ptr: number, length: number): string =>
      Buffer.from(this.bytes.buffer, ptr, length).toString("latin1");
    const textAt = (offset: WebAssembly.Global): string => {
      const place = at + offset.value;
      return text(view.getUint32(place, true), view.getUint32(place + 4, true));
    };
    const fields: [string, string][] = [];
    const neverIndexed: string[] = [];
    const count = view.getUint32(at + exports.HEAD_COUNT!.value, true);
    for (let index = 0; index < count; index += 1) {
      const field = at + HEAD_HEADER_BYTES + index * FIELD_BYTES;
      const name = text(
        view.getUint32(field + exports.FIELD_NAME!.value, true),
        view.getUint16(field + exports.FIELD_NAME_BYTES!.value, true),
      );
      const value = text(
        view.getUint32(field + exports.FIELD_VALUE!.value, true),
        view.getUint16(field + exports.FIELD_VALUE_BYTES!.value, true),
      );
      fields.push([name, value]);
      if (view.getUint8(field + exports.FIELD_FLAGS!.value) & 2) neverIndexed.push(name);
    }
    return {
      method: textAt(exports.HEAD_METHOD!),
      methodId: view.getUint32(at + exports.HEAD_METHOD_ID!.value, true),
      path: textAt(exports.HEAD_PATH!),
      scheme: view.getUint8(at + exports.HEAD_SCHEME!.value) === 0 ? "http" : "https",
      authority: textAt(exports.HEAD_AUTHORITY!),
      protocol: textAt(exports.HEAD_PROTOCOL!),
      status: view.getUint16(at + exports.HEAD_STATUS!.value, true),
      contentLength: Number(view.getBigInt64(at + exports.HEAD_CONTENT_LENGTH!.value, true)),
      flags: view.getUint32(at + exports.HEAD_FLAGS!.value, true),
      fields,
      neverIndexed,
    };
  }
}

/** One connection and what is known of its streams. */
export class H2Connection {
  readonly engine: H2Engine;
  readonly role: number;
  readonly address: number;
  /** Addresses of live streams by id. */
  readonly streams = new Map<number, number>();
  /** Whether DATA is credited as soon as it comes, as by a proxy with a fast other side. */
  creditsAtOnce = true;
  /** Whether a stream is released when it is reset, as by a proxy. */
  releasesOnReset = true;
  /** Called with each event before the next one is asked for. */
  onEvent: (event: H2Event) => void = () => undefined;
  /** How often input had to wait for the next turn. */
  blocks = 0;
  readonly #reader: FrameReader;
  readonly #printer = new FramePrinter();

  constructor(engine: H2Engine, role: number, isPillion: boolean) {
    this.engine = engine;
    this.role = role;
    this.address = engine.exports.connect(role, isPillion);
    this.#reader = new FrameReader(role === CLIENT);
  }

  /** The peer's preface and SETTINGS, and its acknowledgement of ours; drops what was said so far. */
  handshake(entries: readonly (readonly [number, number])[] = []): void {
    const preface = this.role === SERVER ? PREFACE : Buffer.alloc(0);
    this.receive(Buffer.concat([preface, settings(entries), settings([], 1)]));
    this.output();
  }

  /** Feeds bytes in one piece of at most the read buffer; returns all events. */
  receive(input: Uint8Array): H2Event[] {
    const { exports, bytes } = this.engine;
    const buffer = exports.readBuffer.value as number;
    const events: H2Event[] = [];
    for (let from = 0; from < input.length; from += READ_BUFFER_BYTES) {
      const piece = input.subarray(from, from + READ_BUFFER_BYTES);
      bytes.set(piece, buffer);
      exports.setInput(buffer, buffer + piece.length);
      exports.startTurnH2(this.address);
      events.push(...this.#drain());
      bytes.fill(0xdb, buffer, buffer + piece.length);
    }
    return events;
  }

  /** What is still to be said without input. */
  poll(): H2Event[] {
    this.engine.exports.setInput(0, 0);
    return this.#drain();
  }

  /** The peer's FIN. */
  end(): H2Event[] {
    const events: H2Event[] = [];
    for (let name = EVENTS[this.engine.exports.endH2(this.address)]!; name !== "NONE"; ) {
      events.push(this.#readEvent(name));
      name = EVENTS[this.engine.exports.endH2(this.address)]!;
    }
    return events;
  }

  /** All unsent bytes, taken as written. */
  outputBytes(): Buffer {
    const { exports, bytes } = this.engine;
    const parts: Buffer[] = [];
    for (let length = exports.outputBytes(this.address); length > 0; length = exports.outputBytes(this.address)) {
      const ptr = exports.outputPtr(this.address);
      parts.push(Buffer.from(bytes.slice(ptr, ptr + length)));
      exports.consumeOutput(this.address, length);
    }
    return Buffer.concat(parts);
  }

  /** All unsent frames. */
  frames(): Frame[] {
    const frames = this.#reader.read(this.outputBytes());
    if (this.#reader.leftover !== 0) throw new Error("a frame is cut short");
    return frames;
  }

  /** All unsent frames as lines. */
  output(): string[] {
    return this.#printer.print(this.frames());
  }

  /** Address of a live stream. */
  stream(id: number): number {
    const stream = this.streams.get(id);
    if (stream === undefined) throw new Error(`no stream ${id}`);
    return stream;
  }

  /** Opens a stream and sends its head; returns its id. */
  request(head: HeadInput, end: boolean): number {
    const { exports } = this.engine;
    const stream = exports.openH2(this.address);
    if (stream === 0) throw new Error("cannot open");
    exports.sendHeadH2(stream, this.engine.writeHead(0, head), end);
    const id = exports.streamId(stream);
    this.streams.set(id, stream);
    return id;
  }

  respond(id: number, head: HeadInput, end: boolean): void {
    this.engine.exports.sendHeadH2(this.stream(id), this.engine.writeHead(1, head), end);
  }

  sendInformational(id: number, head: HeadInput): void {
    this.engine.exports.sendInformationalH2(this.stream(id), this.engine.writeHead(1, head));
  }

  sendTrailers(id: number, fields: Fields): void {
    this.engine.exports.sendTrailersH2(this.stream(id), this.engine.writeHead(2, { fields }));
  }

  sendData(id: number, payload: Uint8Array | string, end: boolean): void {
    const at = this.engine.exports.scratch.value as number;
    const bytes = Buffer.from(payload);
    this.engine.bytes.set(bytes, at);
    this.engine.exports.sendDataH2(this.stream(id), at, bytes.length, end);
  }

  sendable(id: number): number {
    return this.engine.exports.sendableH2(this.stream(id));
  }

  reset(id: number, code: number): void {
    this.engine.exports.resetH2(this.stream(id), code);
  }

  release(id: number): void {
    this.engine.exports.releaseStreamH2(this.stream(id));
    this.streams.delete(id);
  }

  credit(id: number, bytes: number): void {
    this.engine.exports.creditH2(this.stream(id), bytes);
  }

  /** Everything back to the pool. */
  destroy(): void {
    this.engine.exports.disconnect(this.address);
    this.streams.clear();
  }

  #drain(): H2Event[] {
    const events: H2Event[] = [];
    for (;;) {
      const name = EVENTS[this.engine.exports.receiveH2(this.address)]!;
      if (name === "NONE") break;
      if (name === "BLOCKED") {
        this.blocks += 1;
        this.engine.exports.startTurnH2(this.address);
        continue;
      }
      const event = this.#readEvent(name);
      events.push(event);
      this.onEvent(event);
    }
    const left = this.engine.exports.event(6);
    if (left !== 0) throw new Error(`${left} bytes of input were not taken`);
    return events;
  }

  #readEvent(name: EventName): H2Event {
    const { exports, bytes } = this.engine;
    const [stream, ptr, length, end, code, flags] = [0, 1, 2, 3, 4, 5].map((field) => exports.event(field));
    const isOfStream = !["GOAWAY", "FATAL", "READY", "PONG"].includes(name) && stream !== NONE;
    const id = isOfStream ? exports.streamId(stream!) : 0;
    const hasHead = ["HEAD", "TRAILERS", "INFORMATIONAL"].includes(name);
    const event: H2Event = {
      name,
      stream: stream!,
      id,
      end: end !== 0,
      code: code!,
      flags: flags!,
      last: length!,
      bytes: name === "DATA" ? Buffer.from(bytes.slice(ptr!, ptr! + length!)) : Buffer.alloc(0),
      head: hasHead ? this.engine.readHead(ptr!) : undefined,
    };
    if (name === "HEAD" || name === "REFUSE") this.streams.set(id, stream!);
    if (name === "DATA" && this.creditsAtOnce) exports.creditH2(stream!, length!);
    if (name === "RESET" && this.releasesOnReset) {
      exports.releaseStreamH2(stream!);
      this.streams.delete(id);
    }
    return event;
  }
}

export async function loadH2(): Promise<H2Engine> {
  return new H2Engine(await loadTestingModule<H2Exports>("h2"));
}
