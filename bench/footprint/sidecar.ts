// The sidecar that is looked at: bin/pillion as a newcomer starts it, one worker, a mesh file, all its ports open.

import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { parseReserved } from "../../src/dataplane/descriptor-limit.ts";
import type { Backends } from "../system/backends.ts";
import { end, freePort } from "../system/process.ts";

const PROGRAM = join(import.meta.dirname, "../../bin/pillion");
/** How often readiness is asked for; what is measured is more than a hundred times as long. */
const LOOK_MS = 1;
const START_MS_MAX = 20_000;

export interface Footprint {
  readonly residentKiB: number;
  /** Its share of what others map too. */
  readonly proportionalKiB: number;
  /** What nobody else maps: what one more sidecar on the host costs. */
  readonly privateKiB: number;
}

export interface RunningSidecar extends AsyncDisposable {
  readonly port: number;
  readonly child: ChildProcess;
  /** From exec to the first 200 of /ready. */
  readonly startMs: number;
  /** Descriptors that clients may have. */
  readonly clientsMost: number;
  residentKiB(): number;
  footprint(): Footprint;
}

/** Starts it with the two backends as the services `h1` and `h2`; resolves when it is ready. */
export async function startSidecar(backends: Backends): Promise<RunningSidecar> {
  const ports = {
    outbound: await freePort(),
    inbound: await freePort(),
    admin: await freePort(),
    probe: await freePort(),
  };
  const mesh = join(backends.folder, `footprint-${ports.outbound}.yaml`);
  const service = (name: string, protocol: string, port: number) =>
    `  ${name}: {protocol: ${protocol}, instances: [{id: a, address: "127.0.0.1:${port}"}]}\n`;
  const [h1, h2] = [service("h1", "http", backends.http1Port), service("h2", "http2", backends.http2Port)];
  writeFileSync(mesh, `services:\n${h1}${h2}`);
  const flags = Object.entries(ports).flatMap(([name, port]) => [`--${name}`, `127.0.0.1:${port}`]);
  const fromMs = performance.now();
  const child = spawn(PROGRAM, ["run", "--mesh", `file:${mesh}`, "--workers", "1", ...flags], { stdio: "ignore" });
  try {
    while (!(await isReady(ports.probe))) {
      if (child.exitCode !== null) throw new Error(`bin/pillion ended with ${child.exitCode}`);
      if (performance.now() - fromMs > START_MS_MAX) throw new Error("bin/pillion does not become ready");
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  } catch (error) {
    await end(child);
    throw error;
  }
  const pid = child.pid!;
  return {
    port: ports.outbound,
    child,
    startMs: performance.now() - fromMs,
    clientsMost: parseReserved(readFileSync(`/proc/${pid}/limits`, "utf8")),
    residentKiB: () => kibOf(readFileSync(`/proc/${pid}/status`, "utf8"), "VmRSS"),
    footprint: () => {
      const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
      return {
        residentKiB: kibOf(rollup, "Rss"),
        proportionalKiB: kibOf(rollup, "Pss"),
        privateKiB: kibOf(rollup, "Private_Clean") + kibOf(rollup, "Private_Dirty"),
      };
    },
    [Symbol.asyncDispose]: () => end(child),
  };
}

/** One question on a connection of its own, without the tenfold of fetch. */
function isReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(port, "127.0.0.1", () => socket.write("GET /ready HTTP/1.0\r\nhost: localhost\r\n\r\n"));
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      text += chunk;
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(/^HTTP\/1\.\d 200 /.test(text)));
  });
}

function kibOf(text: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? Number.NaN);
}
