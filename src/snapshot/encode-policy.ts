// Writes policy records: 128 bytes that an exchange copies when it begins (abi/policy.ts).

import { ATTEMPTS_MAX } from "../../assembly/abi/limits.ts";
import {
  HASH_COOKIE,
  HASH_HEADER,
  HASH_NONE,
  HASH_PATH,
  HASH_SOURCE_ADDRESS,
  HEDGE_DELAY,
  HEDGE_P50,
  POLICY_ATTEMPT_TIMEOUT,
  POLICY_AUTO,
  POLICY_BACKOFF_BASE,
  POLICY_BACKOFF_MAX,
  POLICY_BODY_LIMIT,
  POLICY_BUDGET_MIN,
  POLICY_BUDGET_RATIO,
  POLICY_BYTES,
  POLICY_CONNECT_TIMEOUT,
  POLICY_CONNECTIONS_MAX,
  POLICY_HASH_NAME,
  POLICY_HASH_NAME_ID,
  POLICY_HASH_SOURCE,
  POLICY_HEDGE,
  POLICY_HEDGE_ANY,
  POLICY_HEDGE_BUDGET,
  POLICY_HEDGE_DELAY,
  POLICY_IDLE_TIMEOUT,
  POLICY_METRICS,
  POLICY_NO_TIMEOUT,
  POLICY_PENDING_MAX,
  POLICY_PENDING_TIMEOUT,
  POLICY_PROTOCOL,
  POLICY_RATE,
  POLICY_REQUEST_TIMEOUT,
  POLICY_REQUESTS_MAX,
  POLICY_RETRY_ATTEMPTS,
  POLICY_RETRY_GRPC,
  POLICY_RETRY_STATUS,
  POLICY_RETRY_STATUS_COUNT,
  POLICY_RETRY_WHEN,
  POLICY_SERVICE,
  RATE_BY,
  RATE_BY_HEADER,
  RATE_BY_NOTHING,
  RATE_BY_SOURCE,
  RATE_BYTES,
  RATE_INTERVAL,
  RATE_NAME,
  RATE_NAME_ID,
  RATE_SEED,
  RATE_TOLERANCE,
  RETRY_IDEMPOTENT,
  RETRY_UNPROCESSED,
  SERVICE_GRPC,
  SERVICE_HTTP,
  SERVICE_HTTP1,
  SERVICE_HTTP2,
  SERVICE_TCP,
} from "../../assembly/abi/policy.ts";
import { assertNever } from "../base/index.ts";
import { PERCENTILES, type Policy } from "../config/index.ts";
import { hashText } from "../wasm/index.ts";
import { fieldIdOf } from "./field-ids.ts";
import type { InstanceProtocol, PolicyModel } from "./program-model.ts";
import type { ProgramWriter } from "./writer.ts";

/** Entries of POLICY_RETRY_STATUS. */
export const RETRY_STATUSES_MAX = 8;
/** Further attempts that the engine makes at most. */
export const RETRIES_MAX = ATTEMPTS_MAX - 1;
/** Units of POLICY_BUDGET_RATIO and POLICY_HEDGE_BUDGET. */
const RATIO_UNIT = 1024;

const SECOND_NS = 1e9;
/** 146 years: times beside it stay below 2^63. */
const TOLERANCE_NS_MAX = 2n ** 62n;

/** Writes a policy record; its offset. */
export function encodePolicy(
  writer: ProgramWriter,
  { service, metrics, protocol, policy, limitName }: PolicyModel,
): number {
  const at = writer.reserve(POLICY_BYTES);
  const { timeout, limits } = policy;
  writer.putU32(at + POLICY_SERVICE, service);
  writer.putU8(at + POLICY_PROTOCOL, protocolCode(protocol));
  writer.putU32(at + POLICY_CONNECT_TIMEOUT, timeout.connectMs);
  writer.putU32(at + POLICY_REQUEST_TIMEOUT, timeoutWord(timeout.requestMs));
  writer.putU32(at + POLICY_ATTEMPT_TIMEOUT, timeoutWord(timeout.attemptMs));
  writer.putU32(at + POLICY_IDLE_TIMEOUT, timeoutWord(timeout.idleMs));
  writer.putU32(at + POLICY_PENDING_TIMEOUT, limits.pendingTimeoutMs);
  writer.putU32(at + POLICY_PENDING_MAX, limits.pending);
  writer.putU32(at + POLICY_CONNECTIONS_MAX, limits.connections);
  writer.putU32(at + POLICY_REQUESTS_MAX, limits.requests);
  writer.putU32(at + POLICY_METRICS, metrics);
  encodeRetry(writer, at, policy);
  encodeHedge(writer, at, policy);
  encodeHash(writer, at, policy);
  if (policy.rateLimit !== undefined) writer.putU32(at + POLICY_RATE, encodeRate(writer, policy.rateLimit, limitName));
  return at;
}

