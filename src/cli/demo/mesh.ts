// The demo's mesh as processes: seven servers, a sidecar beside each, and one outbound sidecar for the traffic.
//
// The registry is a file in a temporary folder. Inbounds take whatever port is free, so the file can name them only
// after the sidecars are up: servers first, then their sidecars, then mesh.yaml, then the outbound.

import { existsSync } from "node:fs";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pillionError } from "../../base/index.ts";
import { type Child, startChild } from "./children.ts";
import { DEMO_SERVICES, type DemoInstance, formatMesh } from "./plan.ts";
import { waitUntilReady } from "./ready.ts";

/** The ports of DESIGN §4, taken when they are free so that the lines to try by hand are the usual ones. */
const OUTBOUND_PORT = 15_001;
const ADMIN_PORT = 15_000;

export interface DemoMesh {
  readonly meshFile: string;
  readonly instances: readonly DemoInstance[];
  /** `host:port` of the sidecar that carries the traffic, and of its admin. */
  readonly outbound: string;
  readonly admin: string;
  /** Rejects when a process ends unasked. */
  readonly failed: Promise<never>;
  /** Ends everything, sidecars before servers; the names of those that did not end by themselves with exit 0. */
  stop(): Promise<readonly string[]>;
}

export interface DemoMeshOptions {
  /** One service for each policy besides. */
  readonly withPolicies: boolean;
  /** Leave the folder with mesh.yaml in place. */
  readonly isKept: boolean;
}

/** Path of a file of this project, source or compiled as this file is; a bundle lies elsewhere, so it is looked for. */
export function projectPath(pathWithoutEnding: string): string {
  const ending = import.meta.url.slice(import.meta.url.lastIndexOf("."));
  for (let folder = new URL("./", import.meta.url); ; folder = new URL("../", folder)) {
    const path = fileURLToPath(new URL(`${pathWithoutEnding}${ending}`, folder));
    if (existsSync(path)) return path;
    if (folder.pathname === "/") throw pillionError("PILLION_FILE_READ", { path, problem: "no such file" });
  }
}

/** Starts everything; when something fails, ends what was started. */
export async function startDemoMesh({ withPolicies, isKept }: DemoMeshOptions): Promise<DemoMesh> {
  const folder = await mkdtemp(join(tmpdir(), "pillion-demo-"));
  const meshFile = join(folder, "mesh.yaml");
  const servers: Child[] = [];
  const sidecars: Child[] = [];
  const stop = async () => {
    const all = [...sidecars, ...servers];
    const clean = [
      ...(await Promise.all(sidecars.map((child) => child.stop()))),
      ...(await Promise.all(servers.map((child) => child.stop()))),
    ];
    if (!isKept) await rm(folder, { recursive: true, force: true });
    return all.filter((_, index) => clean[index] !== true).map(({ name }) => name);
  };
  try {
    const database = join(folder, "users.db");
    const apps = await Promise.all(planInstances().map((planned) => startServer(planned, database, servers)));
    await writeMesh(meshFile, formatMesh(apps, { withPolicies }));
    const instances = await Promise.all(apps.map((instance) => startInbound(instance, meshFile, sidecars)));
    await writeMesh(meshFile, formatMesh(instances, { withPolicies }));
    const { outbound, admin } = await startOutbound(meshFile, sidecars);
    const failed = Promise.race([...servers, ...sidecars].map((child) => child.failed));
    failed.catch(() => undefined);
    return { meshFile, instances, outbound, admin, failed, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface PlannedInstance {
  readonly service: string;
  readonly example: string;
  readonly id: string;
}

function planInstances(): PlannedInstance[] {
  return DEMO_SERVICES.flatMap(({ service, example, instances }) =>
    Array.from({ length: instances }, (_, index) => ({ service, example, id: `${service}-${index + 1}` })),
  );
}

async function startServer(
  { service, example, id }: PlannedInstance,
  database: string,
  servers: Child[],
): Promise<DemoInstance> {
  const flags = ["--listen", "127.0.0.1:0", "--name", id, "--database", database];
  const child = startChild(id, [projectPath(`examples/${example}/server`), ...flags]);
  servers.push(child);
  const app = await child.waitForLine((line) => /^listening on (.+)$/.exec(line)?.[1]);
  return { service, id, app, inbound: undefined };
}

async function startInbound(instance: DemoInstance, meshFile: string, sidecars: Child[]): Promise<DemoInstance> {
  const { service, id, app } = instance;
  const flags = ["--service", service, "--instance", id, "--app", app];
  const ports = ["--inbound", "127.0.0.1:0", "--outbound", "off", "--admin", "off", "--probe", "127.0.0.1:0"];
  const child = startSidecar(`sidecar of ${id}`, meshFile, [...flags, ...ports], sidecars);
  const { inbound } = await waitUntilReady(child);
  return { ...instance, inbound };
}

async function startOutbound(meshFile: string, sidecars: Child[]) {
  const outboundPort = await freePort(OUTBOUND_PORT);
  const adminPort = await freePort(ADMIN_PORT);
  const flags = ["--outbound", `127.0.0.1:${outboundPort}`, "--admin", `127.0.0.1:${adminPort}`];
  const child = startSidecar("outbound sidecar", meshFile, [...flags, "--inbound", "off", "--probe", "off"], sidecars);
  const { outbound = "", admin = "" } = await waitUntilReady(child);
  return { outbound, admin };
}

function startSidecar(name: string, meshFile: string, flags: readonly string[], sidecars: Child[]): Child {
  const child = startChild(name, [projectPath("src/main"), "run", "--mesh", `file:${meshFile}`, ...flags]);
  sidecars.push(child);
  return child;
}

/** The port itself if nobody listens there, else 0: any. */
function freePort(port: number): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(0));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(port)));
  });
}

/** Replaces the file as a whole: a sidecar never reads half of it. */
export async function writeMesh(meshFile: string, text: string): Promise<void> {
  await writeFile(`${meshFile}.new`, text);
  await rename(`${meshFile}.new`, meshFile);
}
