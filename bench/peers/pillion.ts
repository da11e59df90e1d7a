// Pillion as a newcomer starts it: one service, everything else by default. Routing, limits, metrics and the
// bookkeeping of retries are on.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Load } from "../load/loads.ts";
import { freePort, PROJECT, startServer, waitForPort } from "../system/process.ts";
import { asRunning, backendPort, type Peer, type RunningPeer } from "./peer.ts";

const PROGRAM = join(PROJECT, "bin/pillion");

const READY_TIMEOUT_MS = 30_000;

/** The service that the loads ask for. */
export const AUTHORITY = "bench";

/** A mesh of one service with one instance. */
export function writeSmallMesh(load: Pick<Load, "protocol">, port: number): unknown {
  const protocol = load.protocol === "http1" ? "http" : "http2";
  return { services: { [AUTHORITY]: { protocol, instances: [{ id: "a", address: `127.0.0.1:${port}` }] } } };
}

/** Starts a sidecar on a mesh document; `name` tells several apart. */
export async function startPillion(
  name: string,
  mesh: unknown,
  folder: string,
  flags: readonly string[] = [],
): Promise<RunningPeer> {
  const port = await freePort();
  const path = join(folder, `${name}.yaml`);
  // JSON is YAML.
  writeFileSync(path, JSON.stringify(mesh));
  const probe = await freePort();
  const ports = ["--outbound", `127.0.0.1:${port}`, "--inbound", "off", "--admin", "off"];
  const args = ["run", "--mesh", `file:${path}`, ...ports, "--probe", `127.0.0.1:${probe}`, ...flags];
  const child = startServer(name, PROGRAM, args);
  const running = await asRunning(name, child, port, AUTHORITY);
  // It accepts before the mesh is in force, and answers 503 until then.
  await waitForPort(probe, name, child);
  const endMs = performance.now() + READY_TIMEOUT_MS;
  while (!(await fetch(`http://127.0.0.1:${probe}/ready`)).ok) {
    if (performance.now() > endMs) throw new Error(`${name} does not become ready`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return running;
}

export const pillion: Peer = {
  name: "pillion",
  find: () => PROGRAM,
  remedy: "npm run build",
  versionArgs: ["version"],
  start: (load, backends) =>
    startPillion("pillion", writeSmallMesh(load, backendPort(load, backends)), backends.folder),
};
