// What a sidecar carries about although nobody asked for it: modules of Node that are resident wherever a mesh is.
//
// The figures are `npm run bench -- footprint`; here is only what can be said without measuring.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startProgram, waitUntil } from "../support/process.ts";
import { createMesh, startSidecar } from "../support/sidecar.ts";
import { projectRoot } from "../support/source.ts";

/** HTTP clients and what hangs on them, 16 MB together: one `import "node:http"` anywhere loads them all. */
const HEAVY = ["http", "https", "http2", "zlib", "internal/deps/undici/undici", "stream/web"];

test("with a file registry nothing loads Node's HTTP clients or cryptography", async () => {
  await using mesh = createMesh({ services: {} });
  const env = {
    NODE_OPTIONS: `--import=${join(projectRoot, "test/support/list-modules.mjs")}`,
    PILLION_TEST_MODULES: mesh.folder,
  };
  await using sidecar = await startSidecar({ mesh, env });
  const modulesOf = (thread: number): string[] => {
    const file = join(mesh.folder, `${thread}`);
    const list: string[] = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : [];
    return list.map((name) => name.replace("NativeModule ", ""));
  };
  expect(await sidecar.metric("process_start_time_seconds")).toBeGreaterThan(0);
  await waitUntil("both threads have told", () => {
    return modulesOf(0).includes("_http_server") && modulesOf(1).includes("dns");
  });
  expect(modulesOf(0).filter((name) => [...HEAVY, "crypto"].includes(name))).toEqual([]);
  // Unbundled, a worker loads all of src/base, and what that imports.
  const unwanted = process.env.PILLION_TEST_PROGRAM === undefined ? HEAVY : [...HEAVY, "_http_server", "crypto", "tls"];
  expect(modulesOf(1).filter((name) => unwanted.includes(name))).toEqual([]);
});

test.runIf(process.platform === "linux")("of Node's program, an idle sidecar maps less than a bare Node", async () => {
  await using mesh = createMesh({ services: {} });
  await using sidecar = await startSidecar({ mesh });
  await using bare = startProgram(process.execPath, ["-e", "console.log('up'); setInterval(() => {}, 60_000)"]);
  await bare.waitForLine(/^up$/);
  const fileKib = (pid: number) => Number(/^RssFile:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  await waitUntil("the start's pages are given back", () => fileKib(sidecar.program.pid) < fileKib(bare.pid));
  expect((await fetch(`http://${sidecar.probe}/ready`)).status).toBe(200);
});
