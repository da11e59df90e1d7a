// Redirected connections: asked where they were going, looked at, and either given to the engine or passed on.
//
//   accept ─► original destination ─┬─ none: somebody addressed us ──────────────────────────────────────► engine
//                                   ├─ an own listener ──────────────────────────────────────────────────► reset
//                                   ├─ inbound, not the app's port; a server-first port ─────────────────► relay
//                                   └─ first bytes ─┬─ HTTP for a host of the mesh, or for the app ──────► engine
//                                                   └─ anything else ────────────────────────────────────► relay
//
// A server that speaks first (MySQL, SMTP) would wait with its client for ever: look.ts finds out, once for each
// destination, which is remembered here.
//
// Accepted on Node's sockets for both drivers; what is the engine's is handed over to the driver with the bytes read.

import type { Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { LISTENER_INBOUND } from "../../../assembly/abi/engine-records.ts";
import { type Address, formatAddress } from "../../base/index.ts";
import { startListener } from "../libuv/listener.ts";
import type { InterceptSetup, ListenerOffer } from "../messages.ts";
import type { AcceptFailure, Listener, Origin } from "../sockets.ts";
import { Look } from "./look.ts";
import { OriginalDestinations } from "./original-destination.ts";
import { openUpstream, relay, reset } from "./relay.ts";

/** Linkerd's default opaque ports: SMTP, submission, MySQL, Galera, PostgreSQL, Redis, Elasticsearch, memcached. */
const SERVER_FIRST_PORTS: ReadonlySet<number> = new Set([25, 587, 3306, 4444, 5432, 6379, 9300, 11211]);
/** Destinations remembered as server-first; the oldest is forgotten. */
const LEARNED_MAX = 1_024;

export interface InterceptorOptions {
  readonly setup: InterceptSetup;
  /** Gives a socket to the engine, with what was read of it; false: there is no room, it was closed. */
  readonly adopt: (socket: Socket, origin: Origin, first: readonly Buffer[]) => boolean;
  /** Whether a route or a service claims the host. */
  readonly knowsHost: (host: string) => boolean;
}

export class Interceptor {
  readonly #options: InterceptorOptions;
  readonly #destinations = new OriginalDestinations();
  readonly #serverFirst = new Set<string>();
  #count = 0;

  constructor(options: InterceptorOptions) {
    this.#options = options;
  }

  /** Connections that are looked at or relayed; the engine's are not among them. */
  get count(): number {
    return this.#count;
  }

  listen(offer: ListenerOffer, failed: (failure: AcceptFailure) => void): Promise<Listener> {
    return startListener(offer, (socket) => this.#take(socket, offer), failed);
  }

  #take(socket: Socket, origin: Origin): boolean {
    const destination = this.#destinations.of(socket);
    if (destination === undefined) return this.#options.adopt(socket, origin, []);
    socket.on("error", () => undefined);
    const { app, ownPorts, unknown } = this.#options.setup;
    const isInbound = origin.kind === LISTENER_INBOUND;
    if (ownPorts.includes(destination.port) && isOwnAddress(destination.host)) {
      reset(socket);
      return true;
    }
    this.#count += 1;
    if (isInbound && destination.port !== app?.port) this.#pass(socket, destination, []);
    else {
      const target = isInbound && app !== undefined ? app : destination;
      const mayPass = isInbound || unknown === "pass";
      const isServerFirst = SERVER_FIRST_PORTS.has(target.port) || this.#serverFirst.has(formatAddress(target));
      if (isServerFirst) this.#pass(socket, mayPass ? target : undefined, []);
      else this.#look(socket, origin, target, mayPass);
    }
    return true;
  }

  #look(socket: Socket, origin: Origin, target: Address, mayPass: boolean): void {
    const isInbound = origin.kind === LISTENER_INBOUND;
    const { knowsHost, adopt } = this.#options;
    new Look({
      socket,
      target,
      mayPass,
      // Without leave to pass, the engine's answer says why.
      isWanted: (host) => isInbound || !mayPass || (host !== undefined && knowsHost(host)),
      isEveryHostWanted: isInbound || !mayPass,
      serverSpoke: () => this.#learn(target),
      found: (finding) => {
        if (finding.kind === "pass") {
          this.#pass(socket, mayPass ? target : undefined, finding.first, finding.upstream);
          return;
        }
        this.#count -= 1;
        if (finding.kind === "http") adopt(socket, origin, finding.first);
      },
    });
  }

  /** Carries the bytes unread; without a destination the connection is refused. */
  #pass(client: Socket, target: Address | undefined, first: readonly Buffer[], opened?: Socket): void {
    const ended = () => {
      this.#count -= 1;
    };
    if (target === undefined) {
      ended();
      reset(client);
      return;
    }
    relay(client, opened ?? openUpstream(target), first, ended);
  }

  #learn(target: Address): void {
    const [oldest] = this.#serverFirst;
    if (this.#serverFirst.size >= LEARNED_MAX && oldest !== undefined) this.#serverFirst.delete(oldest);
    this.#serverFirst.add(formatAddress(target));
  }
}

/** Whether an address is one of this host's. */
function isOwnAddress(host: string): boolean {
  if (host.startsWith("127.") || host === "::1") return true;
  return Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === host));
}
