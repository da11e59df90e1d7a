// Copies of requests for another service: sent and forgotten (a rule's `mirror`).
//
// A copy is an exchange without downstream, made when the request is whole and all of it is still kept for a replay: a
// body beyond bodyLimit, or one that was answered before its end, is not copied. From then on the two know nothing of
// each other. The copy has the head as the service gets it, host and all, and `x-pillion-mirror: 1` besides. It is
// never retried, hedged or copied, its answer is read and thrown away, and what becomes of it is seen only in the
// metrics of the mirrored service. It counts in that service's limits; its policy decides on instance and times.

import { COUNTER_REQUESTS } from "../../abi/balancer-codes.ts";
import { REASON_NONE, REASON_OVERFLOW } from "../../abi/engine-codes.ts";
import { NAME_EXPECT, NAME_OTHER } from "../../abi/field-names.ts";
import { MIRROR_TIMEOUT_MS } from "../../abi/limits.ts";
import {
  HASH_NONE,
  HEDGE_NONE,
  POLICY_AUTO,
  POLICY_BYTES,
  POLICY_HASH_SOURCE,
  POLICY_HEDGE,
  POLICY_REQUEST_TIMEOUT,
  POLICY_RETRY_ATTEMPTS,
  POLICY_RETRY_GRPC,
  POLICY_SERVICE,
} from "../../abi/policy.ts";
import { RULE_MIRROR_SERVICE, RULE_MIRROR_SHARE, SHARE_BITS } from "../../abi/route-program.ts";
import { poolPressure } from "../../core/pool.ts";
import { admit } from "../balancer.ts";
import { now } from "../http/event.ts";
import { addField, HEAD_EXPECTS_CONTINUE, HEAD_FLAGS, persistHead, removeField } from "../http/head.ts";
import { randomU32 } from "../random.ts";
import { hashOf, matchService, routePolicy, routeSet } from "../route/index.ts";
import { answer } from "./answer.ts";
import { noteHead } from "./answered.ts";
import { beginAttempt, clearSkips } from "./attempt.ts";
import {
  createExchange,
  EXCHANGE_IS_ADMITTED,
  EXCHANGE_IS_CONNECT,
  EXCHANGE_IS_GRPC,
  EXCHANGE_IS_IDEMPOTENT,
  EXCHANGE_IS_MIRROR,
  EXCHANGE_IS_ROUTED,
  EXCHANGE_IS_UPGRADE,
  EXCHANGE_REQUEST_ENDED,
  hasX,
  STATE_WAITING,
  setX,
  X_ACTIVITY,
  X_DEADLINE,
  X_FAULT_STATUS,
  X_FLAGS,
  X_GRPC_STATUS,
  X_HAS_GRPC_TIMEOUT,
  X_HASH,
  X_HEAD,
  X_LISTENER,
  X_MIRROR,
  X_PEER,
  X_PEER_BYTES,
  X_POLICY,
  X_RECEIVED,
  X_REQUEST,
  X_REQUEST_ENDED,
  X_SENT,
  X_SET,
  X_STARTED,
  X_STATE,
} from "./exchange.ts";
import { finishExchange } from "./finish.ts";
import { GRPC_TIMEOUT_TEXT_BYTES, renewGrpcTimeout } from "./grpc-timeout.ts";
import { credit } from "./leg.ts";
import { copyPipe, isWholeAndKept } from "./pipe.ts";
import { armExchange } from "./timeouts.ts";

/** Above this share of the pool, in 1/256, nothing is copied: what callers wait for comes first. */
const PRESSURE_SKIPS: u32 = 128;
/** "x-pillion-mirror" and "1". */
const MARK: usize = memory.data<u8>([120, 45, 112, 105, 108, 108, 105, 111, 110, 45, 109, 105, 114, 114, 111, 114]);
const ONE: usize = memory.data<u8>([49]);

/** Draws whether a request is to be copied by `rule`; true when its body must be kept for that. */
export function drawMirror(exchange: u32, rule: u32): bool {
  const service = load<u32>(rule, RULE_MIRROR_SERVICE);
  if (service == 0 || hasX(exchange, EXCHANGE_IS_UPGRADE | EXCHANGE_IS_CONNECT)) return false;
  if (load<u16>(exchange, X_FAULT_STATUS) != 0) return false; // no service is to hear of it
  if (randomU32() >> (32 - SHARE_BITS) >= load<u32>(rule, RULE_MIRROR_SHARE)) return false;
  store<u32>(exchange, service, X_MIRROR);
  return true;
}

