// One side of an exchange, whatever it speaks: the verbs of both codecs under one name.

import { PROTOCOL_H2 } from "../../abi/engine-codes.ts";
import {
  creditH1,
  releaseStreamH1,
  resetH1,
  sendableH1,
  sendDataH1,
  sendEndH1,
  sendHeadH1,
  sendInformationalH1,
  sendTrailersH1,
} from "../h1/index.ts";
import {
  creditH2,
  releaseStreamH2,
  resetH2,
  sendableH2,
  sendDataH2,
  sendEndH2,
  sendHeadH2,
  sendInformationalH2,
  sendTrailersH2,
} from "../h2/index.ts";
import { C_PROTOCOL } from "../tables/connections.ts";
import { S_CONNECTION } from "../tables/streams.ts";

/** The connection of a stream. */
export function connectionOfStream(stream: u32): u32 {
  return load<u32>(stream, S_CONNECTION);
}

/** Whether a stream's connection speaks HTTP/2. */
export function isH2(stream: u32): bool {
  return load<u8>(load<u32>(stream, S_CONNECTION), C_PROTOCOL) == PROTOCOL_H2;
}

export function sendHead(stream: u32, head: u32, end: bool): void {
  if (isH2(stream)) sendHeadH2(stream, head, end);
  else sendHeadH1(stream, head, end);
}

export function sendInformational(stream: u32, head: u32): void {
  if (isH2(stream)) sendInformationalH2(stream, head);
  else sendInformationalH1(stream, head);
}

export function sendable(stream: u32): u32 {
  return isH2(stream) ? sendableH2(stream) : sendableH1(stream);
}

export function sendData(stream: u32, ptr: u32, length: u32, end: bool): void {
  if (isH2(stream)) sendDataH2(stream, ptr, length, end);
  else sendDataH1(stream, ptr, length, end);
}

export function sendTrailers(stream: u32, head: u32): void {
  if (isH2(stream)) sendTrailersH2(stream, head);
  else sendTrailersH1(stream, head);
}

export function sendEnd(stream: u32): void {
  if (isH2(stream)) sendEndH2(stream);
  else sendEndH1(stream);
}

export function reset(stream: u32, code: u32): void {
  if (isH2(stream)) resetH2(stream, code);
  else resetH1(stream, code);
}

export function credit(stream: u32, bytes: u32): void {
  if (isH2(stream)) creditH2(stream, bytes);
  else creditH1(stream, bytes);
}

export function releaseStream(stream: u32): void {
  if (isH2(stream)) releaseStreamH2(stream);
  else releaseStreamH1(stream);
}
