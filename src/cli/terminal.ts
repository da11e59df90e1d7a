// What a command writes to: text for people on a terminal, lines for pipes, JSON for machines.
//
// Commands get a `Terminal` instead of the process's streams, so that a test reads what they print. Colour is plain
// ANSI and only on a terminal; NO_COLOR (no-color.org) switches it off.

import { styleText } from "node:util";
import { Option } from "commander";

export interface Terminal {
  /** Somebody looks: colour and redrawing make sense. */
  readonly isTty: boolean;
  readonly columns: number;
  readonly rows: number;
  write(text: string): void;
  writeError(text: string): void;
}

/** The terminal or pipe that this process has. */
export const processTerminal: Terminal = {
  isTty: process.stdout.isTTY === true && process.env.NO_COLOR === undefined,
  get columns() {
    return process.stdout.columns ?? 80;
  },
  get rows() {
    return process.stdout.rows ?? 24;
  },
  write: (text) => void process.stdout.write(text),
  writeError: (text) => void process.stderr.write(text),
};

export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

/** The text in a style where the terminal shows styles. */
export function paint(terminal: Terminal, style: Style | readonly Style[], text: string): string {
  return terminal.isTty ? styleText(style as Style, text, { validateStream: false }) : text;
}

export type OutputFormat = "text" | "json";

/** `--output text|json`, the same on every command that prints something. */
export function createOutputOption(): Option {
  return new Option("-o, --output <format>", "text for people, json for machines")
    .choices(["text", "json"])
    .default("text");
}

/** Prints a value for machines: one JSON document. */
export function writeJson(terminal: Terminal, value: unknown): void {
  terminal.write(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** Aligns columns by what is seen (styles take no room); the last column is left as it is. */
export function formatTable(rows: readonly (readonly string[])[], gap = 2): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, widthOf(cell));
  }
  const pad = (cell: string, column: number, row: readonly string[]) =>
    column === row.length - 1 ? cell : cell + " ".repeat((widths[column] ?? 0) - widthOf(cell) + gap);
  return rows.map((row) => `${row.map((cell, column) => pad(cell, column, row)).join("")}\n`).join("");
}

/** Columns that a text takes, without its ANSI sequences. */
export function widthOf(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ESC begins the sequences (ECMA-48 §5.4)
  return [...text.replace(/\x1b\[[0-9;]*m/g, "")].length;
}
