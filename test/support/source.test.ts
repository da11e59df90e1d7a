// The scanner behind the tidy test: what is code, what is imported, how long a function is.

import { expect, test } from "vitest";
import { blank, functionsOf, importsOf, type SourceFile } from "./source.ts";

function sourceOf(text: string, path = "src/a/b.ts"): SourceFile {
  return { path, text, code: blank(text) };
}

test("comments, strings, templates and regular expressions are blanked, code stays", () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text, in a string
  const text = "a('x}'); // }\n/* } */ b(`}${c({ d: `}` })}}`); e = /[/}]\\//g; f = g / h / i;";
  const code = blank(text);
  expect(code.length).toBe(text.length);
  expect(code.replace(/\s+/g, " ")).toBe("a( ); b( c({ d: }) ); e = ; f = g / h / i;");
});

test("imports are found, with their kind, and not in comments", () => {
  const text = `// import { no } from "./no.ts";
import { type A, b as c } from "../x/y.ts";
import type { D } from "zod";
import {
  type E,
} from "./z.ts";
export { f } from "./f.ts";
import "./side.ts";
export function f(a: B): "from" | "x" {
  return a;
}
const g = await import("node:fs");
const text = 'import { h } from "./h.ts"';`;
  expect(importsOf(sourceOf(text)).map((found) => [found.target ?? found.specifier, found.isTypeOnly])).toEqual([
    ["src/x/y.ts", false],
    ["zod", true],
    ["src/a/z.ts", true],
    ["src/a/f.ts", false],
    ["src/a/side.ts", false],
    ["node:fs", false],
  ]);
});

test("functions, methods and arrows are measured, blocks and objects are not", () => {
  const text = `export function one<T>(a: T): Promise<T> {
  if (a) {
  }
}
class Two {
  #three(): void {
    for (;;) {}
  }
}
const four = (a: number) => {
};
const five = { six() {
  }, seven: call({
  }) };
`;
  const spans = functionsOf(sourceOf(text)).map(({ name, line, lines }) => [name, line, lines]);
  expect(spans.sort((a, b) => Number(a[1]) - Number(b[1]))).toEqual([
    ["one", 1, 4],
    ["#three", 6, 3],
    ["four", 10, 2],
    ["six", 12, 2],
  ]);
});
