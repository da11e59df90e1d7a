// The composition root: one sidecar out of a configuration and a registry.
//
//   registry ──pictures──► publisher ──programs──► supervisor ──► workers
//      ▲                       │                       │
//   own instance ◄── app watch └─ balancer (shared) ◄──┘        admin, probe: look at all of it
//
// It owns order: what is opened first, what is told to whom, who goes last. The parts meet nowhere else.

import { Worker } from "node:worker_threads";
import { LISTENER_INBOUND } from "../../assembly/abi/engine-records.ts";
import {
  type AdminView,
  type HttpServer,
  type Readiness,
  type ReadinessPart,
  startAdmin,
  startProbe,
} from "../admin/index.ts";
import { type Address, type Clock, createRandom, formatAddress, type RootLog, systemClock } from "../base/index.ts";
import { formatMeshUrl, type ProcessConfig } from "../config/index.ts";
import { type InterceptSetup, type WorkerSetup, workerEntry, workerFlags } from "../dataplane/index.ts";
import type { Registry, RegistryEvent } from "../discovery/index.ts";
import { Allocation } from "../snapshot/index.ts";
import { createAccessLog, createLineWriter, createMetrics, type LineWriter, type Metrics } from "../telemetry/index.ts";
import {
  Balancer,
  createSharedDescriptors,
  DescriptorTable,
  loadModule,
  type SharedDescriptors,
  type WorkerModules,
} from "../wasm/index.ts";
import { awaitAppEnd } from "./app-end.ts";
import { AppWatch } from "./app-watch.ts";
import { countWorkers, poolBytesWithin } from "./container-limits.ts";
import { closeDescriptor } from "./descriptor.ts";
import { type HeldEvents, holdEvents } from "./held-events.ts";
import { InstanceWatch } from "./instance-watch.ts";
import { explainListen } from "./listening.ts";
import { describeApp } from "./local-app.ts";
import { createSources } from "./metric-sources.ts";
import { describeOwnInstance, logRegistration, OwnInstance } from "./own-instance.ts";
import { Ports } from "./ports.ts";
import { Publisher } from "./publisher.ts";
import { judgeReadiness } from "./readiness.ts";
import { logRejection, summarize } from "./rejection.ts";
import { Shedding } from "./shedding.ts";
import { shutDown } from "./shutdown.ts";
import { releaseStartMemory } from "./start-memory.ts";
import { Supervisor } from "./supervisor.ts";
import { describeDocuments, listConnections, listInstances, listServices } from "./view.ts";

const STDOUT = 1;
/** How often a sidecar that is not ready yet looks again. */
const READY_LOOK_MS = 25;

export interface SidecarOptions {
  readonly config: ProcessConfig;
  /** Not started yet; the sidecar starts and stops it. */
  readonly registry: Registry;
  readonly log: RootLog;
  readonly clock?: Clock;
}

/** Opens the ports and starts everything; throws, with nothing left behind, when that cannot be done. */
export async function startSidecar(options: SidecarOptions): Promise<Sidecar> {
  const { config, registry, log } = options;
  const events = holdEvents(registry);
  // The first picture may take long (etcd is down); being alive and saying so must not wait for it.
  registry.start().catch((error: unknown) => log.debug({ error }, "the registry did not start"));
  let sidecar: Sidecar | undefined;
  try {
    sidecar = new Sidecar(options, await Ports.open(config));
    await sidecar.start(events);
    return sidecar;
  } catch (error) {
    await (sidecar ?? registry).stop();
    throw error;
  }
}

