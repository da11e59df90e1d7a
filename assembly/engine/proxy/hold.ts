// Answers of unary gRPC calls that are held back until their trailers say how the call went (DESIGN §2 rule 10).
//
// The status of a gRPC answer comes last, when everything before it has gone downstream and nothing can be tried again;
// so the head and the first message wait, for at most 2 ms and one message, and only where the document retries on gRPC
// codes. What the trailers do not come with in time is passed on as if nothing had been: no stream is delayed by more.
//
// While its answer is held an exchange stays STATE_SENT: nothing has gone downstream. The message waits in the response
// pipe, which sends nothing before the head.

import { HOLD_BYTES_MAX, HOLD_TIMEOUT_MS } from "../../abi/limits.ts";
import { POLICY_RETRY_ATTEMPTS, POLICY_RETRY_GRPC } from "../../abi/policy.ts";
import { now } from "../http/event.ts";
import { persistHead, releaseHead } from "../http/head.ts";
import { editCount } from "../route/index.ts";
import {
  EXCHANGE_IS_CONNECT,
  EXCHANGE_IS_GRPC,
  EXCHANGE_IS_UPGRADE,
  hasX,
  X_ATTEMPTS,
  X_EDITS,
  X_HELD,
  X_PENDING_NEXT,
  X_PENDING_PREVIOUS,
  X_POLICY,
  X_REQUEST,
  X_RESPONSE,
  X_WAIT_UNTIL,
} from "./exchange.ts";
import { destroyPipe, isKept, pipeWaiting } from "./pipe.ts";

/** X_PENDING_PREVIOUS of one that is held and not in the list. */
const UNLISTED: u32 = 0xffffffff;

// Per-instance state of this worker: those that are held, the first to be let go first.
let first: u32 = 0;
let last: u32 = 0;

/** Holds a response head back, if its trailers may call for another attempt; false when it is to be passed on. */
export function hold(exchange: u32, head: u32): bool {
  const policy = exchange + X_POLICY;
  if (load<u32>(policy, POLICY_RETRY_GRPC) == 0 || !hasX(exchange, EXCHANGE_IS_GRPC)) return false;
  // Whatever its content-type says: what becomes a tunnel, or fails to, has no trailers to wait for.
  if (hasX(exchange, EXCHANGE_IS_UPGRADE | EXCHANGE_IS_CONNECT)) return false;
  if (load<u8>(exchange, X_ATTEMPTS) > load<u8>(policy, POLICY_RETRY_ATTEMPTS) || !isKept(exchange + X_REQUEST)) {
    return false;
  }
  if (!holdUntil(exchange, head, now + u64(HOLD_TIMEOUT_MS) * 1000)) return false;
  store<u32>(exchange, last, X_PENDING_PREVIOUS);
  store<u32>(exchange, 0, X_PENDING_NEXT);
  if (last != 0) store<u32>(last, exchange, X_PENDING_NEXT);
  else first = exchange;
  last = exchange;
  return true;
}

/** Holds a head back until a time, which the exchange's own timer tells: the caller arms it. */
export function holdUntil(exchange: u32, head: u32, untilUs: u64): bool {
  // Room for the rule's edits, which are made when it is passed on.
  const kept = persistHead(head, editCount(load<u32>(exchange, X_EDITS)), 0);
  if (kept == 0) return false;
  store<u32>(exchange, kept, X_HELD);
  store<u64>(exchange, untilUs, X_WAIT_UNTIL);
  store<u32>(exchange, UNLISTED, X_PENDING_PREVIOUS);
  return true;
}

/** Whether it is held by its own timer (probation.ts), not for its trailers. */
export function isByTimer(exchange: u32): bool {
  return isHeld(exchange) && load<u32>(exchange, X_PENDING_PREVIOUS) == UNLISTED;
}

export function isHeld(exchange: u32): bool {
  return load<u32>(exchange, X_HELD) != 0;
}

/** Whether `length` bytes besides what waits are more than one message. */
export function isTooMuchToHold(exchange: u32, length: u32): bool {
  return pipeWaiting(exchange + X_RESPONSE) + length > <u32>HOLD_BYTES_MAX;
}

/** Ends the hold; the head is the caller's to pass on and to release. */
export function takeHeld(exchange: u32): u32 {
  const head = load<u32>(exchange, X_HELD);
  store<u32>(exchange, 0, X_HELD);
  store<u64>(exchange, 0, X_WAIT_UNTIL);
  const previous = load<u32>(exchange, X_PENDING_PREVIOUS);
  if (previous == UNLISTED) {
    store<u32>(exchange, 0, X_PENDING_PREVIOUS);
    return head;
  }
  const next = load<u32>(exchange, X_PENDING_NEXT);
  if (previous != 0) store<u32>(previous, next, X_PENDING_NEXT);
  else first = next;
  if (next != 0) store<u32>(next, previous, X_PENDING_PREVIOUS);
  else last = previous;
  return head;
}

/** Forgets a held answer: another attempt is made, or the client has gone. */
export function dropHeld(exchange: u32): void {
  if (!isHeld(exchange)) return;
  releaseHead(takeHeld(exchange));
  destroyPipe(exchange + X_RESPONSE);
}

/** The next exchange whose hold is over; 0 = none yet. */
export function nextDue(): u32 {
  return first != 0 && load<u64>(first, X_WAIT_UNTIL) <= now ? first : 0;
}

/** When the next hold is over, µs; 0 = nothing is held. */
export function holdDeadline(): u64 {
  return first == 0 ? 0 : load<u64>(first, X_WAIT_UNTIL);
}
