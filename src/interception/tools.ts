// The host's own tools: which of them work here, and one run of each.
//
// Nothing is asked of netlink directly: nft and iptables know their kernels, and administrators know them.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { messageOf } from "../base/index.ts";

export interface ToolAnswer {
  readonly isDone: boolean;
  readonly output: string;
  /** What it complained of, on one line. */
  readonly problem: string;
}

/** Runs one of the host's tools to its end. */
export type RunTool = (program: string, args: readonly string[], input?: string) => ToolAnswer;

/** Enough for a host with a hundred thousand rules of others. */
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
/** The kernel's lists are locked for milliseconds; a tool that takes longer hangs. */
const TIMEOUT_MS = 20_000;

/** On this host. */
export const runTool: RunTool = (program, args, input = "") => {
  const options = { input, encoding: "utf8", timeout: TIMEOUT_MS, maxBuffer: OUTPUT_BYTES_MAX } as const;
  const { status, stdout, stderr, error } = spawnSync(program, args, options);
  if (error !== undefined) {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    return { isDone: false, output: "", problem: `${program}: ${isMissing ? "not installed" : messageOf(error)}` };
  }
  const complaint = stderr
    .trim()
    .split(/\s*\n\s*/)
    .join(" ");
  const problem = status === 0 ? "" : `${program}: ${complaint === "" ? `exit code ${status}` : complaint}`;
  return { isDone: status === 0, output: stdout, problem };
};

/** Bit of CAP_NET_ADMIN (linux/capability.h). */
const CAP_NET_ADMIN = 12n;

/** Whether this process may change the rules of its network namespace. */
export function hasNetAdmin(status = readFileSync("/proc/self/status", "utf8")): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return effective !== undefined && ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}

/** Whether the kernel speaks IPv6 (`ipv6.disable=1` and builds without it have no such file). */
export function hasIPv6(): boolean {
  return existsSync("/proc/net/if_inet6");
}
