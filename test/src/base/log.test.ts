// Lines are JSON with facts and errors; a reader that is gone neither blocks nor kills us.

import { closeSync, openSync } from "node:fs";
import { devNull } from "node:os";
import { expect, test } from "vitest";
import { pillionError } from "../../../src/base/errors.ts";
import { createLog, silentLog } from "../../../src/base/log.ts";

function collect() {
  const lines: Record<string, unknown>[] = [];
  return { lines, stream: { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) } };
}

test("a line holds level, time, message and fields; an error its code and stack", () => {
  const { lines, stream } = collect();
  const log = createLog({ level: "info", stream });
  log.child({ worker: 1 }).warn({ port: 80 }, "taken");
  log.error({ error: pillionError("PILLION_LISTEN", { address: "a:80", problem: "in use" }) }, "cannot start");
  expect(lines[0]).toMatchObject({
    level: "warn",
    worker: 1,
    port: 80,
    msg: "taken",
    time: expect.stringMatching(/Z$/),
  });
  expect(lines[1]).toMatchObject({ level: "error", error: { code: "PILLION_LISTEN", stack: expect.any(String) } });
});

test("the level can be changed while running", () => {
  const { lines, stream } = collect();
  const log = createLog({ level: "warn", stream });
  log.info({}, "not heard");
  log.level = "debug";
  log.debug({}, "heard");
  expect(lines.map(({ msg }) => msg)).toEqual(["heard"]);
  expect(log.level).toBe("debug");
});

test("a descriptor that cannot be written costs lines, not the process", async () => {
  const descriptor = openSync(devNull, "r");
  const log = createLog({ level: "info", descriptor });
  log.info({}, "into the void");
  await expect.poll(() => log.droppedCount).toBeGreaterThan(0);
  closeSync(descriptor);
});

test("the silent log takes everything", () => {
  silentLog.child({}).error({}, "nothing");
});
