// Writes virtual hosts: their rules in order, and the index from paths and prefixes to rules.
//
// Every rule stands in exactly one list: of its exact path, of its prefix, or of the root. A pattern stands under the
// whole segments that all its texts begin with, and is tried only there and only on what follows, so ten thousand
// patterns that begin differently cost no more than ten thousand prefixes.

import {
  PATH_BYTES,
  PATH_EXACT,
  PATH_PREFIX,
  PATH_TEXT,
  PATH_VHOST,
  RULE_BYTES,
  VHOST_BYTES,
  VHOST_DEPTHS,
  VHOST_NAME,
  VHOST_PATH_BYTES_MAX,
  VHOST_ROOT,
} from "../../assembly/abi/route-program.ts";
import { assertNever } from "../base/index.ts";
import { encodeRule, type SharedParts } from "./encode-rule.ts";
import { encodeTable, type TableEntry } from "./encode-table.ts";
import { hashPath } from "./hash.ts";
import type { PathModel, VhostModel } from "./program-model.ts";
import type { ProgramWriter } from "./writer.ts";

/** Bit 31 of VHOST_DEPTHS stands for all depths from 31. */
const DEPTH_BIT_MAX = 31;
const SLASH = 47;

interface PathLists {
  readonly exact: number[];
  readonly prefix: number[];
}

/** Writes all of them; rules are numbered through. */
export function encodeVhosts(writer: ProgramWriter, shared: SharedParts, vhosts: readonly VhostModel[]) {
  const ruleCount = vhosts.reduce((sum, { rules }) => sum + rules.length, 0);
  const table = writer.reserve(VHOST_BYTES * vhosts.length);
  const rules = writer.reserve(RULE_BYTES * ruleCount);
  const entries: TableEntry[] = [];
  let firstRule = 0;
  for (const [number, vhost] of vhosts.entries()) {
    const at = table + VHOST_BYTES * number;
    writer.putText(at + VHOST_NAME, vhost.name);
    const root: number[] = [];
    const paths = new Map<string, PathLists>();
    for (const [index, rule] of vhost.rules.entries()) {
      const ruleNumber = firstRule + index;
      const place = placeOf(rule.path);
      listOf(place, root, paths).push(ruleNumber);
      const prefixBytes = writer.internText(place.text).length;
      encodeRule(writer, shared, { at: rules + RULE_BYTES * ruleNumber, rule, vhost: number, prefixBytes });
    }
    firstRule += vhost.rules.length;
    putList(writer, at + VHOST_ROOT, root);
    encodePaths(writer, { at, number, paths, entries });
  }
  return { vhosts: table, rules, ruleCount, paths: encodeTable(writer, entries) };
}

interface Place {
  readonly list: "exact" | "prefix";
  readonly text: string;
}

/** The list that a rule stands in; a prefix without text is the root. */
function placeOf(path: PathModel | undefined): Place {
  if (path === undefined) return { list: "prefix", text: "" };
  switch (path.kind) {
    case "exact":
      return { list: "exact", text: path.value };
    case "prefix":
      return { list: "prefix", text: normalizePrefix(path.value) };
    case "regex":
      return { list: "prefix", text: path.segments };
    default:
      return assertNever(path);
  }
}

/** A prefix ends where a segment ends, so its last slash says nothing: `/users/` is `/users`, `/` is everything. */
export function normalizePrefix(prefix: string): string {
  return prefix.endsWith("/") ? prefix.slice(0, -1) : prefix;
}

function listOf({ list, text }: Place, root: number[], paths: Map<string, PathLists>): number[] {
  if (list === "prefix" && text === "") return root;
  let lists = paths.get(text);
  if (lists === undefined) {
    lists = { exact: [], prefix: [] };
    paths.set(text, lists);
  }
  return lists[list];
}

function encodePaths(
  writer: ProgramWriter,
  { at, number, paths, entries }: { at: number; number: number; paths: Map<string, PathLists>; entries: TableEntry[] },
): void {
  let depths = 0;
  let longest = 0;
  for (const [text, { exact, prefix }] of paths) {
    const entry = writer.reserve(PATH_BYTES);
    writer.putU32(entry + PATH_VHOST, number);
    const range = writer.putText(entry + PATH_TEXT, text);
    putList(writer, entry + PATH_EXACT, exact);
    putList(writer, entry + PATH_PREFIX, prefix);
    const bytes = writer.bytesOf(range);
    entries.push({ hash: hashPath(number, bytes), offset: entry });
    depths |=
      1 <<
      Math.min(
        DEPTH_BIT_MAX,
        bytes.reduce((sum, byte) => sum + (byte === SLASH ? 1 : 0), 0),
      );
    longest = Math.max(longest, bytes.length);
  }
  writer.putU32(at + VHOST_DEPTHS, depths >>> 0);
  writer.putU32(at + VHOST_PATH_BYTES_MAX, longest);
}

function putList(writer: ProgramWriter, at: number, numbers: readonly number[]): void {
  if (numbers.length === 0) return;
  const list = writer.reserve(4 * numbers.length);
  for (const [index, number] of numbers.entries()) writer.putU32(list + 4 * index, number);
  writer.putU32(at, list);
  writer.putU32(at + 4, numbers.length);
}
