// Hashing: published vectors, and both halves alike. Random draws: the same as PCG's definition, in range, even.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hashBytes, hashText, mixHash } from "../../../src/wasm/hash.ts";
import { loadTestingModule } from "../../support/wasm.ts";

interface Core {
  scratch(): number;
  hashBytes(ptr: number, length: number, seed: number): number;
  mixHash(value: number): number;
  startRandom(seed: number): void;
  randomNext(): number;
  randomBelow(bound: number): number;
}

const { exports: core, bytes: memory } = await loadTestingModule<Core>("hash-random");

function hashInside(bytes: Uint8Array, seed: number, shift = 0): number {
  memory.set(bytes, core.scratch() + shift);
  return core.hashBytes(core.scratch() + shift, bytes.length, seed) >>> 0;
}

describe("hash", () => {
  test.each([
    // MurmurHash3_x86_32, vectors of the reference implementation
    ["", 0, 0],
    ["", 1, 0x514e28b7],
    ["", 0xffffffff, 0x81f16f39],
    ["test", 0, 0xba6bd213],
    ["test", 0x9747b28c, 0x704b81dc],
    ["Hello, world!", 0, 0xc0363e43],
    ["Hello, world!", 0x9747b28c, 0x24884cba],
    ["The quick brown fox jumps over the lazy dog", 0x9747b28c, 0x2fa826cd],
  ])("of %j with seed %i is MurmurHash3's", (text, seed, expected) => {
    expect(hashText(text, seed)).toBe(expected);
    expect(hashInside(new TextEncoder().encode(text), seed)).toBe(expected);
  });

  test("is the same on both sides, at any alignment", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 70 }),
        fc.integer(),
        fc.integer({ min: 0, max: 7 }),
        (bytes, seed, shift) => {
          expect(hashInside(bytes, seed, shift)).toBe(hashBytes(bytes, seed));
        },
      ),
    );
  });

  test("mixes the same on both sides", () => {
    fc.assert(
      fc.property(fc.integer(), (value) => {
        expect(core.mixHash(value) >>> 0).toBe(mixHash(value));
      }),
    );
  });
});

/** PCG-XSH-RR 64/32 as O'Neill writes it. */
function* pcg(seed: number): Generator<number> {
  const increment = 1442695040888963407n;
  let state = (BigInt(seed) + increment) & 0xffffffffffffffffn;
  for (;;) {
    const shifted = Number((((state >> 18n) ^ state) >> 27n) & 0xffffffffn);
    const turn = Number(state >> 59n);
    yield ((shifted >>> turn) | (shifted << (-turn & 31))) >>> 0;
    state = (state * 6364136223846793005n + increment) & 0xffffffffffffffffn;
  }
}

describe("random", () => {
  test("draws PCG's numbers", () => {
    const twin = pcg(42);
    twin.next();
    twin.next();
    core.startRandom(42);
    for (let draw = 0; draw < 1000; draw += 1) expect(core.randomNext() >>> 0).toBe(twin.next().value);
  });

  test("stays below its bound and reaches all of it evenly", () => {
    core.startRandom(7);
    const counts = new Array<number>(10).fill(0);
    for (let draw = 0; draw < 100_000; draw += 1) {
      const drawn = core.randomBelow(10);
      counts[drawn] = (counts[drawn] ?? Number.NaN) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(400); // four standard deviations
  });
});
