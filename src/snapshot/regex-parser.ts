// Reads a route's pattern: from text to a tree of byte sets, sequences, alternatives and repetitions.
//
// The grammar is the part of JavaScript's that a finite automaton can match: literals, `.`, classes, groups, `|`, `*`,
// `+`, `?`, `{m,n}`, escapes, and a leading `(?i)`. What needs memory, or sight beyond the current byte, is refused.
// Patterns match a whole text, so `^` at the start and `$` at the end say nothing new and are allowed.
//
// Matching is over bytes. A literal beyond ASCII stands for its UTF-8 bytes; `.` and negated classes take one byte.
// Lazy quantifiers accept the same texts as greedy ones, so they are read alike.

import { assert } from "../base/index.ts";

/** A pattern as a tree. */
export type PatternNode =
  | { readonly kind: "empty" }
  | { readonly kind: "byte"; readonly set: ByteSet }
  | { readonly kind: "sequence" | "choice"; readonly parts: readonly PatternNode[] }
  | { readonly kind: "repeat"; readonly part: PatternNode; readonly min: number; readonly max: number };

/** One flag for each of 256 bytes. */
export type ByteSet = Uint8Array;

/** Thrown for a pattern that is wrong or cannot be matched in linear time; the message says what and where. */
export class PatternProblem extends Error {}

/** Copies beyond this are better written with `*`; the automaton would be refused anyway. */
const REPEAT_MAX = 1000;
/** Patterns are written by people. */
const PATTERN_LENGTH_MAX = 4096;
const GROUP_DEPTH_MAX = 100;

const DIGITS = setOf((byte) => byte >= 48 && byte <= 57);
const WORD = setOf(
  (byte) => (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || byte === 95 || (byte >= 97 && byte <= 122),
);
const SPACE = setOf((byte) => byte === 32 || (byte >= 9 && byte <= 13));
const ANY = setOf((byte) => byte !== 10 && byte !== 13);
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };

const encoder = new TextEncoder();

interface Reader {
  readonly text: string;
  at: number;
  depth: number;
  isFolded: boolean;
}

/** Parses a pattern; throws a `PatternProblem`. */
export function parsePattern(text: string): PatternNode {
  if (text.length > PATTERN_LENGTH_MAX) throw new PatternProblem(`longer than ${PATTERN_LENGTH_MAX} characters`);
  const reader: Reader = { text, at: 0, depth: 0, isFolded: false };
  if (text.startsWith("(?i)")) {
    reader.isFolded = true;
    reader.at = 4;
  }
  if (text[reader.at] === "^") reader.at += 1;
  const node = readChoice(reader);
  if (reader.at < text.length) throw problemAt(reader, "a ) without its (");
  return node;
}

function readChoice(reader: Reader): PatternNode {
  const parts = [readSequence(reader)];
  while (reader.text[reader.at] === "|") {
    reader.at += 1;
    parts.push(readSequence(reader));
  }
  return parts.length === 1 ? parts[0]! : { kind: "choice", parts };
}

function readSequence(reader: Reader): PatternNode {
  const parts: PatternNode[] = [];
  while (reader.at < reader.text.length) {
    const character = reader.text[reader.at]!;
    if (character === "|" || character === ")") break;
    if (character === "$" && reader.at === reader.text.length - 1 && reader.depth === 0) {
      reader.at += 1;
      break;
    }
    parts.push(readRepeat(reader, readAtom(reader)));
  }
  if (parts.length === 0) return { kind: "empty" };
  return parts.length === 1 ? parts[0]! : { kind: "sequence", parts };
}

function readAtom(reader: Reader): PatternNode {
  const character = String.fromCodePoint(reader.text.codePointAt(reader.at)!);
  switch (character) {
    case "(":
      return readGroup(reader);
    case "[":
      return { kind: "byte", set: readClass(reader) };
    case "\\": {
      const escaped = readEscape(reader);
      return typeof escaped === "number"
        ? literal(reader, String.fromCodePoint(escaped))
        : { kind: "byte", set: escaped };
    }
    case ".":
      reader.at += 1;
      return { kind: "byte", set: ANY };
    case "*":
    case "+":
    case "?":
      throw problemAt(reader, `${character} with nothing before it to repeat`);
    case "^":
    case "$":
      throw problemAt(reader, `${character} inside of a pattern: patterns match the whole text, leave it out`);
    default:
      reader.at += character.length;
      return literal(reader, character);
  }
}

