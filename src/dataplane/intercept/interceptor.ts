// Redirected connections: asked where they were going, looked at, and either given to the engine or carried unread.
//
//   accept ─► original destination ─┬─ none: somebody addressed us ──────────────────────────────────────► engine
//                                   ├─ an own listener ──────────────────────────────────────────────────► reset
//                                   ├─ an address of a service of TCP; inbound, an app of TCP ───────────► balanced
//                                   ├─ inbound, not the app's port; an opaque port ──────────────────────► passed on
//                                   └─ first bytes ─┬─ HTTP for a host of the mesh, or for the app ──────► engine
//                                                   └─ anything else ────────────────────────────────────► passed on
//
// A server that speaks first (MySQL, SMTP) would wait with its client for ever: look.ts finds out, once for each
// destination, which is remembered here.
//
// Accepted on Node's sockets for both drivers; what is the engine's is handed over to the driver with the bytes read.

import type { Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { LISTENER_INBOUND } from "../../../assembly/abi/engine-records.ts";
import { TCP_END_CONNECT_FAILED, TCP_END_LOOP, TCP_END_NO_ROUTE } from "../../../assembly/abi/tcp-ends.ts";
import { type Address, formatAddress } from "../../base/index.ts";
import { startListener } from "../libuv/listener.ts";
import type { InterceptSetup, ListenerOffer } from "../messages.ts";
import type { AcceptFailure, Listener, Origin } from "../sockets.ts";
import type { Passing, TcpCarrier } from "../tcp/carrier.ts";
import type { TcpDirectory } from "../tcp/directory.ts";
import { Look } from "./look.ts";
import { OriginalDestinations } from "./original-destination.ts";

/** Destinations remembered as server-first; the oldest is forgotten. */
const LEARNED_MAX = 1_024;

export interface InterceptorOptions {
  readonly setup: InterceptSetup;
  readonly carrier: TcpCarrier;
  readonly directory: TcpDirectory;
  /** Gives a socket to the engine, with what was read of it; false: there is no room, it was closed. */
  readonly adopt: (socket: Socket, origin: Origin, first: readonly Buffer[]) => boolean;
  /** Whether a route or a service claims the host. */
  readonly knowsHost: (host: string) => boolean;
}

/** A redirected connection. */
interface Redirected {
  readonly socket: Socket;
  readonly origin: Origin;
  readonly passing: Passing;
  /** Where it goes when it is passed on. */
  readonly target: Address;
  readonly mayPass: boolean;
}

export class Interceptor {
  readonly #options: InterceptorOptions;
  readonly #destinations = new OriginalDestinations();
  readonly #opaquePorts: ReadonlySet<number>;
  readonly #serverFirst = new Set<string>();
  #count = 0;

  constructor(options: InterceptorOptions) {
    this.#options = options;
    this.#opaquePorts = new Set(options.setup.opaquePorts);
  }

  /** Connections that are looked at. */
  get count(): number {
    return this.#count;
  }

  listen(offer: ListenerOffer, failed: (failure: AcceptFailure) => void): Promise<Listener> {
    return startListener(offer, (socket) => this.#take(socket, offer), failed);
  }

  #take(socket: Socket, origin: Origin): boolean {
    const { setup, carrier, directory, adopt } = this.#options;
    const destination = this.#destinations.of(socket);
    const isInbound = origin.kind === LISTENER_INBOUND;
    const behind = directory.serviceOf(origin);
    if (destination === undefined) {
      if (behind === undefined) return adopt(socket, origin, []);
      carrier.balance(socket, behind);
      return true;
    }
    socket.on("error", () => undefined);
    const isForApp = isInbound && destination.port === setup.app?.port;
    const found = isInbound ? undefined : directory.at(destination);
    const service = isForApp ? behind : found?.service;
    const target = isForApp && setup.app !== undefined ? setup.app : destination;
    const mayPass = isInbound || setup.unknown === "pass";
    const direction = isInbound ? "inbound" : "outbound";
    const passing: Passing = { direction, destination, target, first: [] };
    if (setup.ownPorts.includes(destination.port) && isOwnAddress(destination.host)) {
      carrier.refuse(socket, passing, TCP_END_LOOP);
    } else if (service !== undefined) carrier.balance(socket, service, destination, found?.pinned);
    else if ((isInbound && !isForApp) || this.#isOpaque(target))
      this.#pass({ socket, origin, passing, target, mayPass });
    else this.#look({ socket, origin, passing, target, mayPass });
    return true;
  }

  #isOpaque(target: Address): boolean {
    return this.#opaquePorts.has(target.port) || this.#serverFirst.has(formatAddress(target));
  }

  #look(redirected: Redirected): void {
    const { socket, origin, passing, target, mayPass } = redirected;
    const isInbound = origin.kind === LISTENER_INBOUND;
    const { knowsHost, adopt, carrier } = this.#options;
    this.#count += 1;
    new Look({
      socket,
      target,
      mayPass,
      // Without leave to pass, the engine's answer says why.
      isWanted: (host) => isInbound || !mayPass || (host !== undefined && knowsHost(host)),
      isEveryHostWanted: isInbound || !mayPass,
      serverSpoke: () => this.#learn(target),
      found: (finding) => {
        this.#count -= 1;
        if (finding.kind === "http") adopt(socket, origin, finding.first);
        else if (finding.kind === "unreachable") carrier.refuse(socket, passing, TCP_END_CONNECT_FAILED);
        else if (finding.kind === "pass") {
          const { first, upstream: opened } = finding;
          this.#pass({ ...redirected, passing: { ...passing, first, opened } });
        }
      },
    });
  }

  /** Carries the bytes unread; what may not pass is refused. */
  #pass({ socket, passing, mayPass }: Redirected): void {
    if (mayPass) this.#options.carrier.pass(socket, passing);
    else this.#options.carrier.refuse(socket, passing, TCP_END_NO_ROUTE);
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
