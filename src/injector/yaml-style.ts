// How a YAML text is written, and values written the same way: indentation, dashes, line ends.
//
// Strings are quoted as YAML 1.1 needs it: kubectl still reads `on` and `yes` as booleans.

import {
  type Document,
  isMap,
  isSeq,
  type Pair,
  type ParsedNode,
  stringify,
  visit,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";

export interface Style {
  /** Columns by which a map is deeper than its key. */
  readonly indent: number;
  /** Whether the dashes of a list are deeper than its key. */
  readonly isDashIndented: boolean;
  readonly lineEnd: "\n" | "\r\n";
}

type ParsedPair = Pair<ParsedNode, ParsedNode | null>;

/** Column of an offset. */
export function columnOf(text: string, offset: number): number {
  return offset - (text.lastIndexOf("\n", offset - 1) + 1);
}

/** Takes the style from the first block map and the first block list below a key. */
export function styleOf(text: string, document: Document.Parsed): Style {
  let indent: number | undefined;
  let isDashIndented: boolean | undefined;
  visit(document, {
    Pair(_, pair) {
      const { key, value } = pair as unknown as ParsedPair;
      const keyColumn = columnOf(text, key.range[0]);
      if (isMap(value) && value.flow !== true && value.items.length > 0) {
        indent ??= columnOf(text, firstKeyOffset(value as YAMLMap.Parsed)) - keyColumn;
      } else if (isSeq(value) && value.flow !== true && value.items.length > 0) {
        isDashIndented ??= columnOf(text, dashOffset(value as YAMLSeq.Parsed, 0)) > keyColumn;
      }
      return indent !== undefined && isDashIndented !== undefined ? visit.BREAK : undefined;
    },
  });
  const lineEnd = text.includes("\r\n") ? "\r\n" : "\n";
  return { indent: Math.max(1, indent ?? 2), isDashIndented: isDashIndented ?? true, lineEnd };
}

/** Where the first key of a block map stands. */
export function firstKeyOffset(map: YAMLMap.Parsed): number {
  return map.items[0]?.key.range[0] ?? map.range[0];
}

/** Where the dash of an item of a block list stands. */
export function dashOffset(list: YAMLSeq.Parsed, index: number): number {
  const token = list.srcToken;
  if (token?.type === "block-seq") {
    const dash = token.items[index]?.start.find(({ type }) => type === "seq-item-ind");
    if (dash !== undefined) return dash.offset;
  }
  return list.range[0];
}

/** A value as block YAML, every line at `column`, without an end of line. */
export function renderBlock(value: unknown, column: number, { indent, isDashIndented, lineEnd }: Style): string {
  const text = stringify(value, { version: "1.1", indent, indentSeq: isDashIndented, lineWidth: 0 });
  const margin = " ".repeat(column);
  return text
    .trimEnd()
    .split("\n")
    .map((line) => (line === "" ? line : `${margin}${line}`))
    .join(lineEnd);
}
