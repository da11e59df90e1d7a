// What reading and writing one HTTP/1.1 head costs, the stream's record and its release included.

import { H1 } from "../../test/support/h1.ts";
import type { H1Exports } from "../../test/support/h1-exports.ts";
import { type Row, timeLoop } from "./clock.ts";
import { loadModule } from "./modules.ts";

const REQUESTS = {
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

/** Heads of three sizes, read and written. */
export function* measureH1(): Generator<Row> {
  const module = loadModule<H1Exports>("h1");
  const { exports } = module;
  const h1 = new H1(module);
  exports.createPool();
  for (const [name, lines] of Object.entries(REQUESTS)) {
    const text = `${lines.join("\r\n")}\r\n\r\n`;
    const server = h1.connect("downstream");
    const [event] = server.events(text);
    if (event?.kind !== "head") throw new Error("no request");
    server.sendResponse(event.stream, { status: 204 }, true);
    server.release(event.stream);
    const at = h1.lay(text);
    const shape = `${name}, ${lines.length - 1} fields, ${text.length} bytes`;
    yield timeLoop("HTTP/1.1 head, read", shape, (times) =>
      exports.benchReceive(server.address, at, at + text.length, times),
    );
    const client = h1.connect("upstream");
    const head = h1.putHead(0, event.head);
    yield timeLoop("HTTP/1.1 head, write", shape, (times) => exports.benchSend(client.address, head, times));
  }
}
