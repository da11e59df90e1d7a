// Messages out: the sending half of the HTTP/1.1 codec. Everything is appended to the connection's output at once.
//
//   framing of what we send (RFC 9112 §6)      request                      response
//   HEAD_CONTENT_LENGTH is known               content-length               content-length
//   no body                                    none; 0 for POST, PUT, PATCH content-length: 0; none for 204, 304, HEAD
//   length unknown                             chunked                      chunked; until close for HTTP/1.0
//   CONNECT, Upgrade                           none                         none: 2xx and 101 make a tunnel
//
// What was promised is kept or broken visibly: a body that ends short of its content-length aborts the socket.

import { ROLE_UPSTREAM } from "../../abi/engine-codes.ts";
import { ENCODE_BUFFER, ENCODE_BUFFER_BYTES } from "../../abi/engine-memory.ts";
import { writeHex } from "../../core/bytes.ts";
import {
  HEAD_CONTENT_LENGTH,
  HEAD_COUNT,
  HEAD_HAS_TE_TRAILERS,
  HEAD_IS_UPGRADE,
  HEAD_METHOD_ID,
  HEAD_STATUS,
  hasHeadFlag,
  METHOD_CONNECT,
  METHOD_HEAD,
} from "../http/head.ts";
import { expectsContent, isBodyless } from "../http/message.ts";
import { C_ROLE, CONNECTION_SHUTDOWN_WANTED, setFlag } from "../tables/connections.ts";
import { requestAbort } from "../tables/control.ts";
import { advanceOutput, appendOutput, CHUNK_PAYLOAD_BYTES, markDirty, reserveOutput } from "../tables/output.ts";
import {
  hasStreamFlag,
  S_CONNECTION,
  S_TO_SEND,
  STREAM_RECEIVED_END,
  STREAM_REQUEST_IS_CONNECT,
  STREAM_REQUEST_IS_HEAD,
  STREAM_RESET,
  STREAM_SENT_END,
  STREAM_SENT_HEAD,
  STREAM_UPGRADE,
  setStreamFlag,
} from "../tables/streams.ts";
import { becomeTunnelH1 } from "./lifecycle.ts";
import {
  clearH1,
  H_VERSION,
  H1_CLOSE,
  H1_EXPECTS,
  H1_TAKES_TRAILERS,
  hasH1,
  S_H1_SEND,
  SEND_CHUNKED,
  SEND_LENGTH,
  SEND_NOTHING,
  SEND_TUNNEL,
  SEND_UNTIL_CLOSE,
  setH1,
} from "./state.ts";
import { CRLF, copyText } from "./text.ts";
import {
  headBound,
  WRITE_CHUNKED,
  WRITE_CLOSE,
  WRITE_KEEP_ALIVE,
  WRITE_LENGTH,
  WRITE_TE,
  WRITE_UPGRADE,
  writeFields,
  writeHop,
  writeRequestLine,
  writeStatusLine,
} from "./writer.ts";

/** "0" CRLF CRLF. */
const LAST_CHUNK: u32 = <u32>memory.data<u8>([48, 13, 10, 13, 10]);
const LAST_CHUNK_BYTES: u32 = 5;
/** "0" CRLF, before trailers. */
const LAST_SIZE_BYTES: u32 = 3;
/** Size line, two CRLF and the last chunk around one chunk's data. */
const CHUNK_FRAME_BYTES: u32 = 32;

/** Sends the head of our message: a request upstream, a final response (or 101) downstream. */
export function sendHeadH1(stream: u32, head: u32, end: bool): void {
  if (hasStreamFlag(stream, STREAM_RESET)) return;
  assert(!hasStreamFlag(stream, STREAM_SENT_HEAD));
  setStreamFlag(stream, STREAM_SENT_HEAD);
  const connection = load<u32>(stream, S_CONNECTION);
  if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) sendRequest(connection, stream, head, end);
  else sendResponse(connection, stream, head, end);
}

/** Sends a 1xx response other than 101; HTTP/1.0 clients know none (RFC 9110 §15.2). */
export function sendInformationalH1(stream: u32, head: u32): void {
  const connection = load<u32>(stream, S_CONNECTION);
  if (hasStreamFlag(stream, STREAM_RESET) || load<u8>(connection, H_VERSION) == 10) return;
  assert(!hasStreamFlag(stream, STREAM_SENT_HEAD));
  if (load<u16>(head, HEAD_STATUS) == 100) clearH1(connection, H1_EXPECTS);
  sendHeadText(connection, head, false, 0, 0);
}

