// How many descriptors clients may take: half of the process' limit, so that each of them can have an upstream, and
// the admin port, the registry and the next worker still find one (reliability.md §6, "Connections"). Of a high limit
// they may take more: so many upstreams nobody has.
//
// A descriptor is always the lowest free number (POSIX, "File Descriptor Allocation"). So its number alone says how
// many are open in the whole process, whichever thread opened them, and nothing has to be counted.

import { readFileSync } from "node:fs";
import { CLIENT_DESCRIPTORS_SHARE, KEPT_DESCRIPTORS_MAX } from "../../assembly/abi/limits.ts";

/** The first descriptor number that no client gets; infinite where the limit is unknown (not Linux) or unlimited. */
export function firstReservedDescriptor(): number {
  try {
    return parseReserved(readFileSync("/proc/self/limits", "utf8"));
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** The same, from the text of proc(5)'s `limits`. */
export function parseReserved(limits: string): number {
  const [, soft = ""] = /^Max open files\s+(\d+)/m.exec(limits) ?? [];
  if (soft === "") return Number.POSITIVE_INFINITY;
  const all = Number(soft);
  return Math.max(Math.floor(all / CLIENT_DESCRIPTORS_SHARE), all - KEPT_DESCRIPTORS_MAX);
}
