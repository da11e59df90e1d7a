// What stands behind every proxy: the same for all of them, and quick enough not to be the limit.
//
// HTTP/2: nghttpd. HTTP/1.1: nginx. gRPC: nghttpd with a trailer, whose file is a length-prefixed message. Where one is
// missing, a Node server takes its place: it only makes the run longer, for the proxy's CPU is what is counted.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createServerH2 } from "node:http2";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { end, freePort, startServer, waitForPort } from "./process.ts";
import { lookUp } from "./programs.ts";

export interface Backends extends AsyncDisposable {
  readonly http1Port: number;
  readonly http2Port: number;
  readonly grpcPort: number;
  /** A folder for configuration files of peers. */
  readonly folder: string;
}

/** Bytes of a body by its path. */
export const BODIES: Readonly<Record<string, number>> = { "/100": 100, "/10k": 10_240, "/1m": 1_048_576 };
export const GRPC_PATH = "/bench.Echo/Unary";
export const GRPC_ANSWER_BYTES = 95;
/** With the prefix of gRPC over HTTP/2, "Length-Prefixed-Message": a flag and four bytes of length. */
const GRPC_FILE = Buffer.concat([Buffer.from([0, 0, 0, 0, GRPC_ANSWER_BYTES]), Buffer.alloc(GRPC_ANSWER_BYTES, "a")]);

/** All of a kind of answer, by path. */
function bodyOf(path: string | undefined): Buffer {
  return path === GRPC_PATH ? GRPC_FILE : Buffer.alloc(BODIES[path ?? ""] ?? 0, "a");
}

export async function startBackends(): Promise<Backends> {
  const folder = mkdtempSync(join(tmpdir(), "pillion-bench-"));
  mkdirSync(join(folder, "bench.Echo"));
  for (const path of [...Object.keys(BODIES), GRPC_PATH]) writeFileSync(join(folder, path), bodyOf(path));
  const [http1Port, http2Port, grpcPort] = [await freePort(), await freePort(), await freePort()];
  const stops = await Promise.all([
    startHttp1(folder, http1Port),
    startHttp2(folder, http2Port, []),
    startHttp2(folder, grpcPort, ["--trailer=grpc-status: 0"]),
  ]);
  return {
    http1Port,
    http2Port,
    grpcPort,
    folder,
    async [Symbol.asyncDispose]() {
      for (const stop of stops) await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function startHttp1(folder: string, port: number): Promise<() => Promise<unknown>> {
  if (lookUp("nginx") === undefined) {
    return listen(
      createServer(({ url }, response) => response.end(bodyOf(url))),
      port,
    );
  }
  const conf = join(folder, "backend.conf");
  writeFileSync(conf, nginxConf(folder, `server { listen 127.0.0.1:${port}; root ${folder}; }`, "backend"));
  const child = startServer("the HTTP/1.1 backend", "nginx", ["-c", conf]);
  await waitForPort(port, "nginx", child);
  return () => end(child);
}

async function startHttp2(folder: string, port: number, flags: readonly string[]): Promise<() => Promise<unknown>> {
  if (lookUp("nghttpd") === undefined) {
    const server = createServerH2(({ url }, response) => {
      if (url === GRPC_PATH) response.addTrailers({ "grpc-status": "0" });
      response.end(bodyOf(url));
    });
    return listen(server as unknown as Server, port);
  }
  const args = ["--no-tls", "-n1", "-a", "127.0.0.1", "-d", folder, ...flags, String(port)];
  const child = startServer("the HTTP/2 backend", "nghttpd", args);
  await waitForPort(port, "nghttpd", child);
  return () => end(child);
}

/** A configuration of nginx with one worker and long-lived connections. */
export function nginxConf(folder: string, server: string, name: string): string {
  // Started by root, its worker would be nobody, who may not read our folder.
  const user = process.getuid?.() === 0 ? "user root;" : "";
  return `
${user} worker_processes 1; daemon off; pid ${folder}/${name}.pid; error_log ${folder}/${name}.log;
events { worker_connections 16384; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; default_type text/plain;
  open_file_cache max=100; sendfile on; tcp_nodelay on;
  ${server}
}
`;
}

async function listen(server: Server, port: number): Promise<() => Promise<unknown>> {
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return () => new Promise((resolve) => server.close(resolve));
}
