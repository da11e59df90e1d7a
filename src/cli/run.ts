// `pillion run`: one sidecar, from its flags to its end.
//
// SIGTERM and SIGINT drain; the second one ends at once. SIGINT is a person at a terminal, who will not wait for the
// app to end first. Whatever is wrong with the flags is told at once, all of it, before anything is opened.

import type { Command } from "commander";
import { createLog, pillionError, type RootLog, systemClock } from "../base/index.ts";
import { type ProcessConfig, parseProcessConfig } from "../config/index.ts";
import { createRegistry } from "../discovery/index.ts";
import { type Sidecar, startSidecar } from "../sidecar/index.ts";
import { checkRegex } from "../snapshot/index.ts";
import { addProcessFlags, type CollectedFlags } from "./flags.ts";
import { readText } from "./input.ts";

/** The shell's convention: 128 + SIGTERM. */
const EXIT_AT_ONCE = 143;

/** Adds `run`. */
export function registerRun(program: Command): void {
  const command = program
    .command("run")
    .description("run a sidecar: carry this host's traffic into and out of the mesh");
  addProcessFlags(command);
  command.action(async (flags: CollectedFlags) => {
    const { config, warnings } = await readConfig(flags);
    const log = createLog({ level: config.logLevel });
    process.once("exit", () => log.flush());
    for (const warning of warnings) log.warn({}, warning);
    await runSidecar(config, log);
  });
}

async function readConfig(flags: CollectedFlags) {
  const { config: path, ...given } = flags;
  const name = typeof path === "string" ? path : process.env.PILLION_CONFIG;
  const file = name === undefined ? undefined : { name, text: await readText(name) };
  const parsed = parseProcessConfig({ flags: given, env: process.env, file });
  if (!parsed.ok) throw pillionError("PILLION_USAGE", { problem: parsed.issues.join("\n       ") });
  return parsed;
}

async function runSidecar(config: ProcessConfig, log: RootLog): Promise<void> {
  const registry = await createRegistry(config, { clock: systemClock, log, checkPattern: checkRegex });
  const sidecar = await startSidecar({ config, registry, log });
  drainOnSignals(sidecar, log);
  await sidecar.ended;
  log.flush();
  // A handle that a library forgot must not keep a process whose work is done.
  process.exit(0);
}

function drainOnSignals(sidecar: Sidecar, log: RootLog): void {
  let isFirst = true;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      log.info({ signal }, "signal received");
      if (isFirst) {
        isFirst = false;
        // A drain that POST /drain began goes on: kubelet sends SIGTERM after the preStop hook that asked for it.
        sidecar.drain({ isAppGone: signal === "SIGINT" });
        return;
      }
      log.warn({ signal }, "second signal: ending at once");
      log.flush();
      process.exit(EXIT_AT_ONCE);
    });
  }
}
