// Holds many conversations by hand:  node test/fuzz/run.ts [first seed] [how many]
//
// A failure prints its seed; `node test/fuzz/run.ts <seed> 1` replays it.

import { prepareWorlds } from "../support/world.ts";
import { runConversation } from "./conversation.ts";

const first = Number(process.argv[2] ?? 1);
const count = Number(process.argv[3] ?? 1_000);
const make = await prepareWorlds();
const startedMs = performance.now();
const failures = new Map<string, number[]>();
let [asks, whole, executions, steps] = [0, 0, 0, 0];
for (let seed = first; seed < first + count; seed += 1) {
  try {
    const report = runConversation(make, seed);
    if (seed % 1_000 === 0) process.stderr.write(`seed ${seed}, ${failures.size} kinds of failure\n`);
    asks += report.asks;
    whole += report.whole;
    executions += report.executions;
    steps += report.steps;
  } catch (error) {
    const text = count === 1 ? String((error as Error).stack) : String((error as Error).message);
    const kind = text.replaceAll(/\d+/g, (digits) => (count === 1 || text.includes("assembly") ? digits : "#"));
    if (!failures.has(kind)) process.stderr.write(`seed ${seed}: ${text}\n`);
    failures.set(kind, [...(failures.get(kind) ?? []), seed]);
  }
}
const seconds = (performance.now() - startedMs) / 1_000;
process.stdout.write(
  `${count} conversations, ${steps} steps, ${asks} requests, ${executions} executed, ${whole} answered whole\n`,
);
process.stdout.write(
  `${(count / seconds).toFixed(0)} conversations/s, ${(executions / seconds).toFixed(0)} executions/s\n`,
);
for (const [kind, seeds] of failures) {
  process.stdout.write(`${seeds.length} × ${kind.slice(0, 1_500)}   seeds ${seeds.slice(0, 6).join(" ")}\n`);
}
process.exitCode = failures.size === 0 ? 0 : 1;
