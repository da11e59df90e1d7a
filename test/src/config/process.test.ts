// Flags before environment before file before defaults; everything that is wrong at once, named as it was written.

import { expect, test } from "vitest";
import { WORKERS_MAX } from "../../../assembly/abi/balancer-table.ts";
import { camelNameOf, envNameOf, parseProcessConfig } from "../../../src/config/process.ts";
import { PROCESS_FLAGS } from "../../../src/config/process-flags.ts";

function configOf(sources: Partial<Parameters<typeof parseProcessConfig>[0]>) {
  const parsed = parseProcessConfig({ flags: {}, env: {}, ...sources });
  if (!parsed.ok) throw new Error(parsed.issues.join("\n"));
  return parsed.config;
}

function issuesOf(sources: Partial<Parameters<typeof parseProcessConfig>[0]>) {
  const parsed = parseProcessConfig({ flags: {}, env: {}, ...sources });
  return parsed.ok ? [] : parsed.issues;
}

test("the defaults of the design", () => {
  expect(configOf({})).toEqual({
    mesh: { kind: "file", path: "mesh.yaml" },
    service: undefined,
    app: undefined,
    appProtocol: "auto",
    advertise: undefined,
    instance: undefined,
    zone: undefined,
    weight: 100,
    tags: {},
    namespace: undefined,
    outbound: { host: "127.0.0.1", port: 15_001 },
    inbound: { host: "0.0.0.0", port: 15_006 },
    listen: [],
    admin: { host: "127.0.0.1", port: 15_000 },
    probe: { host: "0.0.0.0", port: 15_021 },
    workers: 1,
    socketDriver: "auto",
    intercept: "off",
    opaquePorts: [25, 587, 3306, 4444, 5432, 6379, 9300, 11211],
    unknown: "pass",
    state: undefined,
    drainMs: 30_000,
    accessLog: "off",
    logLevel: "info",
    registryCa: undefined,
    registryCert: undefined,
    registryKey: undefined,
    registryUser: undefined,
    registryPassword: undefined,
    registryPasswordFile: undefined,
  });
});

test("a flag beats the environment, which beats the file, which beats the default", () => {
  const file = { name: "pillion.yaml", text: "zone: file\nweight: 7\nlog-level: debug\nadmin: off\n" };
  const env = { PILLION_ZONE: "env", PILLION_WEIGHT: "8", PILLION_ADMIN: "" };
  expect(configOf({ flags: { zone: "flag" }, env, file })).toMatchObject({
    zone: "flag",
    weight: 8,
    logLevel: "debug",
    admin: undefined,
    workers: 1,
  });
});

test("repeatable flags: a list on the line and in the file, commas in the environment", () => {
  const listen = [
    { address: { host: "127.0.0.1", port: 9000 }, service: "users" },
    { address: { host: "::1", port: 0 }, service: "db.shop" },
  ];
  const texts = ["127.0.0.1:9000=users", "[::1]:0=db.shop"];
  expect(configOf({ flags: { listen: texts, tag: ["version=v1", "note=a=b"] } })).toMatchObject({
    listen,
    tags: { version: "v1", note: "a=b" },
  });
  expect(configOf({ env: { PILLION_LISTEN: texts.join(", ") } })).toMatchObject({ listen });
  const text = `listen:\n${texts.map((one) => `  - "${one}"\n`).join("")}tag: version=v2\n`;
  expect(configOf({ file: { name: "f", text } })).toMatchObject({ listen, tags: { version: "v2" } });
});

test("the app by its port alone", () => {
  const app = { host: "127.0.0.1", port: 8080 };
  for (const text of ["8080", ":8080", "127.0.0.1:8080"])
    expect(configOf({ flags: { app: text } })).toMatchObject({ app });
});

test("everything wrong is told at once, as it was written", () => {
  const file = { name: "f.yaml", text: "servce: a\nworkers: [1, 2]\ndrain: 5\n" };
  const flags = { outbound: "15001", unknown: "allow", tag: ["v1"] };
  expect(issuesOf({ flags, env: { PILLION_LOG_LEVEL: "loud" }, file })).toEqual([
    "f.yaml:1: unknown flag servce, did you mean service?",
    "f.yaml:2: workers takes one value, not a list",
    expect.stringMatching(/^--tag: "v1" is not key=value$/),
    expect.stringMatching(/^--outbound: "15001" is not an address/),
    '--unknown: "allow" is not one of pass, deny',
    expect.stringMatching(/^f.yaml:3 drain: "5" is not a duration/),
    expect.stringMatching(/^PILLION_LOG_LEVEL: "loud" is not one of trace/),
  ]);
  expect(issuesOf({ file: { name: "f.yaml", text: "- a" } })).toEqual([
    "f.yaml: must hold flags, such as service: users",
  ]);
  expect(issuesOf({ file: { name: "f.yaml", text: "a: [" } })[0]).toMatch(/^f.yaml:1: /);
});

test("flags that need each other", () => {
  expect(issuesOf({ flags: { service: "users" } })[0]).toContain("--service: needs --app");
  expect(issuesOf({ flags: { advertise: "1.2.3.4:5" } })[0]).toContain("needs --service");
  expect(issuesOf({ flags: { registryCert: "a" } })[0]).toContain("one needs the other");
});

test("a secret is not repeated in a message", () => {
  expect(issuesOf({ flags: { registryPassword: "" } })).toEqual(["--registry-password: is not valid"]);
  const leaking = issuesOf({ flags: { mesh: "etcd://root:hunter2@" } });
  expect(leaking.length).toBe(1);
  expect(leaking.join()).not.toContain("hunter2");
});

test("a misspelt variable is noticed, somebody else's is not", () => {
  const parsed = parseProcessConfig({ flags: {}, env: { PILLION_OUTBUOND: "x", PILLION_SERVICE_HOST: "10.0.0.1" } });
  expect(parsed).toMatchObject({
    ok: true,
    warnings: ["PILLION_OUTBUOND: no such variable, did you mean PILLION_OUTBOUND?"],
  });
});

test("what is not acted on yet is said", () => {
  const parsed = parseProcessConfig({ flags: { unknown: "pass", state: "/var/lib/pillion" }, env: {} });
  expect(parsed).toMatchObject({
    ok: true,
    warnings: [expect.stringContaining("--unknown: accepted, not acted on yet")],
  });
});

test("every flag has one name in each place, and a default that it accepts", () => {
  const flags = Object.values(PROCESS_FLAGS);
  expect(new Set(flags.map(envNameOf)).size).toBe(flags.length);
  expect(new Set(flags.map(camelNameOf)).size).toBe(flags.length);
  for (const flag of flags) {
    if (flag.default !== undefined) expect(flag.parse(flag.default), flag.name).toMatchObject({ ok: true });
  }
  expect(PROCESS_FLAGS.workers.parse(String(WORKERS_MAX)).ok).toBe(true);
  expect(PROCESS_FLAGS.workers.parse(String(WORKERS_MAX + 1)).ok).toBe(false);
});