/** SERVICE_* of a protocol. */
export function protocolCode(protocol: InstanceProtocol): number {
  switch (protocol) {
    case "http":
      return SERVICE_HTTP;
    case "http1":
      return SERVICE_HTTP1;
    case "http2":
      return SERVICE_HTTP2;
    case "grpc":
      return SERVICE_GRPC;
    case "tcp":
      return SERVICE_TCP;
    default:
      return assertNever(protocol);
  }
}

function encodeRetry(writer: ProgramWriter, at: number, { retry }: Policy): void {
  const statuses = retry.when.statuses.slice(0, RETRY_STATUSES_MAX);
  const classes = (retry.when.isUnprocessed ? RETRY_UNPROCESSED : 0) | (retry.when.isIdempotent ? RETRY_IDEMPOTENT : 0);
  writer.putU8(at + POLICY_RETRY_ATTEMPTS, Math.min(retry.attempts, RETRIES_MAX));
  writer.putU8(at + POLICY_RETRY_STATUS_COUNT, statuses.length);
  for (const [index, status] of statuses.entries()) writer.putU16(at + POLICY_RETRY_STATUS + 2 * index, status);
  writer.putU32(at + POLICY_RETRY_WHEN, classes);
  writer.putU32(at + POLICY_RETRY_GRPC, retry.when.grpcCodes.reduce((bits, code) => bits | (1 << code), 0) >>> 0);
  writer.putU32(at + POLICY_BODY_LIMIT, retry.bodyBytesMax);
  writer.putU32(at + POLICY_BACKOFF_BASE, retry.backoff.baseMs);
  writer.putU32(at + POLICY_BACKOFF_MAX, retry.backoff.maxMs);
  writer.putU32(at + POLICY_BUDGET_RATIO, Math.round(retry.budget.ratio * RATIO_UNIT));
  writer.putU32(at + POLICY_BUDGET_MIN, retry.budget.minimumPerSecond);
}

function encodeHedge(writer: ProgramWriter, at: number, { hedge }: Policy): void {
  if (hedge === undefined) return;
  const { after, budget, isAnyCall } = hedge;
  if (typeof after === "number") writer.putU32(at + POLICY_HEDGE_DELAY, after);
  writer.putU8(at + POLICY_HEDGE, typeof after === "number" ? HEDGE_DELAY : HEDGE_P50 + PERCENTILES.indexOf(after));
  writer.putU8(at + POLICY_HEDGE_ANY, isAnyCall ? 1 : 0);
  writer.putU32(at + POLICY_HEDGE_BUDGET, Math.floor(budget * RATIO_UNIT));
}

function encodeHash(writer: ProgramWriter, at: number, { balance }: Policy): void {
  writer.putU8(at + POLICY_HASH_SOURCE, hashCode(balance));
  const isConsistent = balance.policy === "ring-hash" || balance.policy === "maglev";
  if (!isConsistent || balance.hash === undefined) return;
  if (balance.hash.kind !== "header" && balance.hash.kind !== "cookie") return;
  writer.putText(at + POLICY_HASH_NAME, balance.hash.name);
  if (balance.hash.kind === "header") writer.putU16(at + POLICY_HASH_NAME_ID, fieldIdOf(balance.hash.name));
}

/** Writes a rate limit; its offset. */
function encodeRate(writer: ProgramWriter, limit: NonNullable<Policy["rateLimit"]>, limitName: string): number {
  const { requestsPerSecond, burst = Math.max(1, Math.ceil(requestsPerSecond)), by } = limit;
  const at = writer.reserve(RATE_BYTES);
  const interval = BigInt(Math.max(1, Math.round(SECOND_NS / requestsPerSecond)));
  const owed = interval * BigInt(burst - 1);
  writer.putU64(at + RATE_INTERVAL, interval);
  writer.putU64(at + RATE_TOLERANCE, owed < TOLERANCE_NS_MAX ? owed : TOLERANCE_NS_MAX);
  writer.putU32(at + RATE_SEED, hashText(limitName));
  writer.putU8(at + RATE_BY, RATE_BY_NOTHING);
  if (by?.kind === "source") writer.putU8(at + RATE_BY, RATE_BY_SOURCE);
  if (by?.kind === "header") {
    writer.putU8(at + RATE_BY, RATE_BY_HEADER);
    writer.putU16(at + RATE_NAME_ID, fieldIdOf(by.name));
    writer.putText(at + RATE_NAME, by.name);
  }
  return at;
}

function hashCode({ policy, hash }: Policy["balance"]): number {
  if (hash === undefined || (policy !== "ring-hash" && policy !== "maglev")) return HASH_NONE;
  switch (hash.kind) {
    case "header":
      return HASH_HEADER;
    case "cookie":
      return HASH_COOKIE;
    case "source-address":
      return HASH_SOURCE_ADDRESS;
    case "path":
      return HASH_PATH;
    default:
      return assertNever(hash);
  }
}

function timeoutWord(milliseconds: number | "auto" | undefined): number {
  if (milliseconds === "auto") return POLICY_AUTO;
  return milliseconds ?? POLICY_NO_TIMEOUT;
}
