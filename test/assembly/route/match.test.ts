// Where requests go, case by case: hosts, paths, methods, headers, listeners, weights.

import { beforeAll, describe, expect, it } from "vitest";
import {
  NONE,
  REASON_NO_INSTANCE,
  REASON_NO_ROUTE,
  REASON_NONE,
  REASON_NOT_READY,
} from "../../../assembly/abi/engine-codes.ts";
import { LISTENER_INBOUND, LISTENER_SERVICE } from "../../../assembly/abi/engine-records.ts";
import type { CompiledSnapshot, SnapshotOptions } from "../../../src/snapshot/index.ts";
import { compileMesh, loadRouteEngine, type RouteEngine, type WrittenMesh } from "../../support/route-engine.ts";

let engine: RouteEngine;
let snapshot: CompiledSnapshot;

beforeAll(async () => {
  engine = await loadRouteEngine();
});

function load(mesh: WrittenMesh, options: Partial<SnapshotOptions> = {}): void {
  snapshot = compileMesh(mesh, options);
  expect(snapshot.issues).toEqual([]);
  expect(engine.load(snapshot.bytes)).toBe(0);
}

/** Name of the service that a request is sent to, or its reason's number. */
function routed(request: Parameters<RouteEngine["match"]>[0], kind?: number, listener?: number): string | number {
  const { reason, service } = engine.match(request, kind, listener);
  return reason === REASON_NONE && service !== undefined ? snapshot.services[service]!.name : reason;
}

it("is not ready without a snapshot", async () => {
  const empty = await loadRouteEngine();
  expect(empty.exports.hasSnapshot()).toBe(0);
  expect(empty.exports.snapshotRevision()).toBe(-1);
  const head = empty.writeHead({ authority: "a" });
  expect(empty.exports.matchRoute(head, 0, 0, 0)).toBe(REASON_NOT_READY);
  expect(empty.exports.matchRoute(head, LISTENER_INBOUND, 0, 0)).toBe(REASON_NOT_READY);
});

describe("hosts", () => {
  const to = (service: string) => ({ rules: [{ to: [{ service }] }] });

  it.each([
    ["users.shop", "users.shop"],
    ["USERS.Shop", "users.shop"],
    ["users.shop.", "users.shop"],
    ["users.shop:8080", "users.shop"],
    ["users.shop.:8080", "users.shop"],
    ["users.shop:", "users.shop"],
    ["users.shop.svc", "users.shop"],
    ["users.shop.svc.cluster.local", "users.shop"],
    ["users.shop.svc.cluster.local.:80", "users.shop"],
    ["users.shop.mesh", "users.shop"],
    ["users", "users.shop"],
    ["cart", "cart"],
    ["cart.mesh", "cart"],
    ["stock", REASON_NO_ROUTE], // of another namespace
    ["shop", REASON_NO_ROUTE],
    ["xusers.shop", REASON_NO_ROUTE],
    ["users.shop.svc.cluster", REASON_NO_ROUTE],
    ["users.shop..", REASON_NO_ROUTE],
    ["", REASON_NO_ROUTE],
    [":80", REASON_NO_ROUTE],
    [`${"a".repeat(300)}.example`, REASON_NO_ROUTE],
  ])("a service answers for %s: %s", (authority, expected) => {
    load({ services: { "users.shop": {}, cart: {}, "stock.depot": {} } }, { namespace: "shop" });
    expect(routed({ authority })).toBe(expected);
  });

  it("brackets keep their colons", () => {
    load({ services: { six: { hosts: [] } }, routes: { all: { ...to("six") } } });
    expect(routed({ authority: "[::1]:8080" })).toBe("six");
  });

  it.each([
    ["www.example.com", "exact"],
    ["a.example.com", "wild"],
    ["a.b.example.com", "wild"],
    ["a.deep.example.com", "deeper"],
    ["example.com", "rest"],
    [".example.com", "rest"],
    ["other.org", "rest"],
    ["exact", "exact"], // the service's own name beats the route without hosts
    ["api.service.org", "rest"], // claimed by a service's hosts
    ["sub.service.org", "hosted"],
    ["www.service.org", "wild"], // a route's exact host beats a service's wildcard
  ])("%s goes to %s", (authority, expected) => {
    load({
      services: {
        exact: {},
        wild: {},
        deeper: {},
        rest: { hosts: ["api.service.org"] },
        hosted: { hosts: ["*.service.org"] },
      },
      routes: {
        one: { hosts: ["www.example.com"], ...to("exact") },
        two: { hosts: ["*.example.com", "www.service.org"], ...to("wild") },
        three: { hosts: ["*.deep.example.com"], ...to("deeper") },
        four: { ...to("rest") },
      },
    });
    expect(routed({ authority })).toBe(expected);
  });

  it("a route's wildcard beats a service's name, and a service's name beats no host at all", () => {
    load({
      services: { "users.shop": {}, other: {} },
      routes: { wild: { hosts: ["*.shop"], ...to("other") }, all: { hosts: ["*"], ...to("other") } },
    });
    expect(routed({ authority: "users.shop" })).toBe("other");
    expect(routed({ authority: "users.shop.mesh" })).toBe("users.shop");
  });

  it("a name somebody wrote beats one that follows from another", () => {
    load(
      { services: { "users.shop": {}, users: {}, extra: { hosts: ["users.mesh", "users.shop.svc"] } } },
      { namespace: "shop" },
    );
    expect(routed({ authority: "users" })).toBe("users");
    expect(routed({ authority: "users.mesh" })).toBe("extra");
    expect(routed({ authority: "users.shop.svc" })).toBe("extra");
  });

  it("an authority nobody claims is refused, and so is a path no rule of the claimed host matches", () => {
    load({
      services: { a: {} },
      routes: { r: { hosts: ["a"], rules: [{ match: { path: { exact: "/x" } }, to: [{ service: "a" }] }] } },
    });
    expect(routed({ authority: "b" })).toBe(REASON_NO_ROUTE);
    expect(routed({ authority: "a", path: "/y" })).toBe(REASON_NO_ROUTE);
    expect(routed({ authority: "a", path: "/x" })).toBe("a");
  });
});

