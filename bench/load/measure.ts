// One measurement: h2load against a proxy, and the CPU time that the proxy took meanwhile.

import { spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Load } from "./loads.ts";
import type { RunningPeer } from "./peers.ts";
import { findProgram } from "./programs.ts";

export interface Sample {
  readonly cpuUsPerRequest: number;
  readonly requestsPerSecond: number;
  readonly residentBytes: number;
  /** Answers that were not 2xx; a run with any says nothing. */
  readonly failed: number;
}

/** Clock ticks of /proc/<pid>/stat: 100 a second on every Linux that Node supports. */
const TICK_US = 10_000;
/** A length-prefixed gRPC message of ten bytes (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const GRPC_MESSAGE = Buffer.from([0, 0, 0, 0, 10, ...Buffer.from("0123456789")]);

export async function measure(load: Load, peer: RunningPeer, requests: number): Promise<Sample> {
  const before = cpuUsOf(peer.pid);
  const output = await runH2load(load, peer, requests);
  const cpuUs = cpuUsOf(peer.pid) - before;
  const succeeded = Number(/(\d+) 2xx/.exec(output)?.[1] ?? 0);
  if (succeeded === 0) throw new Error(`${peer.name} answered nothing:\n${output}`);
  return {
    cpuUsPerRequest: cpuUs / requests,
    requestsPerSecond: Number(/, ([\d.]+) req\/s/.exec(output)?.[1] ?? 0),
    residentBytes: residentOf(peer.pid),
    failed: requests - succeeded,
  };
}

async function runH2load(load: Load, peer: RunningPeer, requests: number): Promise<string> {
  const args = ["-n", String(requests), "-c", String(load.connections), "-m", String(load.streams)];
  if (load.protocol === "http1") args.push("--h1");
  if (peer.authority !== undefined) args.push("-H", `:authority: ${peer.authority}`);
  if (load.isGrpc) {
    const body = join(tmpdir(), `pillion-bench-grpc-${process.pid}`);
    writeFileSync(body, GRPC_MESSAGE);
    args.push("-d", body, "-H", "content-type: application/grpc", "-H", "te: trailers");
  }
  args.push(`http://127.0.0.1:${peer.port}${load.path}`);
  const child = spawn(findProgram("h2load"), args);
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  child.stderr.on("data", (chunk) => {
    output += chunk;
  });
  await new Promise((resolve) => child.once("close", resolve));
  return output;
}

/** User and system time of a process and its children (nginx's and HAProxy's workers), µs. */
function cpuUsOf(pid: number): number {
  return familyOf(pid).reduce((sum, one) => {
    const fields = statOf(one);
    return sum + (Number(fields[11]) + Number(fields[12])) * TICK_US;
  }, 0);
}

function residentOf(pid: number): number {
  return familyOf(pid).reduce((sum, one) => {
    const line = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${one}/status`, "utf8"));
    return sum + Number(line?.[1] ?? 0) * 1024;
  }, 0);
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
