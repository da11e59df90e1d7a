// `pillion wait`: until the sidecar of this host is ready.
//
// For scripts, and for pods without native sidecars: as the sidecar's postStart hook it keeps kubelet from starting the
// app (`--part sidecar`: the app cannot accept yet), so the app's very first request finds a mesh.

import { setTimeout as pause } from "node:timers/promises";
import { type Command, Option } from "commander";
import { formatAddress } from "../base/index.ts";
import { addOwnSidecarOptions, askAdmin, LOOK_MS, type OwnSidecarOptions } from "./own-sidecar.ts";
import { processTerminal, type Terminal } from "./terminal.ts";

export interface WaitOptions extends OwnSidecarOptions {
  readonly part: "all" | "sidecar" | "app";
}

/** Waits; resolves with the exit code. */
export async function waitForSidecar(terminal: Terminal, options: WaitOptions): Promise<number> {
  const endMs = performance.now() + options.timeout;
  for (;;) {
    const answer = await askAdmin(options.admin, "GET", `/ready?part=${options.part}`);
    if (answer?.status === 200) return 0;
    if (performance.now() >= endMs) {
      terminal.writeError(`error: not ready in time: ${describe(answer?.body, options)}\n`);
      return 1;
    }
    await pause(LOOK_MS);
  }
}

function describe(body: unknown, { admin }: WaitOptions): string {
  const waitingFor = (body as { waitingFor?: readonly string[] } | undefined)?.waitingFor;
  return waitingFor?.join("; ") ?? `no sidecar answers at ${formatAddress(admin)}`;
}

/** Adds `wait`. */
export function registerWait(program: Command): void {
  const command = program.command("wait").description("wait until the sidecar of this host is ready");
  addOwnSidecarOptions(command, "5m")
    .addOption(
      new Option("--part <part>", "all, everything but the app, or the app alone")
        .choices(["all", "sidecar", "app"])
        .default("all"),
    )
    .action(async (options: WaitOptions) => {
      process.exitCode = await waitForSidecar(processTerminal, options);
    });
}
