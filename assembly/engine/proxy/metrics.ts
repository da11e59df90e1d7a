// What an exchange leaves in the shared cells: one count of its end, one latency, one outcome for each attempt.

import {
  SERVICE_HEDGE_CELLS,
  SERVICE_LATENCY_CELLS,
  SERVICE_OUTCOME_CELLS,
  SERVICE_REASON_CELLS,
  SERVICE_SKIPPED_CELLS,
  SERVICE_STATUS_CELLS,
  SERVICE_UNHEDGED_CELLS,
  STATUS_CLASS_CELLS,
} from "../../abi/metrics.ts";
import { POLICY_METRICS } from "../../abi/policy.ts";
import { count, observeLatency } from "../balancer.ts";
import { now } from "../http/event.ts";
import { X_POLICY, X_REASON, X_STARTED, X_STATUS } from "./exchange.ts";

// Outcomes of an attempt (pillion_attempts_total{outcome}).
export const OUTCOME_ANSWERED: u32 = 0;
export const OUTCOME_CONNECT_FAILED: u32 = 1;
export const OUTCOME_RESET: u32 = 2;
export const OUTCOME_REFUSED: u32 = 3;
export const OUTCOME_TIMEOUT: u32 = 4;
export const OUTCOME_CANCELLED: u32 = 5;
export const OUTCOME_STATUS: u32 = 6; // answered with a status that the policy retries

// Why a failed attempt was not tried again (pillion_retries_skipped_total{cause}).
export const SKIPPED_ATTEMPTS: u32 = 0; // no further attempt allowed
export const SKIPPED_CLASS: u32 = 1; // may have been processed, and is not idempotent
export const SKIPPED_BODY: u32 = 2; // the body was not kept
export const SKIPPED_BUDGET: u32 = 3;
export const SKIPPED_DEADLINE: u32 = 4;

// What became of a second attempt beside a first one (pillion_hedges_total{result}).
export const HEDGE_WON: u32 = 0; // it answered first
export const HEDGE_LOST: u32 = 1; // the first one did
export const HEDGE_TOOK_OVER: u32 = 2; // the first one failed
export const HEDGE_FAILED: u32 = 3; // it failed, the first one was waited for
export const HEDGE_CANCELLED: u32 = 4; // both were given up: the client went, or the time was over

// Why a slow attempt got no second one beside it (pillion_hedges_skipped_total{cause}).
export const UNHEDGED_BODY: u32 = 0; // not kept
export const UNHEDGED_BUDGET: u32 = 1;
export const UNHEDGED_INSTANCE: u32 = 2; // there is no other
export const UNHEDGED_LIMIT: u32 = 3; // of the service's requests
export const UNHEDGED_MEMORY: u32 = 4;

/**
 * Counts the end of an exchange, in one cell: by the status that its service gave, or by the reason why Pillion
 * answered or broke it off. (The status that the caller was told then follows from the reason, and is 200 for gRPC.)
 */
export function recordExchange(exchange: u32): void {
  const base = load<u32>(exchange + X_POLICY, POLICY_METRICS);
  const status = u32(load<u16>(exchange, X_STATUS));
  const reason = u32(load<u8>(exchange, X_REASON));
  if (reason != 0) count(base + SERVICE_REASON_CELLS + reason, 1);
  else if (status >= 100 && status < 600) {
    const within = min<u32>(status % 100, STATUS_CLASS_CELLS - 1);
    count(base + SERVICE_STATUS_CELLS + (status / 100 - 1) * STATUS_CLASS_CELLS + within, 1);
  }
  observeLatency(base + SERVICE_LATENCY_CELLS, u32(now - load<u64>(exchange, X_STARTED)));
}

/** Counts the end of an attempt. */
export function recordAttempt(exchange: u32, outcome: u32): void {
  count(load<u32>(exchange + X_POLICY, POLICY_METRICS) + SERVICE_OUTCOME_CELLS + outcome, 1);
}

/** Counts a retry that was not done. */
export function recordSkipped(exchange: u32, cause: u32): void {
  count(load<u32>(exchange + X_POLICY, POLICY_METRICS) + SERVICE_SKIPPED_CELLS + cause, 1);
}

/** Counts the end of a hedge. */
export function recordHedge(exchange: u32, result: u32): void {
  count(load<u32>(exchange + X_POLICY, POLICY_METRICS) + SERVICE_HEDGE_CELLS + result, 1);
}

/** Counts a hedge that was due and not begun. */
export function recordUnhedged(exchange: u32, cause: u32): void {
  count(load<u32>(exchange + X_POLICY, POLICY_METRICS) + SERVICE_UNHEDGED_CELLS + cause, 1);
}
