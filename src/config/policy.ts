// How a service is spoken to: the sections that `mesh.defaults`, a service and a rule of a route may all write.
//
// A policy is never parsed in parts. What was written in the three places is laid over each other first (merge.ts) and
// then parsed once, so a default stands in one place only: the schema below.
//
// What the fields mean is DESIGN §3, §5 and §6; where a default has a precedent, it is named beside it.

import * as z from "zod";
import { nearestOf } from "../base/index.ts";
import {
  checkExactlyOne,
  count,
  duration,
  durationOrAuto,
  durationOrNone,
  durationOrWord,
  noneOr,
  section,
  share,
  size,
  token,
} from "./kinds.ts";

/** What an instance speaks; http is HTTP/1.1 and, for a gRPC content type, HTTP/2. */
export const PROTOCOLS = ["http", "http2", "grpc", "tcp"] as const;
export type Protocol = (typeof PROTOCOLS)[number];

export const BALANCE_POLICIES = [
  "adaptive",
  "round-robin",
  "weighted-round-robin",
  "random",
  "least-connections",
  "ring-hash",
  "maglev",
] as const;

/** gRPC's status codes by number, as the documents write them (grpc/grpc doc/statuscodes.md). */
export const GRPC_CODES = [
  "ok",
  "cancelled",
  "unknown",
  "invalid-argument",
  "deadline-exceeded",
  "not-found",
  "already-exists",
  "permission-denied",
  "resource-exhausted",
  "failed-precondition",
  "aborted",
  "out-of-range",
  "unimplemented",
  "internal",
  "unavailable",
  "data-loss",
  "unauthenticated",
] as const;

const RETRY_CLASSES = ["unprocessed", "idempotent"] as const;
/** The engine's policy record holds eight. */
const RETRY_STATUSES_MAX = 8;

const retryWords = [...RETRY_CLASSES, ...GRPC_CODES.slice(1)] as const;
const retryCase = z.union([z.int().min(400).max(599), z.enum(retryWords)], {
  error: ({ input }) => {
    const nearest = typeof input === "string" ? nearestOf(input, retryWords) : undefined;
    const hint = nearest === undefined ? "" : `; did you mean ${nearest}?`;
    return `must be unprocessed, idempotent, a status 400 to 599 or a gRPC code such as unavailable${hint}`;
  },
});

const hash = section({
  header: token({ isFolded: true })
    .optional()
    .describe("Requests with the same value of this header go to one instance."),
  cookie: token({ isFolded: false })
    .optional()
    .describe("Requests with the same value of this cookie go to one instance."),
  sourceAddress: z.literal(true).optional().describe("Requests from one IP address go to one instance."),
  path: z.literal(true).optional().describe("Requests for one path, without its query, go to one instance."),
})
  .check(checkExactlyOne(["header", "cookie", "sourceAddress", "path"]))
  .transform(({ header, cookie, path }): HashSource => {
    if (header !== undefined) return { kind: "header", name: header };
    if (cookie !== undefined) return { kind: "cookie", name: cookie };
    return path === true ? { kind: "path" } : { kind: "source-address" };
  });

/** What a consistent policy hashes. */
export type HashSource =
  | { readonly kind: "header" | "cookie"; readonly name: string }
  | { readonly kind: "source-address" | "path" };

const balance = section({
  policy: z.enum(BALANCE_POLICIES).prefault("adaptive").describe("How an instance is chosen for each request."),
  hash: hash.optional().describe("What ring-hash and maglev hash."),
  slowStart: duration().prefault("10s").describe("The time over which a newcomer ramps up to its full share."),
  zone: z.enum(["prefer", "ignore"]).prefault("prefer").describe("Whether instances of the own zone come first."),
  shed: durationOrNone({ min: 1_000 })
    .prefault("none")
    .describe("As the service grows, its sidecars ask some of the clients without one to reconnect, over this time."),
}).transform(({ policy, hash, slowStart, zone, shed }) => ({
  policy,
  hash,
  slowStartMs: slowStart,
  zone,
  shedMs: shed,
}));

const timeout = section({
  connect: duration({ min: 1 })
    .prefault("1s")
    .describe("Until a connection stands, and (HTTP/2) its server has spoken."),
  request: durationOrNone({ min: 1 }).prefault("none").describe("The whole request, retries included."),
  attempt: durationOrAuto({ min: 1 })
    .prefault("auto")
    .describe("One attempt. auto: an instance that stays silent while its peers answer is given up."),
  idle: durationOrAuto({ min: 1 })
    .prefault("auto")
    .describe("No byte in either direction. auto: 5m for plain HTTP, 1h for TCP, none for gRPC and upgrades."),
}).transform(({ connect, request, attempt, idle }) => ({
  connectMs: connect,
  requestMs: request,
  attemptMs: attempt,
  idleMs: idle,
}));

