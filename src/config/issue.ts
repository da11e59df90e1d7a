// What is wrong with a document, and where: zod's issues in words for people.
//
// zod tells what it expected; an operator wants to know what to write. So each issue becomes one sentence about the
// field, with the nearest right name where one was misspelt, and one issue for each unknown field instead of a list.

import * as z from "zod";
import { nearestOf } from "../base/index.ts";
import { isSection, type Written } from "./merge.ts";

/** One problem of one document. */
export interface Issue {
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** What would be right, where that can be guessed. */
  readonly hint?: string | undefined;
  /** The field's name is the problem rather than its value. */
  readonly isKey?: boolean;
}

/** What a schema says of a value. */
export interface Judgement<T> {
  /** The parsed document; `undefined` if there are issues. */
  readonly value: T | undefined;
  /** What was written, less what was dropped. */
  readonly written: Written;
  readonly issues: readonly Issue[];
  /** Unknown fields that were dropped. */
  readonly dropped: readonly Issue[];
}

/** Strict for the operator, tolerant for the fleet: whether an unknown field is an issue or is dropped. */
export type JudgeMode = "strict" | "tolerant";

/** A message is a line; enough of a text to recognise it. */
const QUOTED_MAX = 60;

/** Dropping a field can uncover no new one, but a bound is cheaper than the proof. */
const DROP_ROUNDS_MAX = 8;

/** Parses `written` by `schema`. */
export function judge<T>(schema: z.ZodType<T>, written: unknown, mode: JudgeMode): Judgement<T> {
  let current = written;
  const dropped: Issue[] = [];
  for (let round = 0; round < DROP_ROUNDS_MAX; round += 1) {
    const { value, issues } = parseOnce(schema, current);
    const unknown = issues.filter((issue) => issue.isUnknownField);
    if (mode === "strict" || unknown.length === 0) {
      return { value, written: isSection(current) ? current : {}, issues, dropped };
    }
    dropped.push(...unknown);
    current = unknown.reduce((tree, { path }) => withoutPath(tree, path), current);
  }
  return { value: undefined, written: {}, issues: [{ path: [], message: "has too many unknown fields" }], dropped };
}

interface ParsedIssue extends Issue {
  readonly isUnknownField: boolean;
}

function parseOnce<T>(schema: z.ZodType<T>, written: unknown): { value: T | undefined; issues: ParsedIssue[] } {
  // zod names the unknown fields but not the known ones; the object that complains is at hand only while it does.
  const fieldsByPath = new Map<string, string[]>();
  const result = schema.safeParse(written, {
    reportInput: true,
    error: (issue) => {
      if (issue.code === "unrecognized_keys" && issue.inst instanceof z.ZodObject) {
        fieldsByPath.set(JSON.stringify(issue.path ?? []), Object.keys(issue.inst.shape));
      }
      return undefined;
    },
  });
  if (result.success) return { value: result.data, issues: [] };
  const issues = result.error.issues.flatMap((issue) => describeIssue(issue, fieldsByPath));
  return { value: undefined, issues };
}

function describeIssue(issue: z.core.$ZodIssue, fieldsByPath: ReadonlyMap<string, string[]>): ParsedIssue[] {
  const path = issue.path.map((step) => (typeof step === "symbol" ? String(step) : step));
  if (issue.code === "unrecognized_keys") {
    const known = fieldsByPath.get(JSON.stringify(path)) ?? [];
    return issue.keys.map((key) => {
      const nearest = nearestOf(key, known);
      const hint = nearest === undefined ? `fields here: ${known.join(", ")}` : `did you mean ${nearest}?`;
      return { path: [...path, key], message: `unknown field ${key}`, hint, isKey: true, isUnknownField: true };
    });
  }
  if (issue.code === "invalid_key") {
    const inner = issue.issues[0]?.message ?? "is not a valid name";
    return [{ path, message: inner, isKey: true, isUnknownField: false }];
  }
  return [{ path, ...wordsOf(issue), isUnknownField: false }];
}

function wordsOf(issue: z.core.$ZodIssue): { message: string; hint?: string | undefined } {
  switch (issue.code) {
    case "invalid_type": {
      if (issue.input === undefined) return { message: "is missing" };
      if (issue.path.length === 0 && typeof issue.input === "string") return { message: "is not a JSON object" };
      const message = `must be ${nounOf(issue.expected)}, not ${kindOf(issue.input)}`;
      const isUnitMissing = issue.expected === "string" && typeof issue.input === "number";
      return { message, hint: isUnitMissing ? "put it in quotes; a duration needs a unit, such as 250ms" : undefined };
    }
    case "invalid_value": {
      const values = issue.values.map(String);
      if (issue.input === undefined) return { message: `is missing; one of ${values.join(", ")}` };
      const nearest = typeof issue.input === "string" ? nearestOf(issue.input, values) : undefined;
      const expected = values.length === 1 ? values[0] : `one of ${values.join(", ")}`;
      return {
        message: `must be ${expected}, not ${JSON.stringify(issue.input)}`,
        hint: nearest === undefined ? undefined : `did you mean ${nearest}?`,
      };
    }
    case "too_small":
      if (issue.origin === "array") return { message: `needs at least ${issue.minimum}` };
      if (issue.origin === "string") return { message: "must not be empty" };
      return { message: `must be ${issue.inclusive === false ? "above" : "at least"} ${issue.minimum}` };
    case "too_big":
      // Nothing but shares ends at one.
      return {
        message: `must be at most ${issue.maximum}`,
        hint: issue.maximum === 1 ? "a share: 0.05 is 5 %" : undefined,
      };
    default:
      return { message: issue.message };
  }
}

function nounOf(expected: string): string {
  const nouns: Readonly<Record<string, string>> = {
    string: "a text",
    number: "a number",
    int: "a whole number",
    boolean: "true or false",
    object: "a section",
    record: "a section",
    array: "a list",
  };
  return nouns[expected] ?? expected;
}

function kindOf(value: unknown): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a section";
  return typeof value === "string" ? JSON.stringify(value.slice(0, QUOTED_MAX)) : String(value);
}

/** A copy of `tree` without the field at `path`. */
function withoutPath(tree: unknown, path: readonly (string | number)[]): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return tree;
  if (Array.isArray(tree)) return tree.map((element, index) => (index === step ? withoutPath(element, rest) : element));
  if (!isSection(tree)) return tree;
  if (rest.length > 0) return { ...tree, [step]: withoutPath(tree[step], rest) };
  return Object.fromEntries(Object.entries(tree).filter(([key]) => key !== String(step)));
}