/** Sends body bytes; the caller has looked at `sendableH1`. */
export function sendDataH1(stream: u32, ptr: u32, length: u32, end: bool): void {
  if (hasStreamFlag(stream, STREAM_RESET | STREAM_SENT_END)) return;
  assert(hasStreamFlag(stream, STREAM_SENT_HEAD));
  const connection = load<u32>(stream, S_CONNECTION);
  const mode = u32(load<u8>(stream, S_H1_SEND));
  if (mode == SEND_CHUNKED) {
    if (length != 0) sendChunk(connection, ptr, length, end);
    else if (end) appendOutput(connection, LAST_CHUNK, LAST_CHUNK_BYTES);
    if (end) setStreamFlag(stream, STREAM_SENT_END);
    return;
  }
  if (mode == SEND_LENGTH) {
    const left = load<i64>(stream, S_TO_SEND) - length;
    if (left < 0) {
      breakOff(stream);
      return;
    }
    store<i64>(stream, left, S_TO_SEND);
  }
  // The body of a message that has none is dropped: the answer to HEAD, 204, 304.
  if (mode != SEND_NOTHING) appendOutput(connection, ptr, length);
  if (end) sendEndH1(stream);
}

/** Sends trailers and ends our side; where they cannot be sent they are dropped. */
export function sendTrailersH1(stream: u32, head: u32): void {
  if (hasStreamFlag(stream, STREAM_RESET | STREAM_SENT_END)) return;
  const connection = load<u32>(stream, S_CONNECTION);
  // A client must have said that it wants them; a server that takes chunks can at least skip them (RFC 9110 §6.5.1).
  const taken = load<u8>(connection, C_ROLE) == ROLE_UPSTREAM || hasH1(connection, H1_TAKES_TRAILERS);
  if (load<u8>(stream, S_H1_SEND) != SEND_CHUNKED || !taken || load<u32>(head, HEAD_COUNT) == 0) {
    sendEndH1(stream);
    return;
  }
  appendOutput(connection, LAST_CHUNK, LAST_SIZE_BYTES);
  const out = startHeadText(connection, head);
  if (out != 0) finishHeadText(connection, out, writeHop(writeFields(out, head, false), head, 0, 0));
  setStreamFlag(stream, STREAM_SENT_END);
}

/** Ends our side without data. */
export function sendEndH1(stream: u32): void {
  if (hasStreamFlag(stream, STREAM_RESET | STREAM_SENT_END)) return;
  const connection = load<u32>(stream, S_CONNECTION);
  const mode = u32(load<u8>(stream, S_H1_SEND));
  if (mode == SEND_LENGTH && load<i64>(stream, S_TO_SEND) != 0) {
    breakOff(stream);
    return;
  }
  setStreamFlag(stream, STREAM_SENT_END);
  if (mode == SEND_CHUNKED) appendOutput(connection, LAST_CHUNK, LAST_CHUNK_BYTES);
  else if (mode == SEND_TUNNEL) {
    setFlag(connection, CONNECTION_SHUTDOWN_WANTED);
    markDirty(connection);
  }
}

function sendRequest(connection: u32, stream: u32, head: u32, end: bool): void {
  const methodId = load<u32>(head, HEAD_METHOD_ID);
  const length = load<i64>(head, HEAD_CONTENT_LENGTH);
  const isUpgrade = hasHeadFlag(head, HEAD_IS_UPGRADE);
  let plan: u32 = 0;
  if (methodId == METHOD_HEAD) setStreamFlag(stream, STREAM_REQUEST_IS_HEAD);
  if (methodId == METHOD_CONNECT) setStreamFlag(stream, STREAM_REQUEST_IS_CONNECT);
  else if (isUpgrade) {
    setStreamFlag(stream, STREAM_UPGRADE);
    plan |= WRITE_UPGRADE;
  } else plan |= planBody(stream, length, end, expectsContent(methodId));
  if (hasHeadFlag(head, HEAD_HAS_TE_TRAILERS)) plan |= WRITE_TE;
  if (hasH1(connection, H1_CLOSE)) plan |= WRITE_CLOSE;
  sendHeadText(connection, head, true, plan, u64(max<i64>(length, 0)));
  // Before the answer to CONNECT or Upgrade nothing can be sent; the request itself is complete.
  if (methodId == METHOD_CONNECT || isUpgrade) return;
  if (end) sendEndH1(stream);
}