const budget = section({
  ratio: share().prefault(0.2).describe("Retries per request, over the last ten seconds."),
  minimumPerSecond: count().prefault(10).describe("Retries that are allowed however few requests there are."),
}).prefault({});

const backoff = section({
  base: duration({ min: 1 }).prefault("25ms").describe("The first pause, full jitter (Envoy's default)."),
  max: duration({ min: 1 }).prefault("250ms").describe("The longest pause (Envoy's default)."),
}).transform(({ base, max }) => ({ baseMs: base, maxMs: max }));

const retry = section({
  attempts: count({ max: 10 })
    .prefault(2)
    .describe("Further attempts, each on another instance where there is one; 0: none."),
  when: z
    .array(retryCase)
    .prefault(["unprocessed", "idempotent"])
    .refine((cases) => cases.filter((one) => typeof one === "number").length <= RETRY_STATUSES_MAX, {
      error: `holds at most ${RETRY_STATUSES_MAX} status codes`,
    })
    .describe("What is retried: the classes unprocessed and idempotent, status codes, gRPC codes."),
  budget: budget.describe("How many retries the service may cause in all."),
  backoff: backoff.prefault({}).describe("The pause before a further attempt."),
  bodyLimit: size().prefault("64KiB").describe("A request body beyond this is not kept for a retry."),
}).transform(({ attempts, when, budget, backoff, bodyLimit }) => ({
  attempts,
  when: splitRetryCases(when),
  budget,
  backoff,
  bodyBytesMax: bodyLimit,
}));

/** Those that the engine knows of a service's response time (HEDGE_P50 …). */
export const PERCENTILES = ["p50", "p75", "p90", "p95", "p99"] as const;

const hedge = section({
  after: durationOrWord(PERCENTILES, { min: 1 })
    .prefault("p95")
    .describe("When a second attempt starts: a percentile of the service's own response time, or a time."),
  budget: share().prefault(0.05).describe("Second attempts per request, at most."),
  calls: z
    .enum(["idempotent", "all"])
    .prefault("idempotent")
    .describe("Which may be executed twice: the class of retries, or all (gRPC calls are POSTs)."),
}).transform(({ after, budget, calls }) => ({ after, budget, isAnyCall: calls === "all" }));

const limits = section({
  connections: count({ min: 1 })
    .prefault(1024)
    .describe("Connections to all instances of the service (Envoy's default)."),
  requests: count({ min: 1 }).prefault(1024).describe("Requests in flight (Envoy's default)."),
  pending: count().prefault(1024).describe("Requests that wait for a connection (Envoy's default)."),
  pendingTimeout: duration({ min: 1 }).prefault("3s").describe("How long a request waits (Linkerd's failfast)."),
}).transform(({ pendingTimeout, ...rest }) => ({ ...rest, pendingTimeoutMs: pendingTimeout }));

const outlier = section({
  consecutiveFailures: count({ min: 1 })
    .prefault(5)
    .describe("Failures in a row that eject an instance (Envoy's default)."),
  successRate: share().prefault(0.5).describe("Ejected below this part of its peers' success rate."),
  window: duration({ min: 100 }).prefault("10s").describe("Over which success is counted."),
  ejection: duration({ min: 1 }).prefault("1s").describe("The first ejection; it doubles each time."),
  ejectionMax: duration({ min: 1 }).prefault("1m").describe("The longest ejection."),
  ejectedShareMax: share().prefault(0.5).describe("Beyond this share nothing more is ejected."),
}).transform(({ window, ejection, ejectionMax, ...rest }) => ({
  ...rest,
  windowMs: window,
  ejectionMs: ejection,
  ejectionMsMax: ejectionMax,
}));

const health = section({
  path: z
    .string()
    .regex(/^\/[!-~]*$/, { error: "must begin with /, and be visible ASCII" })
    .optional()
    .describe("HTTP GET; 200 to 299 is healthy."),
  grpc: z.string().optional().describe("grpc.health.v1 for this service name."),
  tcp: z.literal(true).optional().describe("A connection that stands is healthy."),
  interval: duration({ min: 10 }).prefault("2s").describe("Between two checks."),
  timeout: duration({ min: 1 }).prefault("1s").describe("Until a check has failed."),
  fall: count({ min: 1 }).prefault(3).describe("Failures in a row until unhealthy (HAProxy's default)."),
  rise: count({ min: 1 }).prefault(2).describe("Successes in a row until healthy (HAProxy's default)."),
})
  .check(checkExactlyOne(["path", "grpc", "tcp"]))
  .transform(({ interval, timeout, ...rest }) => ({ ...rest, intervalMs: interval, timeoutMs: timeout }));