/** The request is whole now: sends the copy that was drawn for it, if all of it is still here. */
export function mirrorWhole(exchange: u32): void {
  const service = load<u32>(exchange, X_MIRROR);
  if (service == 0) return;
  store<u32>(exchange, 0, X_MIRROR);
  if (!isWholeAndKept(exchange + X_REQUEST) || poolPressure() > PRESSURE_SKIPS) return;
  if (matchService(service - 1, randomU32()) != REASON_NONE) return; // it has left the mesh
  const copy = createExchange();
  if (copy == 0) return;
  fillCopy(copy, exchange);
  const head = copyHead(exchange, load<u32>(exchange, X_HEAD));
  store<u32>(copy, head, X_HEAD);
  if (head == 0 || !copyPipe(exchange + X_REQUEST, copy + X_REQUEST)) {
    finishExchange(copy);
    return;
  }
  const policy = copy + X_POLICY;
  if (load<u8>(policy, POLICY_HASH_SOURCE) != HASH_NONE) {
    store<u32>(copy, hashOf(head, routePolicy, exchange + X_PEER, load<u8>(exchange, X_PEER_BYTES)), X_HASH);
  }
  if (admit(load<u32>(policy, POLICY_SERVICE), COUNTER_REQUESTS) == 0) {
    answer(copy, REASON_OVERFLOW);
    return;
  }
  setX(copy, EXCHANGE_IS_ADMITTED);
  beginAttempt(copy);
}

/** A copy's response head: noted, and nothing else done with it. */
export function receiveMirrored(exchange: u32, status: u32, end: bool): void {
  noteHead(exchange, status);
  if (end) finishExchange(exchange);
  else armExchange(exchange);
}

/** Body bytes of a copy's response: thrown away. */
export function receiveMirroredData(exchange: u32, stream: u32, length: u32, end: bool): void {
  store<u64>(exchange, now, X_ACTIVITY);
  store<u64>(exchange, load<u64>(exchange, X_SENT) + length, X_SENT);
  credit(stream, length);
  if (end) finishExchange(exchange);
}

function fillCopy(copy: u32, exchange: u32): void {
  const kind = EXCHANGE_IS_GRPC | EXCHANGE_IS_IDEMPOTENT;
  store<u32>(copy, load<u32>(exchange, X_FLAGS) & kind, X_FLAGS);
  setX(copy, EXCHANGE_IS_MIRROR | EXCHANGE_IS_ROUTED | EXCHANGE_REQUEST_ENDED);
  store<u8>(copy, STATE_WAITING, X_STATE);
  store<u8>(copy, 255, X_GRPC_STATUS);
  store<u8>(copy, load<u8>(exchange, X_LISTENER), X_LISTENER);
  store<u8>(copy, load<u8>(exchange, X_HAS_GRPC_TIMEOUT), X_HAS_GRPC_TIMEOUT);
  store<u64>(copy, now, X_STARTED);
  store<u64>(copy, now, X_ACTIVITY);
  store<u64>(copy, now, X_REQUEST_ENDED);
  store<u64>(copy, load<u64>(exchange, X_RECEIVED), X_RECEIVED);
  const peerBytes = load<u8>(exchange, X_PEER_BYTES);
  store<u8>(copy, peerBytes, X_PEER_BYTES);
  memory.copy(copy + X_PEER, exchange + X_PEER, peerBytes);
  clearSkips(copy);
  const policy = copy + X_POLICY;
  memory.copy(policy, routePolicy, POLICY_BYTES);
  store<u8>(policy, 0, POLICY_RETRY_ATTEMPTS);
  store<u8>(policy, HEDGE_NONE, POLICY_HEDGE);
  store<u32>(policy, 0, POLICY_RETRY_GRPC);
  store<u32>(copy, routeSet, X_SET);
  const timeout = load<u32>(policy, POLICY_REQUEST_TIMEOUT);
  const timeoutMs = timeout < <u32>POLICY_AUTO ? timeout : MIRROR_TIMEOUT_MS;
  store<u64>(copy, now + u64(timeoutMs) * 1000, X_DEADLINE);
}

/** The same head with the mark; 0 when the pool is exhausted. */
function copyHead(exchange: u32, head: u32): u32 {
  const copy = persistHead(head, 2, GRPC_TIMEOUT_TEXT_BYTES);
  if (copy == 0) return 0;
  renewGrpcTimeout(exchange, copy);
  // Nobody waits for the leave to send the body.
  removeField(copy, NAME_EXPECT);
  store<u32>(copy, load<u32>(copy, HEAD_FLAGS) & ~HEAD_EXPECTS_CONTINUE, HEAD_FLAGS);
  addField(copy, NAME_OTHER, u32(MARK), 16, u32(ONE), 1);
  return copy;
}
