// Cells and statistics: every bucket's border, quantiles within their error, sums over workers, never backwards.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  INSTANCE_BUCKETS,
  LATENCY_BUCKETS,
  LATENCY_CELLS,
  LATENCY_OVERFLOW_CELL,
  METRIC_CELLS,
  PROCESS_CELLS,
} from "../../../assembly/abi/metrics.ts";
import { differenceOf, quantileUs } from "../../../src/wasm/latency.ts";
import { LATENCY_BOUNDS_US, SharedCounters } from "../../../src/wasm/shared-memory.ts";
import { createFixture } from "./fixture.ts";

const { main, memory, startWorker } = createFixture();
const first = startWorker(0);
const second = startWorker(1);
const counters = new SharedCounters(memory);

describe("metric cells", () => {
  test("add up over workers, beyond 32 bits", () => {
    first.count(3, 0xffffffff);
    second.count(3, 0xffffffff);
    first.count(METRIC_CELLS - 1, 1);
    expect(counters.cellOf(3)).toBe(2 * 0xffffffff);
    expect(counters.cellOf(METRIC_CELLS - 1)).toBe(1);
    expect(() => first.count(METRIC_CELLS, 1)).toThrow(WebAssembly.RuntimeError);
  });

  test("never go back: a worker that is started again goes on in its column", () => {
    const dying = startWorker(2);
    dying.count(9, 5);
    main.clearWorker(2);
    expect(counters.cellOf(9)).toBe(5);
    startWorker(2).count(9, 2);
    expect(counters.cellOf(9)).toBe(7);
  });

  test("a histogram's bounds are where LATENCY_BOUNDS_US says", () => {
    expect(LATENCY_BOUNDS_US).toHaveLength(LATENCY_BUCKETS);
    expect(LATENCY_BOUNDS_US).toEqual([...LATENCY_BOUNDS_US].sort((left, right) => left - right));
    LATENCY_BOUNDS_US.forEach((boundUs, bucket) => {
      const base = PROCESS_CELLS + bucket * LATENCY_CELLS;
      first.observeLatency(base, boundUs);
      first.observeLatency(base, boundUs + 1);
      const { counts, sumUs } = counters.latencyOf(base);
      expect(counts[bucket], `up to ${boundUs}`).toBe(1);
      expect(counts[bucket + 1], `above ${boundUs}`).toBe(1);
      expect(sumUs).toBe(2 * boundUs + 1);
    });
  });

  test("a histogram takes every sample once", () => {
    const base = PROCESS_CELLS + LATENCY_CELLS * (LATENCY_BUCKETS + 1);
    let total = 0;
    let expectedUs = 0;
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0x7fffffff }), fc.boolean(), (us, isFirst) => {
        (isFirst ? first : second).observeLatency(base, us);
        total += 1;
        expectedUs += us;
        const { counts, sumUs } = counters.latencyOf(base);
        expect(counts).toHaveLength(LATENCY_OVERFLOW_CELL + 1);
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(total);
        expect(sumUs).toBe(expectedUs);
      }),
    );
  });
});

describe("an instance's statistics", () => {
  let generation = 0;
  const SLOT = 77;
  const renew = () => {
    if (generation > 0) main.clearInstance(SLOT);
    generation += 1;
    main.setInstance(SLOT, 100, generation);
  };

  test("count requests, failures and time over workers, and begin anew with a new instance", () => {
    renew();
    first.observeInstance(SLOT, 1500, 0);
    second.observeInstance(SLOT, 2500, 1);
    const { requests, failures, sumUs, buckets } = counters.workOf(SLOT);
    expect({ requests, failures, sumUs }).toEqual({ requests: 2, failures: 1, sumUs: 4000 });
    expect(buckets.reduce((sum, count) => sum + count, 0)).toBe(2);
    renew();
    expect(counters.workOf(SLOT)).toEqual({
      requests: 0,
      failures: 0,
      sumUs: 0,
      buckets: new Uint32Array(INSTANCE_BUCKETS),
    });
  });

  test("one sample is found again within ten per cent, from 8 µs to 134 s", () => {
    fc.assert(
      fc.property(fc.double({ min: 3, max: 27, noNaN: true }), (log2) => {
        renew();
        const us = Math.floor(2 ** log2);
        first.observeInstance(SLOT, us, 0);
        const found = quantileUs(counters.workOf(SLOT).buckets, 0.5) ?? Number.NaN;
        expect(Math.abs(found / us - 1)).toBeLessThan(0.1);
      }),
      { examples: [[3], [27]] },
    );
  });

  test("what is out of range goes to the first or last bucket", () => {
    renew();
    for (const us of [0, 1, 7]) first.observeInstance(SLOT, us, 0);
    for (const us of [2 ** 27, 0x7fffffff, 0xffffffff]) first.observeInstance(SLOT, us, 0);
    const { buckets } = counters.workOf(SLOT);
    expect([buckets[0], buckets[INSTANCE_BUCKETS - 1]]).toEqual([3, 3]);
  });

  test("quantiles are a sorted list's within ten per cent", () => {
    const samples = fc.array(fc.integer({ min: 10, max: 10_000_000 }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(samples, fc.constantFrom(0, 0.5, 0.9, 0.99, 1), (latencies, quantile) => {
        renew();
        latencies.forEach((us, index) => {
          (index % 3 === 0 ? first : second).observeInstance(SLOT, us, 0);
        });
        const sorted = latencies.toSorted((left, right) => left - right);
        const due = sorted[Math.max(1, Math.ceil(sorted.length * quantile)) - 1] ?? Number.NaN;
        const found = quantileUs(counters.workOf(SLOT).buckets, quantile) ?? Number.NaN;
        expect(Math.abs(found / due - 1)).toBeLessThan(0.1);
      }),
    );
  });

  test("a difference is what came between two looks", () => {
    renew();
    first.observeInstance(SLOT, 100, 0);
    const before = counters.workOf(SLOT).buckets;
    expect(quantileUs(differenceOf(before, before), 0.5)).toBeUndefined();
    first.observeInstance(SLOT, 100_000, 0);
    const between = differenceOf(counters.workOf(SLOT).buckets, before);
    expect(quantileUs(between, 0)).toBeGreaterThan(90_000);
  });
});
