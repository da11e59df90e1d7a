// Vitest's default report without its closing table: `npm test` has one closing line of its own (tools/task/steps.mjs).
//
// The counts and the notes of skipped tests go to the file that PILLION_TEST_RESULTS names.

import { writeFileSync } from "node:fs";
import { DefaultReporter } from "vitest/node";

export default class PillionReporter extends DefaultReporter {
  reportTestSummary() {
    // Left to the closing line.
  }

  async onTestRunEnd(testModules, unhandledErrors, reason) {
    await super.onTestRunEnd(testModules, unhandledErrors, reason);
    const results = { passed: 0, failed: unhandledErrors.length, skipped: 0, notes: [] };
    for (const testModule of testModules) {
      // A file that does not load, or a hook that fails, has an error and perhaps not a single test.
      const suites = [testModule, ...testModule.children.allSuites()];
      results.failed += suites.filter((suite) => suite.errors().length > 0).length;
      for (const test of testModule.children.allTests()) count(results, testModule, test);
    }
    const path = process.env.PILLION_TEST_RESULTS;
    if (path !== undefined) writeFileSync(path, JSON.stringify(results));
  }
}

function count(results, testModule, test) {
  const result = test.result();
  if (result.state === "passed" || result.state === "failed") {
    results[result.state] += 1;
    return;
  }
  results.skipped += 1;
  results.notes.push({ test: `${testModule.relativeModuleId} > ${test.fullName}`, reason: result.note ?? "no reason" });
}
