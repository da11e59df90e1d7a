// mesh.yaml: the whole mesh as one text, for people who have no etcd and for `pillion apply`.
//
// The text is split into the same documents that etcd holds one by one, and goes through the same store, strictly: any
// issue refuses the whole file, and all issues are reported at once, each with line and column. A key with nothing
// behind it (`mesh:` with every line commented out) counts as not written, as people mean it; a text with nothing in
// it at all does not, because half-written files look like that.

import { type Document, LineCounter, parseDocument as parseYaml } from "yaml";
import { messageOf, nearestOf, parseAddress } from "../base/index.ts";
import type { CheckPattern } from "./checks.ts";
import { instanceIdOf, listedInstanceSchema, SCHEMA_VERSION } from "./document-schemas.ts";
import type { Documents } from "./documents.ts";
import { type Issue, judge } from "./issue.ts";
import { type DocumentId, formatId } from "./keyspace.ts";
import { isName } from "./kinds.ts";
import { locatePath, placeOf } from "./locate.ts";
import { isSection, type Written } from "./merge.ts";
import { createDocumentStore } from "./store.ts";

/** An issue with its place in the text. */
export interface LocatedIssue {
  readonly line: number;
  readonly column: number;
  /** `services.users.balance.policy`; empty for the text as a whole. */
  readonly path: string;
  readonly message: string;
  readonly hint?: string | undefined;
}

/** A document as written, ready to be stored under its key. */
export interface WrittenDocument {
  readonly id: DocumentId;
  readonly value: Written;
}

export type MeshFile =
  | {
      readonly ok: true;
      readonly documents: Documents;
      readonly written: readonly WrittenDocument[];
      readonly warnings: readonly LocatedIssue[];
    }
  | { readonly ok: false; readonly issues: readonly LocatedIssue[]; readonly warnings: readonly LocatedIssue[] };

export interface MeshFileOptions {
  /** For messages about the text as a whole. */
  readonly fileName: string;
  readonly checkPattern?: CheckPattern | undefined;
  /** Services that rules may name although the file does not; `any`: whichever. Default: none. */
  readonly knownServices?: ReadonlySet<string> | "any" | undefined;
}

const SECTIONS = ["schemaVersion", "mesh", "services", "routes", "access"] as const;

/** Parses a mesh file; every problem is reported, not the first alone. */
export function parseMeshFile(text: string, { fileName, checkPattern, knownServices }: MeshFileOptions): MeshFile {
  const lines = new LineCounter();
  const document = parseYaml(text, { lineCounter: lines, prettyErrors: false });
  const source = { document, lines };
  if (document.errors.length > 0) {
    const issues = document.errors.map(({ code, pos, message }) => {
      const key = code === "DUPLICATE_KEY" ? /^[\w.-]+/.exec(text.slice(pos[0]))?.[0] : undefined;
      const words = key === undefined ? message : `${key} is written twice in one section`;
      return { ...placeOf(lines, pos[0]), path: "", message: words };
    });
    return { ok: false, issues, warnings: [] };
  }
  const content = readContent(document);
  if (!content.ok) {
    const issue = { line: 1, column: 1, path: "", message: `${fileName} ${content.problem}` };
    return { ok: false, issues: [issue], warnings: [] };
  }
  const split = splitFile(content.value);
  const store = createDocumentStore({
    mode: "strict",
    checkPattern,
    knownServices: knownServices === "any" ? undefined : (knownServices ?? new Set()),
  });
  const { documents, rejected } = store.write(split.written);
  const locate = ({ path, message, hint, isKey = false }: Issue): LocatedIssue => {
    const place = locatePath(source, path, { isKey });
    return { ...place, path: path.join("."), message, ...(hint === undefined ? {} : { hint }) };
  };
  const rebase = ({ id, path, ...issue }: Issue & { readonly id: DocumentId }): Issue => {
    const base = split.bases.get(formatId(id)) ?? [];
    return { ...issue, path: [...base, ...path] };
  };
  const refused = new Set(rejected.map(({ message, path, id }) => `${formatId(id)} ${path.join(".")} ${message}`));
  const warnings = store
    .warnings()
    .filter(({ message, path, id }) => !refused.has(`${formatId(id)} ${path.join(".")} ${message}`))
    .map((issue) => locate(rebase(issue)));
  const issues = [...split.issues, ...rejected.map(rebase)].map(locate);
  if (issues.length > 0) return { ok: false, issues: sortIssues(issues), warnings: sortIssues(warnings) };
  return { ok: true, documents, written: split.written, warnings: sortIssues(warnings) };
}

/** `mesh.yaml:12:7: services.users.balanc: unknown field balanc (did you mean balance?)` */
export function formatIssue(fileName: string, { line, column, path, message, hint }: LocatedIssue): string {
  const where = path === "" ? "" : `${path}: `;
  return `${fileName}:${line}:${column}: ${where}${message}${hint === undefined ? "" : ` (${hint})`}`;
}

type Content = { readonly ok: true; readonly value: Written } | { readonly ok: false; readonly problem: string };

function readContent(document: Document): Content {
  let value: unknown;
  try {
    // yaml refuses to expand more than a hundred aliases: a text of 1 KiB could otherwise fill the memory.
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    return { ok: false, problem: `cannot be read: ${messageOf(error)}` };
  }
  if (value === null || value === undefined) return { ok: false, problem: "is empty" };
  if (!isSection(value)) return { ok: false, problem: `must be sections: ${SECTIONS.slice(1).join(", ")}` };
  return { ok: true, value };
}

