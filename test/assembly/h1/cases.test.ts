// Every case of test/cases/h1, whole and in pieces; every identifier of Http11Probe answered.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type H1, loadH1 } from "../../support/h1.ts";
import { cuts, readCases, readProbeTable, runCase } from "../../support/h1-cases.ts";

const cases = readCases();
let h1: H1;
beforeAll(async () => {
  h1 = await loadH1();
});
afterAll(() => {
  expect([h1.exports.poolUsedBytes(), h1.exports.streamCount(), h1.exports.connectionCount()]).toEqual([0, 0, 0]);
});

for (const file of new Set(cases.map((one) => one.file))) {
  describe(file, () => {
    for (const one of cases.filter((other) => other.file === file)) {
      test(one.name, () => {
        expect(one.events ?? one.output, "a case expects something").toBeDefined();
        let first: { events: string; output: string } | undefined;
        for (const pieces of cuts(one.input)) {
          const outcome = runCase(h1, one, pieces);
          if (first === undefined) {
            first = outcome;
            if (one.events !== undefined) expect(outcome.events).toBe(one.events);
            if (one.output !== undefined) expect(outcome.output).toBe(one.output);
          } else expect(outcome, `cut after ${pieces[0]?.length}`).toEqual(first);
        }
      });
    }
  });
}

test("every Http11Probe case is answered by a case here, or with a reason", () => {
  const table = readProbeTable();
  expect(table.size).toBe(215);
  const covered = new Map(cases.flatMap((one) => one.probes.map((probe) => [probe, one.name] as const)));
  for (const probe of covered.keys()) expect(table.has(probe), `${probe} is one of Http11Probe's`).toBe(true);
  for (const [probe, answer] of table) {
    if (answer === "case") expect(covered.has(probe), `${probe} has a case`).toBe(true);
    else expect(answer.length, `${probe} has a reason`).toBeGreaterThan(10);
  }
});
