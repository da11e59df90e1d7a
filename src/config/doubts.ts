// What fits every schema and is hardly meant: accepted, with a warning that says what will happen.
//
// Only what one document says by itself is judged: what it inherits of `mesh.defaults` was meant for others too.

import { parseDuration } from "../base/index.ts";
import type { Issue } from "./issue.ts";
import type { DocumentKind } from "./keyspace.ts";
import { isSection, type Written } from "./merge.ts";

type Path = readonly (string | number)[];

/** A warning for each thing in a document that has no effect, or not the one that its writer will expect. */
export function doubtsIn(kind: DocumentKind, written: Written): Issue[] {
  switch (kind) {
    case "service":
      return doubtPolicy(written, []);
    case "mesh":
      return isSection(written.defaults) ? doubtPolicy(written.defaults, ["defaults"]) : [];
    case "route":
      return Array.isArray(written.rules) ? doubtRules(written.rules) : [];
    default:
      return [];
  }
}

function doubtPolicy(sections: Written, base: Path): Issue[] {
  return [...doubtHash(sections, base), ...doubtHedge(sections, base), ...doubtAttempt(sections, base)];
}

function doubtHash({ balance }: Written, base: Path): Issue[] {
  if (!isSection(balance) || balance.hash === undefined || typeof balance.policy !== "string") return [];
  if (balance.policy === "ring-hash" || balance.policy === "maglev") return [];
  const message = `has no effect: policy ${balance.policy} does not hash`;
  return [{ path: [...base, "balance", "hash"], message, hint: "ring-hash and maglev do", isKey: true }];
}

function doubtHedge({ hedge, protocol }: Written, base: Path): Issue[] {
  if (protocol !== "grpc" || !isSection(hedge) || hedge.calls === "all") return [];
  const message = "only calls with an idempotency-key are hedged: gRPC calls are POSTs";
  const hint = "write calls: all where every call may be executed twice";
  return [{ path: [...base, "hedge"], message, hint, isKey: true }];
}

function doubtAttempt({ timeout }: Written, base: Path): Issue[] {
  if (!isSection(timeout)) return [];
  const attemptMs = msOf(timeout.attempt);
  const requestMs = msOf(timeout.request);
  if (attemptMs === undefined || requestMs === undefined || attemptMs < requestMs) return [];
  const message = "never ends an attempt: timeout.request is over before";
  return [{ path: [...base, "timeout", "attempt"], message }];
}

function doubtRules(rules: readonly unknown[]): Issue[] {
  const issues: Issue[] = [];
  let takesAll = -1;
  for (const [index, rule] of rules.entries()) {
    if (!isSection(rule)) continue;
    if (takesAll >= 0) {
      const message = `is never reached: rule ${takesAll} has no match and takes every request`;
      issues.push({ path: ["rules", index], message, hint: "the first rule that matches decides" });
    } else if (!hasConditions(rule.match)) takesAll = index;
    issues.push(...doubtPolicy(rule, ["rules", index]));
  }
  return issues;
}

/** Whether a match asks for anything. */
function hasConditions(match: unknown): boolean {
  if (!isSection(match)) return false;
  return Object.values(match).some((field) => !isSection(field) || Object.keys(field).length > 0);
}

function msOf(text: unknown): number | undefined {
  const parsed = typeof text === "string" ? parseDuration(text) : undefined;
  return parsed?.ok === true ? parsed.value : undefined;
}
