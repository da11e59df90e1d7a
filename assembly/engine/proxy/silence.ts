// Instances that owe answers and say nothing (DESIGN §6, "Silence"; `timeout.attempt: auto`).
//
// Accepted, read, never answered: no socket error tells. An instance is silent when a whole request has been with it
// for max(1 s, 10 × the service's p99), nothing of any answer came from it meanwhile to this worker, and another
// instance of the service has answered since. What an HTTP/2 library says by itself (acknowledgements, credit) is no
// answer. Then it is set aside for all threads, and the request goes elsewhere if that is safe (an idempotent one,
// within the budget); one that is not safe waits on: nobody can know what became of it.
//
// Where every request of the service is with that one instance, nobody else can have answered: a lone caller would wait
// for ever. So another instance is asked beside it, once and within the same conditions. If that one answers first, the
// first was silent; if neither does, the work is slow, and both are waited for.

import { COUNTER_REQUESTS } from "../../abi/balancer-codes.ts";
import { H2_CANCEL } from "../../abi/engine-codes.ts";
import { SILENCE_MIN_MS, SILENCE_P99_FACTOR } from "../../abi/limits.ts";
import {
  POLICY_ATTEMPT_TIMEOUT,
  POLICY_AUTO,
  POLICY_RETRY_WHEN,
  POLICY_SERVICE,
  RETRY_IDEMPOTENT,
} from "../../abi/policy.ts";
import { allocate } from "../../core/pool.ts";
import { countOf, inflightOf, markSilent, memberCountOf } from "../balancer.ts";
import { now } from "../http/event.ts";
import { canRetry, hasAttemptLeft, mayRetry, retry } from "./attempt.ts";
import {
  EXCHANGE_IS_HEDGED,
  EXCHANGE_IS_IDEMPOTENT,
  EXCHANGE_IS_TUNNEL,
  EXCHANGE_IS_UPGRADE,
  EXCHANGE_REQUEST_ENDED,
  hasX,
  setX,
  X_ATTEMPT_STARTED,
  X_DOWN,
  X_INSTANCE,
  X_POLICY,
  X_REQUEST_ENDED,
  X_SET,
  X_UP,
  X_WAIT_UNTIL,
} from "./exchange.ts";
import { abandonUpstream } from "./finish.ts";
import { beginRival, hasRival, takeOver } from "./hedge.ts";
import { HEDGE_TOOK_OVER, OUTCOME_TIMEOUT, recordAttempt } from "./metrics.ts";
import { leaveInstance } from "./occupancy.ts";
import { armExchange } from "./timeouts.ts";
import { poolOf, U_HEARD } from "./upstream.ts";

const SERVICES_MAX: u32 = 2048;
const RECORD_BYTES: u32 = 32;
const R_LAST_US: u32 = 0; // u64: when an instance answered last
const R_OTHER_US: u32 = 8; // u64: … and when another one than that
const R_LAST: u32 = 16; // slot + 1
const R_P99: u32 = 20; // u32 µs to the head of the response, estimated
/** One answer in a hundred moves the estimate up by an eighth, the others down by as much in all. */
const P99_UP: u32 = 8;
const P99_DOWN: u32 = 8 * 99;

// Per-instance state of this worker.
let records: u32 = 0;

/** Takes the table's memory; called once at start. */
export function createSilence(): void {
  records = allocate(SERVICES_MAX * RECORD_BYTES);
  memory.fill(records, 0, SERVICES_MAX * RECORD_BYTES);
}

/** An instance answered `us` after it was asked. */
export function noteAnswered(exchange: u32, us: u32): void {
  const record = recordOf(exchange);
  const instance = load<u32>(exchange, X_INSTANCE) + 1;
  if (load<u32>(record, R_LAST) != instance) {
    store<u64>(record, load<u64>(record, R_LAST_US), R_OTHER_US);
    store<u32>(record, instance, R_LAST);
  }
  store<u64>(record, now, R_LAST_US);
  const estimate = load<u32>(record, R_P99);
  if (us > estimate) store<u32>(record, estimate == 0 ? us : estimate + estimate / P99_UP + 1, R_P99);
  else store<u32>(record, estimate - estimate / P99_DOWN, R_P99);
}

/** An attempt was given up without an answer after `us`: it was to take longer. */
export function noteUnanswered(exchange: u32, us: u32): void {
  const record = recordOf(exchange);
  const estimate = load<u32>(record, R_P99);
  if (us > estimate) store<u32>(record, estimate + estimate / P99_UP + 1, R_P99);
}

