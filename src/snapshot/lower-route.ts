// From a route's document to the rules of a virtual host: numbers for services and sets, automata for patterns.

import {
  type FieldMatch,
  type NamedMatch,
  type PathMatch,
  type Policy,
  policyOf,
  type Route,
  type Rule,
} from "../config/index.ts";
import { type Compilation, type IndexedService, policyModelOf } from "./compilation.ts";
import { RETRIES_MAX, RETRY_STATUSES_MAX } from "./encode-policy.ts";
import { isCodecField } from "./field-ids.ts";
import { fieldPatterns, pathPatterns } from "./pattern-cache.ts";
import type {
  ConditionModel,
  DestinationModel,
  EditModel,
  MirrorModel,
  PathModel,
  RuleModel,
  TestModel,
  VhostModel,
} from "./program-model.ts";
import type { Automaton } from "./regex.ts";

/** Compiles a route; rules that cannot be carried out are left out and listed. */
export function lowerRoute(route: Route, compilation: Compilation): VhostModel {
  const rules: RuleModel[] = [];
  for (const [index, rule] of route.rules.entries()) {
    try {
      rules.push(lowerRule(rule, compilation, `routes/${route.name}`, index));
    } catch (error) {
      if (!(error instanceof RuleProblem)) throw error;
      compilation.refuse(`routes/${route.name}`, `rules.${index}: ${error.message}`);
    }
  }
  return { name: route.name, rules };
}

/** Thrown where a rule cannot be carried out; never leaves this file. */
class RuleProblem extends Error {}

function lowerRule(rule: Rule, compilation: Compilation, document: string, index: number): RuleModel {
  const { pathPrefix, host } = rule.rewrite;
  if ((pathPrefix ?? rule.redirect?.pathPrefix) !== undefined && rule.match.path?.kind === "regex") {
    throw new RuleProblem("pathPrefix has no prefix to replace in a path.regex");
  }
  const path = rule.match.path === undefined ? undefined : lowerPath(rule.match.path);
  for (const { name } of rule.match.headers) {
    if (!isCodecField(name) || isAuthority(name)) continue;
    compilation.warn(document, `rules.${index}: header ${name} belongs to one connection only, no route sees it`);
  }
  const { headers, query } = rule.match;
  return {
    ...(path !== undefined && { path }),
    methods: rule.match.methods ?? [],
    conditions: [...headers.map(lowerHeader), ...query.map(lowerParameter)],
    ...(pathPrefix !== undefined && { pathPrefix }),
    ...(host !== undefined && { host }),
    ...lowerAction(rule, compilation, document, index),
    requestEdits: rule.requestHeaders,
    fault: rule.fault,
    mirror: lowerMirror(rule, compilation),
  };
}

/** Where the request goes, or what the rule answers by itself. */
function lowerAction(
  { to, redirect, directResponse, overrides, responseHeaders: responseEdits }: Rule,
  compilation: Compilation,
  document: string,
  index: number,
): Pick<RuleModel, "action" | "pathPrefix" | "isWholePath" | "host" | "responseEdits"> {
  if (redirect !== undefined) {
    const { status, scheme = "same", host, path, pathPrefix = path } = redirect;
    return {
      action: { kind: "redirect", status, scheme },
      ...(pathPrefix !== undefined && { pathPrefix, isWholePath: path !== undefined }),
      ...(host !== undefined && { host }),
      responseEdits,
    };
  }
  if (directResponse !== undefined) {
    const { status, body } = directResponse;
    const isTyped = body === "" || responseEdits.some(({ name }) => name === "content-type");
    return {
      action: { kind: "response", status, body },
      responseEdits: isTyped ? responseEdits : [PLAIN_TEXT, ...responseEdits],
    };
  }
  const destinations = lowerTargets({ to, overrides }, compilation, document, index);
  return { action: { kind: "forward", destinations }, responseEdits };
}

