// The balancer's memory map: one shared memory for all threads, fixed, zero at the start.
//
//   ╒════════╤═════════╤═══════════╤══════╤════════╤═════════╤════════╤═══════════╕
//   │ header │ workers │ instances │ sets │ limits │ tunings │ vitals │ estimates │
//   │        │ × W     │ columns   │ × S  │        │         │        │           │
//   ╞════════╪═════════╪═══════════╪══════╪════════╪═════════╧════════╧═══════════╛
//   │ gauges │ service │ metric    │ stats│ rates  │ arena   │
//   │ loads  │ counts  │ cells × W │ × W  │        │         │
//   │ × W    │ × W     │           │      │        │         │
//   └────────┴─────────┴───────────┴──────┴────────┴─────────┘
//
// Rule 1: integer constants below 2^31, read by asc and by Node (the views in src/wasm).
// Rule 2: each region names its writers. "× W" is one column per worker, written by that worker alone, so no
// worker's counting evicts another's cache line, and a dead worker's share can be told apart and cleared.
// Rule 3: pages that nobody touches cost no memory: columns of workers that never start stay unbacked.

import { INSTANCE_BUCKETS, METRIC_CELLS } from "./metrics.ts";

/** asconfig.json's 3,072 pages of 64 KiB: the map below, and 57 MiB for the arena. */
export const BALANCER_MEMORY_PAGES = 3072;
export const BALANCER_MEMORY_BYTES = 201326592;

/** Data-plane threads. Above 16 cores one more sidecar is the better use of them. */
export const WORKERS_MAX = 16;
/** Instances of all services: 10,000 in one service, with room for those that come and go meanwhile. */
export const INSTANCES_MAX = 16384;
/** Sets: services, and their subsets by tag that routes name. */
export const SETS_MAX = 4096;
/** Services with limits; DESIGN asks for no more, a mesh of 2,000 that one app calls is not known. */
export const SERVICES_MAX = 2048;

export const CACHE_LINE_BYTES = 64;

// ── Header: main thread, unless said otherwise ───────────────────────────────────────────────────

/** The global epoch; starts at 1 (0 in a worker's record means: reads nothing). */
export const EPOCH_OFFSET = 64;
/** Counts changes of any instance's state; any thread, atomic. */
export const STATE_VERSION_OFFSET = 128;
/** One above the highest worker that ever started: how far a reader sums; any thread, atomic. */
export const WORKERS_HIGH_OFFSET = 192;
/** One above the highest slot that was ever set: how far a clearing goes. */
export const INSTANCES_HIGH_OFFSET = 196;
/** First free block of the arena, by address; 0 = none. */
export const ARENA_FREE_OFFSET = 256;
/** Bytes of the arena in use, retired blocks among them. */
export const ARENA_USED_OFFSET = 260;
/** Queue of blocks that wait for the workers' epochs. */
export const RETIRED_FIRST_OFFSET = 264;
export const RETIRED_LAST_OFFSET = 268;
export const HEADER_BYTES = 4096;

// ── Workers: one record each, a cache line ───────────────────────────────────────────────────────

/** The epoch this worker reads under, or 0; worker, atomic. */
export const WORKER_EPOCH_OFFSET = 0;
/** 1 from `start` to `clearWorker`. */
export const WORKER_LIVE_OFFSET = 4;
/** Grows when somebody freed a limit that this worker waits for; any thread, atomic; Atomics.waitAsync on it. */
export const WORKER_WAKE_OFFSET = 8;
export const WORKER_BYTES = 64;
export const WORKERS = HEADER_BYTES;

// ── Instances: columns of u32 ────────────────────────────────────────────────────────────────────

export const INSTANCE_COLUMN_BYTES = 4 * INSTANCES_MAX;
/** STATE_* bits; any thread, atomic. */
export const INSTANCE_STATES = WORKERS + WORKER_BYTES * WORKERS_MAX;
/** Main thread. */
export const INSTANCE_WEIGHTS = INSTANCE_STATES + INSTANCE_COLUMN_BYTES;
/** Grows with every reuse of a slot; main thread. */
export const INSTANCE_GENERATIONS = INSTANCE_WEIGHTS + INSTANCE_COLUMN_BYTES;
/** The epoch in which the slot was cleared; main thread. */
export const INSTANCE_EPOCHS = INSTANCE_GENERATIONS + INSTANCE_COLUMN_BYTES;

