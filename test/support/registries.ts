// Both registries behind one face, for the suite that holds them to one contract.
//
// A world writes documents as an operator would, past the registry under test: a file by renaming a new one over it,
// etcd by a transaction of its own. Everything a world writes at once is one save or one revision.

import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { createRandom, silentLog, systemClock } from "../../src/base/index.ts";
import { type DocumentId, formatId, formatKey } from "../../src/config/index.ts";
import { createEtcdClient, type EtcdClientOptions } from "../../src/discovery/etcd/client.ts";
import { createEtcdRegistry, type EtcdRegistryOptions } from "../../src/discovery/etcd/registry.ts";
import { createFileRegistry } from "../../src/discovery/file/registry.ts";
import type { Registry, RegistryEvent, RegistryPicture } from "../../src/discovery/index.ts";
import { type Etcd, putKeys, startEtcd } from "./etcd.ts";

/** One document: its id and what is written there; `undefined` deletes it. */
export type Write = readonly [id: DocumentId, value: object | string | undefined];

export interface RegistryWorld extends AsyncDisposable {
  /** A registry that is stopped with the world. */
  open(): Registry;
  /** Writes all of it at once. */
  write(...writes: readonly Write[]): Promise<void>;
}

export const mesh: DocumentId = { kind: "mesh" };
export const service = (name: string): DocumentId => ({ kind: "service", name });
export const route = (name: string): DocumentId => ({ kind: "route", name });
export const instance = (of: string, name: string): DocumentId => ({ kind: "instance", service: of, name });
/** A rule that sends everything to these services. */
export const routeTo = (...services: readonly string[]) => ({
  hosts: [`${services.join("-")}.example`],
  rules: [{ to: services.map((name) => ({ service: name })) }],
});

/** A mesh file in a folder of its own. */
export async function createFileWorld(): Promise<RegistryWorld & { readonly path: string }> {
  const folder = await mkdtemp(join(tmpdir(), "pillion-mesh-"));
  const path = join(folder, "mesh.yaml");
  const documents = new Map<string, Write>();
  const opened: Registry[] = [];
  const world = {
    path,
    open() {
      const registry = createFileRegistry({ path, clock: systemClock, log: silentLog });
      opened.push(registry);
      return registry;
    },
    async write(...writes: readonly Write[]) {
      for (const write of writes) {
        if (write[1] === undefined) documents.delete(formatId(write[0]));
        else documents.set(formatId(write[0]), write);
      }
      await writeFile(`${path}.new`, formatFile([...documents.values()]));
      await rename(`${path}.new`, path);
    },
    async [Symbol.asyncDispose]() {
      for (const registry of opened) await registry.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  await world.write();
  return world;
}

function formatFile(writes: readonly Write[]): string {
  const services: Record<string, Record<string, unknown>> = {};
  const file: Record<string, Record<string, unknown>> = { services, routes: {}, access: {} };
  for (const [id, value] of writes) {
    switch (id.kind) {
      case "mesh":
        file.mesh = value as Record<string, unknown>;
        break;
      case "service":
        services[id.name] = { ...services[id.name], ...(value as object) };
        break;
      case "instance": {
        const list = (services[id.service]?.instances ?? []) as unknown[];
        const listed = typeof value === "string" ? value : { id: id.name, ...value };
        services[id.service] = { ...services[id.service], instances: [...list, listed] };
        break;
      }
      case "route":
        file.routes = { ...file.routes, [id.name]: value };
        break;
      case "access":
        file.access = { ...file.access, [id.name]: value };
        break;
    }
  }
  return `# A mesh\n${stringify(file)}`;
}

/** Timings that let a test see in a second what production sees in a minute. */
export const QUICK: NonNullable<EtcdRegistryOptions["timing"]> = {
  watch: { progressMs: 500, silenceMs: 1500, joinMs: 5000 },
  lease: { ttlSeconds: 2, renewMs: 300, verifyEvery: 2 },
  retryMsMax: 300,
};

/** A registry on an etcd, and what it takes to end it. */
export function openEtcdRegistry(
  client: Pick<EtcdClientOptions, "endpoints"> & Partial<EtcdClientOptions>,
  options: Partial<EtcdRegistryOptions> = {},
): Registry {
  const prefix = options.prefix ?? "/pillion";
  const defaults = { tls: undefined, credentials: undefined, probeKey: `${prefix}/mesh`, clock: systemClock };
  return createEtcdRegistry({
    prefix,
    client: createEtcdClient({ ...defaults, ...client }),
    clock: systemClock,
    random: createRandom(),
    log: silentLog,
    timing: QUICK,
    interest: "all", // as the product opens it (decision 6)
    ...options,
  });
}

/** A whole etcd. */
export async function createEtcdWorld(program: string): Promise<RegistryWorld & { readonly etcd: Etcd }> {
  const etcd = await startEtcd(program);
  const opened: Registry[] = [];
  return {
    etcd,
    open() {
      const registry = openEtcdRegistry({ endpoints: [etcd.address] });
      opened.push(registry);
      return registry;
    },
    async write(...writes) {
      const keys = writes.map(([id, value]) => [formatKey("/pillion", id), textOf(value)] as const);
      await putKeys(etcd.client, Object.fromEntries(keys));
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(opened.map((registry) => registry.stop()));
      await etcd[Symbol.asyncDispose]();
    },
  };
}

function textOf(value: Write[1]): string | undefined {
  return value === undefined || typeof value === "string" ? value : JSON.stringify(value);
}

/** The first picture, the present one included, for which `condition` holds. */
export function pictureWhere(
  registry: Registry,
  condition: (picture: RegistryPicture) => boolean,
): Promise<RegistryPicture> {
  const { picture } = registry;
  if (picture !== undefined && condition(picture)) return Promise.resolve(picture);
  return new Promise((resolve) => {
    const unsubscribe = registry.subscribe((event) => {
      if (event.kind !== "picture" || !condition(event.picture)) return;
      unsubscribe();
      resolve(event.picture);
    });
  });
}

/** The next event of a kind. */
export function nextEvent<Kind extends RegistryEvent["kind"]>(
  registry: Registry,
  kind: Kind,
  condition: (event: Extract<RegistryEvent, { kind: Kind }>) => boolean = () => true,
): Promise<Extract<RegistryEvent, { kind: Kind }>> {
  return new Promise((resolve) => {
    const unsubscribe = registry.subscribe((event) => {
      if (event.kind !== kind) return;
      const found = event as Extract<RegistryEvent, { kind: Kind }>;
      if (!condition(found)) return;
      unsubscribe();
      resolve(found);
    });
  });
}

/** Ids of a service's instances in the present picture, sorted. */
export function idsOf(picture: RegistryPicture | undefined, name: string): string[] {
  return [...(picture?.documents.instances.get(name)?.keys() ?? [])].sort();
}
