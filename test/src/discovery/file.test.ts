// What is particular to a file: half-written saves, links swapped under it, a text that people keep their comments in.

import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { silentLog, systemClock } from "../../../src/base/index.ts";
import { editMeshText } from "../../../src/discovery/file/edit-text.ts";
import { createFileRegistry } from "../../../src/discovery/file/registry.ts";
import type { Registry, RegistryEvent } from "../../../src/discovery/index.ts";
import { nextEvent, pictureWhere } from "../../support/registries.ts";

interface Folder extends AsyncDisposable {
  readonly path: string;
  open(name?: string): Registry;
}

async function createFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), "pillion-file-"));
  const opened: Registry[] = [];
  return {
    path,
    open(name = "mesh.yaml") {
      const registry = createFileRegistry({ path: join(path, name), clock: systemClock, log: silentLog });
      opened.push(registry);
      return registry;
    },
    async [Symbol.asyncDispose]() {
      for (const registry of opened) await registry.stop();
      await rm(path, { recursive: true, force: true });
    },
  };
}

const service = (name: string) => `services: {${name}: {}}\n`;
const hasService = (name: string) => (picture: { documents: { services: ReadonlyMap<string, unknown> } }) =>
  picture.documents.services.has(name);

describe("saves are noticed", () => {
  test("in place, by rename, by a link swapped as Kubernetes does it, and the same text is no news", async () => {
    await using folder = await createFolder();
    const at = (name: string) => join(folder.path, name);
    for (const version of ["one", "two"]) {
      await mkdir(at(`..${version}`));
      await writeFile(at(`..${version}/mesh.yaml`), service(version));
    }
    await symlink("..one", at("..data"));
    await symlink("..data/mesh.yaml", at("mesh.yaml"));
    const registry = folder.open();
    await registry.start();
    expect(hasService("one")(registry.picture!)).toBe(true);
    await symlink("..two", at("..new"));
    await rename(at("..new"), at("..data"));
    await pictureWhere(registry, hasService("two"));
    const revision = registry.picture!.revision;
    // A new file with the same text, then one that differs: the first must not have counted.
    await writeFile(at("copy"), service("two"));
    await rename(at("copy"), at("mesh.yaml"));
    await writeFile(at("copy"), service("three"));
    await rename(at("copy"), at("mesh.yaml"));
    await pictureWhere(registry, hasService("three"));
    await writeFile(at("mesh.yaml"), service("four"));
    await pictureWhere(registry, hasService("four"));
    expect(registry.picture!.revision).toBe(revision + 2);
  });

  test("a writer who takes his time is not read half-way", async () => {
    await using folder = await createFolder();
    const path = join(folder.path, "mesh.yaml");
    const names = Array.from({ length: 40 }, (_, index) => `s${index}`);
    await writeFile(path, "services: {start: {}}\n");
    const registry = folder.open();
    await registry.start();
    const counts: number[] = [];
    registry.subscribe((event) => {
      if (event.kind === "picture") counts.push(event.picture.documents.services.size);
    });
    // Every prefix of whole lines is a valid file, so only patience tells them from the end.
    await writeFile(path, "services:\n");
    for (const name of names) await writeFile(path, `  ${name}: {}\n`, { flag: "a" });
    await pictureWhere(registry, ({ documents }) => documents.services.size === names.length);
    expect(counts.at(-1)).toBe(names.length);
    expect(counts.length).toBeLessThan(names.length);
  });

  test("a file that is not there yet, is emptied, is taken away and comes back", async () => {
    await using folder = await createFolder();
    const path = join(folder.path, "mesh.yaml");
    const registry = folder.open();
    const missing = nextEvent(registry, "disconnected");
    const started = registry.start();
    const event = await missing;
    expect(event.problem).toBe(`there is no file ${path}; it is read as soon as there is (--mesh names it)`);
    expect(event.retryMs).toBe(undefined);
    await writeFile(path, service("one"));
    await started;
    expect(registry.connected).toBe(true);
    const empty = nextEvent(registry, "rejected");
    await writeFile(path, "");
    expect((await empty).issues).toMatchObject([{ message: expect.stringContaining("is empty") }]);
    expect(hasService("one")(registry.picture!)).toBe(true);
    const gone = nextEvent(registry, "disconnected");
    await rm(path);
    await gone;
    expect(registry.connected).toBe(false);
    expect(hasService("one")(registry.picture!)).toBe(true);
    await writeFile(path, service("two"));
    await pictureWhere(registry, hasService("two"));
    expect(registry.connected).toBe(true);
  });

  test("the whole folder is replaced", async () => {
    await using folder = await createFolder();
    await mkdir(join(folder.path, "conf"));
    await writeFile(join(folder.path, "conf/mesh.yaml"), service("one"));
    const registry = folder.open("conf/mesh.yaml");
    await registry.start();
    await rename(join(folder.path, "conf"), join(folder.path, "old"));
    await mkdir(join(folder.path, "conf"));
    await writeFile(join(folder.path, "conf/mesh.yaml"), service("two"));
    await pictureWhere(registry, hasService("two"));
    // And is watched from then on.
    await writeFile(join(folder.path, "conf/mesh.yaml"), service("three"));
    await pictureWhere(registry, hasService("three"));
  });

  test("a broken file at start: no picture but the reason with its line; a picture when it is mended", async () => {
    await using folder = await createFolder();
    const path = join(folder.path, "mesh.yaml");
    await writeFile(path, "services:\n  users:\n    protocl: grpc\n");
    const registry = folder.open();
    const rejected = nextEvent(registry, "rejected");
    const started = registry.start();
    expect((await rejected).issues).toEqual([
      {
        where: `${path}:3:5`,
        path: "services.users.protocl",
        message: "unknown field protocl",
        hint: "did you mean protocol?",
      },
    ]);
    expect(registry.picture).toBeUndefined();
    await writeFile(path, "services:\n  users:\n    protocol: grpc\n");
    await started;
  });
});

