// A second attempt beside a slow first one (`hedge`): whoever answers first goes on, the other one is given up.
//
//   exchange ──► attempt on one instance ───────── too slow ──────┬──► answers first: its rival is given up
//      ⇅ X_RIVAL                                                  │
//   rival ────────────────────────────────► attempt on another ───┴──► answers first: the exchange takes it over
//
// The rival is an exchange without a client: it has the same head, a copy of the body, and an attempt of its own, but
// no retries. `takeOver` moves its attempt into the exchange, in whatever state it is; from then on nothing tells it
// from an attempt that the exchange made itself. So a rival's exchange always has an attempt under way, and where that
// one fails the rival's becomes its next attempt, instead of a retry.
//
// Rule 1: only what may be executed twice is hedged: the idempotent class of retries; all, where the document says so.
// Rule 2: only whole requests that are kept, on an instance that is not the first one's.
// Rule 3: an answer that is its instance's failure does not win while the other one may still answer.
// Rule 4: the first attempt is given up, not failed: its instance takes at least this long, and nothing else is said.

import { COUNTER_REQUESTS } from "../../abi/balancer-codes.ts";
import { H2_CANCEL } from "../../abi/engine-codes.ts";
import { HEDGE_WAIT_MIN_MS } from "../../abi/limits.ts";
import {
  HEDGE_DELAY,
  HEDGE_NONE,
  POLICY_BYTES,
  POLICY_HEDGE,
  POLICY_HEDGE_ANY,
  POLICY_HEDGE_DELAY,
  POLICY_RETRY_ATTEMPTS,
  POLICY_SERVICE,
} from "../../abi/policy.ts";
import { poolPressure } from "../../core/pool.ts";
import { admit, markSilent, release as releaseInstance } from "../balancer.ts";
import { now } from "../http/event.ts";
import { S_EXCHANGE } from "../tables/streams.ts";
import { attemptAt, pickPresent } from "./attempt.ts";
import { fillHedgeBudget, hasHedgeBudget, takeHedgeBudget } from "./budget.ts";
import {
  clearX,
  createExchange,
  EXCHANGE_IS_ADMITTED,
  EXCHANGE_IS_CONNECT,
  EXCHANGE_IS_GRPC,
  EXCHANGE_IS_HEDGED,
  EXCHANGE_IS_IDEMPOTENT,
  EXCHANGE_IS_IN_FLIGHT,
  EXCHANGE_IS_PENDING,
  EXCHANGE_IS_RIVAL,
  EXCHANGE_IS_ROUTED,
  EXCHANGE_IS_UPGRADE,
  EXCHANGE_REQUEST_ENDED,
  EXCHANGE_TO_SIDECAR,
  EXCHANGE_TOOK_OVER,
  hasX,
  STATE_WAITING,
  setX,
  X_ACTIVITY,
  X_ATTEMPT_STARTED,
  X_ATTEMPTS,
  X_DEADLINE,
  X_FLAGS,
  X_GRPC_STATUS,
  X_HAS_GRPC_TIMEOUT,
  X_HASH,
  X_HEAD,
  X_HEDGE_AT,
  X_INSTANCE,
  X_KIND,
  X_LISTENER,
  X_PENDING_NEXT,
  X_PENDING_PREVIOUS,
  X_POLICY,
  X_REQUEST,
  X_REQUEST_ENDED,
  X_RIVAL,
  X_SENT_MARK,
  X_SET,
  X_SKIP,
  X_STARTED,
  X_STATE,
  X_UP,
  X_VERSION_UP,
  X_WAIT_UNTIL,
} from "./exchange.ts";
import { abandonUpstream, finishExchange } from "./finish.ts";
import { isByTimer, isHeld } from "./hold.ts";
import {
  HEDGE_CANCELLED,
  HEDGE_FAILED,
  HEDGE_LOST,
  HEDGE_TOOK_OVER,
  HEDGE_WON,
  OUTCOME_CANCELLED,
  OUTCOME_REFUSED,
  OUTCOME_STATUS,
  recordAttempt,
  recordHedge,
  recordUnhedged,
  UNHEDGED_BODY,
  UNHEDGED_BUDGET,
  UNHEDGED_INSTANCE,
  UNHEDGED_LIMIT,
  UNHEDGED_MEMORY,
} from "./metrics.ts";
import { isFailedBy, leaveInstance, leaveSlow } from "./occupancy.ts";
import { copyPipe, destroyPipe, isWholeAndKept, keepPipe, PIPE_BYTES } from "./pipe.ts";
import { forgetUnproven } from "./probation.ts";
import { noteResponseTime, responseTimeOf } from "./response-times.ts";
import { isOverdue, noteUnanswered } from "./silence.ts";
import { armExchange } from "./timeouts.ts";
import { poolOf, U_PENDING_HEAD, U_PENDING_TAIL } from "./upstream.ts";

