// Finding what the host has: peers and load generators are optional, and a missing one is named with its remedy.

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const REMEDIES: Readonly<Record<string, string>> = {
  h2load: "apt-get install nghttp2-client",
  nghttpd: "apt-get install nghttp2-server",
};

/** Full path of a program on PATH (or in sbin, where Debian keeps servers). */
export function lookUp(program: string): string | undefined {
  if (program.includes("/")) return program;
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin", "/usr/local/go/bin"];
  for (const folder of folders) {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return join(folder, program);
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

export function hasProgram(program: string): boolean {
  return lookUp(program) !== undefined;
}

/** The same for one that nothing can be done without. */
export function findProgram(program: string): string {
  const path = lookUp(program);
  if (path === undefined) throw new Error(`${program} is needed (${REMEDIES[program] ?? "install it"})`);
  return path;
}
