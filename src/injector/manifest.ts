// Where the pods are in a Kubernetes object, and how the object with other pods looks.

import type { Owner } from "./derive.ts";

type Json = Readonly<Record<string, unknown>>;

/** Paths to the pod template, by kind. */
const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  Pod: [],
  Deployment: ["spec", "template"],
  StatefulSet: ["spec", "template"],
  DaemonSet: ["spec", "template"],
  ReplicaSet: ["spec", "template"],
  ReplicationController: ["spec", "template"],
  Job: ["spec", "template"],
  CronJob: ["spec", "jobTemplate", "spec", "template"],
};

/** An object that makes pods. */
export interface Workload {
  readonly owner: Owner;
  readonly namespace: string | undefined;
  /** From the document's root to the pod template; the empty path is the root. */
  readonly path: readonly (string | number)[];
  readonly template: unknown;
  /** Of the object itself; the template has its own. */
  readonly annotations: readonly string[];
}

/** The workloads of a document: itself, or the items of a list. */
export function workloadsOf(value: unknown, impliedKind = "", path: readonly (string | number)[] = []): Workload[] {
  if (!isRecord(value)) return [];
  const kind = typeof value.kind === "string" ? value.kind : impliedKind;
  if (kind.endsWith("List") && Array.isArray(value.items)) {
    return value.items.flatMap((item, index) =>
      workloadsOf(item, kind.slice(0, -"List".length), [...path, "items", index]),
    );
  }
  const steps = Object.hasOwn(TEMPLATES, kind) ? TEMPLATES[kind] : undefined;
  if (steps === undefined) return [];
  const metadata = isRecord(value.metadata) ? value.metadata : {};
  const nameOf = (field: string) => (typeof metadata[field] === "string" ? metadata[field] : undefined);
  return [
    {
      owner: { kind, name: nameOf("name") ?? nameOf("generateName")?.replace(/-$/, "") },
      namespace: nameOf("namespace"),
      path: [...path, ...steps],
      template: readAt(value, steps),
      annotations: steps.length > 0 && isRecord(metadata.annotations) ? Object.keys(metadata.annotations) : [],
    },
  ];
}

/** The value with another one at a path; shares whatever is not on the path. */
export function replaceAt(value: unknown, [first, ...rest]: readonly (string | number)[], next: unknown): unknown {
  if (first === undefined) return next;
  if (Array.isArray(value)) return value.with(Number(first), replaceAt(value[Number(first)], rest, next));
  const record = value as Json;
  return { ...record, [first]: replaceAt(record[first], rest, next) };
}

function readAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce((inner: unknown, step) => (isRecord(inner) ? inner[step] : undefined), value);
}

function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
