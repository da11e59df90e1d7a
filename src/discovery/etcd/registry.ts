// A registry in etcd: list at a revision, watch from the next one, and begin again wherever that ended.
//
//   open a session ──► list what is not listed yet ──► picture ──► watch ──► lost: pause, next member, resume
//                                  ▲                                 └─────► compacted: everything is listed again
//                                  └── want(service), a route to a new service ──┘
//
// What is watched: the documents of the mesh as one range (mesh, routes and services are neighbours in the order of
// keys), access as another, and the instances: of all services as one range (`interest: "all"`), or one range for each
// service that is wanted or that a route names. Before a picture names a new service, the service's instances are
// listed at that same revision, so no picture shows a route without those who answer.
//
// While etcd is away nothing is thrown away: neither by time nor because a lease over there may have run out.

import {
  assertNever,
  type Backoff,
  Bug,
  type Clock,
  createBackoff,
  isPillionError,
  type Log,
  messageOf,
  pillionError,
  type Random,
} from "../../base/index.ts";
import {
  type CheckPattern,
  type DocumentId,
  type DocumentKind,
  formatKey,
  instancesPrefix,
  isSection,
  parseKey,
} from "../../config/index.ts";
import { createListeners, type Listeners } from "../listeners.ts";
import type {
  ApplyOptions,
  Registration,
  RegistrationRequest,
  Registry,
  RegistryChange,
  RegistryIssue,
  RegistryListener,
  RegistryPicture,
  StoredDocument,
} from "../registry.ts";
import type { EtcdClient, OpenSession } from "./client.ts";
import type { MeshKeeper } from "./kept-mesh.ts";
import { LEASE_TIMING, type LeaseTiming, startRegistration } from "./lease.ts";
import { type KeyRange, listRanges, prefixRange } from "./listing.ts";
import { Mirror, parseValue } from "./mirror.ts";
import type { KeyEvent } from "./revisions.ts";
import { applyChanges, splitChanges } from "./transaction.ts";
import { openWatch, WATCH_TIMING, type WatchRange, type WatchStream, type WatchTiming } from "./watch.ts";

export interface EtcdRegistryOptions {
  readonly client: EtcdClient;
  /** Begins with a slash, ends without one. */
  readonly prefix: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly checkPattern?: CheckPattern | undefined;
  /** Whose instances are watched; "wanted" spares a large mesh most of its changes. Default: "wanted". */
  readonly interest?: "all" | "wanted" | undefined;
  /** Keeps what etcd holds, for a start without it; only with an interest in all. */
  readonly keeper?: MeshKeeper | undefined;
  readonly timing?:
    | { readonly watch?: WatchTiming; readonly lease?: LeaseTiming; readonly retryMsMax?: number }
    | undefined;
}

/** Envoy's bounds for reconnecting to its control plane (reliability.md §3.1). */
const RETRY_MS_BASE = 500;
const RETRY_MS_MAX = 30_000;

/** Opens a prefix of etcd as a registry; nothing is connected before it is used. */
export function createEtcdRegistry(options: EtcdRegistryOptions): Registry {
  return new EtcdRegistry(options);
}

/** A range that we keep a copy of. */
interface KeptRange extends WatchRange {
  isListed: boolean;
  readonly listed: PromiseWithResolvers<void>;
}

class EtcdRegistry implements Registry {
  readonly #options: EtcdRegistryOptions;
  readonly #client: EtcdClient;
  readonly #prefix: string;
  readonly #listeners: Listeners;
  readonly #mirror: Mirror;
  readonly #backoff: Backoff;
  readonly #documentRanges: readonly KeptRange[];
  readonly #allInstances: KeptRange | undefined;
  readonly #instanceRanges = new Map<string, KeptRange>();
  readonly #registrations = new Set<Registration>();
  readonly #started = Promise.withResolvers<void>();
  readonly #stopped = new AbortController();
  /** Aborts once etcd was asked in vain. */
  readonly #missed = new AbortController();
  #loop: Promise<void> | undefined;
  #listing: Promise<void> | undefined;
  #watch: WatchStream | undefined;
  #lastOpen: OpenSession | undefined;
  #picture: RegistryPicture | undefined;
  #revision = 0;
  #isDirty = false;
  #isConnected = false;

  constructor(options: EtcdRegistryOptions) {
    this.#options = options;
    this.#client = options.client;
    this.#prefix = options.prefix;
    this.#listeners = createListeners(options.log);
    this.#mirror = new Mirror(options.prefix, options.checkPattern, options.keeper !== undefined);
    const maxMs = options.timing?.retryMsMax ?? RETRY_MS_MAX;
    this.#backoff = createBackoff({ baseMs: Math.min(RETRY_MS_BASE, maxMs), maxMs, random: options.random });
    const documents = {
      start: Buffer.from(`${options.prefix}/mesh`),
      end: prefixRange(`${options.prefix}/services/`).end,
    };
    if (options.interest === "all") {
      // One range for everything: a revision then comes whole from etcd, with nothing to join.
      this.#allInstances = keepRange(prefixRange(`${options.prefix}/`));
      this.#documentRanges = [this.#allInstances];
    } else this.#documentRanges = [keepRange(documents), keepRange(prefixRange(`${options.prefix}/access/`))];
    // Whoever never calls `start` must not be told that it was stopped.
    this.#started.promise.catch(() => undefined);
  }

