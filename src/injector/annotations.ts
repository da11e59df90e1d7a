// The annotations of a pod, `pillion.io/…`: one row each, read by the same rules as the flags that they become.

import { isIP } from "node:net";
import { nearestOf, type Parsed } from "../base/index.ts";
import { isName, PROCESS_FLAGS, type ProcessFlag } from "../config/index.ts";

export const PREFIX = "pillion.io/";

interface Row<T> {
  readonly doc: string;
  readonly parse: (text: string) => Parsed<T>;
}

/** By name without prefix. docs/KUBERNETES.md lists them. */
export const ANNOTATIONS = {
  inject: { doc: "`true` or `false`: whether this pod gets a sidecar", parse: oneOf("true", "false") },
  service: { doc: "the service's name, with or without `.namespace`", parse: parseName },
  "app-port": { doc: "where the app listens: a number, or the name of a container port", parse: parseAppPort },
  "app-protocol": { doc: "`--app-protocol`", parse: flag(PROCESS_FLAGS.appProtocol) },
  weight: { doc: "`--weight`", parse: flag(PROCESS_FLAGS.weight) },
  zone: { doc: "`--zone`", parse: flag(PROCESS_FLAGS.zone) },
  tags: { doc: "`--tag`, joined by commas: `version=v2,track=canary`", parse: list(flag(PROCESS_FLAGS.tag)) },
  mesh: { doc: "`--mesh`", parse: flag(PROCESS_FLAGS.mesh) },
  unknown: { doc: "`--unknown`", parse: flag(PROCESS_FLAGS.unknown) },
  "opaque-ports": { doc: "`--opaque-ports`", parse: flag(PROCESS_FLAGS.opaquePorts) },
  workers: { doc: "`--workers`", parse: flag(PROCESS_FLAGS.workers) },
  drain: { doc: "`--drain`; otherwise the pod's grace period less 5 s", parse: flag(PROCESS_FLAGS.drainMs) },
  "access-log": { doc: "`--access-log`", parse: flag(PROCESS_FLAGS.accessLog) },
  "log-level": { doc: "`--log-level`", parse: flag(PROCESS_FLAGS.logLevel) },
  intercept: { doc: "`--intercept` for this pod", parse: oneOf("off", "redirect") },
  "inbound-ports-exclude": { doc: "ports whose callers reach the app directly", parse: list(parsePort) },
  "outbound-ports-exclude": { doc: "ports that the app reaches directly", parse: list(parsePort) },
  "outbound-cidrs-exclude": { doc: "networks that the app reaches directly", parse: list(parseCidr) },
  image: { doc: "the sidecar's image", parse: parseText },
  "cpu-request": { doc: "CPU that is reserved", parse: parseQuantity },
  "cpu-limit": { doc: "CPU that is never exceeded; not set by default", parse: parseQuantity },
  "memory-request": { doc: "memory that is reserved", parse: parseQuantity },
  "memory-limit": { doc: "memory that is never exceeded", parse: parseQuantity },
} as const satisfies Readonly<Record<string, Row<unknown>>>;

export type AnnotationName = keyof typeof ANNOTATIONS;
/** Values as written; lists are split. */
export interface Annotations {
  readonly text: (name: AnnotationName) => string | undefined;
  readonly list: (name: AnnotationName) => readonly string[];
}

export interface ReadAnnotations {
  readonly annotations: Annotations;
  /** A value that does not fit its row. */
  readonly problems: readonly string[];
  /** A name that is not in the table. */
  readonly unknown: readonly string[];
}

/** Reads those with our prefix. */
export function readAnnotations(texts: ReadonlyMap<string, string>): ReadAnnotations {
  const found = new Map<string, string>();
  const problems: string[] = [];
  const unknown: string[] = [];
  for (const [key, text] of texts) {
    if (!key.startsWith(PREFIX)) continue;
    const name = key.slice(PREFIX.length);
    const row: Row<unknown> | undefined = Object.hasOwn(ANNOTATIONS, name)
      ? ANNOTATIONS[name as AnnotationName]
      : undefined;
    if (row === undefined) {
      unknown.push(describeUnknown(name));
      continue;
    }
    const parsed = row.parse(text.trim());
    if (parsed.ok) found.set(name, text.trim());
    else problems.push(`annotation ${key}: ${parsed.problem}`);
  }
  const read = (name: AnnotationName) => found.get(name);
  return { annotations: { text: read, list: (name) => split(read(name) ?? "") }, problems, unknown };
}

function describeUnknown(name: string): string {
  const nearest = nearestOf(name, Object.keys(ANNOTATIONS));
  const hint = nearest === undefined ? "docs/KUBERNETES.md lists them all" : `did you mean ${PREFIX}${nearest}?`;
  return `annotation ${PREFIX}${name} is not known (${hint})`;
}

function flag<T>({ parse }: ProcessFlag<T>): (text: string) => Parsed<T> {
  return parse;
}

function split(text: string): readonly string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function list<T>(parse: (text: string) => Parsed<T>) {
  return (text: string): Parsed<readonly T[]> => {
    const values: T[] = [];
    for (const part of split(text)) {
      const parsed = parse(part);
      if (!parsed.ok) return parsed;
      values.push(parsed.value);
    }
    return { ok: true, value: values };
  };
}

function accept(isGood: boolean, text: string, what: string): Parsed<string> {
  return isGood ? { ok: true, value: text } : { ok: false, problem: `${JSON.stringify(text)} is not ${what}` };
}

function oneOf(...words: readonly string[]) {
  return (text: string) => accept(words.includes(text), text, `one of ${words.join(", ")}`);
}

function parseText(text: string): Parsed<string> {
  return accept(text !== "", text, "anything");
}

function parseName(text: string): Parsed<string> {
  return accept(isName(text), text, "a name (lower-case labels joined by dots)");
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;
}

function parsePort(text: string): Parsed<string> {
  return accept(isPort(text), text, "a port (1 to 65535)");
}

/** A number, or an IANA_SVC_NAME (RFC 6335 §5.1), as container ports are named. */
function parseAppPort(text: string): Parsed<string> {
  const isService = /^(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$/.test(text);
  return accept(isPort(text) || isService, text, "a port or the name of a container port");
}

function parseCidr(text: string): Parsed<string> {
  const [address = "", bits = "", ...rest] = text.split("/");
  const version = isIP(address);
  const isGood =
    version !== 0 && rest.length === 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128);
  return accept(isGood, text, "a network (10.0.0.0/8)");
}

/** resource.Quantity without the exponent forms that nobody writes. */
function parseQuantity(text: string): Parsed<string> {
  return accept(/^\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$/.test(text), text, "a quantity (100m, 0.5, 256Mi)");
}
