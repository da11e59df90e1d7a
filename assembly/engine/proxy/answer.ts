// Answers that Pillion makes itself (DESIGN §5): a status, a reason, and a body that says what to do.
//
// To a gRPC caller: trailers only, with the mapped grpc-status. To others: JSON. When a response is already under way
// there is nothing left to say; then the stream is reset, so that the truncation is seen.

import { COUNTER_CONNECTIONS, COUNTER_PENDING } from "../../abi/balancer-codes.ts";
import {
  H2_CANCEL,
  H2_INTERNAL_ERROR,
  HEAD_RESPONSE,
  NONE,
  REASON_BAD_REQUEST,
  REASON_CONNECT_FAILED,
  REASON_CONNECT_TIMEOUT,
  REASON_DRAINING,
  REASON_FAULT,
  REASON_NO_INSTANCE,
  REASON_NOT_READY,
  REASON_OVERFLOW,
  REASON_RATE_LIMITED,
  REASON_REQUEST_TIMEOUT,
  REASON_RESOURCE_EXHAUSTED,
} from "../../abi/engine-codes.ts";
import { ANSWER_HEAD, PROXY_SCRATCH } from "../../abi/engine-memory.ts";
import { LISTENER_INBOUND } from "../../abi/engine-records.ts";
import {
  NAME_CONTENT_TYPE,
  NAME_GRPC_MESSAGE,
  NAME_GRPC_STATUS,
  NAME_RETRY_AFTER,
  NAME_SEC_WEBSOCKET_VERSION,
  NAME_X_PILLION_REASON,
  NAME_X_PILLION_UNPROCESSED,
} from "../../abi/field-names.ts";
import { POLICY_SERVICE } from "../../abi/policy.ts";
import { writeDecimal } from "../../core/bytes.ts";
import { closeAfterResponseH1 } from "../h1/index.ts";
import { grpcStatusOf } from "../http/grpc-status.ts";
import {
  HEAD_CONTENT_LENGTH,
  HEAD_IS_UPGRADE,
  HEAD_METHOD_ID,
  HEAD_STATUS,
  hasHeadFlag,
  METHOD_HEAD,
  startHead,
  takeText,
} from "../http/head.ts";
import {
  reasonGrpcStatus,
  reasonMessage,
  reasonMessageBytes,
  reasonStatus,
  reasonText,
  reasonTextBytes,
} from "../http/reasons-table.ts";
import { instanceId, nameBytes, serviceName } from "../route/index.ts";
import { hasStreamFlag, STREAM_RESET } from "../tables/streams.ts";

import {
  EXCHANGE_IS_GRPC,
  EXCHANGE_IS_ROUTED,
  EXCHANGE_OWN_ANSWER,
  EXCHANGE_REQUEST_ENDED,
  hasX,
  STATE_ANSWERED,
  setX,
  X_ATTEMPTS,
  X_DEADLINE,
  X_DETAIL,
  X_DOWN,
  X_FAULT_STATUS,
  X_GRPC_STATUS,
  X_HEAD,
  X_INSTANCE,
  X_LISTENER,
  X_POLICY,
  X_REASON,
  X_REQUEST,
  X_RESPONSE,
  X_SENT,
  X_STATE,
  X_STATUS,
  X_WAIT_UNTIL,
} from "./exchange.ts";
import { abandonUpstream, finishExchange, settle } from "./finish.ts";
import { addKnown } from "./forwarded.ts";
import { endHedge, hasRival } from "./hedge.ts";
import { dropHeld } from "./hold.ts";
import { connectionOfStream, isH2, reset, sendHead } from "./leg.ts";
import { HEDGE_CANCELLED } from "./metrics.ts";
import { leaveInstance } from "./occupancy.ts";
import { dropKept, markPipeClosed, pipeData, pipeWaiting } from "./pipe.ts";
import { noteStall } from "./stall.ts";
import { appendBytes, appendNumber, appendText, beginText, textBytes } from "./text.ts";
import { isWebSocket } from "./upgrade.ts";

// "application/json", "application/grpc", "1", and the pieces of the body.
const JSON_TYPE: usize = memory.data<u8>([97, 112, 112, 108, 105, 99, 97, 116, 105, 111, 110, 47, 106, 115, 111, 110]);
const GRPC_TYPE: usize = memory.data<u8>([97, 112, 112, 108, 105, 99, 97, 116, 105, 111, 110, 47, 103, 114, 112, 99]);
const ONE: usize = memory.data<u8>([49]);
const THIRTEEN: usize = memory.data<u8>([49, 51]);