interface SplitFile {
  readonly written: readonly WrittenDocument[];
  readonly issues: readonly Issue[];
  /** Where a document begins in the file, by `formatId`. */
  readonly bases: ReadonlyMap<string, readonly (string | number)[]>;
}

/** Takes a file apart into documents; what is wrong with its frame becomes issues. */
function splitFile(file: Written): SplitFile {
  const written: WrittenDocument[] = [];
  const issues: Issue[] = [];
  const bases = new Map<string, readonly (string | number)[]>();
  const add = (id: DocumentId, value: Written, base: readonly (string | number)[]) => {
    written.push({ id, value });
    bases.set(formatId(id), base);
  };
  issues.push(...checkFrame(file));
  const mesh = sectionOf(file.mesh, ["mesh"], issues);
  if (mesh !== undefined) add({ kind: "mesh" }, withoutNothing(mesh) as Written, ["mesh"]);
  for (const [name, value, base] of namedSections(file, "services", issues)) {
    const { instances, ...service } = value;
    // A service that says nothing but who answers has no document of its own, as in etcd.
    const isImplicit = Object.keys(service).length === 0 && Array.isArray(instances) && instances.length > 0;
    if (!isImplicit) add({ kind: "service", name }, service, base);
    bases.set(formatId({ kind: "service", name }), base);
    for (const [index, id, instance] of listedInstances(instances, base, issues)) {
      add({ kind: "instance", service: name, name: id }, instance, [...base, "instances", index]);
    }
  }
  for (const [name, value, base] of namedSections(file, "routes", issues)) add({ kind: "route", name }, value, base);
  for (const [name, value, base] of namedSections(file, "access", issues)) add({ kind: "access", name }, value, base);
  return { written, issues, bases };
}

function checkFrame(file: Written): Issue[] {
  const issues: Issue[] = [];
  for (const key of Object.keys(file)) {
    if ((SECTIONS as readonly string[]).includes(key)) continue;
    const nearest = nearestOf(key, SECTIONS);
    const hint = nearest === undefined ? `a mesh file holds ${SECTIONS.join(", ")}` : `did you mean ${nearest}?`;
    issues.push({ path: [key], message: `unknown field ${key}`, hint, isKey: true });
  }
  const { schemaVersion } = file;
  if (schemaVersion !== undefined && schemaVersion !== SCHEMA_VERSION) {
    issues.push({ path: ["schemaVersion"], message: `must be ${SCHEMA_VERSION}` });
  }
  return issues;
}

function* namedSections(
  file: Written,
  folder: string,
  issues: Issue[],
): Generator<[name: string, value: Written, base: string[]]> {
  for (const [name, value] of Object.entries(sectionOf(file[folder], [folder], issues) ?? {})) {
    const base = [folder, name];
    if (!isName(name)) {
      const hint = isName(name.toLowerCase())
        ? "names are lower case"
        : "letters, digits and - in labels joined by dots";
      issues.push({ path: base, message: `${name} is not a name`, hint, isKey: true });
    }
    const section = sectionOf(value ?? {}, base, issues);
    if (section !== undefined && isName(name)) yield [name, withoutNothing(section) as Written, base];
  }
}

function* listedInstances(
  listed: unknown,
  base: readonly string[],
  issues: Issue[],
): Generator<[index: number, id: string, value: Written]> {
  if (listed === undefined) return;
  const path = [...base, "instances"];
  if (!Array.isArray(listed)) {
    issues.push({ path, message: "must be a list", hint: "each instance begins with - " });
    return;
  }
  const indexOfId = new Map<string, number>();
  for (const [index, element] of listed.entries()) {
    const judged = judge(listedInstanceSchema, element, "strict");
    issues.push(...judged.issues.map((issue) => ({ ...issue, path: [...path, index, ...issue.path] })));
    if (judged.value === undefined) continue;
    const { id: written, ...value } = judged.written;
    const id = instanceIdOfWritten(judged.written);
    const first = indexOfId.get(id);
    if (first !== undefined) {
      const message = `${id} is the id of instance ${first + 1} of this service already`;
      issues.push({ path: [...path, index, written === undefined ? "address" : "id"], message });
      continue;
    }
    indexOfId.set(id, index);
    yield [index, id, value];
  }
}

/** The id of an instance in a file's list: the written one, or one made of the address. */
export function instanceIdOfWritten(instance: unknown): string {
  if (!isSection(instance)) return "";
  if (typeof instance.id === "string") return instance.id;
  const parsed = parseAddress(String(instance.address));
  return parsed.ok ? instanceIdOf(parsed.value) : "";
}

/** The section itself; `undefined` where nothing is written or, with an issue, where it is something else. */
function sectionOf(value: unknown, path: readonly string[], issues: Issue[]): Written | undefined {
  if (value === undefined || value === null) return undefined;
  if (isSection(value)) return value;
  issues.push({ path, message: "must be a section" });
  return undefined;
}

/** A copy in which keys with nothing behind them are not written. */
function withoutNothing(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNothing);
  if (!isSection(value)) return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== null);
  return Object.fromEntries(entries.map(([key, inner]) => [key, withoutNothing(inner)]));
}

function sortIssues(issues: readonly LocatedIssue[]): LocatedIssue[] {
  return [...issues].sort((left, right) => left.line - right.line || left.column - right.column);
}
