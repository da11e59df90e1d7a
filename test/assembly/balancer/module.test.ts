// The compiled module and its memory map: what a new thread's instantiation must not touch.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as table from "../../../assembly/abi/balancer-table.ts";
import * as metrics from "../../../assembly/abi/metrics.ts";
import { loadModule } from "../../../src/wasm/load.ts";
import { createFixture } from "./fixture.ts";

/** Section identifiers (WebAssembly core specification §5.5.2). */
const DATA_SECTION = 11;
const DATA_COUNT_SECTION = 12;
const START_SECTION = 8;
const CODE_SECTION = 10;

/** Identifiers of all sections of a module, in order. */
function sectionsOf(bytes: Uint8Array): number[] {
  const found: number[] = [];
  let at = 8; // magic and version
  while (at < bytes.length) {
    found.push(bytes[at] ?? -1);
    at += 1;
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at] ?? 0;
      at += 1;
      size |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    at += size;
  }
  expect(at).toBe(bytes.length);
  return found;
}

describe("balancer.wasm", () => {
  const bytes = readFileSync(new URL("../../../build/wasm/balancer.wasm", import.meta.url));

  test("has no data segments and runs nothing when it is instantiated", () => {
    const sections = sectionsOf(bytes);
    expect(sections).toContain(CODE_SECTION);
    expect(sections).not.toContain(DATA_SECTION);
    expect(sections).not.toContain(DATA_COUNT_SECTION);
    expect(sections).not.toContain(START_SECTION);
  });

  test("imports the shared memory and nothing else", () => {
    const imports = WebAssembly.Module.imports(loadModule("balancer"));
    expect(imports.map(({ module, name, kind }) => `${module}.${name} ${kind}`)).toEqual(["env.memory memory"]);
  });

  test("leaves the memory as it is when another thread instantiates it", () => {
    const { main, memory, startWorker } = createFixture();
    main.setInstance(0, 100, 1);
    const words = new Uint32Array(memory.buffer, 0, table.SETS / 4);
    const before = words.slice();
    createInstance();
    expect(words).toEqual(before);

    function createInstance() {
      return new WebAssembly.Instance(loadModule("balancer"), { env: { memory } });
    }
    startWorker(0);
    expect(words).not.toEqual(before); // `start` is what leaves a mark
  });
});

describe("the memory map", () => {
  const regions: readonly (readonly [string, number, number])[] = [
    ["header", 0, table.HEADER_BYTES],
    ["workers", table.WORKERS, table.WORKER_BYTES * table.WORKERS_MAX],
    ["states", table.INSTANCE_STATES, table.INSTANCE_COLUMN_BYTES],
    ["weights", table.INSTANCE_WEIGHTS, table.INSTANCE_COLUMN_BYTES],
    ["generations", table.INSTANCE_GENERATIONS, table.INSTANCE_COLUMN_BYTES],
    ["epochs", table.INSTANCE_EPOCHS, table.INSTANCE_COLUMN_BYTES],
    ["sets", table.SETS, table.SET_BYTES * table.SETS_MAX],
    ["limits", table.LIMITS, table.LIMIT_RECORD_BYTES * table.SERVICES_MAX],
    ["waiting", table.WAITING, 4 * table.SERVICES_MAX],
    ["tunings", table.TUNINGS, table.TUNING_BYTES * table.SERVICES_MAX],
    ["vitals", table.VITALS, table.VITAL_BYTES * table.INSTANCES_MAX],
    ["estimates", table.ESTIMATES, 4 * table.ESTIMATE_LOADS + 8 * table.ESTIMATE_SAMPLES * table.ESTIMATE_LOADS],
    ["gauges", table.GAUGES, table.GAUGE_COLUMN_BYTES * table.WORKERS_MAX],
    ["loads", table.LOADS, table.LOAD_COLUMN_BYTES * table.WORKERS_MAX],
    ["service counts", table.SERVICE_COUNTS, table.SERVICE_COUNT_COLUMN_BYTES * table.WORKERS_MAX],
    ["cells", table.CELLS, table.CELL_COLUMN_BYTES * table.WORKERS_MAX],
    ["stats", table.STATS, table.STAT_COLUMN_BYTES * table.WORKERS_MAX],
    ["rates", table.RATES, table.RATE_BUCKET_BYTES * table.RATE_BUCKETS],
    ["arena", table.ARENA, table.ARENA_END - table.ARENA],
  ];

  test("is without gaps and overlaps, aligned to cache lines, and ends with the memory", () => {
    let end = 0;
    for (const [name, start, bytes] of regions) {
      expect(start, name).toBe(end);
      expect(start % table.CACHE_LINE_BYTES, name).toBe(0);
      end = start + bytes;
    }
    expect(end).toBe(table.BALANCER_MEMORY_BYTES);
    expect(table.BALANCER_MEMORY_BYTES).toBe(table.BALANCER_MEMORY_PAGES * 65_536);
  });

  test("has the memory that asconfig.json gives the module", () => {
    const config = JSON.parse(readFileSync(new URL("../../../asconfig.json", import.meta.url), "utf8"));
    for (const target of ["balancer", "balancer-debug"]) {
      expect(config.targets[target].initialMemory).toBe(table.BALANCER_MEMORY_PAGES);
      expect(config.targets[target].maximumMemory).toBe(table.BALANCER_MEMORY_PAGES);
    }
  });

  test("keeps the bounds that the code relies on", () => {
    expect(table.WEIGHT_MAX * table.INSTANCES_MAX).toBeLessThan(2 ** 32); // sums of weights are u32
    expect(table.INSTANCES_MAX).toBeLessThan(0xffff); // member indices are u16, 0xffff is "free"
    expect(table.WORKERS_MAX).toBeLessThanOrEqual(32); // waiting workers are bits of a u32
  });

  test("puts a service's cells side by side", () => {
    const starts = [
      [metrics.SERVICE_LATENCY_CELLS, metrics.LATENCY_CELLS],
      [metrics.SERVICE_STATUS_CELLS, 5 * metrics.STATUS_CLASS_CELLS],
      [metrics.SERVICE_REASON_CELLS, 32],
      [metrics.SERVICE_OUTCOME_CELLS, 8],
      [metrics.SERVICE_HEDGE_CELLS, 8],
      [metrics.SERVICE_SKIPPED_CELLS, 8],
      [metrics.SERVICE_UNHEDGED_CELLS, 8],
      [metrics.SERVICE_TCP_CELLS, 18],
      [metrics.SERVICE_SPARE_CELLS, metrics.SERVICE_CELLS - metrics.SERVICE_SPARE_CELLS],
    ] as const;
    starts.forEach(([start, cells], index) => {
      expect(start + cells).toBeLessThanOrEqual(starts[index + 1]?.[0] ?? metrics.SERVICE_CELLS);
    });
  });
});
