// What happens when an exchange's or an upstream connection's timer fires.

import { COUNTER_PENDING } from "../../abi/balancer-codes.ts";
import {
  H2_CANCEL,
  H2_NO_ERROR,
  REASON_IDLE_TIMEOUT,
  REASON_OVERFLOW,
  REASON_REQUEST_TIMEOUT,
} from "../../abi/engine-codes.ts";
import { WRITE_STALL_TIMEOUT_MS } from "../../abi/limits.ts";
import { goawayH2 } from "../h2/index.ts";
import { now } from "../http/event.ts";
import {
  C_OUT_BYTES,
  C_STREAM_COUNT,
  CONNECTION_CLOSE_WANTED,
  CONNECTION_CONNECTING,
  connectionIndex,
  hasFlag,
} from "../tables/connections.ts";
import { requestAbort } from "../tables/control.ts";
import { armTimer, connectionTimer } from "../timers.ts";
import { answer } from "./answer.ts";
import { beginAttempt, failAttempt } from "./attempt.ts";
import { KIND_H2, STATE_PENDING, STATE_WAITING, X_DEADLINE, X_DETAIL, X_STATE, X_WAIT_UNTIL } from "./exchange.ts";
import { abandonUpstream } from "./finish.ts";
import { OUTCOME_TIMEOUT, recordAttempt } from "./metrics.ts";
import { armExchange, attemptDeadline, idleDeadline } from "./timeouts.ts";
import { CP_KIND, CP_PROGRESS, drainConnection, isSpare } from "./upstream.ts";

/** The timer of an exchange fired. */
export function checkExchange(exchange: u32): void {
  const deadline = load<u64>(exchange, X_DEADLINE);
  if (deadline != 0 && deadline <= now) {
    recordAttempt(exchange, OUTCOME_TIMEOUT);
    answer(exchange, REASON_REQUEST_TIMEOUT);
    return;
  }
  const state = load<u8>(exchange, X_STATE);
  const waitUntil = load<u64>(exchange, X_WAIT_UNTIL);
  if (waitUntil != 0 && waitUntil <= now) {
    if (state == STATE_WAITING) beginAttempt(exchange);
    else if (state == STATE_PENDING) {
      store<u32>(exchange, COUNTER_PENDING, X_DETAIL);
      failAttempt(exchange, REASON_OVERFLOW, true, OUTCOME_TIMEOUT);
    }
    return;
  }
  const attempt = attemptDeadline(exchange);
  if (attempt != 0 && attempt <= now) {
    abandonUpstream(exchange, H2_CANCEL);
    failAttempt(exchange, REASON_REQUEST_TIMEOUT, false, OUTCOME_TIMEOUT);
    return;
  }
  const idle = idleDeadline(exchange);
  if (idle != 0 && idle <= now && state != STATE_WAITING && state != STATE_PENDING) {
    answer(exchange, REASON_IDLE_TIMEOUT);
    return;
  }
  armExchange(exchange);
}

/** The timer of an upstream connection fired: it has been idle for long enough. */
export function checkUpstream(connection: u32): void {
  if (hasFlag(connection, CONNECTION_CLOSE_WANTED)) {
    const until = load<u64>(connection, CP_PROGRESS) + u64(WRITE_STALL_TIMEOUT_MS) * 1000;
    if (load<u32>(connection, C_OUT_BYTES) == 0 || until <= now) requestAbort(connection);
    else armTimer(connectionTimer(connectionIndex(connection)), until);
    return;
  }
  if (hasFlag(connection, CONNECTION_CONNECTING) || load<u32>(connection, C_STREAM_COUNT) != 0) return;
  if (load<u8>(connection, CP_KIND) == KIND_H2) goawayH2(connection, H2_NO_ERROR, true);
  drainConnection(connection);
}
