// The admission webhook as a process: TLS, reviews, nonsense, new certificates, many reviews at once.

import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { expect, test } from "vitest";
import { parseListeningLine } from "../../src/cli/demo/ready.ts";
import { applyPatch } from "../support/apply-patch.ts";
import { createCertificates } from "../support/certificates.ts";
import { kubernetesProblem } from "../support/kubernetes.ts";
import { waitUntil } from "../support/process.ts";
import { requireProgram } from "../support/programs.ts";
import { startPillion } from "../support/sidecar.ts";

interface Answer {
  readonly status: number;
  readonly body: string;
  /** Common name of the certificate that the server showed. */
  readonly name: string;
}

async function startInjector(openssl: string, flags: readonly string[] = []) {
  const certificates = await createCertificates(openssl);
  const folder = mkdtempSync(join(tmpdir(), "pillion-injector-"));
  const [certPath, keyPath] = [join(folder, "tls.crt"), join(folder, "tls.key")];
  const { ca } = await certificates.issue("first");
  const show = async (name: string, betweenHalves?: () => Promise<void>) => {
    const { cert, key } = await certificates.issue(name);
    for (const [from, to] of [
      [cert, certPath],
      [key, keyPath],
    ] as const) {
      copyFileSync(from, `${to}.new`);
      renameSync(`${to}.new`, to);
      if (to === certPath) await betweenHalves?.();
    }
  };
  await show("first");
  const args = ["injector", "--listen", "127.0.0.1:0", "--tls-cert", certPath, "--tls-key", keyPath, ...flags];
  const program = startPillion(args);
  const [line = ""] = await program.waitForLine(/^\{.*"msg":"listening".*$/);
  const address = parseListeningLine(line)?.listen ?? "";
  const [host, port] = address.split(":");
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const ask = (method: string, path: string, body = "", type = "application/json", isNew = false) =>
    new Promise<Answer>((resolve, reject) => {
      const headers = { "content-type": type, "content-length": Buffer.byteLength(body) };
      const options = {
        host,
        port,
        method,
        path,
        headers,
        ca: readFileSync(ca),
        agent: isNew ? false : agent,
      } as const;
      const question = request(options, (response) => {
        const name = `${(response.socket as TLSSocket).getPeerCertificate().subject?.CN}`;
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text, name }));
      });
      question.on("error", reject);
      question.end(body);
    });
  return {
    program,
    ask,
    show,
    async [Symbol.asyncDispose]() {
      agent.destroy();
      const ending = await program.stop();
      expect(ending).toEqual({ code: 0, signal: undefined });
      await certificates[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
}

function podNamed(name: string, annotations: Record<string, string> = {}) {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      generateName: `${name}-5d89bdf657-`,
      labels: { "pod-template-hash": "5d89bdf657" },
      annotations,
      ownerReferences: [
        { apiVersion: "apps/v1", kind: "ReplicaSet", name: `${name}-5d89bdf657`, uid: "1", controller: true },
      ],
    },
    spec: { containers: [{ name, image: "web:1", ports: [{ containerPort: 8080 }] }], restartPolicy: "Always" },
  };
}

function reviewOf(object: unknown, request: Record<string, unknown> = {}) {
  const kind = { group: "", version: "v1", kind: "Pod" };
  const whole = { uid: "705ab4f5", kind, operation: "CREATE", namespace: "shop", object, ...request };
  return JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request: whole });
}

