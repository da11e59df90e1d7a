// The difference of two JSON values as a JSON Patch (RFC 6902), as an admission answer carries it.
//
// Lists of named things are patched item by item, so that a patch says what was added and nothing else.

import { isDeepStrictEqual } from "node:util";
import { editsBetween } from "./list-edits.ts";

export type PatchOperation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: unknown }
  | { readonly op: "remove"; readonly path: string };

/** Operations that turn `before` into `after`, in order. */
export function comparePatch(before: unknown, after: unknown, path = ""): PatchOperation[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (isRecord(before) && isRecord(after)) return compareRecords(before, after, path);
  if (Array.isArray(before) && Array.isArray(after)) {
    const edits = editsBetween(before, after);
    if (edits !== undefined) {
      return edits.flatMap((edit): PatchOperation[] =>
        edit.kind === "insert"
          ? [{ op: "add", path: `${path}/${edit.to}`, value: after[edit.to] }]
          : comparePatch(before[edit.from], after[edit.to], `${path}/${edit.to}`),
      );
    }
  }
  return [{ op: "replace", path, value: after }];
}

function compareRecords(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
  path: string,
): PatchOperation[] {
  const at = (key: string) => `${path}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
  const gone = Object.keys(before).filter((key) => !Object.hasOwn(after, key));
  return [
    ...gone.map((key): PatchOperation => ({ op: "remove", path: at(key) })),
    ...Object.entries(after).flatMap(([key, value]): PatchOperation[] =>
      Object.hasOwn(before, key) ? comparePatch(before[key], value, at(key)) : [{ op: "add", path: at(key), value }],
    ),
  ];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
