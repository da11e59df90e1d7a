// Failures made on purpose: a share of a rule's requests waits first, a share gets an error instead of an answer.
//
// Both are drawn when the request is routed, independently of each other, so one request may wait and then fail. A
// delayed request is in flight: it counts in the service's requests, its deadline runs, and its client may give up.
// No instance hears of it until the delay is over, and of an aborted one never.

import { REASON_FAULT } from "../../abi/engine-codes.ts";
import {
  RULE_FAULT_ABORT_SHARE,
  RULE_FAULT_ABORT_STATUS,
  RULE_FAULT_DELAY_MS,
  RULE_FAULT_DELAY_SHARE,
  SHARE_BITS,
} from "../../abi/route-program.ts";
import { now } from "../http/event.ts";
import { randomU32 } from "../random.ts";
import { answer } from "./answer.ts";
import { beginAttempt } from "./attempt.ts";
import { X_FAULT_STATUS, X_WAIT_UNTIL } from "./exchange.ts";
import { armExchange } from "./timeouts.ts";

/** Draws what becomes of a request by `rule`; true when it was answered already. */
export function drawFault(exchange: u32, rule: u32): bool {
  const abort = load<u32>(rule, RULE_FAULT_ABORT_SHARE);
  const delay = load<u32>(rule, RULE_FAULT_DELAY_SHARE);
  if ((abort | delay) == 0) return false;
  if (isDrawn(abort)) store<u16>(exchange, u16(load<u32>(rule, RULE_FAULT_ABORT_STATUS)), X_FAULT_STATUS);
  if (isDrawn(delay)) {
    store<u64>(exchange, now + u64(load<u32>(rule, RULE_FAULT_DELAY_MS)) * 1000, X_WAIT_UNTIL);
    return false;
  }
  if (load<u16>(exchange, X_FAULT_STATUS) == 0) return false;
  answer(exchange, REASON_FAULT);
  return true;
}

/** Begins the first attempt, or waits for as long as was drawn. */
export function beginOrWait(exchange: u32): void {
  if (load<u64>(exchange, X_WAIT_UNTIL) == 0) beginAttempt(exchange);
  else armExchange(exchange);
}

/** A wait is over, of a fault or between two attempts: goes on with what was meant to follow. */
export function endWait(exchange: u32): void {
  if (load<u16>(exchange, X_FAULT_STATUS) == 0) beginAttempt(exchange);
  else answer(exchange, REASON_FAULT);
}

function isDrawn(share: u32): bool {
  return randomU32() >> (32 - SHARE_BITS) < share;
}
