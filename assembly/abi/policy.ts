// The policy record: what an exchange needs to know of its service, copied out of the snapshot when it begins.
//
// 128 bytes, written by src/snapshot, read by engine/proxy. Milliseconds; POLICY_NO_TIMEOUT = none.
//
// Rule: read by asc and by Node: integer constants only.

export const POLICY_NO_TIMEOUT = 2147483647;
/** `attempt: auto` (DESIGN §6, silence). */
export const POLICY_AUTO = 2147483646;

export const POLICY_SERVICE = 0; // u32 service index (limits and metrics of the balancer)
export const POLICY_PROTOCOL = 4; // u8 SERVICE_*
export const POLICY_RETRY_ATTEMPTS = 5; // u8 further attempts
export const POLICY_RETRY_STATUS_COUNT = 6; // u8 entries of POLICY_RETRY_STATUS
export const POLICY_HASH_SOURCE = 7; // u8 HASH_*
export const POLICY_RETRY_WHEN = 8; // u32 RETRY_*
export const POLICY_RETRY_GRPC = 12; // u32 bit per grpc-status
export const POLICY_CONNECT_TIMEOUT = 16; // u32 ms
export const POLICY_REQUEST_TIMEOUT = 20;
export const POLICY_ATTEMPT_TIMEOUT = 24;
export const POLICY_IDLE_TIMEOUT = 28;
export const POLICY_PENDING_TIMEOUT = 32;
export const POLICY_PENDING_MAX = 36; // u32
export const POLICY_BODY_LIMIT = 40; // u32 bytes kept for a retry
export const POLICY_BACKOFF_BASE = 44; // u32 ms
export const POLICY_BACKOFF_MAX = 48;
export const POLICY_BUDGET_RATIO = 52; // u32, 1/1024 of active requests
export const POLICY_BUDGET_MIN = 56; // u32 per second
export const POLICY_HASH_NAME = 60; // u32 offset in the snapshot of the header's or cookie's name
export const POLICY_HASH_NAME_BYTES = 64;
export const POLICY_RETRY_STATUS = 68; // u16 × 8
export const POLICY_METRICS = 84; // u32 first metric cell of the service (abi/metrics.ts)
export const POLICY_CONNECTIONS_MAX = 88; // u32
export const POLICY_REQUESTS_MAX = 92; // u32
export const POLICY_HASH_NAME_ID = 96; // u16 NAME_* of a header's name
export const POLICY_HEDGE = 98; // u8 HEDGE_*: what a second attempt waits for
export const POLICY_HEDGE_ANY = 99; // u8: calls that are not idempotent are hedged too
export const POLICY_RATE = 100; // u32 offset in the snapshot of a RATE record, 0 = no rate limit
export const POLICY_HEDGE_BUDGET = 104; // u32, 1/1024 of the requests
export const POLICY_HEDGE_DELAY = 108; // u32 ms of HEDGE_DELAY
export const POLICY_BYTES = 128;

export const SERVICE_HTTP = 0; // bare instances: HTTP/1.1, gRPC content type: h2c
export const SERVICE_HTTP2 = 1;
export const SERVICE_GRPC = 2;
export const SERVICE_TCP = 3;
export const SERVICE_HTTP1 = 4;

export const RETRY_UNPROCESSED = 1;
export const RETRY_IDEMPOTENT = 2;

export const HEDGE_NONE = 0;
// Percentiles of the service's own response time; engine/proxy/response-times.ts.
export const HEDGE_P50 = 1;
export const HEDGE_P75 = 2;
export const HEDGE_P90 = 3;
export const HEDGE_P95 = 4;
export const HEDGE_P99 = 5;
/** A time of the document's. */
export const HEDGE_DELAY = 6;

export const HASH_NONE = 0;
export const HASH_HEADER = 1;
export const HASH_COOKIE = 2;
export const HASH_SOURCE_ADDRESS = 3;
export const HASH_PATH = 4;

// A rate limit (balancer/rates.ts): nanoseconds for each request, and how many may be owed.
export const RATE_INTERVAL = 0; // u64
export const RATE_TOLERANCE = 8; // u64
export const RATE_SEED = 16; // u32: whose limit it is
export const RATE_BY = 20; // u8 RATE_BY_*
export const RATE_NAME_ID = 22; // u16 NAME_* of the field
export const RATE_NAME = 24; // u32 offset in the snapshot of the field's name
export const RATE_NAME_BYTES = 28;
export const RATE_BYTES = 32;

export const RATE_BY_NOTHING = 0;
export const RATE_BY_SOURCE = 1;
export const RATE_BY_HEADER = 2;

// Instance records: one for each balancer slot, in the snapshot.
export const INSTANCE_GENERATION = 0; // u32
export const INSTANCE_FLAGS = 4; // u8 INSTANCE_IS_*
export const INSTANCE_PROTOCOL = 5; // u8 SERVICE_*
export const INSTANCE_ID = 8; // u32 offset in the snapshot of the instance's id (logs, messages)
export const INSTANCE_ID_BYTES = 12; // u32
export const INSTANCE_RECORD_BYTES = 16;

export const INSTANCE_IS_SIDECAR = 1;
export const INSTANCE_IS_DRAINING = 2;
/** Known to this snapshot; a slot without it must get no connection. */
export const INSTANCE_IS_PRESENT = 4;
/** The local app behind an inbound listener. */
export const INSTANCE_IS_APP = 8;
