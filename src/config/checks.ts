// What no schema can see: fields that must fit each other.
//
// Each rule is a named predicate that yields the issue it stands for. Policies are judged after defaults, service and
// rule were laid over each other, because only then is it known which balance policy meets which hash.

import type { Route, Rule } from "./documents.ts";
import type { Issue } from "./issue.ts";
import type { Policy } from "./policy.ts";

/** Says why a pattern cannot be compiled to a table, or `undefined` where it can. `src/snapshot` provides it. */
export type CheckPattern = (pattern: string) => string | undefined;

/** What is wrong with a policy as a whole. */
export function checkPolicy(policy: Policy): Issue[] {
  return [...checkHashIsGiven(policy), ...checkBackoffOrder(policy), ...checkEjectionOrder(policy)];
}

/** What is wrong with a route by itself. */
export function checkRoute(route: Route, checkPattern: CheckPattern | undefined): Issue[] {
  return route.rules.flatMap((rule, index) => {
    const issues = [...checkAction(rule), ...checkRewrite(rule), ...checkPatterns(rule, checkPattern)];
    return issues.map((issue) => ({ ...issue, path: ["rules", index, ...issue.path] }));
  });
}

function checkHashIsGiven({ balance }: Policy): Issue[] {
  if (balance.hash !== undefined || (balance.policy !== "ring-hash" && balance.policy !== "maglev")) return [];
  const hint = "add hash: {header: x-user}, or cookie, sourceAddress, path";
  return [{ path: ["balance", "policy"], message: `${balance.policy} needs balance.hash`, hint }];
}

function checkBackoffOrder({ retry }: Policy): Issue[] {
  if (retry.backoff.baseMs <= retry.backoff.maxMs) return [];
  return [{ path: ["retry", "backoff", "base"], message: "must not be longer than retry.backoff.max" }];
}

function checkEjectionOrder({ outlier }: Policy): Issue[] {
  if (outlier === undefined || outlier.ejectionMs <= outlier.ejectionMsMax) return [];
  return [{ path: ["outlier", "ejection"], message: "must not be longer than outlier.ejectionMax" }];
}

/** A rule forwards, redirects or answers: one of them, and only what belongs to it. */
function checkAction(rule: Rule): Issue[] {
  const own = (["redirect", "directResponse"] as const).filter((field) => rule[field] !== undefined);
  if (own.length === 0) return checkWeights(rule);
  const issues: Issue[] = [];
  const [field, second] = own;
  const contradict = (other: string) => {
    issues.push({ path: [other], message: `contradicts ${field}: this rule sends nothing to a service`, isKey: true });
  };
  if (second !== undefined) issues.push({ path: [second], message: `contradicts ${field}: a rule has one answer` });
  if (rule.to.length > 0) contradict("to");
  if (rule.rewrite.host !== undefined || rule.rewrite.pathPrefix !== undefined) contradict("rewrite");
  if (rule.requestHeaders.length > 0) contradict("requestHeaders");
  if (rule.mirror !== undefined) contradict("mirror");
  if (rule.fault !== undefined) contradict("fault");
  for (const section of Object.keys(rule.overrides)) contradict(section);
  return issues;
}

function checkWeights(rule: Rule): Issue[] {
  if (rule.to.length === 0) {
    return [{ path: ["to"], message: "is missing", hint: "or redirect, or directResponse" }];
  }
  if (rule.to.some(({ weight }) => weight > 0)) return [];
  return [{ path: ["to"], message: "all weights are 0: nobody would answer" }];
}

function checkRewrite({ rewrite, redirect, match }: Rule): Issue[] {
  if (match.path?.kind !== "regex") return [];
  const hint = "match with path.prefix or path.exact";
  const message = "has no prefix to replace in a path.regex";
  const issues: Issue[] = [];
  if (rewrite.pathPrefix !== undefined) issues.push({ path: ["rewrite", "pathPrefix"], message, hint });
  if (redirect?.pathPrefix !== undefined) issues.push({ path: ["redirect", "pathPrefix"], message, hint });
  return issues;
}

function checkPatterns({ match }: Rule, checkPattern: CheckPattern | undefined): Issue[] {
  if (checkPattern === undefined) return [];
  const issues: Issue[] = [];
  const judgePattern = (pattern: string, path: readonly string[]) => {
    const problem = checkPattern(pattern);
    if (problem !== undefined) issues.push({ path: ["match", ...path, "regex"], message: problem });
  };
  if (match.path?.kind === "regex") judgePattern(match.path.value, ["path"]);
  for (const place of ["headers", "query"] as const) {
    for (const condition of match[place]) {
      if (condition.match.kind === "regex") judgePattern(condition.match.value, [place, condition.name]);
    }
  }
  return issues;
}
