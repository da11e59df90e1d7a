// A registry from the value of `--mesh`.
//
// etcd's client costs 140 ms to load, a whole start-up of ours, so it is loaded only where it is used.

import { type Clock, createRandom, type Log, type Random, systemClock } from "../base/index.ts";
import type { CheckPattern, MeshUrl } from "../config/index.ts";
import { createFileRegistry } from "./file/registry.ts";
import type { Registry } from "./registry.ts";

export interface OpenRegistryOptions {
  readonly url: MeshUrl;
  readonly log: Log;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly checkPattern?: CheckPattern | undefined;
  /** Files of certificates for etcds://; user and password besides those of the URL. */
  readonly access?: RegistryAccess;
}

export interface RegistryAccess {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
}

/** Makes the registry that `url` names; nothing is read or connected before it is used. */
export async function openRegistry(options: OpenRegistryOptions): Promise<Registry> {
  const { url, log, checkPattern, access = {} } = options;
  const clock = options.clock ?? systemClock;
  if (url.kind === "file") return createFileRegistry({ path: url.path, clock, log, checkPattern });
  const [{ createEtcdClient }, { createEtcdRegistry }] = await Promise.all([
    import("./etcd/client.ts"),
    import("./etcd/registry.ts"),
  ]);
  const user = access.user ?? url.user;
  const password = access.password ?? url.password ?? "";
  const client = createEtcdClient({
    endpoints: url.endpoints,
    tls: url.isTls ? { ca: access.ca, cert: access.cert, key: access.key } : undefined,
    credentials: user === undefined ? undefined : { user, password },
    probeKey: `${url.prefix}/mesh`,
    clock,
  });
  return createEtcdRegistry({
    client,
    prefix: url.prefix,
    clock,
    random: options.random ?? createRandom(),
    log,
    checkPattern,
  });
}