describe("a registration", () => {
  test("is remembered and writes nothing", async () => {
    await using folder = await createFolder();
    await writeFile(join(folder.path, "mesh.yaml"), service("one"));
    const registry = folder.open();
    const events: RegistryEvent[] = [];
    registry.subscribe((event) => events.push(event));
    const registration = registry.register({ service: "one", id: "me", document: { address: "127.0.0.1:1" } });
    expect(await registration.update({ state: "draining" })).toBe(true);
    await registration.stop();
    expect(registration.state).toBe("stopped");
    expect(await registration.update({ state: "ready" })).toBe(false);
    expect(events.map(({ kind }) => kind)).toEqual(["registration"]);
    expect(await readFile(join(folder.path, "mesh.yaml"), "utf8")).toBe(service("one"));
  });
});

describe("commands change the text and nothing around it", () => {
  const TEXT = `# The mesh of the shop.
mesh:
  defaults: {timeout: {connect: 1s}} # quick

services:
  users: # people
    protocol: grpc # theirs
    timeout:
      connect: 2s # far away
    instances:
      - {id: a, address: 127.0.0.1:1} # first
      - address: "127.0.0.1:2"
  orders:
    instances: [{id: x, address: 127.0.0.1:3}]
`;

  test("a changed field is changed, everything else stands as it stood", () => {
    const edited = editMeshText(TEXT, [
      { id: { kind: "service", name: "users" }, value: { protocol: "http", timeout: { connect: "2s" } } },
      { id: { kind: "instance", service: "users", name: "a" }, value: { address: "127.0.0.1:9" } },
    ]);
    const expected = TEXT.replace("protocol: grpc", "protocol: http").replace("127.0.0.1:1}", "127.0.0.1:9}");
    // Line breaks apart: a comment behind a section's name comes to stand below it.
    expect(edited.split(/\s+/)).toEqual(expected.split(/\s+/));
  });

  test("what is new is added, what is deleted goes; an instance without an id is known by its address", () => {
    const edited = editMeshText(TEXT, [
      { id: { kind: "instance", service: "users", name: "127.0.0.1-2" }, value: undefined },
      { id: { kind: "instance", service: "users", name: "c" }, value: { address: "127.0.0.1:4", weight: 5 } },
      { id: { kind: "instance", service: "fresh", name: "n" }, value: { address: "127.0.0.1:5" } },
      { id: { kind: "route", name: "r" }, value: { rules: [{ to: [{ service: "users" }] }] } },
      { id: { kind: "service", name: "orders" }, value: undefined },
      { id: { kind: "mesh" }, value: undefined },
    ]);
    expect(edited).toContain("- {id: a, address: 127.0.0.1:1} # first");
    expect(edited).toContain("- {id: c, address: 127.0.0.1:4, weight: 5}");
    expect(edited).not.toContain("127.0.0.1:2");
    expect(edited).not.toContain("defaults");
    expect(edited).toContain("  fresh:\n    instances:\n      - {id: n, address: 127.0.0.1:5}");
    expect(edited).toMatch(/routes:\n {2}r:\n {4}rules:/);
    // Its instances are documents of their own, and stay.
    expect(edited).toMatch(/orders:\n {4}instances: /);
  });

  test("deleting what is not there changes nothing", () => {
    const gone = [
      { id: { kind: "route", name: "r" }, value: undefined } as const,
      { id: { kind: "instance", service: "nobody", name: "x" }, value: undefined } as const,
      { id: { kind: "instance", service: "users", name: "z" }, value: undefined } as const,
    ];
    // Sections that a deletion looks into are not made by it.
    expect(editMeshText(service("users"), gone)).toBe(service("users"));
  });

  test("the file keeps its mode and its link, and no other file is left behind", async () => {
    await using folder = await createFolder();
    await mkdir(join(folder.path, "real"));
    const real = join(folder.path, "real/mesh.yaml");
    await writeFile(real, TEXT);
    await chmod(real, 0o640);
    await symlink("real/mesh.yaml", join(folder.path, "mesh.yaml"));
    const registry = folder.open();
    await registry.apply([{ id: { kind: "service", name: "new" }, value: {} }]);
    expect(await readFile(real, "utf8")).toContain("new: {}");
    expect((await stat(real)).mode & 0o777).toBe(0o640);
    expect(await readdir(join(folder.path, "real"))).toEqual(["mesh.yaml"]);
    expect((await readdir(folder.path)).sort()).toEqual(["mesh.yaml", "real"]);
  });

  test("a change that would break the file is refused with line and column, and nothing is written", async () => {
    await using folder = await createFolder();
    const path = join(folder.path, "mesh.yaml");
    await writeFile(path, TEXT);
    const registry = folder.open();
    const change = { id: { kind: "route", name: "r" }, value: { rules: [{ to: [{ service: "usres" }] }] } } as const;
    await expect(registry.apply([change])).rejects.toMatchObject({
      code: "PILLION_CONFIG_INVALID",
      message: expect.stringMatching(/mesh.yaml:\d+:\d+: routes.r.rules.0.to.0.service: there is no service usres/),
    });
    expect(await readFile(path, "utf8")).toBe(TEXT);
    expect(await readdir(folder.path)).toEqual(["mesh.yaml"]);
  });

  test("a file that is not there is made by apply; reading it is an error with its name", async () => {
    await using folder = await createFolder();
    const registry = folder.open();
    await expect(registry.list()).rejects.toMatchObject({ code: "PILLION_FILE_READ" });
    await registry.apply([{ id: { kind: "service", name: "users" }, value: {} }]);
    expect((await registry.list()).map(({ id }) => id)).toEqual([{ kind: "service", name: "users" }]);
  });

  test("a folder that cannot be written is an error with its name", async () => {
    await using folder = await createFolder();
    const registry = folder.open("missing/mesh.yaml");
    await expect(registry.apply([{ id: { kind: "service", name: "a" }, value: {} }])).rejects.toMatchObject({
      code: "PILLION_FILE_WRITE",
      message: expect.stringContaining("missing/mesh.yaml"),
    });
  });
});
