// The words of labels stand for the engine's numbers: one each, in their order.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import * as limits from "../../../assembly/abi/balancer-codes.ts";
import * as codes from "../../../assembly/abi/engine-codes.ts";
import * as records from "../../../assembly/abi/engine-records.ts";
import {
  DIRECTION_NAMES,
  GLITCH_NAMES,
  HEDGE_NAMES,
  LIMIT_NAMES,
  OUTCOME_NAMES,
  PROTOCOL_NAMES,
  ROLE_NAMES,
  SKIPPED_NAMES,
  UNHEDGED_NAMES,
} from "../../../src/telemetry/index.ts";
import { versionName } from "../../../src/telemetry/names.ts";

function wordsOf(table: Readonly<Record<string, number>>, prefix: string): string[] {
  const words: string[] = [];
  for (const [name, code] of Object.entries(table)) {
    if (name.startsWith(prefix)) words[code] = name.slice(prefix.length).toLowerCase().replaceAll("_", "-");
  }
  return words;
}

/** These are the engine's own; their source is read because asc's constants cannot be imported. */
function engineWords(prefix: string): string[] {
  const source = readFileSync("assembly/engine/proxy/metrics.ts", "utf8");
  const table: Record<string, number> = {};
  for (const [, name = "", code] of source.matchAll(/export const (\w+): u32 = (\d+);/g)) table[name] = Number(code);
  return wordsOf(table, prefix);
}

test("glitches, limits, roles and listeners are the engine's, in its order", () => {
  expect([...GLITCH_NAMES]).toEqual(wordsOf(codes, "GLITCH_"));
  expect([...LIMIT_NAMES]).toEqual(wordsOf(limits, "COUNTER_"));
  expect([...ROLE_NAMES]).toEqual(wordsOf(codes, "ROLE_"));
  expect(PROTOCOL_NAMES.length).toBe(wordsOf(codes, "PROTOCOL_").filter((word) => !word.endsWith("error")).length);
  expect(DIRECTION_NAMES.length).toBe(wordsOf(records, "LISTENER_").length);
});

test("outcomes and causes are the engine's, in its order", () => {
  expect([...SKIPPED_NAMES]).toEqual(engineWords("SKIPPED_"));
  expect([...HEDGE_NAMES]).toEqual(engineWords("HEDGE_"));
  expect([...UNHEDGED_NAMES]).toEqual(engineWords("UNHEDGED_"));
  expect([...OUTCOME_NAMES]).toEqual(
    engineWords("OUTCOME_").map((word) => (word === "status" ? "retried-status" : word)),
  );
});

test("versions", () => {
  expect([0, 10, 11, 20].map(versionName)).toEqual([undefined, "1.0", "1.1", "2.0"]);
});
