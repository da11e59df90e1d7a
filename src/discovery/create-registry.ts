// The registry that a process was told to use: `--mesh`, and what it takes to get in.
//
// etcd's client costs 140 ms to load, a whole start-up of ours, so it is loaded only where it is used.

import { readFile } from "node:fs/promises";
import {
  type Clock,
  createRandom,
  type Log,
  messageOf,
  pillionError,
  type Random,
  systemClock,
} from "../base/index.ts";
import { type CheckPattern, formatMeshUrl, type ProcessConfig } from "../config/index.ts";
import { createFileRegistry } from "./file/registry.ts";
import type { Registry } from "./registry.ts";

/** The flags that concern the registry. */
export type RegistryConfig = Pick<
  ProcessConfig,
  | "mesh"
  | "state"
  | "registryCa"
  | "registryCert"
  | "registryKey"
  | "registryUser"
  | "registryPassword"
  | "registryPasswordFile"
>;

export interface CreateRegistryOptions {
  readonly log: Log;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Judges the patterns of routes; without it they are taken as they are. */
  readonly checkPattern?: CheckPattern | undefined;
}

/** Makes the registry of `config`; nothing is connected before it is used. */
export async function createRegistry(config: RegistryConfig, options: CreateRegistryOptions): Promise<Registry> {
  const { log, checkPattern, clock = systemClock, random = createRandom() } = options;
  const { mesh } = config;
  if (mesh.kind === "file" && config.state !== undefined)
    log.warn({}, "--state has no effect: the mesh is a file already");
  if (mesh.kind === "file") return createFileRegistry({ path: mesh.path, clock, log, checkPattern });
  const [{ createEtcdClient }, { createEtcdRegistry }, { MeshKeeper }] = await Promise.all([
    import("./etcd/client.ts"),
    import("./etcd/registry.ts"),
    import("./etcd/kept-mesh.ts"),
  ]);
  const user = config.registryUser ?? mesh.user;
  const password = (await readPassword(config)) ?? mesh.password ?? "";
  const { registryCa: ca, registryCert: cert, registryKey: key } = config;
  const client = createEtcdClient({
    endpoints: mesh.endpoints,
    tls: mesh.isTls ? { ca, cert, key } : undefined,
    credentials: user === undefined ? undefined : { user, password },
    probeKey: `${mesh.prefix}/mesh`,
    clock,
  });
  const { state } = config;
  const keeper =
    state === undefined ? undefined : new MeshKeeper({ folder: state, mesh: formatMeshUrl(mesh), clock, log });
  // A sidecar does not yet hear which services its app calls, so it watches everybody's instances (decision 6).
  return createEtcdRegistry({ client, prefix: mesh.prefix, clock, random, log, checkPattern, interest: "all", keeper });
}

async function readPassword(config: RegistryConfig): Promise<string | undefined> {
  const path = config.registryPasswordFile;
  if (path === undefined) return config.registryPassword;
  try {
    return (await readFile(path, "utf8")).split(/\r?\n/, 1)[0];
  } catch (error) {
    throw pillionError("PILLION_FILE_READ", { path, problem: messageOf(error) }, error);
  }
}
