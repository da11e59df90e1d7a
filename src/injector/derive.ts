// What a pod says about itself without having been asked: its service, its port, its version, its zone.

import { isName } from "../config/index.ts";
import type { Annotations } from "./annotations.ts";
import { type Container, type Pod, textsOf } from "./pod.ts";

/** Who made the pod: a workload of a manifest, or in admission whoever the pod names as its owner. */
export interface Owner {
  readonly kind: string;
  readonly name: string | undefined;
}

/** Labels that name an application, best first (Kubernetes' recommended labels, then customs). */
const NAME_LABELS = ["app.kubernetes.io/name", "app", "k8s-app"] as const;
const VERSION_LABELS = ["version", "app.kubernetes.io/version"] as const;
const ZONE_LABEL = "topology.kubernetes.io/zone";
/** Port names that say HTTP, as Istio and the well-known charts write them. */
const HTTP_NAME = /^(https?2?|h2c|grpc|web|api)([-_].*)?$/;

/** `users`, from annotation, labels or owner; undefined where none is a name. */
export function deriveService(pod: Pod, annotations: Annotations, owner: Owner): string | undefined {
  const labels = textsOf(pod.metadata?.labels);
  const candidates = [
    annotations.text("service"),
    ...NAME_LABELS.map((label) => labels.get(label)),
    ownerName(pod, owner),
  ];
  return candidates.find((candidate) => candidate !== undefined && isName(candidate));
}

/** A ReplicaSet of a Deployment is called `web-5d89bdf657`; the pod's label says which part is the hash. */
function ownerName(pod: Pod, owner: Owner): string | undefined {
  const hash = textsOf(pod.metadata?.labels).get("pod-template-hash");
  const name = owner.name ?? pod.metadata?.name ?? undefined;
  return hash === undefined ? name : name?.replace(`-${hash}`, "");
}

export type DerivedPort =
  | { readonly kind: "port"; readonly port: number }
  /** The pod serves nobody; `doubt` when it might. */
  | { readonly kind: "none"; readonly doubt: string | undefined }
  | { readonly kind: "wrong"; readonly problem: string };

/** Where the app listens: as annotated; the port whose name says HTTP; the only TCP port. */
export function derivePort(containers: readonly Container[], annotations: Annotations): DerivedPort {
  const ports = containers.flatMap(({ ports }) => ports ?? []).filter(({ protocol }) => (protocol ?? "TCP") === "TCP");
  const written = annotations.text("app-port");
  if (written !== undefined) {
    const port = resolvePort(/^\d+$/.test(written) ? Number(written) : written, containers);
    if (port !== undefined) return { kind: "port", port };
    return { kind: "wrong", problem: `annotation pillion.io/app-port: no container has a port named ${written}` };
  }
  const chosen = ports.length === 1 ? ports[0] : ports.find(({ name }) => HTTP_NAME.test(name ?? ""));
  if (chosen !== undefined) return { kind: "port", port: chosen.containerPort };
  const numbers = ports.map(({ containerPort }) => containerPort).join(", ");
  const doubt = numbers === "" ? undefined : `which of the ports ${numbers} is the app's? (pillion.io/app-port)`;
  return { kind: "none", doubt };
}

/** A port by number, or by its name among these containers. */
export function resolvePort(port: number | string, containers: readonly Container[]): number | undefined {
  if (typeof port === "number") return port;
  return containers.flatMap(({ ports }) => ports ?? []).find(({ name }) => name === port)?.containerPort;
}

/** `key=value` each: as annotated, and the version that the labels name. */
export function deriveTags(pod: Pod, annotations: Annotations): readonly string[] {
  const tags = annotations.list("tags");
  const labels = textsOf(pod.metadata?.labels);
  const version = VERSION_LABELS.map((label) => labels.get(label)).find((text) => text !== undefined && text !== "");
  if (version === undefined || tags.some((tag) => tag.startsWith("version="))) return tags;
  return [`version=${version}`, ...tags];
}

/** The zone where the pod itself says it; else a label that some clusters give a pod once it has a node. */
export function deriveZone(pod: Pod, annotations: Annotations): string | undefined {
  return annotations.text("zone") ?? textsOf(pod.spec.nodeSelector).get(ZONE_LABEL);
}

/** The pod's own label; absent, the variable is empty, and the flag counts as not given. */
export const ZONE_FIELD = `metadata.labels['${ZONE_LABEL}']`;