const PLAIN_TEXT: EditModel = { kind: "set", name: "content-type", value: "text/plain; charset=utf-8" };

function lowerMirror({ mirror }: Rule, compilation: Compilation): MirrorModel | undefined {
  const service = mirror === undefined ? undefined : compilation.serviceOf(mirror.service);
  if (service?.document.protocol === "tcp") return undefined;
  return mirror === undefined || service === undefined ? undefined : { service: service.index, share: mirror.share };
}

function lowerPath(path: PathMatch): PathModel {
  if (path.kind === "regex") return { kind: "regex", ...compiledPath(path.value) };
  return { kind: path.kind, value: path.value };
}

function lowerTest(match: FieldMatch): TestModel {
  return match.kind === "regex" ? { kind: "regex", automaton: automatonOf(match.value) } : (match as TestModel);
}

function lowerParameter({ name, match }: NamedMatch): ConditionModel {
  return { on: "query", name, test: lowerTest(match) };
}

function lowerHeader({ name, match }: NamedMatch): ConditionModel {
  const test = lowerTest(match);
  return isAuthority(name) ? { on: "authority", name: "", test } : { on: "header", name, test };
}

function isAuthority(name: string): boolean {
  return name === "host" || name === ":authority";
}

function lowerTargets(
  rule: Pick<Rule, "to" | "overrides">,
  compilation: Compilation,
  document: string,
  index: number,
): DestinationModel[] {
  const destinations: DestinationModel[] = [];
  for (const { service: name, tags, weight } of rule.to) {
    const service = compilation.serviceOf(name);
    if (service === undefined) continue;
    if (service.document.protocol === "tcp") {
      compilation.refuse(document, `rules.${index}: service ${name} speaks tcp; routes carry requests of HTTP`);
      continue;
    }
    const hasOverrides = Object.keys(rule.overrides).length > 0;
    const policy = hasOverrides ? policyOf(service.document, rule.overrides) : service.document.policy;
    const set = compilation.setOf(service, tags, policy);
    if (set === undefined) continue;
    if (hasOverrides) warnOfPolicy(policy, compilation, `${document}`, `rules.${index}: `);
    // A limit that the rule writes is the rule's, over all of its targets; another is the service's, over all rules.
    const limitName = rule.overrides.rateLimit === undefined ? service.policy.limitName : `${document} ${index}`;
    const model = hasOverrides
      ? policyModelOf(service.index, service.document, limitedBy(service, policy), limitName)
      : service.policy;
    destinations.push({ service: service.index, set, weight, policy: model });
  }
  return destinations;
}

/** Counters are the service's, so its limits hold for all rules; how long a request may wait is the rule's. */
function limitedBy({ document }: IndexedService, policy: Policy): Policy {
  return { ...policy, limits: { ...document.policy.limits, pendingTimeoutMs: policy.limits.pendingTimeoutMs } };
}

/** Says where the engine does less than a policy asks for. */
export function warnOfPolicy({ retry }: Policy, compilation: Compilation, document: string, where: string): void {
  if (retry.attempts > RETRIES_MAX) {
    compilation.warn(document, `${where}retry.attempts is ${retry.attempts}; at most ${RETRIES_MAX} are made`);
  }
  if (retry.when.statuses.length > RETRY_STATUSES_MAX) {
    compilation.warn(
      document,
      `${where}retry.when names more than ${RETRY_STATUSES_MAX} statuses; the others are ignored`,
    );
  }
}

function automatonOf(pattern: string): Automaton {
  const compiled = fieldPatterns.compile(pattern);
  if (!compiled.ok) throw new RuleProblem(`pattern ${pattern}: ${compiled.problem}`);
  return compiled.automaton;
}

function compiledPath(pattern: string): { segments: string; rest: Automaton } {
  const compiled = pathPatterns.compile(pattern);
  if (!compiled.ok) throw new RuleProblem(`pattern ${pattern}: ${compiled.problem}`);
  return { segments: compiled.segments, rest: compiled.rest };
}