describe("paths", () => {
  /** A route whose rules have these paths, each to a service of its own. */
  function loadPaths(paths: readonly unknown[]): void {
    const rules = paths.map((path, index) => ({
      match: path === undefined ? {} : { path },
      to: [{ service: `s${index}` }],
    }));
    load({ routes: { r: { rules } } });
  }

  it.each([
    ["/users", "s0"],
    ["/users/", "s0"],
    ["/users/7", "s0"],
    ["/users/7/orders", "s0"],
    ["/users?x=1", "s0"],
    ["/users/?x=1", "s0"],
    ["/users?x=/y", "s0"],
    ["/usersx", REASON_NO_ROUTE],
    ["/user", REASON_NO_ROUTE],
    ["/Users", REASON_NO_ROUTE],
    ["/", REASON_NO_ROUTE],
    ["//users", REASON_NO_ROUTE],
    ["*", REASON_NO_ROUTE],
    ["", REASON_NO_ROUTE],
  ])("prefix /users and %s", (path, expected) => {
    loadPaths([{ prefix: "/users" }]);
    expect(routed({ path })).toBe(expected);
    loadPaths([{ prefix: "/users/" }]); // the last slash says nothing
    expect(routed({ path })).toBe(expected);
  });

  it.each([
    ["/users", "s0"],
    ["/users?x=1", "s0"],
    ["/users/", REASON_NO_ROUTE],
    ["/users/7", REASON_NO_ROUTE],
  ])("exact /users and %s", (path, expected) => {
    loadPaths([{ exact: "/users" }]);
    expect(routed({ path })).toBe(expected);
  });

  it.each([
    ["/a/7", "s0"],
    ["/a/7?x", "s0"],
    ["/a/x7", REASON_NO_ROUTE],
    ["/a/7/", REASON_NO_ROUTE],
    ["/b/", "s1"],
    ["/b", "s1"],
    ["/bc", REASON_NO_ROUTE],
    ["/b/c/d", "s1"],
    ["/c.d", "s2"],
    ["/xc.d", REASON_NO_ROUTE],
    ["/d", "s3"],
    ["/e", "s3"],
    ["/f/g", "s4"],
    ["/f/gg", REASON_NO_ROUTE],
  ])("pattern and %s", (path, expected) => {
    loadPaths([
      { regex: "/a/[0-9]+" },
      { regex: "/b(/.*)?" },
      { regex: "^/c\\.d$" },
      { regex: "/(d|e)" },
      { regex: "/f/g" },
    ]);
    expect(routed({ path })).toBe(expected);
  });

  it("the first rule wins, whichever index finds it", () => {
    loadPaths([
      { exact: "/a/b" },
      { regex: "/a/.*" },
      { prefix: "/a" },
      { exact: "/a/c" },
      undefined,
      { prefix: "/z" },
    ]);
    expect(routed({ path: "/a/b" })).toBe("s0");
    expect(routed({ path: "/a/c" })).toBe("s1");
    expect(routed({ path: "/a" })).toBe("s2");
    expect(routed({ path: "/z" })).toBe("s4");
    loadPaths([undefined, { exact: "/a" }]);
    expect(routed({ path: "/a" })).toBe("s0");
    loadPaths([{ prefix: "/" }, { exact: "/a" }]);
    expect(routed({ path: "/a" })).toBe("s0");
    expect(routed({ path: "*" })).toBe("s0");
  });

  it("longer paths than any route's, and deeper ones than the depth mask tells apart", () => {
    const deep = "/a".repeat(40);
    loadPaths([{ prefix: deep }, { exact: `${deep}/b` }, { prefix: "/a/a" }]);
    expect(routed({ path: deep })).toBe("s0");
    expect(routed({ path: `${deep}/${"x".repeat(5000)}` })).toBe("s0");
    expect(routed({ path: "/a".repeat(39) })).toBe("s2");
    expect(routed({ path: `${"/a".repeat(39)}x` })).toBe("s2");
    expect(routed({ path: "/a" })).toBe(REASON_NO_ROUTE);
  });

  it("tells how much of the path matched", () => {
    loadPaths([{ exact: "/exact" }, { prefix: "/prefix/" }, undefined]);
    expect(engine.match({ path: "/exact?q" }).prefixBytes).toBe(6);
    expect(engine.match({ path: "/prefix/x" }).prefixBytes).toBe(7);
    expect(engine.match({ path: "/else" }).prefixBytes).toBe(0);
  });
});

