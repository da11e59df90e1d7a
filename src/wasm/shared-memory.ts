// The balancer's shared memory as JavaScript sees it: its creation, reading its counters, waiting for its wakes.
//
// Reads only: whatever changes goes through the exports of balancer.wasm. Counters lie in one column per worker and a
// value is the sum over all of them; columns of dead workers keep their cells, so sums never go back.

import {
  EJECTED_CONSECUTIVE,
  EJECTED_DRAINING,
  EJECTED_SILENT,
  EJECTED_SUCCESS_RATE,
} from "../../assembly/abi/balancer-codes.ts";
import {
  BALANCER_MEMORY_PAGES,
  CELL_COLUMN_BYTES,
  CELLS,
  STAT_BUCKETS_OFFSET,
  STAT_BYTES,
  STAT_COLUMN_BYTES,
  STAT_FAILURES_OFFSET,
  STAT_REQUESTS_OFFSET,
  STAT_SUM_OFFSET,
  STATS,
  VITAL_BYTES,
  VITAL_EJECTED_AT_OFFSET,
  VITAL_EJECTED_UNTIL_OFFSET,
  VITALS,
  WORKER_BYTES,
  WORKER_WAKE_OFFSET,
  WORKERS,
  WORKERS_HIGH_OFFSET,
} from "../../assembly/abi/balancer-table.ts";
import { INSTANCE_BUCKETS, LATENCY_OVERFLOW_CELL, LATENCY_SUM_CELL } from "../../assembly/abi/metrics.ts";

/**
 * Inclusive upper bounds of the buckets that `observeLatency` fills, in microseconds; what is above the last goes to
 * the overflow cell. assembly/balancer/metrics.ts computes the same ones.
 */
export const LATENCY_BOUNDS_US: readonly number[] = [
  ...[100, 1_000, 10_000, 100_000].flatMap((decade) => [1, 1.5, 2.5, 4, 6.5].map((step) => step * decade)),
  1_000_000,
  2_500_000,
  10_000_000,
  60_000_000,
];

/** A histogram of durations: counts per bucket (not cumulative) with the overflow last, and the sum. */
export interface LatencyCounts {
  readonly counts: readonly number[];
  readonly sumUs: number;
}

/** What an instance has done since its slot was set. */
export interface InstanceWork {
  readonly requests: number;
  readonly failures: number;
  readonly sumUs: number;
  /** Latencies of all attempts, for `quantileUs` and `differenceOf`. */
  readonly buckets: Uint32Array;
}

/** Why an instance is set aside, as admin and logs name it. */
export type EjectionReason = "consecutive-failures" | "success-rate" | "silent" | "draining" | "by-hand";

const EJECTION_REASONS: Readonly<Record<number, EjectionReason>> = {
  [EJECTED_CONSECUTIVE]: "consecutive-failures",
  [EJECTED_SUCCESS_RATE]: "success-rate",
  [EJECTED_SILENT]: "silent",
  [EJECTED_DRAINING]: "draining",
};

/** An ejection under way. */
export interface Ejection {
  readonly reason: EjectionReason;
  readonly sinceMs: number;
  /** Until one request may try it; 0 when that is due. */
  readonly leftMs: number;
}

/** The memory that every instance of balancer.wasm imports: zeroed, fixed, shared; pages unused cost nothing. */
export function createBalancerMemory(): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: BALANCER_MEMORY_PAGES, maximum: BALANCER_MEMORY_PAGES, shared: true });
}

/** Sums of counters over all workers. */
export class SharedCounters {
  readonly #words: Uint32Array<ArrayBufferLike>;
  readonly #longs: BigUint64Array<ArrayBufferLike>;

  constructor(memory: WebAssembly.Memory) {
    this.#words = new Uint32Array(memory.buffer);
    this.#longs = new BigUint64Array(memory.buffer);
  }

  /** One metric cell. */
  cellOf(cell: number): number {
    return this.#sumLongs(CELLS + cell * 8, CELL_COLUMN_BYTES);
  }

  /** The histogram whose first cell is `cellBase`. */
  latencyOf(cellBase: number): LatencyCounts {
    const counts = Array.from({ length: LATENCY_OVERFLOW_CELL + 1 }, (_, bucket) => this.cellOf(cellBase + bucket));
    return { counts, sumUs: this.cellOf(cellBase + LATENCY_SUM_CELL) };
  }

  /** Requests, failures and latencies of one instance. */
  workOf(slot: number): InstanceWork {
    const stat = STATS + slot * STAT_BYTES;
    return {
      requests: this.#sumLongs(stat + STAT_REQUESTS_OFFSET, STAT_COLUMN_BYTES),
      failures: this.#sumLongs(stat + STAT_FAILURES_OFFSET, STAT_COLUMN_BYTES),
      sumUs: this.#sumLongs(stat + STAT_SUM_OFFSET, STAT_COLUMN_BYTES),
      buckets: this.#bucketsOf(stat + STAT_BUCKETS_OFFSET),
    };
  }

  /** Since when and for how long an instance is ejected, for an EJECTED_* reason, as of `nowUs`. */
  ejectionOf(slot: number, reason: number, nowUs: number): Ejection {
    const vital = VITALS + slot * VITAL_BYTES;
    const timeAt = (offset: number) => Number(Atomics.load(this.#longs, (vital + offset) / 8));
    return {
      reason: EJECTION_REASONS[reason] ?? "by-hand",
      sinceMs: Math.max(0, Math.round((nowUs - timeAt(VITAL_EJECTED_AT_OFFSET)) / 1_000)),
      leftMs: Math.max(0, Math.round((timeAt(VITAL_EJECTED_UNTIL_OFFSET) - nowUs) / 1_000)),
    };
  }

  #bucketsOf(offset: number): Uint32Array {
    const buckets = new Uint32Array(INSTANCE_BUCKETS);
    for (let worker = 0; worker < this.#workers(); worker += 1) {
      const first = (offset + worker * STAT_COLUMN_BYTES) / 4;
      for (let bucket = 0; bucket < INSTANCE_BUCKETS; bucket += 1) {
        buckets[bucket] = (buckets[bucket] ?? 0) + Atomics.load(this.#words, first + bucket);
      }
    }
    return buckets;
  }

  #sumLongs(offset: number, columnBytes: number): number {
    let sum = 0;
    for (let worker = 0; worker < this.#workers(); worker += 1) {
      sum += Number(Atomics.load(this.#longs, (offset + worker * columnBytes) / 8));
    }
    return sum;
  }

  /** Columns that were ever in use. */
  #workers(): number {
    return Atomics.load(this.#words, WORKERS_HIGH_OFFSET / 4);
  }
}

/**
 * Calls `onWake` on this thread whenever another one freed a limit that `worker` waits for (`waitForAdmission`).
 * Returns what ends it. Does not keep the process alive.
 */
export function watchAdmission(memory: WebAssembly.Memory, worker: number, onWake: () => void): () => void {
  const words = new Int32Array(memory.buffer as SharedArrayBuffer);
  const index = (WORKERS + worker * WORKER_BYTES + WORKER_WAKE_OFFSET) / 4;
  let isStopped = false;
  const watch = async (): Promise<void> => {
    let seen = Atomics.load(words, index);
    while (!isStopped) {
      const wait = Atomics.waitAsync(words, index, seen);
      if (wait.async) await wait.value;
      if (isStopped) return;
      seen = Atomics.load(words, index);
      onWake();
    }
  };
  void watch();
  return () => {
    isStopped = true;
    Atomics.notify(words, index);
  };
}
