// What a container's memory limit leaves for traffic.

import { expect, test } from "vitest";
import { poolBytesWithin } from "../../../src/sidecar/container-limits.ts";

const MIB = 2 ** 20;

test("the pools of all workers and the sidecar itself fit the limit, with room to spare", () => {
  for (const limitMiB of [128, 192, 256, 512, 1024]) {
    for (const workers of [1, 2, 4]) {
      const pool = poolBytesWithin(limitMiB * MIB, workers);
      if (pool === undefined) continue;
      expect(pool).toBeGreaterThanOrEqual(8 * MIB);
      if (pool > 8 * MIB) expect(pool * workers + 56 * MIB).toBeLessThan(limitMiB * MIB * 0.76);
    }
  }
  expect(poolBytesWithin(128 * MIB, 1)).toBe(40 * MIB);
});

test("where nothing limits a process, or far above an engine's memory, nothing is limited", () => {
  // process.constrainedMemory() has said all three.
  for (const limit of [0, 2 ** 64, 8 * 1024 * MIB]) expect(poolBytesWithin(limit, 1)).toBeUndefined();
});
