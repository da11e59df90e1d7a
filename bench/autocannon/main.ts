// `npm run bench -- autocannon`: your own service, asked directly and through its sidecar, in turns.
//
//   npm run bench -- autocannon --direct http://127.0.0.1:8080/ --sidecar 127.0.0.1:15001 --host users
//
// What is added (latency, and CPU of the sidecar for each request) is the difference within one run. Both must be on
// this host for the CPU to be read.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { parseArgs } from "node:util";
import { median } from "../load/statistics.ts";
import { cpuUsOf } from "../system/process.ts";
import { progress, say } from "../system/terminal.ts";
import { type Aim, fire, type Shot } from "./fire.ts";

const USAGE = `usage: npm run bench -- autocannon --direct URL --sidecar HOST:PORT --host SERVICE
         [--connections 50] [--seconds 5] [--rounds 5] [--method GET] [--body TEXT] [--header "name: value" …]
  --direct   the service itself, with the path to ask for
  --sidecar  the sidecar's outbound (15001), to be asked for --host: the service's name in the mesh`;

const { values } = parseArgs({
  options: {
    direct: { type: "string" },
    sidecar: { type: "string" },
    host: { type: "string" },
    connections: { type: "string", default: "50" },
    seconds: { type: "string", default: "5" },
    rounds: { type: "string", default: "5" },
    method: { type: "string" },
    body: { type: "string" },
    header: { type: "string", multiple: true, default: [] },
    help: { type: "boolean", default: false },
  },
});

interface Measured extends Shot {
  readonly cpuUsPerRequest: number | undefined;
}

async function main(): Promise<void> {
  const { direct, sidecar, host } = values;
  if (values.help || direct === undefined || sidecar === undefined || host === undefined) {
    say(USAGE);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const url = new URL(direct);
  const shared = {
    connections: Number(values.connections),
    seconds: Number(values.seconds),
    method: values.method,
    body: values.body,
    headers: Object.fromEntries(values.header.map(splitHeader)),
  };
  const through = { ...shared, url: `http://${sidecar}${url.pathname}${url.search}`, host };
  const pid = listenerOf(Number(sidecar.split(":").at(-1)));
  if (pid === undefined)
    say("whose port the sidecar's is cannot be seen: no CPU figure (same host, same user or root)");
  await fire({ ...shared, url: direct, seconds: 1 });
  await fire({ ...through, seconds: 1 });
  const shots: Record<"direct" | "sidecar", Measured[]> = { direct: [], sidecar: [] };
  const rounds = Number(values.rounds);
  for (let round = 1; round <= rounds; round += 1) {
    progress(`round ${round}/${rounds}`);
    shots.direct.push(await measure({ ...shared, url: direct }, undefined));
    shots.sidecar.push(await measure(through, pid));
  }
  progress("");
  say("             requests/s     p50 ms     p99 ms   CPU µs/request of the sidecar");
  for (const [name, list] of Object.entries(shots)) say(renderRow(name, list));
  const problems = [...new Set([...shots.direct, ...shots.sidecar].flatMap(({ problem }) => problem ?? []))];
  for (const problem of problems) say(`does not count: ${problem}`);
  if (problems.length > 0) process.exitCode = 1;
}

async function measure(aim: Aim, pid: number | undefined): Promise<Measured> {
  const beforeUs = pid === undefined ? 0 : cpuUsOf(pid);
  const shot = await fire(aim);
  return { ...shot, cpuUsPerRequest: pid === undefined ? undefined : (cpuUsOf(pid) - beforeUs) / shot.answers };
}

function renderRow(name: string, shots: readonly Measured[]): string {
  const column = (values: readonly number[], digits: number, width: number) =>
    (values.length === 0 ? "" : median(values).toFixed(digits)).padStart(width);
  const rate = column(
    shots.map((shot) => shot.requestsPerSecond),
    0,
    12,
  );
  const p50 = column(
    shots.map((shot) => shot.p50Us / 1_000),
    2,
    10,
  );
  const p99 = column(
    shots.map((shot) => shot.p99Us / 1_000),
    2,
    10,
  );
  const cpu = column(
    shots.flatMap((shot) => shot.cpuUsPerRequest ?? []),
    1,
    10,
  );
  return `  ${name.padEnd(8)} ${rate} ${p50} ${p99} ${cpu}`;
}

function splitHeader(line: string): [string, string] {
  const [name = "", ...rest] = line.split(":");
  return [name.trim(), rest.join(":").trim()];
}

/** Pid of the process that listens on a TCP port of this host, by the socket's inode (proc(5)). */
function listenerOf(port: number): number | undefined {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const lines = ["tcp", "tcp6"].flatMap((name) => readFileSync(`/proc/net/${name}`, "utf8").split("\n"));
  const fields = lines.map((line) => line.trim().split(/\s+/));
  const inodes = fields.filter((field) => field[1]?.endsWith(`:${hex}`) && field[3] === "0A").map((field) => field[9]);
  const wanted = new Set(inodes.map((inode) => `socket:[${inode}]`));
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const folder = `/proc/${pid}/fd`;
      if (readdirSync(folder).some((fd) => wanted.has(readlinkSync(`${folder}/${fd}`)))) return Number(pid);
    } catch {
      // Another user's process, or one that has just ended.
    }
  }
  return undefined;
}

await main();
