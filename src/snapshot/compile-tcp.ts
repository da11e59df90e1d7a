// The services whose connections are carried unread: what the data plane knows of them beside the engine's program.
//
// An intercepted connection is a service's when it was going to one of its `addresses`. Where the document names none,
// the addresses of its instances stand for all of them; where it does, who goes to an instance's own means that one (a
// node of a cluster that its clients know). Sidecars are no such destination: apps do not know where they listen.

import { metricsOf } from "./allocation.ts";
import type { Compilation, IndexedService } from "./compilation.ts";
import type { CompiledTcp, CompiledTcpService, LocalApp, PinnedAddress } from "./compiled.ts";
import type { HostTables, RuleModel, VhostModel } from "./program-model.ts";
import { ownHostsOf } from "./service-hosts.ts";

/** The app beside us is asked once more: it may be starting again. */
const INBOUND_RETRIES = 1;

export interface TcpInputs {
  readonly compilation: Compilation;
  /** Services of `--listen`, in order. */
  readonly listen: readonly string[];
  readonly app: LocalApp | undefined;
  /** The app's place, if it has one. */
  readonly inbound: { readonly index: number; readonly set: number } | undefined;
  /** By which only CONNECT reaches them. */
  readonly hosts: readonly string[];
}

export function compileTcp({ compilation, listen, app, inbound, hosts }: TcpInputs): CompiledTcp {
  const services = compilation
    .services()
    .filter(({ document }) => document.protocol === "tcp")
    .map((service) => outboundService(service, compilation));
  const listeners = listen.map((name) => services.find((service) => service.name === name)?.index);
  const own = app === undefined ? undefined : compilation.serviceOf(app.service);
  const isTcp = app?.protocol === "tcp" || (app?.protocol === "auto" && own?.document.protocol === "tcp");
  if (!isTcp || own === undefined || inbound === undefined) return { services, listeners, inbound: undefined, hosts };
  const { name, policy } = own.document;
  const behind: CompiledTcpService = {
    ...inbound,
    name,
    direction: "inbound",
    metrics: metricsOf(inbound.index),
    connectMs: policy.timeout.connectMs,
    idleMs: policy.timeout.idleMs,
    retries: INBOUND_RETRIES,
    addresses: [],
    pinned: [],
  };
  return { services: [...services, behind], listeners, inbound: inbound.index, hosts };
}

function outboundService(service: IndexedService, compilation: Compilation): CompiledTcpService {
  const { index, document } = service;
  const { name, policy, addresses } = document;
  const bare = compilation.instances.filter((instance) => instance.service === index && !instance.isSidecar);
  const own = bare.map(({ address, slot, generation }): PinnedAddress => ({ address, slot, generation }));
  return {
    index,
    name,
    direction: "outbound",
    metrics: metricsOf(index),
    set: compilation.setOf(service, {}, policy),
    connectMs: policy.timeout.connectMs,
    idleMs: policy.timeout.idleMs,
    retries: policy.retry.attempts,
    ...(addresses.length > 0
      ? { addresses, pinned: own }
      : { addresses: own.map(({ address }) => address), pinned: [] }),
  };
}

/**
 * Lets CONNECT reach services of TCP by their names, as the app's proxy does (RFC 9110 §9.3.6), and nothing else: other
 * methods have no route. Returns the hosts; where somebody claims one already, it stays his.
 */
export function claimForConnect(
  services: readonly IndexedService[],
  ruleOf: (index: number) => RuleModel | undefined,
  { tables, vhosts, namespace }: { tables: HostTables; vhosts: VhostModel[]; namespace: string | undefined },
): string[] {
  const claimed: string[] = [];
  for (const { index, document } of services) {
    const rule = ruleOf(index);
    if (document.protocol !== "tcp" || rule === undefined) continue;
    const hosts = ownHostsOf(document.name, namespace).filter((host) => !tables.hosts.has(host));
    for (const host of hosts) tables.hosts.set(host, { vhost: vhosts.length });
    vhosts.push({ name: document.name, rules: [{ ...rule, methods: ["CONNECT"] }] });
    claimed.push(...hosts);
  }
  return claimed;
}
