// `npm run bench -- micro [part …]`: the parts alone, one table of nanoseconds. README.md says how they are timed.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describeMachine } from "../load/machine.ts";
import { progress, say } from "../system/terminal.ts";
import type { Row } from "./clock.ts";
import { measureExchanges } from "./exchange.ts";
import { measureH1 } from "./h1.ts";
import { measureHpack } from "./hpack.ts";
import { measurePicks } from "./picks.ts";
import { measureRoutes } from "./route.ts";

const PARTS: Readonly<Record<string, () => Iterable<Row> | AsyncIterable<Row>>> = {
  pick: measurePicks,
  hpack: measureHpack,
  h1: measureH1,
  route: measureRoutes,
  exchange: measureExchanges,
};
const RESULTS = join(import.meta.dirname, "../results");
/** What DESIGN §6 promises: least connections at a thousand instances. */
const SCAN = { part: "pick + release, least-connections", what: "1000 instances", ns: 2_000 };

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { help: { type: "boolean", default: false } },
});

async function main(): Promise<void> {
  const unknown = positionals.filter((name) => !Object.hasOwn(PARTS, name));
  if (values.help || unknown.length > 0) {
    say(`usage: npm run bench -- micro [${Object.keys(PARTS).join("|")} …]`);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const rows: Row[] = [];
  for (const [name, measure] of Object.entries(PARTS)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    progress(`building ${name}`);
    for await (const row of measure()) {
      rows.push(row);
      progress("");
      say(renderRow(row, rows.at(-2)?.part));
      progress(`after ${row.part}, ${row.what}`);
    }
  }
  progress("");
  mkdirSync(RESULTS, { recursive: true });
  const picture = { date: new Date().toISOString(), machine: describeMachine([]), rows };
  writeFileSync(join(RESULTS, "micro.json"), `${JSON.stringify(picture, undefined, 2)}\n`);
  say("\nnanoseconds for each, median (least–most) of 15 rounds; written: bench/results/micro.json");
  const scan = rows.find(({ part, what }) => part === SCAN.part && what === SCAN.what);
  if (scan !== undefined && scan.ns.median > SCAN.ns) {
    say(`${scan.part}, ${scan.what}: ${scan.ns.median.toFixed(0)} ns, above the ${SCAN.ns} ns that DESIGN promises`);
    process.exitCode = 1;
  }
}

function renderRow({ part, what, ns }: Row, before: string | undefined): string {
  const head = part === before ? "" : `\n${part}\n`;
  const digits = ns.median < 100 ? 1 : 0;
  const spread = `(${ns.min.toFixed(digits)}–${ns.max.toFixed(digits)})`;
  return `${head}  ${what.padEnd(44)} ${ns.median.toFixed(digits).padStart(9)} ${spread}`;
}

await main();
