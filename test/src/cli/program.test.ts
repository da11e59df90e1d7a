// The table of commands: exit codes, help everywhere, the nearest right name, and the script that starts it all.

import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createProgram, runProgram } from "../../../src/cli/program.ts";
import { PROCESS_FLAGS } from "../../../src/config/index.ts";
import { createFakeTerminal } from "../../support/terminal.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "pillion-cli-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function run(...argv: string[]) {
  const terminal = createFakeTerminal();
  const code = await runProgram(argv, terminal);
  return { code, out: terminal.out, err: terminal.err };
}

test("--help works everywhere and exits 0", async () => {
  expect(await run("--help")).toMatchObject({ code: 0, out: expect.stringContaining("run [options]") });
  const program = await createProgram(undefined, createFakeTerminal());
  expect(program.commands.map((command) => command.name())).toContain("diff");
  for (const command of program.commands) {
    expect(await run(command.name(), "--help")).toMatchObject({
      code: 0,
      out: expect.stringContaining("Usage: pillion"),
    });
  }
});

test("run names every flag with its default and its variable", async () => {
  const { out } = await run("run", "--help");
  const text = out.replace(/\s+/g, " ");
  for (const flag of Object.values(PROCESS_FLAGS)) {
    expect(text).toContain(`--${flag.name} <${flag.valueName}>`);
    expect(text).toContain(`[PILLION_${flag.name.toUpperCase().replaceAll("-", "_")}]`);
    if (flag.default !== undefined) expect(text).toContain(`default: ${flag.default}`);
  }
});

test("a wrong flag names the nearest right one and exits 2", async () => {
  expect(await run("run", "--sevice", "x")).toMatchObject({ code: 2, err: expect.stringContaining("--service") });
  expect(await run("chek")).toMatchObject({ code: 2, err: expect.stringContaining("check") });
});

test("wrong values are told all at once, and exit 2", async () => {
  const { code, err } = await run("run", "--app", "x", "--workers", "99", "--log-level", "loud");
  expect(code).toBe(2);
  for (const flag of ["--app", "--workers", "--log-level"]) expect(err).toContain(`${flag}: `);
});

test("what fails for another reason exits 1", async () => {
  const { code, err } = await run("run", "--config", join(folder, "absent.yaml"));
  expect(code).toBe(1);
  expect(err).toMatch(/^error: cannot read .*absent\.yaml/);
});

/** A package of its own: the script, a main.ts that tells who runs it, and what else a test puts there. */
function makePackage(nodeVersion: string) {
  mkdirSync(join(folder, "package/bin"), { recursive: true });
  mkdirSync(join(folder, "package/src"));
  mkdirSync(join(folder, "path"));
  const script = join(folder, "package/bin/pillion");
  copyFileSync("bin/pillion", script);
  writeFileSync(join(folder, "package/src/main.ts"), "");
  makeNode(join(folder, "path/node"), nodeVersion, "path");
  const start = (command = script) => {
    const env = { PATH: `${join(folder, "path")}:/usr/bin:/bin` };
    return spawnSync(command, ["run", "a b"], { encoding: "utf8", env });
  };
  return { script, start };
}

/** A node that prints which one it is, and its arguments. */
function makeNode(path: string, version: string, name: string): void {
  const lines = ["#!/bin/sh", `[ "$1" = --version ] && { echo ${version}; exit 0; }`, `echo "${name} $*"`];
  writeFileSync(path, `${lines.join("\n")}\n`);
  chmodSync(path, 0o755);
}

function makePinned(root: string, version: string, name: string): void {
  const arch = process.arch;
  mkdirSync(join(root, `node_modules/node-linux-${arch}/bin`), { recursive: true });
  makeNode(join(root, `node_modules/node-linux-${arch}/bin/node`), version, name);
}

test("bin/pillion takes the package's own Node, then a hoisted one, then one on PATH that is new enough", () => {
  const { start } = makePackage("v26.3.0");
  expect(start().stdout).toMatch(/^path --disable-warning=\w+ --expose-gc \S+package\/src\/main.ts run a b\n$/);
  makePinned(folder, "v26.10.0", "hoisted");
  expect(start().stdout).toMatch(/^hoisted /);
  makePinned(join(folder, "package"), "v26.10.0", "own");
  expect(start().stdout).toMatch(/^own /);
});

test("bin/pillion runs what is built, also through a link", () => {
  const { script, start } = makePackage("v26.3.0");
  mkdirSync(join(folder, "package/build/js/src"), { recursive: true });
  writeFileSync(join(folder, "package/build/js/src/main.js"), "");
  symlinkSync(script, join(folder, "pillion"));
  expect(start(join(folder, "pillion")).stdout).toMatch(/package\/build\/js\/src\/main\.js run a b\n$/);
});

test("bin/pillion says what to do where no Node fits", () => {
  const { start } = makePackage("v20.19.0");
  const { status, stderr, stdout } = start();
  expect(status).toBe(1);
  expect(stdout).toBe("");
  expect(stderr).toContain("needs Node 26 or newer; on PATH: v20.19.0");
  expect(stderr).toContain("--omit=optional");
});

test("bin/pillion works here", () => {
  const { status, stdout } = spawnSync("bin/pillion", ["--version"], { encoding: "utf8" });
  expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
});
