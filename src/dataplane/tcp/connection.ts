// One TCP connection: to whom it goes, until somebody takes it; then its bytes, until it ends.
//
//   admitted? ─no─► overflow                                   (a service's limits.connections, over all threads)
//      │yes
//      ├─► pick ─► connect ─┬─ stands ─► relay ─► end
//      │    ▲               └─ failed ─► one more, elsewhere, as long as retries and instances last ─► connect-failed
//      └────┴─ nobody ─► no-instance
//
// In flight at an instance is its open connections: counted by the pick, until the end. Nothing was read of the client
// while its instance is being looked for (or it is kept), so nothing is lost when one is tried after another. A client
// who is not carried is reset: that is all that TCP can say.

import type { Socket } from "node:net";
import { COUNTER_CONNECTIONS, NO_INSTANCE, RESULT_FAILED, RESULT_OK } from "../../../assembly/abi/balancer-codes.ts";
import {
  SERVICE_TCP_CELLS,
  TCP_CONNECT_FAILURES_CELL,
  TCP_ENDS_CELL,
  TCP_OPENED_CELL,
  TCP_RECEIVED_CELL,
  TCP_SENT_CELL,
} from "../../../assembly/abi/metrics.ts";
import {
  TCP_END_CLIENT_GONE,
  TCP_END_CLOSED,
  TCP_END_CONNECT_FAILED,
  TCP_END_CONNECT_TIMEOUT,
  TCP_END_NO_INSTANCE,
  TCP_END_OVERFLOW,
} from "../../../assembly/abi/tcp-ends.ts";
import { type Address, formatAddress, monotonicUs } from "../../base/index.ts";
import type { CompiledTcpService, PinnedAddress } from "../../snapshot/index.ts";
import type { TcpEntry } from "../../telemetry/index.ts";
import { type BalancerExports, hashText } from "../../wasm/index.ts";
import type { Upstreams } from "../upstream.ts";
import { ClientHelloReader } from "./client-hello.ts";
import { openUpstream, relay, reset } from "./relay.ts";

/** A destination that does not answer; the kernel would try for two minutes. */
export const CONNECT_TIMEOUT_MS = 10_000;
/** Of a connection to no service: Envoy's tcp_proxy, and what a service has by default (DESIGN §3). */
const IDLE_MS = 60 * 60 * 1_000;
/** What `pick` takes as a slot that is none. */
const NO_SLOT = 0xffff_ffff;
const COUNT_MAX = 0xffff_ffff;

/** Where a connection came from and is to go. */
export interface Way {
  readonly direction: "outbound" | "inbound";
  /** First cell of whom it is counted for. */
  readonly metrics: number;
  /** Where the client meant to go; undefined: to the port of a service. */
  readonly destination: Address | undefined;
  /** Who carries it: instances of a service, or the destination itself. */
  readonly service: CompiledTcpService | undefined;
  /** The only instance that will do. */
  readonly pinned?: PinnedAddress | undefined;
  /** Where it goes without a service; default: the destination. */
  readonly target?: Address;
  /** What was read of the client already. */
  readonly first: readonly Buffer[];
  /** Opened already, while the client was waited for. */
  readonly opened?: Socket | undefined;
}

export interface ConnectionOptions {
  readonly client: Socket;
  readonly way: Way;
  readonly balancer: BalancerExports;
  readonly upstreams: Upstreams;
  /** Called once. */
  readonly ended: (entry: TcpEntry) => void;
}

