// The registry that a command speaks to: `--mesh` and what it takes to get in, by flags or environment.
//
// The rows are those of `pillion run`, so names, defaults and messages are the same everywhere.

import { type Command, Option } from "commander";
import { pillionError, silentLog } from "../base/index.ts";
import {
  camelNameOf,
  envNameOf,
  formatMeshUrl,
  PROCESS_FLAGS,
  type ProcessConfig,
  type ProcessFlag,
  parseProcessConfig,
} from "../config/index.ts";
import { createRegistry, type Registry } from "../discovery/index.ts";
import { checkRegex } from "../snapshot/index.ts";

const FLAGS: readonly ProcessFlag<unknown>[] = [
  PROCESS_FLAGS.mesh,
  PROCESS_FLAGS.registryCa,
  PROCESS_FLAGS.registryCert,
  PROCESS_FLAGS.registryKey,
  PROCESS_FLAGS.registryUser,
  PROCESS_FLAGS.registryPassword,
  PROCESS_FLAGS.registryPasswordFile,
];

/** What commander hands over for the flags above; only what was given. */
export type RegistryOptions = Readonly<Record<string, string | undefined>>;

/** A registry and how to name it to people. */
export interface OpenRegistry extends AsyncDisposable {
  readonly registry: Registry;
  readonly config: ProcessConfig;
  /** The URL without user and password. */
  readonly name: string;
}

/** Adds `--mesh` and the rest to a command. */
export function addRegistryOptions(command: Command): Command {
  for (const flag of FLAGS) {
    const option = new Option(`--${flag.name} <${flag.valueName}>`, describe(flag));
    command.addOption(option);
  }
  return command;
}

function describe({ description, name, default: written }: ProcessFlag<unknown>): string {
  const otherwise = written === undefined ? "" : `; default: ${written}`;
  return `${description} (or ${envNameOf({ name })}${otherwise})`;
}

/** Opens the registry that the flags name; nothing is read before something is asked. */
export async function openRegistry(options: RegistryOptions): Promise<OpenRegistry> {
  const flags = Object.fromEntries(FLAGS.map((flag) => [camelNameOf(flag), options[camelNameOf(flag)]]));
  // Only these variables concern a command; what else is set belongs to the sidecar.
  const env = Object.fromEntries(FLAGS.map((flag) => [envNameOf(flag), process.env[envNameOf(flag)]]));
  const parsed = parseProcessConfig({ flags, env });
  if (!parsed.ok) throw pillionError("PILLION_USAGE", { problem: parsed.issues.join("\n") });
  const { config } = parsed;
  const registry = await createRegistry(config, { log: silentLog, checkPattern: checkRegex });
  return {
    registry,
    config,
    name: formatMeshUrl(config.mesh),
    [Symbol.asyncDispose]: () => registry.stop(),
  };
}
