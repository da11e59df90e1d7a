// The words of metric labels and log fields for the engine's small integers.
//
// One table for each set of codes, so that a metric, a log line and the admin port never disagree. The numbers are
// abi/engine-codes.ts's and abi/engine-records.ts's; test/src/telemetry/names.test.ts keeps the two in step.

/** GLITCH_*, in the order of the codes: `pillion_glitches_total{kind}`. */
export const GLITCH_NAMES = [
  "bad-message",
  "frame-size",
  "stream-state",
  "flow-control",
  "compression",
  "continuation",
  "resets",
  "settings",
  "ping",
  "empty-frames",
  "small-data",
  "priority",
  "window-updates",
  "refused-streams",
  "head-limit",
  "slow-head",
  "output",
  "push",
  "preface",
  "unknown-frames",
  "goaway",
  "stalled",
] as const;

/** LISTENER_*: a `--listen` port is one more way out. */
export const DIRECTION_NAMES = ["outbound", "inbound", "outbound"] as const;

/** ROLE_*, for `pillion_connections{direction}`. */
export const ROLE_NAMES = ["downstream", "upstream"] as const;

/** PROTOCOL_*. */
export const PROTOCOL_NAMES = ["unknown", "http1", "http2"] as const;

/** COUNTER_* of the balancer: which limit an `overflow` met. */
export const LIMIT_NAMES = ["requests", "pending", "connections", "retries"] as const;

/** LOG_VERSION_*: 10, 11, 20; 0 = none. */
export function versionName(code: number): string | undefined {
  return code === 0 ? undefined : `${Math.floor(code / 10)}.${code % 10}`;
}

/** OUTCOME_* of engine/proxy/metrics.ts: `pillion_attempts_total{outcome}`. */
export const OUTCOME_NAMES = [
  "answered",
  "connect-failed",
  "reset",
  "refused",
  "timeout",
  "cancelled",
  "retried-status",
] as const;

/** SKIPPED_* of engine/proxy/metrics.ts: `pillion_retries_skipped_total{cause}`. */
export const SKIPPED_NAMES = ["attempts", "class", "body", "budget", "deadline"] as const;

/** TCP_END_*: the reason of a TCP connection's end, in the words of REASONS. */
export const TCP_END_NAMES = [
  "closed",
  "client-gone",
  "upstream-reset",
  "idle-timeout",
  "no-instance",
  "connect-failed",
  "connect-timeout",
  "overflow",
  "no-route",
  "loop",
] as const;

/** HEDGE_* of engine/proxy/metrics.ts: `pillion_hedges_total{result}`. */
export const HEDGE_NAMES = ["won", "lost", "took-over", "failed", "cancelled"] as const;

/** UNHEDGED_* of engine/proxy/metrics.ts: `pillion_hedges_skipped_total{cause}`. */
export const UNHEDGED_NAMES = ["body", "budget", "instance", "limit", "memory"] as const;
