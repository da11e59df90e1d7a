// `npm run bench -- faults [fault …]`: faulty servers behind Pillion and its peers, side by side, the same load at the
// same time: what the clients saw fail, what was executed twice, how long it took.
//
// Pillion runs with its defaults; the peers as one who knows them would have them (peers/*.ts). Servers, acts and
// clients are our own and know nothing of any proxy.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describeMachine } from "../load/machine.ts";
import { choosePeers } from "../peers/all.ts";
import type { RunningPeer } from "../peers/peer.ts";
import { progress, say } from "../system/terminal.ts";
import { chooseFaults, type Fault, QUICK, type Version } from "./faults.ts";
import { runLoad } from "./load.ts";
import { envoy } from "./peers/envoy.ts";
import { haproxy } from "./peers/haproxy.ts";
import { nginx } from "./peers/nginx.ts";
import { pillion } from "./peers/pillion.ts";
import type { Rival } from "./peers/rival.ts";
import { appliesTo, duplicatesOf, type Row, renderHead, renderKinds, renderRow, renderSums, sumUp } from "./report.ts";
import { Fleet } from "./upstream/fleet.ts";

const RESULTS = join(import.meta.dirname, "../results");
const RIVALS: readonly Rival[] = [pillion, haproxy, nginx, envoy];
const SERVERS = 4;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    peers: { type: "string", default: "haproxy,nginx,envoy" },
    protocols: { type: "string", default: "http1,h2" },
    seconds: { type: "string" },
    rate: { type: "string", default: "300" },
    onset: { type: "string", default: "0" },
    quick: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

async function main(): Promise<void> {
  if (values.help) {
    say("usage: npm run bench -- faults [fault …] [--peers a,b] [--protocols http1,h2] [--seconds 6] [--rate 300]");
    say("                                           [--onset 0.3: what is there from the start begins later]");
    say("                                           [--quick: one fault of each family]");
    return;
  }
  const wanted = positionals.length === 0 && values.quick ? QUICK : positionals;
  const faults = chooseFaults(wanted);
  const peers = await choosePeers(values.peers.split(",").filter(Boolean), say);
  const rivals = RIVALS.filter(({ name }) => peers.some((peer) => peer.name === name));
  const seconds = Number(values.seconds ?? (values.quick ? 4 : 6));
  const rows: Row[] = [];
  say(renderHead(rivals.map(({ name }) => name)));
  await using fleet = await Fleet.start(SERVERS, rivals.length);
  for (const version of values.protocols.split(",") as Version[]) {
    for (const fault of faults.filter((one) => appliesTo(one, version))) {
      progress(`${version} ${fault.title}`);
      const row = await face(fault, version, rivals, fleet, seconds);
      rows.push(row);
      progress("");
      say([renderRow(row), renderKinds(row)].filter(Boolean).join("\n"));
    }
  }
  const sums = sumUp(rows);
  say(`\n${renderSums(sums)}`);
  const load = { seconds, rate: Number(values.rate), onset: Number(values.onset), servers: SERVERS };
  const run = { date: new Date().toISOString(), ...load };
  const name = values.quick ? "faults-quick.json" : "faults.json";
  mkdirSync(RESULTS, { recursive: true });
  const picture = { run, machine: describeMachine(peers), sums, rows };
  writeFileSync(join(RESULTS, name), `${JSON.stringify(picture, undefined, 2)}\n`);
  say(`\nwritten: bench/results/${name}`);
}

/** One fault: proxies started anew, so that none has learnt of the last one. */
async function face(
  fault: Fault,
  version: Version,
  rivals: readonly Rival[],
  fleet: Fleet,
  seconds: number,
): Promise<Row> {
  const folder = mkdtempSync(join(tmpdir(), "pillion-faults-"));
  const proxies: RunningPeer[] = [];
  try {
    const { onset = Number(values.onset), rate = Number(values.rate) } = fault;
    if (onset === 0) await fleet.strike(fault);
    for (const [lane, rival] of rivals.entries()) {
      proxies.push(await rival.start({ version, servers: fleet.portsOf(lane), folder }));
    }
    const strike = () => fleet.strike(fault);
    const summaries = await runLoad(proxies, { version, rate, seconds, onset, strike });
    const executed = await fleet.reset();
    const cells = summaries.map((summary, lane) => ({
      proxy: rivals[lane]?.name ?? "",
      ...summary,
      duplicates: duplicatesOf(executed[lane] ?? []),
    }));
    return { fault: fault.name, title: fault.title, version, cells };
  } finally {
    for (const proxy of proxies) await proxy.stop();
    await fleet.reset();
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
