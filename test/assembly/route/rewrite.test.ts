// What rules change on the way, and the answers that they give themselves.

import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { REASON_NONE } from "../../../assembly/abi/engine-codes.ts";
import { RULE_IS_REDIRECT, RULE_IS_RESPONSE } from "../../../assembly/abi/route-program.ts";
import { encodeProgram } from "../../../src/snapshot/index.ts";
import type { RuleModel } from "../../../src/snapshot/program-model.ts";
import { compileMesh, loadRouteEngine, type RouteEngine } from "../../support/route-engine.ts";

let engine: RouteEngine;

beforeAll(async () => {
  engine = await loadRouteEngine();
});

describe("rewrite", () => {
  /** Path and authority after the only rule's rewrite. */
  function rewritten(rule: { match?: unknown; rewrite: unknown }, path: string, authority = "api.example:80") {
    const { bytes } = compileMesh({ routes: { r: { rules: [{ ...rule, to: [{ service: "users" }] }] } } });
    expect(engine.load(bytes)).toBe(0);
    const { reason, rule: at } = engine.match({ path, authority });
    expect(reason).toBe(REASON_NONE);
    const head = engine.writeHead({ path, authority });
    expect(engine.exports.rewriteHead(head, at)).toBe(1);
    return { path: engine.pathOf(head), authority: engine.authorityOf(head) };
  }

  it.each([
    ["/users", "/", "/users/7", "/7"],
    ["/users", "/", "/users", "/"],
    ["/users", "/", "/users/", "/"],
    ["/users", "/", "/users?a=/b", "/?a=/b"],
    ["/users/", "/", "/users/7", "/7"],
    ["/users", "/v2", "/users/7?x", "/v2/7?x"],
    ["/users", "/v2/", "/users/7", "/v2/7"],
    ["/users", "/v2/", "/users", "/v2/"],
    ["/users", "/v2", "/users", "/v2"],
    ["/users", "/v2", "/users//7", "/v2//7"],
    ["/", "/v2", "/users", "/v2/users"],
    ["/", "/v2", "/", "/v2/"],
    ["/", "/v2/", "/users", "/v2/users"],
    ["/", "/v2", "*", "*"],
    ["/", "/v2", "", ""],
  ])("prefix %s becomes %s: %s → %s", (prefix, pathPrefix, path, expected) => {
    expect(rewritten({ match: { path: { prefix } }, rewrite: { pathPrefix } }, path).path).toBe(expected);
  });

  it("an exact path is replaced whole, without a match the root is", () => {
    expect(rewritten({ match: { path: { exact: "/a" } }, rewrite: { pathPrefix: "/b" } }, "/a?q").path).toBe("/b?q");
    expect(rewritten({ rewrite: { pathPrefix: "/b" } }, "/a").path).toBe("/b/a");
  });

  it("the host is replaced, and nothing is when nothing is written", () => {
    expect(rewritten({ rewrite: { host: "users" } }, "/a")).toEqual({ path: "/a", authority: "users" });
    expect(rewritten({ rewrite: {} }, "/a")).toEqual({ path: "/a", authority: "api.example:80" });
  });

  it("a path that leaves no room is refused", () => {
    const pathPrefix = `/${"x".repeat(120_000)}`;
    const { bytes } = compileMesh({
      routes: { r: { rules: [{ to: [{ service: "users" }], rewrite: { pathPrefix } }] } },
    });
    expect(engine.load(bytes)).toBe(0);
    const path = `/${"y".repeat(20_000)}`;
    const { rule } = engine.match({ path });
    const head = engine.writeHead({ path });
    expect(engine.exports.rewriteHead(head, rule)).toBe(0);
    expect(engine.pathOf(head)).toBe(path);
  });
});

/** A program whose only rule is `rule`, loaded; the rule's address. */
function loadRule(rule: Partial<RuleModel>): number {
  const whole: RuleModel = {
    methods: [],
    conditions: [],
    action: { kind: "response", status: 204, body: "" },
    requestEdits: [],
    responseEdits: [],
    ...rule,
  };
  const bytes = encodeProgram({
    revision: 1,
    services: [],
    instances: [],
    listeners: [],
    vhosts: [{ name: "r", rules: [whole] }],
    hosts: new Map(),
    wildcards: new Map(),
    catchAll: 0,
    inbound: undefined,
  });
  expect(engine.load(bytes)).toBe(0);
  return engine.match({ path: "/old/x" }).rule;
}

