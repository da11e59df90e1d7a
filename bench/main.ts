// `npm run bench [-- load … --peers a,b --rounds N --requests N --quick]`: Pillion beside its peers, in turns.
//
// The figure that counts is CPU µs per request of the proxy alone (user + system, all its threads, from /proc): client,
// proxy and backend share the cores, so throughput says little. Peers take turns round after round, and every claim is
// a ratio inside one run. bench/README.md is the protocol.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startBackends } from "./load/backends.ts";
import { LOADS, type Load } from "./load/loads.ts";
import { measure, type Sample } from "./load/measure.ts";
import { PEERS, type Peer, type RunningPeer } from "./load/peers.ts";
import { findProgram, hasProgram } from "./load/programs.ts";
import { describeMachine, type Result, renderChart, renderTable, summarize } from "./load/report.ts";

const RESULTS = join(import.meta.dirname, "results");

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    peers: { type: "string" },
    rounds: { type: "string", default: "5" },
    requests: { type: "string" },
    quick: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function usage(): void {
  say("usage: npm run bench -- [load …] [--peers a,b] [--rounds N] [--requests N] [--quick]");
  say(`loads: ${LOADS.map(({ name }) => name).join(", ")}`);
  say(`peers: ${PEERS.map(({ name }) => name).join(", ")}`);
}

function chooseLoads(): Load[] {
  const unknown = positionals.filter((name) => !LOADS.some((load) => load.name.startsWith(name)));
  if (unknown.length > 0)
    throw new Error(`no such load: ${unknown.join(", ")} (${LOADS.map(({ name }) => name).join(", ")})`);
  if (positionals.length === 0) return values.quick ? LOADS.slice(0, 3) : [...LOADS];
  return LOADS.filter((load) => positionals.some((name) => load.name.startsWith(name)));
}

function choosePeers(): Peer[] {
  const wanted = values.peers?.split(",").map((name) => name.trim());
  const chosen = PEERS.filter(({ name }) => name === "pillion" || wanted === undefined || wanted.includes(name));
  return chosen.filter((peer) => {
    if (hasProgram(peer.program)) return true;
    say(`left out: ${peer.name} (${peer.program} is not installed; ${peer.remedy})`);
    return false;
  });
}

async function runLoad(load: Load, peers: readonly Peer[], rounds: number, requests: number): Promise<Result> {
  await using backends = await startBackends();
  const running: { peer: Peer; process: RunningPeer; samples: Sample[] }[] = [];
  try {
    for (const peer of peers) {
      if (!peer.supports(load)) continue;
      running.push({ peer, process: await peer.start(load, backends), samples: [] });
    }
    for (const { process } of running) await measure(load, process, Math.max(1000, requests >> 3));
    for (let round = 1; round <= rounds; round += 1) {
      for (const { peer, process, samples } of running) {
        globalThis.process.stderr.write(`\r${load.name}: round ${round}/${rounds}, ${peer.name}          `);
        samples.push(await measure(load, process, requests));
      }
    }
    globalThis.process.stderr.write("\r                                                  \r");
    return summarize(
      load,
      running.map(({ peer, samples }) => ({ peer: peer.name, samples })),
    );
  } finally {
    for (const { process } of running) await process.stop();
  }
}

async function main(): Promise<void> {
  if (values.help) return usage();
  findProgram("h2load");
  const loads = chooseLoads();
  const peers = choosePeers();
  const rounds = values.quick ? 2 : Number(values.rounds);
  const results: Result[] = [];
  for (const load of loads) {
    const requests = Number(values.requests ?? (values.quick ? load.requests >> 3 : load.requests));
    const result = await runLoad(load, peers, rounds, requests);
    results.push(result);
    say(renderTable(result));
  }
  const machine = describeMachine(peers);
  mkdirSync(RESULTS, { recursive: true });
  const file = values.quick ? "quick" : "latest";
  writeFileSync(join(RESULTS, `${file}.json`), `${JSON.stringify({ machine, rounds, results }, undefined, 2)}\n`);
  writeFileSync(join(RESULTS, `${file}.svg`), renderChart(results));
  say(`written: bench/results/${file}.json and ${file}.svg`);
}

await main();
