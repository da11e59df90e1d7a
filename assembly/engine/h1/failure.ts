// Messages that are refused, and the little that the codec says of itself when the engine has no room for a stream.
//
// After a refusal nothing of the connection is believed any more: the rest is read and dropped, so that the answer is
// not lost to a reset, and the connection closes (RFC 9112 §9.6, §11.2).

import {
  EVENT_FATAL,
  EVENT_REFUSE,
  EVENT_RESET,
  GLITCH_BAD_MESSAGE,
  GLITCH_HEAD_LIMIT,
  H2_PROTOCOL_ERROR,
  HEAD_REQUEST,
  REASON_HEADER_TOO_LARGE,
  REASON_NONE,
  REASON_RESOURCE_EXHAUSTED,
  REASON_UPSTREAM_PROTOCOL,
  REASON_URI_TOO_LONG,
  ROLE_UPSTREAM,
} from "../../abi/engine-codes.ts";
import { SCRATCH_HEAD } from "../../abi/engine-memory.ts";
import { setHeadEvent, setStreamEvent } from "../http/event.ts";
import { glitch } from "../http/glitch.ts";
import { HEAD_METHOD_ID, HEAD_VERSION, METHOD_HEAD, startHead } from "../http/head.ts";
import { C_ROLE } from "../tables/connections.ts";
import { requestAbort } from "../tables/control.ts";
import { appendOutput } from "../tables/output.ts";
import {
  createStream,
  hasStreamFlag,
  STREAM_RECEIVED_END,
  STREAM_REQUEST_IS_HEAD,
  STREAM_RESET,
  STREAM_SENT_HEAD,
  setStreamFlag,
} from "../tables/streams.ts";
import { H_STREAM, H_VERSION, H1_CLOSE, STATE_DISCARD, setH1, setState } from "./state.ts";

/** "HTTP/1.1 503 Service Unavailable", x-pillion-reason: resource-exhausted, content-length: 0, connection: close. */
const EXHAUSTED_BYTES: u32 = 112;
const EXHAUSTED = <u32>(
  memory.data<u8>([
    72, 84, 84, 80, 47, 49, 46, 49, 32, 53, 48, 51, 32, 83, 101, 114, 118, 105, 99, 101, 32, 85, 110, 97, 118, 97, 105,
    108, 97, 98, 108, 101, 13, 10, 120, 45, 112, 105, 108, 108, 105, 111, 110, 45, 114, 101, 97, 115, 111, 110, 58, 32,
    114, 101, 115, 111, 117, 114, 99, 101, 45, 101, 120, 104, 97, 117, 115, 116, 101, 100, 13, 10, 99, 111, 110, 116,
    101, 110, 116, 45, 108, 101, 110, 103, 116, 104, 58, 32, 48, 13, 10, 99, 111, 110, 110, 101, 99, 116, 105, 111, 110,
    58, 32, 99, 108, 111, 115, 101, 13, 10, 13, 10,
  ])
);

/**
 * Ends a connection's receiving with an event: REFUSE, RESET or FATAL, as role and progress demand. REASON_NONE: what
 * came is not HTTP, so nothing is said.
 */
export function fail(connection: u32, reason: u32): i32 {
  const isLimit = reason == REASON_HEADER_TOO_LARGE || reason == REASON_URI_TOO_LONG;
  glitch(connection, isLimit ? GLITCH_HEAD_LIMIT : GLITCH_BAD_MESSAGE);
  setState(connection, STATE_DISCARD);
  setH1(connection, H1_CLOSE);
  let stream = load<u32>(connection, H_STREAM);
  if (load<u8>(connection, C_ROLE) == ROLE_UPSTREAM) {
    setStreamEvent(stream, REASON_UPSTREAM_PROTOCOL, 0);
    return EVENT_FATAL;
  }
  if (reason == REASON_NONE) {
    setStreamEvent(0, H2_PROTOCOL_ERROR, 0);
    return EVENT_FATAL;
  }
  const isKnown = stream != 0;
  if (!isKnown) {
    stream = createStream(connection, 0);
    if (stream == 0) return failExhausted(connection);
    store<u32>(connection, stream, H_STREAM);
    store<u8>(connection, load<u8>(SCRATCH_HEAD, HEAD_VERSION), H_VERSION);
    if (load<u32>(SCRATCH_HEAD, HEAD_METHOD_ID) == METHOD_HEAD) setStreamFlag(stream, STREAM_REQUEST_IS_HEAD);
  } else if (hasStreamFlag(stream, STREAM_SENT_HEAD)) {
    // Too late for another answer: the one that has begun must not look complete.
    setStreamFlag(stream, STREAM_RESET);
    requestAbort(connection);
    setStreamEvent(stream, H2_PROTOCOL_ERROR, 0);
    return EVENT_RESET;
  }
  setStreamFlag(stream, STREAM_RECEIVED_END);
  // What was read of the head, for the log; nothing of it when the head was delivered before.
  if (isKnown) startHead(SCRATCH_HEAD, HEAD_REQUEST);
  setHeadEvent(stream, SCRATCH_HEAD, true);
  setStreamEvent(stream, reason, 0);
  return EVENT_REFUSE;
}

/** The pool or the stream table is full, and this message cannot be taken. */
export function failExhausted(connection: u32): i32 {
  setState(connection, STATE_DISCARD);
  setH1(connection, H1_CLOSE);
  const stream = load<u32>(connection, H_STREAM);
  if (load<u8>(connection, C_ROLE) != ROLE_UPSTREAM && stream == 0)
    appendOutput(connection, EXHAUSTED, EXHAUSTED_BYTES);
  setStreamEvent(stream, REASON_RESOURCE_EXHAUSTED, 0);
  return EVENT_FATAL;
}
