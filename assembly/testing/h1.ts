// The HTTP/1.1 codec with its insides exported, for unit tests: records are made here, verbs go straight through.
//
// Offsets are exported as globals, so that test/support/h1.ts reads heads and records without a second copy of them.

import { ANSWER_HEAD, PROXY_SCRATCH, READ_BUFFER, SCRATCH_HEAD } from "../abi/engine-memory.ts";
import { allocate, createPool, poolUsedBytes } from "../core/pool.ts";
import {
  becomeTunnelH1,
  closeAfterResponseH1,
  creditH1,
  endH1,
  isReusableH1,
  openH1,
  receiveH1,
  releaseStreamH1,
  resetH1,
  sendableH1,
  sendDataH1,
  sendEndH1,
  sendHeadH1,
  sendInformationalH1,
  sendTrailersH1,
  startH1,
  stopH1,
  wantsCloseH1,
} from "../engine/h1/index.ts";
import { phraseLen, phrasePtr } from "../engine/h1/phrases.ts";
import { isAuthority, isSameAuthority, portOf } from "../engine/http/authority.ts";
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
  HEAD_CRUMBS,
  HEAD_FIELD_BYTES,
  HEAD_FLAGS,
  HEAD_METHOD,
  HEAD_METHOD_ID,
  HEAD_PATH,
  HEAD_PROTOCOL,
  HEAD_REASON,
  HEAD_SCHEME,
  HEAD_STATUS,
  HEAD_VERSION,
  startHead,
} from "../engine/http/head.ts";
import { isForbiddenTrailer, isGrpcContentType, methodIdOf } from "../engine/http/message.ts";
import { nameIdOf } from "../engine/http/names.ts";
import {
  isDigitByte,
  isHexByte,
  isHostByte,
  isTargetByte,
  isTokenByte,
  isValueByte,
  targetEnd,
  valueEnd,
} from "../engine/http/syntax.ts";
import {
  C_FLAGS,
  C_OUT_BYTES,
  C_OUT_HEAD,
  C_PARTIAL,
  C_ROLE,
  C_STREAMS,
  connectionCount,
  createConnection,
  destroyConnection,
} from "../engine/tables/connections.ts";
import { CHUNK_END, CHUNK_START, consumeOutput, destroyOutput, takeDirty } from "../engine/tables/output.ts";
import { createStream, S_BODY_BYTES, S_EXPECTED, S_FLAGS, S_TO_SEND, streamCount } from "../engine/tables/streams.ts";

export const readBuffer: u32 = READ_BUFFER;
export const scratchHead: u32 = SCRATCH_HEAD;
export const answerHead: u32 = ANSWER_HEAD;
export const scratch: u32 = PROXY_SCRATCH;

/** A connection that has begun. */
export function connect(role: u32): u32 {
  const connection = createConnection();
  store<u8>(connection, u8(role), C_ROLE);
  startH1(connection);
  return connection;
}

/** Releases the stream, then everything else. */
export function disconnect(connection: u32): void {
  while (load<u32>(connection, C_STREAMS) != 0) releaseStreamH1(load<u32>(connection, C_STREAMS));
  stopH1(connection);
  destroyOutput(connection);
  while (takeDirty() != 0) {}
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

/** Reads the same head `times` times, for the bench: nothing but parsing, the stream's record and its release. */
export function benchReceive(connection: u32, ptr: u32, end: u32, times: u32): u32 {
  let events: u32 = 0;
  for (let index: u32 = 0; index < times; index += 1) {
    setInput(ptr, end);
    events += receiveH1(connection);
    store<u32>(eventStream, load<u32>(eventStream, S_FLAGS) | 8, S_FLAGS);
    releaseStreamH1(eventStream);
  }
  return events;
}

/** Writes the same head `times` times, with the stream's record and its release. */
export function benchSend(connection: u32, head: u32, times: u32): u32 {
  let bytes: u32 = 0;
  for (let index: u32 = 0; index < times; index += 1) {
    const stream = openH1(connection);
    sendHeadH1(stream, head, true);
    store<u32>(stream, load<u32>(stream, S_FLAGS) | 2, S_FLAGS);
    releaseStreamH1(stream);
    const written = load<u32>(connection, C_OUT_BYTES);
    bytes += written;
    consumeOutput(connection, written);
  }
  return bytes;
}

export {
  addField,
  allocate,
  becomeTunnelH1,
  C_FLAGS,
  C_OUT_BYTES,
  C_PARTIAL,
  C_STREAMS,
  closeAfterResponseH1,
  connectionCount,
  consumeOutput,
  createPool,
  createStream,
  creditH1,
  endH1,
  FIELD_FLAGS,
  FIELD_NAME,
  FIELD_NAME_BYTES,
  FIELD_NAME_ID,
  FIELD_VALUE,
  FIELD_VALUE_BYTES,
  fieldAt,
  glitchCount,
  HEAD_AUTHORITY,
  HEAD_CONTENT_LENGTH,
  HEAD_COUNT,
  HEAD_CRUMBS,
  HEAD_FIELD_BYTES,
  HEAD_FLAGS,
  HEAD_METHOD,
  HEAD_METHOD_ID,
  HEAD_PATH,
  HEAD_PROTOCOL,
  HEAD_REASON,
  HEAD_SCHEME,
  HEAD_STATUS,
  HEAD_VERSION,
  isAuthority,
  isDigitByte,
  isForbiddenTrailer,
  isGrpcContentType,
  isHexByte,
  isHostByte,
  isReusableH1,
  isSameAuthority,
  isTargetByte,
  isTokenByte,
  isValueByte,
  methodIdOf,
  nameIdOf,
  openH1,
  phraseLen,
  phrasePtr,
  poolUsedBytes,
  portOf,
  receiveH1,
  releaseStreamH1,
  resetH1,
  S_BODY_BYTES,
  S_EXPECTED,
  S_FLAGS,
  S_TO_SEND,
  sendableH1,
  sendDataH1,
  sendEndH1,
  sendHeadH1,
  sendInformationalH1,
  sendTrailersH1,
  setInput,
  startHead,
  streamCount,
  targetEnd,
  valueEnd,
  wantsCloseH1,
};
