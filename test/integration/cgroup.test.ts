// `--workers auto` follows the container's CPU quota (cgroup v2, cpu.max). Shown without a container's rights: in a
// mount namespace of its own the process finds a cgroup that the test wrote.

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startProgram, waitUntil } from "../support/process.ts";
import { createMesh } from "../support/sidecar.ts";
import { projectRoot } from "../support/source.ts";

/** Puts the folder in the place of the cgroup, of this very process; then becomes the program. */
const ENTER = 'mount --bind "$0/cgroup" /proc/$$/cgroup && mount --bind "$0/controllers" /sys/fs/cgroup && exec "$@"';

/** Skips where a process may not have mounts of its own. */
function requireMounts(context: { skip(note?: string): never }): void {
  if (process.platform !== "linux" || process.getuid?.() !== 0) context.skip("mounts of its own need root on Linux");
  const { status, stderr } = spawnSync("unshare", ["-m", "true"], { encoding: "utf8" });
  if (status !== 0) context.skip(`this host allows no mount namespaces: ${stderr?.trim() ?? "no unshare"}`);
}

/** Workers of a sidecar that runs under this `cpu.max`. */
async function countWorkers(quota: string): Promise<number> {
  await using mesh = createMesh({ services: { web: { instances: [{ id: "a", address: "127.0.0.1:1" }] } } });
  const controllers = join(mesh.folder, "controllers");
  mkdirSync(controllers);
  // As the kernel writes them in the root of a container's cgroup namespace; without `cpu` here nobody looks further.
  writeFileSync(join(mesh.folder, "cgroup"), "0::/\n");
  writeFileSync(join(controllers, "cgroup.controllers"), "cpuset cpu io memory pids\n");
  writeFileSync(join(controllers, "cpu.max"), `${quota}\n`);
  writeFileSync(join(controllers, "cpu.weight"), "100\n");
  const ports = ["outbound", "admin", "probe"].flatMap((name) => [`--${name}`, "127.0.0.1:0"]);
  const run = [process.execPath, join(projectRoot, "src/main.ts"), "run", "--mesh", mesh.url, ...ports];
  const args = ["-m", "sh", "-c", ENTER, mesh.folder, ...run, "--workers", "auto"];
  await using program = startProgram("unshare", args);
  await program.waitForLine(/"msg":"ready"/);
  const tasks = `/proc/${program.pid}/task`;
  const names = () => readdirSync(tasks).map((task) => readFileSync(join(tasks, task, "comm"), "utf8"));
  const workers = () => names().filter((name) => name.startsWith("data plane")).length;
  await waitUntil("a worker runs", () => workers() > 0);
  return workers();
}

test("--workers auto: as many as the CPU quota pays for, rounded down, one at least", async (context) => {
  requireMounts(context);
  expect(await countWorkers("max 100000")).toBe(availableParallelism());
  expect(await countWorkers("150000 100000")).toBe(1);
  expect(await countWorkers("50000 100000")).toBe(1);
});
