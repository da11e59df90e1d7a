// `pillion get`: reads documents out of a registry: a table, JSON, or a mesh file that `apply` takes again.

import { type Command, Option } from "commander";
import { stringify } from "yaml";
import { pillionError } from "../base/index.ts";
import { type DocumentKind, formatId, isSection } from "../config/index.ts";
import { ABSENT, type StoredDocument } from "../discovery/index.ts";
import { formatCount } from "./check.ts";
import { parseDocumentName, splitKind } from "./naming.ts";
import { addRegistryOptions, type OpenRegistry, openRegistry, type RegistryOptions } from "./registry.ts";
import { formatTable, paint, processTerminal, type Terminal, writeJson } from "./terminal.ts";

export interface GetOptions {
  readonly output: "text" | "json" | "yaml";
}

/** What of the documents is asked for. */
export interface GetArguments {
  readonly kind: string | undefined;
  readonly name: string | undefined;
}

/** Columns of a line; a longer value is cut with an ellipsis. */
const VALUE_COLUMNS = 100;

/** Prints documents; resolves with the exit code: 1 when a named one is not there. */
export async function printDocuments(
  terminal: Terminal,
  { registry, name: registryName }: OpenRegistry,
  asked: GetArguments,
  { output }: GetOptions,
): Promise<number> {
  const { kind, name } = parseArguments(asked);
  const found = await findDocuments(registry, kind, name);
  if (name !== undefined && found.length === 0) {
    const instances = kind === "service" ? await findDocuments(registry, "instance", name) : [];
    if (instances.length === 0) {
      terminal.writeError(`${kind} ${name} is not in ${registryName}\n`);
      return 1;
    }
    terminal.writeError(
      `service ${name} has no document of its own; it is what the mesh's defaults say, with ` +
        `${formatCount(instances.length, "instance")} (get instances ${name})\n`,
    );
    found.push({ id: { kind: "service", name }, value: {}, revision: ABSENT, isLeased: false });
  }
  if (output === "json") writeJson(terminal, found.map(describeDocument));
  else if (output === "yaml") terminal.write(stringify(toMeshFile(found)));
  else terminal.write(formatDocuments(terminal, found));
  return 0;
}

/** `get service web`, `get service/web`, `get services`. */
function parseArguments({ kind: text, name }: GetArguments): {
  readonly kind: DocumentKind | undefined;
  readonly name: string | undefined;
} {
  if (text === undefined) return { kind: undefined, name: undefined };
  const { kind, name: behindSlash } = splitKind(text);
  if (name === undefined || behindSlash === undefined) return { kind, name: name ?? behindSlash };
  throw pillionError("PILLION_USAGE", { problem: `${text} ${name}: write ${kind} ${behindSlash}, one at a time` });
}

async function findDocuments(
  registry: OpenRegistry["registry"],
  kind: DocumentKind | undefined,
  name: string | undefined,
): Promise<StoredDocument[]> {
  if (kind === undefined || name === undefined) return [...(await registry.list(kind))];
  // `get instances users`: all instances of one service.
  if (kind === "instance" && !name.includes("/")) {
    return (await registry.list(kind)).filter(({ id }) => id.kind === "instance" && id.service === name);
  }
  const found = await registry.read(parseDocumentName(kind, name));
  return found === undefined ? [] : [found];
}

function describeDocument({ id, value, revision, isLeased }: StoredDocument) {
  return { ...id, value, revision, isLeased };
}

function formatDocuments(terminal: Terminal, documents: readonly StoredDocument[]): string {
  const head = ["document", "revision", "lease", "value"].map((text) => paint(terminal, "dim", text));
  const rows = documents.map(({ id, revision, isLeased, value }) => [
    formatId(id),
    revision,
    isLeased ? "yes" : "",
    shorten(typeof value === "string" ? value : JSON.stringify(value)),
  ]);
  return formatTable([head, ...rows]);
}

function shorten(text: string): string {
  return text.length <= VALUE_COLUMNS ? text : `${text.slice(0, VALUE_COLUMNS - 1)}…`;
}

/** The documents as one mesh file. What its own sidecar registered is left out: it is not the operator's to apply. */
function toMeshFile(documents: readonly StoredDocument[]): Record<string, unknown> {
  const file: Record<string, Record<string, unknown>> = {};
  const services: Record<string, Record<string, unknown>> = {};
  const serviceOf = (name: string) => {
    services[name] ??= {};
    return services[name];
  };
  for (const { id, value, isLeased } of documents) {
    if (!isSection(value) || isLeased) continue;
    if (id.kind === "mesh") file.mesh = { ...value };
    else if (id.kind === "service") Object.assign(serviceOf(id.name), value);
    else if (id.kind === "instance") {
      const service = serviceOf(id.service);
      service.instances = [...((service.instances as unknown[]) ?? []), { id: id.name, ...value }];
    } else {
      const section = id.kind === "route" ? "routes" : "access";
      file[section] = { ...file[section], [id.name]: value };
    }
  }
  return Object.keys(services).length === 0 ? file : { ...file, services };
}

/** Adds `get`. */
export function registerGet(program: Command): void {
  const command = program
    .command("get")
    .description("read documents: get services, get route api, get instances users, get service/users")
    .argument("[kind]", "mesh, service, instance, route or access; or kind/name")
    .argument("[name]", "a name; for an instance service/id, or a service for all of its instances")
    .addOption(
      new Option("-o, --output <format>", "text for people, json for machines, yaml for apply")
        .choices(["text", "json", "yaml"])
        .default("text"),
    );
  addRegistryOptions(command).action(
    async (kind: string | undefined, name: string | undefined, options: GetOptions & RegistryOptions) => {
      await using open = await openRegistry(options);
      process.exitCode = await printDocuments(processTerminal, open, { kind, name }, options);
    },
  );
}
