// Whether traffic may come, and if not, what is waited for, in words that an operator can act on (DESIGN §4).

import type { Readiness, ReadinessPart } from "../admin/index.ts";

/** The state of the things that readiness depends on. */
export interface Conditions {
  /** The mesh's URL, for the message. */
  readonly mesh: string;
  readonly isMeshLoaded: boolean;
  /** Why the registry cannot be seen, if it cannot. */
  readonly registryProblem: string | undefined;
  /** Wall clock, ms: the mesh is what was kept of the registry then. */
  readonly keptAtMs?: number | undefined;
  readonly isSnapshotInForce: boolean;
  readonly workers: number;
  readonly listeningWorkers: number;
  /** Address of the app; undefined without `--app`. */
  readonly app: string | undefined;
  readonly isAppUp: boolean;
  readonly isDraining: boolean;
}

/**
 * Judges the conditions; `ports` is passed through. In a pod the sidecar starts before the app, so its start waits for
 * `sidecar`, all but the app; a probe of the app's own port that would end at our listener asks for `app` instead.
 */
export function judgeReadiness(
  conditions: Conditions,
  ports: Readiness["ports"],
  part: ReadinessPart = "all",
): Readiness {
  const waitingFor = [
    ...(part === "app" ? [] : sidecarReasonsOf(conditions)),
    ...(part === "sidecar" ? [] : appReasonsOf(conditions)),
  ];
  return { isReady: waitingFor.length === 0, waitingFor, stale: describeStale(conditions), ports };
}

function describeStale({ mesh, keptAtMs, registryProblem }: Conditions): string | undefined {
  if (keptAtMs === undefined) return undefined;
  const why = registryProblem === undefined ? "it does not answer yet" : registryProblem;
  return `the mesh is that of ${new Date(keptAtMs).toISOString()}, kept by --state: (${mesh}) ${why}`;
}

function* sidecarReasonsOf(conditions: Conditions): Generator<string> {
  const { mesh, registryProblem, workers, listeningWorkers } = conditions;
  if (conditions.isDraining) yield "draining: the sidecar is shutting down";
  if (!conditions.isMeshLoaded) {
    yield registryProblem === undefined ? `the mesh (${mesh}) is being read` : `the mesh (${mesh}): ${registryProblem}`;
  } else if (!conditions.isSnapshotInForce) yield "the mesh's snapshot is being put in force";
  // One worker that accepts is enough: the others share its port and follow.
  if (listeningWorkers === 0) yield `a data-plane worker (0 of ${workers} accept connections)`;
}

function* appReasonsOf({ app, isAppUp }: Conditions): Generator<string> {
  if (app !== undefined && !isAppUp) yield `the app: ${app} does not accept connections`;
}
