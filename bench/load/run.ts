// `npm run bench [-- load …]`: Pillion beside its peers, in turns.
//
// The figure that counts is CPU µs per request of the proxy alone (all its threads and children, from /proc): client,
// proxy and backend share the cores, so throughput says little. Peers take turns round after round, and every claim is
// a ratio inside one run. bench/README.md is the protocol.

import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join, relative } from "node:path";
import { choosePeers } from "../peers/all.ts";
import type { Peer, RunningPeer } from "../peers/peer.ts";
import { type Backends, startBackends } from "../system/backends.ts";
import { PROJECT } from "../system/process.ts";
import { progress, say } from "../system/terminal.ts";
import { renderChart } from "./chart.ts";
import { chooseLoads, LOADS, type Load } from "./loads.ts";
import { describeMachine } from "./machine.ts";
import { measure, type Sample, warmUp } from "./measure.ts";
import { type Failure, type Result, renderTable, summarize } from "./report.ts";

const RESULTS = join(import.meta.dirname, "../results");
/** How many loads `--quick` takes. */
const QUICK_LOADS = 3;
/** Those that the README speaks of. */
const REFERENCE_PEERS = ["haproxy", "nghttpx", "nginx", "envoy", "go", "naive"];
/** Few enough for a minute. */
const QUICK_PEERS = ["haproxy", "nghttpx", "naive"];
const PEERS_BY_MODE = { full: undefined, quick: QUICK_PEERS, reference: REFERENCE_PEERS } as const;

export interface RunOptions {
  /** Beginnings of names of loads; none: all. */
  readonly loads: readonly string[];
  readonly peers: readonly string[] | undefined;
  readonly rounds: number | undefined;
  /** Length of a round; how many requests that is depends on the peer. */
  readonly seconds: number | undefined;
  /** The same number of requests for every peer instead. */
  readonly requests: number | undefined;
  readonly mode: "full" | "quick" | "reference";
}

/** By mode; the reference takes about ten minutes with seven proxies, quick under one with what a host has. */
const DEFAULTS = {
  full: { rounds: 5, seconds: 1.5 },
  quick: { rounds: 2, seconds: 0.4 },
  reference: { rounds: 5, seconds: 1 },
} as const;

interface Contestant {
  readonly peer: Peer;
  readonly process: RunningPeer;
  readonly requests: number;
  readonly samples: Sample[];
}

/** Runs, prints a table for each load as it ends, writes the JSON and the chart. */
export async function runLoads(options: RunOptions): Promise<void> {
  const { mode } = options;
  const all = mode === "quick" ? LOADS.slice(0, QUICK_LOADS) : LOADS;
  const loads = options.loads.length === 0 ? all : chooseLoads(options.loads);
  const peers = await choosePeers(options.peers ?? PEERS_BY_MODE[mode], say);
  const rounds = options.rounds ?? DEFAULTS[mode].rounds;
  const seconds = options.seconds ?? DEFAULTS[mode].seconds;
  const startMs = performance.now();
  const results: Result[] = [];
  const machine = describeMachine(peers);
  const file = join(RESULTS, mode === "full" ? "latest" : mode);
  mkdirSync(RESULTS, { recursive: true });
  for (const [index, load] of loads.entries()) {
    const note = (text: string) => progress(`${index + 1}/${loads.length} ${load.name}: ${text}`);
    results.push(await runLoad({ load, peers, rounds, seconds, requests: options.requests, note }));
    progress("");
    say(results.slice(-1).map(renderTable).join(""));
    // After each load: a run that is ended early leaves what it has.
    const tookSeconds = Math.round((performance.now() - startMs) / 1_000);
    const run = { date: new Date().toISOString(), rounds, secondsOfRound: seconds, tookSeconds };
    writeFileSync(`${file}.json`, `${JSON.stringify({ run, machine, results }, undefined, 2)}\n`);
    const caption = `${run.date.slice(0, 10)}, ${rounds} rounds of ${seconds} s, ${cpus().length} cores`;
    writeFileSync(`${file}.svg`, renderChart(results, caption));
  }
  say(`\nwritten: ${relative(PROJECT, file)}.json and .svg`);
  if (results.some(({ failures }) => failures.length > 0)) process.exitCode = 1;
}

interface LoadRun {
  readonly load: Load;
  readonly peers: readonly Peer[];
  readonly rounds: number;
  readonly seconds: number;
  readonly requests: number | undefined;
  readonly note: (text: string) => void;
}

/** Starts every peer, warms each up, lets them take turns. A peer that answers wrongly is out, and is named. */
async function runLoad({ load, peers, rounds, seconds, requests, note }: LoadRun): Promise<Result> {
  await using backends = await startBackends();
  const failures: Failure[] = [];
  let running: Contestant[] = [];
  const fail = (peer: Peer, error: unknown) =>
    failures.push({ peer: peer.name, problem: error instanceof Error ? error.message : String(error) });
  try {
    for (const peer of peers) {
      note(`warming ${peer.name} up`);
      const contestant = await enter({ peer, load, backends, seconds, requests }).catch((error) => fail(peer, error));
      if (typeof contestant === "object") running.push(contestant);
    }
    for (let round = 1; round <= rounds; round += 1) {
      for (const contestant of running) {
        note(`round ${round}/${rounds}, ${contestant.peer.name}`);
        try {
          contestant.samples.push(await measure(load, contestant.process, contestant.requests));
        } catch (error) {
          fail(contestant.peer, error);
          await contestant.process.stop();
          running = running.filter((one) => one !== contestant);
        }
      }
    }
    return summarize(load, running, failures);
  } finally {
    for (const { process } of running) await process.stop();
  }
}

interface Entry {
  readonly peer: Peer;
  readonly load: Load;
  readonly backends: Backends;
  readonly seconds: number;
  readonly requests: number | undefined;
}

async function enter({ peer, load, backends, seconds, requests }: Entry): Promise<Contestant> {
  const process = await peer.start(load, backends);
  try {
    const measured = await warmUp(load, process, seconds);
    return { peer, process, requests: requests ?? measured, samples: [] };
  } catch (error) {
    await process.stop();
    throw error;
  }
}
