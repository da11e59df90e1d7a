// An exchange: one request and its response, between a downstream stream and one upstream stream after another.
//
//   waiting ──► attempting ──► pending ──► sent ──► answered ──► over
//      ▲             │            │          │
//      └── backoff ◄─┴────────────┴──────────┘   (retry: another instance, by DESIGN §5's classes)
//
// The record holds a copy of the policy, so it pins no snapshot. Bodies wait in two pipes (pipe.ts). `exchange` is
// always the address of a record.

import { EXCHANGE_BYTES, EXCHANGES } from "../../abi/engine-memory.ts";
import { EXCHANGES_MAX } from "../../abi/limits.ts";
import { POLICY_BYTES } from "../../abi/policy.ts";
import { disarmTimer, exchangeTimer } from "../timers.ts";

export const X_STATE: u32 = 0; // u8 STATE_*
export const X_KIND: u32 = 1; // u8 KIND_*: what upstream connection it needs
export const X_ATTEMPTS: u32 = 2; // u8 attempts begun
export const X_REASON: u32 = 3; // u8 REASON_* of our own answer, or of the failure
export const X_FLAGS: u32 = 4; // u32 EXCHANGE_*
export const X_DOWN: u32 = 8; // downstream stream, 0 = gone
export const X_UP: u32 = 12; // upstream stream, 0 = none
export const X_HEAD: u32 = 16; // request head in the pool
export const X_INSTANCE: u32 = 20; // slot of the attempt under way, NONE = none
export const X_SKIP: u32 = 24; // three slots already tried, EMPTY_SKIP = none
export const X_SET: u32 = 36; // balancer set
export const X_HASH: u32 = 40; // u32 for consistent hashing
export const X_EDITS: u32 = 44; // response edits of the route's rule (route/edits.ts), 0 = none
export const X_HELD: u32 = 48; // response head that waits for its trailers (hold.ts), 0 = none
export const X_STATUS: u32 = 52; // u16 status sent downstream; u8 grpc-status at 54 (255 = none)
export const X_GRPC_STATUS: u32 = 54;
export const X_VERSION_UP: u32 = 55; // u8
export const X_PENDING_PREVIOUS: u32 = 56; // waiting list of the upstream pool
export const X_PENDING_NEXT: u32 = 60;
export const X_STARTED: u32 = 64; // u64 µs
export const X_ATTEMPT_STARTED: u32 = 72; // u64 µs
export const X_DEADLINE: u32 = 80; // u64 µs of the whole request, 0 = none
export const X_WAIT_UNTIL: u32 = 88; // u64 µs: pending timeout or backoff end, 0 = none
export const X_ACTIVITY: u32 = 96; // u64 µs of the last byte either way
export const X_RECEIVED: u32 = 104; // u64 request body bytes
export const X_SENT: u32 = 112; // u64 response body bytes
export const X_UPSTREAM_US: u32 = 120; // u32 attempt's start to response head
export const X_DETAIL: u32 = 124; // u32: which limit, which code
export const X_REQUEST: u32 = 128; // pipe of PIPE_BYTES
export const X_RESPONSE: u32 = 168; // pipe of PIPE_BYTES
export const X_LISTENER: u32 = 208; // u8 LISTENER_*
export const X_MIRROR: u32 = 212; // u32 service that gets a copy once the request is whole, plus one; 0 = none
export const X_SENT_MARK: u32 = 216; // u64: bytes queued on the upstream connection before this request's head
export const X_HAS_GRPC_TIMEOUT: u32 = 224; // u8: the kept head's grpc-timeout is ours to write
export const X_FAULT_STATUS: u32 = 226; // u16 of the answer that a fault rule gives, 0 = none
export const X_HEAD_BYTES: u32 = 228; // u32 of C_HEAD_BYTES that are this exchange's
export const X_POLICY: u32 = 232; // copy, POLICY_BYTES
export const X_PEER_BYTES: u32 = X_POLICY + POLICY_BYTES; // u8, then the client's address: its connection may be gone
export const X_PEER: u32 = X_PEER_BYTES + 1; // up to 63 bytes
export const X_REQUEST_ENDED: u32 = X_PEER_BYTES + 64; // u64 µs when the last of the request was received
export const X_WEBSOCKET_NONCE: u32 = X_REQUEST_ENDED + 8; // 16 bytes: the key that we made up for an HTTP/1.1 server
export const X_STALL_SINCE: u32 = X_REQUEST_ENDED + 24; // u64 µs since when the client holds the response up, 0 = no
export const X_STALL_UNTIL: u32 = X_REQUEST_ENDED + 32; // i64: as many bytes gone downstream end that (stall.ts)
export const X_HEDGE_AT: u32 = X_REQUEST_ENDED + 40; // u64 µs: when to look whether a second attempt is due, 0 = never
export const X_RIVAL: u32 = X_REQUEST_ENDED + 48; // the other one of a hedged pair (hedge.ts), 0 = none
export const X_MOVED: u32 = X_REQUEST_ENDED + 52; // u32 body bytes that had left, either way, by then (pressure.ts)
export const X_MOVED_AT: u32 = X_REQUEST_ENDED + 56; // u32 ms when bytes were last seen to leave, 0 = not looked at yet

