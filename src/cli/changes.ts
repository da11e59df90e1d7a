// What a mesh file would change in a registry: the comparison behind `apply` and `diff`.
//
// Documents are compared as written, field by field, without regard to the order of fields. What an instance's own
// sidecar registered is never touched: it hangs on a lease, and its owner writes it again.

import { isDeepStrictEqual } from "node:util";
import { formatId, isSection, type WrittenDocument } from "../config/index.ts";
import { ABSENT, type RegistryChange, type StoredDocument } from "../discovery/index.ts";
import { formatCount } from "./check.ts";
import { paint, type Terminal } from "./terminal.ts";

/** One field that differs. */
export interface FieldChange {
  /** Joined by dots; empty for a document that is not a section. */
  readonly path: string;
  /** Undefined: not written. */
  readonly before: unknown;
  readonly after: unknown;
}

/** What happens to one document. */
export interface DocumentPlan {
  readonly action: "create" | "update" | "delete";
  /** `service users`, as people name it. */
  readonly name: string;
  readonly fields: readonly FieldChange[];
  readonly change: RegistryChange;
}

export interface ChangePlan {
  readonly documents: readonly DocumentPlan[];
  readonly unchanged: number;
  /** Names of documents that the file lists and their own sidecars hold. */
  readonly held: readonly string[];
}

export interface PlanOptions {
  /** Delete what the registry holds and the file does not. */
  readonly isPruned: boolean;
}

/** Compares a file's documents with what is stored. */
export function planChanges(
  wanted: readonly WrittenDocument[],
  stored: readonly StoredDocument[],
  { isPruned }: PlanOptions,
): ChangePlan {
  const present = new Map(stored.map((document) => [formatId(document.id), document]));
  const documents: DocumentPlan[] = [];
  const held: string[] = [];
  let unchanged = 0;
  for (const { id, value } of wanted) {
    const name = formatId(id);
    const before = present.get(name);
    present.delete(name);
    if (before?.isLeased === true) held.push(name);
    else if (before !== undefined && isDeepStrictEqual(before.value, value)) unchanged += 1;
    else {
      documents.push({
        action: before === undefined ? "create" : "update",
        name,
        fields: before === undefined ? [] : compareValues("", before.value, value),
        change: { id, value, expectedRevision: before?.revision ?? ABSENT },
      });
    }
  }
  if (isPruned) {
    for (const [name, { id, revision, isLeased }] of present) {
      if (isLeased) continue;
      documents.push({
        action: "delete",
        name,
        fields: [],
        change: { id, value: undefined, expectedRevision: revision },
      });
    }
  }
  return { documents, unchanged, held };
}

/** The fields that differ; lists are compared as a whole. */
function compareValues(path: string, before: unknown, after: unknown): FieldChange[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isSection(before) || !isSection(after)) return [{ path, before, after }];
  const fields = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...fields].flatMap((field) =>
    compareValues(path === "" ? field : `${path}.${field}`, before[field], after[field]),
  );
}

const SIGNS = { create: "+", update: "~", delete: "-" } as const;
const STYLES = { create: "green", update: "yellow", delete: "red" } as const;

/** The plan for people: a line for each document and each field. */
export function formatPlan(terminal: Terminal, { documents, held }: ChangePlan): string {
  const lines: string[] = [];
  for (const { action, name, fields } of documents) {
    lines.push(paint(terminal, STYLES[action], `${SIGNS[action]} ${name}`));
    for (const { path, before, after } of fields) {
      lines.push(`    ${path === "" ? "" : `${path}: `}${formatValue(before)} → ${formatValue(after)}`);
    }
  }
  for (const name of held) lines.push(`  ${name} is held by its own sidecar and stays as it is`);
  return lines.map((line) => `${line}\n`).join("");
}

/** `2 created, 1 updated, 0 deleted, 5 unchanged`. */
export function formatTotals({ documents, unchanged }: ChangePlan): string {
  const count = (action: DocumentPlan["action"]) => documents.filter((plan) => plan.action === action).length;
  return `${count("create")} created, ${count("update")} updated, ${count("delete")} deleted, ${unchanged} unchanged`;
}

/** The plan for machines. */
export function describePlan({ documents, unchanged, held }: ChangePlan) {
  const describe = ({ action, name, fields, change }: DocumentPlan) => ({
    action,
    document: name,
    fields,
    value: change.value,
  });
  return { changes: documents.map(describe), unchanged, held };
}

function formatValue(value: unknown): string {
  return value === undefined ? "(not written)" : typeof value === "string" ? value : JSON.stringify(value);
}

/** `3 documents` of a plan. */
export function formatDocumentCount(plan: ChangePlan): string {
  return formatCount(plan.documents.length, "document");
}
