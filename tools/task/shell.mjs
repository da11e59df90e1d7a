// Running other programs, and saying what happens in one short line each.
//
// A step prints its name while it works and its time when it is done; what the program wrote is shown only when it
// failed. The lines are for people and carry no meaning that a script should read.

import { spawn, spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's folder: every program runs there, whatever the caller's directory is. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Prints a line about the set-up; to stderr, so that the output of what follows stays clean. */
export function say(text) {
  process.stderr.write(`${text}\n`);
}

/** The set-up cannot go on; the message says what to do. Caught in tools/task.mjs only. */
export class TaskError extends Error {}

/** Gives up with a message: nothing after it could work. */
export function fail(text) {
  throw new TaskError(text);
}

/** Runs a program quietly; its output appears only when it fails, and then the task gives up. */
export function step(label, program, args, { remedy = "", env = process.env } = {}) {
  const startMs = Date.now();
  const result = spawnSync(program, args, { cwd: root, encoding: "utf8", maxBuffer: 2 ** 28, env });
  if (result.error !== undefined) fail(`${label}: ${program} cannot be run (${result.error.message})\n${remedy}`);
  if (result.status !== 0) {
    const ending = result.signal === null ? `exit ${result.status}` : result.signal;
    fail(`${result.stdout}${result.stderr}\n${label} failed (${ending}). ${remedy}`);
  }
  say(`${label} (${((Date.now() - startMs) / 1000).toFixed(1)} s)`);
}

/** Runs a program in this terminal; resolves with its exit code (128 + n for a signal, as shells do). */
export function run(program, args, { isInterruptIgnored = false, env = process.env } = {}) {
  return new Promise((resolve) => {
    // Ctrl-C reaches the whole foreground group: the child ends in its own way, and we wait for that.
    const ignore = () => {};
    const signals = isInterruptIgnored ? ["SIGINT", "SIGTERM", "SIGHUP"] : [];
    const child = spawn(program, args, { cwd: root, stdio: "inherit", env });
    const forward = (signal) => child.kill(signal);
    for (const signal of signals) process.on(signal, signal === "SIGINT" ? ignore : forward);
    const end = (code) => {
      for (const signal of signals) process.off(signal, signal === "SIGINT" ? ignore : forward);
      resolve(code);
    };
    child.on("error", (error) => {
      say(`${program} cannot be run: ${error.message}`);
      end(1);
    });
    child.on("close", (code, signal) => end(code ?? (signal === "SIGINT" ? 130 : 143)));
  });
}