export const STATE_FREE: u8 = 0;
export const STATE_WAITING: u8 = 1; // backoff before the next attempt, or a fault's delay before the first
export const STATE_PENDING: u8 = 2; // in an upstream pool's waiting list
export const STATE_SENT: u8 = 3; // on an upstream stream
export const STATE_ANSWERED: u8 = 4; // a response head went downstream
export const STATE_OVER: u8 = 5;

/** Kinds of upstream connection. */
export const KIND_H1: u8 = 1;
export const KIND_H2: u8 = 2;
/** A bare byte tunnel: CONNECT ends here. */
export const KIND_RAW: u8 = 3;

export const EXCHANGE_IS_GRPC: u32 = 1;
export const EXCHANGE_IS_IDEMPOTENT: u32 = 2;
export const EXCHANGE_IS_ADMITTED: u32 = 4; // counted in the service's requests
export const EXCHANGE_IS_IN_FLIGHT: u32 = 8; // counted at X_INSTANCE
export const EXCHANGE_IS_PENDING: u32 = 16; // counted in the service's pending
export const EXCHANGE_REQUEST_ENDED: u32 = 32; // all of the request was received
export const EXCHANGE_IS_UPGRADE: u32 = 64; // Upgrade or extended CONNECT
export const EXCHANGE_IS_CONNECT: u32 = 128;
export const EXCHANGE_IS_TUNNEL: u32 = 256; // switched: bytes both ways
export const EXCHANGE_OWN_ANSWER: u32 = 512; // the response is ours
export const EXCHANGE_CONTINUE_SENT: u32 = 1024; // 100 (Continue) was sent or passed on
export const EXCHANGE_IS_RETRY: u32 = 2048; // holds a unit of the retry budget
export const EXCHANGE_TO_SIDECAR: u32 = 4096; // the attempt is on a sidecar, whatever later snapshots say
export const EXCHANGE_CONVERTED: u32 = 16384; // Upgrade ⇄ extended CONNECT: 101 ⇄ 200 on the way back
export const EXCHANGE_IS_ROUTED: u32 = 32768; // X_POLICY is filled in
export const EXCHANGE_IS_MIRROR: u32 = 65536; // a copy: nobody waits for its answer
export const EXCHANGE_IS_RIVAL: u32 = 131072; // the second attempt of a hedged pair; it has no client of its own
export const EXCHANGE_IS_HEDGED: u32 = 262144; // has had its second attempt beside the first
export const EXCHANGE_TOOK_OVER: u32 = 524288; // its attempt was its rival's

export const EMPTY_SKIP: u32 = 0xffffffff;

// Per-instance state of this worker; the free list is threaded through X_PENDING_NEXT.
let firstFree: u32 = 0;
let neverUsed: u32 = 0;
let inUse: u32 = 0;

/** Takes a record, all zero; 0 when the table is full. */
export function createExchange(): u32 {
  let exchange = firstFree;
  if (exchange != 0) firstFree = load<u32>(exchange, X_PENDING_NEXT);
  else {
    if (neverUsed == EXCHANGES_MAX) return 0;
    exchange = EXCHANGES + neverUsed * EXCHANGE_BYTES;
    neverUsed += 1;
  }
  memory.fill(exchange, 0, EXCHANGE_BYTES);
  inUse += 1;
  return exchange;
}

/** Gives a record back. */
export function destroyExchange(exchange: u32): void {
  assert(load<u8>(exchange, X_STATE) == STATE_OVER);
  disarmTimer(exchangeTimer(exchangeIndex(exchange)));
  if (ASC_OPTIMIZE_LEVEL == 0) memory.fill(exchange, 0xdb, EXCHANGE_BYTES); // so that a late reader shows
  store<u8>(exchange, STATE_FREE, X_STATE);
  store<u32>(exchange, firstFree, X_PENDING_NEXT);
  firstFree = exchange;
  inUse -= 1;
}

export function exchangeIndex(exchange: u32): u32 {
  return (exchange - EXCHANGES) / EXCHANGE_BYTES;
}

export function exchangeAt(index: u32): u32 {
  return EXCHANGES + index * EXCHANGE_BYTES;
}

/** Exchanges under way. */
export function exchangeCount(): u32 {
  return inUse;
}

export function hasX(exchange: u32, flag: u32): bool {
  return (load<u32>(exchange, X_FLAGS) & flag) != 0;
}

export function setX(exchange: u32, flag: u32): void {
  store<u32>(exchange, load<u32>(exchange, X_FLAGS) | flag, X_FLAGS);
}

export function clearX(exchange: u32, flag: u32): void {
  store<u32>(exchange, load<u32>(exchange, X_FLAGS) & ~flag, X_FLAGS);
}
