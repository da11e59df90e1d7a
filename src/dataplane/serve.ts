// A worker's life between its first and its last message: carries out what the main thread says, reports what it sees.
//
// It joins the pump, the listeners, the upstreams and the log batch of one engine. Where the engine comes from is not
// its business: worker.ts instantiates the real one, tests one written in TypeScript.

import { lookup } from "node:dns";
import type { Socket } from "node:net";
import type { MessagePort } from "node:worker_threads";
import { GLITCHES_COUNT, ROLE_DOWNSTREAM } from "../../assembly/abi/engine-codes.ts";
import { LISTENER_INBOUND, LISTENER_SERVICE } from "../../assembly/abi/engine-records.ts";
import { GOAWAY_GRACE_MS } from "../../assembly/abi/limits.ts";
import { LOG_TCP_FLAG } from "../../assembly/abi/log-entry.ts";
import { assertNever, Bug, monotonicUs } from "../base/index.ts";
import type { BalancerExports, Engine } from "../wasm/index.ts";
import type { ChosenDriver } from "./choose-driver.ts";
import { Interceptor } from "./intercept/interceptor.ts";
import { LogBatch } from "./log-batch.ts";
import {
  BEAT_MS,
  type FromWorker,
  type InterceptSetup,
  type ListenerOffer,
  type Program,
  type ToWorker,
  type WorkerReport,
} from "./messages.ts";
import { Pump } from "./pump.ts";
import type { AcceptFailure, Listener, Origin } from "./sockets.ts";
import { TcpCarrier } from "./tcp/carrier.ts";
import { TcpDirectory } from "./tcp/directory.ts";
import { type Lookup, Upstreams } from "./upstream.ts";

/** ROLE_* × PROTOCOL_*: two roles, three protocols. */
const ROLES = [0, 1];
const PROTOCOLS = [0, 1, 2];
/** Failing accepts are told once in this time: at the descriptor limit every turn brings one. */
const TELL_AGAIN_MS = 1_000;

/** Idle callers have this long to close after the last GOAWAY, which follows the first by GOAWAY_GRACE_MS. */
const LAST_CALLERS_MS = GOAWAY_GRACE_MS + 500;

type Port = Pick<MessagePort, "postMessage" | "on">;

/** Serves until the thread ends. `wake` lets others ask for a turn (a freed limit). */
export function serve(
  engine: Engine,
  balancer: BalancerExports,
  port: Port,
  driver: ChosenDriver,
  intercept?: InterceptSetup,
): { readonly wake: () => void } {
  return new Service(engine, balancer, port, driver, intercept);
}

class Service {
  readonly #engine: Engine;
  readonly #port: Port;
  readonly #pump: Pump;
  readonly #upstreams = new Upstreams(systemLookup, () => performance.now());
  readonly #logs: LogBatch;
  readonly #carrier: TcpCarrier;
  readonly #directory = new TcpDirectory(systemLookup);
  readonly #interceptor: Interceptor | undefined;
  #listeners: readonly Listener[] = [];
  #acceptFailures = 0;
  #toldMs = Number.NEGATIVE_INFINITY;
  #isDraining = false;
  /** Since when nothing is under way, while draining. */
  #idleFromMs: number | undefined;

