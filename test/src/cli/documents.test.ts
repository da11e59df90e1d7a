// `apply`, `diff`, `get` and `delete` against a file registry; test/integration/registry-etcd.test.ts has etcd.

import { readFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { applyFiles, diffFiles } from "../../../src/cli/apply.ts";
import { deleteDocuments } from "../../../src/cli/delete.ts";
import { printDocuments } from "../../../src/cli/get.ts";
import { type OpenRegistry, openRegistry } from "../../../src/cli/registry.ts";
import type { StoredDocument } from "../../../src/discovery/index.ts";
import { createMesh, type MeshFolder } from "../../support/sidecar.ts";
import { createFakeTerminal } from "../../support/terminal.ts";

let target: MeshFolder;
let source: MeshFolder;
let open: OpenRegistry;

const START = `# The operator's own words.
services:
  web: # stays
    balance: {policy: random} # stays too
    instances:
      - {id: a, address: 127.0.0.1:1}
`;

beforeEach(async () => {
  target = createMesh(START);
  source = createMesh({});
  open = await openRegistry({ mesh: target.url });
});

afterEach(async () => {
  await open[Symbol.asyncDispose]();
  await target[Symbol.asyncDispose]();
  await source[Symbol.asyncDispose]();
});

const apply = async (documents: unknown, more: object = {}) => {
  source.write(documents);
  const terminal = createFakeTerminal();
  const code = await applyFiles(terminal, open, { file: [source.path], output: "text", ...more });
  return { code, out: terminal.out, err: terminal.err };
};

test("apply writes what differs, says what, and keeps the rest as it was", async () => {
  const { code, out } = await apply({
    services: { web: { balance: { policy: "round-robin" } }, users: { protocol: "grpc" } },
  });
  expect(code).toBe(0);
  expect(out).toBe(`~ service web
    balance.policy: random → round-robin
+ service users
${open.name}: 2 documents changed (1 created, 1 updated, 0 deleted, 0 unchanged)
`);
  const text = readFileSync(target.path, "utf8");
  expect(text).toContain("# The operator's own words.");
  expect(text).toContain("# stays too");
  expect(text).toContain("127.0.0.1:1");
  expect(text).toContain("round-robin");
  const again = await apply({ services: { web: { balance: { policy: "round-robin" } }, users: { protocol: "grpc" } } });
  expect(again.out).toBe(`${open.name}: nothing to change (0 created, 0 updated, 0 deleted, 2 unchanged)\n`);
});

test("--dry-run writes nothing, --prune deletes what the file does not hold", async () => {
  const documents = { services: { users: {} } };
  const dry = await apply(documents, { dryRun: true, prune: true });
  expect(dry.out).toContain("- instance web/a\n");
  expect(dry.out).toContain("would change (1 created, 0 updated, 2 deleted, 0 unchanged)");
  expect(readFileSync(target.path, "utf8")).toBe(START);
  expect((await apply(documents, { prune: true })).code).toBe(0);
  const terminal = createFakeTerminal();
  await printDocuments(terminal, open, { kind: undefined, name: undefined }, { output: "json" });
  expect(JSON.parse(terminal.out)).toMatchObject([{ kind: "service", name: "users" }]);
});

test("a file with a problem changes nothing, and the problem is told on stderr", async () => {
  const { code, out, err } = await apply("services:\n  users: {protocl: grpc}\n");
  expect([code, out]).toEqual([1, ""]);
  expect(err).toContain(`${source.path}:2:11: services.users.protocl: `);
  expect(readFileSync(target.path, "utf8")).toBe(START);
});

test("a route may name a service that only the registry knows", async () => {
  const route = (service: string) => ({ routes: { api: { hosts: ["api.example"], rules: [{ to: [{ service }] }] } } });
  expect((await apply(route("web"))).code).toBe(0);
  const unknown = await apply(route("wbe"));
  expect(unknown.code).toBe(1);
  expect(unknown.err).toContain("wbe");
});

test("a registry is not applied to itself", async () => {
  const itself = applyFiles(createFakeTerminal(), open, { file: [target.path], output: "text" });
  await expect(itself).rejects.toMatchObject({ code: "PILLION_USAGE" });
});

test("diff prints the same without writing, and --exit-code tells", async () => {
  source.write({ services: { web: { balance: { policy: "adaptive" } } } });
  const terminal = createFakeTerminal();
  const options = { file: [source.path], output: "text", exitCode: true } as const;
  expect(await diffFiles(terminal, open, options)).toBe(1);
  expect(terminal.out).toBe("~ service web\n    balance.policy: random → adaptive\n");
  expect(await diffFiles(createFakeTerminal(), open, { ...options, exitCode: false })).toBe(0);
  expect(readFileSync(target.path, "utf8")).toBe(START);
});

test("get: a table, one document, a file that apply takes again", async () => {
  const print = async (
    kind: string | undefined,
    name: string | undefined,
    output: "text" | "json" | "yaml" = "text",
  ) => {
    const terminal = createFakeTerminal();
    const code = await printDocuments(terminal, open, { kind, name }, { output });
    return { code, ...terminal, out: terminal.out, err: terminal.err };
  };
  expect((await print(undefined, undefined)).out).toMatch(/^document .*\ninstance web\/a .*\nservice web .*\n$/);
  expect((await print("instances", "web")).out).toContain("127.0.0.1:1");
  expect(await print("route", "api")).toMatchObject({ code: 1, err: `route api is not in ${open.name}\n` });
  await expect(print("servce", "web")).rejects.toThrow("did you mean service?");
  // As kubectl names them.
  expect((await print("service/web", undefined)).out).toContain("service web");
  expect((await print("instances/web/a", undefined)).out).toContain("instance web/a");
  expect((await print("instances/web", undefined)).out).toContain("instance web/a");
  await expect(print("service/web", "users")).rejects.toThrow("one at a time");
  const exported = await print(undefined, undefined, "yaml");
  expect((await apply(exported.out)).out).toContain("nothing to change");
});

test("get: a service that has instances and no document of its own", async () => {
  // In etcd an instance registers itself; in a file its service would have to be written.
  const instance = { id: { kind: "instance", service: "web", name: "a" }, value: {}, revision: "1", isLeased: true };
  const stored = [instance as StoredDocument];
  const registry = {
    read: async () => undefined,
    list: async (kind?: string) => stored.filter(({ id }) => kind === undefined || id.kind === kind),
  } as unknown as OpenRegistry["registry"];
  const terminal = createFakeTerminal();
  const without = { ...open, registry } as OpenRegistry;
  const code = await printDocuments(terminal, without, { kind: "service", name: "web" }, { output: "text" });
  expect({ code, out: terminal.out, err: terminal.err }).toEqual({
    code: 0,
    out: expect.stringMatching(/^document .*\nservice web .*\{\}\n$/),
    err: expect.stringMatching(/^service web has no document of its own; .* with 1 instance \(get instances web\)\n$/),
  });
});

test("delete: all of the named ones or none", async () => {
  const remove = async (kind: string, names: string[], more: object = {}) => {
    const terminal = createFakeTerminal();
    const code = await deleteDocuments(terminal, open, { kind, names }, { output: "text", ...more });
    return { code, out: terminal.out, err: terminal.err };
  };
  expect(await remove("instance", ["web/a", "web/b"])).toMatchObject({
    code: 1,
    err: expect.stringContaining("web/b"),
  });
  expect(readFileSync(target.path, "utf8")).toBe(START);
  expect(await remove("instance", ["web/a", "web/b"], { ignoreMissing: true })).toMatchObject({
    code: 0,
    out: `- instance web/a\n${open.name}: 1 document deleted\n`,
  });
  expect(await remove("services/web", ["instance/web/b"], { ignoreMissing: true })).toMatchObject({
    code: 0,
    out: `- service web\n${open.name}: 1 document deleted\n`,
  });
  await expect(remove("service/web", ["users"])).rejects.toThrow("users is not a kind");
  await expect(remove("instance", ["web"])).rejects.toThrow("write service/id");
});