/** Above this share of the pool, in 1/256, nothing is hedged: first attempts come first. */
const PRESSURE_SKIPS: u32 = 128;

// ── When ─────────────────────────────────────────────────────────────────────────────────────────

/** A request of a service with hedging began: it counts for the budget, and is hedged later only if it may be. */
export function prepareHedge(exchange: u32): void {
  const policy = exchange + X_POLICY;
  fillHedgeBudget(policy);
  const isAllowed = hasX(exchange, EXCHANGE_IS_IDEMPOTENT) || load<u8>(policy, POLICY_HEDGE_ANY) != 0;
  if (isAllowed && !hasX(exchange, EXCHANGE_IS_UPGRADE | EXCHANGE_IS_CONNECT)) keepPipe(exchange + X_REQUEST);
  else store<u8>(policy, HEDGE_NONE, POLICY_HEDGE);
}

/** An attempt begins: says when to look whether it needs a rival. */
export function watchHedge(exchange: u32): void {
  const wait = hasX(exchange, EXCHANGE_IS_HEDGED) ? 0 : waitUs(exchange);
  store<u64>(exchange, wait == 0 ? 0 : now + wait, X_HEDGE_AT);
}

/** The time has come to look: begins the second attempt, or looks again later. */
export function checkHedge(exchange: u32): void {
  const wait = waitUs(exchange);
  if (!hasX(exchange, EXCHANGE_REQUEST_ENDED)) {
    store<u64>(exchange, now + wait, X_HEDGE_AT);
    return;
  }
  const since = max(load<u64>(exchange, X_ATTEMPT_STARTED), load<u64>(exchange, X_REQUEST_ENDED));
  if (since + wait > now) {
    store<u64>(exchange, since + wait, X_HEDGE_AT);
    return;
  }
  store<u64>(exchange, 0, X_HEDGE_AT);
  beginHedge(exchange);
}

/** An attempt has its response head after so long. */
export function noteHedgeable(exchange: u32, us: u32): void {
  if (!hasX(exchange, EXCHANGE_TOOK_OVER)) noteResponseTime(load<u32>(exchange + X_POLICY, POLICY_SERVICE), us);
}

/** How long an attempt may take alone, µs; 0 = not known yet. */
function waitUs(exchange: u32): u64 {
  const policy = exchange + X_POLICY;
  const after = u32(load<u8>(policy, POLICY_HEDGE));
  if (after == <u32>HEDGE_DELAY) return u64(load<u32>(policy, POLICY_HEDGE_DELAY)) * 1000;
  const us = responseTimeOf(load<u32>(policy, POLICY_SERVICE), after);
  return us == 0 ? 0 : max<u64>(u64(us), u64(HEDGE_WAIT_MIN_MS) * 1000);
}

// ── The second attempt ───────────────────────────────────────────────────────────────────────────

function beginHedge(exchange: u32): void {
  let cause: i32 = UNHEDGED_BODY;
  if (isWholeAndKept(exchange + X_REQUEST)) {
    cause = hasHedgeBudget(exchange + X_POLICY) ? beginRival(exchange, true) : i32(UNHEDGED_BUDGET);
  }
  if (cause >= 0) recordUnhedged(exchange, u32(cause));
}

/** Begins a second attempt on another instance; UNHEDGED_* where that cannot be, or -1. */
export function beginRival(exchange: u32, takesHedgeBudget: bool): i32 {
  if (!isWholeAndKept(exchange + X_REQUEST)) return UNHEDGED_BODY;
  const rival = poolPressure() > PRESSURE_SKIPS ? 0 : createExchange();
  if (rival == 0) return UNHEDGED_MEMORY;
  fillRival(rival, exchange);
  const cause = occupyRival(rival, exchange);
  if (cause >= 0) {
    finishExchange(rival);
    return cause;
  }
  if (takesHedgeBudget) takeHedgeBudget(exchange + X_POLICY);
  setX(exchange, EXCHANGE_IS_HEDGED);
  store<u32>(exchange, rival, X_RIVAL);
  store<u32>(rival, exchange, X_RIVAL);
  attemptAt(rival, load<u32>(rival, X_INSTANCE));
  return -1;
}

