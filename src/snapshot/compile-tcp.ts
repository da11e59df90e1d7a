// The services whose connections are carried unread: what the data plane knows of them beside the engine's program.
//
// An intercepted connection is a service's when it was going to one of its `addresses` or, where the document names
// none, to one of its instances. Sidecars are no such destination: apps do not know where they listen.

import type { Address } from "../base/index.ts";
import type { Documents } from "../config/index.ts";
import { metricsOf } from "./allocation.ts";
import type { Compilation, IndexedService } from "./compilation.ts";
import type { CompiledTcp, CompiledTcpService, LocalApp } from "./compiled.ts";

/** The app beside us is asked once more: it may be starting again. */
const INBOUND_RETRIES = 1;

export interface TcpInputs {
  readonly documents: Documents;
  readonly compilation: Compilation;
  /** Services of `--listen`, in order. */
  readonly listen: readonly string[];
  readonly app: LocalApp | undefined;
  /** The app's place, if it has one. */
  readonly inbound: { readonly index: number; readonly set: number } | undefined;
}

export function compileTcp({ documents, compilation, listen, app, inbound }: TcpInputs): CompiledTcp {
  const services = compilation
    .services()
    .filter(({ document }) => document.protocol === "tcp")
    .map((service) => outboundService(service, documents, compilation));
  const listeners = listen.map((name) => services.find((service) => service.name === name)?.index);
  const own = app === undefined ? undefined : compilation.serviceOf(app.service);
  const isTcp = app?.protocol === "tcp" || (app?.protocol === "auto" && own?.document.protocol === "tcp");
  if (!isTcp || own === undefined || inbound === undefined) return { services, listeners, inbound: undefined };
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
  };
  return { services: [...services, behind], listeners, inbound: inbound.index };
}

function outboundService(service: IndexedService, documents: Documents, compilation: Compilation): CompiledTcpService {
  const { index, document } = service;
  const { name, policy, addresses } = document;
  return {
    index,
    name,
    direction: "outbound",
    metrics: metricsOf(index),
    set: compilation.setOf(service, {}, policy),
    connectMs: policy.timeout.connectMs,
    idleMs: policy.timeout.idleMs,
    retries: policy.retry.attempts,
    addresses: addresses.length > 0 ? addresses : instanceAddresses(documents, name),
  };
}

function instanceAddresses(documents: Documents, service: string): readonly Address[] {
  const instances = [...(documents.instances.get(service)?.values() ?? [])];
  return instances.filter(({ isSidecar }) => !isSidecar).map(({ address }) => address);
}
