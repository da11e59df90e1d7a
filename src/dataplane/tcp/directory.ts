// Which service a connection is for, by where it was going or by which port of ours it came to.
//
// A service's addresses may be host names (a ClusterIP's, a database's): they are looked up when the snapshot comes and
// again every LOOK_AGAIN_MS; what was found last serves until there is a newer answer.

import { isIP, isIPv6, SocketAddress } from "node:net";
import { LISTENER_INBOUND, LISTENER_SERVICE } from "../../../assembly/abi/engine-records.ts";
import { type Address, formatAddress } from "../../base/index.ts";
import type { CompiledTcp, CompiledTcpService, PinnedAddress } from "../../snapshot/index.ts";
import type { Origin } from "../sockets.ts";
import type { Lookup } from "../upstream.ts";

/** The time to live of Kubernetes' own records. */
const LOOK_AGAIN_MS = 5_000;
const NOTHING: CompiledTcp = { services: [], listeners: [], inbound: undefined, hosts: [] };

export interface TcpDestination {
  readonly service: CompiledTcpService;
  /** The one instance that is meant. */
  readonly pinned: PinnedAddress | undefined;
}

export class TcpDirectory {
  readonly #lookup: Lookup;
  #tcp: CompiledTcp = NOTHING;
  readonly #byIndex = new Map<number, CompiledTcpService>();
  /** By address and port, as text. */
  readonly #byAddress = new Map<string, TcpDestination>();
  /** What host names stand for. */
  readonly #addressesOf = new Map<string, readonly string[]>();
  #timer: NodeJS.Timeout | undefined;

  constructor(lookup: Lookup) {
    this.#lookup = lookup;
  }

  replace(tcp: CompiledTcp): void {
    this.#tcp = tcp;
    this.#byIndex.clear();
    for (const service of tcp.services) this.#byIndex.set(service.index, service);
    const names = new Set(tcp.services.flatMap(({ addresses }) => addresses.map(({ host }) => host)));
    for (const name of this.#addressesOf.keys()) if (!names.has(name)) this.#addressesOf.delete(name);
    this.#index();
    this.#lookUp();
  }

  /** Whom a connection to this IP address is for. */
  at(destination: Address): TcpDestination | undefined {
    return this.#byAddress.get(formatAddress(destination));
  }

  /** Whether an authority names a service of TCP: its requests of HTTP are no business of the engine's. */
  hasHost(authority: string): boolean {
    return this.#tcp.hosts.includes(authority.toLowerCase().replace(/\.?(:\d+)?$/, ""));
  }

  /** The service of a listener of ours; undefined: it speaks HTTP. */
  serviceOf({ kind, number }: Origin): CompiledTcpService | undefined {
    const { listeners, inbound } = this.#tcp;
    const index = kind === LISTENER_SERVICE ? listeners[number] : kind === LISTENER_INBOUND ? inbound : undefined;
    return index === undefined ? undefined : this.#byIndex.get(index);
  }

  /** In the order of services' names: config says which of two has an address, and warns of it. */
  #index(): void {
    this.#byAddress.clear();
    const services = [...this.#tcp.services].sort((left, right) => (left.name < right.name ? -1 : 1));
    for (const service of services) {
      for (const { host, port } of service.addresses) {
        for (const ip of isIP(host) === 0 ? (this.#addressesOf.get(host) ?? []) : [host]) {
          const text = textOf({ host: ip, port });
          if (!this.#byAddress.has(text)) this.#byAddress.set(text, { service, pinned: undefined });
        }
      }
    }
    for (const service of services) {
      for (const pinned of service.pinned) {
        const text = textOf(pinned.address);
        if (!this.#byAddress.has(text)) this.#byAddress.set(text, { service, pinned });
      }
    }
  }

  #lookUp(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const hosts = this.#tcp.services.flatMap(({ addresses }) => addresses.map(({ host }) => host));
    const names = new Set(hosts.filter((host) => isIP(host) === 0));
    if (names.size === 0) return;
    for (const name of names) {
      this.#lookup(name, (error, addresses) => {
        if (error !== null || addresses.length === 0 || `${this.#addressesOf.get(name)}` === `${addresses}`) return;
        this.#addressesOf.set(name, addresses);
        this.#index();
      });
    }
    this.#timer = setTimeout(() => this.#lookUp(), LOOK_AGAIN_MS);
    this.#timer.unref();
  }
}

/** As the kernel's answers are written: IPv6 has many ways (RFC 5952). */
function textOf({ host, port }: Address): string {
  const canonical = isIPv6(host) ? new SocketAddress({ address: host, family: "ipv6" }).address : host;
  return formatAddress({ host: canonical, port });
}
