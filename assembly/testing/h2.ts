// The HTTP/2 codec with its insides exported, for unit tests: records are made here, verbs go straight through.

import { PROTOCOL_H2 } from "../abi/engine-codes.ts";
import { ANSWER_HEAD, PROXY_SCRATCH, READ_BUFFER } from "../abi/engine-memory.ts";
import { allocate, createPool, poolUsedBytes, release } from "../core/pool.ts";
import {
  canOpenH2,
  creditH2,
  endH2,
  goawayH2,
  hasExtendedConnectH2,
  maxStreamsH2,
  openH2,
  pingH2,
  receiveH2,
  releaseStreamH2,
  resetH2,
  sendableH2,
  sendDataH2,
  sendEndH2,
  sendHeadH2,
  sendInformationalH2,
  sendTrailersH2,
  startH2,
  startTurnH2,
  stopH2,
} from "../engine/h2/index.ts";
import { H_RECEIVE_WINDOW, H_SEND_WINDOW } from "../engine/h2/state.ts";
import {
  eventCode,
  eventEnd,
  eventFlags,
  eventLen,
  eventPtr,
  eventStream,
  inputEnd,
  inputPtr,
  setInput,
  setNow,
} from "../engine/http/event.ts";
import { glitchCount } from "../engine/http/glitch.ts";
import {
  addField,
  FIELD_FLAGS,
  FIELD_NAME,
  FIELD_NAME_BYTES,
  FIELD_NAME_ID,
  FIELD_VALUE,
  FIELD_VALUE_BYTES,
  fieldAt,
  HEAD_AUTHORITY,
  HEAD_CONTENT_LENGTH,
  HEAD_COUNT,
  HEAD_FLAGS,
  HEAD_KIND,
  HEAD_METHOD,
  HEAD_METHOD_ID,
  HEAD_PATH,
  HEAD_PROTOCOL,
  HEAD_SCHEME,
  HEAD_STATUS,
  startHead,
} from "../engine/http/head.ts";
import { nameIdOf } from "../engine/http/names.ts";
import {
  C_OUT_BYTES,
  C_OUT_HEAD,
  C_PEER_IS_PILLION,
  C_PROTOCOL,
  C_ROLE,
  C_STREAMS,
  createConnection,
  destroyConnection,
} from "../engine/tables/connections.ts";
import { CHUNK_END, CHUNK_START, consumeOutput, destroyOutput } from "../engine/tables/output.ts";
import { S_FLAGS, S_ID, S_RECEIVE_WINDOW, S_SEND_WINDOW, streamCount } from "../engine/tables/streams.ts";

export const readBuffer: u32 = READ_BUFFER;
export const answerHead: u32 = ANSWER_HEAD;
export const scratch: u32 = PROXY_SCRATCH;

/** A connection that has begun. */
export function connect(role: u32, isPillion: bool): u32 {
  const connection = createConnection();
  store<u8>(connection, u8(role), C_ROLE);
  store<u8>(connection, PROTOCOL_H2, C_PROTOCOL);
  store<u8>(connection, u8(isPillion), C_PEER_IS_PILLION);
  startH2(connection);
  return connection;
}

/** Releases every stream, then the connection. */
export function disconnect(connection: u32): void {
  while (load<u32>(connection, C_STREAMS) != 0) releaseStreamH2(load<u32>(connection, C_STREAMS));
  stopH2(connection);
  destroyOutput(connection);
  destroyConnection(connection);
}

export function event(field: u32): u32 {
  switch (field) {
    case 0:
      return eventStream;
    case 1:
      return eventPtr;
    case 2:
      return eventLen;
    case 3:
      return u32(eventEnd);
    case 4:
      return eventCode;
    case 5:
      return eventFlags;
    default:
      return inputEnd - inputPtr;
  }
}

/** Where unsent output starts; 0 when there is none. Its first chunk holds outputBytes. */
export function outputPtr(connection: u32): u32 {
  const chunk = load<u32>(connection, C_OUT_HEAD);
  return chunk == 0 ? 0 : chunk + load<u32>(chunk, CHUNK_START);
}

export function outputBytes(connection: u32): u32 {
  const chunk = load<u32>(connection, C_OUT_HEAD);
  return chunk == 0 ? 0 : load<u32>(chunk, CHUNK_END) - load<u32>(chunk, CHUNK_START);
}

export function outputTotal(connection: u32): u32 {
  return load<u32>(connection, C_OUT_BYTES);
}

export function streamId(stream: u32): u32 {
  return load<u32>(stream, S_ID);
}

export function streamFlags(stream: u32): u32 {
  return load<u32>(stream, S_FLAGS);
}

/** 0 = stream sends, 1 = stream receives, 2 = connection sends, 3 = connection receives. */
export function windowOf(record: u32, which: u32): i32 {
  if (which == 0) return load<i32>(record, S_SEND_WINDOW);
  if (which == 1) return load<i32>(record, S_RECEIVE_WINDOW);
  return which == 2 ? load<i32>(record, H_SEND_WINDOW) : load<i32>(record, H_RECEIVE_WINDOW);
}

export {
  addField,
  allocate,
  canOpenH2,
  consumeOutput,
  createPool,
  creditH2,
  endH2,
  FIELD_FLAGS,
  FIELD_NAME,
  FIELD_NAME_BYTES,
  FIELD_NAME_ID,
  FIELD_VALUE,
  FIELD_VALUE_BYTES,
  fieldAt,
  glitchCount,
  goawayH2,
  HEAD_AUTHORITY,
  HEAD_CONTENT_LENGTH,
  HEAD_COUNT,
  HEAD_FLAGS,
  HEAD_KIND,
  HEAD_METHOD,
  HEAD_METHOD_ID,
  HEAD_PATH,
  HEAD_PROTOCOL,
  HEAD_SCHEME,
  HEAD_STATUS,
  hasExtendedConnectH2,
  maxStreamsH2,
  nameIdOf,
  openH2,
  pingH2,
  poolUsedBytes,
  receiveH2,
  release,
  releaseStreamH2,
  resetH2,
  sendableH2,
  sendDataH2,
  sendEndH2,
  sendHeadH2,
  sendInformationalH2,
  sendTrailersH2,
  setInput,
  setNow,
  startHead,
  startTurnH2,
  stopH2,
  streamCount,
};
