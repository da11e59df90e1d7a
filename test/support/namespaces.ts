// Two hosts in one: network namespaces joined by a veth pair, in which tests may set rules as they like.
//
//   peer  10.90.0.1, 10.90.1.1, fd90::1  ───── veth ─────  10.90.0.2, fd90::2  pod
//
// They need root on a Linux that lets it make namespaces (many containers do not): elsewhere `namespaceProblem` says
// why, and the tests that need them are skipped with that line.

import { execFileSync, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Program, startProgram } from "./process.ts";
import { requireProgram } from "./programs.ts";

export const PEER = { ipv4: "10.90.0.1", other: "10.90.1.1", ipv6: "fd90::1" } as const;
export const POD = { ipv4: "10.90.0.2", ipv6: "fd90::2" } as const;

const GREETERS = fileURLToPath(new URL("./greeters.mjs", import.meta.url));

/** Skips a test where namespaces cannot be made, saying why; a missing program fails it when everything is required. */
export function requireNamespaces(context: { skip(note?: string): never }): void {
  if (process.platform !== "linux") context.skip("network namespaces are Linux's");
  requireProgram(context, "ip");
  if (process.getuid?.() !== 0) context.skip("making network namespaces needs root");
  const { status, stderr } = spawnSync("unshare", ["-n", "true"], { encoding: "utf8" });
  if (status !== 0) context.skip(`this host allows no network namespaces: ${stderr?.trim() ?? "no unshare"}`);
}

/** Gone with all that was started in them when disposed of. */
export interface Namespaces extends AsyncDisposable {
  readonly peer: string;
  readonly pod: string;
  /** Runs a program in one of them to its end. */
  run(namespace: string, program: string, args: readonly string[], input?: string): Ran;
  /** Starts one there; ended with the namespaces. */
  start(namespace: string, program: string, args: readonly string[]): Program;
  /** Starts servers of `greeters.mjs` there; resolves when they listen. */
  greet(namespace: string, greetings: Readonly<Record<string, string>>): Promise<void>;
  /** What is greeted with at each `address port`, asked by that user. */
  ask(namespace: string, uid: number, targets: readonly string[]): readonly string[];
}

export interface Ran {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

let made = 0;

export function createNamespaces(): Namespaces {
  made += 1;
  const [peer, pod] = [`peer-${process.pid}-${made}`, `pod-${process.pid}-${made}`];
  const children: Program[] = [];
  const ip = (...args: string[]) => execFileSync("ip", args, { stdio: "pipe" });
  for (const name of [peer, pod]) {
    ip("netns", "add", name);
    ip("-n", name, "link", "set", "lo", "up");
  }
  ip("-n", peer, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", pod);
  for (const [name, addresses] of [
    [peer, [`${PEER.ipv4}/24`, `${PEER.other}/24`, `${PEER.ipv6}/64`]],
    [pod, [`${POD.ipv4}/24`, `${POD.ipv6}/64`]],
  ] as const) {
    ip("-n", name, "link", "set", "eth0", "up");
    for (const each of addresses) {
      ip("-n", name, "address", "add", each, "dev", "eth0", ...(each.includes(":") ? ["nodad"] : []));
    }
  }
  ip("-n", pod, "route", "add", "default", "via", PEER.ipv4);
  const inside = (name: string, program: string, args: readonly string[]) => ["netns", "exec", name, program, ...args];
  const start = (name: string, program: string, args: readonly string[]) => {
    const child = startProgram("ip", inside(name, program, args));
    children.push(child);
    return child;
  };
  return {
    peer,
    pod,
    run(name, program, args, input = "") {
      const options = { encoding: "utf8", input, timeout: 30_000 } as const;
      const { status, stdout, stderr } = spawnSync("ip", inside(name, program, args), options);
      return { code: status, output: stdout, errors: stderr };
    },
    start,
    async greet(name, greetings) {
      await start(name, process.execPath, [GREETERS, "serve", JSON.stringify(greetings)]).waitForLine(/^ready$/);
    },
    ask(name, uid, targets) {
      const args = inside(name, process.execPath, [GREETERS, "ask", `${uid}`, ...targets]);
      return JSON.parse(execFileSync("ip", args, { encoding: "utf8", timeout: 30_000 })) as string[];
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(children.map((child) => child.stop()));
      for (const name of [peer, pod]) ip("netns", "delete", name);
    },
  };
}
