// Goal: no disagreement with Node's HTTP/1.1 parser that nobody can explain. Method: the same samples for both; classes
// of disagreement are looked up in a table, which docs/DIFFERENTIAL.md shows (this test compares and, with -u, writes).

import { join } from "node:path";
import { expect, test } from "vitest";
import { projectRoot } from "../support/source.ts";
import { compareParsers, EXPLANATIONS } from "./differential.ts";

const SAMPLES = 12_000;
const classes = compareParsers(1, SAMPLES);

test("every class of disagreement is explained", () => {
  const open = [...classes].filter(([key]) => EXPLANATIONS[key] === undefined);
  expect(open).toEqual([]);
  expect(classes.size).toBeGreaterThan(20); // else the samples say nothing
});

test("docs/DIFFERENTIAL.md is fresh", async () => {
  const rows = Object.entries(EXPLANATIONS).map(([key, why]) => {
    const seen = classes.get(key)?.count ?? 0;
    return `| ${key} | ${why} | ${((100 * seen) / SAMPLES).toFixed(2)} |`;
  });
  const text = `# Where Node's HTTP/1.1 parser and ours differ

<!-- Made by test/fuzz/differential.test.ts, which compares and, with -u, writes it. -->

Both read the same ${SAMPLES} inputs of \`test/fuzz/h1-messages.ts\`: requests and responses, right and changed. A class
that is not in this table fails the test. *Only we*: a message that we take and llhttp (strict) does not, with what it
says; *only Node*: the reverse, with what our strict reader says. Node's package undici carries the same llhttp.

| class | why | % of inputs |
|---|---|---|
${rows.join("\n")}
`;
  await expect(text).toMatchFileSnapshot(join(projectRoot, "docs/DIFFERENTIAL.md"));
});