const rateLimit = section({
  requestsPerSecond: z
    .number()
    .min(0.001)
    .max(1_000_000_000)
    .describe("Requests let through per second, by each sidecar for what passes through it."),
  burst: count({ min: 1 })
    .optional()
    .describe("Requests let through at once after a pause; default: one second's worth."),
  by: z
    .string()
    .regex(/^(source|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+)$/, { error: "must be source or header:<name>" })
    .optional()
    .describe("One bucket for each source address or header value; default, and without the header: one bucket."),
}).transform(({ by, ...rest }) => ({ ...rest, by: by === undefined ? undefined : keyOf(by) }));

/** What a rate limit counts by. */
type RateKey = { readonly kind: "source" } | { readonly kind: "header"; readonly name: string };

function keyOf(by: string): RateKey {
  return by === "source" ? { kind: "source" } : { kind: "header", name: by.slice("header:".length).toLowerCase() };
}

/** The fields of a policy, as zod shapes; service.ts, mesh.ts and route.ts embed them. */
export const policyShape = {
  balance: balance.prefault({}).describe("Which instance answers."),
  timeout: timeout.prefault({}).describe("How long things may take."),
  retry: retry.prefault({}).describe("What is tried again, and how often."),
  hedge: noneOr(hedge).prefault("none").describe("A second attempt beside a slow first one."),
  limits: limits.prefault({}).describe("Circuit breakers, exact across threads."),
  outlier: noneOr(outlier).prefault({}).describe("Which instances are set aside for failing."),
  health: noneOr(health).prefault("none").describe("Active checks."),
  rateLimit: noneOr(rateLimit).prefault("none").describe("A token bucket before the service."),
} as const;

/** The sections' names. */
export const POLICY_SECTIONS = Object.keys(policyShape) as readonly (keyof typeof policyShape)[];

/** The sections alone. */
export const policySchema = section(policyShape);

type ParsedPolicy = z.output<typeof policySchema>;

/** A whole policy: every default filled in, times in milliseconds, sizes in bytes, `undefined` for none. */
export interface Policy extends Omit<ParsedPolicy, "timeout"> {
  readonly timeout: Omit<ParsedPolicy["timeout"], "idleMs"> & {
    /** For plain HTTP and TCP; gRPC and upgraded connections are never idle. */
    readonly idleMs: number | undefined;
  };
}

/** Nginx's and Envoy's stream idle time for HTTP; Envoy's tcp_proxy idle time for TCP. */
const IDLE_MS_HTTP = 300_000;
const IDLE_MS_TCP = 3_600_000;

/** Resolves what depends on the protocol. */
export function resolvePolicy(parsed: ParsedPolicy, protocol: Protocol): Policy {
  const { idleMs } = parsed.timeout;
  const autoIdleMs = protocol === "tcp" ? IDLE_MS_TCP : IDLE_MS_HTTP;
  const balance = protocol === "tcp" ? balanceOfTcp(parsed.balance) : parsed.balance;
  return { ...parsed, balance, timeout: { ...parsed.timeout, idleMs: idleMs === "auto" ? autoIdleMs : idleMs } };
}

/** A connection has neither a latency to adapt to nor fields to hash: what is left is how many are open. */
function balanceOfTcp(balance: ParsedPolicy["balance"]): ParsedPolicy["balance"] {
  const isOfRequests = balance.hash?.kind !== "source-address";
  const isConsistent = balance.policy === "ring-hash" || balance.policy === "maglev";
  if (balance.policy !== "adaptive" && !(isConsistent && isOfRequests)) return balance;
  return { ...balance, policy: "least-connections" };
}

function splitRetryCases(cases: readonly z.output<typeof retryCase>[]) {
  const statuses = cases.filter((one): one is number => typeof one === "number");
  const words = cases.filter((one) => typeof one === "string");
  return {
    isUnprocessed: words.includes("unprocessed"),
    isIdempotent: words.includes("idempotent"),
    statuses,
    /** gRPC status numbers. */
    grpcCodes: words.map((word) => (GRPC_CODES as readonly string[]).indexOf(word)).filter((code) => code > 0),
  };
}