export class Sidecar implements AdminView {
  readonly #config: ProcessConfig;
  readonly #registry: Registry;
  readonly #log: RootLog;
  readonly #clock: Clock;
  readonly #ports: Ports;
  readonly #lines: LineWriter | undefined;
  readonly #balancer: Balancer;
  readonly #supervisor: Supervisor;
  readonly #instanceWatch: InstanceWatch;
  readonly #publisher: Publisher;
  readonly #shedding: Shedding | undefined;
  readonly #metrics: Metrics;
  readonly #appWatch: AppWatch | undefined;
  readonly #ownInstance: OwnInstance | undefined;
  readonly #descriptors: SharedDescriptors[] = [];
  readonly #servers: HttpServer[] = [];
  readonly #serverPorts: Record<string, string> = {};
  #unsubscribe = () => {};
  readonly #ended = Promise.withResolvers<boolean>();
  #registryProblem: string | undefined;
  #rejections = 0;
  #isDraining = false;

  constructor({ config, registry, log, clock = systemClock }: SidecarOptions, ports: Ports) {
    this.#config = config;
    this.#registry = registry;
    this.#log = log;
    this.#clock = clock;
    this.#ports = ports;
    const modules = { balancer: loadModule("balancer"), engine: loadModule("engine") };
    this.#balancer = new Balancer(modules.balancer);
    this.#lines = config.accessLog === "text" ? createLineWriter(STDOUT) : undefined;
    this.#supervisor = this.#createSupervisor({ ...modules, balancerMemory: this.#balancer.memory });
    const own = ports.inbound && describeOwnInstance(config, ports.inbound);
    this.#instanceWatch = new InstanceWatch({ balancer: this.#balancer, clock, log });
    this.#publisher = new Publisher({
      balancer: this.#balancer,
      allocation: new Allocation(this.#balancer),
      snapshot: {
        namespace: config.namespace,
        zone: config.zone,
        listen: config.listen.map(({ service }) => service),
        app: describeApp(config, own?.id),
      },
      distribute: (program) => this.#supervisor.publish(program),
      published: (snapshot, documents) => {
        this.#instanceWatch.follow(snapshot, documents);
        this.#shedding?.follow(documents);
      },
      log,
    });
    this.#metrics = createMetrics(
      createSources({
        balancer: this.#balancer,
        supervisor: this.#supervisor,
        snapshot: () => this.#publisher.inForce,
        healthOf: (slot) => this.#instanceWatch.healthOf(slot),
        registry: () => ({
          revision: registry.picture?.revision ?? 0,
          isConnected: registry.connected,
          rejections: this.#rejections,
        }),
        logDrops: () => log.droppedCount + (this.#lines?.dropped ?? 0),
      }),
    );
    if (config.service !== undefined && own !== undefined) {
      const { service } = config;
      this.#ownInstance = new OwnInstance({ registry, service, ...own, log });
      this.#shedding = new Shedding({ service, workers: this.#supervisor, clock, log });
    }
    if (config.app !== undefined) {
      this.#appWatch = new AppWatch({ address: config.app, clock, changed: (isUp) => this.#ownInstance?.setUp(isUp) });
    }
  }

  /** Resolves when the sidecar has gone: true when everything under way had ended by then. */
  get ended(): Promise<boolean> {
    return this.#ended.promise;
  }

  async start(events: HeldEvents): Promise<void> {
    const { admin, probe, accessLog } = this.#config;
    await this.#serve("admin", admin, startAdmin);
    await this.#serve("probe", probe, startProbe);
    this.#unsubscribe = events.passTo((event) => this.#hear(event));
    for (const { service } of this.#config.listen) this.#want(service);
    await this.#supervisor.start(accessLog !== "off");
    this.#appWatch?.start();
    this.#log.info({ mesh: formatMeshUrl(this.#config.mesh), ports: this.#describePorts() }, "listening");
    this.#lookForReady();
  }

  /** Starts draining; false when it does already. `isAppGone`: do not wait for the app to end first. */
  drain({ isAppGone = false } = {}): boolean {
    if (this.#isDraining) return false;
    this.#isDraining = true;
    this.#log.info({ drainMs: this.#config.drainMs }, "draining");
    void this.#goOrderly(isAppGone);
    return true;
  }

  /** Ends everything at once. */
  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#instanceWatch.stop();
    this.#appWatch?.stop();
    this.#ports.close();
    await this.#supervisor.stop();
    await this.#registry.stop();
    await Promise.all(this.#servers.map((server) => server.stop()));
    this.#lines?.flush();
  }

  // ── AdminView ──────────────────────────────────────────────────────────────────────────────────

  services() {
    return listServices(this.#viewInputs());
  }

  instances(service: string | undefined) {
    return listInstances(this.#viewInputs(), service);
  }

  connections(service: string | undefined) {
    return listConnections(this.#viewInputs(), this.#supervisor.reports, service);
  }

  config() {
    const { registryPassword, ...flags } = this.#config;
    const secret = registryPassword === undefined ? {} : { registryPassword: "…" };
    const { picture } = this.#registry;
    return {
      flags: { ...flags, ...secret, mesh: formatMeshUrl(flags.mesh) },
      ports: this.#describePorts(),
      revision: this.#publisher.inForce?.revision,
      keptAtMs: picture?.keptAtMs,
      warnings: picture?.warnings ?? [],
      documents: describeDocuments(picture?.documents),
    };
  }

  readiness(part: ReadinessPart = "all"): Readiness {
    const { mesh, app } = this.#config;
    return judgeReadiness(
      {
        mesh: formatMeshUrl(mesh),
        isMeshLoaded: this.#registry.picture !== undefined,
        registryProblem: this.#registryProblem,
        keptAtMs: this.#registry.picture?.keptAtMs,
        isSnapshotInForce: this.#publisher.inForce !== undefined,
        workers: countWorkers(this.#config.workers),
        listeningWorkers: this.#supervisor.listeningCount,
        app: app === undefined ? undefined : formatAddress(app),
        isAppUp: this.#appWatch?.isUp ?? false,
        isDraining: this.#isDraining,
      },
      this.#describePorts(),
      part,
    );
  }

  async formatMetrics() {
    return { contentType: this.#metrics.contentType, text: await this.#metrics.format() };
  }

  get logLevel() {
    return this.#log.level;
  }

  set logLevel(level) {
    this.#log.level = level;
    this.#log.info({ level }, "the log level was changed");
  }

  // ── Parts ──────────────────────────────────────────────────────────────────────────────────────

  #createSupervisor(modules: WorkerModules): Supervisor {
    const random = createRandom();
    const takeLogs = createAccessLog({
      log: this.#log,
      nowMs: () => this.#clock.nowMs(),
      format: this.#config.accessLog,
      names: {
        serviceName: (index) => this.#publisher.inForce?.services[index]?.name,
        instanceId: (slot) => this.#publisher.instanceId(slot),
      },
      writeLine: (line) => this.#lines?.write(line),
    });
    const workers = countWorkers(this.#config.workers);
    const poolBytes = poolBytesWithin(process.constrainedMemory(), workers);
    return new Supervisor({
      workers,
      startThread: (worker) => {
        const sockets = { driver: this.#config.socketDriver, descriptors: this.#descriptorsOf(worker) };
        const intercept = this.#describeIntercept();
        const seed = random.below(2 ** 32);
        const setup: WorkerSetup = { worker, seed, modules, sockets, intercept, poolBytes };
        return new Worker(workerEntry, { workerData: setup, execArgv: [...workerFlags], name: `data plane ${worker}` });
      },
      clearWorker: (worker) => {
        this.#balancer.clearWorker(worker);
        new DescriptorTable(this.#descriptorsOf(worker)).takeAll().forEach(closeDescriptor);
      },
      offerListeners: () => this.#ports.offer(),
      takeLogs,
      clock: this.#clock,
      random,
      log: this.#log,
    });
  }

  #describeIntercept(): InterceptSetup | undefined {
    const { intercept, unknown, app, opaquePorts } = this.#config;
    const ownPorts = [...this.#ports.numbers, ...this.#servers.map(({ address }) => address.port)];
    return intercept === "redirect" ? { unknown, app, ownPorts, opaquePorts } : undefined;
  }

  /** What a worker has open and cannot close when it dies. */
  #descriptorsOf(worker: number): SharedDescriptors {
    this.#descriptors[worker] ??= createSharedDescriptors();
    return this.#descriptors[worker];
  }

  async #serve(name: string, address: Address | undefined, start: typeof startAdmin): Promise<void> {
    if (address === undefined) return;
    const server = await start(address, this, explainListen);
    this.#servers.push(server);
    this.#serverPorts[name] = formatAddress(server.address);
  }

  #describePorts(): Readonly<Record<string, string>> {
    return { ...this.#ports.describe(), ...this.#serverPorts };
  }

  #viewInputs() {
    const documents = this.#registry.picture?.documents;
    const healthOf = (slot: number) => this.#instanceWatch.healthOf(slot);
    return { balancer: this.#balancer, snapshot: this.#publisher.inForce, documents, healthOf };
  }

  /** Says once, when everything is there, that traffic may come, and where. */
  #lookForReady(): void {
    const { isReady, ports } = this.readiness();
    if (isReady) {
      this.#log.info({ ports }, "ready");
      releaseStartMemory();
    } else if (!this.#isDraining) this.#clock.after(READY_LOOK_MS, () => this.#lookForReady());
  }

  // ── The registry ───────────────────────────────────────────────────────────────────────────────

  #hear(event: RegistryEvent): void {
    switch (event.kind) {
      case "picture":
        for (const service of event.picture.documents.services.keys()) this.#want(service);
        this.#publisher.publish(event.picture).catch((error: unknown) => {
          this.#log.error({ error }, "a picture of the mesh could not be put in force");
        });
        return;
      case "rejected":
        this.#rejections += 1;
        logRejection(this.#log, event.issues, this.#publisher.inForce !== undefined);
        this.#registryProblem = summarize(event.issues) ?? this.#registryProblem;
        return;
      case "connected":
        this.#registryProblem = undefined;
        this.#log.info({ mesh: formatMeshUrl(this.#config.mesh) }, "the registry is seen");
        return;
      case "disconnected":
        this.#registryProblem = event.problem;
        this.#log.warn(
          event.retryMs === undefined ? {} : { retryMs: Math.round(event.retryMs) },
          `the registry is not seen: ${event.problem}`,
        );
        return;
      case "registration":
        logRegistration(this.#log, event);
        return;
    }
  }

  #want(service: string): void {
    this.#registry.want(service).catch((error: unknown) => this.#log.debug({ error, service }, "not subscribed"));
  }

  // ── The end ────────────────────────────────────────────────────────────────────────────────────

  async #goOrderly(isAppGone: boolean): Promise<void> {
    this.#appWatch?.drain();
    this.#shedding?.stop();
    const isOrderly = await shutDown({
      clock: this.#clock,
      drainMs: this.#config.drainMs,
      steps: {
        announce: () => this.#ownInstance?.drain() ?? Promise.resolve(false),
        drainInbound: () => this.#supervisor.tellAll({ type: "drainListener", kind: LISTENER_INBOUND }),
        closeInbound: () => {
          // Ours first: then each worker's close follows its last accept, and no connection is left in the backlog.
          this.#ports.close(LISTENER_INBOUND);
          this.#supervisor.tellAll({ type: "closeListeners", kinds: [LISTENER_INBOUND] });
        },
        appEnded: (signal) => this.#appEnded(isAppGone, signal),
        drainAll: () => this.#supervisor.drain(),
      },
    });
    await this.#ownInstance?.stop();
    if (!isOrderly) await this.#supervisor.resetTcp();
    await this.stop();
    this.#log.info({ isOrderly }, isOrderly ? "drained" : "the time to drain is over; what was under way is cut off");
    this.#ended.resolve(isOrderly);
  }

  /** The app may use its ways out for as long as it lives; without one there is nothing to wait for. */
  async #appEnded(isAppGone: boolean, signal: AbortSignal): Promise<void> {
    if (isAppGone || !this.#ports.hasOutbound) return;
    await awaitAppEnd({ clock: this.#clock, watch: this.#appWatch, supervisor: this.#supervisor, signal });
  }
}
