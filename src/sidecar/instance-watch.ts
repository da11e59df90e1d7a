// What the main thread itself finds out about instances: whether they pass their health checks, and whether so many are
// set aside that the balancer uses all of them again (DESIGN §6: never the last one, and the log says so).

import { MODE_PANIC, STATE_DRAINING, STATE_REMOVED, STATE_UNHEALTHY } from "../../assembly/abi/balancer-codes.ts";
import { type Clock, createRandom, type Log, type Timer } from "../base/index.ts";
import type { Documents } from "../config/index.ts";
import { type CheckTarget, HealthChecks, type HealthState } from "../health/index.ts";
import type { CompiledSet, CompiledSnapshot } from "../snapshot/index.ts";
import type { Balancer } from "../wasm/index.ts";

/** How often is looked whether a set of instances has too few left: a line in the log may come so late. */
const LOOK_MS = 1_000;

export interface InstanceWatchOptions {
  readonly balancer: Balancer;
  readonly clock: Clock;
  readonly log: Log;
}

export class InstanceWatch {
  readonly #options: InstanceWatchOptions;
  readonly #checks: HealthChecks;
  readonly #timer: Timer;
  #snapshot: CompiledSnapshot | undefined;
  /** Services, by index, of which some set has too few left. */
  #panicking: ReadonlySet<number> = new Set();

  constructor(options: InstanceWatchOptions) {
    const { balancer, clock, log } = options;
    this.#options = options;
    this.#checks = new HealthChecks({
      clock,
      log,
      random: createRandom(),
      changed: ({ slot }, isHealthy) => balancer.setState(slot, STATE_UNHEALTHY, isHealthy ? 0 : STATE_UNHEALTHY),
    });
    this.#timer = clock.every(LOOK_MS, () => this.#look());
  }

  /** Looks at the instances of this snapshot from now on, checked as the documents say. */
  follow(snapshot: CompiledSnapshot, documents: Documents): void {
    this.#snapshot = snapshot;
    this.#checks.follow(targetsOf(snapshot, documents));
  }

  /** What is known of a checked instance; `undefined` where nothing is checked. */
  healthOf(slot: number): HealthState | undefined {
    return this.#checks.stateOf(slot);
  }

  stop(): void {
    this.#timer.cancel();
    this.#checks.stop();
  }

  #look(): void {
    const { balancer, log } = this.#options;
    const { sets = [], services = [] } = this.#snapshot ?? {};
    const panicking = new Set<number>();
    for (const set of sets) {
      if (balancer.modeOf(set.id) !== MODE_PANIC) continue;
      panicking.add(set.service);
      if (this.#panicking.has(set.service)) continue;
      const fields = { service: services[set.service]?.name, ...this.#countsOf(set) };
      log.warn(fields, "more than half of the instances are set aside: all but the draining ones are used");
    }
    for (const service of this.#panicking) {
      if (panicking.has(service)) continue;
      log.info({ service: services[service]?.name }, "enough instances are back: those set aside are left out again");
    }
    this.#panicking = panicking;
  }

  #countsOf({ members }: CompiledSet): { instances: number; setAside: number } {
    const states = members.map(({ slot }) => this.#options.balancer.stateOf(slot));
    const staying = states.filter((state) => (state & (STATE_DRAINING | STATE_REMOVED)) === 0);
    return { instances: staying.length, setAside: staying.filter((state) => state !== 0).length };
  }
}

/** The instances of services with a `health` section that may get requests. */
function targetsOf({ services, instances }: CompiledSnapshot, documents: Documents): CheckTarget[] {
  return instances.flatMap(({ slot, generation, id, address, protocol, service: index, isApp, isDraining }) => {
    const service = services[index]?.name;
    const check = service === undefined ? undefined : documents.services.get(service)?.policy.health;
    if (service === undefined || check === undefined || isApp || isDraining) return [];
    return [{ slot, generation, service, id, address, protocol, check }];
  });
}
