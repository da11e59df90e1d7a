// The TCP connections of a worker: whose they are, how many there are, what is told of them.

import type { Socket } from "node:net";
import { UNROUTED_INBOUND_METRICS, UNROUTED_OUTBOUND_METRICS } from "../../../assembly/abi/metrics.ts";
import { TCP_END_NOT_REACHED } from "../../../assembly/abi/tcp-ends.ts";
import type { Address } from "../../base/index.ts";
import type { CompiledTcpService, PinnedAddress } from "../../snapshot/index.ts";
import type { TcpEntry } from "../../telemetry/index.ts";
import type { BalancerExports } from "../../wasm/index.ts";
import type { Upstreams } from "../upstream.ts";
import { TcpConnection, type Way } from "./connection.ts";

/** Connections that a worker shows of itself: enough to find one by, little enough for a message twice a second. */
const SHOWN_MAX = 100;

export interface CarrierOptions {
  readonly balancer: BalancerExports;
  readonly upstreams: Upstreams;
  readonly log: (entry: TcpEntry) => void;
}

/** A connection that belongs to no service: where it was going, and where it goes. */
export interface Passing {
  readonly direction: "outbound" | "inbound";
  readonly destination: Address;
  readonly target?: Address;
  readonly first: readonly Buffer[];
  readonly opened?: Socket | undefined;
}

export class TcpCarrier {
  /** Every connection's end is told, not only of those that reached nobody. */
  isAccessLogOn = false;
  readonly #options: CarrierOptions;
  readonly #open = new Set<TcpConnection>();

  constructor(options: CarrierOptions) {
    this.#options = options;
  }

  /** Connections that are open, or looking for somebody. */
  get count(): number {
    return this.#open.size;
  }

  /** Carries a connection to an instance of a service, or to the one that is `pinned`. */
  balance(client: Socket, service: CompiledTcpService, destination?: Address, pinned?: PinnedAddress): void {
    const { direction, metrics } = service;
    this.#add(client, { direction, metrics, destination, service, pinned, first: [] }).start();
  }

  /** Carries a connection to where it was going. */
  pass(client: Socket, passing: Passing): void {
    this.#add(client, wayOf(passing)).start();
  }

  /** Resets a connection that may not go there, with TCP_END_*. */
  refuse(client: Socket, passing: Passing, end: number): void {
    this.#add(client, wayOf(passing)).refuse(end);
  }

  /** Brings the metrics of open connections up to date. */
  sample(): void {
    for (const connection of this.#open) connection.sample();
  }

  /** How many are open for each first cell: [cell, count, cell, count …]. */
  openBy(): readonly number[] {
    const counts = new Map<number, number>();
    for (const { metrics } of this.#open) counts.set(metrics, (counts.get(metrics) ?? 0) + 1);
    return [...counts].flat();
  }

  /** The latest of those that are open. */
  describe(): readonly TcpEntry[] {
    return [...this.#open]
      .slice(-SHOWN_MAX)
      .reverse()
      .map((connection) => connection.describe());
  }

  /** Ends all of them with a reset: the process goes. */
  resetAll(): void {
    for (const connection of this.#open) connection.cut();
  }

  #add(client: Socket, way: Way): TcpConnection {
    const { balancer, upstreams, log } = this.#options;
    const ended = (entry: TcpEntry) => {
      this.#open.delete(connection);
      if (this.isAccessLogOn || entry.end >= TCP_END_NOT_REACHED) log(entry);
    };
    const connection: TcpConnection = new TcpConnection({ client, way, balancer, upstreams, ended });
    this.#open.add(connection);
    return connection;
  }
}

function wayOf(passing: Passing): Way {
  const metrics = passing.direction === "inbound" ? UNROUTED_INBOUND_METRICS : UNROUTED_OUTBOUND_METRICS;
  return { ...passing, metrics, service: undefined };
}
