// From a path in a document to the line and column where a person wrote it.
//
// `yaml` keeps the range of every node. A missing field has none: then the nearest section above it that exists is
// named, which is where the field belongs. Aliases lead to what they stand for.

import { type Document, isAlias, isMap, isNode, isScalar, isSeq, type LineCounter, type Node, type Pair } from "yaml";

/** A place in a text; both count from 1, as editors do. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface LocateOptions {
  /** The field's name rather than its value. */
  readonly isKey: boolean;
}

/** The place of `path`, or of the deepest part of it that exists. */
export function locatePath(
  source: { readonly document: Document; readonly lines: LineCounter },
  path: readonly (string | number)[],
  { isKey }: LocateOptions,
): Place {
  let node: unknown = source.document.contents;
  let offset = offsetOf(node) ?? 0;
  for (const [depth, step] of path.entries()) {
    const pair = stepInto(resolveAlias(node, source.document), step);
    if (pair === undefined) break;
    const isLast = depth === path.length - 1;
    const keyOffset = offsetOf(pair.key);
    const valueOffset = offsetOf(pair.value);
    offset = (isLast && isKey ? keyOffset : valueOffset) ?? keyOffset ?? offset;
    node = pair.value;
  }
  return placeOf(source.lines, offset);
}

/** The line and column of a character. */
export function placeOf(lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

interface Step {
  readonly key: unknown;
  readonly value: unknown;
}

function stepInto(node: unknown, step: string | number): Step | undefined {
  if (isSeq(node)) {
    const value = node.items[Number(step)];
    return value === undefined ? undefined : { key: undefined, value };
  }
  if (!isMap(node)) return undefined;
  return (node.items as Pair[]).find(({ key }) => String(isScalar(key) ? key.value : key) === String(step));
}

function resolveAlias(node: unknown, document: Document): unknown {
  return isAlias(node) ? node.resolve(document) : node;
}

function offsetOf(node: unknown): number | undefined {
  return isNode(node) ? (node as Node).range?.[0] : undefined;
}
