// Manifests as text: a stream of YAML documents (or JSON, which is YAML) in, the same stream with sidecars out.
//
// Every document is spliced by itself, read back, and compared with what was meant. A document whose way of writing
// defeats the splices is written anew, and that is said: its comments are lost, its meaning is not.

import { isDeepStrictEqual } from "node:util";
import { type Document, LineCounter, parseAllDocuments, type ScalarTag, stringify, type Tags } from "yaml";

type Tag = Tags[number];

import { type Injection, injectPod } from "./inject-pod.ts";
import { replaceAt, type Workload, workloadsOf } from "./manifest.ts";
import type { InjectOptions } from "./options.ts";
import { editDocument, endOfContent, type Splice } from "./yaml-edit.ts";
import { styleOf } from "./yaml-style.ts";

/** What became of one workload. */
export interface Report extends Injection {
  /** `Deployment shop/web`. */
  readonly name: string;
  /** Of the document that it stands in, from 1. */
  readonly line: number;
}

export interface InjectedText {
  readonly text: string;
  readonly reports: readonly Report[];
  /** Documents without a workload: left as they are. */
  readonly otherCount: number;
  /** `line:column: what`; then the text is as it was. */
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Plain scalars that kubectl's YAML (1.1, as go-yaml reads it) understands otherwise than YAML 1.2: file modes and old
 * booleans. They matter where a value has to be written anew.
 */
const OLD_TAGS: readonly ScalarTag[] = [
  {
    default: true,
    tag: "tag:yaml.org,2002:int",
    test: /^[-+]?0[0-7]+$/,
    resolve: (text) => Number.parseInt(text, 8),
  },
  {
    default: true,
    tag: "tag:yaml.org,2002:bool",
    test: /^(?:yes|Yes|YES|on|On|ON|no|No|NO|off|Off|OFF)$/,
    resolve: (text) => /^(yes|on)$/i.test(text),
  },
];

/** `merge`: `<<` is what kubectl understands; errors are told by us. */
const PARSING = {
  keepSourceTokens: true,
  merge: true,
  prettyErrors: false,
  logLevel: "silent",
  customTags: (tags: readonly Tag[]): Tag[] => [...OLD_TAGS, ...tags] as Tag[],
} as const;

/** Injects into every workload of a stream. */
export function injectText(text: string, options: InjectOptions): InjectedText {
  const lines = new LineCounter();
  const documents = readDocuments(text, lines);
  const problems = documents.flatMap(({ errors }) =>
    errors.map(({ pos, message }) => {
      const { line, col } = lines.linePos(pos[0]);
      return `${line}:${col}: ${message}`;
    }),
  );
  const reports: Report[] = [];
  const warnings: string[] = [];
  const splices: Splice[] = [];
  let otherCount = 0;
  if (problems.length > 0) return { text, reports, otherCount, problems, warnings };
  for (const document of documents) {
    if (document.contents === null) continue;
    const before = readValue(document, lines, problems);
    const workloads = workloadsOf(before);
    if (workloads.length === 0) otherCount += 1;
    const { line } = lines.linePos(document.contents.range[0]);
    let after = before;
    for (const workload of workloads) {
      const injection = injectPod(workload.template, workload.owner, options);
      reports.push({ ...injection, name: nameOf(workload), line, warnings: warningsOf(workload, injection) });
      if (injection.outcome.kind === "injected") after = replaceAt(after, workload.path, injection.outcome.pod);
    }
    if (after === before) continue;
    const edited = editVerified(text, document, before, after);
    splices.push(...edited.splices);
    if (!edited.isSpliced) warnings.push(`line ${line}: this document was written anew; its comments are lost`);
  }
  return { text: problems.length > 0 ? text : spliced(text, splices), reports, otherCount, problems, warnings };
}

/** An empty stream is an empty list. */
function readDocuments(text: string, lineCounter?: LineCounter): Document.Parsed[] {
  const parsed = parseAllDocuments(text, { ...PARSING, ...(lineCounter === undefined ? {} : { lineCounter }) });
  return Array.isArray(parsed) ? [...parsed] : [];
}

/** Aliases may multiply until nothing holds them; the library stops that by throwing. */
function readValue(document: Document.Parsed, lines: LineCounter, problems: string[]): unknown {
  try {
    return document.toJS();
  } catch (error) {
    const { line, col } = lines.linePos(document.range[0]);
    problems.push(`${line}:${col}: ${error instanceof Error ? error.message : error}`);
    return undefined;
  }
}

function editVerified(text: string, document: Document.Parsed, before: unknown, after: unknown) {
  const [start, , end] = document.range;
  const style = styleOf(text, document);
  const splices = editDocument(text, document, before, after, style);
  const own = splices.map((splice) => ({ ...splice, start: splice.start - start, end: splice.end - start }));
  if (isReadAs(spliced(text.slice(start, end), own), after)) return { splices, isSpliced: true };
  const [contentStart = start] = document.contents?.range ?? [];
  const contentEnd = endOfContent(text, document.contents) ?? end;
  const anew = stringify(after, { version: "1.1", indent: style.indent, lineWidth: 0, aliasDuplicateObjects: false });
  const written = anew.trimEnd().replaceAll("\n", style.lineEnd);
  return { splices: [{ start: contentStart, end: contentEnd, text: written }], isSpliced: false };
}

function isReadAs(text: string, meant: unknown): boolean {
  const [document, ...rest] = readDocuments(text);
  if (document === undefined || rest.length > 0 || document.errors.length > 0) return false;
  try {
    // By way of JSON: key order and shared objects are no difference, and `undefined` is absence.
    return isDeepStrictEqual(JSON.parse(JSON.stringify(document.toJS())), JSON.parse(JSON.stringify(meant)));
  } catch {
    return false;
  }
}

/** Carries out splices; those at one place in the order given. */
function spliced(text: string, splices: readonly Splice[]): string {
  const ordered = splices.toSorted((a, b) => a.start - b.start);
  let result = "";
  let done = 0;
  for (const { start, end, text: inserted } of ordered) {
    result += text.slice(done, Math.max(start, done)) + inserted;
    done = Math.max(done, end);
  }
  return result + text.slice(done);
}

function nameOf({ owner, namespace }: Workload): string {
  return `${owner.kind} ${namespace === undefined ? "" : `${namespace}/`}${owner.name ?? "(without a name)"}`;
}

/** An annotation of ours on the workload itself is seen by nobody. */
function warningsOf({ annotations, owner }: Workload, { warnings }: Injection): readonly string[] {
  const misplaced = annotations.filter((key) => key.startsWith("pillion.io/"));
  if (misplaced.length === 0) return warnings;
  const text = `${misplaced.join(", ")}: on the ${owner.kind} itself it has no effect; write it into its pod template`;
  return [...warnings, text];
}