// ── Sets: one record each, a cache line ──────────────────────────────────────────────────────────

/** Address of the published member block, 0 = no members; main thread, atomic. */
export const SET_BLOCK_OFFSET = 0;
/** Index of the service whose limits apply; main thread. */
export const SET_SERVICE_OFFSET = 4;
/** u64 cursor of the round robins; any thread, atomic; 64 bits, because a wrap would break exact shares. */
export const SET_CURSOR_OFFSET = 8;
/** u64 µs: until when some member is a newcomer (slow start); main thread, atomic. */
export const SET_RAMP_UNTIL_OFFSET = 16;
/** Part of the picks that leave the own zone, in 1/65536; any thread. */
export const SET_SPILL_OFFSET = 24;
/** u64 × 2: the cursors of the own zone and of the others; any thread, atomic. */
export const SET_LOCAL_CURSOR_OFFSET = 32;
export const SET_REMOTE_CURSOR_OFFSET = 40;
export const SET_BYTES = 64;
export const SETS = INSTANCE_EPOCHS + INSTANCE_COLUMN_BYTES;

// ── Limits: per service, main thread ─────────────────────────────────────────────────────────────

/** One u32 per counter: the limit plus one, so that zeroed memory (0) means no limit. */
export const LIMITS = SETS + SET_BYTES * SETS_MAX;
export const LIMIT_RECORD_BYTES = 16;
/** One u32 per service: bit w = worker w waits for a limit of that service; any thread, atomic. */
export const WAITING = LIMITS + LIMIT_RECORD_BYTES * SERVICES_MAX;

// ── Tunings: per service, what outlier detection, slow start and the load reports know of it ─────

/** Outlier detection, main thread: failures in a row, 0 = off; rates and shares in 1/1024; milliseconds. */
export const TUNING_FAILURES_OFFSET = 0;
export const TUNING_SUCCESS_RATE_OFFSET = 4;
export const TUNING_WINDOW_OFFSET = 8;
export const TUNING_EJECTION_OFFSET = 12;
export const TUNING_EJECTION_MAX_OFFSET = 16;
export const TUNING_SHARE_MAX_OFFSET = 20;
/** Slow start, ms; main thread. */
export const TUNING_SLOW_START_OFFSET = 24;
/** The widest set of the service plus one: who an instance's peers are; main thread. */
export const TUNING_PEERS_OFFSET = 28;
/** u64 µs: when an ejected instance is due for its trial, 0 = none is; any thread, atomic. */
export const TUNING_TRIAL_DUE_OFFSET = 32;
/** f32 × 2: requests in flight that tell hot from cold, and their mean; any thread, atomic as one u64. */
export const TUNING_SPREAD_OFFSET = 40;
/** u64 µs of the last load report of any of its instances; any thread, atomic. */
export const TUNING_REPORTED_OFFSET = 48;
/** 1 once the service had members: those that come later are newcomers; main thread. */
export const TUNING_IS_KNOWN_OFFSET = 56;
/** ms when a request that may be repeated was placed last, 0 = never; any thread, atomic. */
export const TUNING_REPEATABLE_AT_OFFSET = 60;
export const TUNING_BYTES = 64;
export const TUNINGS = WAITING + 4 * SERVICES_MAX;

// ── Vitals: per instance, two cache lines; zeroed when a slot is set anew ────────────────────────