describe("header fields", () => {
  const edits = [
    { kind: "set", name: "x-a", value: "set" },
    { kind: "add", name: "x-b", value: "added" },
    { kind: "remove", name: "cookie", value: "" },
    { kind: "remove", name: "x-c", value: "" },
    { kind: "set", name: "user-agent", value: "" },
  ] as const;
  const before: [string, string][] = [
    ["x-a", "1"],
    ["x-b", "1"],
    ["x-a", "2"],
    ["cookie", "a=1"],
    ["x-cc", "1"],
    ["x-c", "1"],
    ["user-agent", "curl"],
  ];
  const after = [
    ["x-b", "1"],
    ["x-cc", "1"],
    ["x-a", "set"],
    ["x-b", "added"],
    ["user-agent", ""],
  ];

  it("of the request are added, set and removed", () => {
    const rule = loadRule({ requestEdits: edits });
    const head = engine.writeHead({ headers: before });
    expect(engine.exports.rewriteHead(head, rule)).toBe(1);
    expect(engine.fieldsOf(head)).toEqual(after);
  });

  it("of the response are kept over two further snapshots, and given back", () => {
    const used = engine.exports.poolUsedBytes();
    const kept = engine.exports.keepEdits(loadRule({ responseEdits: edits }));
    expect(kept).not.toBe(0);
    loadRule({ responseEdits: [{ kind: "add", name: "x-other", value: "other" }] });
    loadRule({});
    const head = engine.writeHead({ headers: before });
    expect(engine.exports.editResponse(head, kept)).toBe(1);
    expect(engine.fieldsOf(head)).toEqual(after);
    engine.exports.releaseEdits(kept);
    expect(engine.exports.poolUsedBytes()).toBe(used);
  });

  it("nothing to keep costs nothing", () => {
    const rule = loadRule({});
    expect(engine.exports.keepEdits(rule)).toBe(0);
    const head = engine.writeHead({ headers: before });
    expect(engine.exports.editResponse(head, 0)).toBe(1);
    expect(engine.fieldsOf(head)).toEqual(before);
    engine.exports.releaseEdits(0);
  });
});

describe("a rule's own answer", () => {
  let answer: number;

  beforeEach(() => {
    answer = engine.exports.answerHead();
  });

  it.each([
    [{ kind: "redirect", status: 308, scheme: "https" }, false, "https://a.example/old/x?q"],
    [{ kind: "redirect", status: 302, scheme: "same" }, false, "http://a.example:8080/old/x?q"],
    [{ kind: "redirect", status: 302, scheme: "same" }, true, "https://a.example:8080/old/x?q"],
    [{ kind: "redirect", status: 302, scheme: "http" }, true, "http://a.example/old/x?q"],
  ] as const)("%o", (action, isSecure, location) => {
    const rule = loadRule({ action, responseEdits: [{ kind: "set", name: "x-why", value: "moved" }] });
    expect(engine.match({ path: "/old/x" }).action).toBe(RULE_IS_REDIRECT);
    const head = engine.writeHead({ authority: "a.example:8080", path: "/old/x?q" });
    if (isSecure) engine.setSecure(head);
    expect(engine.exports.answerRule(head, answer, rule)).toBe(1);
    expect(engine.statusOf(answer)).toBe(action.status);
    expect(engine.fieldsOf(answer)).toEqual([
      ["location", location],
      ["x-why", "moved"],
    ]);
  });

  it("a redirect changes path and host by the rule's rewrite", () => {
    const rule = loadRule({
      path: { kind: "prefix", value: "/old" },
      action: { kind: "redirect", status: 301, scheme: "https" },
      pathPrefix: "/new",
      host: "b.example:8443",
    });
    const head = engine.writeHead({ authority: "a.example", path: "/old/x?q" });
    expect(engine.exports.answerRule(head, answer, rule)).toBe(1);
    expect(engine.fieldsOf(answer)).toEqual([["location", "https://b.example:8443/new/x?q"]]);
  });

  it("a direct response has a status and a body, which may be empty", () => {
    const rule = loadRule({ action: { kind: "response", status: 410, body: "gone for good" } });
    const { action, reason } = engine.match({});
    expect({ action, reason }).toEqual({ action: RULE_IS_RESPONSE, reason: REASON_NONE });
    expect(engine.exports.answerRule(engine.writeHead({}), answer, rule)).toBe(1);
    expect(engine.statusOf(answer)).toBe(410);
    expect(engine.fieldsOf(answer)).toEqual([]);
    const text = engine.exports.ruleText(rule);
    expect(engine.readText(text, engine.exports.ruleTextBytes.value)).toBe("gone for good");
    engine.exports.ruleText(loadRule({}));
    expect(engine.exports.ruleTextBytes.value).toBe(0);
  });
});

describe("conditions that today's documents cannot write", () => {
  it.each([
    ["?v=2", true],
    ["?a=1&v=2", true],
    ["?v=1&v=2", true],
    ["?v=22", false],
    ["?vv=2", false],
    ["?v", false],
    ["?v=2=3", false],
    ["", false],
    ["?", false],
    ["?&&v=2&", true],
  ])("query v=2 and %s", (query, matches) => {
    loadRule({ conditions: [{ on: "query", name: "v", test: { kind: "exact", value: "2" } }] });
    expect(engine.match({ path: `/${query}` }).reason === REASON_NONE).toBe(matches);
  });

  it.each([
    ["?v", true],
    ["?v=", true],
    ["?a&v=1", true],
    ["?vv", false],
    ["", false],
  ])("query v present and %s", (query, matches) => {
    loadRule({ conditions: [{ on: "query", name: "v", test: { kind: "present" } }] });
    expect(engine.match({ path: `/${query}` }).reason === REASON_NONE).toBe(matches);
    loadRule({ conditions: [{ on: "query", name: "v", test: { kind: "absent" } }] });
    expect(engine.match({ path: `/${query}` }).reason === REASON_NONE).toBe(!matches);
  });
});
