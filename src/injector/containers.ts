// The two containers that injection adds: the sidecar, and before it the one that sets interception rules.
//
// The sidecar meets Pod Security's `restricted`: user 1337, nothing writable, no capability. The rules need NET_ADMIN
// and NET_RAW in the pod's network namespace, so their container has these two, is root, and is gone when they are set.

import type { Annotations } from "./annotations.ts";
import { deriveZone, ZONE_FIELD } from "./derive.ts";
import { IMAGE_COMMAND, type InjectOptions, PORTS, REGISTRY_FOLDER, SIDECAR_UID } from "./options.ts";
import type { Container, Pod } from "./pod.ts";

export const SIDECAR_NAME = "pillion";
export const INTERCEPT_NAME = "pillion-intercept";
export const REGISTRY_VOLUME = "pillion-registry";

/** What is known of the pod when its containers are made. */
export interface Plan {
  readonly pod: Pod;
  readonly annotations: Annotations;
  readonly options: InjectOptions;
  readonly isClassic: boolean;
  readonly intercept: "off" | "redirect";
  /** What stands beside the sidecar; undefined: nobody calls it. */
  readonly app: { readonly service: string; readonly port: number } | undefined;
  readonly tags: readonly string[];
  /** Besides the sidecar's own. */
  readonly excludedInboundPorts: readonly number[];
}

/** Seconds between the end of draining and kubelet's SIGKILL. */
const GRACE_RESERVE_SECONDS = 5;
/** Kubernetes' own default. */
const GRACE_DEFAULT_SECONDS = 30;

/** Makes the sidecar's container. */
export function createSidecar(plan: Plan): Container {
  const { options, annotations, isClassic, app } = plan;
  const lifecycle = lifecycleOf(plan);
  return {
    name: SIDECAR_NAME,
    image: annotations.text("image") ?? options.image,
    ...(options.imagePullPolicy === undefined ? {} : { imagePullPolicy: options.imagePullPolicy }),
    args: argsOf(plan),
    env: [
      fieldVariable("POD_NAME", "metadata.name"),
      fieldVariable("POD_NAMESPACE", "metadata.namespace"),
      fieldVariable("POD_IP", "status.podIP"),
      ...zoneVariable(plan),
    ],
    ports: [
      ...(app === undefined ? [] : [{ name: "pillion-in", containerPort: PORTS.inbound }]),
      { name: "pillion-probe", containerPort: PORTS.probe },
    ],
    ...(isClassic ? {} : { restartPolicy: "Always" }),
    // Ten minutes: who starts while etcd is away shall wait for it rather than crash in circles.
    startupProbe: {
      httpGet: { path: "/ready?part=sidecar", port: PORTS.probe },
      periodSeconds: 1,
      failureThreshold: 600,
    },
    readinessProbe: { httpGet: { path: "/ready", port: PORTS.probe }, periodSeconds: 5 },
    livenessProbe: { httpGet: { path: "/live", port: PORTS.probe }, periodSeconds: 10, timeoutSeconds: 5 },
    ...(lifecycle === undefined ? {} : { lifecycle }),
    resources: resourcesOf(plan),
    securityContext: {
      runAsUser: SIDECAR_UID,
      runAsGroup: SIDECAR_UID,
      runAsNonRoot: true,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      seccompProfile: { type: "RuntimeDefault" },
    },
    ...(options.registrySecret === undefined
      ? {}
      : { volumeMounts: [{ name: REGISTRY_VOLUME, mountPath: REGISTRY_FOLDER, readOnly: true }] }),
  };
}

/** Makes the container that sets the rules; it ends before anything else starts. */
export function createIntercept(plan: Plan): Container {
  const { annotations, options, app, excludedInboundPorts } = plan;
  const inbound = new Set([PORTS.admin, PORTS.probe, ...excludedInboundPorts]);
  const list = (flag: string, values: readonly (number | string)[]) =>
    values.length === 0 ? [] : [flag, values.join(",")];
  return {
    name: INTERCEPT_NAME,
    image: options.interceptImage,
    ...(options.imagePullPolicy === undefined ? {} : { imagePullPolicy: options.imagePullPolicy }),
    args: [
      ...["intercept", "setup"],
      // Without an app nobody listens there, and inbound connections are left alone.
      ...(app === undefined ? [] : ["--inbound-port", `${PORTS.inbound}`]),
      ...["--outbound-port", `${PORTS.outbound}`, "--uid", `${SIDECAR_UID}`],
      ...list("--exclude-inbound-ports", app === undefined ? [] : [...inbound]),
      ...list("--exclude-outbound-ports", annotations.list("outbound-ports-exclude")),
      ...list("--exclude-outbound-cidrs", annotations.list("outbound-cidrs-exclude")),
    ],
    resources: { requests: { cpu: "10m", memory: "64Mi" }, limits: { memory: "128Mi" } },
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      runAsNonRoot: false,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"], add: ["NET_ADMIN", "NET_RAW"] },
      seccompProfile: { type: "RuntimeDefault" },
    },
  };
}

