// How people name documents on the command line: `service users`, `instances users`, `instance users/a`, `mesh`.
//
// Singular and plural mean the same, and so does the form with a slash that kubectl has: `service/users`,
// `instances/users/a`. A misspelt kind is answered with the nearest right one.

import { nearestOf, pillionError } from "../base/index.ts";
import { DOCUMENT_KINDS, type DocumentId, type DocumentKind, isName } from "../config/index.ts";

/** Parses a kind: `service`, `services`. */
export function parseKind(text: string): DocumentKind {
  const kind = DOCUMENT_KINDS.find((each) => each === text || `${each}s` === text);
  if (kind !== undefined) return kind;
  const nearest = nearestOf(text, DOCUMENT_KINDS);
  const hint = nearest === undefined ? `one of ${DOCUMENT_KINDS.join(", ")}` : `did you mean ${nearest}?`;
  throw pillionError("PILLION_USAGE", { problem: `${text} is not a kind of document (${hint})` });
}

/** Takes `services/web` apart: the kind, and what stands behind its slash, if there is one. */
export function splitKind(text: string): { readonly kind: DocumentKind; readonly name: string | undefined } {
  const at = text.indexOf("/");
  if (at < 0) return { kind: parseKind(text), name: undefined };
  return { kind: parseKind(text.slice(0, at)), name: text.slice(at + 1) };
}

/** Parses what stands behind a kind: `users`, for an instance `users/a`, nothing for the mesh. */
export function parseDocumentName(kind: DocumentKind, text: string | undefined): DocumentId {
  if (kind === "mesh") {
    if (text !== undefined) throw pillionError("PILLION_USAGE", { problem: "there is one mesh; it takes no name" });
    return { kind };
  }
  const [first = "", second, ...rest] = (text ?? "").split("/");
  const names = kind === "instance" ? [first, second ?? ""] : [first];
  if (rest.length > 0 || (kind !== "instance" && second !== undefined) || !names.every(isName)) {
    const form = kind === "instance" ? "service/id" : "a name";
    throw pillionError("PILLION_USAGE", {
      problem: `${kind} ${text ?? ""}: write ${form}, lower-case labels joined by dots`,
    });
  }
  return kind === "instance" ? { kind, service: first, name: second ?? "" } : { kind, name: first };
}