describe("methods and headers", () => {
  const rule = (match: unknown, service: string) => ({ match, to: [{ service }] });

  it.each([
    ["GET", "reads"],
    ["HEAD", "reads"],
    ["POST", "writes"],
    ["PURGE", "purges"],
    ["PUT", "puts"],
    ["DELETE", "puts"],
    ["CONNECT", "puts"],
    ["OPTIONS", "puts"],
    ["TRACE", "puts"],
    ["PATCH", "patches"],
    ["purge", "rest"],
    ["get", "rest"],
    ["BREW", "rest"],
  ])("%s goes to %s", (method, expected) => {
    const rules = [
      rule({ method: ["GET", "HEAD"] }, "reads"),
      rule({ method: ["POST", "LOCK"] }, "writes"),
      rule({ method: ["PURGE"] }, "purges"),
      rule({ method: ["PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE"] }, "puts"),
      rule({ method: ["PATCH"] }, "patches"),
      rule({}, "rest"),
    ];
    load({ routes: { r: { rules } } });
    expect(routed({ method })).toBe(expected);
  });

  it.each<[string, [string, string][], string]>([
    ["exact", [["x-canary", "1"]], "exact"],
    ["another value", [["x-canary", "2"]], "absent"],
    [
      "one of two fields",
      [
        ["x-canary", "2"],
        ["x-canary", "1"],
      ],
      "exact",
    ],
    ["a known name", [["user-agent", "curl/8"]], "prefix"],
    ["pattern", [["x-id", "ab12"]], "regex"],
    ["half a pattern", [["x-id", "ab12-"]], "absent"],
    ["present", [["x-any", ""]], "present"],
    ["present, but absence was asked for", [["x-not", "1"]], "rest"],
    ["a name that begins alike", [["x-canar", "1"]], "absent"],
  ])("%s", (_, headers, expected) => {
    const rules = [
      rule({ headers: { "X-Canary": { exact: "1" } } }, "exact"),
      rule({ headers: { "user-agent": { prefix: "curl/" } } }, "prefix"),
      rule({ headers: { "x-id": { regex: "[a-z]+\\d+" } } }, "regex"),
      rule({ headers: { "x-any": { present: true } } }, "present"),
      rule({ headers: { "x-not": { present: false } } }, "absent"),
      rule({}, "rest"),
    ];
    load({ routes: { r: { rules } } });
    expect(routed({ headers })).toBe(expected);
  });

  it("every name that the engine knows by number is matched by it", () => {
    const names = ["accept", "traceparent", "x-request-id", "grpc-timeout", "origin", "x-pillion-version", "via"];
    for (const name of names) {
      load({ routes: { r: { rules: [rule({ headers: { [name]: { exact: "1" } } }, "seen"), rule({}, "rest")] } } });
      expect(routed({ headers: [[name, "1"]] })).toBe("seen");
      expect(routed({ headers: [[`${name}x`, "1"]] })).toBe("rest");
    }
  });

  it("host stands for the authority; all conditions must hold", () => {
    const rules = [
      rule({ headers: { host: { regex: "v\\d\\..*" }, "x-a": { present: true } } }, "both"),
      rule({ headers: { host: { prefix: "v2." } } }, "host"),
      rule({}, "rest"),
    ];
    load({ routes: { r: { rules } } });
    expect(routed({ authority: "v2.example:80", headers: [["x-a", "1"]] })).toBe("both");
    expect(routed({ authority: "v2.example:80" })).toBe("host");
    expect(routed({ authority: "v1.example" })).toBe("rest");
    expect(routed({ authority: "" })).toBe("rest");
  });
});