function readGroup(reader: Reader): PatternNode {
  const rest = reader.text.slice(reader.at, reader.at + 4);
  if (/^\(\?<?[=!]/.test(rest)) throw problemAt(reader, "look-around is not supported");
  const opening = /^\((\?:|\?<[A-Za-z_]\w*>)?/.exec(reader.text.slice(reader.at))![0];
  if (opening === "(" && rest[1] === "?")
    throw problemAt(reader, `${rest.slice(0, 3)} is not a group that is supported`);
  reader.at += opening.length;
  reader.depth += 1;
  if (reader.depth > GROUP_DEPTH_MAX) throw problemAt(reader, `groups nested deeper than ${GROUP_DEPTH_MAX}`);
  const node = readChoice(reader);
  if (reader.text[reader.at] !== ")") throw problemAt(reader, "a ( without its )");
  reader.at += 1;
  reader.depth -= 1;
  return node;
}

function readRepeat(reader: Reader, part: PatternNode): PatternNode {
  const written = /^(?:[*+?]|\{(\d+)(,(\d*))?\})/.exec(reader.text.slice(reader.at, reader.at + 24));
  if (written === null) return part;
  const [token, least, comma, most] = written;
  const bounds = boundsOf(token, least, comma, most);
  if (bounds.max < bounds.min) throw problemAt(reader, `${token} is the wrong way round`);
  if (bounds.min > REPEAT_MAX || (bounds.max !== Number.POSITIVE_INFINITY && bounds.max > REPEAT_MAX)) {
    throw problemAt(reader, `${token} repeats more than ${REPEAT_MAX} times`);
  }
  reader.at += token.length;
  if (reader.text[reader.at] === "?") reader.at += 1;
  if (/^(?:[*+?]|\{\d+(?:,\d*)?\})/.test(reader.text.slice(reader.at, reader.at + 24))) {
    throw problemAt(reader, "a repetition of a repetition: put the inner one into a group");
  }
  return { kind: "repeat", part, ...bounds };
}

function boundsOf(token: string, least?: string, comma?: string, most?: string): { min: number; max: number } {
  if (token === "*") return { min: 0, max: Number.POSITIVE_INFINITY };
  if (token === "+") return { min: 1, max: Number.POSITIVE_INFINITY };
  if (token === "?") return { min: 0, max: 1 };
  const min = Number(least);
  if (comma === undefined) return { min, max: min };
  return { min, max: most === undefined || most === "" ? Number.POSITIVE_INFINITY : Number(most) };
}

function readClass(reader: Reader): ByteSet {
  const start = reader.at;
  reader.at += 1;
  const isNegated = reader.text[reader.at] === "^";
  if (isNegated) reader.at += 1;
  const set = new Uint8Array(256);
  while (reader.text[reader.at] !== "]") {
    const first = readClassMember(reader, start);
    if (typeof first !== "number") {
      include(set, first);
      continue;
    }
    const isRange =
      reader.text[reader.at] === "-" && reader.at + 1 < reader.text.length && reader.text[reader.at + 1] !== "]";
    if (!isRange) {
      set[first] = 1;
      continue;
    }
    reader.at += 1;
    const last = readClassMember(reader, start);
    if (typeof last !== "number") throw problemAt(reader, "a range that ends in a class");
    if (last < first) throw problemAt(reader, "a range that is the wrong way round");
    set.fill(1, first, last + 1);
  }
  reader.at += 1;
  const folded = reader.isFolded ? foldCase(set) : set;
  return isNegated ? setOf((byte) => folded[byte] === 0) : folded;
}

function readClassMember(reader: Reader, start: number): number | ByteSet {
  if (reader.at >= reader.text.length) {
    reader.at = start;
    throw problemAt(reader, "a [ without its ]");
  }
  const code = reader.text.codePointAt(reader.at)!;
  if (code === 92) {
    const escaped = readEscape(reader);
    if (typeof escaped === "number" && escaped > 127) throw problemAt(reader, "a class of characters beyond ASCII");
    return escaped;
  }
  if (code > 127) throw problemAt(reader, "a class of characters beyond ASCII");
  reader.at += 1;
  return code;
}

/** Reads an escape: a code point, or the set that it stands for. */
function readEscape(reader: Reader): number | ByteSet {
  const character = reader.text[reader.at + 1];
  if (character === undefined) throw problemAt(reader, "a \\ at the end");
  if (/[1-9]/.test(character) || character === "k") throw problemAt(reader, "back references are not supported");
  if (character === "b" || character === "B") throw problemAt(reader, "word boundaries are not supported");
  if (character === "p" || character === "P") throw problemAt(reader, "Unicode properties are not supported");
  const hexadecimal = /^\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))/.exec(reader.text.slice(reader.at, reader.at + 6));
  if (hexadecimal !== null) {
    reader.at += hexadecimal[0].length;
    return Number.parseInt(hexadecimal[1] ?? hexadecimal[2] ?? "", 16);
  }
  const set = escapedSet(character);
  const control = CONTROLS[character];
  const isPunctuation = !/[A-Za-z0-9]/.test(character) && character.charCodeAt(0) < 128;
  if (set === undefined && control === undefined && !isPunctuation)
    throw problemAt(reader, `\\${character} means nothing`);
  reader.at += 2;
  return set ?? control ?? character.charCodeAt(0);
}

function escapedSet(character: string): ByteSet | undefined {
  switch (character) {
    case "d":
      return DIGITS;
    case "D":
      return setOf((byte) => DIGITS[byte] === 0);
    case "w":
      return WORD;
    case "W":
      return setOf((byte) => WORD[byte] === 0);
    case "s":
      return SPACE;
    case "S":
      return setOf((byte) => SPACE[byte] === 0);
    default:
      return undefined;
  }
}

function literal(reader: Reader, character: string): PatternNode {
  const parts = [...encoder.encode(character)].map((byte): PatternNode => {
    const set = new Uint8Array(256);
    set[byte] = 1;
    return { kind: "byte", set: reader.isFolded ? foldCase(set) : set };
  });
  assert(parts.length > 0, "a character without bytes");
  return parts.length === 1 ? parts[0]! : { kind: "sequence", parts };
}

function setOf(has: (byte: number) => boolean): ByteSet {
  return Uint8Array.from({ length: 256 }, (_, byte) => (has(byte) ? 1 : 0));
}

function include(set: ByteSet, other: ByteSet): void {
  for (let byte = 0; byte < 256; byte += 1) set[byte]! |= other[byte]!;
}

function foldCase(set: ByteSet): ByteSet {
  const folded = set.slice();
  for (let byte = 65; byte <= 90; byte += 1) {
    const both = set[byte]! | set[byte + 32]!;
    folded[byte] = both;
    folded[byte + 32] = both;
  }
  return folded;
}

function problemAt(reader: Reader, problem: string): PatternProblem {
  return new PatternProblem(`${problem} (at character ${reader.at + 1})`);
}
