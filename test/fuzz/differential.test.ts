// Goal: no disagreement with Node's HTTP/1.1 parser, or with undici's client, that nobody can explain. Method: the same
// samples for both; classes of disagreement are looked up in a table, which docs/DIFFERENTIAL.md shows (this test
// compares and, with -u, writes).

import { join } from "node:path";
import { expect, test } from "vitest";
import { projectRoot } from "../support/source.ts";
import { readUndici } from "../support/undici-parser.ts";
import { type Class, compareParsers, compareUndici, EXPLANATIONS, UNDICI_EXPLANATIONS } from "./differential.ts";

const SAMPLES = 12_000;
const classes = compareParsers(1, SAMPLES);
const undiciClasses = await compareUndici(1, SAMPLES);

test("every class of disagreement is explained", () => {
  const open = [...classes].filter(([key]) => EXPLANATIONS[key] === undefined);
  expect(open).toEqual([]);
  expect(classes.size).toBeGreaterThan(20); // else the samples say nothing
});

test("every class of disagreement with undici is explained, and none is made up", () => {
  const open = [...undiciClasses].filter(([key]) => UNDICI_EXPLANATIONS[key] === undefined);
  expect(open).toEqual([]);
  expect(Object.keys(UNDICI_EXPLANATIONS).filter((key) => !undiciClasses.has(key))).toEqual([]);
});

test("undici reads what is right, and says what is wrong", async () => {
  const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
  expect(await readUndici(chunked, "GET")).toEqual({ message: ["200", "ok"], error: undefined });
  expect((await readUndici(chunked.replace("2\r\n", "x\r\n"), "GET")).error).toContain("chunk size");
  expect(await readUndici(chunked.replace("2\r\n", "3\r\n"), "GET")).toMatchObject({ message: undefined });
});

test("docs/DIFFERENTIAL.md is fresh", async () => {
  const table = (explanations: Readonly<Record<string, string>>, seen: Map<string, Class>) =>
    Object.entries(explanations)
      .map(([key, why]) => `| ${key} | ${why} | ${((100 * (seen.get(key)?.count ?? 0)) / SAMPLES).toFixed(2)} |`)
      .join("\n");
  const text = `# Where Node's HTTP/1.1 parser and ours differ

<!-- Made by test/fuzz/differential.test.ts, which compares and, with -u, writes it. -->

Both read the same ${SAMPLES} inputs of \`test/fuzz/h1-messages.ts\`: requests and responses, right and changed. A class
that is not in this table fails the test. *Only we*: a message that we take and llhttp (strict) does not, with what it
says; *only Node*: the reverse, with what our strict reader says.

| class | why | % of inputs |
|---|---|---|
${table(EXPLANATIONS, classes)}

## undici

A client of undici asks with GET or HEAD and is given the responses among the same inputs, then FIN: its parser, and
what undici looks at besides. The requests among them are not its business.

| class | why | % of inputs |
|---|---|---|
${table(UNDICI_EXPLANATIONS, undiciClasses)}
`;
  await expect(text).toMatchFileSnapshot(join(projectRoot, "docs/DIFFERENTIAL.md"));
});
