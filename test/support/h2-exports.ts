// What assembly/testing/h2.ts exports, and the heads that go in and out of it.

import type { Fields } from "./frames.ts";

/** What a test sends. */
export interface HeadInput {
  readonly method?: string;
  readonly path?: string;
  readonly scheme?: "http" | "https";
  readonly authority?: string;
  readonly protocol?: string;
  readonly status?: number;
  readonly fields?: Fields;
  readonly contentLength?: number;
  readonly flags?: number;
}

/** A head as the codec decoded it. */
export interface HeadOutput extends Required<Omit<HeadInput, "flags">> {
  readonly methodId: number;
  readonly flags: number;
  readonly neverIndexed: readonly string[];
}

/** Exports of assembly/testing/h2.ts. */
export interface H2Exports {
  allocate(bytes: number): number;
  addField(head: number, id: number, name: number, nameBytes: number, value: number, valueBytes: number): number;
  canOpenH2(connection: number): number;
  connect(role: number, isPillion: boolean): number;
  consumeOutput(connection: number, length: number): void;
  createPool(): void;
  creditH2(stream: number, bytes: number): void;
  disconnect(connection: number): void;
  endH2(connection: number): number;
  event(field: number): number;
  fieldAt(head: number, index: number): number;
  glitchCount(role: number, kind: number): bigint;
  goawayH2(connection: number, code: number, final: boolean): void;
  hasExtendedConnectH2(connection: number): number;
  maxStreamsH2(connection: number): number;
  nameIdOf(ptr: number, length: number): number;
  openH2(connection: number): number;
  outputBytes(connection: number): number;
  outputPtr(connection: number): number;
  outputTotal(connection: number): number;
  pingH2(connection: number): void;
  poolUsedBytes(): number;
  receiveH2(connection: number): number;
  release(block: number): void;
  releaseStreamH2(stream: number): void;
  resetH2(stream: number, code: number): void;
  sendableH2(stream: number): number;
  sendDataH2(stream: number, ptr: number, length: number, end: boolean): void;
  sendEndH2(stream: number): void;
  sendHeadH2(stream: number, head: number, end: boolean): void;
  sendInformationalH2(stream: number, head: number): void;
  sendTrailersH2(stream: number, head: number): void;
  setInput(ptr: number, end: number): void;
  setNow(us: bigint): void;
  startHead(head: number, kind: number): void;
  startTurnH2(connection: number): void;
  streamCount(): number;
  streamFlags(stream: number): number;
  streamId(stream: number): number;
  windowOf(record: number, which: number): number;
  readonly answerHead: WebAssembly.Global;
  readonly readBuffer: WebAssembly.Global;
  readonly scratch: WebAssembly.Global;
  readonly [offset: `${"HEAD" | "FIELD"}_${string}`]: WebAssembly.Global;
}
