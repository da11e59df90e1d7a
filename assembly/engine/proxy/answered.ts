// The head of an answer that counts: a client's, or a copy's that nobody reads.

import { HEDGE_NONE, POLICY_HEDGE } from "../../abi/policy.ts";
import { now } from "../http/event.ts";
import {
  STATE_ANSWERED,
  X_ATTEMPT_STARTED,
  X_POLICY,
  X_STATE,
  X_STATUS,
  X_UPSTREAM_US,
  X_WAIT_UNTIL,
} from "./exchange.ts";
import { noteHedgeable } from "./hedge.ts";
import { OUTCOME_ANSWERED, recordAttempt } from "./metrics.ts";
import { noteAnswered } from "./silence.ts";

/** The head of the answer that counts has come: the attempt is answered, and its instance has shown that it lives. */
export function noteHead(exchange: u32, status: u32): void {
  store<u8>(exchange, STATE_ANSWERED, X_STATE);
  store<u16>(exchange, u16(status), X_STATUS);
  const us = u32(now - load<u64>(exchange, X_ATTEMPT_STARTED));
  store<u32>(exchange, us, X_UPSTREAM_US);
  store<u64>(exchange, 0, X_WAIT_UNTIL);
  noteAnswered(exchange, us);
  if (load<u8>(exchange + X_POLICY, POLICY_HEDGE) != HEDGE_NONE) noteHedgeable(exchange, us);
  recordAttempt(exchange, OUTCOME_ANSWERED);
}
