// Fuzzes as long as asked:  npm run fuzz -- --minutes N [--seed S] [--only h1|hpack|h2|conversation] [--count N]
//
// Seeds rise from S. The first failure ends its fuzzer; it names the seed and the command that replays it. Executions
// are inputs given to the engine (of conversations: steps of one of the peers).

import { parseArgs } from "node:util";
import { Found, fuzz } from "./fuzzer.ts";
import { createFuzzer, FUZZERS, type FuzzerName } from "./fuzzers.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
    count: { type: "string" },
    only: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
const only = values.only?.split(",") ?? [...FUZZERS];
const minutes = Number(values.minutes);
const first = Number(values.seed);
const count = Number(values.count ?? Number.POSITIVE_INFINITY);

if (
  values.help ||
  only.some((name) => !(FUZZERS as readonly string[]).includes(name)) ||
  !(minutes > 0 && first >= 0)
) {
  process.stdout.write("usage: npm run fuzz -- [--minutes N] [--seed S] [--count SEEDS] [--only ");
  process.stdout.write(`${FUZZERS.join(",")}]\n`);
  process.exit(values.help ? 0 : 2);
}

/** Says how it goes once in so many milliseconds. */
const REPORT_MS = 60_000;

for (const name of only as FuzzerName[]) {
  const fuzzer = await createFuzzer(name);
  const startedMs = performance.now();
  const endMs = startedMs + (minutes * 60_000) / only.length;
  let reportMs = startedMs + REPORT_MS;
  try {
    const { seeds, executions, seconds } = fuzz(fuzzer, first, (done) => {
      const nowMs = performance.now();
      if (nowMs > reportMs) {
        reportMs = nowMs + REPORT_MS;
        process.stderr.write(`${name}: ${done} seeds in ${((nowMs - startedMs) / 1000).toFixed(0)} s\n`);
      }
      return done < count && nowMs < endMs;
    });
    const rate = (executions / seconds).toFixed(0);
    process.stdout.write(`${name}: ${executions} executions of ${seeds} seeds in ${seconds.toFixed(1)} s, ${rate}/s\n`);
  } catch (error) {
    if (!(error instanceof Found)) throw error;
    process.stdout.write(`${name}: FOUND by seed ${error.seed}\n${error.message}\n`);
    if (count === 1 && error.cause instanceof Error) process.stdout.write(`${error.cause.stack}\n`);
    process.exitCode = 1;
  }
}
