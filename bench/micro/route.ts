// What routing costs: one match among 10, 1,000 and 10,000 rules, by shape of the rules; and what compiling them costs.
//
//   node bench/assembly/route.ts
//
// The loop runs inside of Wasm (release build), so no JavaScript is measured. The request matches the last rule.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { RouteExports } from "../../test/support/route-engine.ts";
import { compileMesh, RouteEngine } from "../../test/support/route-engine.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const output = join(root, "build/wasm/bench-route.wasm");
const MATCHES = 2_000_000;
const SERVICES = 100;

type Shape = "prefix" | "exact" | "regex" | "hosts";

function writeMesh(shape: Shape, count: number) {
  const numbers = Array.from({ length: count }, (_, index) => index);
  const to = (index: number) => [{ service: `s${index % SERVICES}` }];
  if (shape === "hosts") {
    return {
      routes: Object.fromEntries(
        numbers.map((index) => [`r${index}`, { hosts: [`h${index}.example.com`], rules: [{ to: to(index) }] }]),
      ),
    };
  }
  const paths = {
    prefix: (index: number) => ({ prefix: `/api/v1/resource${index}` }),
    exact: (index: number) => ({ exact: `/api/v1/resource${index}/7` }),
    regex: (index: number) => ({ regex: `/api/v1/resource${index}/[0-9]+(/.*)?` }),
  };
  const rules = numbers.map((index) => ({ match: { path: paths[shape](index) }, to: to(index) }));
  return { routes: { r: { hosts: ["api.example.com"], rules } } };
}

function loadEngine(): RouteEngine & { exports: { matchRepeatedly(head: number, times: number): number } } {
  const memory = new WebAssembly.Memory({ initial: 4096, maximum: 4096 });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(output)), { env: { memory } });
  const buffer = memory.buffer as ArrayBuffer;
  const exports = instance.exports as unknown as RouteExports & {
    matchRepeatedly(head: number, times: number): number;
  };
  const module = { exports, memory, bytes: new Uint8Array(buffer), view: new DataView(buffer) };
  return new RouteEngine(module) as ReturnType<typeof loadEngine>;
}

const asc = join(root, "node_modules/assemblyscript/bin/asc.js");
const built = spawnSync(
  process.execPath,
  [asc, "assembly/testing/route.ts", "--target", "engine", "--outFile", output],
  { cwd: root, stdio: "inherit" },
);
if (built.status !== 0) process.exit(1);

for (const shape of ["prefix", "exact", "regex", "hosts"] as const) {
  for (const count of [10, 1_000, 10_000]) {
    const started = performance.now();
    const { bytes } = compileMesh(writeMesh(shape, count));
    const compiled = performance.now();
    const engine = loadEngine();
    if (engine.load(bytes) !== 0) throw new Error("the engine refused the snapshot");
    const host = shape === "hosts" ? `h${count - 1}.example.com` : "api.example.com";
    const request = { authority: `${host}:15001`, path: `/api/v1/resource${count - 1}/7?q=1` };
    if (engine.match(request).reason !== 0) throw new Error("the request has no route");
    const head = engine.writeHead(request);
    engine.exports.matchRepeatedly(head, MATCHES / 10);
    const before = performance.now();
    engine.exports.matchRepeatedly(head, MATCHES);
    const nanoseconds = ((performance.now() - before) * 1e6) / MATCHES;
    const compileMs = (compiled - started).toFixed(0);
    process.stdout.write(
      `${shape.padEnd(7)} ${String(count).padStart(6)}  ${nanoseconds.toFixed(0).padStart(4)} ns a match  ` +
        `${compileMs.padStart(5)} ms to parse and compile  ${bytes.length} bytes\n`,
    );
  }
}
