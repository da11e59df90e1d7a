// The core by itself: what is derived, what is refused, and that `pillion run` takes every flag that is written.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseProcessConfig } from "../../../src/config/index.ts";
import { ANNOTATIONS } from "../../../src/injector/annotations.ts";
import { type InjectOptions, injectPod, type Owner } from "../../../src/injector/index.ts";
import { comparePatch } from "../../../src/injector/json-patch.ts";
import { applyPatch } from "../../support/apply-patch.ts";
import { injectOptions } from "../../support/inject-options.ts";
import { projectRoot } from "../../support/source.ts";

interface Named {
  readonly name: string;
  readonly args?: readonly string[];
  readonly [field: string]: unknown;
}

const web = { name: "web", image: "web:1", ports: [{ name: "http", containerPort: 8080 }] };
const deployment: Owner = { kind: "Deployment", name: "web" };

function podOf(changes: Record<string, unknown> = {}, annotations: Record<string, unknown> = {}) {
  return { metadata: { labels: { app: "web" }, annotations }, spec: { containers: [web], ...changes } };
}

function inject(pod: unknown, options: Partial<InjectOptions> = {}, owner = deployment) {
  return injectPod(pod, owner, injectOptions(options));
}

function specOf(pod: unknown, options: Partial<InjectOptions> = {}, owner = deployment) {
  const { outcome } = inject(pod, options, owner);
  if (outcome.kind !== "injected") throw new Error(JSON.stringify(outcome));
  const { containers, initContainers = [] } = outcome.pod.spec;
  const sidecar = [...(initContainers ?? []), ...containers].find(({ name }) => name === "pillion") as Named;
  return { containers: containers as Named[], initContainers: initContainers as Named[], sidecar };
}

function flag(sidecar: Named, name: string): string | undefined {
  const index = sidecar.args?.indexOf(`--${name}`) ?? -1;
  return index < 0 ? undefined : sidecar.args?.[index + 1];
}

const everything = {
  service: "books.library",
  "app-port": "8080",
  "app-protocol": "http2",
  weight: "20",
  zone: "cellar",
  tags: "track=canary,shelf=3",
  mesh: "etcd://h:2379/library",
  unknown: "deny",
  workers: "2",
  drain: "9s",
  "access-log": "json",
  "log-level": "debug",
  "opaque-ports": "25,6400",
};
const annotated = Object.fromEntries(Object.entries(everything).map(([name, value]) => [`pillion.io/${name}`, value]));

test("`pillion run` takes every flag that is written", () => {
  const options = { intercept: "redirect", registrySecret: "etcd" } as const;
  for (const pod of [podOf(), podOf({}, annotated), podOf({ containers: [{ name: "job" }] })]) {
    const { sidecar } = specOf(pod, options);
    const values: Record<string, string> = { POD_NAME: "web-1", POD_NAMESPACE: "shop", POD_IP: "fd00::7" };
    const args = (sidecar.args ?? []).map((text) =>
      text.replace(/\$\((\w+)\)/g, (_, name: string) => values[name] ?? "?"),
    );
    expect(args[0]).toBe("run");
    const flags: Record<string, string | string[]> = {};
    for (let index = 1; index < args.length; index += 2) {
      const name = (args[index] ?? "").slice(2).replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
      flags[name] = name === "tag" ? [...(flags[name] ?? []), args[index + 1] ?? ""] : (args[index + 1] ?? "");
    }
    const parsed = parseProcessConfig({ flags, env: { PILLION_ZONE: "" } });
    expect(parsed).toMatchObject({ ok: true });
  }
});

