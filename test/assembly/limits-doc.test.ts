// Goal: docs/LIMITS.md says of every limit of the engine its value, its reason and how one notices it.
// Method: the page is made of assembly/abi/limits.ts as it is and of limits-seen.ts; compared here, with -u written.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { projectRoot } from "../support/source.ts";
import { SEEN } from "./limits-seen.ts";

interface Limit {
  readonly names: string[];
  readonly values: string[];
  readonly reason: string;
}

const SOURCE = readFileSync(join(projectRoot, "assembly/abi/limits.ts"), "utf8");

/** Sections, and in them values with the comment above; values without one belong to that before. */
function readSections(): [title: string, limits: Limit[]][] {
  const sections: [string, Limit[]][] = [];
  let reason = "";
  let isInside = false;
  for (const line of SOURCE.split("\n")) {
    const [, title] = /^\/\/ ── (.*?) ─+$/.exec(line) ?? [];
    if (title !== undefined) sections.push([title, []]);
    if (line.startsWith("/**")) [reason, isInside] = ["", true];
    if (isInside) reason += ` ${line.replace(/^\/?\s*\*+\/?|\*\/$/g, "").trim()}`;
    if (line.endsWith("*/")) isInside = false;
    const [, name, digits] = /^export const (\w+) = (\d+);$/.exec(line) ?? [];
    if (name === undefined) continue;
    const value = readable(name, Number(digits));
    const limits = sections.at(-1)![1];
    const before = limits.at(-1);
    if (name in SEEN || before === undefined) limits.push({ names: [name], values: [value], reason: reason.trim() });
    else {
      before.names.push(name);
      before.values.push(value);
      if (reason.trim() !== "") limits[limits.length - 1] = { ...before, reason: `${before.reason} ${reason.trim()}` };
    }
    reason = "";
  }
  return sections;
}

function page(): string {
  const parts = readSections().map(([title, limits]) => {
    const rows = limits.map(({ names, values, reason }) => {
      const cells = [names.map((name) => `\`${name}\``), values, [reason.replaceAll("|", "\\|")]];
      return `| ${cells.map((cell) => cell.join("<br>")).join(" | ")} | ${SEEN[names[0]!]} |`;
    });
    return `## ${title}\n\n| limit | value | reason | how it shows |\n|---|---|---|---|\n${rows.join("\n")}\n`;
  });
  return `# Limits

<!-- Made by test/assembly/limits-doc.test.ts of assembly/abi/limits.ts; with -u it is written anew. -->

Every capacity and flood budget of the engine: its value, why it is that, whose value it follows, and what one sees when
it is met. Kinds are those of \`pillion_glitches_total{kind}\`; words behind a status are \`x-pillion-reason\`. Attacks
(A1 to A35) are listed in [ATTACKS.md](ATTACKS.md) with what each was measured to cost, ratios in
[AMPLIFICATION.md](AMPLIFICATION.md). Limits of a service (requests, connections, retries, timeouts) are its document's:
[KEYSPACE.md](KEYSPACE.md).

${parts.join("\n")}`;
}

/** A value as people say it, by the unit at the end of its name. */
function readable(name: string, value: number): string {
  if (/_MS$/.test(name)) return inUnits(value, [3_600_000, "h"], [60_000, "min"], [1_000, "s"], [1, "ms"]);
  if (/BYTES(_MAX)?$|_BUDGET$|_OVERHEAD$/.test(name))
    return inUnits(value, [2 ** 20, "MiB"], [1_024, "KiB"], [1, "bytes"]);
  return value.toLocaleString("en-US");
}

function inUnits(value: number, ...units: readonly (readonly [number, string])[]): string {
  const [size, unit] = units.find(([each]) => value >= each && value % each === 0) ?? [1, ""];
  return `${(value / size).toLocaleString("en-US")} ${unit}`.trim();
}

test("docs/LIMITS.md is fresh", async () => {
  await expect(page()).toMatchFileSnapshot(join(projectRoot, "docs/LIMITS.md"));
});

test("what is said of limits is said of limits that there are", () => {
  const names = new Set([...SOURCE.matchAll(/^export const (\w+) = /gm)].map(([, name]) => name));
  expect(Object.keys(SEEN).filter((name) => !names.has(name))).toEqual([]);
});

test("every limit says why", () => {
  const limits = readSections().flatMap(([, section]) => section);
  expect(limits.filter(({ reason }) => reason === "").map(({ names }) => names)).toEqual([]);
});
