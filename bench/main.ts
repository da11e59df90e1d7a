// `npm run bench`: lists the benchmarks under bench/, or runs those that are named.
//
//   npm run bench                 what there is
//   npm run bench -- route h1     these, one after the other
//
// A benchmark is a program of its own that prints its own table; its header says what it measures.

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join, relative } from "node:path";

const folder = import.meta.dirname;
const programs = new Map(
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts") && entry.name !== "main.ts")
    .map((entry) => [basename(entry.name, ".ts"), join(entry.parentPath, entry.name)]),
);

/** The first sentence of a program's header. */
function describe(path: string): string {
  const lines = readFileSync(path, "utf8").split("\n");
  const header = lines.slice(
    0,
    lines.findIndex((line) => !line.startsWith("// ")),
  );
  return header.map((line) => line.slice(3)).join(" ");
}

const names = process.argv.slice(2);
const unknown = names.filter((name) => !programs.has(name));
if (unknown.length > 0) process.stderr.write(`no benchmark is called ${unknown.join(", ")}\n`);
if (names.length === 0 || unknown.length > 0) {
  for (const [name, path] of programs) process.stdout.write(`${name.padEnd(12)} ${describe(path)}\n`);
  process.exit(unknown.length > 0 ? 2 : 0);
}
for (const name of names) {
  const path = programs.get(name) ?? "";
  process.stdout.write(`── ${relative(process.cwd(), path)}\n`);
  const run = spawnSync(process.execPath, [path], { stdio: "inherit" });
  if (run.status !== 0) process.exit(run.status ?? 1);
}
