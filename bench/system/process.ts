// Processes of a bench: starting, waiting, ending them, and what /proc says they cost.
//
// CPU time is read from /proc/<pid>/task/*/schedstat, nanoseconds on a core for each thread. Where the kernel does not
// keep it, from /proc/<pid>/stat, whose ticks are 10 ms. A family is a process and its children: nginx and HAProxy
// serve from a child.

import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { findProgram } from "./programs.ts";

export const PROJECT = join(import.meta.dirname, "../..");
/** Clock ticks of /proc/<pid>/stat: 100 a second on every Linux that Node supports. */
const TICK_US = 10_000;
const PORT_TIMEOUT_MS = 20_000;
const END_TIMEOUT_MS = 3_000;

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Waits until somebody accepts on a port; gives up when the one who should has ended. */
export async function waitForPort(port: number, name: string, child?: ChildProcess): Promise<void> {
  const endMs = performance.now() + PORT_TIMEOUT_MS;
  while (performance.now() < endMs) {
    if (child !== undefined && child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${name} does not listen on port ${port}`);
}

/** Starts a server of a bench; what it wrote to stderr is shown when it ends by itself with an error. */
export function startServer(name: string, program: string, args: readonly string[], env = {}): ChildProcess {
  const options = { cwd: PROJECT, env: { ...process.env, ...env } };
  const child = spawn(findProgram(program), args, { ...options, stdio: ["ignore", "ignore", "pipe"] });
  let errors = "";
  child.stderr.on("data", (chunk) => {
    errors = `${errors}${chunk}`.slice(-2_000);
  });
  child.once("exit", (code) => {
    if (code !== 0 && code !== null) process.stderr.write(`${name} ended with ${code}: ${errors}\n`);
  });
  return child;
}

/** Ends a process that we started, and waits for it. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), END_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}

/** Runs a program to its end; all it wrote. Rejects when it fails. */
export async function runProgram(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(findProgram(program), args);
  let output = "";
  const take = (chunk: Buffer) => {
    output += chunk;
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  const code = await new Promise((resolve, reject) => child.once("close", resolve).once("error", reject));
  if (code !== 0) throw new Error(`${program} ended with ${code}:\n${output.slice(-2_000)}`);
  return output;
}

/** User and system time of a process and its children, µs. */
export function cpuUsOf(pid: number): number {
  return familyOf(pid).reduce((sum, one) => sum + (preciseUsOf(one) ?? tickedUsOf(one)), 0);
}

/** Resident memory of a process and its children, bytes; shared pages count for each. */
export function residentBytesOf(pid: number): number {
  return familyOf(pid).reduce((sum, one) => {
    const line = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${one}/status`, "utf8"));
    return sum + Number(line?.[1] ?? 0) * 1024;
  }, 0);
}

function preciseUsOf(pid: number): number | undefined {
  let sumNs = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    try {
      sumNs += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ", 1)[0]);
    } catch {
      // The thread ended meanwhile, or the kernel does not count: the sum says which.
    }
  }
  return sumNs > 0 ? sumNs / 1_000 : undefined;
}

function tickedUsOf(pid: number): number {
  const fields = statOf(pid);
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

function familyOf(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const parent = Number(statOf(Number(name))[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // It ended meanwhile.
    }
  }
  const family = [pid];
  for (const one of family) family.push(...(children.get(one) ?? []));
  return family;
}

/** Fields of /proc/<pid>/stat behind the name, which may hold anything: state, parent, … */
function statOf(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}
