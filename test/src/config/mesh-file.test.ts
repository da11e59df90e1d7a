// A mesh file is read whole, or refused whole with every problem at its line and column.

import { describe, expect, test } from "vitest";
import { formatIssue, parseMeshFile } from "../../../src/config/mesh-file.ts";

/** The file of DESIGN §3, as it stands there. */
const DESIGN_FILE = `
mesh:
  defaults: {}
services:
  users:
    protocol: grpc
    hosts: [users.example, "*.users.example"]
    balance:
      policy: adaptive
      hash: {header: x-user}
      slowStart: 10s
      zone: prefer
    timeout: {connect: 1s, request: none, attempt: auto, idle: 5m}
    retry:
      attempts: 2
      when: [unprocessed, idempotent, 503, unavailable]
      budget: {ratio: 0.2, minimumPerSecond: 10}
      backoff: {base: 25ms, max: 250ms}
      bodyLimit: 64KiB
    hedge: none
    limits: {connections: 1024, requests: 1024, pending: 1024, pendingTimeout: 3s}
    outlier:
      {consecutiveFailures: 5, successRate: 0.5, window: 10s, ejection: 1s, ejectionMax: 1m, ejectedShareMax: 0.5}
    health: none
    rateLimit: none
    instances:
      - {id: a, address: 127.0.0.1:9001, weight: 100, zone: z1, tags: {version: v1}}
  users-next:
routes:
  api:
    hosts: [api.example.com]
    rules:
      - match: {path: {prefix: /users}, method: [GET, POST], headers: {x-canary: {exact: "1"}}}
        to: [{service: users, tags: {version: v2}, weight: 10}, {service: users, weight: 90}]
        rewrite: {pathPrefix: /, host: users}
        timeout: {request: 2s}
        mirror: {service: users-next, share: 0.05}
        fault: {delay: {share: 0.01, duration: 2s}, abort: {share: 0.01, status: 503}}
`;

function parse(text: string) {
  return parseMeshFile(text, { fileName: "mesh.yaml" });
}

/** The issues of a text that must be refused, as lines. */
function issuesOf(text: string): string[] {
  const parsed = parse(text);
  expect(parsed.ok).toBe(false);
  return parsed.ok ? [] : parsed.issues.map((issue) => formatIssue("mesh.yaml", issue));
}

function documentsOf(text: string) {
  const parsed = parse(text);
  if (!parsed.ok) throw new Error(parsed.issues.map((issue) => formatIssue("mesh.yaml", issue)).join("\n"));
  return parsed.documents;
}