function fillRival(rival: u32, exchange: u32): void {
  const kind = EXCHANGE_IS_GRPC | EXCHANGE_IS_IDEMPOTENT;
  store<u32>(rival, load<u32>(exchange, X_FLAGS) & kind, X_FLAGS);
  setX(rival, EXCHANGE_IS_RIVAL | EXCHANGE_IS_ROUTED | EXCHANGE_REQUEST_ENDED);
  store<u8>(rival, STATE_WAITING, X_STATE);
  store<u8>(rival, 255, X_GRPC_STATUS);
  store<u8>(rival, 1, X_ATTEMPTS);
  store<u8>(rival, load<u8>(exchange, X_LISTENER), X_LISTENER);
  store<u8>(rival, load<u8>(exchange, X_HAS_GRPC_TIMEOUT), X_HAS_GRPC_TIMEOUT);
  store<u64>(rival, now, X_STARTED);
  store<u64>(rival, now, X_ACTIVITY);
  store<u64>(rival, now, X_REQUEST_ENDED);
  store<u64>(rival, load<u64>(exchange, X_DEADLINE), X_DEADLINE);
  store<u32>(rival, load<u32>(exchange, X_SET), X_SET);
  store<u32>(rival, load<u32>(exchange, X_HASH), X_HASH);
  // The exchange outlives its rival: they share the head.
  store<u32>(rival, load<u32>(exchange, X_HEAD), X_HEAD);
  memory.copy(rival + X_SKIP, exchange + X_SKIP, 12);
  const tried = (u32(load<u8>(exchange, X_ATTEMPTS)) - 1) % 3;
  store<u32>(rival + X_SKIP + tried * 4, load<u32>(exchange, X_INSTANCE));
  memory.copy(rival + X_POLICY, exchange + X_POLICY, POLICY_BYTES);
  store<u8>(rival + X_POLICY, 0, POLICY_RETRY_ATTEMPTS);
  store<u8>(rival + X_POLICY, HEDGE_NONE, POLICY_HEDGE);
}

/** Takes what the second attempt needs: a place under the limits, an instance, the body. UNHEDGED_*, or -1. */
function occupyRival(rival: u32, exchange: u32): i32 {
  if (admit(load<u32>(rival + X_POLICY, POLICY_SERVICE), COUNTER_REQUESTS) == 0) return UNHEDGED_LIMIT;
  setX(rival, EXCHANGE_IS_ADMITTED);
  const slot = pickPresent(rival);
  if (slot < 0) return UNHEDGED_INSTANCE;
  if (u32(slot) == load<u32>(exchange, X_INSTANCE)) {
    releaseInstance(u32(slot)); // there is no other
    return UNHEDGED_INSTANCE;
  }
  store<u32>(rival, u32(slot), X_INSTANCE);
  setX(rival, EXCHANGE_IS_IN_FLIGHT);
  if (!copyPipe(exchange + X_REQUEST, rival + X_REQUEST)) return UNHEDGED_MEMORY;
  keepPipe(rival + X_REQUEST); // a retry may be needed after `takeOver`
  return -1;
}

// ── The end of the pair ──────────────────────────────────────────────────────────────────────────

/** Whether an exchange of a client has a second attempt under way. */
export function hasRival(exchange: u32): bool {
  return load<u32>(exchange, X_RIVAL) != 0 && !hasX(exchange, EXCHANGE_IS_RIVAL);
}

/**
 * One of a pair has a response head. Returns the exchange whose answer it is now; 0 when it is nobody's, and the other
 * one is waited for.
 */
export function decideHedge(exchange: u32, status: u32, isUnprocessed: bool): u32 {
  const isRival = hasX(exchange, EXCHANGE_IS_RIVAL);
  if (isUnprocessed || isFailedBy(exchange, status)) {
    recordAttempt(exchange, isUnprocessed ? OUTCOME_REFUSED : OUTCOME_STATUS);
    leaveInstance(exchange, true);
    store<u8>(exchange, 255, X_GRPC_STATUS);
    abandonUpstream(exchange, H2_CANCEL);
    if (isRival) finishExchange(exchange);
    else takeOver(exchange, HEDGE_TOOK_OVER);
    return 0;
  }
  if (!isRival) return exchange;
  const winner = load<u32>(exchange, X_RIVAL);
  if (isByTimer(winner)) forgetUnproven(winner);
  else if (isHeld(winner)) {
    endHedge(winner, HEDGE_LOST); // its own answer is here, only its trailers are waited for
    return 0;
  }
  const grpcStatus = load<u8>(exchange, X_GRPC_STATUS);
  const us = u32(now - load<u64>(winner, X_ATTEMPT_STARTED));
  noteResponseTime(load<u32>(winner + X_POLICY, POLICY_SERVICE), us);
  if (isOverdue(winner)) markSilent(load<u32>(winner, X_INSTANCE));
  noteUnanswered(winner, us);
  recordAttempt(winner, OUTCOME_CANCELLED);
  leaveSlow(winner);
  abandonUpstream(winner, H2_CANCEL);
  takeOver(winner, HEDGE_WON);
  store<u8>(winner, grpcStatus, X_GRPC_STATUS);
  return winner;
}