function argsOf(plan: Plan): string[] {
  const { annotations, options, app, intercept, tags } = plan;
  const zone = deriveZone(plan.pod, annotations);
  const passed = ["weight", "unknown", "opaque-ports", "workers", "access-log", "log-level"] as const;
  const own =
    app === undefined
      ? []
      : [
          ...["--service", app.service.includes(".") ? app.service : `${app.service}.$(POD_NAMESPACE)`],
          ...["--app", `127.0.0.1:${app.port}`, "--instance", "$(POD_NAME)", "--advertise", "$(POD_IP)"],
          ...flagOf("app-protocol", annotations.text("app-protocol")),
          ...tags.flatMap((tag) => ["--tag", escapeVariables(tag)]),
        ];
  const registry =
    options.registrySecret === undefined
      ? []
      : ["ca=ca.crt", "cert=tls.crt", "key=tls.key"].flatMap((pair) => {
          const [name, file] = pair.split("=");
          return [`--registry-${name}`, `${REGISTRY_FOLDER}/${file}`];
        });
  return [
    ...["run", "--mesh", escapeVariables(annotations.text("mesh") ?? options.mesh), ...registry],
    ...["--namespace", "$(POD_NAMESPACE)", ...own],
    ...flagOf("zone", zone),
    ...(intercept === "off" ? [] : ["--intercept", intercept]),
    ...["--drain", annotations.text("drain") ?? `${drainSeconds(plan.pod)}s`],
    ...passed.flatMap((name) => flagOf(name, annotations.text(name))),
  ];
}

function flagOf(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [`--${name}`, escapeVariables(value)];
}

/** `$(NAME)` in args is kubelet's; `$$(NAME)` is the text itself. */
function escapeVariables(text: string): string {
  return text.replaceAll("$(", "$$$$(");
}

/** The pod's own grace period is the one setting of how long a shutdown may take. */
export function drainSeconds(pod: Pod): number {
  const grace = pod.spec.terminationGracePeriodSeconds ?? GRACE_DEFAULT_SECONDS;
  return Math.max(1, grace - Math.min(GRACE_RESERVE_SECONDS, Math.ceil(grace / 2)));
}

function fieldVariable(name: string, fieldPath: string) {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

function zoneVariable({ pod, annotations }: Plan) {
  return deriveZone(pod, annotations) === undefined ? [fieldVariable("PILLION_ZONE", ZONE_FIELD)] : [];
}

function lifecycleOf({ isClassic, app, options }: Plan): Container["lifecycle"] {
  // kubelet starts the next container when this hook has ended.
  const postStart = isClassic ? { exec: { command: [...IMAGE_COMMAND, "wait", "--part", "sidecar"] } } : undefined;
  const sleep = options.preStopSleepSeconds === 0 ? undefined : { sleep: { seconds: options.preStopSleepSeconds } };
  const drain = { exec: { command: [...IMAGE_COMMAND, "drain", "--no-wait"] } };
  // Without an app there is nothing to drain; a classic sidecar would then go at the same time as the app that uses it.
  const preStop = app !== undefined ? drain : isClassic ? sleep : undefined;
  if (postStart === undefined && preStop === undefined) return undefined;
  return { ...(postStart === undefined ? {} : { postStart }), ...(preStop === undefined ? {} : { preStop }) };
}

function resourcesOf({ annotations, options: { resources } }: Plan) {
  const cpuLimit = annotations.text("cpu-limit") ?? resources.cpuLimit;
  const memoryLimit = annotations.text("memory-limit") ?? resources.memoryLimit;
  const cpu = annotations.text("cpu-request") ?? lesser(resources.cpuRequest, annotations.text("cpu-limit"));
  const memory =
    annotations.text("memory-request") ?? lesser(resources.memoryRequest, annotations.text("memory-limit"));
  const named = (cpuText: string | undefined, memoryText: string | undefined) => ({
    ...(cpuText === undefined ? {} : { cpu: cpuText }),
    ...(memoryText === undefined ? {} : { memory: memoryText }),
  });
  const limits = named(cpuLimit, memoryLimit);
  return { requests: named(cpu, memory), ...(Object.keys(limits).length === 0 ? {} : { limits }) };
}

/** A default request above the limit that a pod asks for would be refused by the API server. */
function lesser(request: string | undefined, limit: string | undefined): string | undefined {
  if (request === undefined || limit === undefined) return request;
  return quantityOf(request) > quantityOf(limit) ? limit : request;
}

const SUFFIXES: Readonly<Record<string, number>> = {
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** The number that a quantity stands for (resource.Quantity). */
export function quantityOf(text: string): number {
  const [, number = "", suffix = ""] = /^([\d.]+)([a-zA-Z]*)$/.exec(text) ?? [];
  return Number(number) * (SUFFIXES[suffix] ?? 1);
}

/** Whether a container was made by us; one that only has the name was not. */
export function isOurs(container: Container): boolean {
  const [first, second] = container.args ?? [];
  if (container.name === SIDECAR_NAME) return first === "run";
  return container.name === INTERCEPT_NAME && first === "intercept" && second === "setup";
}
