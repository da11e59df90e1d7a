// Compiles the two WebAssembly modules with the AssemblyScript compiler, release and debug.
//
// Plain JavaScript, because it runs on whatever Node the host has, before anything is built. A module is written aside
// and renamed, so that who loads it meanwhile sees the old one or the new one, never half of one.

import { spawnSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const targets = process.argv.length > 2 ? process.argv.slice(2) : ["balancer", "engine"];

mkdirSync(join(root, "build/wasm"), { recursive: true });
for (const target of targets) {
  const asc = join(root, "node_modules/assemblyscript/bin/asc.js");
  // `testing-h2` is assembly/testing/h2.ts: one part of the engine with its insides exported, for unit tests.
  const part = target.startsWith("testing-") ? target.slice("testing-".length) : undefined;
  const aside = `build/wasm/${target}.${process.pid}`;
  const args =
    part === undefined
      ? [`assembly/${target.replace("-debug", "")}/index.ts`, "--target", target]
      : [`assembly/testing/${part}.ts`, "--target", "engine-debug"];
  const run = spawnSync(process.execPath, [asc, ...args, "--outFile", `${aside}.wasm`], {
    cwd: root,
    stdio: "inherit",
  });
  if (run.status === 0) renameSync(join(root, `${aside}.wasm`), join(root, `build/wasm/${target}.wasm`));
  // asc also leaves JavaScript bindings, which nothing here uses.
  for (const ending of ["wasm", "js", "d.ts"]) rmSync(join(root, `${aside}.${ending}`), { force: true });
  if (run.status !== 0) process.exit(run.status ?? 1);
}
