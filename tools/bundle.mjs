// Joins src/ and the libraries that a sidecar loads into a few files: build/js/src/main.js and worker.js with what they
// share. 300 files fewer are found, read and compiled at each start, and what nobody uses of them (zod's languages) is
// not resident. Rolldown does it; commands and etcd's client stay chunks of their own, loaded when they are asked for.
//
// Names of functions and classes are kept, so that a stack in a log can be read; those of variables are not, and less
// has to be parsed. What is loaded by few commands only, or reads files beside itself, stays a package in node_modules.
// The licences of what is inside go along.

import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const output = join(root, "build/js/src");
const aside = `${output}.${process.pid}`;
const PACKAGE = /.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/;

/** Who imports node:process reads all of its fields, and the lazy ones load what they stand for: 3 ms of a start. */
const PROCESS = { name: "process", resolveId: resolveProcess, load: loadProcess };

const bundle = await rolldown({
  cwd: root,
  input: { main: "src/main.ts", worker: "src/dataplane/worker.ts" },
  platform: "node",
  external: [/^etcd3/, /^@grpc\//, /^undici/],
  plugins: [{ name: "examples", resolveId: keepExample }, PROCESS],
  // Our files do nothing by being imported, but for the two that are started.
  treeshake: { moduleSideEffects: [{ test: /\/(src|assembly)\//, sideEffects: false }] },
});
const minify = { compress: true, mangle: { keepNames: true, toplevel: false }, codegen: { removeWhitespace: true } };
const written = await bundle.write({ dir: aside, format: "esm", minify, entryFileNames: "[name].js" });
const modules = written.output.flatMap((chunk) => Object.keys(chunk.modules ?? {}));
writeFileSync(join(aside, "LICENSES.txt"), licensesOf(modules));
// Who loads a chunk meanwhile finds all of the old ones or all of the new ones.
rmSync(output, { recursive: true, force: true });
renameSync(aside, output);

/** The examples read protocol files beside themselves: the demo takes the compiled ones, in build/js/examples. */
function keepExample(specifier) {
  const example = /\/(examples\/.*)\.ts$/.exec(specifier)?.[1];
  return example === undefined ? undefined : { id: `../${example}.js`, external: "absolute" };
}

function resolveProcess(specifier) {
  return /^(node:)?process$/.test(specifier) ? "\0process" : undefined;
}

function loadProcess(id) {
  return id === "\0process" ? "module.exports = globalThis.process;" : undefined;
}

function licensesOf(files) {
  const folders = [...new Set(files.map((file) => PACKAGE.exec(file)?.[0]).filter((folder) => folder !== undefined))];
  return folders
    .sort()
    .map((folder) => {
      const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
      const text = file === undefined ? `Licence: ${license}` : readFileSync(join(folder, file), "utf8").trim();
      return `── ${name} ${version} ──\n\n${text}\n`;
    })
    .join("\n");
}
