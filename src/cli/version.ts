// `pillion version`: what runs here.

import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { createOutputOption, type OutputFormat, processTerminal, type Terminal, writeJson } from "./terminal.ts";

interface Version {
  readonly pillion: string;
  readonly node: string;
  readonly platform: string;
}

/** The version of the package that this file belongs to, compiled or not. */
export function readVersion(): string {
  // build/js mirrors the tree two levels deeper, so the manifest is looked for upwards.
  for (let folder = new URL("./", import.meta.url); ; folder = new URL("../", folder)) {
    try {
      const manifest = JSON.parse(readFileSync(new URL("package.json", folder), "utf8"));
      if (manifest.name === "pillion") return `${manifest.version}`;
    } catch {
      // Not in this folder.
    }
    if (folder.pathname === "/") return "unknown";
  }
}

/** Prints the version. */
export function printVersion(terminal: Terminal, { output }: { output: OutputFormat }): void {
  const version: Version = {
    pillion: readVersion(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
  };
  if (output === "json") writeJson(terminal, version);
  else terminal.write(`pillion ${version.pillion} (node ${version.node}, ${version.platform})\n`);
}

/** Adds `version`. */
export function registerVersion(program: Command): void {
  program
    .command("version")
    .description("print the versions of pillion and of the Node that runs it")
    .addOption(createOutputOption())
    .action((options: { output: OutputFormat }) => printVersion(processTerminal, options));
}
