// What injection is told once, for all pods: images, registry, the cluster's version, how traffic gets to the sidecar.

/** The sidecar's user and group in pods; interception leaves what they send alone. */
export const SIDECAR_UID = 1337;

/** The ports that the sidecar has in a pod (DESIGN §4). */
export const PORTS = { admin: 15000, outbound: 15001, inbound: 15006, probe: 15021 } as const;

/** How the images run Pillion: as bin/pillion does, but without a shell (deploy/Dockerfile); hooks do the same. */
export const IMAGE_COMMAND: readonly string[] = [
  "/pillion/bin/node",
  "--disable-warning=ExperimentalWarning",
  "--expose-gc",
  "/pillion/build/js/src/main.js",
];

/** Where the etcd certificates are mounted, when there are some. */
export const REGISTRY_FOLDER = "/etc/pillion/registry";

/** Minor versions of Kubernetes 1 since which something is on by default. */
export const KUBERNETES_SINCE = {
  /** Native sidecars: init containers with restartPolicy Always (KEP-753, beta). */
  nativeSidecars: 29,
  /** lifecycle.preStop.sleep (KEP-3960, beta). */
  preStopSleep: 30,
} as const;

export interface InjectOptions {
  /** `--mesh` of the sidecars. */
  readonly mesh: string;
  readonly image: string;
  /** The image that can set interception rules. */
  readonly interceptImage: string;
  readonly imagePullPolicy: "Always" | "IfNotPresent" | "Never" | undefined;
  /** The cluster's minor version: 29 is Kubernetes 1.29. */
  readonly kubernetesMinor: number;
  /** An ordinary container instead of a native sidecar. */
  readonly isClassic: boolean;
  readonly intercept: "off" | "redirect";
  /** A Secret (ca.crt, tls.crt, tls.key) in the pods' namespace with which sidecars enter etcd. */
  readonly registrySecret: string | undefined;
  /** How long app containers outlive the order to stop, so that callers hear of it first; 0: no hook is added. */
  readonly preStopSleepSeconds: number;
  readonly resources: Resources;
}

/** Quantities as Kubernetes writes them; undefined: not said. */
export interface Resources {
  readonly cpuRequest: string | undefined;
  readonly cpuLimit: string | undefined;
  readonly memoryRequest: string | undefined;
  readonly memoryLimit: string | undefined;
}

/** Interception is off unless asked for: its init container needs NET_ADMIN, which many namespaces do not admit. */
export const INTERCEPT_DEFAULT = "off";

/**
 * An idle sidecar has about 110 MB resident; the limit leaves room for connections and for the hooks' own process.
 * No CPU limit: a proxy that is throttled delays everybody (pain 25 of what users report of other meshes).
 */
export const RESOURCES_DEFAULT: Resources = {
  cpuRequest: "50m",
  cpuLimit: undefined,
  memoryRequest: "128Mi",
  memoryLimit: "512Mi",
};

export const MESH_DEFAULT = "etcd://etcd.pillion.svc:2379";
/** The newest that is everywhere offered; native sidecars are stable there. */
export const KUBERNETES_DEFAULT = "1.33";
/** A kube-proxy hears of an endpoint's end within a second or two; 5 s is what Istio waits as well. */
export const PRE_STOP_SLEEP_SECONDS = 5;
