// One run: servers, sidecars with a balancer each, requests that arrive at random, in virtual time. One seed, one run.

import type { PolicyName } from "../../src/wasm/index.ts";
import { Agenda } from "./agenda.ts";
import type { Memories } from "./memories.ts";
import { createDraws } from "./random.ts";
import { CAPACITY_PER_SECOND, Server } from "./server.ts";
import { type Member, Sidecar } from "./sidecar.ts";
import type { World } from "./worlds.ts";

/** A caller gives up after this time: the request is an error, and its work is done for nothing. */
const DEADLINE_US = 5_000_000;
/** What happened before this is not counted: everybody starts without knowing anything. */
const WARM_UP_US = 2_000_000;
/** Keys that requests are hashed by, where the policy hashes. */
const KEYS = 10_000;

/** A policy as a column of the table. */
export interface Contender {
  readonly name: string;
  readonly policy: PolicyName;
  readonly hasReports: boolean;
}

type Locality = ((place: number) => boolean) | undefined;

export interface Outcome {
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  /** Failed or given up, of all. */
  readonly errorShare: number;
  /** Requests of the busiest server over the mean of all. */
  readonly imbalance: number;
  readonly requests: number;
  /** Part that stayed in its caller's zone; 0 without zones. */
  readonly localShare: number;
}

export class Mesh {
  readonly servers: Server[] = [];
  /** All that ever were, by place. */
  readonly members: Member[] = [];
  readonly #agenda = new Agenda();
  readonly #sidecars: Sidecar[] = [];
  readonly #gone = new Set<number>();
  readonly #world: World;
  readonly #draws;
  readonly #memories: Memories;
  readonly #seed: number;
  readonly #latenciesUs: number[] = [];
  #counted = 0;
  #errors = 0;
  #local = 0;

  constructor(world: World, contender: Contender, seed: number, memories: Memories) {
    this.#world = world;
    this.#draws = createDraws(seed);
    this.#memories = memories;
    this.#seed = seed;
    memories.begin();
    for (let place = 0; place < world.servers; place += 1) this.#addServer();
    for (let index = 0; index < world.sidecars; index += 1) {
      const sidecar = new Sidecar({
        agenda: this.#agenda,
        seat: memories.seat(index, seed * 1_000 + index),
        policy: contender.policy,
        hasReports: contender.hasReports,
        isLocal: world.prefersZone === false ? undefined : this.#localityOf(index),
        slowStartMs: world.slowStartMs ?? 10_000,
        endUs: world.seconds * 1_000_000,
      });
      this.#sidecars.push(sidecar);
      sidecar.publish(this.members);
    }
    world.plan?.(this);
  }

  /** Has something happen at a time of the run. */
  at(us: number, action: () => void): void {
    this.#agenda.after(us - this.#agenda.nowUs, action);
  }

  after(us: number, action: () => void): void {
    this.#agenda.after(us, action);
  }

  /** A server more. */
  join(): void {
    this.#addServer();
    this.#publish();
  }

  /** A server takes nothing new. */
  leave(place: number): void {
    this.#gone.add(place);
    this.#publish();
  }

  run(): Outcome {
    for (const [index, sidecar] of this.#sidecars.entries()) this.#arrive(sidecar, this.#localityOf(index));
    this.#agenda.run();
    const sorted = Float64Array.from(this.#latenciesUs).sort();
    const quantile = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
    const counts = this.servers.map(({ requests }) => requests);
    const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
    return {
      p50Us: quantile(0.5),
      p99Us: quantile(0.99),
      p999Us: quantile(0.999),
      errorShare: this.#errors / this.#counted,
      imbalance: Math.max(...counts) / mean,
      requests: this.#counted,
      localShare: this.#local / this.#counted,
    };
  }

  /** The sidecar's next request and, after it, all others (a Poisson process). */
  #arrive(sidecar: Sidecar, isLocal: Locality): void {
    const { load, servers, sidecars, seconds } = this.#world;
    const meanGapUs = (1_000_000 * sidecars) / (load * servers * CAPACITY_PER_SECOND);
    this.#agenda.after(this.#draws.exponential(meanGapUs), () => {
      if (this.#agenda.nowUs > seconds * 1_000_000) return;
      this.#send(sidecar, isLocal);
      this.#arrive(sidecar, isLocal);
    });
  }

  #send(sidecar: Sidecar, isLocal: Locality): void {
    const isCounted = this.#agenda.nowUs >= WARM_UP_US;
    sidecar.send(Math.imul(this.#draws.below(KEYS), 0x9e3779b1), (isOk, us, place) => {
      if (!isCounted) return;
      if (isLocal?.(place) === true) this.#local += 1;
      this.#counted += 1;
      if (!isOk || us > DEADLINE_US) this.#errors += 1;
      if (isOk) this.#latenciesUs.push(Math.min(us, DEADLINE_US));
    });
  }

  #localityOf(index: number): Locality {
    const zone = this.#world.zoneOf?.(index);
    return zone === undefined ? undefined : (place) => place % 2 === zone;
  }

  #addServer(): void {
    const place = this.servers.length;
    const server = new Server(
      this.#agenda,
      createDraws(this.#seed * 7_919 + place),
      this.#memories.create(this.#seed + place),
    );
    this.servers.push(server);
    this.members.push({ place, server });
  }

  #publish(): void {
    const staying = this.members.filter(({ place }) => !this.#gone.has(place));
    for (const sidecar of this.#sidecars) sidecar.publish(staying);
  }
}