test("pods get sidecars, or leave to come in without, or a reason", async (context) => {
  await using injector = await startInjector(requireProgram(context, "openssl"));
  const review = async (object: unknown, changes = {}) => {
    const { status, body } = await injector.ask("POST", "/inject?timeout=10s", reviewOf(object, changes));
    expect(status).toBe(200);
    const answer = JSON.parse(body);
    expect(answer).toMatchObject({
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      response: { uid: "705ab4f5" },
    });
    return answer.response;
  };
  const pod = podNamed("web");
  const { allowed, patchType, patch } = await review(pod);
  expect([allowed, patchType]).toEqual([true, "JSONPatch"]);
  const patched = applyPatch(pod, JSON.parse(Buffer.from(patch, "base64").toString())) as ReturnType<typeof podNamed>;
  expect(await kubernetesProblem(patched)).toBeUndefined();
  expect(JSON.stringify(patched)).toContain('"--service","web.$(POD_NAMESPACE)"');
  expect(await review(patched)).toEqual({ uid: "705ab4f5", allowed: true });
  expect(await review(podNamed("web", { "pillion.io/inject": "false" }))).toEqual({ uid: "705ab4f5", allowed: true });
  expect(await review(podNamed("web", { "pillion.io/servce": "x" }))).toMatchObject({
    allowed: true,
    warnings: [expect.stringContaining("did you mean pillion.io/service?")],
  });
  expect(await review(podNamed("web", { "pillion.io/app-port": "x y" }))).toMatchObject({
    allowed: false,
    status: { code: 422, message: expect.stringContaining("app-port") },
  });
  expect(await review({ spec: 1 })).toMatchObject({ allowed: false });
  expect(await review(null)).toMatchObject({ allowed: false });
  const other = { kind: { group: "apps", version: "v1", kind: "Deployment" } };
  expect(await review({}, other)).toEqual({ uid: "705ab4f5", allowed: true });
});

test("nonsense is told so, and ends nothing", async (context) => {
  await using injector = await startInjector(requireProgram(context, "openssl"));
  const statusOf = async (...question: Parameters<typeof injector.ask>) => (await injector.ask(...question)).status;
  for (const body of ["", "{", "[]", "null", "1", '{"kind":"AdmissionReview"}', `{"request":${"[".repeat(100_000)}`]) {
    expect(await statusOf("POST", "/inject", body)).toBe(400);
  }
  const beta = reviewOf(podNamed("web")).replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1");
  expect((await injector.ask("POST", "/inject", beta)).body).toContain("apiVersion");
  expect(await statusOf("POST", "/inject", reviewOf({ deep: "x".repeat(3_000_000) }))).toBe(200);
  // The answer may come before all is sent; then the connection ends under the sender.
  const large = await statusOf("POST", "/inject", "x".repeat(5_000_000)).catch(() => 413);
  expect(large).toBe(413);
  expect(await statusOf("POST", "/inject", "{}", "text/plain")).toBe(415);
  expect(await statusOf("GET", "/inject")).toBe(405);
  expect(await statusOf("POST", "/live")).toBe(405);
  expect(await statusOf("GET", "/")).toBe(404);
  expect([await statusOf("GET", "/live"), await statusOf("GET", "/ready")]).toEqual([200, 200]);
  const metrics = (await injector.ask("GET", "/metrics")).body;
  expect(metrics).toMatch(/^pillion_injector_reviews_total\{outcome="malformed"\} \d+$/m);
  expect(metrics).toMatch(/^pillion_injector_review_seconds_count \d+$/m);
});

test("a new certificate is shown without a restart; half of one is not", async (context) => {
  await using injector = await startInjector(requireProgram(context, "openssl"));
  const shown = async () => (await injector.ask("GET", "/live", "", "", true)).name;
  expect(await shown()).toBe("first");
  await injector.show("second");
  await waitUntil("the second certificate is shown", async () => (await shown()) === "second");
  await injector.show("third", async () => {
    await injector.program.waitForLine(/the new certificate is not taken/);
    expect(await shown()).toBe("second");
  });
  await waitUntil("the third certificate is shown", async () => (await shown()) === "third");
});

test("hundreds of reviews, many at once, each get their own answer", async (context) => {
  await using injector = await startInjector(requireProgram(context, "openssl"));
  const one = async (number: number) => {
    const { body } = await injector.ask(
      "POST",
      "/inject",
      reviewOf(podNamed(`web-${number}`), { uid: `uid-${number}` }),
    );
    const { response } = JSON.parse(body);
    const patch = Buffer.from(response.patch, "base64").toString();
    return response.uid === `uid-${number}` && patch.includes(`"web-${number}.$(POD_NAMESPACE)"`);
  };
  const answers = await Promise.all(Array.from({ length: 400 }, (_, number) => one(number)));
  expect(answers.filter((isRight) => !isRight)).toEqual([]);
});

test("without a good certificate it does not start", async () => {
  const program = startPillion(["injector", "--tls-cert", "no.crt", "--tls-key", "no.key"]);
  expect((await program.ended).code).toBe(1);
  expect(program.lines.join()).toContain("no.crt");
});
