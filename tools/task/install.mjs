// Packages: `npm ci`, but only when node_modules is not what package-lock.json says.
//
// Compared by name and version with the record that npm leaves behind (node_modules/.package-lock.json), not by time:
// a checkout touches the lock file without changing it. Packages for other platforms may be absent; they are optional.
// Engine notices (EBADENGINE) are npm's remark that undici and vitest want a newer Node than the one that runs npm;
// they run under the pinned Node 26, so the notices are not shown.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root, say, step } from "./shell.mjs";

/** Makes node_modules match the lock file. */
export function install() {
  const reason = staleReason();
  if (reason === undefined) return;
  say(`installing packages: ${reason} …`);
  step("packages installed", "npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    remedy: "npm needs its registry once, and write access to this folder. Is npm installed?",
  });
}

/** Why an installation is needed; undefined when all is in place. */
function staleReason() {
  const wanted = readPackages("package-lock.json") ?? {};
  const present = readPackages("node_modules/.package-lock.json");
  if (present === undefined) return "node_modules is missing";
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === "") continue;
    const found = present[path];
    if (found === undefined ? entry.optional !== true : found.version !== entry.version) {
      return `${path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length)} is not the locked version`;
    }
  }
  return undefined;
}

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(join(root, path), "utf8")).packages;
  } catch {
    return undefined;
  }
}
