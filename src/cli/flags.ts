// The flags of `pillion run` on the command line, made out of config's table.
//
// Commander only collects texts here: what they mean, their defaults, the environment and the flags file are config's
// (process.ts), so that a flag is judged the same wherever it was written.

import { type Command, Option } from "commander";
import { envNameOf, PROCESS_FLAGS, type ProcessFlag } from "../config/index.ts";

/** What commander collected: text by camelCase name, lists where a flag repeats. */
export type CollectedFlags = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Adds every flag of the table, and `--config`. */
export function addProcessFlags(command: Command): void {
  const flags: readonly ProcessFlag<unknown>[] = Object.values(PROCESS_FLAGS);
  for (const flag of flags) command.addOption(createOption(flag));
  command.option("--config <FILE>", "read these flags from a YAML file (name: value); the command line goes first");
}

function createOption(flag: ProcessFlag<unknown>): Option {
  const notes = [flag.isRepeatable ? "repeatable" : "", flag.default === undefined ? "" : `default: ${flag.default}`];
  const noted = notes.filter((note) => note !== "").join(", ");
  const description = noted === "" ? flag.description : `${flag.description} (${noted})`;
  const option = new Option(`--${flag.name} <${flag.valueName}>`, `${description} [${envNameOf(flag)}]`);
  if (flag.isRepeatable) option.argParser((text: string, before: string[] | undefined) => [...(before ?? []), text]);
  return option;
}
