// Names that the engine knows by number, as the compiler writes them.

import * as fieldNames from "../../assembly/abi/field-names.ts";

/** Markers of the list, not names. */
const MARKERS = new Set(["NAME_OTHER", "NAME_PSEUDO_LAST", "NAME_HOP_FIRST", "NAME_HOP_LAST"]);

const ids = new Map<string, number>();
for (const [constant, id] of Object.entries(fieldNames)) {
  if (!constant.startsWith("NAME_") || MARKERS.has(constant) || id <= fieldNames.NAME_PSEUDO_LAST) continue;
  ids.set(constant.slice("NAME_".length).toLowerCase().replaceAll("_", "-"), id);
}

/** Number of a field name in lower case; NAME_OTHER = carried as text. */
export function fieldIdOf(name: string): number {
  return ids.get(name) ?? fieldNames.NAME_OTHER;
}

/** Whether the codecs keep a field to themselves: it is never in a head's list (engine/http/head.ts, rule 2). */
export function isCodecField(name: string): boolean {
  const id = fieldIdOf(name);
  const isHop = id >= fieldNames.NAME_HOP_FIRST && id <= fieldNames.NAME_HOP_LAST;
  return name.startsWith(":") || isHop || id === fieldNames.NAME_CONTENT_LENGTH || id === fieldNames.NAME_HOST;
}

/** Methods by their number (METHOD_* of engine/http/head.ts); 0 stands for every other. */
export const METHODS = ["", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] as const;
