// Reading the project's own source for test/tidy.test.ts: which files there are, and what in them is code.
//
// A scanner, not a parser: it knows comments, strings, templates and regular expressions well enough to blank them out,
// and then looks at what is left. It serves both halves, TypeScript and AssemblyScript, whose grammars differ in ways
// that do not matter here. Where it cannot be sure (a function whose return type is an object type) it says nothing.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";

export const projectRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** One file of the project. */
export interface SourceFile {
  /** From the project's folder, with slashes: `src/base/clock.ts`. */
  readonly path: string;
  readonly text: string;
  /** The text with comments, strings, templates and regular expressions blanked out; same length, same lines. */
  readonly code: string;
}

/** One import or re-export. */
export interface Import {
  /** As written: `./clock.ts`, `node:fs`, `zod`. */
  readonly specifier: string;
  /** Path from the project's folder; undefined for packages. */
  readonly target: string | undefined;
  readonly isTypeOnly: boolean;
  readonly names: readonly string[];
  readonly line: number;
}

/** The body of a function, by lines. */
export interface FunctionSpan {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
}

/** All files below the given folders (or the files themselves) whose name matches. */
export function listFiles(folders: readonly string[], wanted: RegExp): string[] {
  return folders.flatMap(walk).filter((path) => wanted.test(path));
}

function walk(path: string): string[] {
  const stats = statSync(join(projectRoot, path), { throwIfNoEntry: false });
  if (stats === undefined) return [];
  if (!stats.isDirectory()) return [path];
  if (path === "node_modules" || path.endsWith("/node_modules")) return [];
  return readdirSync(join(projectRoot, path))
    .sort()
    .flatMap((name) => walk(`${path}/${name}`));
}

export function readSource(path: string): SourceFile {
  const text = readFileSync(join(projectRoot, path), "utf8");
  return { path, text, code: blank(text) };
}

/** 1-based line of an offset. */
export function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}

