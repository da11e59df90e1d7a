// Answers of instances that have yet to prove themselves: held back until they are whole, where a retry can save them.
//
// A server that breaks off in the middle of its answers, or promises more than it sends, fails requests that nothing
// can save any more, for their heads went downstream; one after another, until enough of them make it an outlier. So
// what comes from an instance whose last attempt failed, or that has none yet, is not trusted: a short answer to a
// request that may be repeated waits until it is all there. One whole answer later (some milliseconds after start) its
// instance is proven, and answers are passed on as they come.
//
// The same where an instance has proven itself, owes several answers and has brought none to its end for longer than
// they take: it may have begun to stall. There, answers of unknown length are passed on.
//
// Not held: long answers; where nobody else could be asked; event streams; and an answer of unknown length for a moment
// only, for it may be a stream.

import { H2_CANCEL } from "../../abi/engine-codes.ts";
import { NAME_CONTENT_TYPE } from "../../abi/field-names.ts";
import { HOLD_BYTES_MAX, UNPROVEN_HOLD_MS } from "../../abi/limits.ts";
import { POLICY_RETRY_ATTEMPTS, POLICY_RETRY_WHEN, RETRY_IDEMPOTENT } from "../../abi/policy.ts";
import { equalIgnoringCase } from "../../core/bytes.ts";
import { isProven, isQuiet, markSilent, memberCountOf } from "../balancer.ts";
import { now } from "../http/event.ts";
import { FIELD_VALUE, FIELD_VALUE_BYTES, findField, HEAD_CONTENT_LENGTH } from "../http/head.ts";
import { canRetry, retry } from "./attempt.ts";
import {
  EXCHANGE_IS_CONNECT,
  EXCHANGE_IS_GRPC,
  EXCHANGE_IS_IDEMPOTENT,
  EXCHANGE_IS_UPGRADE,
  EXCHANGE_REQUEST_ENDED,
  hasX,
  X_ACTIVITY,
  X_ATTEMPTS,
  X_HELD,
  X_INSTANCE,
  X_POLICY,
  X_REQUEST,
  X_SENT,
  X_SET,
} from "./exchange.ts";
import { abandonUpstream } from "./finish.ts";
import { hasRival, takeOver } from "./hedge.ts";
import { dropHeld, holdUntil, isByTimer } from "./hold.ts";
import { HEDGE_TOOK_OVER, OUTCOME_TIMEOUT, recordAttempt } from "./metrics.ts";
import { leaveInstance } from "./occupancy.ts";
import { isKept } from "./pipe.ts";
import { hasOtherAnswered, patienceUs } from "./silence.ts";
import { armExchange } from "./timeouts.ts";

/** "text/event-stream" */
const EVENT_STREAM = memory.data<u8>([
  116, 101, 120, 116, 47, 101, 118, 101, 110, 116, 45, 115, 116, 114, 101, 97, 109,
]);
const EVENT_STREAM_BYTES: u32 = 17;

/** Holds a response head back until all of its answer is here; false when it is to be passed on. */
export function holdUnproven(exchange: u32, head: u32): bool {
  const slot = load<u32>(exchange, X_INSTANCE);
  const isKnown = isProven(slot) != 0;
  if ((isKnown && isQuiet(slot) == 0) || !isRepeatable(exchange)) return false;
  const length = load<i64>(head, HEAD_CONTENT_LENGTH);
  if (isKnown && length < 0) return false;
  if (length > <i64>HOLD_BYTES_MAX || isEventStream(head)) return false;
  const patience = length < 0 ? u64(UNPROVEN_HOLD_MS) * 1000 : patienceUs(exchange);
  if (!holdUntil(exchange, head, now + patience)) return false;
  armExchange(exchange);
  return true;
}

/** The time of a held answer is over: true when another attempt is made, false when it is to be passed on. */
export function giveUpUnproven(exchange: u32): bool {
  if (!isByTimer(exchange) || load<i64>(load<u32>(exchange, X_HELD), HEAD_CONTENT_LENGTH) < 0) return false;
  const isHedged = hasRival(exchange);
  if (!isHedged && !canRetry(exchange, false)) return false;
  // A short answer that has begun and does not end for so long, while others answer: no different from silence.
  if (hasOtherAnswered(exchange, load<u64>(exchange, X_ACTIVITY))) markSilent(load<u32>(exchange, X_INSTANCE));
  recordAttempt(exchange, OUTCOME_TIMEOUT);
  forgetUnproven(exchange);
  leaveInstance(exchange, true);
  abandonUpstream(exchange, H2_CANCEL);
  if (isHedged) takeOver(exchange, HEDGE_TOOK_OVER);
  else retry(exchange, false);
  return true;
}

/** The upstream stream of a held answer is gone: nothing of the answer was passed on, and nothing will be. */
export function forgetUnproven(exchange: u32): void {
  dropHeld(exchange);
  store<u64>(exchange, 0, X_SENT);
}

function isRepeatable(exchange: u32): bool {
  const policy = exchange + X_POLICY;
  if (!hasX(exchange, EXCHANGE_IS_IDEMPOTENT) || !hasX(exchange, EXCHANGE_REQUEST_ENDED)) return false;
  if (hasX(exchange, EXCHANGE_IS_UPGRADE | EXCHANGE_IS_CONNECT | EXCHANGE_IS_GRPC)) return false;
  if ((load<u32>(policy, POLICY_RETRY_WHEN) & RETRY_IDEMPOTENT) == 0) return false;
  if (load<u8>(exchange, X_ATTEMPTS) > load<u8>(policy, POLICY_RETRY_ATTEMPTS)) return false;
  return isKept(exchange + X_REQUEST) && memberCountOf(load<u32>(exchange, X_SET)) > 1;
}

function isEventStream(head: u32): bool {
  const field = findField(head, NAME_CONTENT_TYPE);
  if (field == 0 || u32(load<u16>(field, FIELD_VALUE_BYTES)) < EVENT_STREAM_BYTES) return false;
  return equalIgnoringCase(load<u32>(field, FIELD_VALUE), u32(EVENT_STREAM), EVENT_STREAM_BYTES);
}
