// The HTTP/1.1 codec behind a TypeScript face: bytes in, events and bytes out, strings as latin1 so that bytes survive.
//
// Input is laid at a changing place of the read buffer and overwritten once the codec has taken it, so that an event
// that would point into old input shows.

import * as codes from "../../assembly/abi/engine-codes.ts";
import { READ_BUFFER_BYTES } from "../../assembly/abi/limits.ts";
import type { Global, H1Exports } from "./h1-exports.ts";
import { loadTestingModule, type TestingModule } from "./wasm.ts";

/** HEAD_FLAGS of engine/http/head.ts, by name. */
export const HEAD_FLAG = {
  teTrailers: 1,
  continue: 2,
  grpc: 4,
  chunked: 8,
  upgrade: 16,
  absolute: 64,
  keepAlive: 128,
  body: 256,
} as const;

/** STREAM_* of engine/tables/streams.ts, by name. */
export const STREAM_FLAG = {
  receivedHead: 1,
  receivedEnd: 2,
  sentHead: 4,
  sentEnd: 8,
  reset: 16,
  isHead: 32,
  isConnect: 64,
  tunnel: 128,
  upgrade: 256,
} as const;

/** CONNECTION_* of engine/tables/connections.ts, by name. */
export const CONNECTION_FLAG = { closeWanted: 8, shutdownWanted: 128, abort: 2048 } as const;

export type Field = readonly [name: string, value: string];

export interface RequestHead {
  readonly method: string;
  readonly path?: string;
  readonly authority?: string;
  readonly fields?: readonly Field[];
  readonly length?: number;
  readonly protocol?: string;
  readonly flags?: number;
}

export interface ResponseHead {
  readonly status: number;
  readonly reason?: string;
  readonly fields?: readonly Field[];
  readonly length?: number;
  readonly protocol?: string;
}

export interface Head {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly scheme: number;
  readonly status: number;
  readonly reason: string;
  readonly version: number;
  readonly protocol: string;
  readonly length: number;
  readonly flags: number;
  readonly fields: readonly Field[];
}

export type Event =
  | { readonly kind: "head" | "informational"; readonly stream: number; readonly head: Head; readonly end: boolean }
  | { readonly kind: "data"; readonly stream: number; readonly data: string; readonly end: boolean }
  | { readonly kind: "trailers"; readonly stream: number; readonly fields: readonly Field[] }
  | { readonly kind: "end"; readonly stream: number }
  | { readonly kind: "reset"; readonly stream: number; readonly code: number; readonly flags: number }
  | { readonly kind: "refuse"; readonly stream: number; readonly code: number; readonly head: Head }
  | { readonly kind: "fatal"; readonly stream: number; readonly code: number }
  | { readonly kind: "blocked" };

/** Events after which nothing of the input is left to take. */
const POISON = 0xdb;

export async function loadH1(): Promise<H1> {
  const module = await loadTestingModule<H1Exports>("h1");
  module.exports.createPool();
  return new H1(module);
}

export class H1 {
  readonly exports: H1Exports;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  #offset = 0;

  constructor(module: TestingModule<H1Exports>) {
    this.exports = module.exports;
    this.bytes = module.bytes;
    this.view = module.view;
  }

  connect(role: "downstream" | "upstream"): Connection {
    return new Connection(this, role);
  }

  text(ptr: number, length: number): string {
    return Buffer.from(this.bytes.buffer, ptr, length).toString("latin1");
  }

  put(ptr: number, text: string): number {
    return ptr + Buffer.from(this.bytes.buffer).write(text, ptr, "latin1");
  }

  /** Lays input into the read buffer, each time at another alignment; returns where. */
  lay(text: string): number {
    if (text.length > READ_BUFFER_BYTES - 64) throw new Error(`${text.length} bytes are more than one read`);
    this.#offset = (this.#offset + 7) % 64;
    const at = this.exports.readBuffer.value + this.#offset;
    this.put(at, text);
    return at;
  }

