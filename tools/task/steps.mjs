// `npm run check` and `npm test`: the steps, and the one closing line.
//
// Every step runs even when an earlier one failed, so one run tells all. The last line has the form
// `N passed, N failed, N skipped`, alone: scripts read it. A step besides the tests (types, lint, demo) counts as one.

import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "./shell.mjs";

const RESULTS = "build/test-results.json";

const TYPES = { name: "types", args: ["node_modules/typescript/bin/tsc", "-p", "."] };
const LINT = { name: "lint", args: ["node_modules/@biomejs/biome/bin/biome", "check", "--error-on-warnings"] };
const DEMO = { name: "demo --once", args: ["build/js/src/main.js", "demo", "--once"] };

/** Types, lint and the house rules; resolves with the exit code. */
export async function check(node) {
  const totals = { passed: 0, failed: 0, skipped: 0, notes: [] };
  await runStep(node, TYPES, totals);
  await runStep(node, LINT, totals);
  await runTests(node, ["test/tidy.test.ts"], totals);
  return conclude(totals);
}

/** Everything, or only the given test files; resolves with the exit code. */
export async function test(node, files) {
  const totals = { passed: 0, failed: 0, skipped: 0, notes: [] };
  if (files.length === 0) {
    await runStep(node, TYPES, totals);
    await runStep(node, LINT, totals);
  }
  await runTests(node, files, totals);
  if (files.length === 0) await runStep(node, DEMO, totals);
  return conclude(totals);
}

async function runStep(node, { name, args }, totals) {
  const code = await run(node, args);
  totals[code === 0 ? "passed" : "failed"] += 1;
  process.stdout.write(code === 0 ? ` ✓ ${name}\n` : ` ✗ ${name} (exit ${code})\n`);
}

/** Vitest with our reporter, which leaves its counts in a file. */
async function runTests(node, files, totals) {
  mkdirSync(join(root, "build"), { recursive: true });
  rmSync(join(root, RESULTS), { force: true });
  const args = ["node_modules/vitest/vitest.mjs", "run", "--reporter=./tools/vitest-reporter.mjs", ...files];
  const code = await run(node, args, {
    env: { ...process.env, PILLION_TEST_RESULTS: RESULTS, PILLION_TEST_PROGRAM: "bin/pillion" },
  });
  const results = readResults();
  if (results === undefined || (code !== 0 && results.failed === 0)) totals.failed += 1;
  totals.passed += results?.passed ?? 0;
  totals.failed += results?.failed ?? 0;
  totals.skipped += results?.skipped ?? 0;
  totals.notes.push(...(results?.notes ?? []));
}

function readResults() {
  try {
    return JSON.parse(readFileSync(join(root, RESULTS), "utf8"));
  } catch {
    return undefined;
  }
}

/** Prints the notes and the closing line; the exit code. */
export function conclude({ passed, failed, skipped, notes }) {
  const out = ["", ...groupNotes(notes), `${passed} passed, ${failed} failed, ${skipped} skipped`];
  process.stdout.write(`${out.join("\n")}\n`);
  return failed === 0 ? 0 : 1;
}

/** One line for each reason, with the tests that it concerns. */
function groupNotes(notes) {
  const byReason = new Map();
  for (const { reason, test: name } of notes) byReason.set(reason, [...(byReason.get(reason) ?? []), name]);
  const lines = [];
  for (const [reason, names] of byReason) {
    const more = names.length > 1 ? ` and ${names.length - 1} more` : "";
    lines.push(`skipped: ${names[0]}${more}: ${reason}`);
  }
  return lines.length === 0 ? [] : [...lines, ""];
}