  constructor(
    engine: Engine,
    balancer: BalancerExports,
    port: Port,
    driver: ChosenDriver,
    intercept: InterceptSetup | undefined,
  ) {
    this.#engine = engine;
    this.#port = port;
    this.#logs = new LogBatch((bytes) => this.#say({ type: "logs", bytes }));
    this.#pump = new Pump({
      engine,
      upstreams: this.#upstreams,
      createDriver: driver.create,
      log: (entry) => this.#logs.write(entry),
      turned: () => this.#turned(),
    });
    this.#carrier = new TcpCarrier({
      balancer,
      upstreams: this.#upstreams,
      log: (entry) => this.#logs.write(Buffer.from(JSON.stringify(entry)), LOG_TCP_FLAG),
    });
    if (intercept !== undefined) {
      this.#interceptor = new Interceptor({
        setup: intercept,
        carrier: this.#carrier,
        directory: this.#directory,
        adopt: (socket, origin, first) => this.#pump.adopt(socket, origin, first),
        knowsHost: (host) => engine.knowsHost(engine.writeText(host)) !== 0 && !this.#directory.hasHost(host),
      });
    }
    port.on("message", (message: ToWorker) => this.#carryOut(message));
    setInterval(() => this.#beat(), BEAT_MS);
    this.#say({ type: "started", driver: driver.name, problem: driver.problem });
  }

  readonly wake = (): void => this.#pump.schedule();

  #say(message: FromWorker): void {
    this.#port.postMessage(message);
  }

  #carryOut(message: ToWorker): void {
    switch (message.type) {
      case "listen":
        void this.#listen(message.listeners);
        return;
      case "program":
        this.#load(message.program);
        return;
      case "accessLog":
        this.#engine.setAccessLog(message.isOn ? 1 : 0);
        this.#carrier.isAccessLogOn = message.isOn;
        return;
      case "logTaken":
        this.#logs.taken(message.bytes);
        return;
      case "drainListener":
        this.#engine.drainDownstream(message.kind, monotonicUs());
        this.#pump.schedule();
        return;
      case "shed":
        this.#engine.shed(message.round, message.share, message.spreadMs, monotonicUs());
        this.#pump.schedule();
        return;
      case "drain":
        this.#isDraining = true;
        this.#engine.drain(monotonicUs());
        this.#pump.schedule();
        return;
      case "resetTcp":
        this.#carrier.resetAll();
        this.#say({ type: "tcpReset" });
        return;
      case "closeListeners":
        this.#closeListeners(message.kinds);
        return;
      case "trap":
        this.#engine.trap();
        return;
      case "hang":
        for (;;);
      default:
        assertNever(message);
    }
  }

  /** A rejection here (a descriptor that is none) is a bug and ends the worker. */
  async #listen(offers: readonly ListenerOffer[]): Promise<void> {
    const failed = (failure: AcceptFailure) => this.#acceptFailed(failure);
    const opened = await Promise.all(offers.map((offer) => this.#accept(offer, failed)));
    this.#listeners = [...this.#listeners, ...opened];
    this.#say({ type: "listening", count: this.#listeners.length });
  }

  #accept(offer: ListenerOffer, failed: (failure: AcceptFailure) => void): Promise<Listener> {
    if (offer.takesRedirected !== true) {
      const mayBeTcp = offer.kind === LISTENER_SERVICE || offer.kind === LISTENER_INBOUND;
      return this.#pump.listen(offer, failed, mayBeTcp ? (take) => this.#divert(offer, take) : undefined);
    }
    if (this.#interceptor === undefined) throw new Bug("a listener for redirected connections, and nobody for them");
    return this.#interceptor.listen(offer, failed);
  }

  /** Carries a connection to the port of a service of TCP, or of an app of TCP. */
  #divert(origin: Origin, take: () => Socket): boolean {
    const service = this.#directory.serviceOf(origin);
    if (service === undefined) return false;
    const socket = take();
    // Begun on libuv's loop, whichever accepted it (epoll/visits.ts).
    setImmediate(() => this.#carrier.balance(socket, service));
    return true;
  }

  #closeListeners(kinds: readonly number[]): void {
    for (const listener of this.#listeners) if (kinds.includes(listener.kind)) listener.stop();
    this.#listeners = this.#listeners.filter(({ kind }) => !kinds.includes(kind));
    this.#say({ type: "listening", count: this.#listeners.length });
  }

  #load(program: Program): void {
    const problem = this.#engine.loadProgram(program.bytes, monotonicUs());
    if (problem === 0) {
      this.#upstreams.replace(program.endpoints);
      this.#directory.replace(program.tcp);
    }
    this.#say({ type: "applied", sequence: program.sequence, problem });
    this.#pump.schedule();
  }

  #acceptFailed({ problem }: AcceptFailure): void {
    this.#acceptFailures += 1;
    const nowMs = performance.now();
    if (nowMs - this.#toldMs < TELL_AGAIN_MS) return;
    this.#toldMs = nowMs;
    this.#say({ type: "acceptFailed", problem });
  }

  #beat(): void {
    this.#carrier.sample();
    this.#logs.flush();
    this.#say({ type: "beat", report: this.#report() });
    if (this.#isDraining) this.#lookForEnd();
  }

  #turned(): void {
    this.#logs.flush();
    if (this.#isDraining) this.#lookForEnd();
  }

  /** Whether draining is over: no exchange, every answer taken, and callers gone or told often enough. */
  #lookForEnd(): void {
    const nowMs = performance.now();
    const relayed = this.#carrier.count + (this.#interceptor?.count ?? 0);
    if (this.#engine.exchangeCount() > 0 || relayed > 0 || this.#engine.unservedCount() > 0) {
      this.#idleFromMs = undefined;
      return;
    }
    this.#idleFromMs ??= nowMs;
    const callers = PROTOCOLS.reduce((sum, code) => sum + this.#engine.connectionsBy(ROLE_DOWNSTREAM, code), 0);
    if (callers > 0 && nowMs - this.#idleFromMs < LAST_CALLERS_MS) return;
    this.#isDraining = false;
    this.#say({ type: "drained" });
  }

  #report(): WorkerReport {
    const engine = this.#engine;
    return {
      exchanges: engine.exchangeCount(),
      connections: engine.connectionCount(),
      connectionsBy: ROLES.flatMap((role) => PROTOCOLS.map((protocol) => engine.connectionsBy(role, protocol))),
      shed: PROTOCOLS.map((protocol) => engine.shedCount(protocol)),
      glitches: Array.from({ length: GLITCHES_COUNT }, (_, kind) => engine.glitchCount(kind)),
      tcpOpen: this.#carrier.openBy(),
      tcpConnections: this.#carrier.describe(),
      poolUsedBytes: engine.poolUsed(),
      poolBytes: engine.poolSize(),
      logDrops: this.#logs.drops + engine.logDropped(),
      acceptFailures: this.#acceptFailures,
    };
  }
}

const systemLookup: Lookup = (host, callback) => {
  lookup(host, { all: true }, (error, addresses) => {
    callback(
      error,
      (addresses ?? []).map(({ address }) => address),
    );
  });
};
