// What stands behind every proxy: the same for all of them, and quick enough not to be the limit.
//
// HTTP/2: nghttpd. HTTP/1.1: nginx. Where one is missing, a Node server takes its place: it only makes the run longer,
// for the proxy's CPU is what is counted.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createServerH2 } from "node:http2";
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lookUp } from "./programs.ts";

export interface Backends extends AsyncDisposable {
  readonly http1Port: number;
  readonly http2Port: number;
  /** A folder for configuration files of peers. */
  readonly folder: string;
}

export const BODIES: Readonly<Record<string, number>> = { "100": 100, "10k": 10_240, "1m": 1_048_576 };

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Waits until somebody accepts on a port. */
export async function waitForPort(port: number, name: string): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${name} does not listen on port ${port}`);
}

/** Ends a process that we started, and waits for it. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 3_000);
  await exited;
  clearTimeout(timer);
}

export async function startBackends(): Promise<Backends> {
  const folder = mkdtempSync(join(tmpdir(), "pillion-bench-"));
  for (const [name, bytes] of Object.entries(BODIES)) writeFileSync(join(folder, name), "a".repeat(bytes));
  const [http1Port, http2Port] = [await freePort(), await freePort()];
  const stops = [await startHttp1(folder, http1Port), await startHttp2(folder, http2Port)];
  return {
    http1Port,
    http2Port,
    folder,
    async [Symbol.asyncDispose]() {
      for (const stop of stops) await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function startHttp1(folder: string, port: number): Promise<() => Promise<unknown>> {
  const nginx = lookUp("nginx");
  if (nginx === undefined) {
    return listen(
      createServer((request, response) => response.end(bodyOf(request.url))),
      port,
    );
  }
  const conf = join(folder, "backend.conf");
  writeFileSync(conf, nginxConf(folder, `server { listen 127.0.0.1:${port}; root ${folder}; }`, "backend"));
  const child = spawn(nginx, ["-c", conf], { stdio: "ignore" });
  await waitForPort(port, "nginx");
  return () => end(child);
}

async function startHttp2(folder: string, port: number): Promise<() => Promise<unknown>> {
  const nghttpd = lookUp("nghttpd");
  if (nghttpd === undefined) {
    const server = createServerH2((request, response) => response.end(bodyOf(request.url)));
    return listen(server as unknown as Server, port);
  }
  const child = spawn(nghttpd, ["--no-tls", "-n1", "-a", "127.0.0.1", "-d", folder, String(port)], { stdio: "ignore" });
  await waitForPort(port, "nghttpd");
  return () => end(child);
}

/** A configuration of nginx with one worker and long-lived connections. */
export function nginxConf(folder: string, server: string, name: string): string {
  // Started by root, its worker would be nobody, who may not read our folder.
  const user = process.getuid?.() === 0 ? "user root;" : "";
  return `
${user} worker_processes 1; daemon off; pid ${folder}/${name}.pid; error_log ${folder}/${name}.log;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; default_type text/plain;
  ${server}
}
`;
}

function bodyOf(url: string | undefined): string {
  return "a".repeat(BODIES[(url ?? "").slice(1)] ?? 100);
}

async function listen(server: Server, port: number): Promise<() => Promise<unknown>> {
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return () => new Promise((resolve) => server.close(resolve));
}