describe("a good file", () => {
  test("the file of the design, field for field", () => {
    const { services, instances, routes } = documentsOf(DESIGN_FILE);
    expect(services.get("users")).toMatchObject({
      protocol: "grpc",
      hosts: ["users.example", "*.users.example"],
      isImplicit: false,
      policy: {
        balance: { policy: "adaptive", hash: { kind: "header", name: "x-user" }, slowStartMs: 10_000, zone: "prefer" },
        timeout: { connectMs: 1000, requestMs: undefined, attemptMs: "auto", idleMs: 300_000 },
        retry: {
          attempts: 2,
          when: { isUnprocessed: true, isIdempotent: true, statuses: [503], grpcCodes: [14] },
          budget: { ratio: 0.2, minimumPerSecond: 10 },
          backoff: { baseMs: 25, maxMs: 250 },
          bodyBytesMax: 65_536,
        },
        hedge: undefined,
        limits: { connections: 1024, requests: 1024, pending: 1024, pendingTimeoutMs: 3000 },
        outlier: { consecutiveFailures: 5, windowMs: 10_000, ejectionMs: 1000, ejectionMsMax: 60_000 },
        health: undefined,
        rateLimit: undefined,
      },
    });
    expect(instances.get("users")?.get("a")).toEqual({
      service: "users",
      id: "a",
      schemaVersion: 1,
      address: { host: "127.0.0.1", port: 9001 },
      weight: 100,
      zone: "z1",
      tags: { version: "v1" },
      state: "ready",
      isSidecar: false,
    });
    const [rule] = routes.get("api")!.rules;
    expect(rule).toMatchObject({
      match: {
        path: { kind: "prefix", value: "/users" },
        methods: ["GET", "POST"],
        headers: [{ name: "x-canary", match: { kind: "exact", value: "1" } }],
      },
      to: [
        { service: "users", tags: { version: "v2" }, weight: 10 },
        { service: "users", tags: {}, weight: 90 },
      ],
      rewrite: { pathPrefix: "/", host: "users" },
      mirror: { service: "users-next", share: 0.05 },
      fault: { delay: { share: 0.01, durationMs: 2000 }, abort: { share: 0.01, status: 503 } },
      overrides: { timeout: { request: "2s" } },
    });
  });

  test("a service with nothing behind its name has every default that the design names", () => {
    const { policy, protocol } = documentsOf("services: {users: }").services.get("users")!;
    expect(protocol).toBe("http");
    expect(policy).toMatchObject(documentsOf(DESIGN_FILE).services.get("users-next")!.policy);
    expect(policy.retry).toMatchObject({ attempts: 2, bodyBytesMax: 65_536, when: { statuses: [], grpcCodes: [] } });
    expect(policy.outlier).toMatchObject({ successRate: 0.5, ejectedShareMax: 0.5 });
    expect(documentsOf("services: {db: {protocol: tcp}}").services.get("db")!.policy.timeout.idleMs).toBe(3_600_000);
  });

  test("a service that only lists who answers needs no document", () => {
    const { services } = documentsOf("services: {users: {instances: [{address: 127.0.0.1:80}]}}");
    expect(services.get("users")).toMatchObject({ isImplicit: true, protocol: "http" });
  });

  test("an instance without an id gets one from its address", () => {
    const { instances } = documentsOf(
      'services: {a: {instances: [{address: 10.0.0.7:80}, {address: "[fd00::1]:80"}]}}',
    );
    expect([...instances.get("a")!.keys()]).toEqual(["10.0.0.7-80", "fd00-1-80"]);
  });

  test("everything is frozen", () => {
    const { services, routes, instances } = documentsOf(DESIGN_FILE);
    expect(Object.isFrozen(services.get("users")!.policy.retry.when.statuses)).toBe(true);
    expect(Object.isFrozen(routes.get("api")!.rules[0]!.to[0]!.tags)).toBe(true);
    expect(Object.isFrozen(instances.get("users")!.get("a")!.address)).toBe(true);
  });

  test("anchors and merges of YAML work as people use them", () => {
    const { services } = documentsOf("services:\n  a: &base {protocol: grpc, timeout: {connect: 2s}}\n  b: *base\n");
    expect(services.get("b")).toMatchObject({ protocol: "grpc", policy: { timeout: { connectMs: 2000 } } });
  });

  test("what is not acted on yet is a warning with its place", () => {
    const rule = "      - to: [{service: users}]\n        outlier: {window: 5s}\n";
    const parsed = parse(`services:\n  users: {}\nroutes:\n  r:\n    rules:\n${rule}`);
    const path = "routes.r.rules.0.outlier";
    expect(parsed).toMatchObject({ ok: true, warnings: [{ line: 7, column: 9, path }] });
  });
});

