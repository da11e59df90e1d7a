// Our own instance in the registry: there while the app accepts, draining before we go, gone with us.
//
//   app accepts ─► registered (ready) ─► app dies ─► out ─► accepts again ─► registered …
//                        └── SIGTERM ─► draining ─► out
//
// The address is our inbound's, as others reach it; the registry keeps it alive (discovery/registry.ts, promise 5).

import { networkInterfaces } from "node:os";
import { type Address, formatAddress, type Log } from "../base/index.ts";
import { type InstanceDocument, instanceIdOf, type ProcessConfig } from "../config/index.ts";
import type { Registration, Registry, RegistryEvent } from "../discovery/index.ts";

export interface OwnInstanceOptions {
  readonly registry: Registry;
  readonly service: string;
  readonly id: string;
  readonly document: InstanceDocument;
  readonly log: Log;
}

export class OwnInstance {
  readonly #options: OwnInstanceOptions;
  #registration: Registration | undefined;
  #isDraining = false;

  constructor(options: OwnInstanceOptions) {
    this.#options = options;
  }

  /** The app accepts, or no longer does. */
  setUp(isUp: boolean): void {
    const { registry, service, id, document, log } = this.#options;
    if (isUp && this.#registration === undefined && !this.#isDraining) {
      log.info({ service, id, address: document.address }, "the app accepts; its instance is registered");
      this.#registration = registry.register({ service, id, document: { ...document, state: "ready" } });
    } else if (!isUp && this.#registration !== undefined && !this.#isDraining) {
      log.warn({ service, id }, "the app does not accept; its instance is taken out of the registry");
      void this.stop();
    }
  }

  /** Tells others not to start anything new with us; resolves when the registry has it, or after a few seconds. */
  async drain(): Promise<boolean> {
    this.#isDraining = true;
    return (await this.#registration?.update({ state: "draining" })) ?? false;
  }

  /** Takes the instance out of the registry. */
  async stop(): Promise<void> {
    const registration = this.#registration;
    this.#registration = undefined;
    await registration?.stop();
  }
}

/** What the registry says of it. */
export function logRegistration(log: Log, event: Extract<RegistryEvent, { kind: "registration" }>): void {
  const { service, id, state, problem } = event;
  const fields = { service, id, state, problem };
  if (state === "taken") log.error(fields, "our instance's id is held by somebody else");
  else log.info(fields, `our instance is ${state}`);
}

/** What is registered for a sidecar whose inbound listens on `inbound`. */
export function describeOwnInstance(
  config: ProcessConfig,
  inbound: Address,
): { id: string; document: InstanceDocument } {
  const { advertise } = config;
  const address =
    advertise === undefined
      ? advertisedAddress(inbound)
      : { host: advertise.host, port: advertise.port === 0 ? inbound.port : advertise.port };
  return {
    id: config.instance ?? instanceIdOf(address),
    document: {
      address: formatAddress(address),
      weight: config.weight,
      ...(config.zone === undefined ? {} : { zone: config.zone }),
      tags: config.tags,
      // Two sidecars speak HTTP/2 whatever their apps speak (DESIGN §2); TCP is carried as it is.
      protocol: config.appProtocol === "tcp" ? "tcp" : "http2",
      sidecar: true,
    },
  };
}

/** Bound to all interfaces: this host's first address for others, of IPv4 if it has one; else the address itself. */
export function advertisedAddress(inbound: Address): Address {
  if (inbound.host !== "0.0.0.0" && inbound.host !== "::") return inbound;
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const reachable = all.filter(({ internal, address }) => !internal && !address.startsWith("fe80:"));
  const found = reachable.find(({ family }) => family === "IPv4") ?? reachable.find(() => inbound.host === "::");
  return { host: found?.address ?? "127.0.0.1", port: inbound.port };
}
