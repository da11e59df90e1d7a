// What the documents may say and this version does not do yet.
//
// A field that is read and ignored in silence is a lie: whoever writes one must learn at once that nothing happens.
// So each such field stands here until the code that acts on it lands, and writing it is answered with a warning by
// `check`, `apply` and at load. Whoever makes a field work deletes its row.

import type { Issue } from "./issue.ts";
import type { DocumentKind } from "./keyspace.ts";
import { isSection, type Written } from "./merge.ts";

interface NotYetRow {
  readonly kind: DocumentKind;
  /** Fields from the document's root; `*` is every element of a list. */
  readonly path: readonly string[];
  /** Which values are not acted on; default: every value but `none`. */
  readonly isUnmet?: (value: unknown) => boolean;
  readonly effect: string;
}

const RULE_ROWS: readonly Omit<NotYetRow, "kind">[] = [
  { path: ["limits"], effect: "all but pendingTimeout are the service's" },
  { path: ["outlier"], effect: "instances are ejected as the service's document says" },
  { path: ["balance", "slowStart"], effect: "newcomers ramp up as the service's document says" },
  { path: ["balance", "shed"], effect: "connections are shed as the service's document says" },
  { path: ["health"], effect: "instances are checked as the service's document says" },
];

/** Every field that is accepted and not acted on. */
export const NOT_YET: readonly NotYetRow[] = [
  ...RULE_ROWS.map((row): NotYetRow => ({ ...row, kind: "route", path: ["rules", "*", ...row.path] })),
  { kind: "access", path: [], effect: "nobody is kept out" },
];

/** A warning for each written field of `NOT_YET`. */
export function notYetIn(kind: DocumentKind, written: Written): Issue[] {
  const issues: Issue[] = [];
  for (const row of NOT_YET) {
    if (row.kind !== kind) continue;
    const isUnmet = row.isUnmet ?? ((value) => value !== "none");
    for (const { path, value } of matchesOf(written, row.path)) {
      if (isUnmet(value)) issues.push({ path, message: `accepted, not acted on yet: ${row.effect}`, isKey: true });
    }
  }
  return issues;
}

interface Found {
  readonly path: readonly (string | number)[];
  readonly value: unknown;
}

function matchesOf(value: unknown, pattern: readonly string[]): Found[] {
  const [field, ...rest] = pattern;
  if (field === undefined) return [{ path: [], value }];
  if (field === "*") {
    if (!Array.isArray(value)) return [];
    return value.flatMap((element, index) => prefixed(index, matchesOf(element, rest)));
  }
  return isSection(value) && value[field] !== undefined ? prefixed(field, matchesOf(value[field], rest)) : [];
}

function prefixed(first: string | number, found: readonly Found[]): Found[] {
  return found.map(({ path, value }) => ({ path: [first, ...path], value }));
}

/** Flags of `pillion run` whose value, as written, is not acted on; yields what happens instead. */
export const NOT_YET_FLAGS: Readonly<Record<string, (text: string) => string | undefined>> = {
  unknown: (text) =>
    text === "pass" ? "redirected connections only; requests to our own port are answered with no-route" : undefined,
};