  /** Writes a head into ANSWER_HEAD, its text into the scratch area. */
  putHead(kind: number, head: Partial<RequestHead & ResponseHead>): number {
    const e = this.exports;
    const at = e.answerHead.value;
    let text = e.scratch.value;
    const place = (offset: Global, value: string): void => {
      this.view.setUint32(at + offset.value, text, true);
      this.view.setUint32(at + offset.value + 4, value.length, true);
      text = this.put(text, value);
    };
    e.startHead(at, kind);
    if (head.method !== undefined) {
      place(e.HEAD_METHOD, head.method);
      const methodId = e.methodIdOf(text - head.method.length, head.method.length);
      this.view.setUint32(at + e.HEAD_METHOD_ID.value, methodId, true);
    }
    place(e.HEAD_PATH, head.path ?? "");
    place(e.HEAD_AUTHORITY, head.authority ?? "");
    place(e.HEAD_PROTOCOL, head.protocol ?? "");
    place(e.HEAD_REASON, head.reason ?? "");
    this.view.setUint16(at + e.HEAD_STATUS.value, head.status ?? 0, true);
    this.view.setBigInt64(at + e.HEAD_CONTENT_LENGTH.value, BigInt(head.length ?? -1), true);
    this.view.setUint32(at + e.HEAD_FLAGS.value, head.flags ?? 0, true);
    for (const [name, value] of head.fields ?? []) {
      const valueAt = this.put(text, name);
      const end = this.put(valueAt, value);
      e.addField(at, e.nameIdOf(text, name.length), text, name.length, valueAt, value.length);
      text = end;
    }
    return at;
  }

  readHead(at: number): Head {
    const e = this.exports;
    const text = (offset: Global): string =>
      this.text(this.view.getUint32(at + offset.value, true), this.view.getUint32(at + offset.value + 4, true));
    return {
      method: text(e.HEAD_METHOD),
      path: text(e.HEAD_PATH),
      authority: text(e.HEAD_AUTHORITY),
      scheme: this.view.getUint8(at + e.HEAD_SCHEME.value),
      status: this.view.getUint16(at + e.HEAD_STATUS.value, true),
      reason: text(e.HEAD_REASON),
      version: this.view.getUint8(at + e.HEAD_VERSION.value),
      protocol: text(e.HEAD_PROTOCOL),
      length: Number(this.view.getBigInt64(at + e.HEAD_CONTENT_LENGTH.value, true)),
      flags: this.view.getUint32(at + e.HEAD_FLAGS.value, true),
      fields: this.readFields(at),
    };
  }

  readFields(head: number): Field[] {
    const e = this.exports;
    const fields: Field[] = [];
    const count = this.view.getUint32(head + e.HEAD_COUNT.value, true);
    for (let index = 0; index < count; index += 1) {
      const at = e.fieldAt(head, index);
      if ((this.view.getUint8(at + e.FIELD_FLAGS.value) & 1) !== 0) continue;
      const nameBytes = this.view.getUint16(at + e.FIELD_NAME_BYTES.value, true);
      const valueBytes = this.view.getUint16(at + e.FIELD_VALUE_BYTES.value, true);
      fields.push([
        this.text(this.view.getUint32(at + e.FIELD_NAME.value, true), nameBytes),
        this.text(this.view.getUint32(at + e.FIELD_VALUE.value, true), valueBytes),
      ]);
    }
    return fields;
  }

  readEvent(kind: number): Event {
    const e = this.exports;
    const stream = e.event(0);
    const end = e.event(3) === 1;
    switch (kind) {
      case codes.EVENT_HEAD:
        return { kind: "head", stream, head: this.readHead(e.event(1)), end };
      case codes.EVENT_INFORMATIONAL:
        return { kind: "informational", stream, head: this.readHead(e.event(1)), end };
      case codes.EVENT_DATA:
        return { kind: "data", stream, data: this.text(e.event(1), e.event(2)), end };
      case codes.EVENT_TRAILERS:
        return { kind: "trailers", stream, fields: this.readFields(e.event(1)) };
      case codes.EVENT_END:
        return { kind: "end", stream };
      case codes.EVENT_RESET:
        return { kind: "reset", stream, code: e.event(4), flags: e.event(5) };
      case codes.EVENT_REFUSE:
        return { kind: "refuse", stream, code: e.event(4), head: this.readHead(e.event(1)) };
      case codes.EVENT_FATAL:
        return { kind: "fatal", stream, code: e.event(4) };
      case codes.EVENT_BLOCKED:
        return { kind: "blocked" };
      default:
        throw new Error(`event ${kind} is not one of h1's`);
    }
  }
}

