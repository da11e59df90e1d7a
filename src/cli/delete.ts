// `pillion delete`: takes documents out of a registry, all of them in one transaction.
//
// A service document goes without its instances: they are documents of their own, and while there are any the service
// exists, with the mesh's defaults.

import type { Command } from "commander";
import { pillionError } from "../base/index.ts";
import { type DocumentId, formatId, parseMeshFile } from "../config/index.ts";
import { formatCount, printFile } from "./check.ts";
import { readText } from "./input.ts";
import { parseDocumentName, parseKind, splitKind } from "./naming.ts";
import { addRegistryOptions, type OpenRegistry, openRegistry, type RegistryOptions } from "./registry.ts";
import { createOutputOption, type OutputFormat, processTerminal, type Terminal, writeJson } from "./terminal.ts";

export interface DeleteOptions {
  readonly output: OutputFormat;
  readonly file?: string;
  readonly ignoreMissing?: boolean;
}

export interface DeleteArguments {
  readonly kind: string | undefined;
  readonly names: readonly string[];
}

/** Deletes documents; resolves with the exit code: 1 when one was not there. */
export async function deleteDocuments(
  terminal: Terminal,
  { registry, name: registryName }: OpenRegistry,
  { kind, names }: DeleteArguments,
  { output, file, ignoreMissing = false }: DeleteOptions,
): Promise<number> {
  const ids = file === undefined ? parseNames(kind, names) : await readIds(terminal, file);
  if (ids === undefined) return 1;
  const stored = new Set((await registry.list()).map(({ id }) => formatId(id)));
  const present = ids.filter((id) => stored.has(formatId(id)));
  const missing = ids.filter((id) => !stored.has(formatId(id))).map(formatId);
  const isRefused = missing.length > 0 && !ignoreMissing;
  // A misspelt name must not delete the others: all or nothing, as apply.
  const deleted = isRefused || present.length === 0 ? 0 : await registry.remove(present);
  if (output === "json") {
    writeJson(terminal, { registry: registryName, deleted: isRefused ? [] : present.map(formatId), missing });
  } else {
    for (const name of missing) terminal.writeError(`${name} is not in ${registryName}\n`);
    for (const id of isRefused ? [] : present) terminal.write(`- ${formatId(id)}\n`);
    terminal.write(`${registryName}: ${formatCount(deleted, "document")} deleted\n`);
  }
  return isRefused ? 1 : 0;
}

function parseNames(kind: string | undefined, names: readonly string[]): DocumentId[] {
  if (kind === undefined)
    throw pillionError("PILLION_USAGE", { problem: "name what to delete: delete service users, or -f file" });
  // As kubectl: with one slash all have one, `delete service/web route/api`.
  if (kind.includes("/")) {
    return [kind, ...names].map((text) => {
      const { kind: each, name } = splitKind(text);
      return parseDocumentName(each, name ?? "");
    });
  }
  const parsed = parseKind(kind);
  if (parsed === "mesh") return [parseDocumentName(parsed, names[0])];
  if (names.length === 0) throw pillionError("PILLION_USAGE", { problem: `name the ${parsed} to delete` });
  return names.map((name) => parseDocumentName(parsed, name));
}

async function readIds(terminal: Terminal, fileName: string): Promise<DocumentId[] | undefined> {
  const file = parseMeshFile(await readText(fileName), { fileName, knownServices: "any" });
  if (file.ok) return file.written.map(({ id }) => id);
  printFile({ ...terminal, write: (text) => terminal.writeError(text) }, fileName, file);
  return undefined;
}

/** Adds `delete`. */
export function registerDelete(program: Command): void {
  const command = program
    .command("delete")
    .description("delete documents: delete route api, delete instance users/a users/b, delete service/users")
    .argument("[kind]", "mesh, service, instance, route or access; or kind/name")
    .argument("[names...]", "names; for an instance service/id")
    .option("-f, --file <file>", "delete every document that this mesh file holds")
    .option("--ignore-missing", "what is not there is as good as deleted")
    .addOption(createOutputOption());
  addRegistryOptions(command).action(
    async (kind: string | undefined, names: string[], options: DeleteOptions & RegistryOptions) => {
      await using open = await openRegistry(options);
      process.exitCode = await deleteDocuments(processTerminal, open, { kind, names }, options);
    },
  );
}