describe("listeners", () => {
  const mesh: WrittenMesh = {
    services: { users: {}, cart: {} },
    routes: { r: { hosts: ["users"], rules: [{ to: [{ service: "cart" }] }] } },
  };
  const app = { service: "users", id: "me", address: { host: "127.0.0.1", port: 8080 }, protocol: "auto" } as const;

  it("inbound knows the app only, whatever the host says", () => {
    load(mesh, { app });
    const { reason, service, set } = engine.match({ authority: "cart" }, LISTENER_INBOUND);
    expect(reason).toBe(REASON_NONE);
    expect(snapshot.services[service!]).toMatchObject({ name: "users", direction: "inbound" });
    const slot = snapshot.sets.find(({ id }) => id === set)!.members[0]!.slot;
    expect(snapshot.instances.find((one) => one.slot === slot)).toMatchObject({ isApp: true, id: "me" });
  });

  it("inbound without an app goes nowhere", () => {
    load(mesh);
    expect(routed({ authority: "users" }, LISTENER_INBOUND)).toBe(REASON_NO_ROUTE);
  });

  it("--listen sends everything to its service, by number", () => {
    load(mesh, { listen: ["cart", "users", "unheard-of"] });
    expect(routed({ authority: "users" }, LISTENER_SERVICE, 0)).toBe("cart");
    expect(routed({ authority: "nowhere" }, LISTENER_SERVICE, 1)).toBe("users");
    expect(routed({}, LISTENER_SERVICE, 2)).toBe("unheard-of");
    expect(routed({}, LISTENER_SERVICE, 3)).toBe(REASON_NO_ROUTE);
    expect(routed({}, LISTENER_SERVICE, NONE)).toBe(REASON_NO_ROUTE);
  });
});

describe("weights and subsets", () => {
  const mesh = (to: unknown[]): WrittenMesh => ({
    instances: {
      users: {
        a: { address: "10.0.0.1:80", tags: { version: "v1", zone: "x" } },
        b: { address: "10.0.0.2:80", tags: { version: "v2" }, weight: 5 },
        c: { address: "10.0.0.3:80", tags: { version: "v2", zone: "x" }, state: "draining" },
        d: { address: "10.0.0.4:80", tags: { version: "v2" }, state: "starting" },
      },
    },
    routes: { r: { rules: [{ to }] } },
  });

  it("shares are exact over the whole range of the random number", () => {
    load(
      mesh([
        { service: "users", weight: 10 },
        { service: "other", weight: 0 },
        { service: "third", weight: 90 },
      ]),
    );
    const counts = new Map<string | number, number>();
    const draws = 10_000;
    for (let index = 0; index < draws; index += 1) {
      const name = routed({ random: Math.floor(((index + 0.5) * 2 ** 32) / draws) });
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    expect(Object.fromEntries(counts)).toEqual({ users: 1000, third: 9000 });
  });

  it("tags choose a subset; starting and draining instances are in no set", () => {
    load(mesh([{ service: "users", tags: { version: "v2" } }]));
    const idOf = (slot: number) => snapshot.instances.find((instance) => instance.slot === slot)!.id;
    const membersOf = (set: number | undefined) => {
      return snapshot.sets.find(({ id }) => id === set)!.members.map(({ slot, weight }) => [idOf(slot), weight]);
    };
    expect(membersOf(engine.match({}).set)).toEqual([["b", 5]]);
    const whole = engine.match({ authority: "users" }).set;
    expect(membersOf(whole)).toEqual([
      ["a", 100],
      ["b", 5],
    ]);
  });

  it("a service without instances is found: the pick says that there is nobody", () => {
    load(mesh([{ service: "empty" }]));
    const { reason, set } = engine.match({ authority: "x" });
    expect(reason).toBe(REASON_NONE);
    expect(snapshot.sets.find(({ id }) => id === set)!.members).toEqual([]);
  });

  it("nowhere to go is no instance, not a trap", async () => {
    const { encodeProgram } = await import("../../../src/snapshot/index.ts");
    const rule = {
      methods: [],
      conditions: [],
      action: { kind: "forward", destinations: [] },
      requestEdits: [],
      responseEdits: [],
    } as const;
    const bytes = encodeProgram({
      revision: 2,
      services: [],
      instances: [],
      listeners: [],
      vhosts: [{ name: "r", rules: [rule] }],
      hosts: new Map(),
      wildcards: new Map(),
      catchAll: 0,
      inbound: undefined,
    });
    expect(engine.load(bytes)).toBe(0);
    expect(engine.match({}).reason).toBe(REASON_NO_INSTANCE);
    expect(engine.exports.snapshotRevision()).toBe(2);
  });
});
