// `npm run bench -- scale`: what 10,000 instances and 10,000 routes cost, a request and a change.
//
// First a change, in one process without sockets: every call of a publication is on the clock. What runs on a worker
// holds every request of that worker up, so no such call may take more than 5 ms. Then CPU per request: sidecars with a
// large and a small mesh, the same requests, in turns; large within 5 % of small.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Load } from "../load/loads.ts";
import { describeMachine } from "../load/machine.ts";
import { measure, type Sample, warmUp } from "../load/measure.ts";
import { ratioOf } from "../load/report.ts";
import { type Spread, spreadOf } from "../load/statistics.ts";
import type { RunningPeer } from "../peers/peer.ts";
import { startPillion } from "../peers/pillion.ts";
import { startBackends } from "../system/backends.ts";
import { progress, say } from "../system/terminal.ts";
import { MANY, SCENES, type Scene } from "./meshes.ts";
import { measureSwaps, type SwapRow } from "./swap.ts";

const RESULTS = join(import.meta.dirname, "../results");
const RATIO_MOST = 1.05;
const CALL_MOST_MS = 5;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    seconds: { type: "string", default: "1" },
    help: { type: "boolean", default: false },
  },
});

interface Comparison {
  readonly scene: string;
  readonly load: string;
  readonly few: Spread;
  readonly many: Spread;
  /** Large ÷ small, median of the rounds' own. */
  readonly ratio: number;
}

async function main(): Promise<void> {
  if (values.help) return say("usage: npm run bench -- scale [--rounds 7] [--seconds 1]");
  const swaps = measureSwaps(progress);
  progress("");
  say(renderSwaps(swaps));
  const comparisons: Comparison[] = [];
  for (const scene of SCENES) {
    say(`\n${scene.title}`);
    for (const load of scene.loads) {
      const comparison = await compare(scene, load);
      comparisons.push(comparison);
      progress("");
      say(renderComparison(comparison));
    }
  }
  mkdirSync(RESULTS, { recursive: true });
  const picture = { date: new Date().toISOString(), machine: describeMachine([]), swaps, comparisons };
  writeFileSync(join(RESULTS, "scale.json"), `${JSON.stringify(picture, undefined, 2)}\n`);
  say("\nwritten: bench/results/scale.json");
}

async function compare(scene: Scene, load: Load): Promise<Comparison> {
  await using backends = await startBackends();
  const address = `127.0.0.1:${backends.http2Port}`;
  const running: { process: RunningPeer; requests: number; samples: Sample[] }[] = [];
  try {
    for (const count of [scene.few, MANY]) {
      progress(`${load.name}: starting with ${count}`);
      const process = await startPillion(`scale-${count}`, scene.write(count, address), backends.folder);
      running.push({ process, requests: 0, samples: [] });
    }
    // Twice: the first warms the compilers of both processes, which share the cores.
    for (const one of [...running, ...running]) {
      one.requests = await warmUp(load, one.process, Number(values.seconds));
    }
    // The same number for both, so that what belongs to time and not to requests weighs the same.
    const requests = Math.max(...running.map((one) => one.requests));
    const rounds = Number(values.rounds);
    for (let round = 1; round <= rounds; round += 1) {
      progress(`${load.name}: round ${round}/${rounds}`);
      for (const { process, samples } of running) samples.push(await measure(load, process, requests));
    }
    const [few = [], many = []] = running.map(({ samples }) => samples);
    const cpuOf = (samples: readonly Sample[]) => spreadOf(samples.map(({ cpuUsPerRequest }) => cpuUsPerRequest));
    return { scene: scene.name, load: load.title, few: cpuOf(few), many: cpuOf(many), ratio: ratioOf(many, few) };
  } finally {
    for (const { process } of running) await process.stop();
  }
}

function renderComparison({ load, few, many, ratio }: Comparison): string {
  const spread = ({ median: middle, min, max }: Spread) =>
    `${middle.toFixed(2)} µs (${min.toFixed(2)}–${max.toFixed(2)})`;
  const verdict = `${ratio.toFixed(3)} of ${RATIO_MOST}: ${ratio <= RATIO_MOST ? "met" : "missed"}`;
  return `  ${load.padEnd(22)} small ${spread(few)}, large ${spread(many)}; ${verdict}`;
}

function renderSwaps(swaps: readonly SwapRow[]): string {
  const lines = ["calls of a change, longest in ms (calls in all)"];
  for (const { change, calls } of swaps) {
    lines.push(`  ${change}`);
    for (const { name, isOnWorker, count, mostMs } of calls) {
      const mark = isOnWorker && mostMs > CALL_MOST_MS ? `  above ${CALL_MOST_MS} ms` : "";
      const where = isOnWorker ? "worker" : "main  ";
      lines.push(`    ${where} ${name.padEnd(24)} ${mostMs.toFixed(2).padStart(9)} (${count})${mark}`);
    }
  }
  const onWorkers = swaps.flatMap(({ calls }) => calls).filter(({ isOnWorker }) => isOnWorker);
  const longestMs = Math.max(...onWorkers.map(({ mostMs }) => mostMs));
  lines.push(`  longest call on a worker: ${longestMs.toFixed(2)} of ${CALL_MOST_MS} ms`);
  return lines.join("\n");
}

await main();
