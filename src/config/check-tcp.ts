// What a service of TCP cannot have: whatever asks about a request, because its connections are carried unread.
//
// Only what the service's own document says is judged. What it inherits of `mesh.defaults` is meant for the services of
// HTTP beside it, and simply does not concern it (`resolvePolicy`).

import type { Issue } from "./issue.ts";
import { isSection, type Written } from "./merge.ts";
import type { Protocol } from "./policy.ts";

interface Row {
  readonly path: readonly [section: string, field?: string];
  /** Whether a value says nothing that matters; default: `none` does. */
  readonly isIdle?: (value: unknown) => boolean;
  readonly message: string;
  readonly hint?: string;
}

const NO_REQUESTS = "has no meaning for protocol tcp: connections are carried, not requests";
const UNTIL_IT_STANDS =
  "has no meaning for protocol tcp: another instance is tried at once, until one takes the connection";

const ROWS: readonly Row[] = [
  {
    path: ["hosts"],
    isIdle: (value) => Array.isArray(value) && value.length === 0,
    message: "has no meaning for protocol tcp: a connection names no host",
    hint: "write addresses: where apps connect to",
  },
  { path: ["timeout", "request"], message: NO_REQUESTS, hint: "timeout.connect and timeout.idle apply" },
  { path: ["timeout", "attempt"], isIdle: (value) => value === "auto" || value === "none", message: NO_REQUESTS },
  {
    path: ["retry", "when"],
    isIdle: (value) => Array.isArray(value) && value.every((word) => word === "unprocessed"),
    message: UNTIL_IT_STANDS,
    hint: "retry.attempts applies",
  },
  { path: ["retry", "budget"], message: UNTIL_IT_STANDS },
  { path: ["retry", "backoff"], message: UNTIL_IT_STANDS },
  { path: ["retry", "bodyLimit"], message: UNTIL_IT_STANDS },
  { path: ["hedge"], message: NO_REQUESTS },
  { path: ["rateLimit"], message: NO_REQUESTS, hint: "limits.connections applies" },
  { path: ["limits", "requests"], message: NO_REQUESTS, hint: "limits.connections applies" },
  { path: ["limits", "pending"], message: NO_REQUESTS, hint: "limits.connections applies" },
  { path: ["limits", "pendingTimeout"], message: NO_REQUESTS, hint: "limits.connections applies" },
  { path: ["balance", "shed"], message: "has no meaning for protocol tcp: a connection ends with its session" },
  {
    path: ["balance", "hash"],
    isIdle: (value) => isSection(value) && value.sourceAddress === true,
    message: "must be sourceAddress for protocol tcp: a connection has no header, cookie or path",
  },
];

/** What of a service's document does not fit its protocol. */
export function checkProtocol(protocol: Protocol, written: Written): Issue[] {
  if (protocol === "tcp") return [...ROWS.flatMap((row) => checkRow(row, written)), ...checkHash(written.balance)];
  if (!Array.isArray(written.addresses) || written.addresses.length === 0) return [];
  const message = "belongs to protocol: tcp; requests of HTTP are known by their host";
  return [{ path: ["addresses"], message, hint: "write hosts", isKey: true }];
}

/** A hash that defaults give is one of requests. */
function checkHash(balance: unknown): Issue[] {
  if (!isSection(balance) || balance.hash !== undefined) return [];
  if (balance.policy !== "ring-hash" && balance.policy !== "maglev") return [];
  const message = `${balance.policy} needs balance.hash: {sourceAddress: true} for protocol tcp`;
  return [{ path: ["balance", "policy"], message }];
}

function checkRow({ path, isIdle = (value) => value === "none", message, hint }: Row, written: Written): Issue[] {
  const [section, field] = path;
  const outer = written[section];
  const value = field === undefined ? outer : isSection(outer) ? outer[field] : undefined;
  if (value === undefined || isIdle(value)) return [];
  const whole = field === undefined ? [section] : [section, field];
  return [{ path: whole, message, hint, isKey: true }];
}
