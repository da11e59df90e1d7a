// Document ↔ key: which etcd key holds which document.
//
//   <prefix>/mesh                      <prefix>/services/<name>      <prefix>/instances/<service>/<id>
//   <prefix>/routes/<name>             <prefix>/access/<name>
//
// Names hold no slash, so a key reads back in one way only. A key under the prefix that fits none of these shapes is
// not ours: `parseKey` says so, and whoever watches leaves it alone.

import { assertNever } from "../base/index.ts";
import { isName } from "./kinds.ts";

export const DOCUMENT_KINDS = ["mesh", "service", "instance", "route", "access"] as const;
export type DocumentKind = (typeof DOCUMENT_KINDS)[number];

/** Names one document. */
export type DocumentId =
  | { readonly kind: "mesh" }
  | { readonly kind: "service" | "route" | "access"; readonly name: string }
  | { readonly kind: "instance"; readonly service: string; readonly name: string };

/** The prefix when the registry's URL has no path. */
export const PREFIX_DEFAULT = "/pillion";

const FOLDER_OF_KIND = { service: "services", route: "routes", access: "access" } as const;

/** The etcd key of a document. */
export function formatKey(prefix: string, id: DocumentId): string {
  switch (id.kind) {
    case "mesh":
      return `${prefix}/mesh`;
    case "instance":
      return `${instancesPrefix(prefix, id.service)}${id.name}`;
    case "service":
    case "route":
    case "access":
      return `${prefix}/${FOLDER_OF_KIND[id.kind]}/${id.name}`;
    default:
      return assertNever(id);
  }
}

/** The document that a key holds, or `undefined` where the key is not one of ours. */
export function parseKey(prefix: string, key: string): DocumentId | undefined {
  if (!key.startsWith(`${prefix}/`)) return undefined;
  const [folder, first, second, ...rest] = key.slice(prefix.length + 1).split("/");
  if (rest.length > 0) return undefined;
  if (folder === "mesh") return first === undefined ? { kind: "mesh" } : undefined;
  if (first === undefined || !isName(first)) return undefined;
  if (folder === "instances") {
    return second !== undefined && isName(second) ? { kind: "instance", service: first, name: second } : undefined;
  }
  if (second !== undefined) return undefined;
  switch (folder) {
    case "services":
      return { kind: "service", name: first };
    case "routes":
      return { kind: "route", name: first };
    case "access":
      return { kind: "access", name: first };
    default:
      return undefined;
  }
}

/** What every instance key of a service begins with. */
export function instancesPrefix(prefix: string, service: string): string {
  return `${prefix}/instances/${service}/`;
}

/** A document's name for messages, and a key for maps: `instance users/a`. */
export function formatId(id: DocumentId): string {
  switch (id.kind) {
    case "mesh":
      return "mesh";
    case "instance":
      return `instance ${id.service}/${id.name}`;
    case "service":
    case "route":
    case "access":
      return `${id.kind} ${id.name}`;
    default:
      return assertNever(id);
  }
}
