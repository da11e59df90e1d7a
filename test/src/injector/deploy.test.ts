// deploy/kubernetes as it stands: valid for the API server, fit for the programs that it starts, and for each other.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { parseListeningLine } from "../../../src/cli/demo/ready.ts";
import { parseMeshFile } from "../../../src/config/index.ts";
import { injectText } from "../../../src/injector/index.ts";
import { injectOptions } from "../../support/inject-options.ts";
import { kubernetesProblem } from "../../support/kubernetes.ts";
import { requireProgram } from "../../support/programs.ts";
import { startPillion } from "../../support/sidecar.ts";
import { projectRoot } from "../../support/source.ts";

interface KubernetesObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly apiVersion: string;
  readonly data: Readonly<Record<string, string>>;
  readonly webhooks: readonly {
    readonly clientConfig: {
      readonly caBundle: string;
      readonly service: { readonly name: string; readonly namespace: string; readonly path: string };
    };
  }[];
  readonly spec: { readonly template: { readonly spec: PodSpec } };
}

interface PodSpec {
  readonly containers: readonly PodContainer[];
  readonly initContainers?: readonly PodContainer[];
  readonly volumes: readonly { readonly secret?: { readonly secretName: string } }[];
}

interface PodContainer {
  readonly args: readonly string[];
  readonly volumeMounts: readonly { readonly mountPath: string }[];
}

/** The first of a list that is not empty. */
function first<T>(list: readonly T[] | undefined): T {
  const [item] = list ?? [];
  if (item === undefined) throw new Error("nothing is there");
  return item;
}

const folder = join(projectRoot, "deploy/kubernetes");
const files = readdirSync(folder).filter((file) => file.endsWith(".yaml"));
const version = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8")).version;

function readObjects(text: string): KubernetesObject[] {
  return parseAllDocuments(text, { merge: true, logLevel: "silent" }).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS();
  });
}

function readFile(file: string): KubernetesObject[] {
  return readObjects(readFileSync(join(folder, file), "utf8"));
}

function find(objects: readonly KubernetesObject[], kind: string, name: string): KubernetesObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
}

test.each(files)("%s is valid for the API server, and names the images of this version", async (file) => {
  for (const object of readFile(file)) {
    // cert-manager's own kinds are not Kubernetes'.
    if (object.apiVersion !== "cert-manager.io/v1") expect(await kubernetesProblem(object)).toBeUndefined();
  }
  const images = readFileSync(join(folder, file), "utf8").matchAll(/\b(?:image: |--image=)pillion:(\S+)/g);
  for (const [, tag] of images) expect(tag).toBe(version);
});

test("etcd with and without TLS differ in TLS only", () => {
  const [plain, tls] = ["etcd.yaml", "etcd-tls.yaml"].map((file) => find(readFile(file), "StatefulSet", "etcd"));
  const flagsOf = (set?: KubernetesObject) => first(set?.spec.template.spec.containers).args;
  const plainFlags = flagsOf(plain).map((flag) =>
    flag.replaceAll("http:", "https:").replace("https://0.0.0.0:2381", ""),
  );
  const tlsFlags = flagsOf(tls).map((flag) => flag.replace("http://0.0.0.0:2381", ""));
  expect(tlsFlags.slice(0, plainFlags.length)).toEqual(plainFlags);
  expect(tlsFlags.slice(plainFlags.length)).toHaveLength(8);
});

test("the sample's pods get sidecars that fit them, all but the one that wants none", async () => {
  const text = readFileSync(join(folder, "sample.yaml"), "utf8");
  const injected = injectText(text, injectOptions());
  expect(injected.reports.map(({ name, outcome }) => [name, outcome.kind])).toEqual([
    ["Job sample/apply-mesh", "skipped"],
    ["Deployment sample/web-v1", "injected"],
    ["Deployment sample/web-v2", "injected"],
    ["Deployment sample/greeter", "injected"],
    ["Job sample/greet", "injected"],
    ["Deployment sample/caller", "injected"],
  ]);
  const objects = readObjects(injected.text);
  for (const object of objects) expect(await kubernetesProblem(object)).toBeUndefined();
  const args = JSON.stringify(first(find(objects, "Deployment", "web-v2").spec.template.spec.initContainers).args);
  expect(args).toContain('"--service","web.$(POD_NAMESPACE)","--app","127.0.0.1:8080"');
  expect(args).toContain('"--tag","version=v2"');
});

test("the sample's documents are what `pillion apply` takes, as its Job calls it", async () => {
  const objects = readFile("sample.yaml");
  const mesh = find(objects, "ConfigMap", "mesh").data["mesh.yaml"] ?? "";
  expect(parseMeshFile(mesh, { fileName: "mesh.yaml" })).toMatchObject({ ok: true, warnings: [] });
  const container = first(find(objects, "Job", "apply-mesh").spec.template.spec.containers);
  const local = mkdtempSync(join(tmpdir(), "pillion-deploy-"));
  try {
    writeFileSync(join(local, "mesh.yaml"), mesh);
    writeFileSync(join(local, "registry.yaml"), "services: {}\n");
    const args = container.args.map((flag) =>
      flag
        .replace(first(container.volumeMounts).mountPath, local)
        .replace(/^--mesh=etcd:.*/, `--mesh=file:${join(local, "registry.yaml")}`),
    );
    const program = startPillion(args);
    expect([(await program.ended).code, program.lines.join()]).toEqual([0, expect.stringContaining("web.sample")]);
    expect(readFileSync(join(local, "registry.yaml"), "utf8")).toContain("greeter.sample");
  } finally {
    rmSync(local, { recursive: true });
  }
});

test("the injector starts with its manifest's flags, and the webhook trusts its certificate", async (context) => {
  requireProgram(context, "openssl");
  const printed = readObjects(execFileSync(join(folder, "certificate.sh"), { encoding: "utf8" }));
  for (const object of printed) expect(await kubernetesProblem(object)).toBeUndefined();
  const webhook = first(find(printed, "MutatingWebhookConfiguration", "pillion-injector").webhooks);
  const decode = (text = "") => Buffer.from(text, "base64").toString();
  const ca = decode(webhook.clientConfig.caBundle);
  const secret = find(printed, "Secret", "pillion-injector-tls");
  const deployment = find(readFile("injector.yaml"), "Deployment", "pillion-injector");
  const { containers, volumes } = deployment.spec.template.spec;
  expect(first(volumes).secret?.secretName).toBe(secret.metadata.name);
  const certificates = mkdtempSync(join(tmpdir(), "pillion-deploy-"));
  for (const file of ["tls.crt", "tls.key"]) writeFileSync(join(certificates, file), decode(secret.data[file]));
  const args = first(containers).args.map((flag) =>
    flag
      .replace("--listen=:8443", "--listen=127.0.0.1:0")
      .replace(first(first(containers).volumeMounts).mountPath, certificates),
  );
  const program = startPillion(args);
  try {
    const [line = ""] = await program.waitForLine(/^\{.*"msg":"listening".*$/);
    const [host, port] = (parseListeningLine(line)?.listen ?? "").split(":");
    const { name, namespace, path } = webhook.clientConfig.service;
    // As the API server does: the service's name is what the certificate is checked against.
    const servername = `${name}.${namespace}.svc`;
    const status = await new Promise((resolve, reject) => {
      const question = request({ host, port, path, ca, servername, method: "GET", agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      question.on("error", reject);
      question.end();
    });
    expect(status).toBe(405);
  } finally {
    await program.stop();
    rmSync(certificates, { recursive: true });
  }
});
