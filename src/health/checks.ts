// Active checks: every instance of a service that asks for them is asked again and again, by this sidecar itself.
//
// Who is asked follows the snapshot in force (`follow`). A check's times are spread: the first comes at a random moment
// of its interval, each further one up to a tenth earlier or later, so that neither instances nor sidecars are asked in
// step. A question never overlaps the one before it. Whether an unhealthy instance still gets requests is not decided
// here: the balancer keeps it out of the eligible set, unless more than half would be out (DESIGN §6).

import { type Clock, formatAddress, type Log, messageOf, type Random, type Timer } from "../base/index.ts";
import { type Asked, formatCheck, type HealthCheck, type Probe, type Problem, probe } from "./probe.ts";
import { Streak } from "./streak.ts";

/** Part of the interval by which a check may come earlier or later. */
const JITTER = 0.1;

/** An instance that is to be checked. */
export interface CheckTarget extends Asked {
  readonly slot: number;
  readonly generation: number;
  readonly id: string;
  readonly check: HealthCheck;
}

/** What is known of a checked instance. */
export interface HealthState {
  /** `GET /healthz`. */
  readonly check: string;
  readonly isHealthy: boolean;
  readonly passed: number;
  readonly failed: number;
  /** Why the latest check failed; `undefined` when it passed, or before the first. */
  readonly problem: Problem;
}

export interface HealthChecksOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** An instance turned healthy or unhealthy, or is no longer checked (healthy). */
  readonly changed: (target: CheckTarget, isHealthy: boolean) => void;
  /** Another one than the real one in tests. */
  readonly ask?: Probe;
}

export class HealthChecks {
  readonly #options: HealthChecksOptions;
  /** By slot. */
  readonly #watches = new Map<number, Watch>();

  constructor(options: HealthChecksOptions) {
    this.#options = options;
  }

  /** Checks exactly these from now on. Who is asked the same as before goes on; a changed check keeps the state. */
  follow(targets: readonly CheckTarget[]): void {
    const wanted = new Map(targets.map((target) => [target.slot, target]));
    for (const [slot, watch] of [...this.#watches]) {
      const target = wanted.get(slot);
      if (target !== undefined && isSame(watch.target, target)) {
        wanted.delete(slot);
        continue;
      }
      watch.stop();
      this.#watches.delete(slot);
      if (target?.generation === watch.target.generation) {
        wanted.delete(slot);
        this.#start(target, watch.isHealthy);
      } else if (!watch.isHealthy) this.#options.changed(watch.target, true);
    }
    for (const target of wanted.values()) this.#start(target, true);
  }

  /** What is known of the instance in a slot; `undefined` when nobody asks it. */
  stateOf(slot: number): HealthState | undefined {
    return this.#watches.get(slot)?.describe();
  }

  stop(): void {
    for (const watch of this.#watches.values()) watch.stop();
    this.#watches.clear();
  }

  #start(target: CheckTarget, isHealthy: boolean): void {
    const watch = new Watch(target, isHealthy, this.#options);
    this.#watches.set(target.slot, watch);
    watch.start();
  }
}

class Watch {
  readonly target: CheckTarget;
  readonly #options: HealthChecksOptions;
  readonly #streak: Streak;
  #timer: Timer | undefined;
  #isStopped = false;
  #passed = 0;
  #failed = 0;
  #problem: Problem;

  constructor(target: CheckTarget, isHealthy: boolean, options: HealthChecksOptions) {
    this.target = target;
    this.#options = options;
    this.#streak = new Streak(target.check, isHealthy);
  }

  get isHealthy(): boolean {
    return this.#streak.isHealthy;
  }

  start(): void {
    this.#askIn(this.#options.random.fraction() * this.target.check.intervalMs);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  describe(): HealthState {
    const { isHealthy } = this.#streak;
    const check = formatCheck(this.target.check);
    return { check, isHealthy, passed: this.#passed, failed: this.#failed, problem: this.#problem };
  }

  #askIn(delayMs: number): void {
    this.#timer = this.#options.clock.after(delayMs, () => void this.#round());
  }

  async #round(): Promise<void> {
    const { clock, random, ask = probe } = this.#options;
    const { check } = this.target;
    const beganMs = clock.nowMs();
    const problem = await ask(this.target, check).catch(messageOf);
    if (this.#isStopped) return;
    this.#note(problem);
    const pauseMs = check.intervalMs * random.between(1 - JITTER, 1 + JITTER);
    this.#askIn(Math.max(0, beganMs + pauseMs - clock.nowMs()));
  }

  #note(problem: Problem): void {
    const isPassed = problem === undefined;
    if (isPassed) this.#passed += 1;
    else this.#failed += 1;
    this.#problem = problem;
    if (!this.#streak.note(isPassed)) return;
    const { service, id, address, check } = this.target;
    const fields = { service, instance: id, address: formatAddress(address), check: formatCheck(check) };
    if (isPassed) this.#options.log.info(fields, `${service}/${id} is healthy again`);
    else this.#options.log.warn({ ...fields, problem }, `${service}/${id} is unhealthy: ${problem}`);
    this.#options.changed(this.target, isPassed);
  }
}

function isSame(left: CheckTarget, right: CheckTarget): boolean {
  return left.generation === right.generation && JSON.stringify(left) === JSON.stringify(right);
}