describe("what a pod says about itself", () => {
  test.each([
    [{ app: "web", "app.kubernetes.io/name": "shop" }, {}, deployment, "shop.$(POD_NAMESPACE)"],
    [{ app: "web" }, { "pillion.io/service": "users" }, deployment, "users.$(POD_NAMESPACE)"],
    [{ app: "web" }, { "pillion.io/service": "users.people" }, deployment, "users.people"],
    [{ app: "Not A Name" }, {}, deployment, "web.$(POD_NAMESPACE)"],
    [{ "pod-template-hash": "5d89" }, {}, { kind: "ReplicaSet", name: "front-5d89" }, "front.$(POD_NAMESPACE)"],
    [{}, {}, { kind: "StatefulSet", name: "db" }, "db.$(POD_NAMESPACE)"],
  ])("labels %j and annotations %j name the service", (labels, annotations, owner, service) => {
    const { sidecar } = specOf({ metadata: { labels, annotations }, spec: { containers: [web] } }, {}, owner);
    expect(flag(sidecar, "service")).toBe(service);
  });

  test.each([
    [[{ containerPort: 80 }], {}, "80"],
    [
      [
        { name: "metrics", containerPort: 9090 },
        { name: "grpc-api", containerPort: 50051 },
      ],
      {},
      "50051",
    ],
    [[{ containerPort: 1 }, { containerPort: 2 }], { "pillion.io/app-port": "2" }, "2"],
    [[{ name: "x", containerPort: 3 }], { "pillion.io/app-port": "x" }, "3"],
    [[{ containerPort: 53, protocol: "UDP" }], {}, undefined],
    [[{ containerPort: 1 }, { containerPort: 2 }], {}, undefined],
    [null, {}, undefined],
  ])("ports %j and annotations %j say where the app listens", (ports, annotations, port) => {
    const { sidecar } = specOf(podOf({ containers: [{ name: "web", ports }] }, annotations));
    expect(flag(sidecar, "app")).toBe(port === undefined ? undefined : `127.0.0.1:${port}`);
    expect(flag(sidecar, "service") === undefined).toBe(port === undefined);
  });

  test("zone: as annotated, as selected, else by the pod's own label", () => {
    const zoneOf = (pod: unknown) => {
      const { sidecar } = specOf(pod);
      return [flag(sidecar, "zone"), (sidecar.env as Named[]).some(({ name }) => name === "PILLION_ZONE")];
    };
    expect(zoneOf(podOf())).toEqual([undefined, true]);
    expect(zoneOf(podOf({ nodeSelector: { "topology.kubernetes.io/zone": "a" } }))).toEqual(["a", false]);
    expect(zoneOf(podOf({}, { "pillion.io/zone": "b" }))).toEqual(["b", false]);
  });

  test("the grace period is the time to drain", () => {
    const drainOf = (seconds?: number) =>
      flag(specOf(podOf(seconds === undefined ? {} : { terminationGracePeriodSeconds: seconds })).sidecar, "drain");
    expect([drainOf(), drainOf(120), drainOf(4), drainOf(1), drainOf(0)]).toEqual(["25s", "115s", "2s", "1s", "1s"]);
  });

  test("a default request bows to a limit", () => {
    const resourcesOf = (annotations: Record<string, string>) => specOf(podOf({}, annotations)).sidecar.resources;
    expect(resourcesOf({ "pillion.io/memory-limit": "96Mi" })).toEqual({
      requests: { cpu: "50m", memory: "96Mi" },
      limits: { memory: "96Mi" },
    });
    expect(resourcesOf({ "pillion.io/cpu-limit": "0.5", "pillion.io/memory-request": "200M" })).toEqual({
      requests: { cpu: "50m", memory: "200M" },
      limits: { cpu: "0.5", memory: "512Mi" },
    });
  });

  test("a dollar that is not ours stays one", () => {
    const { sidecar } = specOf(podOf({}, { "pillion.io/tags": "owner=$(USER)" }));
    expect(flag(sidecar, "tag")).toBe("owner=$$(USER)");
  });
});

