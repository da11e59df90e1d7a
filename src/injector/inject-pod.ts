// The core: a pod as it is → the pod as it shall be, or why not.
//
// Pure. `pillion inject` writes the difference into a manifest's text, the webhook makes a JSON patch of it. Injecting
// what is injected changes nothing; with other options it brings the sidecar up to date.

import { isDeepStrictEqual } from "node:util";
import { type Annotations, readAnnotations } from "./annotations.ts";
import {
  createIntercept,
  createSidecar,
  INTERCEPT_NAME,
  isOurs,
  type Plan,
  REGISTRY_VOLUME,
  SIDECAR_NAME,
} from "./containers.ts";
import { derivePort, deriveService, deriveTags, type Owner } from "./derive.ts";
import { type InjectOptions, KUBERNETES_SINCE, PORTS, SIDECAR_UID } from "./options.ts";
import { type Container, type Pod, parsePod, textsOf } from "./pod.ts";
import { adaptProbes } from "./probes.ts";

export type Outcome =
  | {
      readonly kind: "injected" | "unchanged";
      readonly pod: Pod;
      readonly summary: string;
      readonly notes: readonly string[];
    }
  | { readonly kind: "skipped"; readonly reason: string }
  | { readonly kind: "refused"; readonly problems: readonly string[] };

export interface Injection {
  readonly outcome: Outcome;
  /** What a person should look at, whatever the outcome. */
  readonly warnings: readonly string[];
  /** Annotations that nobody knows: an error in a file, a warning in a cluster. */
  readonly unknown: readonly string[];
}

/** Sidecars of other meshes; two cannot both redirect a pod's connections, and nobody wants two proxies in a row. */
const OTHER_SIDECARS = ["istio-proxy", "linkerd-proxy", "kuma-sidecar", "consul-dataplane", "envoy-sidecar"];

/** Decides about one pod (or pod template); `value` is whatever was read. */
export function injectPod(value: unknown, owner: Owner, options: InjectOptions): Injection {
  const parsed = parsePod(value);
  if (!parsed.ok) return { outcome: { kind: "refused", problems: parsed.problems }, warnings: [], unknown: [] };
  const { pod } = parsed;
  const { annotations, problems, unknown } = readAnnotations(textsOf(pod.metadata?.annotations));
  const warnings: string[] = [];
  const skip = skipReason(pod, owner, annotations, options);
  if (skip !== undefined) return { outcome: { kind: "skipped", reason: skip }, warnings, unknown };
  const all = [...problems, ...problemsOf(pod, annotations, options)];
  const outcome: Outcome =
    all.length > 0 ? { kind: "refused", problems: all } : apply(pod, owner, annotations, options, warnings);
  return { outcome, warnings, unknown };
}

function skipReason(pod: Pod, owner: Owner, annotations: Annotations, options: InjectOptions): string | undefined {
  const { spec } = pod;
  if (annotations.text("inject") === "false") return "annotated pillion.io/inject: false";
  if (spec.hostNetwork === true) return "hostNetwork: its network is the node's; run `pillion run` on the node instead";
  const system = spec.os?.name ?? textsOf(spec.nodeSelector).get("kubernetes.io/os") ?? "linux";
  if (system !== "linux") return `runs on ${system}; Pillion runs on Linux`;
  const other = allContainers(pod).find(({ name }) => OTHER_SIDECARS.includes(name));
  if (other !== undefined) return `has a sidecar of another mesh (${other.name})`;
  const isJob = owner.kind === "Job" || owner.kind === "CronJob";
  if (isJob && isClassic(options) && annotations.text("inject") !== "true") {
    return "a Job does not complete beside a classic sidecar (pillion.io/inject: true, and end it by `pillion drain`)";
  }
  const [ours, elsewhere] = isClassic(options)
    ? [spec.containers, spec.initContainers ?? []]
    : [spec.initContainers ?? [], spec.containers];
  const isElsewhere = elsewhere.some((each) => each.name === SIDECAR_NAME && isOurs(each));
  const hasStaleRules = interceptOf(annotations, options) === "off" && (spec.initContainers ?? []).some(isRules);
  if (isElsewhere || (hasStaleRules && ours.some(isOurs))) {
    return "was injected in another mode; inject the original manifest";
  }
  return undefined;
}

function isRules(container: Container): boolean {
  return container.name === INTERCEPT_NAME && isOurs(container);
}

function problemsOf(pod: Pod, annotations: Annotations, options: InjectOptions): string[] {
  const problems: string[] = [];
  const reserved: readonly number[] = Object.values(PORTS);
  for (const container of allContainers(pod)) {
    const { name, ports, securityContext } = container;
    if ([SIDECAR_NAME, INTERCEPT_NAME].includes(name)) {
      if (!isOurs(container)) problems.push(`a container is called ${name}, and is not Pillion's`);
      continue;
    }
    const taken = (ports ?? []).find(({ containerPort }) => reserved.includes(containerPort));
    if (taken !== undefined)
      problems.push(`container ${name} uses port ${taken.containerPort}, which the sidecar needs`);
    const user = securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser;
    if (interceptOf(annotations, options) === "redirect" && user === SIDECAR_UID) {
      problems.push(`container ${name} runs as user ${SIDECAR_UID}, whose connections are not intercepted`);
    }
  }
  return problems;
}

