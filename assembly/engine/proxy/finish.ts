// The end of an exchange: when it is over, and everything that is given back then.
//
// Over means: the response's end went downstream, and the request's end was received — or one side is gone. A response
// that ends before its request does is passed on at once; then the rest of the request is refused (HTTP/2: RST_STREAM
// with NO_ERROR, RFC 9113 §8.1; where no body has come yet, after a grace: early.ts) or the connection is closed after
// it (HTTP/1.1: nothing behind a body that nobody read can be trusted).

import { COUNTER_REQUESTS } from "../../abi/balancer-codes.ts";
import { H2_CANCEL, H2_NO_ERROR } from "../../abi/engine-codes.ts";
import { POLICY_SERVICE } from "../../abi/policy.ts";
import { leave } from "../balancer.ts";
import { closeAfterResponseH1, wantsCloseH1 } from "../h1/index.ts";
import { isFinalH2 } from "../h2/index.ts";
import { releaseHead } from "../http/head.ts";
import { releaseEdits } from "../route/index.ts";
import {
  C_HEAD_BYTES,
  C_STREAM_COUNT,
  CONNECTION_CLOSE_WANTED,
  CONNECTION_LINGER,
  hasFlag,
  setFlag,
} from "../tables/connections.ts";
import { markReady, requestClose, resumeReading } from "../tables/control.ts";
import { hasStreamFlag, STREAM_RECEIVED_END, STREAM_RESET, STREAM_SENT_END } from "../tables/streams.ts";

import { awaitRequestEnd, mayEndByItself } from "./early.ts";
import {
  destroyExchange,
  EXCHANGE_IS_ADMITTED,
  EXCHANGE_IS_RIVAL,
  EXCHANGE_IS_TUNNEL,
  hasX,
  STATE_ANSWERED,
  STATE_OVER,
  X_DOWN,
  X_EDITS,
  X_HEAD,
  X_HEAD_BYTES,
  X_POLICY,
  X_REQUEST,
  X_RESPONSE,
  X_RIVAL,
  X_STATE,
  X_UP,
} from "./exchange.ts";
import { leaveHedge } from "./hedge.ts";
import { dropHeld } from "./hold.ts";
import { connectionOfStream, isH2, releaseStream, reset } from "./leg.ts";
import { logExchange } from "./log.ts";
import { recordExchange } from "./metrics.ts";
import { leaveInstance } from "./occupancy.ts";
import { destroyPipe, forgetWide, pipeClosed, unblock } from "./pipe.ts";
import { returnConnection } from "./rest.ts";

/** Looks whether an exchange is over, and ends it if so. Called after anything that may have been the last thing. */
export function settle(exchange: u32): void {
  if (load<u8>(exchange, X_STATE) != STATE_ANSWERED || !pipeClosed(exchange + X_RESPONSE)) return;
  // A tunnel is over when both directions are: half-closing one is ordinary.
  if (hasX(exchange, EXCHANGE_IS_TUNNEL) && !pipeClosed(exchange + X_REQUEST)) return;
  finishExchange(exchange);
}

/** Ends an exchange whatever its state, and gives everything back. */
export function finishExchange(exchange: u32): void {
  assert(load<u8>(exchange, X_STATE) != STATE_OVER);
  store<u8>(exchange, STATE_OVER, X_STATE);
  if (load<u32>(exchange, X_RIVAL) != 0) leaveHedge(exchange);
  leaveInstance(exchange, false);
  abandonUpstream(exchange, H2_CANCEL);
  releaseDownstream(exchange);
  if (hasX(exchange, EXCHANGE_IS_ADMITTED)) leave(load<u32>(exchange + X_POLICY, POLICY_SERVICE), COUNTER_REQUESTS);
  const isRival = hasX(exchange, EXCHANGE_IS_RIVAL); // its request is another's, and so is the head
  if (!isRival) {
    recordExchange(exchange);
    logExchange(exchange);
  }
  dropHeld(exchange);
  destroyPipe(exchange + X_REQUEST);
  destroyPipe(exchange + X_RESPONSE);
  const head = load<u32>(exchange, X_HEAD);
  if (head != 0 && !isRival) releaseHead(head);
  const edits = load<u32>(exchange, X_EDITS);
  if (edits != 0) releaseEdits(edits);
  destroyExchange(exchange);
}

/** Lets go of the upstream stream; resets it with `code` when it is not over. */
export function abandonUpstream(exchange: u32, code: u32): void {
  const up = load<u32>(exchange, X_UP);
  if (up == 0) return;
  store<u32>(exchange, 0, X_UP);
  if (!isWhole(up)) reset(up, code);
  const connection = connectionOfStream(up);
  forgetWide(up, load<u32>(exchange, X_DOWN));
  unblock(up);
  resumeReading(connection); // whoever it was paused for is gone
  releaseStream(up);
  returnConnection(connection);
}

function releaseDownstream(exchange: u32): void {
  const down = load<u32>(exchange, X_DOWN);
  if (down == 0) return;
  store<u32>(exchange, 0, X_DOWN);
  const connection = connectionOfStream(down);
  store<u32>(connection, load<u32>(connection, C_HEAD_BYTES) - load<u32>(exchange, X_HEAD_BYTES), C_HEAD_BYTES);
  unblock(down);
  if (isH2(down)) {
    if (mayEndByItself(connection, down)) {
      awaitRequestEnd(connection, down);
      return;
    }
    if (!isWhole(down)) reset(down, hasStreamFlag(down, STREAM_SENT_END) ? H2_NO_ERROR : H2_CANCEL);
    releaseStream(down);
    // Between the two steps of a drain requests may be on their way: the end of the grace closes, not the last answer.
    if (load<u32>(connection, C_STREAM_COUNT) == 0 && isFinalH2(connection)) requestClose(connection);
    return;
  }
  resumeReading(connection); // a body that nobody wants any more may have paused it
  const isUnread = !hasStreamFlag(down, STREAM_RECEIVED_END);
  if (!hasStreamFlag(down, STREAM_SENT_END)) reset(down, H2_CANCEL);
  else if (isUnread) closeAfterResponseH1(connection);
  const closes = isUnread || wantsCloseH1(connection) || hasX(exchange, EXCHANGE_IS_TUNNEL);
  releaseStream(down);
  if (hasFlag(connection, CONNECTION_CLOSE_WANTED)) return;
  if (!closes) {
    markReady(connection); // the next request of a pipeline, and the timer of the idle connection
    return;
  }
  if (isUnread) setFlag(connection, CONNECTION_LINGER);
  requestClose(connection);
}

/** Whether both sides of a stream have ended, or it was reset: there is nothing to tell its peer. */
function isWhole(stream: u32): bool {
  if (hasStreamFlag(stream, STREAM_RESET)) return true;
  return hasStreamFlag(stream, STREAM_RECEIVED_END) && hasStreamFlag(stream, STREAM_SENT_END);
}