/** The exchange's own attempt has failed, and everything of it was given back: its rival's becomes its next one. */
export function takeOver(exchange: u32, result: u32): void {
  const rival = load<u32>(exchange, X_RIVAL);
  assert(load<u32>(exchange, X_UP) == 0 && !hasX(exchange, EXCHANGE_IS_IN_FLIGHT));
  recordHedge(exchange, result);
  part(exchange, rival);
  const attempts = u32(load<u8>(exchange, X_ATTEMPTS));
  store<u32>(exchange + X_SKIP + ((attempts - 1) % 3) * 4, load<u32>(exchange, X_INSTANCE));
  store<u8>(exchange, u8(attempts + 1), X_ATTEMPTS);
  setX(exchange, EXCHANGE_TOOK_OVER);
  moveAttempt(rival, exchange);
  destroyPipe(exchange + X_REQUEST);
  memory.copy(exchange + X_REQUEST, rival + X_REQUEST, PIPE_BYTES);
  memory.fill(rival + X_REQUEST, 0, PIPE_BYTES);
  finishExchange(rival);
  armExchange(exchange);
}

/** The attempt under way, in line or on a stream, with all that it occupies. */
function moveAttempt(from: u32, to: u32): void {
  store<u8>(to, load<u8>(from, X_STATE), X_STATE);
  store<u8>(to, load<u8>(from, X_KIND), X_KIND);
  store<u8>(to, load<u8>(from, X_VERSION_UP), X_VERSION_UP);
  store<u32>(to, load<u32>(from, X_INSTANCE), X_INSTANCE);
  store<u64>(to, load<u64>(from, X_ATTEMPT_STARTED), X_ATTEMPT_STARTED);
  store<u64>(to, load<u64>(from, X_WAIT_UNTIL), X_WAIT_UNTIL);
  store<u64>(to, load<u64>(from, X_SENT_MARK), X_SENT_MARK);
  store<u64>(to, max(load<u64>(from, X_ACTIVITY), load<u64>(to, X_ACTIVITY)), X_ACTIVITY);
  const moved = EXCHANGE_IS_IN_FLIGHT | EXCHANGE_TO_SIDECAR;
  clearX(to, EXCHANGE_TO_SIDECAR);
  setX(to, load<u32>(from, X_FLAGS) & moved);
  clearX(from, moved);
  replacePending(from, to);
  const up = load<u32>(from, X_UP);
  store<u32>(from, 0, X_UP);
  store<u32>(to, up, X_UP);
  if (up != 0) store<u32>(up, to, S_EXCHANGE);
}

/** Puts another exchange where this one waits for a connection; nothing happens when it does not wait. */
function replacePending(exchange: u32, other: u32): void {
  if (!hasX(exchange, EXCHANGE_IS_PENDING)) return;
  clearX(exchange, EXCHANGE_IS_PENDING);
  setX(other, EXCHANGE_IS_PENDING);
  const pool = poolOf(load<u32>(exchange, X_INSTANCE));
  const previous = load<u32>(exchange, X_PENDING_PREVIOUS);
  const next = load<u32>(exchange, X_PENDING_NEXT);
  store<u32>(other, previous, X_PENDING_PREVIOUS);
  store<u32>(other, next, X_PENDING_NEXT);
  if (previous != 0) store<u32>(previous, other, X_PENDING_NEXT);
  else store<u32>(pool, other, U_PENDING_HEAD);
  if (next != 0) store<u32>(next, other, X_PENDING_PREVIOUS);
  else store<u32>(pool, other, U_PENDING_TAIL);
}

/** The exchange has no use for its rival any more. */
export function endHedge(exchange: u32, result: u32): void {
  const rival = load<u32>(exchange, X_RIVAL);
  recordHedge(exchange, result);
  recordAttempt(rival, OUTCOME_CANCELLED);
  part(exchange, rival);
  finishExchange(rival);
}

/** One of a pair is over: a rival that failed, or an exchange whose rival goes with it. */
export function leaveHedge(exchange: u32): void {
  if (!hasX(exchange, EXCHANGE_IS_RIVAL)) {
    endHedge(exchange, HEDGE_CANCELLED);
    return;
  }
  recordHedge(exchange, HEDGE_FAILED);
  part(load<u32>(exchange, X_RIVAL), exchange);
}

function part(exchange: u32, rival: u32): void {
  store<u32>(exchange, 0, X_RIVAL);
  store<u32>(rival, 0, X_RIVAL);
}
