// `pillion check`: reads mesh files as the registry would, and reports everything that is wrong with them.
//
// Nothing is written and nobody is asked: exit 0 means that `pillion apply` and `pillion run` would take the file.
// Each problem is one line, `file:line:column: where: what (what would be right)`, as editors and CI understand it.

import type { Command } from "commander";
import { formatIssue, type LocatedIssue, type MeshFile, parseMeshFile } from "../config/index.ts";
import { checkRegex } from "../snapshot/index.ts";
import { collectFile, readText } from "./input.ts";
import { createOutputOption, type OutputFormat, paint, processTerminal, type Terminal, writeJson } from "./terminal.ts";

export interface CheckOptions {
  readonly output: OutputFormat;
}

/** Checks files (`-` is stdin); resolves with the exit code. */
export async function checkFiles(
  terminal: Terminal,
  fileNames: readonly string[],
  { output }: CheckOptions,
): Promise<number> {
  const results: { readonly fileName: string; readonly file: MeshFile }[] = [];
  for (const fileName of fileNames) {
    const text = await readText(fileName);
    results.push({ fileName, file: parseMeshFile(text, { fileName, checkPattern: checkRegex }) });
  }
  const isGood = results.every(({ file }) => file.ok);
  if (output === "json") {
    writeJson(terminal, { ok: isGood, files: results.map(({ fileName, file }) => describeFile(fileName, file)) });
  } else {
    for (const { fileName, file } of results) printFile(terminal, fileName, file);
  }
  return isGood ? 0 : 1;
}

/** Prints the problems of one file; also what `apply` says when it refuses one. */
export function printFile(terminal: Terminal, fileName: string, file: MeshFile): void {
  const issues = file.ok ? [] : file.issues;
  for (const issue of issues) terminal.write(`${paint(terminal, "red", "error")} ${formatIssue(fileName, issue)}\n`);
  for (const issue of file.warnings) {
    terminal.write(`${paint(terminal, "yellow", "warning")} ${formatIssue(fileName, issue)}\n`);
  }
  const counts = [formatCount(issues.length, "error"), formatCount(file.warnings.length, "warning")].join(", ");
  terminal.write(`${fileName}: ${file.ok ? `${formatContents(file)}, ` : ""}${counts}\n`);
}

function formatContents(file: MeshFile & { readonly ok: true }): string {
  const { services, instances, routes } = file.documents;
  const instanceCount = [...instances.values()].reduce((sum, byId) => sum + byId.size, 0);
  return [
    formatCount(services.size, "service"),
    formatCount(instanceCount, "instance"),
    formatCount(routes.size, "route"),
  ].join(", ");
}

/** `1 service`, `2 services`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function describeFile(fileName: string, file: MeshFile) {
  const describe = (severity: "error" | "warning") => (issue: LocatedIssue) => ({ severity, ...issue });
  const errors = file.ok ? [] : file.issues.map(describe("error"));
  return { file: fileName, ok: file.ok, issues: [...errors, ...file.warnings.map(describe("warning"))] };
}

/** Adds `check`. */
export function registerCheck(program: Command): void {
  program
    .command("check")
    .description("report every problem of mesh files, without writing anything")
    .argument("[files...]", "mesh files; - reads stdin; mesh.yaml when none is named")
    .option("-f, --file <file>", "a mesh file, as apply names it; repeatable", collectFile)
    .addOption(createOutputOption())
    .action(async (files: string[], options: CheckOptions & { readonly file?: readonly string[] }) => {
      const named = [...files, ...(options.file ?? [])];
      process.exitCode = await checkFiles(processTerminal, named.length > 0 ? named : ["mesh.yaml"], options);
    });
}