/** One connection: what its codec says, and what it wants sent. */
export class Connection {
  readonly address: number;
  readonly #h1: H1;
  #backlog = "";

  constructor(h1: H1, role: "downstream" | "upstream") {
    this.#h1 = h1;
    this.address = h1.exports.connect(role === "upstream" ? codes.ROLE_UPSTREAM : codes.ROLE_DOWNSTREAM);
  }

  /** Gives bytes to the codec, behind those that were left when it was blocked. */
  receive(bytes: string, onEvent: (event: Event) => void): void {
    const e = this.#h1.exports;
    const text = this.#backlog + bytes;
    const at = this.#h1.lay(text);
    this.#backlog = "";
    e.setInput(at, at + text.length);
    for (;;) {
      const kind = e.receiveH1(this.address);
      if (kind === codes.EVENT_NONE) break;
      const left = e.event(6);
      if (kind === codes.EVENT_BLOCKED) this.#backlog = text.slice(text.length - left);
      const event = this.#h1.readEvent(kind);
      if (kind === codes.EVENT_BLOCKED) {
        this.#h1.bytes.fill(POISON, at, at + text.length);
        onEvent(event);
        return;
      }
      onEvent(event);
      if (kind === codes.EVENT_FATAL) break;
      e.setInput(at + text.length - left, at + text.length); // another connection's receive may have come between
    }
    this.#h1.bytes.fill(POISON, at, at + text.length);
  }

  /** All events of some input. */
  events(bytes: string): Event[] {
    const events: Event[] = [];
    this.receive(bytes, (event) => events.push(event));
    return events;
  }

  /** The peer's FIN. */
  end(): Event | undefined {
    const kind = this.#h1.exports.endH1(this.address);
    return kind === codes.EVENT_NONE ? undefined : this.#h1.readEvent(kind);
  }

  /** Takes everything that is to be written. */
  output(): string {
    const e = this.#h1.exports;
    let text = "";
    for (let bytes = e.outputBytes(this.address); bytes !== 0; bytes = e.outputBytes(this.address)) {
      text += this.#h1.text(e.outputPtr(this.address), bytes);
      e.consumeOutput(this.address, bytes);
    }
    return text;
  }

  get hasBacklog(): boolean {
    return this.#backlog !== "";
  }

  get isReusable(): boolean {
    return this.#h1.exports.isReusableH1(this.address) === 1;
  }

  get wantsClose(): boolean {
    return this.#h1.exports.wantsCloseH1(this.address) === 1;
  }

  /** CONNECTION_* flags. */
  get flags(): number {
    return this.#h1.view.getUint32(this.address + this.#h1.exports.C_FLAGS.value, true);
  }

  /** Takes the connection for a request; 0 when it cannot. */
  open(): number {
    return this.#h1.exports.openH1(this.address);
  }

  sendRequest(stream: number, head: RequestHead, end: boolean): void {
    this.#h1.exports.sendHeadH1(stream, this.#h1.putHead(codes.HEAD_REQUEST, head), Number(end));
  }

  sendResponse(stream: number, head: ResponseHead, end: boolean): void {
    this.#h1.exports.sendHeadH1(stream, this.#h1.putHead(codes.HEAD_RESPONSE, head), Number(end));
  }

  sendInformational(stream: number, head: ResponseHead): void {
    this.#h1.exports.sendInformationalH1(stream, this.#h1.putHead(codes.HEAD_RESPONSE, head));
  }

  sendData(stream: number, data: string, end: boolean): void {
    const at = this.#h1.exports.scratch.value;
    this.#h1.put(at, data);
    this.#h1.exports.sendDataH1(stream, at, data.length, Number(end));
  }

  sendTrailers(stream: number, fields: readonly Field[]): void {
    this.#h1.exports.sendTrailersH1(stream, this.#h1.putHead(codes.HEAD_TRAILERS, { fields }));
  }

  sendEnd(stream: number): void {
    this.#h1.exports.sendEndH1(stream);
  }

  reset(stream: number): void {
    this.#h1.exports.resetH1(stream, codes.H2_CANCEL);
  }

  release(stream: number): void {
    this.#h1.exports.releaseStreamH1(stream);
  }

  streamFlags(stream: number): number {
    return this.#h1.view.getUint32(stream + this.#h1.exports.S_FLAGS.value, true);
  }

  close(): void {
    this.#h1.exports.disconnect(this.address);
  }
}