/** The request is with its instance: says when to look whether that is silent. */
export function watchSilence(exchange: u32): void {
  if (load<u32>(exchange + X_POLICY, POLICY_ATTEMPT_TIMEOUT) != <u32>POLICY_AUTO) return;
  store<u64>(exchange, now + patienceUs(exchange), X_WAIT_UNTIL);
}

/** The time has come to look: sets the instance aside, and takes the request elsewhere, or looks again later. */
export function checkSilence(exchange: u32): void {
  const isOwed = hasX(exchange, EXCHANGE_REQUEST_ENDED) && !hasX(exchange, EXCHANGE_IS_TUNNEL);
  const since = max(load<u64>(exchange, X_ATTEMPT_STARTED), load<u64>(exchange, X_REQUEST_ENDED));
  const patience = patienceUs(exchange);
  const slot = load<u32>(exchange, X_INSTANCE);
  const isUnheard = isOwed && load<u64>(poolOf(slot), U_HEARD) <= since;
  const isSilent = isUnheard && hasOtherAnswered(exchange, since);
  if (!isSilent || now - since < patience) {
    if (isUnheard && now - since >= patience && isNobodyElseAsked(exchange, slot)) askBeside(exchange);
    store<u64>(exchange, isSilent ? since + patience : now + patience, X_WAIT_UNTIL);
    armExchange(exchange);
    return;
  }
  markSilent(slot);
  store<u64>(exchange, 0, X_WAIT_UNTIL);
  const isHedged = hasRival(exchange); // then it is elsewhere already
  if (!isHedged && !canRetry(exchange, false)) {
    armExchange(exchange);
    return;
  }
  recordAttempt(exchange, OUTCOME_TIMEOUT);
  leaveInstance(exchange, true);
  abandonUpstream(exchange, H2_CANCEL);
  if (isHedged) takeOver(exchange, HEDGE_TOOK_OVER);
  else retry(exchange, false);
}

/** Whether all that is under way to the service is with this instance, and there are others. */
function isNobodyElseAsked(exchange: u32, slot: u32): bool {
  if (memberCountOf(load<u32>(exchange, X_SET)) < 2) return false;
  return countOf(load<u32>(exchange + X_POLICY, POLICY_SERVICE), COUNTER_REQUESTS) <= inflightOf(slot);
}

/** A second attempt beside the first, where a retry would be allowed; once for each request. */
function askBeside(exchange: u32): void {
  const isRepeatable = hasX(exchange, EXCHANGE_IS_IDEMPOTENT) && !hasX(exchange, EXCHANGE_IS_UPGRADE);
  const isAllowed = (load<u32>(exchange + X_POLICY, POLICY_RETRY_WHEN) & RETRY_IDEMPOTENT) != 0;
  if (!isRepeatable || !isAllowed || hasX(exchange, EXCHANGE_IS_HEDGED) || load<u32>(exchange, X_DOWN) == 0) return;
  setX(exchange, EXCHANGE_IS_HEDGED);
  if (hasAttemptLeft(exchange) && mayRetry(exchange, true)) beginRival(exchange, false);
}

/** Whether an instance is silent by the time that has passed, whoever else has answered. */
export function isOverdue(exchange: u32): bool {
  const since = max(load<u64>(exchange, X_ATTEMPT_STARTED), load<u64>(exchange, X_REQUEST_ENDED));
  const isAuto = load<u32>(exchange + X_POLICY, POLICY_ATTEMPT_TIMEOUT) == <u32>POLICY_AUTO;
  const isOwed = isAuto && load<u32>(exchange, X_UP) != 0;
  if (!isOwed || now - since < patienceUs(exchange)) return false;
  return load<u64>(poolOf(load<u32>(exchange, X_INSTANCE)), U_HEARD) <= since;
}

/** Whether another instance of the service has answered since. */
export function hasOtherAnswered(exchange: u32, since: u64): bool {
  const record = recordOf(exchange);
  const isLast = load<u32>(record, R_LAST) == load<u32>(exchange, X_INSTANCE) + 1;
  return (isLast ? load<u64>(record, R_OTHER_US) : load<u64>(record, R_LAST_US)) >= since;
}

/** How long an instance that owes this answer may be silent, µs. */
export function patienceUs(exchange: u32): u64 {
  const p99 = u64(load<u32>(recordOf(exchange), R_P99));
  return max(u64(SILENCE_MIN_MS) * 1000, p99 * SILENCE_P99_FACTOR);
}

function recordOf(exchange: u32): u32 {
  return records + (load<u32>(exchange + X_POLICY, POLICY_SERVICE) & (SERVICES_MAX - 1)) * RECORD_BYTES;
}
