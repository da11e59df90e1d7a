// docs/ERRORS.md says what the tables say.

import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

test("docs/ERRORS.md is fresh", () => {
  const run = spawnSync(process.execPath, ["tools/generate-errors.mjs", "--check"], { encoding: "utf8" });
  expect(run.stderr).toBe("");
  expect(run.status).toBe(0);
});
