// Who is measured: Pillion as a newcomer starts it, and others with one worker, access logs off, connections kept
// alive.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Backends, end, freePort, nginxConf, waitForPort } from "./backends.ts";
import type { Load } from "./loads.ts";
import { findProgram } from "./programs.ts";

export interface RunningPeer {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  /** Host to ask for, where the peer routes by it. */
  readonly authority?: string;
  stop(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  readonly program: string;
  readonly remedy: string;
  readonly versionArgs: readonly string[];
  supports(load: Load): boolean;
  start(load: Load, backends: Backends): Promise<RunningPeer>;
}

const PROJECT = join(import.meta.dirname, "../..");
const isAny = () => true;

function startProcess(name: string, program: string, args: readonly string[]): ChildProcess {
  const child = spawn(findProgram(program), args, { stdio: ["ignore", "ignore", "pipe"], cwd: PROJECT });
  let errors = "";
  child.stderr?.on("data", (chunk) => {
    errors = `${errors}${chunk}`.slice(-2_000);
  });
  child.once("exit", (code) => {
    if (code !== 0 && code !== null) process.stderr.write(`${name} ended with ${code}: ${errors}\n`);
  });
  return child;
}

async function running(name: string, child: ChildProcess, port: number, authority?: string): Promise<RunningPeer> {
  await waitForPort(port, name);
  const stop = () => end(child);
  return { name, port, pid: child.pid!, stop, ...(authority === undefined ? {} : { authority }) };
}

function backendPort(load: Load, backends: Backends): number {
  return load.protocol === "http1" ? backends.http1Port : backends.http2Port;
}

const pillion: Peer = {
  name: "pillion",
  program: join(PROJECT, "bin/pillion"),
  remedy: "",
  versionArgs: ["version"],
  supports: isAny,
  async start(load, backends) {
    const port = await freePort();
    const mesh = join(backends.folder, `mesh-${load.name}.yaml`);
    const protocol = load.protocol === "http1" ? "http" : "http2";
    const address = `127.0.0.1:${backendPort(load, backends)}`;
    writeFileSync(mesh, `services: {bench: {protocol: ${protocol}, instances: [{id: a, address: "${address}"}]}}\n`);
    const flags = ["--outbound", `127.0.0.1:${port}`, "--inbound", "off", "--admin", "off", "--probe", "off"];
    const child = startProcess("pillion", pillion.program, ["run", "--mesh", `file:${mesh}`, ...flags]);
    return running("pillion", child, port, "bench");
  },
};

const haproxy: Peer = {
  name: "haproxy",
  program: "haproxy",
  remedy: "apt-get install haproxy",
  versionArgs: ["-v"],
  supports: isAny,
  async start(load, backends) {
    const port = await freePort();
    const proto = load.protocol === "http1" ? "" : " proto h2";
    const conf = join(backends.folder, "haproxy.cfg");
    writeFileSync(
      conf,
      `
global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend f
  bind 127.0.0.1:${port}${proto}
  default_backend b
backend b
  server s 127.0.0.1:${backendPort(load, backends)}${proto}
`,
    );
    return running("haproxy", startProcess("haproxy", "haproxy", ["-f", conf, "-db"]), port);
  },
};

const nghttpx: Peer = {
  name: "nghttpx",
  program: "nghttpx",
  remedy: "apt-get install nghttp2-proxy",
  versionArgs: ["--version"],
  supports: isAny,
  async start(load, backends) {
    const port = await freePort();
    const proto = load.protocol === "http1" ? "" : ";;proto=h2";
    const backend = `127.0.0.1,${backendPort(load, backends)}${proto}`;
    const args = ["-f", `127.0.0.1,${port};no-tls`, "-b", backend, "-n1", "--single-process", "--no-ocsp"];
    return running("nghttpx", startProcess("nghttpx", "nghttpx", [...args, "--accesslog-file=/dev/null"]), port);
  },
};

const nginx: Peer = {
  name: "nginx",
  program: "nginx",
  remedy: "apt-get install nginx-light",
  versionArgs: ["-v"],
  supports: ({ isGrpc }) => !isGrpc,
  async start(load, backends) {
    const port = await freePort();
    const http2 = load.protocol === "h2c" ? " http2" : "";
    // Its upstream side speaks HTTP/1.1 only: with h2c in front it converts, which the others do not have to.
    const server = `
  upstream b { server 127.0.0.1:${backends.http1Port}; keepalive 256; }
  server {
    listen 127.0.0.1:${port}${http2};
    location / { proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }`;
    const conf = join(backends.folder, "nginx-peer.conf");
    writeFileSync(conf, nginxConf(backends.folder, server, "peer"));
    return running("nginx", startProcess("nginx", "nginx", ["-c", conf]), port);
  },
};

const go: Peer = {
  name: "go",
  program: "go",
  remedy: "https://go.dev/dl, 1.24 or newer",
  versionArgs: ["version"],
  supports: isAny,
  async start(load, backends) {
    const port = await freePort();
    const binary = join(backends.folder, "go-proxy");
    execFileSync(findProgram("go"), ["build", "-o", binary, "."], { cwd: join(import.meta.dirname, "go-proxy") });
    const backend = `http://127.0.0.1:${backendPort(load, backends)}`;
    const child = startProcess("go", binary, [`127.0.0.1:${port}`, backend, load.protocol]);
    return running("go", child, port);
  },
};

const naive: Peer = {
  name: "naive",
  program: process.execPath,
  remedy: "",
  versionArgs: ["--version"],
  supports: isAny,
  async start(load, backends) {
    const port = await freePort();
    const script = join(import.meta.dirname, "naive.ts");
    const args = [script, String(port), String(backendPort(load, backends)), load.protocol];
    return running("naive", startProcess("naive", process.execPath, args), port);
  },
};

/** In the order of the tables. `naive` is Node's own modules without any idea: the floor. */
export const PEERS: readonly Peer[] = [pillion, haproxy, nghttpx, nginx, go, naive];
