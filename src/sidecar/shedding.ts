// When our own service grows, clients without a sidecar stay on the connections that they have, and newcomers get
// nothing of them. With `balance.shed` a share of these connections is asked to go, so that the clients choose again.
//
//   still at n ──► m > n: the share 1 − n/m, ½ at most ──► still for as long as it takes: the next starts from m
//
// Measured is always by the number at which the service last stood still: growth in steps adds up to the share of the
// whole, and to no more than half. A number that falls and comes back (a registry that lost its leases) is no growth.

import type { Clock, Log, Timer } from "../base/index.ts";
import type { Documents } from "../config/index.ts";
import type { Supervisor } from "./supervisor.ts";

/** Of the connections, however much a service grows: those who stay are not to lose their clients all at once. */
const SHARE_MAX = 0.5;
const SETTLED = "our service has stood still: growth is measured by this number of instances from now on";

export interface SheddingOptions {
  /** Our own service. */
  readonly service: string;
  readonly workers: Pick<Supervisor, "tellAll">;
  readonly clock: Clock;
  readonly log: Log;
}

export class Shedding {
  readonly #options: SheddingOptions;
  /** Ready instances now, and when their number last stood still; 0: none, or not known yet. */
  #count = 0;
  #settled = 0;
  #round = 1;
  #share = 0;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: SheddingOptions) {
    this.#options = options;
  }

  /** A new picture of the mesh is in force. */
  follow({ services, instances }: Documents): void {
    if (this.#isStopped) return;
    const { service, clock } = this.#options;
    const spreadMs = services.get(service)?.policy.balance.shedMs;
    const count = [...(instances.get(service)?.values() ?? [])].filter(({ state }) => state === "ready").length;
    if (spreadMs === undefined) {
      this.#timer?.cancel();
      this.#say(0, 0);
      this.#count = count;
      this.#settle();
    } else if (count !== this.#count) {
      this.#timer?.cancel();
      this.#count = count;
      // From none to many is a start, not growth: who comes while it lasts is one of the first.
      if (this.#settled > 0) this.#say(Math.min(SHARE_MAX, Math.max(0, 1 - this.#settled / count)), spreadMs);
      this.#timer = clock.after(spreadMs, () => this.#settle());
    }
  }

  /** We drain: no client is asked to go for another reason any more. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #settle(): void {
    const { service, log } = this.#options;
    if (this.#settled !== this.#count) log.debug({ service, instances: this.#count }, SETTLED);
    this.#settled = this.#count;
    this.#share = 0;
    this.#round += 1;
  }

  #say(share: number, spreadMs: number): void {
    if (share === this.#share) return;
    const { service, workers, log } = this.#options;
    this.#share = share;
    workers.tellAll({ type: "shed", round: this.#round, share, spreadMs });
    if (share === 0) return;
    const fields = { service, from: this.#settled, to: this.#count, share: Number(share.toFixed(3)), spreadMs };
    log.info(fields, "our service has grown: a share of its clients' connections is asked to go elsewhere");
  }
}
