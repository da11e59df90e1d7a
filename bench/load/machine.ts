// On what a run was made: machine, versions, commit.

import { execFileSync } from "node:child_process";
import { arch, cpus, release, totalmem, type } from "node:os";
import type { Peer } from "../peers/peer.ts";
import { PROJECT } from "../system/process.ts";
import { findProgram } from "../system/programs.ts";

export function describeMachine(peers: readonly Peer[]): Record<string, unknown> {
  return {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryBytes: totalmem(),
    system: `${type()} ${release()} ${arch()}`,
    node: process.version,
    commit: commit(),
    versions: Object.fromEntries([
      ...peers.map((peer) => [peer.name, firstLine(peer.find(), peer.versionArgs)]),
      ["h2load", firstLine("h2load", ["--version"])],
    ]),
  };
}

function firstLine(program: string | undefined, args: readonly string[]): string {
  try {
    const options = { encoding: "utf8", stdio: "pipe" } as const;
    const output = execFileSync("sh", ["-c", '"$0" "$@" 2>&1', findProgram(program ?? ""), ...args], options);
    const line = output.split("\n").find((text) => text.trim() !== "") ?? "";
    // Envoy names itself by its path.
    return line.replace(/^\S*\/(?=\w+ )/, "").trim();
  } catch {
    return "unknown";
  }
}

/** With a + where the tree differs from it. */
function commit(): string {
  try {
    const options = { encoding: "utf8", cwd: PROJECT } as const;
    const head = execFileSync("git", ["rev-parse", "--short", "HEAD"], options).trim();
    const isChanged = execFileSync("git", ["status", "--porcelain", "-uno"], options).trim() !== "";
    return isChanged ? `${head}+` : head;
  } catch {
    return "unknown";
  }
}
