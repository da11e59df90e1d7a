// What is compiled: two Wasm modules and the TypeScript, each only when a source is newer than its output.
//
// An output gets the time of its newest source at the moment the build began, so a file saved meanwhile leads to
// another build and not to a stale output. Wasm runs from build/wasm, JavaScript from build/js.

import { copyFileSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root, step } from "./shell.mjs";

const WASM_MODULES = ["balancer", "engine"];
const JS_STAMP = "build/js/.stamp";

/** Builds whatever is older than its sources. */
export function build(node) {
  buildWasm(node);
  buildTypeScript(node);
}

function buildWasm(node) {
  const newest = newestOf(["assembly", "asconfig.json", "tools/build-wasm.mjs"], /\.(ts|json|mjs)$/, /\/testing\//);
  const stale = WASM_MODULES.filter((name) => timeOf(`build/wasm/${name}.wasm`) < newest);
  if (stale.length === 0) return;
  step(`built ${stale.map((name) => `${name}.wasm`).join(" and ")}`, node, ["tools/build-wasm.mjs", ...stale]);
  for (const name of stale) touch(`build/wasm/${name}.wasm`, newest);
}

function buildTypeScript(node) {
  const tools = ["tsconfig.json", "tools/tsconfig.build.json", "tools/bundle.mjs", "package.json"];
  const newest = newestOf(["src", "examples", "assembly/abi", ...tools], /\.(ts|mjs|json|proto|yaml)$/);
  if (timeOf(JS_STAMP) >= newest) return;
  step("built TypeScript", node, ["node_modules/typescript/bin/tsc", "-p", "tools/tsconfig.build.json"]);
  step("bundled", node, ["tools/bundle.mjs"]);
  // What the examples read beside their code: protocol files and meshes.
  for (const file of filesOf("examples")) if (/\.(proto|yaml)$/.test(file)) copyInto("build/js", file);
  writeFileSync(join(root, JS_STAMP), "");
  touch(JS_STAMP, newest);
}

function copyInto(folder, file) {
  const target = join(root, folder, file);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(join(root, file), target);
}

/** Time of the latest change among files and folders; rounded up, because `utimes` keeps less than `stat` shows. */
function newestOf(paths, wanted, unwanted = /^$/) {
  let newest = 0;
  for (const file of paths.flatMap(filesOf)) {
    if (wanted.test(file) && !unwanted.test(file)) newest = Math.max(newest, timeOf(file));
  }
  return Math.ceil(newest);
}

/** All files below a path; the path itself if it is a file. */
function filesOf(path) {
  const stats = statSync(join(root, path), { throwIfNoEntry: false });
  if (stats === undefined) return [];
  if (!stats.isDirectory()) return [path];
  return readdirSync(join(root, path)).flatMap((name) => filesOf(`${path}/${name}`));
}

function timeOf(path) {
  return statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs ?? -1;
}

function touch(path, timeMs) {
  utimesSync(join(root, path), new Date(timeMs), new Date(timeMs));
}