/** Ends an exchange with an answer of our own; whatever is upstream of it is given up. */
export function answer(exchange: u32, reason: u32): void {
  store<u8>(exchange, u8(reason), X_REASON);
  if (hasRival(exchange)) endHedge(exchange, HEDGE_CANCELLED);
  leaveInstance(exchange, false);
  abandonUpstream(exchange, H2_CANCEL);
  const down = load<u32>(exchange, X_DOWN);
  if (down == 0 || hasStreamFlag(down, STREAM_RESET)) {
    finishExchange(exchange);
    return;
  }
  if (load<u8>(exchange, X_STATE) == STATE_ANSWERED) {
    // Never a clean end of a response that is not whole. A gRPC client takes CANCEL at its deadline for the deadline.
    reset(down, reason == REASON_REQUEST_TIMEOUT ? H2_CANCEL : H2_INTERNAL_ERROR);
    finishExchange(exchange);
    return;
  }
  dropHeld(exchange);
  store<u8>(exchange, STATE_ANSWERED, X_STATE);
  setX(exchange, EXCHANGE_OWN_ANSWER);
  // What was waited for is over; a client that takes its time with this answer is stall.ts's business.
  store<u64>(exchange, 0, X_DEADLINE);
  store<u64>(exchange, 0, X_WAIT_UNTIL);
  dropKept(exchange + X_REQUEST);
  announceClose(exchange, down);
  if (hasX(exchange, EXCHANGE_IS_GRPC) && isH2(down)) answerGrpc(exchange, down, reason);
  else answerJson(exchange, down, reason);
  settle(exchange);
}

/** A response that begins before its HTTP/1.1 request has ended is the last one of its connection, and says so. */
export function announceClose(exchange: u32, down: u32): void {
  if (!isH2(down) && !hasX(exchange, EXCHANGE_REQUEST_ENDED)) closeAfterResponseH1(connectionOfStream(down));
}

function answerGrpc(exchange: u32, down: u32, reason: u32): void {
  startHead(ANSWER_HEAD, HEAD_RESPONSE);
  store<u16>(ANSWER_HEAD, 200, HEAD_STATUS);
  store<u16>(exchange, 200, X_STATUS);
  const code = reason == REASON_FAULT ? grpcStatusOf(load<u16>(exchange, X_FAULT_STATUS)) : reasonGrpcStatus(reason);
  store<u8>(exchange, u8(code), X_GRPC_STATUS);
  addKnown(ANSWER_HEAD, NAME_CONTENT_TYPE, u32(GRPC_TYPE), 16);
  const digits = takeText(ANSWER_HEAD, 4);
  addKnown(ANSWER_HEAD, NAME_GRPC_STATUS, digits, writeDecimal(digits, u64(code)));
  // The messages are ASCII without '%', so they need no percent-encoding.
  if (reason == REASON_OVERFLOW) addOverflowMessage(exchange);
  else addKnown(ANSWER_HEAD, NAME_GRPC_MESSAGE, u32(reasonMessage(reason)), reasonMessageBytes(reason));
  addReason(exchange, reason);
  sendHead(down, ANSWER_HEAD, true);
  markPipeClosed(exchange + X_RESPONSE);
}

/** The reason's message, and which limit it was: " (limits.requests)". */
function addOverflowMessage(exchange: u32): void {
  const text = takeText(ANSWER_HEAD, reasonMessageBytes(REASON_OVERFLOW) + 32);
  beginText(text);
  appendBytes(u32(reasonMessage(REASON_OVERFLOW)), reasonMessageBytes(REASON_OVERFLOW));
  appendText(" (limits.");
  appendText(limitName(exchange));
  appendText(")");
  addKnown(ANSWER_HEAD, NAME_GRPC_MESSAGE, text, textBytes());
}

function limitName(exchange: u32): string {
  const limit = load<u32>(exchange, X_DETAIL);
  return limit == COUNTER_CONNECTIONS ? "connections" : limit == COUNTER_PENDING ? "pending" : "requests";
}

