// When the app beside us has ended, while we go: until then its ways out stay open (DESIGN §4).
//
// A closed port is the first sign, and not the last word: an app closes it and then finishes what it has begun, which
// may need calls of its own. A process that ends closes its connections. So it has ended when its port is closed and
// nothing has been under way and nobody been connected for a moment, which is what Istio's
// EXIT_ON_ZERO_ACTIVE_CONNECTIONS waits for; connections that are only kept open hold us for a while and no longer.

import { ROLE_DOWNSTREAM } from "../../assembly/abi/engine-codes.ts";
import type { Clock } from "../base/index.ts";
import type { WorkerReport } from "../dataplane/index.ts";

/** AppWatch asks as often. */
const LOOK_MS = 100;
/** Nobody is connected: two reports of every worker say so, and an app between two calls has had time for the next. */
const GONE_MS = 1_000;
/** Connections without a request: a pool that nobody closed, or an app that thinks. */
const IDLE_MS = 5_000;
/** Kinds of connections that `connectionsBy` tells apart. */
const PROTOCOLS_COUNT = 3;

type Report = Pick<WorkerReport, "exchanges" | "connectionsBy">;

export interface AppEndOptions {
  readonly clock: Clock;
  /** Absent where it is not known what is beside us: then there is nothing to wait for. */
  readonly watch: { readonly isUp: boolean } | undefined;
  readonly supervisor: { readonly reports: readonly Report[] };
  readonly signal: AbortSignal;
}

/** Resolves when the app has ended, or when `signal` aborts. */
export async function awaitAppEnd({ clock, watch, supervisor, signal }: AppEndOptions): Promise<void> {
  let idleFromMs: number | undefined;
  let goneFromMs: number | undefined;
  while (watch !== undefined && !signal.aborted) {
    const nowMs = clock.nowMs();
    const { reports } = supervisor;
    const isIdle = !watch.isUp && reports.every(({ exchanges }) => exchanges === 0);
    const isGone = isIdle && reports.every((report) => callersOf(report) === 0);
    idleFromMs = isIdle ? (idleFromMs ?? nowMs) : undefined;
    goneFromMs = isGone ? (goneFromMs ?? nowMs) : undefined;
    if (goneFromMs !== undefined && nowMs - goneFromMs >= GONE_MS) return;
    if (idleFromMs !== undefined && nowMs - idleFromMs >= IDLE_MS) return;
    await clock.sleep(LOOK_MS, signal);
  }
}

function callersOf({ connectionsBy }: Report): number {
  const first = ROLE_DOWNSTREAM * PROTOCOLS_COUNT;
  return connectionsBy.slice(first, first + PROTOCOLS_COUNT).reduce((sum, count) => sum + count, 0);
}
