// What happens when an exchange's timer fires.

import { COUNTER_PENDING } from "../../abi/balancer-codes.ts";
import { H2_CANCEL, REASON_IDLE_TIMEOUT, REASON_OVERFLOW, REASON_REQUEST_TIMEOUT } from "../../abi/engine-codes.ts";
import { now } from "../http/event.ts";
import { answer } from "./answer.ts";
import { failAttempt } from "./attempt.ts";
import { STATE_PENDING, STATE_SENT, STATE_WAITING, X_DEADLINE, X_DETAIL, X_STATE, X_WAIT_UNTIL } from "./exchange.ts";
import { endWait } from "./fault.ts";
import { abandonUpstream } from "./finish.ts";
import { checkHedge } from "./hedge.ts";
import { isHeld } from "./hold.ts";
import { OUTCOME_TIMEOUT, recordAttempt } from "./metrics.ts";
import { giveUpUnproven } from "./probation.ts";
import { passHeld } from "./response.ts";
import { checkSilence } from "./silence.ts";
import { endStall } from "./stall.ts";
import { armExchange, attemptDeadline, hedgeDeadline, idleDeadline } from "./timeouts.ts";

/** The timer of an exchange fired. */
export function checkExchange(exchange: u32): void {
  const deadline = load<u64>(exchange, X_DEADLINE);
  if (deadline != 0 && deadline <= now) {
    recordAttempt(exchange, OUTCOME_TIMEOUT);
    answer(exchange, REASON_REQUEST_TIMEOUT);
    return;
  }
  const hedge = hedgeDeadline(exchange);
  if (hedge != 0 && hedge <= now) checkHedge(exchange);
  const state = load<u8>(exchange, X_STATE);
  const waitUntil = load<u64>(exchange, X_WAIT_UNTIL);
  if (waitUntil != 0 && waitUntil <= now) {
    if (state == STATE_WAITING) endWait(exchange);
    else if (state == STATE_PENDING) {
      store<u32>(exchange, COUNTER_PENDING, X_DETAIL);
      failAttempt(exchange, REASON_OVERFLOW, true, OUTCOME_TIMEOUT);
    } else if (isHeld(exchange)) {
      if (!giveUpUnproven(exchange)) passHeld(exchange);
    } else if (state == STATE_SENT) checkSilence(exchange);
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
  if (!endStall(exchange)) armExchange(exchange);
}
