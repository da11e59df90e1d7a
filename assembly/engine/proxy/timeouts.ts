// When an exchange has taken too long: its deadline, its attempt's, its silence, its wait. One timer for whatever is
// first.

import { STREAM_STALL_PRESSED_MS, TUNNEL_IDLE_TIMEOUT_MS } from "../../abi/limits.ts";
import { POLICY_ATTEMPT_TIMEOUT, POLICY_AUTO, POLICY_IDLE_TIMEOUT } from "../../abi/policy.ts";
import { now } from "../http/event.ts";
import { armTimer, disarmTimer, exchangeTimer } from "../timers.ts";
import {
  EXCHANGE_IS_CONNECT,
  EXCHANGE_IS_GRPC,
  EXCHANGE_IS_TUNNEL,
  exchangeIndex,
  hasX,
  STATE_PENDING,
  STATE_SENT,
  X_ACTIVITY,
  X_ATTEMPT_STARTED,
  X_DEADLINE,
  X_HEDGE_AT,
  X_HELD,
  X_POLICY,
  X_STALL_SINCE,
  X_STATE,
  X_WAIT_UNTIL,
} from "./exchange.ts";

/** Arms the exchange's one timer for whatever comes first. */
export function armExchange(exchange: u32): void {
  let first = load<u64>(exchange, X_DEADLINE);
  const waitUntil = load<u64>(exchange, X_WAIT_UNTIL);
  if (waitUntil != 0 && (first == 0 || waitUntil < first)) first = waitUntil;
  if (load<u8>(exchange, X_STATE) >= STATE_SENT) {
    const attempt = attemptDeadline(exchange);
    if (attempt != 0 && (first == 0 || attempt < first)) first = attempt;
    const idle = idleDeadline(exchange);
    if (idle != 0 && (first == 0 || idle < first)) first = idle;
  }
  const hedge = hedgeDeadline(exchange);
  if (hedge != 0 && (first == 0 || hedge < first)) first = hedge;
  const stall = stallCheck(exchange);
  if (stall != 0 && (first == 0 || stall < first)) first = stall;
  const timer = exchangeTimer(exchangeIndex(exchange));
  if (first != 0) armTimer(timer, first);
  else disarmTimer(timer);
}

/** When the attempt must have brought a response head, µs; 0 = no such time. */
export function attemptDeadline(exchange: u32): u64 {
  // A held answer (hold.ts) has its head: it came in time.
  if (load<u8>(exchange, X_STATE) != STATE_SENT || load<u32>(exchange, X_HELD) != 0) return 0;
  const timeout = load<u32>(exchange + X_POLICY, POLICY_ATTEMPT_TIMEOUT);
  if (timeout >= <u32>POLICY_AUTO) return 0;
  return load<u64>(exchange, X_ATTEMPT_STARTED) + u64(timeout) * 1000;
}

/** When to look whether the attempt is to have a rival, µs; 0 = never. */
export function hedgeDeadline(exchange: u32): u64 {
  const at = load<u64>(exchange, X_HEDGE_AT);
  if (at == 0) return 0;
  const state = load<u8>(exchange, X_STATE);
  const isWaitedFor = state == STATE_PENDING || (state == STATE_SENT && load<u32>(exchange, X_HELD) == 0);
  return isWaitedFor ? at : 0;
}

/** When a response that its client holds up is to be looked at, µs; 0 = none does. */
function stallCheck(exchange: u32): u64 {
  const since = load<u64>(exchange, X_STALL_SINCE);
  if (since == 0) return 0;
  const period = u64(STREAM_STALL_PRESSED_MS) * 1000;
  return since + ((now - since) / period + 1) * period;
}

/** When the exchange has been silent for too long, µs; 0 = it may be silent for ever (gRPC, tunnels). */
export function idleDeadline(exchange: u32): u64 {
  let timeout = load<u32>(exchange + X_POLICY, POLICY_IDLE_TIMEOUT);
  if (hasX(exchange, EXCHANGE_IS_TUNNEL)) {
    if (!hasX(exchange, EXCHANGE_IS_CONNECT)) return 0; // a WebSocket has pings of its own
    timeout = TUNNEL_IDLE_TIMEOUT_MS;
  }
  if (timeout >= <u32>POLICY_AUTO || hasX(exchange, EXCHANGE_IS_GRPC)) return 0;
  return load<u64>(exchange, X_ACTIVITY) + u64(timeout) * 1000;
}
