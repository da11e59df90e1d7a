// Programs that a test needs and a host may lack: skipped with a line that says how to get them, or failed.
//
//   test("…", async (context) => {
//     requireProgram(context, "h2load");
//
// With PILLION_REQUIRE_ALL=1, as .ci/run sets it, a missing program fails the test instead.

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** How to get each program that some test uses. */
const REMEDIES: Readonly<Record<string, string>> = {
  etcd: "apt-get install etcd-server",
  h2load: "apt-get install nghttp2-client",
  nghttp: "apt-get install nghttp2-client",
  nghttpd: "apt-get install nghttp2-server",
  curl: "apt-get install curl",
  prlimit: "apt-get install util-linux",
  openssl: "apt-get install openssl",
  ip: "apt-get install iproute2",
  setpriv: "apt-get install util-linux",
  nft: "apt-get install nftables",
  "iptables-restore": "apt-get install iptables",
  "redis-server": "apt-get install redis-server",
  "redis-cli": "apt-get install redis-tools",
};

/** What this needs of vitest's test context. */
interface SkippableContext {
  skip(note?: string): never;
}

/** Full path of a program, or undefined. */
export function findProgram(program: string): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  // Debian keeps servers where a user's PATH does not lead.
  for (const folder of [...folders, "/usr/sbin", "/usr/local/sbin"]) {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return join(folder, program);
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/** Full path of a program; without it the test is skipped, or fails when everything is required. */
export function requireProgram(context: SkippableContext, program: string): string {
  const path = findProgram(program);
  if (path !== undefined) return path;
  const line = `${program} is not installed (${REMEDIES[program] ?? "install it"})`;
  if (process.env.PILLION_REQUIRE_ALL === "1") throw new Error(line);
  return context.skip(line);
}

/** Skips a test that takes minutes, unless PILLION_FULL=1. */
export function requireFullRun(context: SkippableContext, what: string): void {
  if (process.env.PILLION_FULL !== "1") context.skip(`${what} (PILLION_FULL=1 npm test runs it)`);
}
