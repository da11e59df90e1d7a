// `npm run bench -- footprint [--starts N] [--connections N] [--growths N] [--requests N]`: what a sidecar takes.
//
// Time from exec to ready; memory when it stands idle; what each idle connection adds; how much memory grows over a
// million requests to a cold process. Resident memory holds the pages of Node's program, which all sidecars of a host
// share: the private figure is what one more costs. Every value is shown, for medians hide a bimodal one.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Backends, startBackends } from "../system/backends.ts";
import { end } from "../system/process.ts";
import { say } from "../system/terminal.ts";
import { measureGrowth, SHAPES } from "./growth.ts";
import { type RunningSidecar, startSidecar } from "./sidecar.ts";

/** After ready, until what the start left behind has been collected or not. */
const IDLE_MS = 3_000;
/** Below what a process may open by default on most hosts. */
const CONNECTIONS_PER_HOLDER = 2_500;
/** Of a sidecar without connections, and some more. */
const OTHER_DESCRIPTORS = 100;

const { values } = parseArgs({
  options: {
    starts: { type: "string", default: "9" },
    connections: { type: "string", default: "10000" },
    growths: { type: "string", default: "8" },
    requests: { type: "string", default: "1000000" },
    help: { type: "boolean", default: false },
  },
});

async function showStarts(backends: Backends, count: number): Promise<void> {
  const times: number[] = [];
  for (let round = 0; round < count; round += 1) {
    await using sidecar = await startSidecar(backends);
    times.push(sidecar.startMs);
  }
  const sorted = times.toSorted((one, other) => one - other);
  const all = times.map((time) => time.toFixed(0)).join(" ");
  say(`start to ready, ms: median ${(sorted[count >> 1] ?? Number.NaN).toFixed(0)}; all: ${all}`);
}

function showIdle(sidecar: RunningSidecar): void {
  const { residentKiB, proportionalKiB, privateKiB } = sidecar.footprint();
  say(`idle, MiB: resident ${mib(residentKiB)}, proportional ${mib(proportionalKiB)}, private ${mib(privateKiB)}`);
}

async function showConnections(sidecar: RunningSidecar, wanted: number): Promise<void> {
  // A sidecar keeps some of its descriptors for upstreams (src/dataplane/descriptor-limit.ts).
  const count = Math.min(wanted, sidecar.clientsMost - OTHER_DESCRIPTORS);
  if (count < wanted) say(`${count} connections, for want of descriptors (ulimit -n)`);
  const before = sidecar.residentKiB();
  const holders: ChildProcess[] = [];
  try {
    for (let left = count; left > 0; left -= CONNECTIONS_PER_HOLDER) {
      const args = [`${sidecar.port}`, "h2", `${Math.min(left, CONNECTIONS_PER_HOLDER)}`];
      const child = spawn(process.execPath, [join(import.meta.dirname, "connections.ts"), ...args], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      holders.push(child);
      const [first] = await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
      if (`${first}`.trim() !== "open") throw new Error("a holder could not open its connections");
    }
    await pause(IDLE_MS);
    const each = (sidecar.residentKiB() - before) / count;
    say(`each of ${count} idle HTTP/2 connections, KiB: ${each.toFixed(1)}`);
  } finally {
    await Promise.all(holders.map(end));
  }
}

async function showGrowth(backends: Backends, rounds: number, requests: number): Promise<void> {
  for (const shape of SHAPES) {
    for (let round = 0; round < rounds; round += 1) {
      const { idleKiB, tenthKiB, endKiB } = await measureGrowth(shape, backends, requests);
      const grown = mib(endKiB - tenthKiB);
      say(`${shape.name}: idle ${mib(idleKiB)}, a tenth ${mib(tenthKiB)}, all ${mib(endKiB)}: ${grown} MiB more`);
    }
  }
}

function mib(kib: number): string {
  return (kib / 1024).toFixed(2);
}

async function main(): Promise<void> {
  if (values.help) {
    say("usage: npm run bench -- footprint [--starts N] [--connections N] [--growths N] [--requests N]");
    return;
  }
  await using backends = await startBackends();
  await showStarts(backends, Number(values.starts));
  {
    await using sidecar = await startSidecar(backends);
    await pause(IDLE_MS);
    showIdle(sidecar);
    await showConnections(sidecar, Number(values.connections));
  }
  await showGrowth(backends, Number(values.growths), Number(values.requests));
}

await main();
