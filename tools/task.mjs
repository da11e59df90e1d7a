// One entry for every npm script: it sets up what is missing, then runs what was asked for.
//
//   node tools/task.mjs build | check | test [files…] | demo [--once] | fuzz […] | bench […] | sim balance | run […]
//
// On a bare machine there is only Node and npm. So this file and its neighbours are plain JavaScript without
// dependencies, fit for any Node from 18 on; everything after the set-up runs under the pinned Node 26, which arrives
// as an optional dependency. Nothing is done twice: packages are compared with the lock file, outputs with sources.

import { build } from "./task/build.mjs";
import { install } from "./task/install.mjs";
import { findRuntime } from "./task/runtime.mjs";
import { run, TaskError } from "./task/shell.mjs";
import { check, conclude, test } from "./task/steps.mjs";

const USAGE = `usage: node tools/task.mjs <task> [arguments]

  build         packages, both Wasm modules, TypeScript
  check         types, lint, and the house rules
  test [files]  everything: rules, types, lint, tests, examples, demo --once; with files, only those tests
  demo [--once] a whole mesh on this host
  fuzz […]      hostile bytes for as long as asked: fuzz --minutes 10
  bench […]     Pillion beside the proxies that this host has
  sim balance   the balancer's policies in simulated meshes
  image <dir>   what the container image holds, put together in a folder
  run […]       pillion itself, with the arguments that follow: run version
`;

/** What the other tasks start, under the pinned Node, once everything is built. */
const PROGRAMS = {
  demo: ["build/js/src/main.js", "demo"],
  fuzz: ["test/fuzz/run.ts"],
  bench: ["bench/main.ts"],
  sim: ["sim/main.ts"],
  image: ["tools/image.mjs"],
  run: ["build/js/src/main.js"],
};

/** Packages, then the Node that runs the product. */
function prepare() {
  install();
  return findRuntime();
}

/** Resolves with the exit code. */
async function carryOut(task, args) {
  if (task === "check") return check(prepare());
  if (task !== "build" && task !== "test" && !Object.hasOwn(PROGRAMS, task)) {
    process.stderr.write(USAGE);
    return 2;
  }
  const node = prepare();
  build(node);
  if (task === "build") return 0;
  if (task === "test") return test(node, args);
  return run(node, [...PROGRAMS[task], ...args], { isInterruptIgnored: true });
}

const [task = "", ...rest] = process.argv.slice(2);
try {
  process.exitCode = await carryOut(task, rest[0] === "--" ? rest.slice(1) : rest);
} catch (error) {
  if (!(error instanceof TaskError)) throw error;
  process.stderr.write(`${error.message.trimEnd()}\n`);
  // Nothing ran, and the closing line must say so: who reads it may not look at the exit code.
  process.exitCode = task === "test" ? conclude({ passed: 0, failed: 1, skipped: 0, notes: [] }) : 1;
}
