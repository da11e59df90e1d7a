// The table of reasons: total over the engine's numbers, fit for the wire, and the engine's copy of it fresh.

import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import * as codes from "../../../assembly/abi/engine-codes.ts";
import { REASONS, reasonOf } from "../../../src/telemetry/reasons.ts";

const numbers = Object.entries(codes).filter(([name]) => name.startsWith("REASON_")) as [string, number][];

test("every REASON_ of the engine has the row of its name, and no row is left over", () => {
  for (const [name, code] of numbers) {
    expect(reasonOf(code).text).toBe(name.slice("REASON_".length).toLowerCase().replaceAll("_", "-"));
  }
  expect(REASONS.length).toBe(numbers.length);
  expect(REASONS.length).toBeLessThanOrEqual(codes.REASONS_COUNT);
});

test("texts and messages go into JSON and grpc-message as they are", () => {
  for (const reason of REASONS) {
    expect(JSON.stringify(reason.message)).toBe(`"${reason.message}"`);
    expect(reason.message).toMatch(/^[ -~]{0,255}$/);
    expect(reason.message).not.toContain("%");
  }
});

test("answers have an error status, and gRPC never hears OK", () => {
  for (const reason of REASONS.slice(1)) {
    expect(reason.status).toBeGreaterThanOrEqual(400);
    expect(reason.grpcStatus).toBeGreaterThan(0);
  }
});

test("an unknown number is a bug", () => {
  expect(() => reasonOf(REASONS.length)).toThrow(RangeError);
});

test("the engine's copy is fresh", () => {
  const run = spawnSync(process.execPath, ["tools/generate-reasons.mjs", "--check"], { encoding: "utf8" });
  expect(run.stderr).toBe("");
  expect(run.status).toBe(0);
});