function sendResponse(connection: u32, stream: u32, head: u32, end: bool): void {
  const status = u32(load<u16>(head, HEAD_STATUS));
  const isSuccess = status >= 200 && status < 300;
  if (status == 101 || (isSuccess && hasStreamFlag(stream, STREAM_REQUEST_IS_CONNECT))) {
    sendHeadText(connection, head, false, status == 101 ? WRITE_UPGRADE : 0, 0);
    becomeTunnelH1(stream);
    if (end) sendEndH1(stream);
    return;
  }
  if (hasStreamFlag(stream, STREAM_REQUEST_IS_CONNECT | STREAM_UPGRADE)) {
    // No tunnel after all: the request is complete as it is. What the client has sent in hope of one must not be read
    // as requests, and cannot be told from them.
    setStreamFlag(stream, STREAM_RECEIVED_END);
    setH1(connection, H1_CLOSE);
  }
  const length = load<i64>(head, HEAD_CONTENT_LENGTH);
  const isOld = load<u8>(connection, H_VERSION) == 10;
  let plan: u32 = 0;
  if (hasStreamFlag(stream, STREAM_REQUEST_IS_HEAD) || isBodyless(status)) {
    if (length >= 0 && status != 204) plan = WRITE_LENGTH;
  } else if (isOld && length < 0 && !end) {
    store<u8>(stream, u8(SEND_UNTIL_CLOSE), S_H1_SEND);
    setH1(connection, H1_CLOSE);
  } else plan = planBody(stream, length, end, true);
  // An answer before the end of the request: what is left of it cannot be told from the next one (RFC 9112 §9.6).
  if (!hasStreamFlag(stream, STREAM_RECEIVED_END) && (end || hasH1(connection, H1_EXPECTS)))
    setH1(connection, H1_CLOSE);
  if (hasH1(connection, H1_CLOSE)) plan |= WRITE_CLOSE;
  else if (isOld) plan |= WRITE_KEEP_ALIVE;
  sendHeadText(connection, head, false, plan, u64(max<i64>(length, 0)));
  if (end) sendEndH1(stream);
}

/** Decides how the body is framed; `saysNone` = an absent body is worth a `content-length: 0`. */
function planBody(stream: u32, length: i64, end: bool, saysNone: bool): u32 {
  if (length >= 0) {
    store<u8>(stream, u8(SEND_LENGTH), S_H1_SEND);
    store<i64>(stream, length, S_TO_SEND);
    return WRITE_LENGTH;
  }
  if (end) return saysNone ? WRITE_LENGTH : 0;
  store<u8>(stream, u8(SEND_CHUNKED), S_H1_SEND);
  return WRITE_CHUNKED;
}

function sendHeadText(connection: u32, head: u32, isRequest: bool, plan: u32, length: u64): void {
  const out = startHeadText(connection, head);
  if (out == 0) return;
  let at = isRequest ? writeRequestLine(out, head) : writeStatusLine(out, head);
  at = writeFields(at, head, isRequest);
  finishHeadText(connection, out, writeHop(at, head, plan, length));
}

/** Where a head is written: into the output where it fits, else aside. 0 when the pool is exhausted. */
function startHeadText(connection: u32, head: u32): u32 {
  const bound = headBound(head);
  if (bound <= CHUNK_PAYLOAD_BYTES) return reserveOutput(connection, bound);
  assert(bound <= <u32>ENCODE_BUFFER_BYTES);
  return ENCODE_BUFFER;
}

function finishHeadText(connection: u32, out: u32, end: u32): void {
  if (out == ENCODE_BUFFER) appendOutput(connection, out, end - out);
  else advanceOutput(connection, end - out);
}

function sendChunk(connection: u32, ptr: u32, length: u32, end: bool): void {
  const out = reserveOutput(connection, CHUNK_FRAME_BYTES);
  if (out == 0) return;
  const digits = writeHex(out, length);
  store<u16>(out + digits, CRLF);
  advanceOutput(connection, digits + 2);
  appendOutput(connection, ptr, length);
  const tail = reserveOutput(connection, CHUNK_FRAME_BYTES);
  if (tail == 0) return;
  store<u16>(tail, CRLF);
  if (end) copyText(tail + 2, LAST_CHUNK, LAST_CHUNK_BYTES);
  advanceOutput(connection, end ? 2 + LAST_CHUNK_BYTES : 2);
}

/** Our message does not hold what its head promised. */
function breakOff(stream: u32): void {
  const connection = load<u32>(stream, S_CONNECTION);
  setStreamFlag(stream, STREAM_RESET);
  setH1(connection, H1_CLOSE);
  requestAbort(connection);
}