function answerJson(exchange: u32, down: u32, reason: u32): void {
  const body = PROXY_SCRATCH;
  const bodyBytes = writeBody(exchange, reason, body);
  startHead(ANSWER_HEAD, HEAD_RESPONSE);
  const status = reason == REASON_FAULT ? u32(load<u16>(exchange, X_FAULT_STATUS)) : reasonStatus(reason);
  store<u16>(ANSWER_HEAD, u16(status), HEAD_STATUS);
  store<u16>(exchange, u16(status), X_STATUS);
  store<i64>(ANSWER_HEAD, i64(bodyBytes), HEAD_CONTENT_LENGTH);
  addKnown(ANSWER_HEAD, NAME_CONTENT_TYPE, u32(JSON_TYPE), 16);
  addReason(exchange, reason);
  const head = load<u32>(exchange, X_HEAD);
  // The version that we speak, to who asks for a WebSocket in another (RFC 6455 §4.4).
  if (reason == REASON_BAD_REQUEST && head != 0 && hasHeadFlag(head, HEAD_IS_UPGRADE) && isWebSocket(head)) {
    addKnown(ANSWER_HEAD, NAME_SEC_WEBSOCKET_VERSION, u32(THIRTEEN), 2);
  }
  const isHead = head != 0 && load<u32>(head, HEAD_METHOD_ID) == METHOD_HEAD;
  sendHead(down, ANSWER_HEAD, isHead);
  if (isHead) markPipeClosed(exchange + X_RESPONSE);
  else sendAnswerBody(exchange, down, body, bodyBytes);
}

/** The body of an answer of our own. Where the pool has no room for it the stream is broken off. */
export function sendAnswerBody(exchange: u32, down: u32, body: u32, bodyBytes: u32): void {
  store<u64>(exchange, load<u64>(exchange, X_SENT) + bodyBytes, X_SENT);
  if (pipeData(exchange + X_RESPONSE, 0, down, body, bodyBytes, true, 0)) {
    if (pipeWaiting(exchange + X_RESPONSE) != 0) noteStall(exchange);
    return;
  }
  reset(down, H2_INTERNAL_ERROR);
  markPipeClosed(exchange + X_RESPONSE);
}

function addReason(exchange: u32, reason: u32): void {
  addKnown(ANSWER_HEAD, NAME_X_PILLION_REASON, u32(reasonText(reason)), reasonTextBytes(reason));
  if (reason == REASON_RATE_LIMITED) {
    const digits = takeText(ANSWER_HEAD, 10);
    const seconds = (u64(load<u32>(exchange, X_DETAIL)) + 999) / 1000;
    addKnown(ANSWER_HEAD, NAME_RETRY_AFTER, digits, writeDecimal(digits, seconds));
  } else if (reason == REASON_OVERFLOW || reason == REASON_RESOURCE_EXHAUSTED) {
    addKnown(ANSWER_HEAD, NAME_RETRY_AFTER, u32(ONE), 1);
  }
  // The app cannot have seen it: the calling sidecar may retry even a POST (DESIGN §2).
  if (load<u8>(exchange, X_LISTENER) == LISTENER_INBOUND && isUnprocessedReason(reason)) {
    addKnown(ANSWER_HEAD, NAME_X_PILLION_UNPROCESSED, u32(ONE), 1);
  }
}

function isUnprocessedReason(reason: u32): bool {
  switch (reason) {
    case REASON_OVERFLOW:
    case REASON_DRAINING:
    case REASON_CONNECT_FAILED:
    case REASON_CONNECT_TIMEOUT:
    case REASON_NO_INSTANCE:
    case REASON_NOT_READY:
    case REASON_RESOURCE_EXHAUSTED:
      return true;
    default:
      return false;
  }
}

/** {"error":{"reason","message","service","instance","attempts"}}; names are DNS labels and need no escaping. */
function writeBody(exchange: u32, reason: u32, ptr: u32): u32 {
  beginText(ptr);
  appendText('{"error":{"reason":"');
  appendBytes(u32(reasonText(reason)), reasonTextBytes(reason));
  appendText('","message":"');
  appendBytes(u32(reasonMessage(reason)), reasonMessageBytes(reason));
  appendText('"');
  if (reason == REASON_OVERFLOW) {
    appendText(',"limit":"');
    appendText(limitName(exchange));
    appendText('"');
  }
  if (hasX(exchange, EXCHANGE_IS_ROUTED)) {
    const service = load<u32>(exchange + X_POLICY, POLICY_SERVICE);
    appendText(',"service":"');
    const name = serviceName(service);
    appendBytes(name, nameBytes);
    appendText('"');
  }
  const slot = load<u32>(exchange, X_INSTANCE);
  if (slot != NONE) {
    appendText(',"instance":"');
    const id = instanceId(slot);
    appendBytes(id, nameBytes);
    appendText('"');
  }
  appendText(',"attempts":');
  appendNumber(u64(load<u8>(exchange, X_ATTEMPTS)));
  appendText("}}\n");
  return textBytes();
}
