// `npm run bench [-- what …]`: Pillion beside its peers, and its parts alone. bench/README.md is the protocol.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { LOADS } from "./load/loads.ts";
import { runLoads } from "./load/run.ts";
import { PEERS } from "./peers/all.ts";
import { say } from "./system/terminal.ts";

/** Benches with a program of their own: `bench/<name>/main.ts`, which reads the arguments behind its name. */
const PROGRAMS: Readonly<Record<string, string>> = {
  micro: "parts without sockets: picks, HPACK, heads, routes, one exchange",
  latency: "open loop at half of HAProxy's throughput: p50 and p99 from the intended time of sending",
  scale: "10,000 instances and 10,000 routes against a small mesh; how long each call of a swap takes",
  footprint: "start time, memory idle and for each connection",
  faults: "faulty servers behind Pillion and its peers: failures, duplicates, p99",
  autocannon: "your own service, directly and through its sidecar",
};

function usage(): void {
  say(
    "usage: npm run bench -- [load …] [--peers a,b] [--rounds N] [--seconds S | --requests N] [--quick | --reference]",
  );
  for (const [name, what] of Object.entries(PROGRAMS))
    say(`       npm run bench -- ${name.padEnd(10)} [--help]  ${what}`);
  say(`loads: ${LOADS.map(({ name }) => name).join(", ")}; a beginning takes all that have it`);
  say(`peers: ${PEERS.map(({ name }) => name).join(", ")}`);
}

async function main(args: readonly string[]): Promise<void> {
  const [first = ""] = args;
  if (Object.hasOwn(PROGRAMS, first)) {
    const program = join(import.meta.dirname, first, "main.ts");
    if (!existsSync(program)) throw new Error(`bench/${first}/main.ts is not there`);
    process.argv = [...process.argv.slice(0, 2), ...args.slice(1)];
    await import(pathToFileURL(program).href);
    return;
  }
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      peers: { type: "string" },
      rounds: { type: "string" },
      seconds: { type: "string" },
      requests: { type: "string" },
      quick: { type: "boolean", default: false },
      reference: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return usage();
  const numberOf = (text: string | undefined) => (text === undefined ? undefined : Number(text));
  await runLoads({
    loads: positionals,
    peers: values.peers?.split(",").map((name) => name.trim()),
    rounds: numberOf(values.rounds),
    seconds: numberOf(values.seconds),
    requests: numberOf(values.requests),
    mode: values.reference ? "reference" : values.quick ? "quick" : "full",
  });
}

await main(process.argv.slice(2));