describe("modes", () => {
  test("native from 1.29, classic before or when asked", () => {
    const native = specOf(podOf(), { kubernetesMinor: 29 });
    expect(native.initContainers.map(({ name }) => name)).toEqual(["pillion"]);
    expect(native.sidecar.restartPolicy).toBe("Always");
    for (const options of [{ kubernetesMinor: 28 }, { isClassic: true }]) {
      const classic = specOf(podOf(), options);
      expect(classic.containers.map(({ name }) => name)).toEqual(["pillion", "web"]);
      expect(classic.sidecar).toMatchObject({ lifecycle: { postStart: { exec: {} }, preStop: { exec: {} } } });
      expect(classic.sidecar.restartPolicy).toBeUndefined();
    }
  });

  test("apps sleep from 1.30, unless they have a hook, serve nobody, or have no time", () => {
    const hookOf = (pod: unknown, options: Partial<InjectOptions> = {}, owner = deployment) =>
      (
        specOf(pod, options, owner).containers.find(({ name }) => name === "web") as {
          lifecycle?: { preStop?: unknown };
        }
      ).lifecycle?.preStop;
    const hook = { exec: { command: ["x"] } };
    expect(hookOf(podOf())).toEqual({ sleep: { seconds: 5 } });
    expect(hookOf(podOf(), { kubernetesMinor: 29 })).toBeUndefined();
    expect(hookOf(podOf(), { preStopSleepSeconds: 0 })).toBeUndefined();
    expect(hookOf(podOf({ terminationGracePeriodSeconds: 9 }))).toEqual({ sleep: { seconds: 3 } });
    expect(hookOf(podOf({ terminationGracePeriodSeconds: 1 }))).toBeUndefined();
    expect(hookOf(podOf({ containers: [{ ...web, lifecycle: { preStop: hook } }] }))).toEqual(hook);
    expect(hookOf(podOf({ containers: [{ name: "web" }] }))).toBeUndefined();
    expect(hookOf(podOf(), {}, { kind: "Job", name: "j" })).toBeUndefined();
  });

  test("rules come right before a native sidecar, and last before a classic one", () => {
    const pod = podOf({ initContainers: [{ name: "migrate" }] });
    const native = specOf(pod, { intercept: "redirect" });
    expect(native.initContainers.map(({ name }) => name)).toEqual(["pillion-intercept", "pillion", "migrate"]);
    const classic = specOf(pod, { intercept: "redirect", isClassic: true });
    expect(classic.initContainers.map(({ name }) => name)).toEqual(["migrate", "pillion-intercept"]);
    expect(specOf(podOf({}, { "pillion.io/intercept": "off" }), { intercept: "redirect" }).initContainers).toHaveLength(
      1,
    );
  });

  test("rules leave alone what the sidecar does not speak for", () => {
    const containers = [
      {
        ...web,
        readinessProbe: { httpGet: { port: 9090 } },
        livenessProbe: { tcpSocket: { port: "http" }, periodSeconds: 7 },
        startupProbe: { exec: { command: ["true"] } },
        lifecycle: { preStop: { httpGet: { port: 9091 } } },
      },
    ];
    const annotations = { "pillion.io/inbound-ports-exclude": "22", "pillion.io/outbound-ports-exclude": "5432, 6379" };
    const spec = specOf(podOf({ containers }, annotations), { intercept: "redirect" });
    const [rules] = spec.initContainers;
    expect(rules?.args).toEqual([
      ...["intercept", "setup", "--inbound-port", "15006", "--outbound-port", "15001", "--uid", "1337"],
      ...["--exclude-inbound-ports", "15000,15021,9090,9091,22", "--exclude-outbound-ports", "5432,6379"],
    ]);
    expect(spec.containers[0]?.livenessProbe).toEqual({
      httpGet: { path: "/ready?part=app", port: 15021 },
      periodSeconds: 7,
    });
    // Without interception kubelet reaches the app itself.
    expect(specOf(podOf({ containers })).containers[0]?.livenessProbe).toEqual(containers[0]?.livenessProbe);
    expect(inject(podOf({ containers: [{ name: "job" }] }), { intercept: "redirect" }).outcome.kind).toBe("injected");
    const alone = specOf(podOf({ containers: [{ name: "job" }] }), { intercept: "redirect" });
    expect(alone.initContainers[0]?.args).toEqual(["intercept", "setup", "--outbound-port", "15001", "--uid", "1337"]);
  });
});

