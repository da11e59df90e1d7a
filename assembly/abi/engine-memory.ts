// The engine's memory map: cumulative, so that adding a region cannot overlap another.
//
//   ╒══════════╤══════╤════════╤═════════╤═══════╤═════════╤═════════╤═══════════╤═══════╤════════╤══════╕
//   │ static   │ read │ records│ scratch │ wheel │ connec- │ streams │ exchanges │ hash  │ snap-  │ pool │
//   │ data     │ buf  │ for JS │ heads   │       │ tions   │         │           │ chains│ shots×2│      │
//   └──────────┴──────┴────────┴─────────┴───────┴─────────┴─────────┴───────────┴───────┴────────┴──────┘
//   0          1 MiB
//
// Rule: read by asc and by Node: integer constants only.

import { CONNECTIONS_MAX, ENGINE_MEMORY_BYTES, EXCHANGES_MAX, READ_BUFFER_BYTES, STREAMS_MAX } from "./limits.ts";

/** asc lays static data from 1,024 upwards; `start` asserts that it ends below this. */
export const STATIC_BYTES = 1048576;

export const READ_BUFFER = STATIC_BYTES;

/** Records that `poll` leaves for JavaScript: see engine-records.ts. */
export const RECORD_BYTES = 32;
export const RECORDS_MAX = 2048;
export const RECORDS = READ_BUFFER + READ_BUFFER_BYTES;

/** Text that JavaScript hands in beside a call (peer address, snapshot error text out). */
export const EXCHANGE_AREA_BYTES = 4096;
export const TEXT_AREA = RECORDS + RECORD_BYTES * RECORDS_MAX;

/** A decoded head with every field of the limits (1,200 × 16 bytes of entries, 128 KiB of text). */
export const SCRATCH_HEAD_BYTES = 163840;
export const SCRATCH_HEAD = TEXT_AREA + EXCHANGE_AREA_BYTES;
/** A head that the engine makes itself: own answers, rewritten trailers. */
export const ANSWER_HEAD = SCRATCH_HEAD + SCRATCH_HEAD_BYTES;
/** Where a head is encoded before it enters the output: worst case of HEAD_BYTES_MAX, plus what is added. */
export const ENCODE_BUFFER_BYTES = 163840;
export const ENCODE_BUFFER = ANSWER_HEAD + SCRATCH_HEAD_BYTES;
/** Free scratch of the proxy (joined cookies, rewritten paths, formatted numbers). */
export const PROXY_SCRATCH_BYTES = 163840;
export const PROXY_SCRATCH = ENCODE_BUFFER + ENCODE_BUFFER_BYTES;

/** Timing wheel: slots of 4 ms; see engine/timers.ts. */
export const WHEEL_SLOTS = 4096;
export const WHEEL = PROXY_SCRATCH + PROXY_SCRATCH_BYTES;
/** One timer node for each connection and each exchange. */
export const TIMER_BYTES = 24;
export const TIMERS_MAX = CONNECTIONS_MAX + EXCHANGES_MAX;
export const TIMERS = WHEEL + WHEEL_SLOTS * 4 + 1024;

export const CONNECTION_BYTES = 512;
/** Offset in a connection's record of a u8 that drivers look at: 1 = read no more than H1_NARROW_READ_BYTES at once. */
export const CONNECTION_READS_NARROW = 101;
export const CONNECTIONS = TIMERS + TIMERS_MAX * TIMER_BYTES;
export const STREAM_BYTES = 192;
export const STREAMS = CONNECTIONS + CONNECTIONS_MAX * CONNECTION_BYTES;
export const EXCHANGE_BYTES = 488;
export const EXCHANGES = STREAMS + STREAMS_MAX * STREAM_BYTES;

/** Stream lookup by (connection, id): as many chains as streams. */
export const STREAM_CHAINS = EXCHANGES + EXCHANGES_MAX * EXCHANGE_BYTES;

/** Upstream pools, one record for each instance slot of the balancer (16,384 slots × 64 bytes). */
export const UPSTREAM_POOL_BYTES = 64;
export const UPSTREAM_POOLS_MAX = 16384;
export const UPSTREAM_POOLS = STREAM_CHAINS + STREAMS_MAX * 4;

/** How long the instances of a service take to answer, one record for each service; engine/proxy/response-times.ts. */
export const RESPONSE_TIMES_BYTES = 320;
export const RESPONSE_TIMES_MAX = 2048;
export const RESPONSE_TIMES = UPSTREAM_POOLS + UPSTREAM_POOLS_MAX * UPSTREAM_POOL_BYTES;

/** Two compiled snapshots: the one in force and the one being written. 10,000 routes take about 3 MiB. */
export const SNAPSHOT_BYTES_MAX = 16777216;
export const SNAPSHOT_FIRST = RESPONSE_TIMES + RESPONSE_TIMES_MAX * RESPONSE_TIMES_BYTES;
export const SNAPSHOT_SECOND = SNAPSHOT_FIRST + SNAPSHOT_BYTES_MAX;

/** Everything else: pages of 128 KiB, see core/pool.ts. The table of pages comes first. */
export const POOL_PAGE_BYTES = 131072;
export const POOL_TABLE = SNAPSHOT_SECOND + SNAPSHOT_BYTES_MAX;
export const POOL_TABLE_BYTES = 65536;
/** Aligned to 128 KiB by core/pool.ts. */
export const POOL_FIRST = POOL_TABLE + POOL_TABLE_BYTES;
export const POOL_END = ENGINE_MEMORY_BYTES;
