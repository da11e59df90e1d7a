// Metric cells: u64 counters in the shared memory, one column per worker, summed by the reader.
//
// The engine adds to a cell by its index; the main thread gives each service a block of cells and turns the
// sums into Prometheus series. Cells only grow: a worker that is started again goes on in its old column.
//
//   ╒═══════════════════╤══════════════════════╤══════════════════════╤═════╕
//   │ process: 1,024    │ service 0: 320 cells │ service 1: 320 cells │ …   │   × 8 bytes, per worker
//   └───────────────────┴──────────────────────┴──────────────────────┴─────┘
//
// An inbound is a service of its own here, so `direction` needs no cells besides.
//
// Rule: read by asc and by Node: integer constants only.

/** Cells that belong to no service: connections by protocol, glitches by kind, drops of the log. */
export const PROCESS_CELLS = 1024;

// One service's block; offsets are relative to `serviceCellBase` = PROCESS_CELLS + index × SERVICE_CELLS.
/** Histogram of request durations: see below. */
export const SERVICE_LATENCY_CELLS = 0;
/** Answers by status: five classes of 40 cells; 0–38 exact (`204` → 1 × 40 + 4), 39 = the rest of the class. */
export const SERVICE_STATUS_CELLS = 32;
export const STATUS_CLASS_CELLS = 40;
/** Answers that Pillion made itself, by REASON_*. */
export const SERVICE_REASON_CELLS = 232;
/** Attempts by outcome, the engine's codes. */
export const SERVICE_OUTCOME_CELLS = 264;
/** Hedges by result, the engine's codes. */
export const SERVICE_HEDGE_CELLS = 272;
/** Retries not done, by cause, the engine's codes. */
export const SERVICE_SKIPPED_CELLS = 280;
/** Hedges not begun, by cause, the engine's codes. */
export const SERVICE_UNHEDGED_CELLS = 288;
/** TCP connections: below. */
export const SERVICE_TCP_CELLS = 296;
/** Free for later counters of a service. */
export const SERVICE_SPARE_CELLS = 314;
export const SERVICE_CELLS = 320;

// TCP connections of a service, or of none (the unrouted blocks); offsets are relative to SERVICE_TCP_CELLS.
/** Connections taken. */
export const TCP_OPENED_CELL = 0;
/** Bytes that clients sent, and that they were sent. */
export const TCP_RECEIVED_CELL = 1;
export const TCP_SENT_CELL = 2;
/** Attempts to connect that failed. */
export const TCP_CONNECT_FAILURES_CELL = 3;
/** Connections that ended, by TCP_END_*. */
export const TCP_ENDS_CELL = 4;

/** Services with a block of their own; past this cap, less three, a service shares the block `other` (DESIGN §5). */
export const METRIC_SERVICES_MAX = 512;
export const METRIC_CELLS = PROCESS_CELLS + METRIC_SERVICES_MAX * SERVICE_CELLS;

// The histogram that `observeLatency` fills: buckets of their own counts (not cumulative), overflow, then the sum.
// Bounds, inclusive: 1, 1.5, 2.5, 4 and 6.5 in each decade from 100 µs, then 1 s, 2.5 s, 10 s, 60 s.
export const LATENCY_BUCKETS = 24;
export const LATENCY_OVERFLOW_CELL = LATENCY_BUCKETS;
/** Sum of all samples in microseconds. */
export const LATENCY_SUM_CELL = LATENCY_BUCKETS + 1;
export const LATENCY_CELLS = LATENCY_BUCKETS + 2;

// Latency of one instance (`observeInstance`): finer, for p50 and p99. Four buckets to the octave, each 2^(1/4)
// wide, so the geometric middle is at most 9.1 % off. The first bucket also holds all below 8 µs, the last all
// above 2^27 µs (134 s).
export const INSTANCE_BUCKETS = 96;
export const INSTANCE_BUCKETS_PER_OCTAVE = 4;
/** log2 of the first bucket's lower bound in µs. */
export const INSTANCE_BUCKET_FIRST_LOG2 = 3;

/** The last block is shared by the services beyond the cap. */
export const OTHER_METRICS = METRIC_CELLS - SERVICE_CELLS;
/** The two before it count what reached no service: `no-route`, `bad-request`, `not-ready` and the like. */
export const UNROUTED_OUTBOUND_METRICS = OTHER_METRICS - SERVICE_CELLS;
export const UNROUTED_INBOUND_METRICS = UNROUTED_OUTBOUND_METRICS - SERVICE_CELLS;