describe("what is not injected", () => {
  test.each([
    ["hostNetwork", podOf({ hostNetwork: true }), {}, deployment, /hostNetwork/],
    ["inject: false", podOf({}, { "pillion.io/inject": "false" }), {}, deployment, /inject: false/],
    ["inject: false without quotes", podOf({}, { "pillion.io/inject": false }), {}, deployment, /inject: false/],
    ["another mesh", podOf({ containers: [web, { name: "linkerd-proxy" }] }), {}, deployment, /another mesh/],
    ["windows", podOf({ os: { name: "windows" } }), {}, deployment, /windows/],
    ["a job beside a classic sidecar", podOf(), { isClassic: true }, { kind: "Job", name: "j" }, /does not complete/],
    ["another mode", podOf({ containers: [web, { name: "pillion", args: ["run"] }] }), {}, deployment, /another mode/],
  ] as const)("%s is skipped", (_, pod, options, owner, reason) => {
    expect(inject(pod, options, owner).outcome).toEqual({ kind: "skipped", reason: expect.stringMatching(reason) });
  });

  test.each([
    ["nothing", undefined, {}, /expected object/],
    ["no containers", { spec: { containers: [] } }, {}, /spec.containers/],
    ["a port that is none", podOf({}, { "pillion.io/app-port": "70000" }), {}, /app-port.*70000/],
    ["a port that nobody has", podOf({}, { "pillion.io/app-port": "grpc" }), {}, /no container has a port named grpc/],
    ["a quantity that is none", podOf({}, { "pillion.io/memory-limit": "much" }), {}, /not a quantity/],
    [
      "a port that the sidecar needs",
      podOf({ containers: [{ name: "a", ports: [{ containerPort: 15001 }] }] }),
      {},
      /15001/,
    ],
    ["the sidecar's user", podOf({ securityContext: { runAsUser: 1337 } }), { intercept: "redirect" as const }, /1337/],
    ["the sidecar's name", podOf({ containers: [web, { name: "pillion" }] }), {}, /called pillion/],
  ])("%s is refused", (_, pod, options, problem) => {
    const { outcome } = inject(pod, options);
    expect(outcome).toMatchObject({ kind: "refused", problems: [expect.stringMatching(problem)] });
  });

  test("an annotation that nobody knows is named, with the nearest one", () => {
    expect(inject(podOf({}, { "pillion.io/servce": "x", "pillion.io/qqq": "1", other: "x" })).unknown).toEqual([
      "annotation pillion.io/servce is not known (did you mean pillion.io/service?)",
      "annotation pillion.io/qqq is not known (docs/KUBERNETES.md lists them all)",
    ]);
  });
});

test("docs/KUBERNETES.md lists every annotation as the table says", () => {
  const page = readFileSync(join(projectRoot, "docs/KUBERNETES.md"), "utf8");
  const rows = Object.entries(ANNOTATIONS).map(([name, { doc }]) => `| \`${name}\` | ${doc} |`);
  expect(page).toContain(rows.join("\n"));
});

test("the difference as a JSON patch leads to the same pod", () => {
  const pods = [podOf(), podOf({ initContainers: [{ name: "a" }], volumes: [{ name: "v" }] }, { "a/b~c": "1" })];
  for (const pod of pods) {
    for (const options of [{}, { isClassic: true }, { intercept: "redirect", registrySecret: "s" }] as const) {
      const { outcome } = inject(pod, options);
      if (outcome.kind !== "injected") throw new Error(outcome.kind);
      const patch = comparePatch(pod, outcome.pod);
      expect(applyPatch(pod, patch)).toEqual(outcome.pod);
      expect(patch.every(({ op }) => op === "add")).toBe(true);
    }
  }
});
