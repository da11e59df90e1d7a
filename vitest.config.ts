// How the tests run. `npm test` brings its own reporter (tools/vitest-reporter.mjs).

import { defineConfig } from "vitest/config";

// Integration tests start real processes; two forks on two cores keep them honest and quick.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // A condition is waited for as long as a busy machine may need; nothing is judged by how fast it comes.
    expect: { poll: { timeout: 15_000 } },
    reporters: ["default"],
  },
});
