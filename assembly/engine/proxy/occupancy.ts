// What an attempt occupies while it is under way: a place in line, and its instance.

import { observeInstance, release as releaseInstance } from "../balancer.ts";
import { now } from "../http/event.ts";
import { clearX, EXCHANGE_IS_IN_FLIGHT, hasX, X_ATTEMPT_STARTED, X_INSTANCE } from "./exchange.ts";
import { removePending } from "./upstream.ts";

/** The attempt under way is over: its instance is no longer busy with it. */
export function leaveInstance(exchange: u32, isFailure: bool): void {
  removePending(exchange);
  if (!hasX(exchange, EXCHANGE_IS_IN_FLIGHT)) return;
  clearX(exchange, EXCHANGE_IS_IN_FLIGHT);
  const slot = load<u32>(exchange, X_INSTANCE);
  observeInstance(slot, u32(now - load<u64>(exchange, X_ATTEMPT_STARTED)), isFailure ? 1 : 0);
  releaseInstance(slot);
}
