// A YAML document as it is written, and what it shall say: the few places in the text where the two differ.
//
// Text is spliced, never written anew: comments, quotes, anchors, key order and line ends outside of the splices stay
// as they are. What shares an anchor with something that changes is written out where it stood as an alias. The caller
// reads the result back and compares (manifest-text.ts): a splice that says something else than meant is not believed.

import { isDeepStrictEqual } from "node:util";
import {
  type Alias,
  type Document,
  isMap,
  isPair,
  isScalar,
  isSeq,
  type Node,
  type ParsedNode,
  visit,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import { editsBetween } from "./list-edits.ts";
import { columnOf, dashOffset, firstKeyOffset, renderBlock, type Style } from "./yaml-style.ts";

/** Characters `start` to `end` become `text`. */
export interface Splice {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** YAML 1.1's merge key, which kubectl understands. */
const MERGE_KEY = "<<";

type Json = Readonly<Record<string, unknown>>;

/** The splices that make `after` of a document that says `before`. */
export function editDocument(
  text: string,
  document: Document.Parsed,
  before: unknown,
  after: unknown,
  style: Style,
): Splice[] {
  const editor = new Editor(text, document, style);
  if (document.contents !== null) editor.reconcile(document.contents, before, after, 0);
  editor.writeOutAliases(after);
  return editor.splices;
}

/** Where what a node says ends, without the comment and the blank lines behind it. */
export function endOfContent(text: string, node: ParsedNode | null | undefined): number | undefined {
  if (!node) return undefined;
  if ((isMap(node) || isSeq(node)) && node.flow !== true && node.items.length > 0) {
    const last = node.items.at(-1);
    const ends = isPair(last)
      ? [endOfContent(text, last.value as ParsedNode | null), (last.key as ParsedNode).range[1]]
      : [endOfContent(text, last as ParsedNode | null), dashOffset(node as YAMLSeq.Parsed, node.items.length - 1) + 1];
    return Math.max(...ends.filter((end) => end !== undefined));
  }
  let end = node.range[1];
  while (end > node.range[0] && /\s/.test(text[end - 1] ?? "")) end -= 1;
  return end;
}

class Editor {
  readonly splices: Splice[] = [];
  readonly #text: string;
  readonly #document: Document.Parsed;
  readonly #style: Style;

  constructor(text: string, document: Document.Parsed, style: Style) {
    this.#text = text;
    this.#document = document;
    this.#style = style;
  }

  /** `column`: where the key or the item that holds the node begins. */
  reconcile(node: ParsedNode, before: unknown, after: unknown, column: number): void {
    if (isDeepStrictEqual(before, after)) return;
    if (isMap(node) && isRecord(before) && isRecord(after) && node.items.length > 0) {
      const isGrown = Object.keys(before).every((key) => Object.hasOwn(after, key));
      if (isGrown) {
        this.#growMap(node as YAMLMap.Parsed, before, after);
        return;
      }
    }
    if (isSeq(node) && Array.isArray(before) && Array.isArray(after) && node.items.length > 0) {
      if (this.#growList(node as YAMLSeq.Parsed, before, after)) return;
    }
    this.#replace(node, after, column);
  }

  /** Aliases of what was changed in place say what they shall say by themselves. */
  writeOutAliases(after: unknown): void {
    const changed = [...this.splices];
    visit(this.#document, {
      Alias: (_, alias, path) => {
        const source = alias.resolve(this.#document) as ParsedNode | undefined;
        const range = source?.range;
        const at = (alias as Alias.Parsed).range[0];
        if (!range || !changed.some(({ start }) => start >= range[0] && start <= range[2])) return;
        if (changed.some(({ start, end }) => at >= start && at < end)) return;
        const parent = path.at(-1);
        const isMerge = isPair(parent) && keyOf(parent.key) === MERGE_KEY;
        const value = isMerge ? source.toJS(this.#document) : valueAt(after, path, alias);
        this.splices.push({ start: at, end: (alias as Alias.Parsed).range[1], text: JSON.stringify(value) });
      },
    });
  }

  #growMap(map: YAMLMap.Parsed, before: Json, after: Json): void {
    const added: [string, unknown][] = [];
    for (const [key, value] of Object.entries(after)) {
      const pair = map.items.find((each) => keyOf(each.key) === key);
      if (pair === undefined) {
        // What a merge key brought along and stays as it is needs no line of its own.
        if (!Object.hasOwn(before, key) || !isDeepStrictEqual(before[key], value)) added.push([key, value]);
      } else if (pair.value !== null) {
        this.reconcile(pair.value, before[key], value, columnOf(this.#text, pair.key.range[0]));
      }
    }
    if (added.length === 0) return;
    if (map.flow === true) {
      const inner = added.map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}, `).join("");
      const start = this.#text.indexOf("{", map.range[0]) + 1;
      this.splices.push({ start, end: start, text: inner });
      return;
    }
    const column = columnOf(this.#text, firstKeyOffset(map));
    this.#insertBelow(endOfContent(this.#text, map) ?? map.range[1], Object.fromEntries(added), column);
  }

  /** Only where items came between others; false for any other change. */
  #growList(list: YAMLSeq.Parsed, before: readonly unknown[], after: readonly unknown[]): boolean {
    const edits = editsBetween(before, after);
    if (edits === undefined || before.length !== list.items.length) return false;
    let next = 0;
    for (const edit of edits) {
      const { to } = edit;
      if (edit.kind === "keep") {
        const item = list.items[edit.from] as ParsedNode;
        const column = list.flow === true ? 0 : columnOf(this.#text, dashOffset(list, edit.from));
        this.reconcile(item, before[edit.from], after[to], column);
        next = edit.from + 1;
      } else this.#insertItem(list, next, after[to]);
    }
    return true;
  }

  #insertItem(list: YAMLSeq.Parsed, index: number, value: unknown): void {
    const text = this.#text;
    if (list.flow === true) {
      const [start, isLast] =
        index < list.items.length
          ? [(list.items[index] as ParsedNode).range[0], false]
          : [endOfContent(text, list.items.at(-1) as ParsedNode) ?? list.range[1] - 1, true];
      const item = JSON.stringify(value);
      this.splices.push({ start, end: start, text: isLast ? `, ${item}` : `${item}, ` });
      return;
    }
    const column = columnOf(text, dashOffset(list, 0));
    if (index >= list.items.length) {
      this.#insertBelow(endOfContent(text, list) ?? list.range[1], [value], column);
      return;
    }
    const dash = dashOffset(list, index);
    const { lineEnd } = this.#style;
    const block = renderBlock([value], column, this.#style);
    const lineStart = dash - columnOf(text, dash);
    if (text.slice(lineStart, dash).trim() !== "") {
      // `- - name: x`: the dash does not begin its line.
      const margin = " ".repeat(column);
      this.splices.push({ start: dash, end: dash, text: `${block.trimStart()}${lineEnd}${margin}` });
      return;
    }
    // Comments right above the item are the item's.
    let start = lineStart;
    for (;;) {
      const above = text.lastIndexOf("\n", start - 2) + 1;
      if (start === 0 || !/^[ \t]*#/.test(text.slice(above, start))) break;
      start = above;
    }
    this.splices.push({ start, end: start, text: `${block}${lineEnd}` });
  }

  /** Puts a block below the line on which something ends. */
  #insertBelow(end: number, value: unknown, column: number): void {
    const at = lineEndAfter(this.#text, end);
    const block = renderBlock(value, column, this.#style);
    this.splices.push({ start: at, end: at, text: `${this.#style.lineEnd}${block}` });
  }

  #replace(node: ParsedNode, value: unknown, column: number): void {
    const text = this.#text;
    const [start] = node.range;
    const end = endOfContent(text, node) ?? node.range[1];
    const isBlock = (isMap(node) || isSeq(node)) && node.flow !== true;
    if (isBlock) {
      const own = isSeq(node)
        ? columnOf(text, dashOffset(node as YAMLSeq.Parsed, 0))
        : columnOf(text, firstKeyOffset(node as YAMLMap.Parsed));
      this.splices.push({ start, end, text: renderBlock(value, own, this.#style).trimStart() });
      return;
    }
    const isEmpty = (isMap(node) || isSeq(node)) && node.items.length === 0;
    const isNull = isScalar(node) && node.value === null;
    if ((isEmpty || isNull) && isCollection(value) && !this.#isInFlow(node)) {
      // The line keeps its comment, and the block comes below it.
      const at = lineEndAfter(text, end);
      const deeper = column + (Array.isArray(value) && !this.#style.isDashIndented ? 0 : this.#style.indent);
      let from = start;
      while (text[from - 1] === " ") from -= 1;
      if (end > start) this.splices.push({ start: from, end, text: "" });
      const block = renderBlock(value, deeper, this.#style);
      this.splices.push({ start: at, end: at, text: `${this.#style.lineEnd}${block}` });
      return;
    }
    // JSON is YAML, wherever a value may stand.
    const lead = text[start - 1] === ":" ? " " : "";
    this.splices.push({ start, end, text: `${lead}${JSON.stringify(value)}` });
  }

  #isInFlow(node: Node): boolean {
    let isInside = false;
    visit(this.#document, (_, each, path) => {
      if (each !== node) return;
      isInside = path.some((parent) => (isMap(parent) || isSeq(parent)) && parent.flow === true);
      return visit.BREAK;
    });
    return isInside;
  }
}

function lineEndAfter(text: string, offset: number): number {
  const newline = text.indexOf("\n", offset);
  const end = newline < 0 ? text.length : newline;
  return text[end - 1] === "\r" ? end - 1 : end;
}

/** The value at the place of a node, by the keys and indices of the nodes above it. */
function valueAt(root: unknown, path: readonly unknown[], node: unknown): unknown {
  let value = root;
  for (const [index, parent] of path.entries()) {
    const child = path[index + 1] ?? node;
    if (isSeq(parent)) value = (value as unknown[] | undefined)?.[parent.items.indexOf(child as never)];
    else if (isPair(parent)) value = (value as Json | undefined)?.[keyOf(parent.key) ?? ""];
  }
  return value;
}

/** A key as text; the library has a symbol in place of `<<`. */
function keyOf(key: unknown): string | undefined {
  if (!isScalar(key)) return undefined;
  return typeof key.value === "symbol" ? MERGE_KEY : `${key.value}`;
}

function isCollection(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

function isRecord(value: unknown): value is Json {
  return isCollection(value) && !Array.isArray(value);
}
