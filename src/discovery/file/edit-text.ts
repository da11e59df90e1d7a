// Changes documents in the text of a mesh file, and leaves everything else as its author wrote it.
//
// Only what differs is touched: every other field keeps its value, its quotes, its comment and its place. White space
// is written anew in one way (a comment behind a section's name moves to the line below). A document that is new is
// appended to its section. Pure text to text; reading, writing and judging are the registry's.

import { type Document, isMap, isScalar, isSeq, type Pair, parseDocument, YAMLMap, YAMLSeq } from "yaml";
import { assertNever, pillionError } from "../../base/index.ts";
import { type DocumentId, instanceIdOfWritten, isSection, type Written } from "../../config/index.ts";
import type { RegistryChange } from "../registry.ts";

/** The text with `changes` made. */
export function editMeshText(text: string, changes: readonly RegistryChange[]): string {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) throw pillionError("PILLION_CONFIG_INVALID", { problem: error.message }, error);
  if (document.contents === null) document.contents = document.createNode({}) as never;
  if (!isMap(document.contents)) {
    throw pillionError("PILLION_CONFIG_INVALID", { problem: "the mesh file must hold services, routes and so on" });
  }
  for (const { id, value } of changes) changeOne(document, document.contents, id, value);
  // {a: 1} or { a: 1 }, as the author likes it.
  const flowCollectionPadding = /[{[] \S/.test(text);
  return document.toString({ lineWidth: 0, flowCollectionPadding });
}

const FOLDER_OF_KIND = { service: "services", instance: "services", route: "routes", access: "access" } as const;

function changeOne(document: Document, root: YAMLMap, id: DocumentId, value: Written | undefined): void {
  if (id.kind === "mesh") {
    changeField(document, root, "mesh", value);
    return;
  }
  const folder = FOLDER_OF_KIND[id.kind];
  // A deletion must not make the section in which it finds nothing.
  if (value === undefined && !isMap(root.get(folder, true))) return;
  const section = mapAt(document, root, folder);
  switch (id.kind) {
    case "service":
      changeService(document, section, id.name, value);
      break;
    case "instance":
      changeInstance(document, section, id, value);
      break;
    case "route":
    case "access":
      changeField(document, section, id.name, value);
      break;
    default:
      assertNever(id);
  }
}

/** A service's instances are documents of their own, although they stand inside of it. */
function changeService(document: Document, services: YAMLMap, name: string, value: Written | undefined): void {
  const instances = nodeOf(services, name, "instances");
  if (value !== undefined) changeField(document, services, name, value, ["instances"]);
  else if (isSeq(instances) && instances.items.length > 0) keepOnly(services, name, "instances");
  else services.delete(name);
}

/** Sets, patches or deletes one field; fields named in `kept` stay whatever `value` says. */
function changeField(
  document: Document,
  map: YAMLMap,
  field: string,
  value: unknown,
  kept: readonly string[] = [],
): void {
  if (value === undefined) {
    map.delete(field);
    return;
  }
  const pair = pairOf(map, field);
  if (pair !== undefined && isMap(pair.value) && isSection(value)) {
    patchMap(document, pair.value, value, kept);
    return;
  }
  if (pair !== undefined && isSame(toJson(document, pair.value), value)) return;
  if (pair !== undefined && isScalar(pair.value) && !isCollection(value)) {
    pair.value.value = value;
    return;
  }
  const node = document.createNode(value);
  if (pair === undefined) map.add(document.createPair(field, node));
  else pair.value = node;
}

function isCollection(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

function patchMap(document: Document, map: YAMLMap, value: Written, kept: readonly string[]): void {
  for (const pair of [...map.items] as Pair[]) {
    const field = String(isScalar(pair.key) ? pair.key.value : pair.key);
    if (value[field] === undefined && !kept.includes(field)) map.delete(pair.key);
  }
  for (const [field, inner] of Object.entries(value)) changeField(document, map, field, inner);
}

function changeInstance(
  document: Document,
  services: YAMLMap,
  id: { readonly service: string; readonly name: string },
  value: Written | undefined,
): void {
  if (value === undefined && !services.has(id.service)) return;
  const service = mapAt(document, services, id.service);
  let list = service.get("instances", true);
  if (!isSeq(list)) {
    if (value === undefined) return;
    list = new YAMLSeq(document.schema) as never;
    service.set("instances", list);
  }
  const items = (list as unknown as YAMLSeq).items;
  const index = items.findIndex((item) => instanceIdOfWritten(toJson(document, item)) === id.name);
  const item = items[index];
  if (value === undefined) {
    if (index >= 0) items.splice(index, 1);
  } else if (isMap(item)) {
    patchMap(document, item, value, ["id"]);
  } else {
    const node = document.createNode({ id: id.name, ...value });
    // Instances are written in one line each, as people do.
    if (isMap(node)) node.flow = true;
    items.push(node);
  }
}

/** The section at `field`, made where there is none. */
function mapAt(document: Document, map: YAMLMap, field: string): YAMLMap {
  const current = map.get(field, true) as unknown;
  if (isMap(current)) return current;
  const made = new YAMLMap(document.schema);
  const pair = pairOf(map, field);
  if (pair === undefined) map.add(document.createPair(field, made));
  else pair.value = made;
  return made;
}

function nodeOf(map: YAMLMap, first: string, second: string): unknown {
  const inner = map.get(first, true) as unknown;
  return isMap(inner) ? inner.get(second, true) : undefined;
}

function keepOnly(map: YAMLMap, field: string, kept: string): void {
  const inner = map.get(field, true) as unknown;
  if (!isMap(inner)) return;
  for (const pair of [...inner.items] as Pair[]) {
    if (String(isScalar(pair.key) ? pair.key.value : pair.key) !== kept) inner.delete(pair.key);
  }
}

function pairOf(map: YAMLMap, field: string): Pair | undefined {
  return (map.items as Pair[]).find(({ key }) => String(isScalar(key) ? key.value : key) === field);
}

function toJson(document: Document, node: unknown): unknown {
  return node !== null && typeof node === "object" && "toJS" in node && typeof node.toJS === "function"
    ? node.toJS(document)
    : node;
}

function isSame(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}
