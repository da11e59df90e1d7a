// A sidecar under test: `pillion run` as a child process on ports of its own, and the file that is its registry.
//
//   await using mesh = createMesh({ services: { web: { instances: [{ address: server.address }] } } });
//   await using sidecar = await startSidecar({ mesh });
//
// It runs from source, so that a test never sees a stale build; `npm test` sets PILLION_TEST_PROGRAM=bin/pillion, which
// runs what was just compiled. A sidecar that a test did not end itself must end cleanly on SIGTERM, exit 0, and none
// of its workers may have trapped or hung, or the test fails.

import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { request } from "undici";
import { parseListeningLine } from "../../src/cli/demo/ready.ts";
import { type Program, residentBytes, startProgram, waitUntil } from "./process.ts";
import { projectRoot } from "./source.ts";

/** What the supervisor says of a worker that trapped, hung or exited. */
export const WORKER_ENDED = "a worker ended; it is started again";

/** A mesh file in a folder of its own. */
export interface MeshFolder extends AsyncDisposable {
  readonly folder: string;
  readonly path: string;
  /** For `--mesh`. */
  readonly url: string;
  /** Replaces the file by rename, as editors and ConfigMaps do. */
  write(documents: unknown): void;
}

/** Writes a mesh file; JSON is YAML. */
export function createMesh(documents: unknown): MeshFolder {
  const folder = mkdtempSync(join(tmpdir(), "pillion-test-"));
  const path = join(folder, "mesh.yaml");
  const write = (next: unknown) => {
    writeFileSync(`${path}.new`, typeof next === "string" ? next : JSON.stringify(next, undefined, 1));
    renameSync(`${path}.new`, path);
  };
  write(documents);
  return {
    folder,
    path,
    url: `file:${path}`,
    write,
    async [Symbol.asyncDispose]() {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface SidecarOptions {
  /** A mesh folder, or a registry's URL. */
  readonly mesh: MeshFolder | string;
  /** `--service` and `--app`: what stands beside it; opens an inbound. */
  readonly app?: { readonly service: string; readonly address: string; readonly id?: string };
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** The process' limit of open files (`ulimit -n`). */
  readonly descriptors?: number;
  /** A cgroup's folder that it runs in. */
  readonly cgroup?: string | undefined;
  /** Default false: a worker that ended by itself fails the test, whatever the test was about. */
  readonly isTrapExpected?: boolean;
  /** Default true; a sidecar that cannot become ready is looked at by its log. */
  readonly isReadyAwaited?: boolean;
}

export interface Sidecar extends AsyncDisposable {
  readonly program: Program;
  /** By flag: `outbound`, `inbound`, `admin`, `probe`, `listen web`. */
  readonly ports: Readonly<Record<string, string>>;
  readonly outbound: string;
  readonly inbound: string;
  readonly admin: string;
  readonly probe: string;
  /** JSON of an admin resource. */
  read<T = unknown>(path: string): Promise<T>;
  /** Value of one series of the metrics, undefined when it is not there; all labels given must match. */
  metric(name: string, labels?: Record<string, string>): Promise<number | undefined>;
  /** The instances that are in force, as `service/id`. */
  instanceNames(): Promise<string[]>;
  /** Resolves when the picture of the mesh has these instances of a service and no others that are ready. */
  waitForInstances(service: string, ids: readonly string[]): Promise<void>;
  /** Resident memory of the process, bytes. */
  residentBytes(): number;
  /** SIGTERM; asserts exit 0. */
  stop(): Promise<void>;
}

/** What `/instances` says of one. */
export interface InstanceRow {
  readonly service: string;
  readonly id: string;
  readonly state: string;
  readonly requests: number;
  readonly errors: number;
  readonly inFlight: number;
  readonly pending: number;
  readonly connections: number;
}

/** Starts `pillion` with any arguments. */
export function startPillion(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  descriptors?: number,
  cgroup?: string,
): Program {
  const program = process.env.PILLION_TEST_PROGRAM;
  const fromSource = [process.execPath, "--disable-warning=ExperimentalWarning", "src/main.ts"];
  const command = [...(program === undefined ? fromSource : [join(projectRoot, program)]), ...args];
  if (descriptors !== undefined) command.unshift("sh", "-c", `ulimit -n ${descriptors} && exec "$0" "$@"`);
  if (cgroup !== undefined) command.unshift("sh", "-c", `echo $$ > ${cgroup}/cgroup.procs && exec "$0" "$@"`);
  const [name = "", ...rest] = command;
  return startProgram(name, rest, { env });
}

/** Starts a sidecar and waits until it is ready. */
export async function startSidecar(options: SidecarOptions): Promise<Sidecar> {
  const {
    mesh,
    app,
    flags = [],
    env = {},
    descriptors,
    cgroup,
    isTrapExpected = false,
    isReadyAwaited = true,
  } = options;
  const url = typeof mesh === "string" ? mesh : mesh.url;
  const own = app === undefined ? [] : ["--service", app.service, "--app", app.address];
  const id = app?.id === undefined ? [] : ["--instance", app.id];
  const ports = ["outbound", "inbound", "admin", "probe"]
    .filter((name) => !flags.includes(`--${name}`))
    .flatMap((name) => [`--${name}`, "127.0.0.1:0"]);
  const args = ["run", "--mesh", url, ...own, ...id, ...ports, "--drain", "5s", ...flags];
  const program = startPillion(args, env, descriptors, cgroup);
  try {
    const [line = ""] = await program.waitForLine(/^\{.*"msg":"listening".*$/);
    const sidecar = createSidecar(program, parseListeningLine(line) ?? {}, isTrapExpected);
    if (isReadyAwaited) await waitForReady(sidecar);
    return sidecar;
  } catch (error) {
    program.signal("SIGKILL");
    throw error;
  }
}

/** Resolves when `/ready` answers 200. */
export function waitForReady(sidecar: Sidecar): Promise<void> {
  return waitUntil("the sidecar is ready", async () => {
    if (!sidecar.program.isRunning) throw new Error(`ended: ${sidecar.program.lines.join("\n")}`);
    const { statusCode, body } = await request(`http://${sidecar.probe}/ready`);
    await body.dump();
    return statusCode === 200;
  });
}

function createSidecar(program: Program, ports: Readonly<Record<string, string>>, isTrapExpected: boolean): Sidecar {
  const portOf = (name: string) => ports[name] ?? "";
  const read = async <T>(path: string): Promise<T> => {
    const { statusCode, body } = await request(`http://${portOf("admin")}${path}`);
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`${path}: ${statusCode} ${text}`);
    return JSON.parse(text) as T;
  };
  const instances = async () => (await read<{ instances: InstanceRow[] }>("/instances")).instances;
  const stop = async () => {
    if (!program.isRunning) return;
    const ending = await program.stop();
    if (ending.code !== 0) throw new Error(`sidecar ended with ${JSON.stringify(ending)}\n${program.lines.join("\n")}`);
    const traps = program.lines.filter((line) => line.includes(WORKER_ENDED));
    if (traps.length > 0 && !isTrapExpected) throw new Error(`workers ended by themselves\n${traps.join("\n")}`);
  };
  return {
    program,
    ports,
    outbound: portOf("outbound"),
    inbound: portOf("inbound"),
    admin: portOf("admin"),
    probe: portOf("probe"),
    read,
    async metric(name, labels = {}) {
      const { body } = await request(`http://${portOf("admin")}/metrics`);
      return readMetric(await body.text(), name, labels);
    },
    instanceNames: async () => (await instances()).map(({ service, id }) => `${service}/${id}`),
    waitForInstances: (service, ids) =>
      waitUntil(`${service} has ${ids.join(", ")}`, async () => {
        const present = (await instances()).filter((row) => row.service === service && row.state === "ready");
        return `${present.map(({ id }) => id).sort()}` === `${[...ids].sort()}`;
      }),
    residentBytes: () => residentBytes(program.pid),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function readMetric(exposition: string, name: string, labels: Record<string, string>): number | undefined {
  let sum: number | undefined;
  for (const line of exposition.split("\n")) {
    const match = /^([a-z_:]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match?.[1] !== name) continue;
    const present = match[2] ?? "";
    const isMeant = Object.entries(labels).every(([label, value]) => present.includes(`${label}="${value}"`));
    if (isMeant) sum = (sum ?? 0) + Number(match[3]);
  }
  return sum;
}
