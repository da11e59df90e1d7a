// `npm run bench -- latency [load …]`: p50 and p99 at a fixed rate, half of what HAProxy carries in a closed loop.
//
// Every request counts from when it was due (schedule.ts). Peers take turns, ten rounds; the promise is a p50 not above
// HAProxy's and a p99 within one and a half of it.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chooseLoads, type Load } from "../load/loads.ts";
import { describeMachine } from "../load/machine.ts";
import { warmUp } from "../load/measure.ts";
import { median, type Spread, spreadOf } from "../load/statistics.ts";
import { choosePeers } from "../peers/all.ts";
import { isHttp2, type Peer, type RunningPeer } from "../peers/peer.ts";
import { startBackends } from "../system/backends.ts";
import { runProgram } from "../system/process.ts";
import { progress, say } from "../system/terminal.ts";
import type { Order } from "./client.ts";
import type { Latencies } from "./schedule.ts";

const RESULTS = join(import.meta.dirname, "../results");
const LOADS = ["h2-10x32", "h2-50x1", "h1-50"];
const RATE_OF = "haproxy";
const SHARE = 0.5;
/** What is promised, as multiples of HAProxy's. */
const P50_MOST = 1;
const P99_MOST = 1.5;
/** A client later than this is part of what is measured. */
const LATE_US = 500;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    peers: { type: "string", default: "haproxy" },
    rounds: { type: "string", default: "10" },
    seconds: { type: "string", default: "2" },
    rate: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

interface Row {
  readonly peer: string;
  readonly p50Us: Spread;
  readonly p99Us: Spread;
  readonly ownP99Us: Spread;
  /** Pillion ÷ this peer, median of the rounds' own. */
  readonly p50Ratio: number;
  readonly p99Ratio: number;
}

interface Result {
  readonly load: string;
  readonly rate: number;
  readonly rows: readonly Row[];
}

interface Contestant {
  readonly peer: Peer;
  readonly process: RunningPeer;
  /** A round with a wrong or a missing answer does not count: undefined, so that the others keep their numbers. */
  readonly rounds: (Latencies | undefined)[];
}

async function main(): Promise<void> {
  if (values.help) {
    say("usage: npm run bench -- latency [load …] [--peers a,b] [--rounds 10] [--seconds 2] [--rate N]");
    return;
  }
  const loads = chooseLoads(positionals.length > 0 ? positionals : LOADS);
  const peers = await choosePeers(values.peers.split(","), say);
  const results: Result[] = [];
  for (const load of loads) {
    const result = await measureLoad(load, peers);
    results.push(result);
    progress("");
    say(renderTable(result));
  }
  mkdirSync(RESULTS, { recursive: true });
  const run = { date: new Date().toISOString(), rounds: Number(values.rounds), secondsOfRound: Number(values.seconds) };
  const picture = { run, machine: describeMachine(peers), results };
  writeFileSync(join(RESULTS, "latency.json"), `${JSON.stringify(picture, undefined, 2)}\n`);
  say("\nwritten: bench/results/latency.json");
}

async function measureLoad(load: Load, peers: readonly Peer[]): Promise<Result> {
  await using backends = await startBackends();
  const contestants: Contestant[] = [];
  try {
    let rate = Number(values.rate ?? Number.NaN);
    for (const peer of peers) {
      progress(`${load.name}: warming ${peer.name} up`);
      const process = await peer.start(load, backends);
      contestants.push({ peer, process, rounds: [] });
      const throughput = await warmUp(load, process, 1);
      if (Number.isNaN(rate) && peer.name === RATE_OF) rate = Math.round(throughput * SHARE);
    }
    if (Number.isNaN(rate)) throw new Error(`without ${RATE_OF} there is no rate to start from: give --rate`);
    const rounds = Number(values.rounds);
    for (let round = 1; round <= rounds; round += 1) {
      for (const { peer, process, rounds: done } of contestants) {
        progress(`${load.name}, ${rate} requests/s: round ${round}/${rounds}, ${peer.name}`);
        done.push(await fire(load, process, rate).catch((error: Error) => lose(peer, round, error)));
      }
    }
    return summarize(load, rate, contestants);
  } finally {
    for (const { process } of contestants) await process.stop();
  }
}

async function fire(load: Load, peer: RunningPeer, rate: number): Promise<Latencies> {
  const order: Order = {
    port: peer.port,
    authority: peer.authority ?? "bench",
    path: load.path,
    connections: load.connections,
    bodyBytes: load.bodyBytes,
    version: isHttp2(load) ? "h2" : "http1",
    rate,
    seconds: Number(values.seconds),
  };
  const client = join(import.meta.dirname, "client.ts");
  return JSON.parse(await runProgram(process.execPath, [client, JSON.stringify(order)])) as Latencies;
}

function lose(peer: Peer, round: number, error: Error): undefined {
  progress("");
  const lines = error.message.split("\n").filter((line) => line.startsWith("Error"));
  say(`${peer.name}, round ${round} does not count: ${lines[0] ?? error.message}`);
}

function summarize(load: Load, rate: number, contestants: readonly Contestant[]): Result {
  const own = contestants.find(({ peer }) => peer.name === "pillion")?.rounds ?? [];
  const rows = contestants.map(({ peer, rounds: all }) => {
    const rounds = all.filter((one) => one !== undefined);
    const ratioOf = (pick: (latencies: Latencies) => number) =>
      median(
        all.flatMap((other, round) => {
          const mine = own[round];
          return mine === undefined || other === undefined ? [] : [pick(mine) / pick(other)];
        }),
      );
    return {
      peer: peer.name,
      p50Us: spreadOf(rounds.map(({ p50Us }) => p50Us)),
      p99Us: spreadOf(rounds.map(({ p99Us }) => p99Us)),
      ownP99Us: spreadOf(rounds.map(({ ownP99Us }) => ownP99Us)),
      p50Ratio: ratioOf(({ p50Us }) => p50Us),
      p99Ratio: ratioOf(({ p99Us }) => p99Us),
    };
  });
  return { load: load.title, rate, rows };
}

function renderTable({ load, rate, rows }: Result): string {
  const lines = [
    `\n${load}, open loop at ${rate} requests/s`,
    "  peer               p50 µs (min–max)          p99 µs (min–max)   client late, p99   Pillion ÷ peer: p50   p99",
  ];
  const spread = ({ median: middle, min, max }: Spread) => `${middle.toFixed(0)} (${min.toFixed(0)}–${max.toFixed(0)})`;
  for (const { peer, p50Us, p99Us, ownP99Us, p50Ratio, p99Ratio } of rows) {
    const ratios = peer === "pillion" ? "" : `${p50Ratio.toFixed(2).padStart(20)} ${p99Ratio.toFixed(2).padStart(8)}`;
    lines.push(
      `  ${peer.padEnd(9)} ${spread(p50Us).padStart(25)} ${spread(p99Us).padStart(25)} ` +
        `${ownP99Us.median.toFixed(0).padStart(18)} ${ratios}`,
    );
  }
  if (rows.some(({ ownP99Us }) => ownP99Us.median > LATE_US)) {
    lines.push("  the client itself was late: something else keeps the cores busy, and these figures say little");
  }
  const haproxy = rows.find(({ peer }) => peer === RATE_OF);
  if (haproxy !== undefined) {
    const said = (ratio: number, most: number) => `${ratio.toFixed(2)} of ${most}: ${ratio <= most ? "met" : "missed"}`;
    lines.push(`  p50 ${said(haproxy.p50Ratio, P50_MOST)}; p99 ${said(haproxy.p99Ratio, P99_MOST)}`);
  }
  return lines.join("\n");
}

await main();
