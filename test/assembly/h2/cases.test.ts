// Every conversation of test/cases/h2, whole, cut at every byte, and byte by byte: always the same events and frames.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { loadH2 } from "../../support/h2.ts";
import { BYTEWISE, type Cut, expected, longestInput, play, readCases, WHOLE } from "../../support/h2-script.ts";

const folder = join(import.meta.dirname, "../../cases/h2");
const engine = await loadH2();
const base = engine.exports.poolUsedBytes();
/** Every byte is cut at up to this length; longer conversations at a few places, and into pieces of an odd size. */
const LENGTH_MAX = 8000;
const CUTS_MAX = 20;
const ODD: Cut = () => [997];

afterEach(() => {
  expect(engine.exports.poolUsedBytes()).toBe(base);
  expect(engine.exports.streamCount()).toBe(0);
  engine.exports.setNow(0n);
});

for (const file of readdirSync(folder).sort()) {
  describe(file, () => {
    const cases = readCases(readFileSync(join(folder, file), "utf8"));
    test("titles are unique", () => {
      expect(new Set(cases.map((one) => one.title)).size).toBe(cases.length);
    });
    for (const one of cases) {
      test(one.title, () => {
        expect(play(engine, one, WHOLE)).toEqual(expected(one));
        const length = longestInput(one);
        expect(play(engine, one, length > LENGTH_MAX ? ODD : BYTEWISE)).toEqual(expected(one));
        const step = length > LENGTH_MAX ? Math.floor(length / CUTS_MAX) : 1;
        for (let at = 1; at < length; at += step) {
          expect(
            play(engine, one, () => [at, length]),
            `cut at ${at}`,
          ).toEqual(expected(one));
        }
      });
    }
  });
}