describe("a file with mistakes", () => {
  test("every mistake is told at once, in the order of lines, with a hint where there is one", () => {
    const issues = issuesOf(`mesh:
  defaults:
    retry: {atempts: 3}
services:
  Users: {}
  users:
    protcol: grpc
    balance: {policy: rign-hash}
    timeout: {connect: 5, request: 3x}
    retry: {when: [unavailble, 700], bodyLimit: 5foo}
    health: {path: a, grpc: b}
    instances:
      - {adress: 1.2.3.4:80}
      - {address: 1.2.3.4}
      - {address: 1.2.3.4:5, weight: -1, tags: {v: 1.0}}
      - {id: a, address: "1.2.3.4:5"}
      - {id: a, address: "1.2.3.4:6"}
  orders:
    balance: {policy: maglev}
routes:
  a: {rules: [{to: [{service: user}]}]}
  b: {rules: [{to: [{service: orders, weight: 0}]}, {to: [{service: orders}]}]}
  d: {rules: [{to: [{service: orders}], match: {method: [get]}}]}
  c: {hosts: ["x:80"], rules: [{to: [{service: orders}], limit: 5}]}
rotues: {}
`);
    expect(issues).toEqual([
      "mesh.yaml:3:13: mesh.defaults.retry.atempts: unknown field atempts (did you mean attempts?)",
      "mesh.yaml:5:3: services.Users: Users is not a name (names are lower case)",
      "mesh.yaml:7:5: services.users.protcol: unknown field protcol (did you mean protocol?)",
      expect.stringMatching(
        /^mesh.yaml:8:23: services.users.balance.policy: .*"rign-hash" \(did you mean ring-hash\?\)$/,
      ),
      expect.stringMatching(/^mesh.yaml:9:24: services.users.timeout.connect: must be a text, not 5 \(.*250ms\)$/),
      expect.stringMatching(/^mesh.yaml:9:36: services.users.timeout.request: "3x" is not a duration/),
      expect.stringMatching(/^mesh.yaml:10:20: services.users.retry.when.0: .*did you mean unavailable\?$/),
      "mesh.yaml:10:32: services.users.retry.when.1: must be at most 599",
      expect.stringMatching(/^mesh.yaml:10:49: services.users.retry.bodyLimit: "5foo" is not a size/),
      "mesh.yaml:11:13: services.users.health: has path and grpc, but needs exactly one of path, grpc, tcp",
      "mesh.yaml:11:20: services.users.health.path: must begin with /, and be visible ASCII",
      "mesh.yaml:13:9: services.users.instances.0.address: is missing",
      "mesh.yaml:13:10: services.users.instances.0.adress: unknown field adress (did you mean address?)",
      expect.stringMatching(/^mesh.yaml:14:19: services.users.instances.1.address: "1.2.3.4" is not an address/),
      "mesh.yaml:15:38: services.users.instances.2.weight: must be at least 0",
      expect.stringMatching(
        /^mesh.yaml:15:52: services.users.instances.2.tags.v: must be a text, not 1 \(put it in quotes/,
      ),
      "mesh.yaml:17:14: services.users.instances.4.id: a is the id of instance 4 of this service already",
      expect.stringMatching(/^mesh.yaml:19:23: services.orders.balance.policy: maglev needs balance.hash/),
      "mesh.yaml:21:31: routes.a.rules.0.to.0.service: there is no service user (did you mean users?)",
      "mesh.yaml:22:20: routes.b.rules.0.to: all weights are 0: nobody would answer",
      "mesh.yaml:23:58: routes.d.rules.0.match.method.0: methods are upper case",
      expect.stringMatching(/^mesh.yaml:24:15: routes.c.hosts.0: "x:80" is not a host \(write it without the port/),
      "mesh.yaml:24:58: routes.c.rules.0.limit: unknown field limit (did you mean limits?)",
      "mesh.yaml:25:1: rotues: unknown field rotues (did you mean routes?)",
    ]);
  });

  test.each([
    ["", "mesh.yaml:1:1: mesh.yaml is empty"],
    ["# nothing but words\n", "mesh.yaml:1:1: mesh.yaml is empty"],
    ["- users", "mesh.yaml:1:1: mesh.yaml must be sections: mesh, services, routes, access"],
    ["services: 5", "mesh.yaml:1:11: services: must be a section"],
    ["services:\n  a: {}\n  a: {}\n", "mesh.yaml:3:3: a is written twice in one section"],
    ["services: {a: {instances: {b: 1}}}", /^mesh.yaml:1:27: services.a.instances: must be a list/],
    ["services:\n\ta: 1", /^mesh.yaml:2:1: .*[Tt]abs/],
    [
      "services: {a: {hedge: {budget: 5}}}",
      "mesh.yaml:1:32: services.a.hedge.budget: must be at most 1 (a share: 0.05 is 5 %)",
    ],
    ["services: {a: [", /^mesh.yaml:1:\d+: /],
    ["schemaVersion: 2", "mesh.yaml:1:16: schemaVersion: must be 1"],
    ["services: {a: {schemaVersion: 2}}", /^mesh.yaml:1:31: services.a.schemaVersion: is newer/],
    ["---\nservices: {}\n---\nservices: {}\n", /^mesh.yaml:3:1: /],
  ])("%j", (text, expected) => {
    const [first] = issuesOf(text);
    expect(first).toEqual(typeof expected === "string" ? expected : expect.stringMatching(expected));
  });

  test("an alias bomb is refused and not expanded", () => {
    const levels = "abcdefghi".split("");
    const bomb = levels.map((level, index) => {
      const inner = index === 0 ? "x" : `*${levels[index - 1]}`;
      return `${level}: &${level} [${Array(9).fill(inner).join(", ")}]`;
    });
    expect(issuesOf(bomb.join("\n"))[0]).toContain("cannot be read");
  });

  test("a file cut anywhere is refused with a place or read, and never an exception", () => {
    const outcomes = { refused: 0, read: 0 };
    for (let length = 0; length < DESIGN_FILE.length; length += 3) {
      const parsed = parse(DESIGN_FILE.slice(0, length));
      outcomes[parsed.ok ? "read" : "refused"] += 1;
      if (!parsed.ok) for (const { line, column } of parsed.issues) expect(Math.min(line, column)).toBeGreaterThan(0);
    }
    // Some prefixes do read: that is why a registry waits until a file is still.
    expect(outcomes.refused).toBeGreaterThan(0);
    expect(outcomes.read).toBeGreaterThan(0);
  });
});

describe("documents that must fit each other", () => {
  test("two routes with the same host, two catch-alls, two services with the same host", () => {
    const rules = "rules: [{to: [{service: s}]}]";
    const file = `services: {s: {hosts: [x.y]}, t: {hosts: [x.y, s]}}
routes:
  {a: {hosts: [A.example.], ${rules}}, b: {hosts: [a.example], ${rules}}, c: {${rules}}, d: {hosts: ["*"], ${rules}}}`;
    expect(issuesOf(file).map((line) => line.replace(/^mesh.yaml:\d+:\d+: /, ""))).toEqual([
      "services.t.hosts.0: service s has x.y already",
      "services.t.hosts.1: service s has s already",
      "routes.b.hosts.0: route a has a.example already",
      "routes.d.hosts.0: route c has all other hosts already",
    ]);
  });

  test("a pattern is judged by whoever compiles it", () => {
    const file = 'services: {s: }\nroutes: {r: {rules: [{match: {path: {regex: "(a"}}, to: [{service: s}]}]}}';
    const parsed = parseMeshFile(file, { fileName: "m", checkPattern: (pattern) => `${pattern} is open` });
    expect(parsed).toMatchObject({
      ok: false,
      issues: [{ line: 2, path: "routes.r.rules.0.match.path.regex", message: "(a is open" }],
    });
  });

  test("services of elsewhere may be named where the caller knows them", () => {
    const file = "routes: {r: {rules: [{to: [{service: users}]}]}}";
    expect(parse(file).ok).toBe(false);
    expect(parseMeshFile(file, { fileName: "m", knownServices: new Set(["users"]) }).ok).toBe(true);
    expect(parseMeshFile(file, { fileName: "m", knownServices: "any" }).ok).toBe(true);
  });

  test("defaults are blamed for the service that they break", () => {
    const file = "mesh: {defaults: {balance: {policy: ring-hash}}}\nservices: {a: {instances: [{address: 1.2.3.4:5}]}}";
    expect(issuesOf(file)[0]).toMatch(/services.a: mesh.defaults do not fit .* ring-hash needs balance.hash/);
    expect(issuesOf("mesh: {defaults: {balance: {policy: ring-hash}}}\nservices: {a: {protocol: grpc}}")[0]).toMatch(
      /^mesh.yaml:1:37: mesh.defaults.balance.policy: service a: ring-hash needs/,
    );
  });
});
