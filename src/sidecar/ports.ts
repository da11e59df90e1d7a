// The data plane's listening sockets of one sidecar, by the flags that ask for them.
//
// Every one is opened by the main thread and offered to every worker as a duplicate. The inbound is opened only where
// there is an app to carry to.

import { existsSync } from "node:fs";
import { LISTENER_INBOUND, LISTENER_OUTBOUND, LISTENER_SERVICE } from "../../assembly/abi/engine-records.ts";
import { type Address, formatAddress } from "../base/index.ts";
import type { ProcessConfig } from "../config/index.ts";
import type { ListenerOffer } from "../dataplane/index.ts";
import { closeDescriptor } from "./descriptor.ts";
import { type ListeningSocket, openListening } from "./listening.ts";

/** Of names. */
const TWIN = " IPv6";
/** What IPv6 has for the two addresses that a redirect leads to. */
const IPV6_TWINS: Readonly<Record<string, string>> = { "127.0.0.1": "::1", "0.0.0.0": "::" };

interface Port {
  /** Flag, or flag and service: how people name it. */
  readonly name: string;
  readonly kind: number;
  readonly number: number;
  readonly socket: ListeningSocket;
  isOpen: boolean;
}

export class Ports {
  readonly #ports: Port[] = [];
  #takesRedirected = false;

  /** Opens what the flags ask for; on failure closes what was opened and throws PILLION_LISTEN. */
  static async open(config: ProcessConfig): Promise<Ports> {
    const ports = new Ports();
    try {
      ports.#takesRedirected = config.intercept === "redirect";
      await ports.#add("outbound", LISTENER_OUTBOUND, 0, config.outbound, "--outbound");
      if (config.app !== undefined) await ports.#add("inbound", LISTENER_INBOUND, 0, config.inbound, "--inbound");
      if (ports.#takesRedirected) await ports.#addTwins();
      for (const [number, { address, service }] of config.listen.entries()) {
        await ports.#add(`listen ${service}`, LISTENER_SERVICE, number, address, "--listen");
      }
      return ports;
    } catch (error) {
      ports.close();
      throw error;
    }
  }

  /** Where the inbound listens; undefined when it is off. */
  get inbound(): Address | undefined {
    return this.#ports.find(({ kind }) => kind === LISTENER_INBOUND)?.socket.address;
  }

  /** Whether the app has a way out through us. */
  get hasOutbound(): boolean {
    return this.#ports.some(({ kind }) => kind !== LISTENER_INBOUND);
  }

  /** Name → address in use, for /ready and the log. */
  describe(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#ports.map(({ name, socket }) => [name, formatAddress(socket.address)]));
  }

  /** Duplicates for one worker: all or none. */
  offer(): ListenerOffer[] {
    const offers: ListenerOffer[] = [];
    try {
      for (const { kind, number, socket, isOpen } of this.#ports) {
        if (!isOpen) continue;
        const takesRedirected = this.#takesRedirected && kind !== LISTENER_SERVICE;
        offers.push({ kind, number, descriptor: socket.duplicate(), ...(takesRedirected ? { takesRedirected } : {}) });
      }
      return offers;
    } catch (error) {
      for (const { descriptor } of offers) closeDescriptor(descriptor);
      throw error;
    }
  }

  /** Closes this thread's part of the sockets of one kind, or of all. */
  close(kind?: number): void {
    for (const port of this.#ports) {
      if (kind !== undefined && port.kind !== kind) continue;
      port.isOpen = false;
      port.socket.close();
    }
  }

  /** Ports in use. */
  get numbers(): readonly number[] {
    return this.#ports.map(({ socket }) => socket.address.port);
  }

  /** The rules lead IPv6 connections to the same port of IPv6 (where the host has it). */
  async #addTwins(): Promise<void> {
    if (!existsSync("/proc/net/if_inet6")) return;
    for (const { name, kind, socket } of [...this.#ports]) {
      const host = IPV6_TWINS[socket.address.host];
      if (host === undefined) continue;
      await this.#add(`${name}${TWIN}`, kind, 0, { host, port: socket.address.port }, `--${name}`);
    }
  }

  async #add(name: string, kind: number, number: number, address: Address | undefined, flag: string): Promise<void> {
    if (address === undefined) return;
    this.#ports.push({
      name,
      kind,
      number,
      socket: await openListening(address, flag, name.endsWith(TWIN)),
      isOpen: true,
    });
  }
}
