// Testing modules: one part of the engine, debug build, with its insides exported (assembly/testing/<part>.ts).
//
// A module is built when it is missing or older than any source; test files run in parallel forks, so one of them
// builds and the others wait for it. A failed `assert` inside becomes an Error that names the file and the line.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const outputFolder = join(root, "build/wasm");
/** asconfig.json's pages of the engine. */
const MEMORY_PAGES = 4096;
/** How long to wait between two looks at somebody else's build. */
const LOCK_POLL_MS = 50;

/** An instance of a testing module. `exports` is typed by the caller: assembly is not TypeScript. */
export interface TestingModule<Exports> {
  readonly exports: Exports;
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
}

/** Builds `assembly/testing/<part>.ts` if need be and instantiates it; `imports` are modules besides `env`. */
export async function loadTestingModule<Exports>(
  part: string,
  imports: WebAssembly.Imports = {},
): Promise<TestingModule<Exports>> {
  return instantiateTestingModule(await compileTestingModule(part), imports);
}

/** Builds and compiles only: who needs many instances makes them of one module. */
export async function compileTestingModule(part: string): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await buildTestingModule(part));
}

/** One change of a source: `from` stands in it exactly once. */
export interface Mutation {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/**
 * The module of changed sources: a planted bug, which tests must find. Compiled in a folder of its own, so nothing else
 * sees it, and kept there until a source changes.
 */
export async function compileMutant(part: string, { file, from, to }: Mutation): Promise<WebAssembly.Module> {
  const key = createHash("sha256")
    .update(JSON.stringify([part, file, from, to]))
    .digest("hex")
    .slice(0, 16);
  const folder = join(root, "build/mutants", key);
  const output = join(folder, `${part}.wasm`);
  const newest = newestSource(join(root, "assembly"));
  if (statSync(output, { throwIfNoEntry: false })?.mtimeMs !== newest) {
    rmSync(folder, { recursive: true, force: true });
    cpSync(join(root, "assembly"), join(folder, "assembly"), { recursive: true });
    cpSync(join(root, "asconfig.json"), join(folder, "asconfig.json"));
    const text = readFileSync(join(folder, file), "utf8");
    if (text.split(from).length !== 2) throw new Error(`${file} does not hold exactly once: ${from}`);
    writeFileSync(
      join(folder, file),
      text.replace(from, () => to),
    );
    const args = [`assembly/testing/${part}.ts`, "--target", "engine-debug", "--outFile", output];
    const asc = join(root, "node_modules/assemblyscript/bin/asc.js");
    const run = spawnSync(process.execPath, [asc, ...args], { cwd: folder, encoding: "utf8" });
    if (run.status !== 0) throw new Error(`the mutant does not compile:\n${run.stdout}${run.stderr}`);
    utimesSync(output, new Date(newest), new Date(newest));
  }
  return WebAssembly.compile(readFileSync(output));
}

/** A fresh instance over fresh memory. */
export function instantiateTestingModule<Exports>(
  compiled: WebAssembly.Module,
  imports: WebAssembly.Imports = {},
): TestingModule<Exports> {
  const memory = new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES });
  const buffer = memory.buffer as ArrayBuffer;
  const view = new DataView(buffer);
  const env = {
    memory,
    abort(message: number, file: number, line: number, column: number): never {
      throw new Error(`${readText(view, message)} at ${readText(view, file)}:${line}:${column}`);
    },
    trace(message: number, count: number, ...values: number[]): void {
      process.stderr.write(`${readText(view, message)} ${values.slice(0, count).join(" ")}\n`);
    },
  };
  const instance = new WebAssembly.Instance(compiled, { ...imports, env: { ...env, ...imports.env } });
  return { exports: instance.exports as Exports, memory, bytes: new Uint8Array(buffer), view };
}

async function buildTestingModule(part: string): Promise<Uint8Array<ArrayBuffer>> {
  const output = join(outputFolder, `testing-${part}.wasm`);
  const lock = join(outputFolder, `testing-${part}.lock`);
  mkdirSync(outputFolder, { recursive: true });
  await acquireLock(lock);
  try {
    const newest = newestSource(join(root, "assembly"));
    const built = statSync(output, { throwIfNoEntry: false });
    if (built === undefined || built.mtimeMs < newest) {
      const run = spawnSync(process.execPath, [join(root, "tools/build-wasm.mjs"), `testing-${part}`], {
        cwd: root,
        encoding: "utf8",
      });
      if (run.status !== 0) {
        rmSync(output, { force: true });
        throw new Error(`testing-${part} does not compile:\n${run.stdout}${run.stderr}`);
      }
      // The sources as they were when the build began: what was saved meanwhile makes the next load build again.
      utimesSync(output, new Date(newest), new Date(newest));
    }
    return readFileSync(output);
  } finally {
    rmSync(lock, { force: true });
  }
}

/** Creates the lock file, waiting while a living process holds it. */
async function acquireLock(lock: string): Promise<void> {
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    if (isAbandoned(lock)) rmSync(lock, { force: true });
    else await pause(LOCK_POLL_MS);
  }
}

function isAbandoned(lock: string): boolean {
  try {
    const owner = Number(readFileSync(lock, "utf8"));
    if (owner === 0) return false; // created a moment ago, its owner not yet written
    process.kill(owner, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** Time of the latest change below `folder`, rounded up to what `utimes` keeps. */
function newestSource(folder: string): number {
  let newest = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    newest = Math.max(newest, statSync(join(entry.parentPath, entry.name)).mtimeMs);
  }
  return Math.ceil(newest);
}

/** A string of AssemblyScript: UTF-16, its length in bytes 4 bytes before. */
function readText(view: DataView, ptr: number): string {
  if (ptr === 0) return "trap";
  const length = view.getUint32(ptr - 4, true);
  let text = "";
  for (let at = 0; at < length; at += 2) text += String.fromCharCode(view.getUint16(ptr + at, true));
  return text;
}
