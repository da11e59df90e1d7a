// `pillion drain`: tells the sidecar of this host to go in order, and waits until it has gone.
//
// What SIGTERM does, for whoever cannot send a signal. As the preStop hook of a pod it takes `--no-wait`: the end of
// the sidecar is the end of its container, and a hook that is killed by it would be reported as failed.

import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import { formatAddress } from "../base/index.ts";
import { addOwnSidecarOptions, askAdmin, LOOK_MS, type OwnSidecarOptions } from "./own-sidecar.ts";
import { processTerminal, type Terminal } from "./terminal.ts";

export interface DrainOptions extends OwnSidecarOptions {
  /** Whether to stay until the sidecar has ended. */
  readonly wait: boolean;
}

/** Starts the drain; resolves with the exit code. */
export async function drainSidecar(terminal: Terminal, { admin, timeout, wait }: DrainOptions): Promise<number> {
  const endMs = performance.now() + timeout;
  const answer = await askAdmin(admin, "POST", "/drain");
  if (answer?.status !== 202) {
    const problem = answer === undefined ? "nobody answers" : `the answer is ${answer.status}`;
    terminal.writeError(`error: nothing drains at ${formatAddress(admin)}: ${problem}\n`);
    return 1;
  }
  if (!wait) return 0;
  while ((await askAdmin(admin, "GET", "/live")) !== undefined) {
    if (performance.now() >= endMs) {
      terminal.writeError(`error: the sidecar at ${formatAddress(admin)} has not ended in time; it still drains\n`);
      return 1;
    }
    await pause(LOOK_MS);
  }
  return 0;
}

/** Adds `drain`. */
export function registerDrain(program: Command): void {
  const command = program
    .command("drain")
    .description("let the sidecar of this host finish what it carries and end, and wait for that")
    .option("--no-wait", "return as soon as it has begun");
  addOwnSidecarOptions(command, "1m").action(async (options: DrainOptions) => {
    process.exitCode = await drainSidecar(processTerminal, options);
  });
}
