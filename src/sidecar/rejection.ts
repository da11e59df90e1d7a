// What is said of documents that were refused.

import type { Log } from "../base/index.ts";
import type { RegistryIssue } from "../discovery/index.ts";

/** A line for each issue. */
export function logRejection(log: Log, issues: readonly RegistryIssue[], isAnyInForce: boolean): void {
  for (const { where, path, message, hint } of issues) {
    const text = `${where}: ${path === "" ? "" : `${path} `}${message}${hint === undefined ? "" : ` (${hint})`}`;
    const rest = isAnyInForce ? "the last good stays" : "nothing good was read yet";
    log.error({ where, path }, `refused, ${rest}: ${text}`);
  }
}

/** The first of them, for who asks why it is not ready. */
export function summarize([first]: readonly RegistryIssue[]): string | undefined {
  return first && `${first.where}: ${first.message}`;
}
