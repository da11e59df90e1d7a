// Finds and compiles the two Wasm modules, once per process; threads get the compiled module by message.
//
// The same code runs from src/ (types stripped) and from build/js/src/, so the files are searched upwards from here.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf, pillionError } from "../base/index.ts";

/** build/wasm/<name>.wasm. */
export type ModuleName = "balancer" | "engine" | "balancer-debug" | "engine-debug";

/** What a worker thread needs to have an engine: two compiled modules and the shared memory, all by reference. */
export interface WorkerModules {
  readonly balancer: WebAssembly.Module;
  readonly engine: WebAssembly.Module;
  readonly balancerMemory: WebAssembly.Memory;
}

/** Compiles build/wasm/<name>.wasm; throws PILLION_WASM when it is missing or refused. */
export function loadModule(name: ModuleName): WebAssembly.Module {
  const path = findModule(name);
  try {
    return new WebAssembly.Module(readFileSync(path));
  } catch (error) {
    throw pillionError("PILLION_WASM", { module: path, problem: messageOf(error) }, error);
  }
}

function findModule(name: ModuleName): string {
  const relative = join("build", "wasm", `${name}.wasm`);
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const path = join(folder, relative);
    if (existsSync(path)) return path;
    const parent = dirname(folder);
    if (parent === folder) {
      throw pillionError("PILLION_WASM", { module: relative, problem: "no such file; run `npm run build`" });
    }
    folder = parent;
  }
}
