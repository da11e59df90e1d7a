// What reading and writing one HTTP/1.1 head costs, the stream's record and its release included.
//
//   node bench/assembly/h1.ts
//
// The loop runs inside of Wasm (release build), so no call of JavaScript is measured. The best of many short rounds is
// shown: a shared machine only ever makes a round slower.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { H1 } from "../../test/support/h1.ts";
import type { H1Exports } from "../../test/support/h1-exports.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const output = join(root, "build/wasm/bench-h1.wasm");
const HEADS = 5_000;
const ROUNDS = 200;

const requests = {
  curl: ["GET /hello HTTP/1.1", "Host: 127.0.0.1:8080", "User-Agent: curl/7.88.1", "Accept: */*"],
  service: [
    "POST /api/v1/users/42?expand=all HTTP/1.1",
    "host: users.shop.svc.cluster.local:8080",
    "user-agent: undici",
    "accept: application/json",
    "accept-encoding: gzip, deflate",
    "content-type: application/json",
    "x-request-id: 6f1f6f0e-8c1b-4a57-9a7c-0d9b1f3a7c55",
    "connection: keep-alive",
    "content-length: 0",
  ],
  browser: [
    "GET /assets/app.js?v=123 HTTP/1.1",
    "Host: www.example.com",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.9",
    "Accept-Encoding: gzip, deflate, br",
    "Connection: keep-alive",
    "Cookie: session=abcdefghijklmnopqrstuvwxyz0123456789; theme=dark; tracking=1234567890",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: none",
    "Cache-Control: max-age=0",
    "Referer: https://www.example.com/index.html",
  ],
};

const asc = join(root, "node_modules/assemblyscript/bin/asc.js");
const words = [asc, "assembly/testing/h1.ts", "--target", "engine", "--outFile", output];
if (spawnSync(process.execPath, words, { cwd: root, stdio: "inherit" }).status !== 0) process.exit(1);

const memory = new WebAssembly.Memory({ initial: 4096, maximum: 4096 });
const instance = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(output)), { env: { memory } });
const exports = instance.exports as unknown as H1Exports;
const buffer = memory.buffer as ArrayBuffer;
const h1 = new H1({ exports, memory, bytes: new Uint8Array(buffer), view: new DataView(buffer) });
exports.createPool();

for (const [name, lines] of Object.entries(requests)) {
  const text = `${lines.join("\r\n")}\r\n\r\n`;
  const server = h1.connect("downstream");
  const [event] = server.events(text);
  if (event?.kind !== "head") throw new Error("no request");
  server.sendResponse(event.stream, { status: 204 }, true);
  server.release(event.stream);
  const at = h1.lay(text);
  const parse = measure(() => exports.benchReceive(server.address, at, at + text.length, HEADS));
  const client = h1.connect("upstream");
  const head = h1.putHead(0, event.head);
  const write = measure(() => exports.benchSend(client.address, head, HEADS));
  const shape = `${lines.length - 1} fields, ${text.length} bytes`;
  process.stdout.write(`${name.padEnd(8)} ${shape.padEnd(22)} parse ${parse} ns, write ${write} ns\n`);
}

/** Nanoseconds for each head, of the best round. */
function measure(round: () => void): string {
  let best = Number.POSITIVE_INFINITY;
  for (let index = 0; index < ROUNDS; index += 1) {
    const start = process.hrtime.bigint();
    round();
    best = Math.min(best, Number(process.hrtime.bigint() - start) / HEADS);
  }
  return best.toFixed(0).padStart(4);
}
