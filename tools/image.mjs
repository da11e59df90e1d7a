// Puts together what the container image holds, with or without a container builder: `npm run image -- <folder>`.
//
//   <folder>/pillion/bin/node           the pinned Node, alone
//   <folder>/pillion/build/js, wasm     what was built; the examples, which the demo and the sample run
//   <folder>/pillion/node_modules       production packages, as package-lock.json says
//
// deploy/Dockerfile copies the result onto a base with nothing but a C library. Nothing in it is written at run time.

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const WASM_MODULES = ["balancer.wasm", "engine.wasm"];
const FILES = ["package.json", "LICENSE", "build/js"];
/** In packages: what is for people and compilers only, and the Node binary, which has its own place. */
const NEEDLESS = /\.(d\.[cm]?ts|map|md|markdown)$/i;
const RUNTIME = /^node_modules\/node-linux-/;

/** Folders of the packages that the product runs with. */
function productionPackages() {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  return Object.entries(packages)
    .filter(([path, { dev, devOptional, optional, peer }]) => path !== "" && !dev && !devOptional && !optional && !peer)
    .map(([path]) => path)
    .filter((path) => !RUNTIME.test(path));
}

function assemble(folder) {
  const target = join(folder, "pillion");
  if (existsSync(target) && readdirSync(target).length > 0) rmSync(target, { recursive: true });
  const copy = (from, to = from) => {
    mkdirSync(dirname(join(target, to)), { recursive: true });
    cpSync(join(root, from), join(target, to), { recursive: true, dereference: true });
  };
  for (const path of FILES) copy(path);
  for (const name of WASM_MODULES) copy(`build/wasm/${name}`);
  copy(`node_modules/node-linux-${process.arch}/bin/node`, "bin/node");
  copy(`node_modules/node-linux-${process.arch}/LICENSE`, "bin/node.LICENSE");
  for (const path of productionPackages()) {
    // Its own packages inside of it have entries of their own.
    cpSync(join(root, path), join(target, path), {
      recursive: true,
      filter: (source) =>
        !NEEDLESS.test(source) && (source === join(root, path) || basename(source) !== "node_modules"),
    });
  }
  return target;
}

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  process.stderr.write("usage: npm run image -- <folder>\n");
  process.exitCode = 2;
} else {
  process.stdout.write(`${assemble(folder)}\n`);
}
