// Child processes in tests: started, watched by their lines, ended by their own pid.
//
//   await using server = startProgram(node, ["examples/http/server.ts", "--listen", "127.0.0.1:0"]);
//   const [, address] = await server.waitForLine(/^listening on (.+)$/);
//
// Nothing outlives its test: `await using` stops it, and what a crashed test leaves behind ends with this process.

import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { projectRoot } from "./source.ts";

/** How long a program may take to say what a test waits for; generous, two cores run everything. */
const LINE_TIMEOUT_MS = 20_000;
/** How long a program may take to end after SIGTERM before it is killed and the test fails. */
const STOP_TIMEOUT_MS = 20_000;

/** How a program ended: an exit code, or the signal that ended it. */
export interface Ending {
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
}

export interface Program extends AsyncDisposable {
  readonly pid: number;
  /** Everything it wrote to stdout and stderr so far, by lines, in order of arrival. */
  readonly lines: readonly string[];
  readonly ended: Promise<Ending>;
  readonly isRunning: boolean;
  /** The first line, past or future, that matches; rejects when the program ends without it. */
  waitForLine(pattern: RegExp): Promise<RegExpExecArray>;
  /** Sends a signal. */
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, then how it ended; SIGKILL and an error when it does not. */
  stop(): Promise<Ending>;
}

const running = new Set<ChildProcess>();
const killAll = () => {
  for (const child of running) child.kill("SIGKILL");
};
process.on("exit", killAll);
// How vitest ends a worker that is done, or that hangs: neither runs the listeners of `exit`.
process.on("disconnect", killAll);
process.on("SIGTERM", () => {
  killAll();
  process.exit(143);
});

/** Starts a program in the project's folder. */
export function startProgram(
  command: string,
  args: readonly string[],
  { env = {}, cwd = projectRoot, user }: { env?: NodeJS.ProcessEnv; cwd?: string; user?: number } = {},
): Program {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    ...(user === undefined ? {} : { uid: user, gid: user }),
  });
  running.add(child);
  const lines: string[] = [];
  const listeners = new Set<() => void>();
  const wake = () => {
    for (const listener of [...listeners]) listener();
  };
  let ending: Ending | undefined;
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      wake();
    });
  }
  const ended = new Promise<Ending>((resolve) => {
    const end = (code: number | null, signal: NodeJS.Signals | null) => {
      running.delete(child);
      ending ??= { code: code ?? undefined, signal: signal ?? undefined };
      resolve(ending);
      wake();
    };
    child.on("error", (error) => {
      lines.push(error.message);
      end(127, null);
    });
    child.on("close", end);
  });
  const describe = () => `${command} ${args.join(" ")}\n${lines.join("\n")}`;

  const program: Program = {
    pid: child.pid ?? -1,
    lines,
    ended,
    get isRunning() {
      return ending === undefined;
    },
    waitForLine: (pattern) =>
      waitForLine(pattern, { lines, listeners, describe, hasEnded: () => ending !== undefined }),
    signal: (signal) => void child.kill(signal),
    async stop() {
      if (ending !== undefined) return ending;
      child.kill("SIGTERM");
      let isKilled = false;
      const timer = setTimeout(() => {
        isKilled = true;
        child.kill("SIGKILL");
      }, STOP_TIMEOUT_MS);
      const result = await ended;
      clearTimeout(timer);
      if (isKilled) throw new Error(`did not end after SIGTERM: ${describe()}`);
      return result;
    },
    async [Symbol.asyncDispose]() {
      await program.stop();
    },
  };
  return program;
}

interface Lines {
  readonly lines: readonly string[];
  /** Called after each new line and at the end. */
  readonly listeners: Set<() => void>;
  readonly hasEnded: () => boolean;
  readonly describe: () => string;
}

function waitForLine(pattern: RegExp, { lines, listeners, hasEnded, describe }: Lines): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    const settle = (action: () => void) => {
      clearTimeout(timer);
      listeners.delete(look);
      action();
    };
    const look = () => {
      for (const line of lines) {
        const match = pattern.exec(line);
        if (match !== null) return settle(() => resolve(match));
      }
      if (hasEnded()) settle(() => reject(new Error(`ended before ${pattern}: ${describe()}`)));
    };
    const timer = setTimeout(
      () => settle(() => reject(new Error(`no line ${pattern} in time: ${describe()}`))),
      LINE_TIMEOUT_MS,
    );
    listeners.add(look);
    look();
  });
}

/** Waits until `condition` holds; looks again every few milliseconds. */
export async function waitUntil(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = LINE_TIMEOUT_MS,
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Resident memory of a process, bytes (proc(5): VmRSS in KiB). */
export function residentBytes(pid: number): number {
  return statusBytes(pid, "VmRSS");
}

/** The most resident memory that a process had since it began, or since `forgetPeak`, bytes. */
export function peakResidentBytes(pid: number): number {
  return statusBytes(pid, "VmHWM");
}

/** Lets the peak begin anew at what is resident now (man 5 proc, clear_refs). */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

function statusBytes(pid: number, name: string): number {
  const [, kib = "0"] = new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) * 1024;
}

/** Open descriptors of a process. */
export function descriptorCount(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
