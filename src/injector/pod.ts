// The part of a pod that injection looks at, as the Kubernetes API describes it (core/v1 PodTemplateSpec).
//
// Loose on purpose: a field that we do not read may be anything, and goes through untouched. `null` is absence, as the
// API server reads it. What does not fit is told by its path.

import { z } from "zod";

const portSchema = z.looseObject({
  name: z.string().nullish(),
  containerPort: z.number().int(),
  protocol: z.string().nullish(),
});

const probePort = z.union([z.number().int(), z.string()]);
const handlerSchema = z.looseObject({
  httpGet: z.looseObject({ port: probePort, scheme: z.string().nullish() }).nullish(),
  tcpSocket: z.looseObject({ port: probePort }).nullish(),
  grpc: z.looseObject({ port: z.number().int() }).nullish(),
});

const containerSchema = z.looseObject({
  name: z.string(),
  args: z.array(z.string()).nullish(),
  ports: z.array(portSchema).nullish(),
  restartPolicy: z.string().nullish(),
  startupProbe: handlerSchema.nullish(),
  readinessProbe: handlerSchema.nullish(),
  livenessProbe: handlerSchema.nullish(),
  lifecycle: z.looseObject({ postStart: handlerSchema.nullish(), preStop: handlerSchema.nullish() }).nullish(),
  securityContext: z.looseObject({ runAsUser: z.number().nullish() }).nullish(),
});

const stringMap = z.record(z.string(), z.unknown()).nullish();

const podSchema = z.looseObject({
  metadata: z
    .looseObject({
      name: z.string().nullish(),
      namespace: z.string().nullish(),
      labels: stringMap,
      annotations: stringMap,
      ownerReferences: z.array(z.looseObject({ kind: z.string(), name: z.string() })).nullish(),
    })
    .nullish(),
  spec: z.looseObject({
    containers: z.array(containerSchema).min(1),
    initContainers: z.array(containerSchema).nullish(),
    volumes: z.array(z.looseObject({ name: z.string() })).nullish(),
    nodeSelector: stringMap,
    os: z.looseObject({ name: z.string() }).nullish(),
    hostNetwork: z.boolean().nullish(),
    securityContext: z.looseObject({ runAsUser: z.number().nullish() }).nullish(),
    terminationGracePeriodSeconds: z.number().int().nullish(),
  }),
});

export type Pod = z.infer<typeof podSchema>;
export type Container = z.infer<typeof containerSchema>;
export type Handler = z.infer<typeof handlerSchema>;

/** The three probes of a container, by field. */
export const PROBES = ["startupProbe", "readinessProbe", "livenessProbe"] as const;

export type ParsedPod =
  | { readonly ok: true; readonly pod: Pod }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Reads a pod, or a workload's pod template. */
export function parsePod(value: unknown): ParsedPod {
  const parsed = podSchema.safeParse(value);
  if (parsed.success) return { ok: true, pod: parsed.data };
  return { ok: false, problems: parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`) };
}

/** Labels or annotations as text: YAML without quotes may have made numbers and booleans of them. */
export function textsOf(map: Readonly<Record<string, unknown>> | null | undefined): Map<string, string> {
  return new Map(Object.entries(map ?? {}).map(([key, value]) => [key, `${value}`]));
}
