// A plain HTTP/1.1 server on node:http that tells who answered, and misbehaves when asked to.
//
//   node examples/http/server.ts --listen 127.0.0.1:8080 --name a
//
//   GET  /              a greeting in JSON, with the instance's name
//   GET  /headers       the request's headers as they arrived, in JSON
//   GET  /status/503    that status
//   GET  /delay/250     answers after 250 ms
//   GET  /stream/10     ten lines, one every 10 ms, chunked
//   POST /echo          the body as it came

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { announce, parseProgramFlags } from "../support/program.ts";

/** Longest delay, most lines: an example must not be a weapon. */
const DELAY_MAX_MS = 60_000;
const STREAM_LINES_MAX = 10_000;
const STREAM_PERIOD_MS = 10;

const flags = parseProgramFlags({ listen: "127.0.0.1:8080", name: "http", database: "" });

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = `${JSON.stringify(value)}\n`;
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.setHeader("x-instance", flags.name);
  const [, first = "", second = "0"] = (request.url ?? "/").split("?", 1)[0]?.split("/") ?? [];
  const number = Math.max(0, Math.trunc(Number(second) || 0));
  if (first === "") {
    sendJson(response, 200, { message: "Hello!", instance: flags.name });
  } else if (first === "headers") {
    sendJson(response, 200, request.headers);
  } else if (first === "status" && number >= 200 && number <= 599) {
    sendJson(response, number, { status: number, instance: flags.name });
  } else if (first === "delay") {
    await pause(Math.min(number, DELAY_MAX_MS));
    sendJson(response, 200, { delayMs: number, instance: flags.name });
  } else if (first === "stream") {
    for (let line = 1; line <= Math.min(number, STREAM_LINES_MAX) && !response.destroyed; line += 1) {
      response.write(`${line}\n`);
      await pause(STREAM_PERIOD_MS);
    }
    response.end();
  } else if (first === "echo") {
    response.writeHead(200, { "content-type": request.headers["content-type"] ?? "application/octet-stream" });
    request.pipe(response);
  } else {
    sendJson(response, 404, { error: "not found", instance: flags.name });
  }
}

const server = createServer((request, response) => {
  answer(request, response).catch(() => response.destroy());
});
const separator = flags.listen.lastIndexOf(":");
server.listen(Number(flags.listen.slice(separator + 1)), flags.listen.slice(0, separator), () => {
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  announce(`${flags.listen.slice(0, separator)}:${port}`, async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeIdleConnections();
    await closed;
  });
});