/** Service plus one, 0 = in no set yet; main thread. */
export const VITAL_SERVICE_OFFSET = 0;
/** 1 = in the own zone; main thread. */
export const VITAL_LOCAL_OFFSET = 4;
/** u64 µs when it became a member, 1 = with the first of its service, 0 = never; main thread, atomic. */
export const VITAL_JOINED_OFFSET = 8;
/** Failures in a row; any thread, atomic. So is all that follows. */
export const VITAL_FAILURES_OFFSET = 16;
/** How often it was ejected lately: each doubles the next one's time. */
export const VITAL_EJECTIONS_OFFSET = 20;
/** u64 µs × 3: ejected since and until; when a trial began, 0 = none is under way. */
export const VITAL_EJECTED_AT_OFFSET = 24;
export const VITAL_EJECTED_UNTIL_OFFSET = 32;
export const VITAL_TRIAL_AT_OFFSET = 40;
/** EJECTED_*: why it was ejected last. */
export const VITAL_REASON_OFFSET = 48;
/** u64 µs when it came back from an ejection. */
export const VITAL_RESTORED_AT_OFFSET = 56;
/** u64: peak-EWMA of latencies as f32 µs below, its time in ms above. */
export const VITAL_EWMA_OFFSET = 64;
/** u64: the last load report: requests in flight that are not ours below, latency in µs above. */
export const VITAL_REPORT_OFFSET = 72;
/** u64 µs when it came, 0 = none ever. */
export const VITAL_REPORTED_AT_OFFSET = 80;
/** Picks since then. */
export const VITAL_REPORT_USES_OFFSET = 88;
/** ms when it last answered well; 0 = never, or it has failed or been silent since (balancer/proof.ts). */
export const VITAL_OK_AT_OFFSET = 92;
/** u64 × 2: requests below and failures above, as they stood when this half of the window began, and the one before. */
export const VITAL_WINDOW_OFFSET = 96;
export const VITAL_WINDOW_BEFORE_OFFSET = 104;
/** u64 µs when this half of the window began. */
export const VITAL_WINDOW_AT_OFFSET = 112;
/** 1 = nobody was at its address when we looked last, or it said that it goes (balancer/returns.ts). */
export const VITAL_AWAY_OFFSET = 120;
/** When it failed last, ms; 0 = never. In this line, because picks read it. */
export const VITAL_FAILED_AT_OFFSET = 124;
export const VITAL_BYTES = 128;
export const VITALS = TUNINGS + TUNING_BYTES * SERVICES_MAX;

// ── Estimates: what the app beside us took lately, by the load it had; any thread, atomic ────────

/** Loads that are told apart: 0 to 31 requests in flight exactly, then four to the octave. */
export const ESTIMATE_LOADS = 64;
/** Samples that are kept of each load (Prequal's server module: one small ring per load). */
export const ESTIMATE_SAMPLES = 16;
/** One u32 cursor per load, then per load its samples: u64 of µs below and the time in ms above. */
export const ESTIMATES = VITALS + VITAL_BYTES * INSTANCES_MAX;
export const ESTIMATE_RINGS = ESTIMATES + 4 * ESTIMATE_LOADS;

// ── Gauges: per worker and instance; cleared when a worker dies ──────────────────────────────────

/** Requests between pick (or adopt) and release. */
export const GAUGE_INFLIGHT_OFFSET = 0;
/** Requests that wait for a connection to this instance. */
export const GAUGE_PENDING_OFFSET = 4;
/** Open upstream connections. */
export const GAUGE_CONNECTIONS_OFFSET = 8;
export const GAUGE_BYTES = 16;
export const GAUGES = ESTIMATE_RINGS + 8 * ESTIMATE_SAMPLES * ESTIMATE_LOADS;
export const GAUGE_COLUMN_BYTES = GAUGE_BYTES * INSTANCES_MAX;

// ── Loads: per worker and instance; cleared when a worker dies ───────────────────────────────────

/** In flight + pending as one dense u32, for policies that look at many: sixteen instances to a cache line. */
export const LOADS = GAUGES + GAUGE_COLUMN_BYTES * WORKERS_MAX;
export const LOAD_COLUMN_BYTES = 4 * INSTANCES_MAX;

// ── Service counts: per worker and service, one u32 per counter; cleared when a worker dies ──────

export const SERVICE_COUNTS = LOADS + LOAD_COLUMN_BYTES * WORKERS_MAX;
/** Behind the counters: requests in flight at all instances of the service. */
export const SERVICE_INFLIGHT_OFFSET = 16;
export const SERVICE_COUNT_BYTES = 32;
export const SERVICE_COUNT_COLUMN_BYTES = SERVICE_COUNT_BYTES * SERVICES_MAX;

// ── Metric cells: per worker, u64; never go back ─────────────────────────────────────────────────

export const CELLS = SERVICE_COUNTS + SERVICE_COUNT_COLUMN_BYTES * WORKERS_MAX;
export const CELL_COLUMN_BYTES = 8 * METRIC_CELLS;

// ── Stats: per worker and instance; zeroed when a slot is set anew ───────────────────────────────

