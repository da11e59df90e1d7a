// What the codecs report, to those of the proxy who act on it.

import {
  EVENT_DATA,
  EVENT_END,
  EVENT_GOAWAY,
  EVENT_HEAD,
  EVENT_INFORMATIONAL,
  EVENT_READY,
  EVENT_REFUSE,
  EVENT_REPORT,
  EVENT_RESET,
  EVENT_TRAILERS,
} from "../abi/engine-codes.ts";
import { eventCode, eventEnd, eventFlags, eventLen, eventPtr, eventStream } from "./http/event.ts";
import { receiveDownstreamReset } from "./proxy/leave.ts";
import { noteAnswer } from "./proxy/liveness.ts";
import { serveConnection } from "./proxy/loss.ts";
import { receiveReport } from "./proxy/reports.ts";
import { receiveRequest, receiveRequestData, receiveRequestEnd, refuseRequest } from "./proxy/request.ts";
import {
  receiveInformational,
  receiveResponse,
  receiveResponseData,
  receiveResponseEnd,
  receiveUpstreamReset,
} from "./proxy/response.ts";
import { drainConnection, noteReady } from "./proxy/upstream.ts";
import { noteReached } from "./proxy/visits.ts";

/** An event of a client's connection. */
export function handleRequestEvent(event: i32): void {
  switch (event) {
    case EVENT_HEAD:
      receiveRequest(eventStream, eventPtr, eventEnd);
      break;
    case EVENT_DATA:
      receiveRequestData(eventStream, eventPtr, eventLen, eventEnd);
      break;
    case EVENT_TRAILERS:
      receiveRequestEnd(eventStream, eventPtr);
      break;
    case EVENT_END:
      receiveRequestEnd(eventStream, 0);
      break;
    case EVENT_RESET:
      receiveDownstreamReset(eventStream);
      break;
    case EVENT_REFUSE:
      refuseRequest(eventStream, eventPtr, eventCode);
      break;
    default: // READY, PONG, GOAWAY: nothing to do for a client's
      break;
  }
}

/** An event of a server's connection. */
export function handleResponseEvent(connection: u32, event: i32): void {
  // The rest a library says by itself (SETTINGS, PING, credit), or a sidecar (reports), while the app may be hung.
  if ((event >= EVENT_HEAD && event <= EVENT_RESET) || event == EVENT_INFORMATIONAL) noteAnswer(connection);
  switch (event) {
    case EVENT_HEAD:
      receiveResponse(eventStream, eventPtr, eventEnd);
      break;
    case EVENT_INFORMATIONAL:
      receiveInformational(eventStream, eventPtr);
      break;
    case EVENT_DATA:
      receiveResponseData(eventStream, eventPtr, eventLen, eventEnd);
      break;
    case EVENT_TRAILERS:
      receiveResponseEnd(eventStream, eventPtr);
      break;
    case EVENT_END:
      receiveResponseEnd(eventStream, 0);
      break;
    case EVENT_RESET:
      receiveUpstreamReset(eventStream, eventCode, eventFlags);
      break;
    case EVENT_GOAWAY:
      drainConnection(connection);
      break;
    case EVENT_REPORT:
      receiveReport(connection, eventPtr);
      break;
    case EVENT_READY:
      noteReady(connection);
      noteReached(connection);
      serveConnection(connection);
      break;
    default:
      break;
  }
}
