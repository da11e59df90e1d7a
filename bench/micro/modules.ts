// Release builds of testing modules (assembly/testing/<part>.ts): their loops run inside of Wasm, so that no call of
// JavaScript is measured.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { instantiateTestingModule, type TestingModule } from "../../test/support/wasm.ts";
import { PROJECT } from "../system/process.ts";

/** Compiles one with the engine's release options. */
export function buildModule(part: string): WebAssembly.Module {
  const output = join(PROJECT, `build/wasm/bench-${part}.wasm`);
  mkdirSync(join(PROJECT, "build/wasm"), { recursive: true });
  const asc = join(PROJECT, "node_modules/assemblyscript/bin/asc.js");
  const words = [asc, `assembly/testing/${part}.ts`, "--target", "engine", "--outFile", output];
  const run = spawnSync(process.execPath, words, { cwd: PROJECT, stdio: "pipe", encoding: "utf8" });
  if (run.status !== 0) {
    throw new Error(`assembly/testing/${part}.ts does not compile:\n${run.stderr}`);
  }
  return new WebAssembly.Module(readFileSync(output));
}

/** Builds and instantiates one; `Exports` is typed by the caller. */
export function loadModule<Exports>(part: string, imports: WebAssembly.Imports = {}): TestingModule<Exports> {
  return instantiateTestingModule<Exports>(buildModule(part), imports);
}
