// Goal: the pool gives out blocks that do not overlap, takes them back, and lets one class use what another gave up.
// Method: random allocations and releases against a naive list of ranges; then exhaustion, class by class.

import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { POOL_END, POOL_PAGE_BYTES } from "../../../assembly/abi/engine-memory.ts";
import { loadTestingModule, type TestingModule } from "../../support/wasm.ts";

interface Exports {
  createPool(): void;
  allocate(bytes: number): number;
  release(block: number): void;
  capacityOf(block: number): number;
  poolUsedBytes(): number;
  poolBytes(): number;
  poolPressure(): number;
}

let wasm: TestingModule<Exports>;
beforeAll(async () => {
  wasm = await loadTestingModule<Exports>("core");
});

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ bytes: fc.integer({ min: 1, max: POOL_PAGE_BYTES }) }) },
  { weight: 3, arbitrary: fc.record({ bytes: fc.constantFrom(1, 256, 257, 1024, 16_384, 65_536, 131_072) }) },
  { weight: 5, arbitrary: fc.record({ release: fc.nat() }) },
);

test("blocks never overlap, hold what was asked for, and all come back", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const { createPool, allocate, release, capacityOf, poolUsedBytes } = wasm.exports;
      createPool();
      const held: { block: number; bytes: number }[] = [];
      for (const one of steps) {
        if ("bytes" in one) {
          const block = allocate(one.bytes);
          const bytes = capacityOf(block);
          expect(block).not.toBe(0);
          expect(bytes).toBeGreaterThanOrEqual(one.bytes);
          expect(block + bytes).toBeLessThanOrEqual(POOL_END);
          for (const other of held) {
            expect(block + bytes <= other.block || other.block + other.bytes <= block).toBe(true);
          }
          held.push({ block, bytes });
        } else if (held.length > 0) {
          const [gone] = held.splice(one.release % held.length, 1);
          release(gone!.block);
        }
        expect(poolUsedBytes()).toBe(held.reduce((sum, { bytes }) => sum + bytes, 0));
      }
      for (const { block } of held) release(block);
      expect(poolUsedBytes()).toBe(0);
    }),
    { numRuns: 200 },
  );
});

test("an exhausted pool says so, and what one class gives back another may have", () => {
  const { createPool, allocate, release, poolBytes, poolPressure } = wasm.exports;
  createPool();
  for (const bytes of [16_384, 131_072, 256]) {
    const blocks: number[] = [];
    for (let block = allocate(bytes); block !== 0; block = allocate(bytes)) blocks.push(block);
    // A page of each class before may have stayed with it.
    expect(blocks.length * bytes).toBeGreaterThanOrEqual(poolBytes() - 2 * POOL_PAGE_BYTES);
    expect(new Set(blocks).size).toBe(blocks.length);
    expect(poolPressure()).toBe(256);
    for (const block of blocks) release(block);
    expect(poolPressure()).toBeLessThanOrEqual(1);
  }
});

test("a block released twice is a bug, and traps", () => {
  const { createPool, allocate, release } = wasm.exports;
  createPool();
  const block = allocate(1000);
  release(block);
  expect(() => release(block)).toThrow();
});
