// Compiles the two WebAssembly modules with the AssemblyScript compiler, release and debug.
//
// Plain JavaScript, because it runs on whatever Node the host has, before anything is built.

import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const targets = process.argv.length > 2 ? process.argv.slice(2) : ["balancer", "engine"];

mkdirSync(join(root, "build/wasm"), { recursive: true });
for (const target of targets) {
  const asc = join(root, "node_modules/assemblyscript/bin/asc.js");
  // `testing-h2` is assembly/testing/h2.ts: one part of the engine with its insides exported, for unit tests.
  const part = target.startsWith("testing-") ? target.slice("testing-".length) : undefined;
  const args =
    part === undefined
      ? [`assembly/${target.replace("-debug", "")}/index.ts`, "--target", target]
      : [`assembly/testing/${part}.ts`, "--target", "engine-debug", "--outFile", `build/wasm/${target}.wasm`];
  const run = spawnSync(process.execPath, [asc, ...args], { cwd: root, stdio: "inherit" });
  if (run.status !== 0) process.exit(run.status ?? 1);
}
