// docs/KEYSPACE.md, made from the schemas: which keys there are, which fields, defaults and ranges.
//
// Everything in it comes from the JSON Schema and from `NOT_YET`; the test that compares it with the committed file is
// also what writes it (`vitest run test/src/config/keyspace-doc.test.ts -u`).

import { type JsonSchema, jsonSchemaOf } from "./json-schema.ts";
import type { DocumentKind } from "./keyspace.ts";
import { NOT_YET } from "./not-yet.ts";
import { POLICY_SECTIONS } from "./policy.ts";

interface Chapter {
  readonly kind: DocumentKind;
  readonly title: string;
  readonly key: string;
  readonly inFile: string;
  readonly text: string;
}

const CHAPTERS: readonly Chapter[] = [
  {
    kind: "mesh",
    title: "mesh",
    key: "/pillion/mesh",
    inFile: "mesh:",
    text: "What every service starts from. Written by the operator.",
  },
  {
    kind: "service",
    title: "services",
    key: "/pillion/services/<name>",
    inFile: "services.<name>:",
    text: "How a service is spoken to. Written by the operator; a service that has instances needs no document.",
  },
  {
    kind: "instance",
    title: "instances",
    key: "/pillion/instances/<service>/<id>",
    inFile: "services.<name>.instances[]",
    text:
      "One address that answers. Written by its own sidecar on its lease, or by the operator without one. In a file " +
      "each instance also has an `id`; left out, it is made of the address.",
  },
  {
    kind: "route",
    title: "routes",
    key: "/pillion/routes/<name>",
    inFile: "routes.<name>:",
    text: "Which requests go to which service. The first rule that matches decides. Written by the operator.",
  },
  {
    kind: "access",
    title: "access",
    key: "/pillion/access/<name>",
    inFile: "access.<name>:",
    text: "Who may call whom. Written by the operator.",
  },
];

/** What a service shares with `mesh.defaults` and rules. */
const SHARED_FIELDS: readonly string[] = ["protocol", ...POLICY_SECTIONS];

const INTRODUCTION = `# The registry's documents

<!-- Made from the schemas in src/config; test/src/config/keyspace-doc.test.ts compares and, with -u, writes it. -->

A mesh is a handful of documents: in etcd one key each with a JSON value, or together in one YAML file. This page lists
every field. \`/pillion\` is the prefix where the registry's URL has no path: \`etcd://host:2379/staging\` keeps its
documents under \`/staging/\`. Names and ids are lower-case DNS labels joined by dots.

- A **duration** has a unit: \`250ms\`, \`1.5s\`, \`5m\`, \`1h\`. A **size** may have one: \`64KiB\`, \`1MB\`, \`512\`.
- Services start from \`mesh.defaults\`; the policy sections of a rule lie over its service's. Sections are merged field
  by field, lists and values are replaced.
- In a file, and for \`pillion check\` and \`apply\`, an unknown field is an error. In etcd it is dropped, with a
  warning, so an older sidecar survives a newer writer. A document that does not parse never replaces the last good one.
- **Not yet** marks what is accepted, with a warning, and not acted on in this version.

An editor that reads JSON Schema completes and checks a mesh file with \`docs/mesh.schema.json\`.
`;

/** The text of docs/KEYSPACE.md. */
export function formatKeyspaceDoc(): string {
  return `${[INTRODUCTION, ...CHAPTERS.map(formatChapter)].join("\n")}`;
}

function formatChapter({ kind, title, key, inFile, text }: Chapter): string {
  const note = NOT_YET.find((row) => row.kind === kind && row.path.length === 0);
  const lines = [
    `## ${title}`,
    "",
    `Key \`${key}\`, in a file \`${inFile}\`. ${text}${note === undefined ? "" : ` **Not yet:** ${note.effect}.`}`,
    "",
    "| field | written as | default | |",
    "|---|---|---|---|",
    ...rowsOf(kind, jsonSchemaOf(kind), []),
    "",
  ];
  return lines.join("\n");
}

