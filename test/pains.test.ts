// docs/PAINS.md claims nothing that no test shows: all 38 rows are there, and every test that they name exists.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { projectRoot } from "./support/source.ts";

const ROWS = 38;
const VERDICTS = ["here", "in part", "not yet", "not applicable"];

interface Row {
  readonly number: number;
  readonly verdict: string;
  /** Path and title of each test. */
  readonly tests: readonly (readonly [string, string])[];
}

function readRows(): Row[] {
  const text = readFileSync(join(projectRoot, "docs/PAINS.md"), "utf8");
  return [...text.matchAll(/^\| (\d+) \|(.*)\|$/gm)].map(([, number, rest = ""]) => {
    const [, verdict = "", , shownBy = ""] = rest.split(" | ").map((cell) => cell.trim());
    const files = [...shownBy.matchAll(/`(test\/[^`]+)`: ((?:“[^”]+”(?:, )?)+)/g)];
    const tests = files.flatMap(([, path = "", titles = ""]) =>
      [...titles.matchAll(/“([^”]+)”/g)].map(([, title = ""]) => [path, title] as const),
    );
    return { number: Number(number), verdict, tests };
  });
}

/** Whether a file holds a test of exactly this title. */
function hasTest(path: string, title: string): boolean {
  const file = join(projectRoot, path);
  if (!existsSync(file)) return false;
  const escaped = title.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`\\b(?:test|it)\\b[^;]{0,200}?\\(\\s*"${escaped}",`).test(readFileSync(file, "utf8"));
}

test("every pain has its row and one of four verdicts", () => {
  const rows = readRows();
  expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: ROWS }, (_, index) => index + 1));
  expect(rows.filter(({ verdict }) => !VERDICTS.includes(verdict))).toEqual([]);
});

test("what is claimed is shown, by tests that exist", () => {
  const rows = readRows();
  const claimed = rows.filter(({ verdict }) => verdict === "here" || verdict === "in part");
  expect(claimed.filter(({ tests }) => tests.length === 0)).toEqual([]);
  expect(rows.flatMap(({ tests }) => tests).filter(([path, title]) => !hasTest(path, title))).toEqual([]);
});

test("a test that does not exist is noticed (canary)", () => {
  expect(hasTest("test/pains.test.ts", "a title that nobody wrote")).toBe(false);
  expect(hasTest("test/nowhere.test.ts", "every pain has its row and one of four verdicts")).toBe(false);
  expect(hasTest("test/pains.test.ts", "every pain has its row and one of four verdicts")).toBe(true);
});