export class TcpConnection {
  readonly #options: ConnectionOptions;
  readonly #peer: string;
  readonly #startedUs = monotonicUs();
  readonly #tried: number[] = [];
  #upstream: Socket | undefined;
  #hello: ClientHelloReader | undefined = new ClientHelloReader();
  #serverName: string | undefined;
  #slot: number | undefined;
  #isAdmitted = false;
  #isOver = false;
  #attempts = 0;
  #connectUs: number | undefined;
  #counted = { received: 0, sent: 0 };

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { client, way } = options;
    this.#peer = (client.remoteAddress ?? "").replace(/^::ffff:(?=\d+\.)/, "");
    client.on("error", () => undefined);
    this.#count(TCP_OPENED_CELL, 1);
    for (const bytes of way.first) this.#note(bytes);
  }

  /** First cell of whom it is counted for. */
  get metrics(): number {
    return this.#options.way.metrics;
  }

  start(): void {
    const { way, balancer, client } = this.#options;
    if (way.service !== undefined) {
      this.#isAdmitted = balancer.admit(way.service.index, COUNTER_CONNECTIONS) === 1;
      if (this.#isAdmitted) this.#pick(way.service);
      else this.refuse(TCP_END_OVERFLOW);
      return;
    }
    const target = way.target ?? way.destination;
    if (target === undefined || client.destroyed) {
      this.refuse(TCP_END_CONNECT_FAILED);
      return;
    }
    const upstream = way.opened ?? openUpstream(target, CONNECT_TIMEOUT_MS);
    this.#await(upstream, (end) => this.refuse(end));
  }

  /** Ends it with a reset. */
  refuse(end: number): void {
    reset(this.#options.client);
    this.#end(end);
  }

  /** Adds what came and went since the last time to the metrics. */
  sample(): void {
    const { client } = this.#options;
    const [received, sent] = [client.bytesRead, client.bytesWritten];
    this.#count(TCP_RECEIVED_CELL, received - this.#counted.received);
    this.#count(TCP_SENT_CELL, sent - this.#counted.sent);
    this.#counted = { received, sent };
  }

  /** Resets both sides, wherever it stands. */
  cut(): void {
    reset(this.#options.client);
    if (this.#upstream !== undefined) reset(this.#upstream);
  }

  /** What is known of it now. */
  describe(end = TCP_END_CLOSED): TcpEntry {
    const { way, client } = this.#options;
    const { direction, destination, service } = way;
    const target = service === undefined ? way.target : undefined;
    return {
      direction,
      peer: this.#peer,
      destination: destination === undefined ? undefined : formatAddress(destination),
      target: target === undefined ? undefined : formatAddress(target),
      service: service?.index,
      instance: this.#slot,
      serverName: this.#serverName,
      end,
      attempts: this.#attempts,
      durationUs: monotonicUs() - this.#startedUs,
      connectUs: this.#connectUs,
      bytesReceived: client.bytesRead,
      bytesSent: client.bytesWritten,
    };
  }

  // ── An instance ────────────────────────────────────────────────────────────────────────────────

  #pick(service: CompiledTcpService): void {
    const { balancer, upstreams } = this.#options;
    const slot = this.#choose(service);
    if (slot === NO_INSTANCE) {
      this.refuse(TCP_END_NO_INSTANCE);
      return;
    }
    this.#slot = slot;
    const startedUs = monotonicUs();
    const failed = (end: number) => this.#failed(service, slot, monotonicUs() - startedUs, end);
    const endpoint = upstreams.endpointOf(slot, balancer.generationOf(slot));
    if (endpoint === undefined) {
      failed(TCP_END_CONNECT_FAILED);
      return;
    }
    upstreams.resolve(endpoint.host, (host) => {
      if (host === undefined) failed(TCP_END_CONNECT_FAILED);
      else {
        this.#await(openUpstream({ host, port: endpoint.port }, service.connectMs), (end) => {
          upstreams.failed(endpoint.host);
          failed(end);
        });
      }
    });
  }

  /** The slot of an instance, in flight +1; or NO_INSTANCE. */
  #choose({ set }: CompiledTcpService): number {
    const { balancer, way } = this.#options;
    balancer.setTime(monotonicUs());
    if (way.pinned !== undefined) {
      const { slot, generation } = way.pinned;
      if (balancer.generationOf(slot) !== generation) return NO_INSTANCE;
      balancer.adopt(slot);
      return slot;
    }
    if (set === undefined) return NO_INSTANCE;
    const [skip0 = NO_SLOT, skip1 = NO_SLOT, skip2 = NO_SLOT] = this.#tried.slice(-3);
    const slot = balancer.pick(set, hashText(this.#peer), skip0, skip1, skip2);
    balancer.quiesce();
    return slot;
  }

  #failed(service: CompiledTcpService, slot: number, us: number, end: number): void {
    const { balancer, way } = this.#options;
    this.#tried.push(slot);
    this.#count(TCP_CONNECT_FAILURES_CELL, 1);
    balancer.setTime(monotonicUs());
    balancer.observeInstance(slot, us, RESULT_FAILED);
    const { set, retries } = service;
    const others = set === undefined || way.pinned !== undefined ? 0 : balancer.memberCountOf(set) - this.#tried.length;
    const isLast = this.#tried.length > retries || others <= 0;
    if (isLast || this.#options.client.destroyed) {
      this.refuse(end);
      return;
    }
    balancer.release(slot);
    this.#slot = undefined;
    this.#pick(service);
  }

  /** Waits until the upstream stands, then carries; `failed` is called when it never does. */
  #await(upstream: Socket, failed: (end: number) => void): void {
    this.#attempts += 1;
    const startedUs = monotonicUs();
    let end = TCP_END_CONNECT_FAILED;
    const opened = () => {
      upstream.off("error", broken).off("close", closed);
      this.#connectUs = monotonicUs() - startedUs;
      this.#carry(upstream);
    };
    const broken = ({ code }: NodeJS.ErrnoException) => {
      if (code === "ETIMEDOUT") end = TCP_END_CONNECT_TIMEOUT;
    };
    const closed = () => failed(end);
    if (upstream.destroyed) closed();
    else if (!upstream.connecting) opened();
    else upstream.once("connect", opened).once("error", broken).once("close", closed);
  }

  #carry(upstream: Socket): void {
    const { client, way, balancer } = this.#options;
    this.#upstream = upstream;
    if (this.#slot !== undefined) {
      balancer.setTime(monotonicUs());
      balancer.observeInstance(this.#slot, this.#connectUs ?? 0, RESULT_OK);
      balancer.connectionOpened(this.#slot);
      upstream.once("close", () => balancer.connectionClosed(this.#slot!));
    }
    if (client.destroyed) {
      upstream.destroy();
      this.#end(TCP_END_CLIENT_GONE);
      return;
    }
    const idleMs = way.service === undefined ? IDLE_MS : way.service.idleMs;
    if (this.#hello !== undefined) client.on("data", this.#noteChunk);
    relay({ client, upstream, first: way.first, idleMs, ended: (end) => this.#end(end) });
  }

  // ── What is noted ──────────────────────────────────────────────────────────────────────────────

  readonly #noteChunk = (bytes: Buffer): void => this.#note(bytes);

  #note(bytes: Buffer): void {
    const hello = this.#hello?.read(bytes);
    if (hello === undefined || hello.kind === "more") return;
    this.#hello = undefined;
    this.#options.client.off("data", this.#noteChunk);
    if (hello.kind === "tls") this.#serverName = hello.serverName;
  }

  #count(cell: number, delta: number): void {
    // A cell takes 32 bits at a time.
    for (let left = delta; left > 0; left -= COUNT_MAX) {
      this.#options.balancer.count(this.metrics + SERVICE_TCP_CELLS + cell, Math.min(left, COUNT_MAX));
    }
  }

  #end(end: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { way, balancer, ended } = this.#options;
    this.sample();
    this.#count(TCP_ENDS_CELL + end, 1);
    if (this.#slot !== undefined) balancer.release(this.#slot);
    if (this.#isAdmitted && way.service !== undefined) balancer.leave(way.service.index, COUNTER_CONNECTIONS);
    ended(this.describe(end));
  }
}
