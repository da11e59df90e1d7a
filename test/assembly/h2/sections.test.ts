// Every section of RFC 9113, RFC 8441 and RFC 7541 that a peer can violate has a case, for each role that can meet it.
//
// test/cases/sections.md is the index; here is the list of sections, taken from the RFCs' own tables of contents. Left
// out: sections that only define (§2, §5.2, §5.3), that speak of us (§5.4, §6.8's use, §7), of TLS (§9.2) or nobody.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CLIENT } from "../../support/h2.ts";
import { readCases } from "../../support/h2-script.ts";

const SECTIONS = [
  "RFC 9113 §3.4 server",
  "RFC 9113 §3.4 client",
  "RFC 9113 §4.1 server",
  "RFC 9113 §4.2 server",
  "RFC 9113 §4.2 client",
  "RFC 9113 §4.3 server",
  "RFC 9113 §4.3 client",
  "RFC 9113 §5.1 server",
  "RFC 9113 §5.1 client",
  "RFC 9113 §5.1.1 server",
  "RFC 9113 §5.1.1 client",
  "RFC 9113 §5.5 server",
  "RFC 9113 §5.5 client",
  "RFC 9113 §6.1 server",
  "RFC 9113 §6.1 client",
  "RFC 9113 §6.2 server",
  "RFC 9113 §6.2 client",
  "RFC 9113 §6.3 server",
  "RFC 9113 §6.3 client",
  "RFC 9113 §6.4 server",
  "RFC 9113 §6.4 client",
  "RFC 9113 §6.5 server",
  "RFC 9113 §6.5 client",
  "RFC 9113 §6.5.2 server",
  "RFC 9113 §6.5.2 client",
  "RFC 9113 §6.7 server",
  "RFC 9113 §6.7 client",
  "RFC 9113 §6.8 server",
  "RFC 9113 §6.8 client",
  "RFC 9113 §6.10 server",
  "RFC 9113 §6.10 client",
  "RFC 9113 §6.5.3 server",
  "RFC 9113 §6.6 server",
  "RFC 9113 §6.6 client",
  "RFC 9113 §6.9 server",
  "RFC 9113 §6.9 client",
  "RFC 9113 §6.9.1 server",
  "RFC 9113 §6.9.1 client",
  "RFC 9113 §6.9.2 server",
  "RFC 9113 §6.9.2 client",
  "RFC 9113 §8.1 server",
  "RFC 7540 §5.3.1 server",
  "RFC 9113 §8.1 client",
  "RFC 9113 §8.1.1 server",
  "RFC 9113 §8.1.1 client",
  "RFC 9113 §8.2.1 server",
  "RFC 9113 §8.2.1 client",
  "RFC 9113 §8.2.2 server",
  "RFC 9113 §8.2.2 client",
  "RFC 9113 §8.2.3 server",
  "RFC 9113 §8.3 server",
  "RFC 9113 §8.3 client",
  "RFC 9113 §8.3.1 server",
  "RFC 9113 §8.3.2 client",
  "RFC 9113 §8.4 client",
  "RFC 9113 §8.5 server",
  "RFC 9113 §8.6 client",
  "RFC 9113 §8.7 client",
  "RFC 8441 §3 server",
  "RFC 8441 §3 client",
  "RFC 7541 §2.3.3 server",
  "RFC 7541 §2.3.3 client",
  "RFC 7541 §4.2 server",
  "RFC 7541 §4.2 client",
  "RFC 7541 §5.1 server",
  "RFC 7541 §5.1 client",
  "RFC 7541 §5.2 server",
  "RFC 7541 §5.2 client",
  "RFC 7541 §6.1 server",
  "RFC 7541 §6.1 client",
  "RFC 7541 §6.2 server",
  "RFC 7541 §6.2 client",
  "RFC 7541 §6.3 server",
  "RFC 7541 §6.3 client",
  "RFC 7541 §4.3 server",
];

const folder = join(import.meta.dirname, "../../cases");
const index = [
  ...readFileSync(join(folder, "sections.md"), "utf8").matchAll(/^\| (RFC \S+ §\S+) \| (\w+) \| (\S+) \| (.+) \|$/gm),
];
const rows = index.map(([, section = "", role = "", file = "", title = ""]) => ({ section, role, file, title }));

test("every section has a case", () => {
  const covered = new Set(rows.map(({ section, role }) => `${section} ${role}`));
  expect(SECTIONS.filter((section) => !covered.has(section))).toEqual([]);
  expect([...covered].filter((section) => !SECTIONS.includes(section))).toEqual([]);
});

test("every row names a case that there is", () => {
  const cases = new Set(
    readdirSync(join(folder, "h2")).flatMap((file) =>
      readCases(readFileSync(join(folder, "h2", file), "utf8")).map(
        ({ title, role }) => `${file} ${role === CLIENT ? "client" : "server"} ${title}`,
      ),
    ),
  );
  expect(rows.map(({ file, role, title }) => `${file} ${role} ${title}`).filter((row) => !cases.has(row))).toEqual([]);
  expect(rows.length).toBeGreaterThan(SECTIONS.length);
});

test("cases that name a section stand in the index", () => {
  const listed = new Set(rows.map(({ file, title }) => `${file} ${title}`));
  const named = readdirSync(join(folder, "h2")).flatMap((file) =>
    readCases(readFileSync(join(folder, "h2", file), "utf8"))
      .filter(({ title }) => /^§[\d.]+ /.test(title))
      .map(({ title }) => `${file} ${title}`),
  );
  expect(named.filter((one) => !listed.has(one))).toEqual([]);
});