/** u64 finished requests, u64 failed ones among them, u64 sum of latencies in µs. */
export const STAT_REQUESTS_OFFSET = 0;
export const STAT_FAILURES_OFFSET = 8;
export const STAT_SUM_OFFSET = 16;
/** u32 per latency bucket; differences stay right when one wraps. */
export const STAT_BUCKETS_OFFSET = 32;
export const STAT_BYTES = STAT_BUCKETS_OFFSET + 4 * INSTANCE_BUCKETS;
export const STATS = CELLS + CELL_COLUMN_BYTES * WORKERS_MAX;
export const STAT_COLUMN_BYTES = STAT_BYTES * INSTANCES_MAX;

// ── Rates: token buckets of all rate limits, by key; any thread, atomic (balancer/rates.ts) ──────

/** u64 key, 0 = never used. */
export const RATE_TAT_OFFSET = 8;
export const RATE_ENTRY_BYTES = 16;
/** Four entries, a cache line. */
export const RATE_BUCKET_BYTES = 64;
/** A power of two: 65,536 keys that are in use at once, in a mebibyte. */
export const RATE_BUCKETS = 16384;
export const RATES = STATS + STAT_COLUMN_BYTES * WORKERS_MAX;

// ── Arena: member blocks; main thread ────────────────────────────────────────────────────────────

export const ARENA = RATES + RATE_BUCKET_BYTES * RATE_BUCKETS;
export const ARENA_END = BALANCER_MEMORY_BYTES;

// A member block. All of it but MODE is immutable once published.
//
//   ╒═════════════════╤═══════════════════╤══════════════════════════════════════╕
//   │ header 64 bytes │ members × 8 bytes │ lookup: sequence, alias table, ring, │
//   │                 │ slot, weight      │ Maglev table, groups, or nothing     │
//   └─────────────────┴───────────────────┴──────────────────────────────────────┘
export const BLOCK_POLICY_OFFSET = 0;
export const BLOCK_COUNT_OFFSET = 4;
/** State version and MODE_* packed (balancer/eligible.ts); any thread, atomic. */
export const BLOCK_MODE_OFFSET = 8;
export const BLOCK_LOOKUP_LENGTH_OFFSET = 12;
export const BLOCK_LOOKUP_OFFSET = 16;
export const BLOCK_SIZE_OFFSET = 20;
/** The retired queue's link and epoch; main thread, after the block left its set. */
export const BLOCK_NEXT_OFFSET = 24;
export const BLOCK_EPOCH_OFFSET = 28;
/** u64: sum of the members' weights. */
export const BLOCK_WEIGHT_OFFSET = 32;
/** 1 = all members' weights are the same. */
export const BLOCK_EQUAL_WEIGHTS_OFFSET = 40;
/** Blocks of the members in the own zone and of all others, 0 = the set is not divided (balancer/zones.ts). */
export const BLOCK_LOCAL_OFFSET = 44;
export const BLOCK_REMOTE_OFFSET = 48;
/** 1 = this is such a part. */
export const BLOCK_IS_PART_OFFSET = 52;
export const BLOCK_MEMBERS_OFFSET = 64;
export const MEMBER_BYTES = 8;
export const MEMBER_WEIGHT_OFFSET = 4;

// A staged member, between `beginSet` and `commitSet`: slot, weight, hash, and one word for the policy's compiler.
export const STAGED_WEIGHT_OFFSET = 4;
export const STAGED_HASH_OFFSET = 8;
export const STAGED_SHARE_OFFSET = 12;
export const STAGED_BYTES = 16;

// ── Bounds of the compiled lookups ───────────────────────────────────────────────────────────────

/** Smooth sequence: beyond this sum of (reduced) weights they are scaled down; each share stays within 1/65,536. */
export const SEQUENCE_MAX = 65536;
/** Largest weight of a member: a sum over all slots stays below 2^32. */
export const WEIGHT_MAX = 262143;
/** Points of a member of weight 100 on the ring (libketama's 160). */
export const RING_POINTS_PER_WEIGHT_100 = 160;
/** Points of a whole ring; beyond this every member's share shrinks: 26 points each at 10,000 members. */
export const RING_POINTS_MAX = 262144;
/** Maglev's primes (Eisenbud et al., NSDI 2016, §5.3): the small one up to 655 members (Envoy's default). */
export const MAGLEV_SMALL = 65537;
export const MAGLEV_LARGE = 655373;
export const MAGLEV_SMALL_MEMBERS_MAX = 655;
