// How a sidecar goes (DESIGN §4): nobody is sent to it any more, then what is under way ends, then it does.
//
//   1. the registry says draining; others need a moment to hear it
//   2. inbound: GOAWAY and `connection: close`; the port closes, so that who connects goes elsewhere at once
//   3. outbound lives as long as the app does: what the app still has to say, it may say
//   4. every exchange ends, or --drain is over; then the instance leaves the registry
//
// Pure order: each step is carried out by the sidecar.

import type { Clock } from "../base/index.ts";

/** After the registry has the word: watches deliver in tens of milliseconds, and a late caller is answered anyway. */
const PROPAGATE_MS = 500;

export interface ShutdownSteps {
  /** Marks our instance; true when the registry has it and others may hear of it. */
  readonly announce: () => Promise<boolean>;
  readonly drainInbound: () => void;
  readonly closeInbound: () => void;
  /** Resolves when the app no longer accepts; at once without an app. */
  readonly appEnded: (signal: AbortSignal) => Promise<void>;
  /** Takes nothing new at all; resolves when nothing is under way. */
  readonly drainAll: () => Promise<void>;
}

export interface ShutdownOptions {
  readonly clock: Clock;
  readonly drainMs: number;
  readonly steps: ShutdownSteps;
}

/** Runs the steps; resolves after at most `drainMs`, telling whether everything ended by itself. */
export async function shutDown({ clock, drainMs, steps }: ShutdownOptions): Promise<boolean> {
  const deadline = new AbortController();
  const timer = clock.sleep(drainMs, deadline.signal).then(() => false);
  const orderly = async () => {
    if (await steps.announce()) await clock.sleep(Math.min(PROPAGATE_MS, drainMs / 4), deadline.signal);
    steps.drainInbound();
    steps.closeInbound();
    await steps.appEnded(deadline.signal);
    await steps.drainAll();
    return true;
  };
  const isOrderly = await Promise.race([orderly(), timer]);
  deadline.abort();
  return isOrderly;
}
