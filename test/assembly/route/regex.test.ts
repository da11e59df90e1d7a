// Automata in Wasm against JavaScript's RegExp, over random patterns and texts.

import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { REASON_NONE } from "../../../assembly/abi/engine-codes.ts";
import { encodeProgram } from "../../../src/snapshot/index.ts";
import type { RuleModel } from "../../../src/snapshot/program-model.ts";
import { compilePathRegex, compileRegex } from "../../../src/snapshot/regex.ts";
import { loadRouteEngine, type RouteEngine } from "../../support/route-engine.ts";

let engine: RouteEngine;

beforeAll(async () => {
  engine = await loadRouteEngine();
});

/** A program that matches what the pattern matches: header x against it, or the path. */
function loadPattern(pattern: string, on: "header" | "path"): string | undefined {
  const base = {
    methods: [],
    action: { kind: "response", status: 204, body: "" },
    requestEdits: [],
    responseEdits: [],
  } as const;
  let rule: RuleModel;
  if (on === "header") {
    const compiled = compileRegex(pattern);
    if (!compiled.ok) return compiled.problem;
    rule = {
      ...base,
      conditions: [{ on: "header", name: "x", test: { kind: "regex", automaton: compiled.automaton } }],
    };
  } else {
    const compiled = compilePathRegex(pattern);
    if (!compiled.ok) return compiled.problem;
    rule = { ...base, conditions: [], path: { kind: "regex", segments: compiled.segments, rest: compiled.rest } };
  }
  const bytes = encodeProgram({
    revision: 1,
    services: [],
    instances: [],
    listeners: [],
    vhosts: [{ name: "r", rules: [rule] }],
    hosts: new Map(),
    wildcards: new Map(),
    catchAll: 0,
    inbound: undefined,
  });
  expect(engine.load(bytes)).toBe(0);
  return undefined;
}

function matches(text: string, on: "header" | "path"): boolean {
  const request = on === "header" ? { headers: [["x", text]] as const } : { path: text };
  return engine.match(request).reason === REASON_NONE;
}

const character = fc.constantFrom("a", "b", "c", "/", "-", "0", "1");
const { pattern } = fc.letrec<{ pattern: string; part: string }>((tie) => ({
  part: fc.oneof(
    { maxDepth: 4 },
    character,
    fc.constantFrom(
      ".",
      "\\d",
      "\\w",
      "\\W",
      "\\s",
      "\\S",
      "\\D",
      "\\.",
      "\\/",
      "[ab]",
      "[^/]",
      "[a-c1]",
      "[-a]",
      "[\\d/]",
      "[^\\w]",
    ),
    fc.constantFrom("\\x61", "\\u0062", "[\\x30-\\x31]", "{", "}", "]"),
    fc
      .tuple(tie("pattern"), fc.constantFrom("(", "(?:", "(?<n>"))
      .map(([inner, open]) => `${open === "(?<n>" ? "(?:" : open}${inner})`),
    fc
      .tuple(tie("part"), fc.constantFrom("*", "+", "?", "{2}", "{0,2}", "{1,}", "*?", "+?", "{0}"))
      .map(([inner, times]) => (/^(\\?.|\[[^\]]*\]|\(.*\))$/.test(inner) ? inner + times : `(${inner})${times}`)),
  ),
  pattern: fc.oneof(
    { maxDepth: 4 },
    fc.array(tie("part"), { minLength: 1, maxLength: 4 }).map((parts) => parts.join("")),
    fc.tuple(tie("pattern"), tie("pattern")).map((sides) => sides.join("|")),
  ),
}));
const text = fc
  .array(fc.oneof({ weight: 8, arbitrary: character }, fc.constantFrom("{", "}", "]", ".", " ", "_", "Z")), {
    maxLength: 10,
  })
  .map((characters) => characters.join(""));

/** A pattern with random texts and texts made to match it. */
const cases = pattern.chain((written) => {
  const random = fc.array(text, { minLength: 5, maxLength: 20 });
  return fc.record({ written: fc.constant(written), random, made: fc.array(matching(written), { minLength: 5 }) });
});

/** Texts that JavaScript's RegExp accepts, where fast-check can make them. */
function matching(written: string): fc.Arbitrary<string> {
  try {
    return fc.stringMatching(new RegExp(`^(?:${written})$`), { size: "xsmall" });
  } catch {
    return fc.constant(""); // not JavaScript's, or beyond fast-check: the property skips or takes random texts
  }
}

describe.each(["header", "path"] as const)("%s", (on) => {
  it("accepts what RegExp accepts", () => {
    let accepted = 0;
    let refused = 0;
    fc.assert(
      fc.property(cases, ({ written, random, made }) => {
        let expected: RegExp;
        try {
          expected = new RegExp(`^(?:${written})$`);
        } catch {
          return; // not JavaScript's: nothing to compare with
        }
        if (loadPattern(written, on) !== undefined) return;
        for (const one of [...random, ...made, "", "/"]) {
          if (!isComparable(one) || (on === "path" && one.includes("?"))) continue;
          const isMatch = expected.test(one);
          if (isMatch) accepted += 1;
          else refused += 1;
          expect({ written, one, isMatch: matches(one, on) }).toEqual({ written, one, isMatch });
        }
      }),
      { numRuns: 1000 },
    );
    // Else the texts say nothing about the patterns.
    expect(accepted).toBeGreaterThan(2000);
    expect(refused).toBeGreaterThan(2000);
  });
});

/** Ours matches bytes, so ASCII; and short, because RegExp needs exponential time where ours needs linear. */
function isComparable(one: string): boolean {
  return one.length <= 12 && [...one].every((each) => each.charCodeAt(0) < 128);
}

it("a literal beyond ASCII stands for its UTF-8 bytes, and (?i) folds case", () => {
  expect(loadPattern("/(é|ü)+", "path")).toBeUndefined();
  expect(matches("/éü", "path")).toBe(true);
  expect(matches("/e", "path")).toBe(false);
  expect(loadPattern("(?i)/Ab[c-d]", "path")).toBeUndefined();
  expect(["/aBC", "/ABD", "/abe"].map((one) => matches(one, "path"))).toEqual([true, true, false]);
});

it("runs in linear time where backtracking does not end", () => {
  expect(loadPattern("/(a*)*(a|a)*b", "path")).toBeUndefined();
  expect(matches(`/${"a".repeat(8000)}`, "path")).toBe(false);
  expect(matches(`/${"a".repeat(8000)}b`, "path")).toBe(true);
});
