// Where an instance slot is reached, and the addresses of host names.
//
// A snapshot names instances by host and port; most hosts are IP addresses. A host name is looked up when it is first
// connected to and again when its answer is older than RESOLVE_AGAIN_MS; the old answer serves until the new one is
// there, and also when there is none (a resolver that is down must not take instances with it). With several addresses
// the next connect after a failure tries the next one.

import { isIP } from "node:net";
import { type Endpoint, EndpointTable } from "./endpoints.ts";

/** Envoy's default dns_refresh_rate is 5 s; resolvers' negative caches make less pointless. */
const RESOLVE_AGAIN_MS = 5_000;
/** A name that nobody connected to for so long goes with the next snapshot. */
const FORGET_MS = 3_600_000;

/** getaddrinfo(3) or its twin in a test: every address of a host. */
export type Lookup = (host: string, callback: (error: Error | null, addresses: readonly string[]) => void) => void;

interface Resolved {
  addresses: readonly string[];
  /** Grows with failures, so that the next address gets its turn. */
  turn: number;
  atMs: number;
  usedMs: number;
  waiting: ((address: string | undefined, error: Error | undefined) => void)[];
  isAsking: boolean;
}

export class Upstreams {
  readonly #lookup: Lookup;
  readonly #nowMs: () => number;
  readonly #hosts = new Map<string, Resolved>();
  #endpoints = new EndpointTable();

  constructor(lookup: Lookup, nowMs: () => number) {
    this.#lookup = lookup;
    this.#nowMs = nowMs;
  }

  /** Takes the endpoints of a new snapshot (endpoints.ts); slots that it does not name are reached no more. */
  replace(block: Uint8Array): void {
    this.#endpoints = new EndpointTable(block);
    const nowMs = this.#nowMs();
    // Which hosts are named no more, only a walk over all endpoints could tell.
    for (const [host, { usedMs }] of this.#hosts) if (nowMs - usedMs >= FORGET_MS) this.#hosts.delete(host);
  }

  /** The endpoint of a slot, if it is still that generation's. */
  endpointOf(slot: number, generation: number): Endpoint | undefined {
    return this.#endpoints.find(slot, generation);
  }

  /** Calls back with an IP address of the host, at once where one is known. */
  resolve(host: string, done: (address: string | undefined, error: Error | undefined) => void): void {
    if (isIP(host) !== 0) {
      done(host, undefined);
      return;
    }
    let known = this.#hosts.get(host);
    if (known === undefined) {
      known = { addresses: [], turn: 0, atMs: Number.NEGATIVE_INFINITY, usedMs: 0, waiting: [], isAsking: false };
      this.#hosts.set(host, known);
    }
    known.usedMs = this.#nowMs();
    const isOld = known.usedMs - known.atMs >= RESOLVE_AGAIN_MS;
    if (known.addresses.length > 0) done(addressOf(known), undefined);
    else known.waiting.push(done);
    if (isOld && !known.isAsking) this.#ask(host, known);
  }

  /** A connect to this host failed: the next one tries its next address, after asking again. */
  failed(host: string): void {
    const known = this.#hosts.get(host);
    if (known === undefined) return;
    known.turn += 1;
    known.atMs = Number.NEGATIVE_INFINITY;
  }

  #ask(host: string, known: Resolved): void {
    known.isAsking = true;
    this.#lookup(host, (error, addresses) => {
      known.isAsking = false;
      known.atMs = this.#nowMs();
      if (error === null && addresses.length > 0) known.addresses = addresses;
      const waiting = known.waiting;
      known.waiting = [];
      const address = addressOf(known);
      for (const done of waiting) done(address, address === undefined ? (error ?? undefined) : undefined);
      // Nobody may be made to wait for a failure that is RESOLVE_AGAIN_MS old: the next connect asks anew.
      if (known.addresses.length === 0) known.atMs = Number.NEGATIVE_INFINITY;
    });
  }
}

function addressOf(known: Resolved): string | undefined {
  return known.addresses[known.turn % Math.max(1, known.addresses.length)];
}
