// `pillion check`: every problem with its place, and what would be right.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkFiles } from "../../../src/cli/check.ts";
import { createProgram } from "../../../src/cli/program.ts";
import { createFakeTerminal } from "../../support/terminal.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pillion-check-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function write(text: string): string {
  const path = join(folder, "mesh.yaml");
  writeFileSync(path, text);
  return path;
}

test("a good file is counted", async () => {
  const terminal = createFakeTerminal();
  const path = write("services:\n  web:\n    instances: [{address: 127.0.0.1:1}, {address: 127.0.0.1:2}]\n");
  expect(await checkFiles(terminal, [path], { output: "text" })).toBe(0);
  expect(terminal.out).toBe(`${path}: 1 service, 2 instances, 0 routes, 0 errors, 0 warnings\n`);
});

test("each problem has its line and column, and the nearest right name", async () => {
  const terminal = createFakeTerminal();
  const path = write(`services:
  web:
    balanc: {policy: round-robin}
    timeout: {connect: 5}
routes:
  api:
    hosts: [api.example]
    rules:
      - to: [{service: wbe}]
`);
  expect(await checkFiles(terminal, [path], { output: "text" })).toBe(1);
  const lines = terminal.out.trimEnd().split("\n");
  expect(lines.find((line) => line.includes("balanc "))).toMatch(
    new RegExp(`^error ${path}:3:5: services.web.balanc: .*did you mean balance\\?`),
  );
  expect(lines.some((line) => line.startsWith(`error ${path}:4:24: services.web.timeout.connect: `))).toBe(true);
  expect(lines.some((line) => line.startsWith(`error ${path}:9:`) && line.includes("wbe"))).toBe(true);
  expect(lines.at(-1)).toMatch(/: 3 errors, 0 warnings$/);
});

test("what is accepted but not acted on is a warning, and the file is good", async () => {
  const terminal = createFakeTerminal();
  const path = write(
    "services:\n  web: {}\nroutes:\n  r:\n    rules:\n      - to: [{service: web}]\n        health: {path: /}\n",
  );
  expect(await checkFiles(terminal, [path], { output: "text" })).toBe(0);
  expect(terminal.out).toMatch(/^warning .*:7:9: routes\.r\.rules\.0\.health: accepted, not acted on yet/);
});

test("json names the same places", async () => {
  const terminal = createFakeTerminal();
  const path = write("services:\n  web: {protocl: http}\n");
  expect(await checkFiles(terminal, [path], { output: "json" })).toBe(1);
  expect(JSON.parse(terminal.out)).toMatchObject({
    ok: false,
    files: [
      { file: path, ok: false, issues: [{ severity: "error", line: 2, column: 9, hint: "did you mean protocol?" }] },
    ],
  });
});

test("a file that is not there is the world's fault, and named", async () => {
  const missing = join(folder, "missing.yaml");
  await expect(checkFiles(createFakeTerminal(), [missing], { output: "text" })).rejects.toMatchObject({
    code: "PILLION_FILE_READ",
    message: expect.stringContaining(missing),
  });
});

test("-f names a file as apply does, beside arguments", async () => {
  const path = write("services: {}\n");
  const terminal = createFakeTerminal();
  await createProgram("check", terminal)
    .then((program) =>
      program.parseAsync(["check", "--output", "json", "-f", join(folder, "none.yaml"), path], { from: "user" }),
    )
    .then(
      () => expect.unreachable(),
      (error: Error) => expect(error.message).toMatch(/none\.yaml|no such file/),
    );
});
