// `pillion apply` and `pillion diff`: a mesh file's documents into a registry, or what that would change.
//
// The difference is computed first and written in one transaction that is guarded by what was read: somebody else's
// change in between leads to a conflict and not to a lost update. A file with any problem writes nothing at all.

import { resolve } from "node:path";
import type { Command } from "commander";
import { pillionError } from "../base/index.ts";
import { type MeshFile, parseMeshFile, type WrittenDocument } from "../config/index.ts";
import type { StoredDocument } from "../discovery/index.ts";
import { checkRegex } from "../snapshot/index.ts";
import {
  type ChangePlan,
  describePlan,
  formatDocumentCount,
  formatPlan,
  formatTotals,
  planChanges,
} from "./changes.ts";
import { printFile } from "./check.ts";
import { collectFile, readText } from "./input.ts";
import { addRegistryOptions, type OpenRegistry, openRegistry, type RegistryOptions } from "./registry.ts";
import { createOutputOption, type OutputFormat, processTerminal, type Terminal, writeJson } from "./terminal.ts";

export interface ApplyCommandOptions {
  readonly file: readonly string[];
  readonly output: OutputFormat;
  readonly prune?: boolean;
  readonly dryRun?: boolean;
  readonly chunked?: boolean;
  readonly exitCode?: boolean;
}

/** Writes the files' documents; resolves with the exit code. */
export async function applyFiles(
  terminal: Terminal,
  open: OpenRegistry,
  options: ApplyCommandOptions,
): Promise<number> {
  const plan = await planFiles(terminal, open, options);
  if (plan === undefined) return 1;
  const isDryRun = options.dryRun === true;
  if (!isDryRun && plan.documents.length > 0) {
    await open.registry.apply(
      plan.documents.map(({ change }) => change),
      { isChunked: options.chunked === true },
    );
  }
  if (options.output === "json") {
    writeJson(terminal, { registry: open.name, isApplied: !isDryRun, ...describePlan(plan) });
  } else {
    const verb = isDryRun ? "would change" : "changed";
    const ending = plan.documents.length === 0 ? "nothing to change" : `${formatDocumentCount(plan)} ${verb}`;
    terminal.write(`${formatPlan(terminal, plan)}${open.name}: ${ending} (${formatTotals(plan)})\n`);
  }
  return 0;
}

/** Prints what `apply` would change; exit 0, or with --exit-code 1 where anything would. */
export async function diffFiles(terminal: Terminal, open: OpenRegistry, options: ApplyCommandOptions): Promise<number> {
  const plan = await planFiles(terminal, open, options);
  if (plan === undefined) return 1;
  if (options.output === "json") writeJson(terminal, { registry: open.name, ...describePlan(plan) });
  else terminal.write(formatPlan(terminal, plan));
  return options.exitCode === true && plan.documents.length > 0 ? 1 : 0;
}

/** The plan, or undefined when a file is wrong; its problems were printed then. */
async function planFiles(
  terminal: Terminal,
  { registry, config, name }: OpenRegistry,
  { file: fileNames, prune = false, output }: ApplyCommandOptions,
): Promise<ChangePlan | undefined> {
  const { mesh } = config;
  if (mesh.kind === "file" && fileNames.some((fileName) => resolve(fileName) === resolve(mesh.path))) {
    const problem = `${name} would be applied to itself: name another, for example --mesh etcd://127.0.0.1:2379`;
    throw pillionError("PILLION_USAGE", { problem });
  }
  const stored = await registry.list();
  const knownServices = prune ? new Set<string>() : servicesOf(stored);
  const wanted = new Map<string, WrittenDocument>();
  let isGood = true;
  for (const fileName of fileNames) {
    const text = await readText(fileName);
    const file = parseMeshFile(text, { fileName, checkPattern: checkRegex, knownServices });
    if (!file.ok || file.warnings.length > 0) printProblems(terminal, fileName, file, output);
    if (!file.ok) isGood = false;
    for (const document of file.ok ? file.written : []) {
      wanted.set(JSON.stringify(document.id), document);
      if (document.id.kind === "service") knownServices.add(document.id.name);
    }
  }
  return isGood ? planChanges([...wanted.values()], stored, { isPruned: prune }) : undefined;
}

/** Problems go to stderr, so that --output json stays one document. */
function printProblems(terminal: Terminal, fileName: string, file: MeshFile, output: OutputFormat): void {
  const isTty = output === "text" && terminal.isTty;
  printFile({ ...terminal, isTty, write: (text) => terminal.writeError(text) }, fileName, file);
}

function servicesOf(stored: readonly StoredDocument[]): Set<string> {
  return new Set(
    stored.flatMap(({ id }) => (id.kind === "service" ? [id.name] : id.kind === "instance" ? [id.service] : [])),
  );
}

/** Adds `apply` and `diff`. */
export function registerApply(program: Command): void {
  const apply = program
    .command("apply")
    .description("write a mesh file's documents into a registry, all of them or none")
    .requiredOption("-f, --file <file>", "mesh file; - reads stdin; repeatable", collectFile)
    .option("--dry-run", "say what would change, write nothing")
    .option("--prune", "delete what the registry holds and the files do not")
    .option("--chunked", "more than one transaction holds, in several: not atomic")
    .addOption(createOutputOption());
  addRegistryOptions(apply).action(async (options: ApplyCommandOptions & RegistryOptions) => {
    await using open = await openRegistry(options);
    process.exitCode = await applyFiles(processTerminal, open, options);
  });
  const diff = program
    .command("diff")
    .description("what apply would change")
    .requiredOption("-f, --file <file>", "mesh file; - reads stdin; repeatable", collectFile)
    .option("--prune", "count what the registry holds and the files do not as deleted")
    .option("--exit-code", "exit 1 if anything would change")
    .addOption(createOutputOption());
  addRegistryOptions(diff).action(async (options: ApplyCommandOptions & RegistryOptions) => {
    await using open = await openRegistry(options);
    process.exitCode = await diffFiles(processTerminal, open, options);
  });
}
