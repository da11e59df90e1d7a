// The documents' schemas as JSON Schema (draft 7, which editors' YAML support reads): derived, never written by hand.
//
// It describes what people write: "250ms" and not 250, `none` where a section may be switched off. What zod cannot
// express of that by itself (the grammar of durations, the words beside a value) comes from the kinds' metadata.

import * as z from "zod";
import {
  accessSchema,
  instanceSchema,
  listedInstanceSchema,
  meshSchema,
  routeSchema,
  SCHEMA_VERSION,
  serviceSchema,
} from "./document-schemas.ts";
import type { DocumentKind } from "./keyspace.ts";
import { kindMeta, NAME_PATTERN } from "./kinds.ts";

/** A JSON Schema, as far as we look into it. */
export interface JsonSchema {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  pattern?: string;
  anyOf?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  additionalProperties?: JsonSchema | boolean;
  /** Ours: how docs call the kind. */
  "x-kind"?: string;
  [keyword: string]: unknown;
}

const SCHEMAS = {
  mesh: meshSchema,
  service: serviceSchema,
  instance: instanceSchema,
  route: routeSchema,
  access: accessSchema,
} satisfies Record<DocumentKind, z.ZodType>;

/** The JSON Schema of one document, as its etcd value. */
export function jsonSchemaOf(kind: DocumentKind): JsonSchema {
  return convert(SCHEMAS[kind]);
}

/** The JSON Schema of a mesh file. */
export function meshFileJsonSchema(): JsonSchema {
  const service = jsonSchemaOf("service");
  const instances: JsonSchema = { type: "array", items: convert(listedInstanceSchema), description: "Who answers." };
  const named = (schema: JsonSchema, description: string): JsonSchema => ({
    type: ["object", "null"] as unknown as string,
    description,
    propertyNames: { pattern: NAME_PATTERN },
    additionalProperties: schema,
  });
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "A Pillion mesh",
    type: "object",
    additionalProperties: false,
    properties: {
      schemaVersion: { const: SCHEMA_VERSION },
      mesh: jsonSchemaOf("mesh"),
      services: named({ ...service, properties: { ...service.properties, instances } }, "Services by name."),
      routes: named(jsonSchemaOf("route"), "Routes by name."),
      access: named(jsonSchemaOf("access"), "Who may call whom, by name."),
    },
  };
}

function convert(schema: z.ZodType): JsonSchema {
  const converted = z.toJSONSchema(schema, {
    io: "input",
    target: "draft-7",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => addKind(zodSchema, jsonSchema as JsonSchema),
  }) as JsonSchema;
  const { $schema: _, "~standard": __, ...rest } = converted;
  return rest;
}

/** Adds what the kind knows: grammar and words. */
function addKind(zodSchema: z.core.$ZodType, json: JsonSchema): void {
  const meta = kindMeta.get(zodSchema);
  if (meta === undefined) return;
  json["x-kind"] = meta.kind;
  const { pattern, words } = meta;
  if (pattern !== undefined && json.anyOf === undefined) json.pattern = pattern;
  if (words === undefined) return;
  const { description, default: fallback, "x-kind": kind, ...value } = json;
  for (const key of Object.keys(value)) delete json[key];
  json.anyOf = [{ enum: [...words] }, value];
}
