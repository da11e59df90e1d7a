// The file of `--state`: whole or not at all, and nothing is believed that is not whole.

import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Log, silentLog } from "../../../src/base/index.ts";
import { MeshKeeper } from "../../../src/discovery/etcd/kept-mesh.ts";
import { createFakeClock, type FakeClock } from "../../support/fake-clock.ts";

const MESH = "etcd://h:2379/pillion";
const PAIRS = [["/pillion/services/users", "{}"]] as const;

let folder: string;
let clock: FakeClock;
let warnings: string[];
const log: Log = { ...silentLog, warn: (_, message) => void warnings.push(message) };

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "pillion-kept-"));
  clock = createFakeClock();
  warnings = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const keeperOf = (mesh = MESH, inside = folder) => new MeshKeeper({ folder: inside, mesh, clock, log });

test("a burst of changes is one write, of the newest, for its owner alone", async () => {
  const keeper = keeperOf(MESH, join(folder, "made", "here"));
  expect(await keeper.read()).toBeUndefined();
  const reads: number[] = [];
  for (const revision of [1, 2, 3]) {
    keeper.changed(() => {
      reads.push(revision);
      return { revision, pairs: PAIRS };
    });
  }
  await clock.pass(1_000);
  await keeper.stop();
  expect(reads).toEqual([3]);
  expect(await keeper.read()).toMatchObject({ revision: 3, savedAtMs: 1_700_000_001_000, pairs: PAIRS });
  expect(readdirSync(join(folder, "made", "here"))).toEqual(["mesh.json"]);
  expect(statSync(join(folder, "made", "here", "mesh.json")).mode & 0o777).toBe(0o600);
  expect(warnings).toEqual([]);
});

test("stopping writes what is not written yet", async () => {
  const keeper = keeperOf();
  keeper.changed(() => ({ revision: 7, pairs: PAIRS }));
  await keeper.stop();
  expect(await keeper.read()).toMatchObject({ revision: 7 });
});

test("what is cut short, of another form or of another mesh is ignored, and the log says why", async () => {
  const whole = JSON.stringify({ version: 1, mesh: MESH, savedAtMs: 1, revision: 1, pairs: PAIRS });
  const path = join(folder, "mesh.json");
  for (let length = 0; length < whole.length; length += 1) {
    writeFileSync(path, whole.slice(0, length));
    expect(await keeperOf().read()).toBeUndefined();
  }
  expect(warnings).toHaveLength(whole.length);
  for (const [change, problem] of [
    [{ version: 2 }, "its version is 2, not 1"],
    [{ mesh: "etcd://other" }, `it is of etcd://other, not of ${MESH}`],
    [{ pairs: [["/pillion/mesh"]] }, "something in it is missing"],
    [{ revision: "1" }, "something in it is missing"],
  ] as const) {
    writeFileSync(path, JSON.stringify({ ...JSON.parse(whole), ...change }));
    expect(await keeperOf().read()).toBeUndefined();
    expect(warnings.at(-1)).toBe(`the kept mesh is ignored: ${problem}`);
  }
  writeFileSync(path, whole);
  expect(await keeperOf().read()).toMatchObject({ revision: 1 });
});

test("a folder that cannot be written is told once, and harms nobody", async () => {
  writeFileSync(join(folder, "file"), "");
  const keeper = keeperOf(MESH, join(folder, "file"));
  for (const revision of [1, 2]) {
    keeper.changed(() => ({ revision, pairs: PAIRS }));
    await clock.pass(1_000);
    await keeper.stop();
  }
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(/^the mesh cannot be kept: /);
});
