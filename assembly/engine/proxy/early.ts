// An answer that was whole before its request was, on HTTP/2, where little of a body has come yet.
//
// Most such requests end by themselves: an app answered the head at once, and a small body, its trailers or the
// half-close of a stream are on their way. RST_STREAM with NO_ERROR (RFC 9113 §8.1) would cross them, and clients take
// it for a failure now and then. So the stream, without an exchange any more, is kept for ANSWERED_GRACE_MS: its end
// closes it, what is more than a small body is refused with NO_ERROR, and what breaks the rules is still seen to.

import { ANSWERED_BODY_BYTES, ANSWERED_GRACE_MS, ANSWERED_STREAMS_MAX } from "../../abi/limits.ts";
import { isFinalH2, smallDataH2 } from "../h2/index.ts";
import { now } from "../http/event.ts";
import {
  C_STREAM_COUNT,
  C_STREAMS,
  CONNECTION_CLOSE_WANTED,
  CONNECTION_CLOSED,
  CONNECTION_DRAINING,
  connectionIndex,
  hasFlag,
} from "../tables/connections.ts";
import { requestClose } from "../tables/control.ts";
import {
  hasStreamFlag,
  S_BODY_BYTES,
  S_CONNECTION,
  S_EXCHANGE,
  S_NEXT,
  STREAM_RECEIVED_END,
  STREAM_RESET,
  STREAM_SENT_END,
} from "../tables/streams.ts";
import { armTimerBy, connectionTimer } from "../timers.ts";
import { credit, releaseStream } from "./leg.ts";

/** Whether an HTTP/2 stream whose exchange is over is given time to end. */
export function mayEndByItself(connection: u32, stream: u32): bool {
  if (hasFlag(connection, CONNECTION_DRAINING | CONNECTION_CLOSE_WANTED | CONNECTION_CLOSED)) return false;
  if (load<u32>(connection, C_STREAM_COUNT) > <u32>ANSWERED_STREAMS_MAX) return false;
  if (hasStreamFlag(stream, STREAM_RESET | STREAM_RECEIVED_END)) return false;
  return hasStreamFlag(stream, STREAM_SENT_END) && !isLargeBody(stream);
}

/** Gives it that time: it has no exchange any more. */
export function awaitRequestEnd(connection: u32, stream: u32): void {
  store<u32>(stream, 0, S_EXCHANGE);
  armTimerBy(connectionTimer(connectionIndex(connection)), now + u64(ANSWERED_GRACE_MS) * 1000);
}

/** Body bytes came on such a stream: nobody wants them, and a few may have crossed the answer. */
export function receiveAnsweredData(stream: u32, end: bool): void {
  if (end || isLargeBody(stream)) endAnswered(stream);
}

/** Each frame of it counts as much as a small one may, or more: a drip is no small body. */
function isLargeBody(stream: u32): bool {
  return load<u64>(stream, S_BODY_BYTES) + smallDataH2(stream) > u64(ANSWERED_BODY_BYTES);
}

/** Its end came on such a stream, or what cannot be wanted: it is over. */
export function endAnswered(stream: u32): void {
  const connection = load<u32>(stream, S_CONNECTION);
  // An honest end: its small frames are forgiven.
  if (hasStreamFlag(stream, STREAM_RECEIVED_END)) credit(stream, u32.MAX_VALUE);
  releaseStream(stream); // says NO_ERROR where the request has not ended
  if (load<u32>(connection, C_STREAM_COUNT) == 0 && isFinalH2(connection)) requestClose(connection);
}

/** The connection's timer fired: the time of all of them is over, that of the latest a little early maybe. */
export function endAllAnswered(connection: u32): void {
  let stream = load<u32>(connection, C_STREAMS);
  while (stream != 0) {
    const next = load<u32>(stream, S_NEXT);
    if (load<u32>(stream, S_EXCHANGE) == 0) endAnswered(stream);
    stream = next;
  }
}
