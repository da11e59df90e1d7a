// `pillion inject`: manifests in, the same manifests with sidecars out.
//
//   pillion inject -f app.yaml | kubectl apply -f -
//
// Manifests go to stdout, what was done and why to stderr. Nothing is written when something is wrong: half a stream
// in `kubectl apply` would be worse than none. Exit 0: done, though some may have been skipped; 1: refused.

import { type Command, Option } from "commander";
import { pillionError } from "../base/index.ts";
import { type InjectedText, type InjectOptions, injectText, type Report } from "../injector/index.ts";
import { formatCount } from "./check.ts";
import { addInjectFlags, type InjectFlags, toInjectOptions } from "./inject-flags.ts";
import { readText } from "./input.ts";
import { paint, processTerminal, type Style, type Terminal } from "./terminal.ts";

interface Source {
  readonly fileName: string;
  readonly injected: InjectedText;
}

/** Injects into files (`-` is stdin); resolves with the exit code. */
export async function injectFiles(
  terminal: Terminal,
  fileNames: readonly string[],
  options: InjectOptions,
): Promise<number> {
  const sources: Source[] = [];
  for (const fileName of fileNames) {
    sources.push({ fileName, injected: injectText(await readText(fileName), options) });
  }
  const errors = sources.flatMap(errorsOf);
  for (const source of sources) printReports(terminal, source);
  for (const error of errors) terminal.writeError(`${paint(terminal, "red", "error")} ${error}\n`);
  printCounts(terminal, sources, errors.length);
  if (errors.length > 0) return 1;
  terminal.write(joinStreams(sources.map(({ injected }) => injected.text)));
  return 0;
}

function errorsOf({ fileName, injected }: Source): string[] {
  const wrong = injected.problems.map((problem) => `${fileName}:${problem}`);
  const refused = injected.reports.flatMap(({ name, line, outcome, unknown }) => {
    const problems = [...(outcome.kind === "refused" ? outcome.problems : []), ...unknown];
    return problems.map((problem) => `${fileName}:${line}: ${name}: ${problem}`);
  });
  return [...wrong, ...refused];
}

const WORDS: Readonly<Record<Report["outcome"]["kind"], readonly [word: string, style: Style]>> = {
  injected: ["injected", "green"],
  unchanged: ["unchanged", "dim"],
  skipped: ["skipped", "yellow"],
  refused: ["refused", "red"],
};

function printReports(terminal: Terminal, { fileName, injected }: Source): void {
  for (const { name, outcome, warnings } of injected.reports) {
    const [word, style] = WORDS[outcome.kind];
    const about =
      outcome.kind === "skipped" ? outcome.reason : outcome.kind === "refused" ? "see below" : outcome.summary;
    terminal.writeError(`${paint(terminal, style, word.padEnd(9))} ${name}: ${about}\n`);
    const notes = outcome.kind === "injected" ? outcome.notes : [];
    for (const note of notes) terminal.writeError(`          ${note}\n`);
    for (const warning of warnings) printWarning(terminal, `${name}: ${warning}`);
  }
  for (const warning of injected.warnings) printWarning(terminal, `${fileName}: ${warning}`);
}

function printWarning(terminal: Terminal, text: string): void {
  terminal.writeError(`${paint(terminal, "yellow", "warning")}   ${text}\n`);
}

function printCounts(terminal: Terminal, sources: readonly Source[], errorCount: number): void {
  const outcomes = sources.flatMap(({ injected }) => injected.reports.map(({ outcome }) => outcome.kind));
  const others = sources.reduce((sum, { injected }) => sum + injected.otherCount, 0);
  const counts = (["injected", "unchanged", "skipped"] as const)
    .map((kind) => ({ kind, count: outcomes.filter((each) => each === kind).length }))
    .filter(({ kind, count }) => count > 0 || kind === "injected")
    .map(({ kind, count }) => `${count} ${kind}`);
  const rest =
    others === 0 ? [] : [`${formatCount(others, "other document")} left as ${others === 1 ? "it was" : "they were"}`];
  const ending = errorCount === 0 ? "" : `; ${formatCount(errorCount, "error")}, nothing was written`;
  terminal.writeError(`${[...counts, ...rest].join(", ")}${ending}\n`);
}

/** One stream of several: a document must not run into the next. */
function joinStreams(texts: readonly string[]): string {
  return texts.reduce((whole, text) => {
    if (whole === "") return text;
    return `${whole}${whole.endsWith("\n") ? "" : "\n"}${/^(%|---)/.test(text) ? "" : "---\n"}${text}`;
  }, "");
}

interface InjectCommandFlags extends InjectFlags {
  readonly file: readonly string[];
}

/** Adds `inject`. */
export function registerInject(program: Command): void {
  const command = program
    .command("inject")
    .description("put a sidecar into the pods of Kubernetes manifests")
    .addOption(
      new Option("-f, --file <file>", "a manifest; - reads stdin; repeatable")
        .argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text])
        .makeOptionMandatory(),
    );
  addInjectFlags(command).action(async (flags: InjectCommandFlags) => {
    if (flags.file.filter((name) => name === "-").length > 1) {
      throw pillionError("PILLION_USAGE", { problem: "stdin can be read once" });
    }
    process.exitCode = await injectFiles(processTerminal, flags.file, toInjectOptions(flags));
  });
}
