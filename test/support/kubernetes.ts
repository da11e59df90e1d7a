// Kubernetes' own description of its objects, from the API's schemas (npm kubernetes-models).
//
// Its validators look at types and required fields and let unknown fields pass, as the API's OpenAPI schemas do. A
// misspelt field is what one makes most easily, and the API server prunes it in silence: so fields are looked up in the
// package's declarations as well.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

interface Model {
  validate(): void;
}
type ModelClass = new (data: unknown) => Model;

const packageFolder = dirname(fileURLToPath(import.meta.resolve("kubernetes-models")));
const modulesFolder = dirname(packageFolder);

/** What is wrong with an object; undefined when the API server would accept it as it is. Lists are judged by item. */
export async function kubernetesProblem(object: unknown): Promise<string | undefined> {
  const { apiVersion, kind, items } = object as { apiVersion?: string; kind?: string; items?: unknown[] };
  if (apiVersion === undefined || kind === undefined) return "apiVersion or kind is missing";
  if (kind === "List") {
    for (const item of items ?? []) {
      const problem = await kubernetesProblem(item);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }
  const file = join(packageFolder, apiVersion, kind);
  if (!existsSync(`${file}.js`)) return `${apiVersion} has no ${kind}`;
  const loaded: Record<string, ModelClass> = await import(`${file}.js`);
  const model = loaded[kind];
  if (model === undefined) return `${apiVersion} exports no ${kind}`;
  try {
    new model(object).validate();
  } catch (error) {
    return `${kind}: ${error instanceof Error ? error.message : error}`;
  }
  const unknown = unknownFields(object, `${file}.d.ts`, kind);
  return unknown.length === 0 ? undefined : `unknown: ${unknown.join(", ")}`;
}

/** Field → the declaration file of its type, undefined for plain types. */
type Fields = ReadonlyMap<string, string | undefined>;
const read = new Map<string, Fields>();

/** The fields of the one interface that a declaration file of the package holds. */
function fieldsOf(file: string): Fields {
  const known = read.get(file);
  if (known !== undefined) return known;
  const text = readFileSync(file, "utf8");
  const files = new Map<string, string>();
  for (const [, name = "", path = ""] of text.matchAll(/import \{ (\w+) \} from "([^"]+)"/g)) {
    const folder = path.startsWith(".") ? dirname(file) : modulesFolder;
    files.set(name, `${join(folder, path.replace(/\.js$/, ""))}.d.ts`);
  }
  const body = /export interface \w+[^{]*\{\n([\s\S]*?)\n\}/.exec(text)?.[1] ?? "";
  const own = text.match(/export interface (\w+)/)?.[1] ?? "";
  const fields = new Map<string, string | undefined>();
  for (const [, field = "", type = ""] of body.matchAll(/^ {4}"([^"]+)"\??: (.*)$/gm)) {
    const [reference = ""] = /IIo\w+/.exec(type) ?? [];
    fields.set(
      field,
      files.get(reference) ?? (reference.endsWith(own.slice(1)) && reference !== "" ? file : undefined),
    );
  }
  read.set(file, fields);
  return fields;
}

function unknownFields(value: unknown, file: string | undefined, at: string): string[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => unknownFields(item, file, `${at}[${index}]`));
  if (file === undefined || typeof value !== "object" || value === null || !existsSync(file)) return [];
  const fields = fieldsOf(file);
  if (fields.size === 0) return [];
  return Object.entries(value).flatMap(([field, inner]) =>
    fields.has(field) ? unknownFields(inner, fields.get(field), `${at}.${field}`) : [`${at}.${field}`],
  );
}