  get picture(): RegistryPicture | undefined {
    return this.#picture;
  }

  get connected(): boolean {
    return this.#isConnected;
  }

  start(): Promise<void> {
    if (this.#loop === undefined) void this.#useKept();
    this.#loop ??= this.#run();
    return this.#started.promise;
  }

  async stop(): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort();
    this.#missed.abort();
    this.#watch?.stop("the registry was stopped");
    await Promise.all([...this.#registrations].map((registration) => registration.stop()));
    this.#client.close();
    await this.#loop;
    await this.#options.keeper?.stop();
    const error = pillionError("PILLION_REGISTRY_STOPPED", {});
    this.#started.reject(error);
    for (const range of this.#ranges()) range.listed.reject(error);
  }

  subscribe(listener: RegistryListener): () => void {
    return this.#listeners.add(listener);
  }

  want(service: string): Promise<void> {
    const range = this.#keepInstances(service);
    if (!range.isListed && this.#watch !== undefined) void this.#listUnlisted(undefined);
    return range.listed.promise;
  }

  register(request: RegistrationRequest): Registration {
    const { service, id } = request;
    const { clock, random, timing } = this.#options;
    const onState = (state: Registration["state"], problem: string | undefined) =>
      this.#listeners.send({ kind: "registration", service, id, state, problem });
    const registration = startRegistration(
      { client: this.#client, prefix: this.#prefix, clock, random, timing: timing?.lease ?? LEASE_TIMING, onState },
      request,
    );
    this.#registrations.add(registration);
    return registration;
  }

  async read(id: DocumentId): Promise<StoredDocument | undefined> {
    const start = Buffer.from(formatKey(this.#prefix, id));
    const end = Buffer.concat([start, Buffer.of(0)]);
    return (await this.#listStored([{ start, end }]))[0];
  }

  async list(kind?: DocumentKind): Promise<readonly StoredDocument[]> {
    const stored = await this.#listStored([prefixRange(`${this.#prefix}/`)]);
    return kind === undefined ? stored : stored.filter(({ id }) => id.kind === kind);
  }

  async apply(changes: readonly RegistryChange[], { isChunked = false }: ApplyOptions = {}): Promise<void> {
    const transactions = isChunked ? splitChanges(this.#prefix, changes) : [changes];
    for (const transaction of transactions) await applyChanges(this.#client, this.#prefix, transaction);
  }

  remove(ids: readonly DocumentId[]): Promise<number> {
    return applyChanges(
      this.#client,
      this.#prefix,
      ids.map((id) => ({ id, value: undefined })),
    );
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      const problem = await this.#watchOnce().catch((error: unknown) => {
        if (error instanceof Bug) throw error;
        return messageOf(error);
      });
      if (this.#stopped.signal.aborted) break;
      // Compacted: etcd is there, only our place in its history is not.
      if (problem === undefined) continue;
      this.#isConnected = false;
      this.#missed.abort();
      const retryMs = this.#backoff.nextMs();
      this.#listeners.send({ kind: "disconnected", problem, retryMs });
      await this.#options.clock.sleep(retryMs, this.#stopped.signal);
    }
    this.#isConnected = false;
  }

  /** From a session to its end; yields why it ended, or nothing where there is no need to wait. */
  async #watchOnce(): Promise<string | undefined> {
    const open = await this.#client.open();
    this.#compareStore(open);
    await this.#listUnlisted(undefined);
    const watch = await openWatch(
      {
        session: open.session,
        clock: this.#options.clock,
        timing: this.#options.timing?.watch ?? WATCH_TIMING,
        onEvents: (events) => this.#receive(events),
        onReady: () => this.#connect(),
      },
      this.#ranges().filter(({ isListed }) => isListed),
    );
    this.#watch = watch;
    if (this.#stopped.signal.aborted) watch.stop("the registry was stopped");
    // Wanted while the watch was being opened.
    void this.#listUnlisted(undefined);
    const end = await watch.ended;
    this.#watch = undefined;
    switch (end.kind) {
      case "compacted":
        for (const range of this.#ranges()) range.isListed = false;
        return undefined;
      case "lost":
        this.#client.fail(open.session);
        return end.problem;
      case "stopped":
        return end.problem;
      default:
        return assertNever(end);
    }
  }

  /** Begins with what etcd held once, where it does not answer. */
  async #useKept(): Promise<void> {
    const isNeeded = () => !this.#stopped.signal.aborted && !this.#ranges().some(({ isListed }) => isListed);
    const kept = await this.#options.keeper?.await(this.#missed.signal, isNeeded);
    if (kept === undefined) return;
    this.#note(this.#mirror.takeKept(kept.pairs));
    this.#send(kept.revision, kept.savedAtMs);
    this.#isDirty = true; // whatever etcd holds is news
  }

  #connect(): void {
    this.#backoff.reset();
    if (this.#isConnected) return;
    this.#isConnected = true;
    this.#listeners.send({ kind: "connected" });
  }

  /** Another cluster, or one that was set back to a backup: nothing that we know of it holds. */
  #compareStore(open: OpenSession): void {
    const last = this.#lastOpen;
    this.#lastOpen = open;
    if (last === undefined || last === open) return;
    const { clusterId, revision } = open.store;
    if (last.store.clusterId === clusterId && revision >= this.#revision) return;
    this.#options.log.warn({ revision, before: this.#revision }, "etcd is not where it was: listing anew");
    this.#mirror.distrust();
    this.#revision = 0;
    for (const range of this.#ranges()) range.isListed = false;
  }

  #receive(events: readonly KeyEvent[]): void {
    const newest = events.at(-1)?.revision ?? 0;
    this.#revision = Math.max(this.#revision, newest);
    this.#note(this.#mirror.takeEvents(events));
    this.#keepRouted();
    if (this.#ranges().every(({ isListed }) => isListed)) this.#publish();
    else void this.#listUnlisted(newest);
  }

  /**
   * Lists what is not listed yet, then publishes. Without a revision it is the newest one. A failure is an answer to
   * whoever connects; whoever only added a range is served by the next session.
   */
  async #listUnlisted(revision: number | undefined): Promise<void> {
    const watch = this.#watch;
    try {
      while (this.#ranges().some(({ isListed }) => !isListed)) {
        this.#listing ??= this.#listRounds(revision).finally(() => {
          this.#listing = undefined;
        });
        await this.#listing;
      }
    } catch (error) {
      if (watch === undefined) throw error;
      watch.stop(messageOf(error));
    }
    this.#publish();
    for (const range of this.#ranges()) if (range.isListed) range.listed.resolve();
  }

  async #listRounds(revision: number | undefined): Promise<void> {
    let pinned = revision;
    for (;;) {
      const ranges = this.#ranges().filter(({ isListed }) => !isListed);
      if (ranges.length === 0) return;
      const listing = await listRanges(this.#client, ranges, pinned).catch((error: unknown) => {
        if (pinned === undefined || !isPillionError(error, "PILLION_REGISTRY_COMPACTED")) throw error;
        return listRanges(this.#client, ranges, undefined);
      });
      // What the documents of this revision name is listed at this revision.
      pinned = listing.revision;
      this.#revision = Math.max(this.#revision, listing.revision);
      this.#note(this.#mirror.takeListing(ranges, listing.pairs));
      this.#keepRouted();
      for (const range of ranges) {
        range.isListed = true;
        range.nextRevision = listing.revision + 1;
        this.#watch?.add(range);
      }
    }
  }

  #note(rejected: readonly RegistryIssue[] | undefined): void {
    if (rejected === undefined) return;
    this.#isDirty = true;
    if (rejected.length > 0) this.#listeners.send({ kind: "rejected", issues: rejected });
  }

  #publish(): void {
    if (this.#stopped.signal.aborted || (!this.#isDirty && this.#picture !== undefined)) return;
    if (this.#documentRanges.some(({ isListed }) => !isListed)) return;
    this.#isDirty = false;
    this.#send(this.#revision, undefined);
    this.#options.keeper?.changed(() => ({ revision: this.#revision, pairs: this.#mirror.pairs() }));
  }

  #send(revision: number, keptAtMs: number | undefined): void {
    const { documents } = this.#mirror;
    this.#picture = Object.freeze({ revision, documents, warnings: this.#mirror.warnings(), keptAtMs });
    this.#listeners.send({ kind: "picture", picture: this.#picture });
    this.#started.resolve();
  }

  #ranges(): KeptRange[] {
    return [...this.#documentRanges, ...this.#instanceRanges.values()];
  }

  #keepRouted(): void {
    for (const service of this.#mirror.servicesOfRoutes()) this.#keepInstances(service);
  }

  #keepInstances(service: string): KeptRange {
    const known = this.#allInstances ?? this.#instanceRanges.get(service);
    if (known !== undefined) return known;
    const range = keepRange(prefixRange(instancesPrefix(this.#prefix, service)));
    this.#instanceRanges.set(service, range);
    return range;
  }

  async #listStored(ranges: readonly KeyRange[]): Promise<StoredDocument[]> {
    const { pairs } = await listRanges(this.#client, ranges, undefined);
    return pairs.flatMap(({ key, value, mod_revision, lease }) => {
      const id = parseKey(this.#prefix, key.toString());
      if (id === undefined) return [];
      const parsed = parseValue(value);
      const stored = isSection(parsed) ? parsed : value.toString();
      return [{ id, value: stored, revision: mod_revision, isLeased: lease !== "0" }];
    });
  }
}

function keepRange({ start, end }: KeyRange): KeptRange {
  const listed = Promise.withResolvers<void>();
  // Nobody may be waiting for it when the registry stops.
  listed.promise.catch(() => undefined);
  return { start, end, nextRevision: 0, isListed: false, listed };
}
