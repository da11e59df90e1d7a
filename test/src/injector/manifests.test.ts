// Manifests as people and charts write them, and what injection makes of them, to the byte (golden/).
//
// After a change that is meant: PILLION_UPDATE=1, run this file, and read the difference.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { type InjectedText, type InjectOptions, injectText, type Outcome } from "../../../src/injector/index.ts";
import { injectOptions } from "../../support/inject-options.ts";
import { kubernetesProblem } from "../../support/kubernetes.ts";

const folder = import.meta.dirname;
const names = readdirSync(join(folder, "manifests")).map((file) => file.replace(/\.yaml$/, ""));

/** The file as it is, or as it is from now on. */
function readGolden(file: string, now: string): string {
  const path = join(folder, "golden", file);
  if (process.env.PILLION_UPDATE === "1") writeFileSync(path, now);
  return readFileSync(path, "utf8");
}

/** Manifests that are injected with other than the default options. */
const OPTIONS: Readonly<Record<string, Partial<InjectOptions>>> = {
  "native-sidecars": { intercept: "redirect", registrySecret: "etcd-client" },
  annotated: { intercept: "redirect" },
  statefulset: { intercept: "redirect", isClassic: true },
};

describe.each(names)("%s", (name) => {
  const text = readFileSync(join(folder, "manifests", `${name}.yaml`), "utf8");
  const options = injectOptions(OPTIONS[name]);
  const injected = injectText(text, options);

  test("becomes what the golden file shows", () => {
    expect(injected.text).toBe(readGolden(`${name}.yaml`, injected.text));
  });

  test("is spliced, not written anew, and valid for the API server", async () => {
    expect([injected.problems, injected.warnings]).toEqual([[], []]);
    for (const document of parseAllDocuments(injected.text, { merge: true, logLevel: "silent" })) {
      const value = document.toJS();
      if (value !== null) expect(await kubernetesProblem(value)).toBeUndefined();
    }
  });

  test("is not injected twice", () => {
    const again = injectText(injected.text, options);
    expect(again.text).toBe(injected.text);
    expect(kindsOf(again)).toEqual(kindsOf(injected).map((kind) => (kind === "injected" ? "unchanged" : kind)));
  });

  test("keeps its line ends", () => {
    const [bare, pairs] = [/(?<!\r)\n/g, /\r\n/g].map((end) => injected.text.match(end)?.length ?? 0);
    expect(text.includes("\r\n") ? bare : pairs).toBe(0);
  });
});

test("each is described", () => {
  const described = names.map((name) => {
    const text = readFileSync(join(folder, "manifests", `${name}.yaml`), "utf8");
    const { reports, otherCount } = injectText(text, injectOptions(OPTIONS[name]));
    const lines = reports.flatMap(({ name: workload, outcome, warnings }) => [
      `${outcome.kind} ${workload}: ${aboutOf(outcome)}`,
      ...("notes" in outcome ? outcome.notes : []).map((note) => `  ${note}`),
      ...warnings.map((warning) => `  warning: ${warning}`),
    ]);
    return [`${name} (${otherCount} others)`, ...lines].join("\n");
  });
  const text = `${described.join("\n\n")}\n`;
  expect(text).toBe(readGolden("summaries.txt", text));
});

test("text that is no YAML, and YAML that multiplies itself, are left alone", () => {
  const template = "apiVersion: v1\nkind: Pod\nmetadata: {name: [{{ .Values.name }}\n";
  const broken = injectText(`a: 1\n---\n${template}`, injectOptions());
  expect(broken.text).toBe(`a: 1\n---\n${template}`);
  expect(broken.problems[0]).toMatch(/^\d+:\d+: /);
  const laughs = `a: &a [x, x, x, x, x, x, x, x, x, x]\n${["b", "c", "d", "e"]
    .map((name, index) => `${name}: &${name} [${Array(10).fill(`*${"abcd"[index]}`)}]`)
    .join("\n")}\n`;
  expect(injectText(laughs, injectOptions()).problems).toHaveLength(1);
  expect(injectText("", injectOptions())).toMatchObject({ text: "", reports: [], problems: [] });
  expect(injectText("just text\n", injectOptions())).toMatchObject({ text: "just text\n", otherCount: 1 });
});

test("modes and booleans of YAML 1.1 keep their meaning where an alias is written out", () => {
  const volumes = "volumes: &v [{name: s, secret: {secretName: s, defaultMode: 0440, optional: yes}}]";
  const pod = (name: string, list: string) =>
    `- {kind: Pod, metadata: {name: ${name}}, spec: {containers: [{name: a}], ${list}}}`;
  const text = `kind: List\nitems:\n${pod("a", volumes)}\n${pod("b", "volumes: *v")}\n`;
  const injected = injectText(text, injectOptions({ registrySecret: "etcd" }));
  expect(injected.text.split("\n")[2]).toContain("defaultMode: 0440, optional: yes");
  expect(injected.text.split("\n")[3]).toContain('"defaultMode":288,"optional":true');
});

test("what cannot be spliced is written anew, and said", () => {
  // `|+` keeps the empty lines below it: what is put behind the text would cut them off.
  const env = ["env:", "- name: BANNER", "  value: |+", "    hello", "", ""].map((line) => `    ${line}`.trimEnd());
  const lines = ["kind: Pod", "metadata: {name: odd}", "spec:", "  containers:", "  - name: a"];
  const text = [...lines, "    ports: [{containerPort: 80}]", ...env].join("\n");
  const injected = injectText(text, injectOptions());
  expect(injected.warnings).toEqual(["line 1: this document was written anew; its comments are lost"]);
  const [value] = parseAllDocuments(injected.text).map((document) => document.toJS());
  expect(value.spec.initContainers[0].name).toBe("pillion");
  expect(value.spec.containers[0].env).toEqual([{ name: "BANNER", value: "hello\n\n" }]);
  expect(injectText(injected.text, injectOptions()).text).toBe(injected.text);
});

function aboutOf(outcome: Outcome): string {
  if (outcome.kind === "refused") return outcome.problems.join("; ");
  return outcome.kind === "skipped" ? outcome.reason : outcome.summary;
}

function kindsOf({ reports }: InjectedText): string[] {
  return reports.map(({ outcome }) => outcome.kind);
}
