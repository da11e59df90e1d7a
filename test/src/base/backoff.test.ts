// Pauses stay within their bounds, grow, spread, and begin anew after a success. Random source seeded.

import { expect, test } from "vitest";
import { createBackoff } from "../../../src/base/backoff.ts";
import { createRandom } from "../../../src/base/random.ts";

test("pauses lie between the base and a ceiling that doubles up to the maximum", () => {
  const backoff = createBackoff({ baseMs: 500, maxMs: 30_000, random: createRandom(1) });
  for (let tries = 1; tries <= 40; tries += 1) {
    const pauseMs = backoff.nextMs();
    expect(pauseMs).toBeGreaterThanOrEqual(500);
    expect(pauseMs).toBeLessThanOrEqual(Math.min(30_000, 500 * 2 ** tries));
    expect(backoff.tries).toBe(tries);
  }
});

test("a success brings it back to the base", () => {
  const backoff = createBackoff({ baseMs: 100, maxMs: 10_000, random: createRandom(2) });
  for (let tries = 0; tries < 10; tries += 1) backoff.nextMs();
  backoff.reset();
  expect(backoff.nextMs()).toBeLessThanOrEqual(200);
});

test("two of a thousand never march in step: pauses fill the whole interval", () => {
  const pauses = Array.from({ length: 1000 }, (_, seed) => {
    const backoff = createBackoff({ baseMs: 500, maxMs: 8000, random: createRandom(seed) });
    for (let tries = 0; tries < 5; tries += 1) backoff.nextMs();
    return backoff.nextMs();
  });
  const buckets = new Set(pauses.map((pauseMs) => Math.floor((pauseMs - 500) / 750)));
  expect(buckets.size).toBe(10);
});

test("bounds that make no sense are a bug", () => {
  expect(() => createBackoff({ baseMs: 0, maxMs: 1, random: createRandom(1) })).toThrow("bug");
  expect(() => createBackoff({ baseMs: 2, maxMs: 1, random: createRandom(1) })).toThrow("bug");
});
