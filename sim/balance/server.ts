// A server and the inbound sidecar before it: so many requests at once, the rest in a queue, first come first served.
//
// The sidecar is a real balancer over its own memory: it counts what is in flight at the app and estimates latencies,
// and what it would push as a load report is read from there.

import type { BalancerExports } from "../../src/wasm/index.ts";
import type { Agenda } from "./agenda.ts";
import type { Draws } from "./random.ts";

/** Requests that a server works on at once. */
const CORES = 2;
/** Mean and spread of a request's work on an untroubled server. */
export const WORK_US = 20_000;
const WORK_SIGMA = 0.6;
/** What one server can do. */
export const CAPACITY_PER_SECOND = (CORES * 1_000_000) / WORK_US;
/** An estimate is made anew after this time, as the engine does it. */
const ESTIMATE_US = 5_000;
const APP = 0;

export interface Report {
  readonly inflight: number;
  readonly latencyUs: number;
}

export class Server {
  /** Work takes so many times longer. */
  slowness = 1;
  /** Answers at once, with a failure, while set. */
  isFailing = false;
  /** All that it was ever asked. */
  requests = 0;
  /** Requests that were begun, by second: how evenly they came. */
  readonly #agenda: Agenda;
  readonly #draws: Draws;
  readonly #inbound: BalancerExports;
  readonly #queue: { readonly atUs: number; readonly done: (isOk: boolean) => void }[] = [];
  #working = 0;
  #estimateUs = 0;
  #estimatedAtUs = -ESTIMATE_US;

  constructor(agenda: Agenda, draws: Draws, inbound: BalancerExports) {
    this.#agenda = agenda;
    this.#draws = draws;
    this.#inbound = inbound;
  }

  /** Takes a request; `done` is called when its answer leaves. */
  take(done: (isOk: boolean) => void): void {
    this.requests += 1;
    this.#inbound.adopt(APP);
    const entry = { atUs: this.#agenda.nowUs, done };
    if (this.isFailing) this.#agenda.after(1_000, () => this.#end(entry, false));
    else if (this.#working < CORES) this.#work(entry);
    else this.#queue.push(entry);
  }

  /** What the inbound sidecar would report now. */
  report(): Report {
    const { nowUs } = this.#agenda;
    this.#inbound.setTime(nowUs);
    if (nowUs - this.#estimatedAtUs >= ESTIMATE_US) {
      this.#estimateUs = this.#inbound.estimateLatency(APP);
      this.#estimatedAtUs = nowUs;
    }
    return { inflight: this.#inbound.inflightOf(APP), latencyUs: this.#estimateUs };
  }

  #work(entry: { readonly atUs: number; readonly done: (isOk: boolean) => void }): void {
    this.#working += 1;
    this.#agenda.after(this.#draws.logNormal(WORK_US, WORK_SIGMA) * this.slowness, () => {
      this.#working -= 1;
      this.#end(entry, true);
      const next = this.#queue.shift();
      if (next !== undefined) this.#work(next);
    });
  }

  #end({ atUs, done }: { readonly atUs: number; readonly done: (isOk: boolean) => void }, isOk: boolean): void {
    this.#inbound.setTime(this.#agenda.nowUs);
    this.#inbound.recordEstimate(APP, Math.round(this.#agenda.nowUs - atUs));
    this.#inbound.release(APP);
    done(isOk);
  }
}
