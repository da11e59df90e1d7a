// `pillion inject` as a command: streams, the summary on stderr, exit codes, nothing written when something is wrong.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { injectFiles } from "../../../src/cli/inject.ts";
import { createProgram } from "../../../src/cli/program.ts";
import { injectOptions } from "../../support/inject-options.ts";
import { createFakeTerminal } from "../../support/terminal.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "pillion-inject-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const pod = (name: string, rest = "") =>
  `kind: Pod\nmetadata: {name: ${name}${rest}}\nspec: {containers: [{name: ${name}, ports: [{containerPort: 80}]}]}\n`;

async function inject(...texts: readonly string[]) {
  const names = texts.map((text, index) => {
    const name = join(folder, `${index}.yaml`);
    writeFileSync(name, text);
    return name;
  });
  const terminal = createFakeTerminal();
  const code = await injectFiles(terminal, names, injectOptions());
  return { code, out: terminal.out, err: terminal.err.replaceAll(`${folder}/`, "") };
}

test("several files become one stream", async () => {
  const { code, out, err } = await inject(pod("a"), `---\n${pod("b")}`, "kind: Service\nmetadata: {name: c}");
  expect(code).toBe(0);
  const kinds = parseAllDocuments(out).map((document) => document.toJS());
  expect(kinds.map(({ kind, metadata }) => [kind, metadata.name])).toEqual([
    ["Pod", "a"],
    ["Pod", "b"],
    ["Service", "c"],
  ]);
  expect(err.split("\n").filter((line) => line.startsWith("injected"))).toEqual([
    "injected  Pod a: service a, app on port 80, native sidecar",
    "injected  Pod b: service b, app on port 80, native sidecar",
  ]);
  expect(err.trim().split("\n").at(-1)).toBe("2 injected, 1 other document left as it was");
});

test("nothing is written when anything is wrong, and the line is named", async () => {
  const wrong = `---\n${pod("b", ", annotations: {pillion.io/servce: x}")}`;
  const misspelt = await inject(`${pod("a")}${wrong}`);
  expect([misspelt.code, misspelt.out]).toEqual([1, ""]);
  expect(misspelt.err).toContain(
    "error 0.yaml:5: Pod b: annotation pillion.io/servce is not known (did you mean pillion.io/service?)",
  );
  expect(misspelt.err.trim().split("\n").at(-1)).toMatch(/; 1 error, nothing was written$/);
  const broken = await inject(pod("a"), "kind: [Pod\n");
  expect([broken.code, broken.out]).toEqual([1, ""]);
  expect(broken.err).toMatch(/error 1\.yaml:\d+:\d+: /);
});

test("what is skipped passes through, with its reason", async () => {
  const text = pod("a", ', annotations: {pillion.io/inject: "false"}');
  const { code, out, err } = await inject(text);
  expect([code, out]).toEqual([0, text]);
  expect(err).toContain("skipped   Pod a: annotated pillion.io/inject: false");
});

test("flags are judged before anything is read", async () => {
  for (const flags of [
    [],
    ["-f", "x", "--kubernetes", "2"],
    ["-f", "x", "--mesh", "ftp://x"],
    ["-f", "x", "--interc"],
  ]) {
    const program = await createProgram("inject", createFakeTerminal());
    const parsed = program.parseAsync(["inject", ...flags], { from: "user" });
    await expect(parsed).rejects.toMatchObject({ name: expect.stringMatching(/CommanderError|InvalidArgumentError/) });
  }
});
