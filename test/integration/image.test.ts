// What is shipped, run as it is shipped: the image's files by their own user on a tree that nobody may write to, and
// the npm package in an empty folder.

import { execFileSync } from "node:child_process";
import { chmodSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { expect, test } from "vitest";
import { parseListeningLine } from "../../src/cli/demo/ready.ts";
import { IMAGE_COMMAND, SIDECAR_UID } from "../../src/injector/options.ts";
import { startProgram } from "../support/process.ts";
import { projectRoot } from "../support/source.ts";

/** Without loopback ports of its own a second test on this host would be in the way. */
const FREE_PORTS = ["outbound", "admin", "probe"].flatMap((name) => [`--${name}`, "127.0.0.1:0"]);

function createFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "pillion-image-"));
  // mkdtemp keeps others out; the image's user is another.
  chmodSync(folder, 0o755);
  return folder;
}

/** Every path below a folder, deepest last. */
function listTree(folder: string): string[] {
  return [folder, ...readdirSync(folder, { recursive: true, encoding: "utf8" }).map((path) => join(folder, path))];
}

function setWritable(folder: string, isWritable: boolean): void {
  for (const path of listTree(folder)) {
    const { mode } = lstatSync(path);
    chmodSync(path, isWritable ? mode | 0o200 : mode & ~0o222);
  }
}

test("the image's files run as their own user, and nothing is written", async () => {
  const folder = createFolder();
  try {
    execFileSync(process.execPath, ["tools/image.mjs", folder], { cwd: projectRoot });
    const before = listTree(folder);
    expect(before.filter((path) => /\/(vitest|typescript|node-linux-[^/]+|kubernetes-models)$/.test(path))).toEqual([]);
    setWritable(folder, false);
    const mesh = join(folder, "..", `${folder.split("/").at(-1)}.yaml`);
    writeFileSync(mesh, "services: {}\n");
    const user = process.getuid?.() === 0 ? SIDECAR_UID : undefined;
    const [node = "", ...rest] = IMAGE_COMMAND.map((part) =>
      part.startsWith("/pillion/") ? join(folder, part) : part,
    );
    const start = (...args: string[]) =>
      startProgram(node, [...rest, ...args], {
        cwd: "/",
        env: { PATH: "/nowhere" },
        ...(user === undefined ? {} : { user }),
      });
    const version = start("version");
    expect((await version.ended).code).toBe(0);
    expect(version.lines[0]).toMatch(/^pillion \d/);
    await using sidecar = start("run", "--mesh", `file:${mesh}`, ...FREE_PORTS);
    const [line = ""] = await sidecar.waitForLine(/^\{.*"msg":"listening".*$/);
    const { admin = "" } = parseListeningLine(line) ?? {};
    expect((await start("wait", "--admin", admin).ended).code).toBe(0);
    expect((await start("drain", "--admin", admin).ended).code).toBe(0);
    expect(await sidecar.ended).toEqual({ code: 0, signal: undefined });
    expect(listTree(folder)).toEqual(before);
    rmSync(mesh);
  } finally {
    setWritable(folder, true);
    rmSync(folder, { recursive: true });
  }
});

test("both images start what hooks and manifests start", () => {
  const dockerfile = readFileSync(join(projectRoot, "deploy/Dockerfile"), "utf8");
  const entries = [...dockerfile.matchAll(/^ENTRYPOINT (.*)$/gm)].map(([, json = ""]) => JSON.parse(json));
  expect(entries).toEqual([IMAGE_COMMAND, IMAGE_COMMAND]);
  const script = readFileSync(join(projectRoot, "bin/pillion"), "utf8");
  expect(script).toContain(`exec "$node" ${IMAGE_COMMAND.slice(1, -1).join(" ")} "$main" "$@"`);
  expect(dockerfile).toContain(`USER ${SIDECAR_UID}:${SIDECAR_UID}`);
});

test("the npm package runs where it is installed", async (context) => {
  const folder = createFolder();
  try {
    const npm = (...args: string[]) =>
      execFileSync("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error"], {
        cwd: folder,
        encoding: "utf8",
        stdio: "pipe",
      });
    const [packed] = JSON.parse(npm("pack", projectRoot, "--json", "--ignore-scripts"));
    // The Node that comes along is 200 MB; only the full run unpacks it. Otherwise this one stands on PATH.
    const omit = process.env.PILLION_FULL === "1" ? [] : ["--omit=optional"];
    writeFileSync(join(folder, "package.json"), "{}");
    try {
      npm("install", join(folder, packed.filename), "--prefer-offline", "--fetch-retries=0", ...omit);
    } catch (error) {
      const { stderr = "" } = error as { stderr?: string };
      if (!/ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT|ENOTCACHED/.test(stderr)) throw error;
      context.skip("npm cannot reach its registry, and not all packages are in its cache");
    }
    const program = join(folder, "node_modules/.bin/pillion");
    const env = { PATH: [dirname(process.execPath), process.env.PATH].join(delimiter) };
    const version = startProgram(program, ["version"], { cwd: folder, env });
    expect((await version.ended).code).toBe(0);
    expect(version.lines).toEqual([expect.stringMatching(/^pillion \d+\.\d+\.\d+ \(node v26\./)]);
    writeFileSync(join(folder, "mesh.yaml"), "services: {}\n");
    await using sidecar = startProgram(program, ["run", ...FREE_PORTS], { cwd: folder, env });
    await sidecar.waitForLine(/^\{.*"msg":"ready".*$/);
    const check = startProgram(program, ["check", "mesh.yaml"], { cwd: folder, env });
    expect((await check.ended).code).toBe(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 120_000);