function apply(pod: Pod, owner: Owner, annotations: Annotations, options: InjectOptions, warnings: string[]): Outcome {
  const apps = pod.spec.containers.filter((container) => !isOurs(container));
  const derived = derivePort(apps, annotations);
  if (derived.kind === "wrong") return { kind: "refused", problems: [derived.problem] };
  const service = deriveService(pod, annotations, owner);
  if (derived.kind === "port" && service === undefined) {
    return { kind: "refused", problems: ["no label or owner names the service; say it with pillion.io/service"] };
  }
  if (derived.kind === "none" && derived.doubt !== undefined) warnings.push(`outbound only: ${derived.doubt}`);
  const app = derived.kind === "port" && service !== undefined ? { service, port: derived.port } : undefined;
  const intercept = interceptOf(annotations, options);
  const probes =
    intercept === "redirect" && app !== undefined
      ? adaptProbes(
          [...(pod.spec.initContainers ?? []), ...pod.spec.containers].filter((each) => !isOurs(each)),
          app.port,
        )
      : { containers: [], excludedPorts: [], notes: [], warnings: [] };
  warnings.push(...probes.warnings);
  const plan: Plan = {
    pod,
    annotations,
    options,
    isClassic: isClassic(options),
    intercept,
    app,
    tags: deriveTags(pod, annotations),
    excludedInboundPorts: [...probes.excludedPorts, ...annotations.list("inbound-ports-exclude").map(Number)],
  };
  const adapted = new Map(probes.containers.map((container) => [container.name, container]));
  const notes = [...probes.notes];
  const after = assemble(plan, owner, adapted, notes);
  const kind = isDeepStrictEqual(pod, after) ? "unchanged" : "injected";
  return { kind, pod: after, summary: summarize(plan), notes };
}

/** Puts the containers into their places and gives the apps' containers what they need. */
function assemble(plan: Plan, owner: Owner, adapted: ReadonlyMap<string, Container>, notes: string[]): Pod {
  const { pod, options } = plan;
  const settle = (container: Container) => adapted.get(container.name) ?? container;
  let init = (pod.spec.initContainers ?? []).map(settle);
  let containers = pod.spec.containers.map(settle).map((each) => withPreStop(each, plan, owner, notes));
  const rules = plan.intercept === "redirect" ? createIntercept(plan) : undefined;
  // Rules lead to the sidecar, so a native one comes right behind them; where it starts last, they come last too.
  if (rules !== undefined) init = place(init, rules, plan.isClassic ? init.length : 0);
  if (plan.isClassic) containers = place(containers, createSidecar(plan), 0);
  else init = place(init, createSidecar(plan), rules === undefined ? 0 : init.findIndex(isRules) + 1);
  const volumes = options.registrySecret === undefined ? undefined : placeVolume(pod, options.registrySecret);
  const spec = {
    ...pod.spec,
    containers,
    ...(init.length === 0 ? {} : { initContainers: init }),
    ...(volumes === undefined ? {} : { volumes }),
  };
  return plan.isClassic ? withDefaultContainer({ ...pod, spec }) : { ...pod, spec };
}

function place(list: readonly Container[], container: Container, index: number): Container[] {
  const present = list.findIndex(({ name }) => name === container.name);
  return present < 0 ? list.toSpliced(index, 0, container) : list.with(present, container);
}

function placeVolume(pod: Pod, secretName: string) {
  const volume = { name: REGISTRY_VOLUME, secret: { secretName } };
  const volumes = pod.spec.volumes ?? [];
  const present = volumes.findIndex(({ name }) => name === REGISTRY_VOLUME);
  return present < 0 ? [...volumes, volume] : volumes.with(present, volume);
}

/** The first container is what `kubectl logs` and `exec` mean when nobody says which; that shall stay the app. */
function withDefaultContainer(pod: Pod): Pod {
  const key = "kubectl.kubernetes.io/default-container";
  const app = pod.spec.containers.find((container) => !isOurs(container));
  if (app === undefined || textsOf(pod.metadata?.annotations).has(key)) return pod;
  return { ...pod, metadata: { ...pod.metadata, annotations: { ...pod.metadata?.annotations, [key]: app.name } } };
}

/** An app that is told to end goes on serving for a moment: callers outside of the mesh hear of its end later. */
function withPreStop(container: Container, plan: Plan, owner: Owner, notes: string[]): Container {
  const { app, options, pod } = plan;
  const grace = pod.spec.terminationGracePeriodSeconds ?? 30;
  const seconds = Math.min(options.preStopSleepSeconds, Math.floor(grace / 3));
  const isServing = app !== undefined && owner.kind !== "Job" && owner.kind !== "CronJob";
  if (!isServing || seconds === 0 || isOurs(container) || container.lifecycle?.preStop) return container;
  if (options.kubernetesMinor < KUBERNETES_SINCE.preStopSleep) return container;
  notes.push(`${container.name}: waits ${seconds} s before it is told to stop`);
  return { ...container, lifecycle: { ...container.lifecycle, preStop: { sleep: { seconds } } } };
}

function summarize({ app, isClassic: isPlain, intercept, tags }: Plan): string {
  const who = app === undefined ? "outbound only" : `service ${app.service}, app on port ${app.port}`;
  const how = isPlain ? "classic sidecar" : "native sidecar";
  const marks = tags.length === 0 ? "" : `, ${tags.join(" ")}`;
  return `${who}${marks}, ${how}${intercept === "off" ? "" : ", intercepted"}`;
}

function isClassic({ isClassic: isAsked, kubernetesMinor }: InjectOptions): boolean {
  return isAsked || kubernetesMinor < KUBERNETES_SINCE.nativeSidecars;
}

function interceptOf(annotations: Annotations, options: InjectOptions): "off" | "redirect" {
  return (annotations.text("intercept") as "off" | "redirect" | undefined) ?? options.intercept;
}

function allContainers({ spec }: Pod): readonly Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}
