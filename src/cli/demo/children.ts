// The demo's child processes: servers and sidecars, each in a process group of its own.
//
// Ctrl-C reaches a terminal's whole foreground group; children in their own groups do not see it, so the demo can end
// them in order: traffic first, then sidecars, then servers. The example servers also end when the demo vanishes,
// because their IPC channel closes. Every line that a child writes is kept, to be shown if it ends unasked.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { pillionError } from "../../base/index.ts";

/** How long a child may take to become ready: fifteen of them start at once on perhaps two cores. */
const READY_TIMEOUT_MS = 60_000;
/** How long a child may take to end before it is killed. */
const STOP_TIMEOUT_MS = 10_000;
/** Lines of a child that are kept for a message. */
const LINES_KEPT = 40;

export interface Child {
  readonly name: string;
  /** The first line, past or future, for which `parse` yields something. */
  waitForLine<T>(parse: (line: string) => T | undefined): Promise<T>;
  /** Ends it; true when it ended by itself with exit 0. */
  stop(): Promise<boolean>;
  /** Rejects when it ends without having been asked to. */
  readonly failed: Promise<never>;
}

const running = new Set<ChildProcess>();
// Whatever way the demo ends, nothing stays behind.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Starts a child under the Node that runs the demo. */
export function startChild(name: string, args: readonly string[]): Child {
  const child = spawn(process.execPath, [...process.execArgv, ...args], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  running.add(child);
  const lines: string[] = [];
  const watchers = new Set<() => void>();
  let isStopping = false;
  let hasEnded = false;
  const problem = (what: string) =>
    pillionError("PILLION_UNCLASSIFIED", { problem: `${name} ${what}\n${lines.join("\n")}` });
  const { promise: ended, resolve: end } = Promise.withResolvers<boolean>();
  const { promise: failed, reject: fail } = Promise.withResolvers<never>();
  failed.catch(() => undefined); // whoever cares awaits it as well
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      for (const watch of [...watchers]) watch();
      if (lines.length > LINES_KEPT) lines.shift();
    });
  }
  const finish = (isClean: boolean, what: string) => {
    hasEnded = true;
    running.delete(child);
    end(isClean);
    if (!isStopping) fail(problem(what));
  };
  child.on("error", (error) => finish(false, `cannot be started: ${error.message}`));
  child.on("close", (code, signal) => finish(code === 0, `ended with ${signal ?? `exit ${code}`}`));

  return {
    name,
    failed,
    waitForLine(parse) {
      const { promise, resolve, reject } = Promise.withResolvers<NonNullable<ReturnType<typeof parse>>>();
      const watch = () => {
        const found = lines.map(parse).find((value) => value !== undefined);
        if (found !== undefined && found !== null) resolve(found);
      };
      const timer = setTimeout(() => reject(problem("does not become ready")), READY_TIMEOUT_MS);
      watchers.add(watch);
      watch();
      return Promise.race([promise, failed]).finally(() => {
        clearTimeout(timer);
        watchers.delete(watch);
      });
    },
    async stop() {
      isStopping = true;
      if (!hasEnded) await endGently(child, ended);
      return ended;
    },
  };
}

async function endGently(child: ChildProcess, ended: Promise<boolean>): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}