/** A slash after one of these begins a regular expression, after anything else it divides. */
const BEFORE_REGEX = /(^|[([{,;=:!&|?+\-*%~^<>]|\b(?:return|typeof|case|in|of|do|else|await|yield|void))\s*$/;

/** Blanks out what is not code; keeps quotes, line ends and length. */
export function blank(text: string): string {
  let code = "";
  /** Depth of braces at which each open `${` ends. */
  const templates: number[] = [];
  let depth = 0;
  let at = 0;
  const skip = (end: number) => {
    code += text.slice(at, end).replace(/[^\n]/g, " ");
    at = end;
  };
  while (at < text.length) {
    const char = text[at] ?? "";
    if (text.startsWith("//", at) || (at === 0 && text.startsWith("#!"))) {
      skip(endOf(text, "\n", at));
    } else if (text.startsWith("/*", at)) {
      skip(Math.min(text.length, endOf(text, "*/", at + 2) + 2));
    } else if (char === '"' || char === "'") {
      skip(quoteEnd(text, at, char));
    } else if (char === "`" || (char === "}" && templates.at(-1) === depth)) {
      if (char === "}") templates.pop();
      const end = templateEnd(text, at + 1);
      if (text[end - 1] === "{") templates.push(depth);
      skip(end);
    } else if (char === "/" && BEFORE_REGEX.test(code.slice(-80))) {
      skip(regexEnd(text, at));
    } else {
      if (char === "{") depth += 1;
      if (char === "}") depth -= 1;
      code += char;
      at += 1;
    }
  }
  return code;
}

function endOf(text: string, mark: string, from: number): number {
  const end = text.indexOf(mark, from);
  return end < 0 ? text.length : end;
}

function quoteEnd(text: string, from: number, quote: string): number {
  let at = from + 1;
  while (at < text.length && text[at] !== quote && text[at] !== "\n") at += text[at] === "\\" ? 2 : 1;
  return Math.min(text.length, at + 1);
}

/** After the closing backtick, or after the `${` that interrupts the template. */
function templateEnd(text: string, from: number): number {
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === "`") return at + 1;
    else if (text.startsWith("${", at)) return at + 2;
  }
  return text.length;
}

function regexEnd(text: string, from: number): number {
  let isClass = false;
  let at = from + 1;
  for (; at < text.length && text[at] !== "\n"; at += 1) {
    const char = text[at];
    if (char === "\\") at += 1;
    else if (char === "[") isClass = true;
    else if (char === "]") isClass = false;
    else if (char === "/" && !isClass) break;
  }
  at += 1;
  while (/[a-z]/.test(text[at] ?? "")) at += 1;
  return Math.min(text.length, at);
}

const IMPORT =
  /^[ \t]*(import|export)\b(\s+type\b)?([^;"'()=]*?)\bfrom\s*["']([^"'\n]+)["']|^[ \t]*(import)\s*["']([^"'\n]+)["']/gm;
const DYNAMIC_IMPORT = /\bimport\s*\(\s*(["'])([^"'\n]+)\1/g;

/** Imports, re-exports and dynamic imports with a literal. */
export function importsOf(file: SourceFile): Import[] {
  const found: Import[] = [];
  for (const match of file.text.matchAll(IMPORT)) {
    const keyword = match[1] ?? match[5] ?? "";
    const at = match.index + match[0].indexOf(keyword);
    if (file.code[at] !== keyword[0]) continue; // inside a comment or a string
    const braces = /\{([^}]*)\}/.exec(match[3] ?? "")?.[1];
    const parts = (braces ?? "")
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== "");
    const isTypeOnly = match[2] !== undefined || (parts.length > 0 && parts.every((part) => part.startsWith("type ")));
    const names = parts.map((part) => part.replace(/^type\s+/, "").replace(/\s+as\s+.*/, ""));
    found.push(toImport(file, at, match[4] ?? match[6] ?? "", isTypeOnly, names));
  }
  for (const match of file.text.matchAll(DYNAMIC_IMPORT)) {
    if (file.code[match.index] === "i") found.push(toImport(file, match.index, match[2] ?? "", false, []));
  }
  return found;
}

function toImport(file: SourceFile, at: number, specifier: string, isTypeOnly: boolean, names: string[]): Import {
  const target = specifier.startsWith(".") ? posix.join(posix.dirname(file.path), specifier) : undefined;
  return { specifier, target, isTypeOnly, names, line: lineOf(file.text, at) };
}

const NOT_A_FUNCTION = /^(if|for|while|switch|catch|else|do|try|with|return|class|interface|type|new)\b/;
const METHOD =
  /^(?:(?:export|default|async|static|override|readonly|get|set|declare)\s+|[*@]\s*)*([\w$#]+)\s*(?:<[\s\S]*>)?\(/;

/** Every function, method and arrow function with a body. */
export function functionsOf(file: SourceFile): FunctionSpan[] {
  const found: FunctionSpan[] = [];
  const open: (string | undefined)[] = [];
  const starts: number[] = [];
  for (let at = 0; at < file.code.length; at += 1) {
    if (file.code[at] === "{") {
      open.push(functionBefore(file.code, at));
      starts.push(at);
    } else if (file.code[at] === "}") {
      const name = open.pop();
      const start = starts.pop() ?? 0;
      if (name === undefined) continue;
      const line = lineOf(file.code, start);
      found.push({ name, line, lines: lineOf(file.code, at) - line + 1 });
    }
  }
  return found;
}

/** The name of the function whose body the brace at `at` opens; undefined if it opens something else. */
function functionBefore(code: string, at: number): string | undefined {
  let from = at - 1;
  let parentheses = 0;
  for (; from >= 0; from -= 1) {
    const char = code[from] ?? "";
    if (char === ")") parentheses += 1;
    else if (char === "(") parentheses -= 1;
    if (parentheses < 0) break;
    if (parentheses === 0 && (char === ";" || char === "{" || char === "}")) break;
  }
  const header = code.slice(from + 1, at).trim();
  if (header.endsWith("=>")) return /([\w$]+)\s*(?::[^=]*)?=\s*(?:async\s*)?[(\w<]/.exec(header)?.[1] ?? "(arrow)";
  const named = /\bfunction\b\s*\*?\s*([\w$]*)/.exec(header);
  if (named !== null) return named[1] === "" ? "(function)" : named[1];
  if (NOT_A_FUNCTION.test(header) || !/\)(\s*:[^(){}]+)?$/.test(header)) return undefined;
  return METHOD.exec(header)?.[1];
}