function rowsOf(kind: DocumentKind, schema: JsonSchema, path: readonly string[]): string[] {
  const rows: string[] = [];
  for (const [field, value] of Object.entries(schema.properties ?? {})) {
    const here = [...path, field];
    const isRequired = schema.required?.includes(field) === true;
    rows.push(formatRow(kind, here, value, isRequired));
    rows.push(...rowsBelow(kind, value, here));
  }
  return rows;
}

function rowsBelow(kind: DocumentKind, schema: JsonSchema, path: readonly string[]): string[] {
  // The policy sections stand once, under services; repeating 40 rows would hide what is particular to the others.
  if (isPolicySection(path)) return [];
  const section = schema.anyOf?.find(({ properties }) => properties !== undefined) ?? schema;
  if (section.properties !== undefined) return rowsOf(kind, section, path);
  if (section.items?.properties !== undefined) return rowsOf(kind, section.items, [...path, "*"]);
  const values = section.additionalProperties;
  if (typeof values === "object" && values.properties !== undefined) return rowsOf(kind, values, [...path, "<name>"]);
  return [];
}

/** A section of a policy at the two places other than a service. */
function isPolicySection(path: readonly string[]): boolean {
  const [place, ...rest] = path;
  const isPlace = (place === "defaults" && rest.length === 1) || (place === "rules" && rest.length === 2);
  return isPlace && SHARED_FIELDS.includes(path.at(-1) ?? "");
}

function formatRow(kind: DocumentKind, path: readonly string[], schema: JsonSchema, isRequired: boolean): string {
  const name = path.join(".").replaceAll(".*", "[]");
  const isRepeated = isPolicySection(path);
  const description = isRepeated ? `As in services: ${schema.description ?? ""}` : (schema.description ?? "");
  const fallback = isRequired ? "required" : formatDefault(isRepeated ? undefined : schema.default);
  const cells = [`\`${name}\``, formatKind(schema), fallback, `${description}${formatNotYet(kind, path)}`];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function formatKind(schema: JsonSchema): string {
  if (schema.anyOf !== undefined)
    return schema.anyOf.map((one) => formatKind({ ...one, ...kindOf(schema, one) })).join(" or ");
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(", ");
  if (schema.properties !== undefined) return "section";
  const range = formatRange(schema);
  if (schema["x-kind"] !== undefined) return `${schema["x-kind"]}${range}`;
  if (schema.items !== undefined)
    return `list of ${schema.items.properties === undefined ? formatKind(schema.items) : "sections"}`;
  if (typeof schema.additionalProperties === "object") return "map";
  return `${schema.type === "string" ? "text" : (schema.type ?? "any")}${range}`;
}

/** A choice between words and a value: the value keeps the kind's name. */
function kindOf(schema: JsonSchema, option: JsonSchema): JsonSchema {
  const kind = schema["x-kind"];
  return option.enum === undefined && option.properties === undefined && kind !== undefined ? { "x-kind": kind } : {};
}

function formatRange({ minimum, maximum, "x-kind": kind }: JsonSchema): string {
  if (kind?.startsWith("share") === true || minimum === undefined) return "";
  // The tables' own ceiling is not news to anybody.
  const hasCeiling = typeof maximum === "number" && maximum < 1_000_000;
  return hasCeiling ? `, ${String(minimum)} to ${String(maximum)}` : `, at least ${String(minimum)}`;
}

function formatDefault(value: unknown): string {
  if (value === undefined || (typeof value === "object" && JSON.stringify(value) === "{}")) return "";
  return Array.isArray(value) ? `\`[${value.join(", ")}]\`` : `\`${String(value)}\``;
}

function formatNotYet(kind: DocumentKind, path: readonly string[]): string {
  const row = NOT_YET.find((one) => one.kind === kind && one.path.length > 0 && one.path.join(".") === path.join("."));
  if (row === undefined) return "";
  return row.isUnmet === undefined ? ` **Not yet:** ${row.effect}.` : ` **Not yet in part:** ${row.effect}.`;
}
