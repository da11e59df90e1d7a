// What documents become: policy records field by field, instances, and what is left out with which words.

import { beforeAll, describe, expect, it } from "vitest";
import * as fieldNames from "../../../assembly/abi/field-names.ts";
import * as abi from "../../../assembly/abi/policy.ts";
import { fieldIdOf, isCodecField } from "../../../src/snapshot/field-ids.ts";
import { Allocation, compileSnapshot, settleSnapshot } from "../../../src/snapshot/index.ts";
import { compileMesh, FakeSlots, loadRouteEngine, parseMesh, type RouteEngine } from "../../support/route-engine.ts";

let engine: RouteEngine;

beforeAll(async () => {
  engine = await loadRouteEngine();
});

/** The policy record that a request to service users meets. */
function policyRecord(service: unknown, rule: object = {}, kind = 0) {
  const app = { service: "users", id: "me", address: { host: "127.0.0.1", port: 1 }, protocol: "http1" } as const;
  const routes = { r: { rules: [{ to: [{ service: "users" }], ...rule }] } };
  const snapshot = compileMesh({ services: { other: {}, users: service }, routes }, { app });
  expect(engine.load(snapshot.bytes)).toBe(0);
  const { policy } = engine.match({ authority: "elsewhere" }, kind);
  return {
    u8: (at: number) => engine.view.getUint8(policy + at),
    u32: (at: number) => engine.view.getUint32(policy + at, true),
    u16: (at: number) => engine.view.getUint16(policy + at, true),
    snapshot,
  };
}

describe("policy records", () => {
  it("hold the defaults", () => {
    const { u8, u32, snapshot } = policyRecord({});
    const index = snapshot.services.find(({ name, direction }) => name === "users" && direction === "outbound")!;
    expect(u32(abi.POLICY_SERVICE)).toBe(index.index);
    expect(u32(abi.POLICY_METRICS)).toBe(index.metrics);
    expect(u8(abi.POLICY_PROTOCOL)).toBe(abi.SERVICE_HTTP);
    expect(u8(abi.POLICY_HASH_SOURCE)).toBe(abi.HASH_NONE);
    expect(u32(abi.POLICY_CONNECT_TIMEOUT)).toBe(1000);
    expect(u32(abi.POLICY_REQUEST_TIMEOUT)).toBe(abi.POLICY_NO_TIMEOUT);
    expect(u32(abi.POLICY_ATTEMPT_TIMEOUT)).toBe(abi.POLICY_AUTO);
    expect(u32(abi.POLICY_IDLE_TIMEOUT)).toBe(300_000);
    expect(u32(abi.POLICY_PENDING_TIMEOUT)).toBe(3000);
    expect(u32(abi.POLICY_PENDING_MAX)).toBe(1024);
    expect(u32(abi.POLICY_CONNECTIONS_MAX)).toBe(1024);
    expect(u32(abi.POLICY_REQUESTS_MAX)).toBe(1024);
    expect(u8(abi.POLICY_RETRY_ATTEMPTS)).toBe(2);
    expect(u32(abi.POLICY_RETRY_WHEN)).toBe(abi.RETRY_UNPROCESSED | abi.RETRY_IDEMPOTENT);
    expect(u32(abi.POLICY_RETRY_GRPC)).toBe(0);
    expect(u8(abi.POLICY_RETRY_STATUS_COUNT)).toBe(0);
    expect(u32(abi.POLICY_BODY_LIMIT)).toBe(65_536);
    expect(u32(abi.POLICY_BACKOFF_BASE)).toBe(25);
    expect(u32(abi.POLICY_BACKOFF_MAX)).toBe(250);
    expect(u32(abi.POLICY_BUDGET_RATIO)).toBe(205); // 0.2 of 1024
    expect(u32(abi.POLICY_BUDGET_MIN)).toBe(10);
    expect(u8(abi.POLICY_HEDGE)).toBe(abi.HEDGE_NONE);
  });

  it("say when a second attempt begins: a percentile, or a time; a rule's over the service's", () => {
    const service = { hedge: { after: "p90", budget: 0.1 } };
    const own = policyRecord(service);
    expect(own.u8(abi.POLICY_HEDGE)).toBe(abi.HEDGE_P90);
    expect(own.u8(abi.POLICY_HEDGE_ANY)).toBe(0);
    expect(own.u32(abi.POLICY_HEDGE_BUDGET)).toBe(102); // rounded down: a share is never exceeded
    const ruled = policyRecord(service, { hedge: { after: "30ms", calls: "all" } });
    expect(ruled.u8(abi.POLICY_HEDGE)).toBe(abi.HEDGE_DELAY);
    expect(ruled.u32(abi.POLICY_HEDGE_DELAY)).toBe(30);
    expect(ruled.u8(abi.POLICY_HEDGE_ANY)).toBe(1);
    expect(policyRecord(service, { hedge: "none" }).u8(abi.POLICY_HEDGE)).toBe(abi.HEDGE_NONE);
  });

  it("hold what the service writes, and over it what the rule writes", () => {
    const service = {
      protocol: "grpc",
      timeout: { request: "9s", connect: "2s", idle: "none" },
      retry: { attempts: 3, when: [503, "unavailable", "unprocessed", 502, "cancelled"] },
      limits: { requests: 5, pendingTimeout: "1s" },
    };
    const { u8, u16, u32 } = policyRecord(service, {
      timeout: { request: "1s", attempt: "100ms" },
      limits: { requests: 7, pendingTimeout: "2s" },
    });
    expect(u8(abi.POLICY_PROTOCOL)).toBe(abi.SERVICE_GRPC);
    expect(u32(abi.POLICY_REQUEST_TIMEOUT)).toBe(1000);
    expect(u32(abi.POLICY_ATTEMPT_TIMEOUT)).toBe(100);
    expect(u32(abi.POLICY_CONNECT_TIMEOUT)).toBe(2000);
    expect(u32(abi.POLICY_IDLE_TIMEOUT)).toBe(abi.POLICY_NO_TIMEOUT);
    expect(u8(abi.POLICY_RETRY_ATTEMPTS)).toBe(3);
    expect(u32(abi.POLICY_RETRY_WHEN)).toBe(abi.RETRY_UNPROCESSED);
    expect(u32(abi.POLICY_RETRY_GRPC)).toBe((1 << 14) | (1 << 1));
    expect(u8(abi.POLICY_RETRY_STATUS_COUNT)).toBe(2);
    expect([u16(abi.POLICY_RETRY_STATUS), u16(abi.POLICY_RETRY_STATUS + 2)]).toEqual([503, 502]);
    expect(u32(abi.POLICY_REQUESTS_MAX)).toBe(5); // counters are the service's
    expect(u32(abi.POLICY_PENDING_TIMEOUT)).toBe(2000); // waiting is the rule's
  });

  it("of the app leave deadlines and retries to the caller", () => {
    const { u8, u32, snapshot } = policyRecord({ timeout: { request: "9s" }, retry: { attempts: 3 } }, {}, 1);
    const inbound = snapshot.services.find(({ direction }) => direction === "inbound")!;
    expect(u32(abi.POLICY_SERVICE)).toBe(inbound.index);
    expect(u32(abi.POLICY_REQUEST_TIMEOUT)).toBe(abi.POLICY_NO_TIMEOUT);
    expect(u32(abi.POLICY_ATTEMPT_TIMEOUT)).toBe(abi.POLICY_NO_TIMEOUT);
    expect(u8(abi.POLICY_RETRY_ATTEMPTS)).toBe(1);
    expect(u32(abi.POLICY_RETRY_WHEN)).toBe(abi.RETRY_UNPROCESSED);
    expect(snapshot.limits.filter(({ service }) => service === inbound.index).map(({ limit }) => limit)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    const app = snapshot.instances.find(({ isApp }) => isApp)!;
    const record = engine.exports.instanceAt(app.slot);
    expect(engine.view.getUint8(record + abi.INSTANCE_PROTOCOL)).toBe(abi.SERVICE_HTTP1);
    expect(engine.view.getUint8(record + abi.INSTANCE_FLAGS)).toBe(abi.INSTANCE_IS_APP | abi.INSTANCE_IS_PRESENT);
  });

  it("are one for all rules without overrides", () => {
    const rules = Array.from({ length: 50 }, (_, index) => ({
      match: { path: { exact: `/${index}` } },
      to: [{ service: "users" }],
    }));
    expect(engine.load(compileMesh({ routes: { r: { rules } } }).bytes)).toBe(0);
    const policies = new Set([1, 7, 49].map((index) => engine.match({ path: `/${index}` }).policy));
    policies.add(engine.match({ authority: "users" }).policy);
    expect(policies.size).toBe(1);
  });
});

describe("sets", () => {
  it("a rule's own balance makes a set of its own over the same instances", () => {
    const snapshot = compileMesh({
      instances: { users: { a: { address: "10.0.0.1:80" } } },
      routes: { r: { rules: [{ to: [{ service: "users" }], balance: { policy: "random" } }] } },
    });
    expect(snapshot.sets.map(({ policy, members }) => [policy, members.length])).toEqual([
      ["random", 1],
      ["adaptive", 1],
    ]);
  });

  it("the order of tags says nothing", () => {
    const to = [
      { service: "users", tags: { a: "1", b: "2" } },
      { service: "users", tags: { b: "2", a: "1" } },
    ];
    expect(compileMesh({ routes: { r: { rules: [{ to }] } } }).sets).toHaveLength(2); // the subset and the whole
  });
});

describe("zones", () => {
  const instances = {
    users: {
      a: { address: "10.0.0.1:80", zone: "z1" },
      b: { address: "10.0.0.2:80", zone: "z2" },
      c: { address: "10.0.0.3:80" },
    },
  };
  const compileIn = (zone: string | undefined, balance: object) => {
    const documents = parseMesh({ services: { users: { balance } }, instances });
    const [set] = compileSnapshot(documents, { revision: 1, zone }, new Allocation(new FakeSlots())).sets;
    return { prefersLocal: set?.prefersLocal === true, local: set?.members.map(({ isLocal }) => isLocal === true) };
  };

  it("are preferred by default, where we know ours", () => {
    expect(compileIn("z1", {})).toEqual({ prefersLocal: true, local: [true, false, false] });
    expect(compileIn("z2", { zone: "prefer" })).toEqual({ prefersLocal: true, local: [false, true, false] });
    expect(compileIn(undefined, {})).toEqual({ prefersLocal: false, local: [false, false, false] });
  });

  it("do not count where the document says so, be it in a rule", () => {
    expect(compileIn("z1", { zone: "ignore" }).prefersLocal).toBe(false);
    const documents = parseMesh({
      services: { users: {} },
      instances,
      routes: { r: { rules: [{ to: [{ service: "users" }], balance: { zone: "ignore" } }] } },
    });
    const { sets } = compileSnapshot(documents, { revision: 1, zone: "z1" }, new Allocation(new FakeSlots()));
    expect(sets.map(({ prefersLocal }) => prefersLocal === true).sort()).toEqual([false, true]);
  });
});

describe("subsets", () => {
  it("that many rules name are gathered once: ten thousand rules over as many instances would take seconds", () => {
    const [rules, instances] = [50, 20];
    const to = [{ service: "users", tags: { zone: "a" } }];
    const written = parseMesh({
      instances: {
        users: Object.fromEntries(
          Array.from({ length: instances }, (_, index) => [
            `i${index}`,
            { address: `h${index}:1`, tags: { zone: "a" } },
          ]),
        ),
      },
      routes: {
        r: { rules: Array.from({ length: rules }, (_, index) => ({ match: { path: { exact: `/${index}` } }, to })) },
      },
    });
    let reads = 0;
    const watched = new Map(
      [...(written.instances.get("users") ?? [])].map(([id, instance]) => {
        const tags = new Proxy(instance.tags, {
          get(target, tag) {
            reads += 1;
            return Reflect.get(target, tag);
          },
        });
        return [id, { ...instance, tags }] as const;
      }),
    );
    const documents = { ...written, instances: new Map([["users", watched]]) };
    const snapshot = compileSnapshot(documents, { revision: 1 }, new Allocation(new FakeSlots()));
    expect(snapshot.sets.map(({ members }) => members.length)).toContain(instances);
    expect(reads).toBe(instances);
  });
});

describe("instances", () => {
  it("speak what they say, else what their service does; gone ones keep their names", () => {
    const allocation = new Allocation(new FakeSlots());
    const services = { users: { protocol: "grpc" } };
    const users = { a: { address: "10.0.0.1:80" }, b: { address: "10.0.0.2:80", protocol: "http2", sidecar: true } };
    const first = compileMesh({ services, instances: { users } }, {}, allocation);
    expect(first.instances.map(({ id, protocol, isSidecar }) => [id, protocol, isSidecar])).toEqual([
      ["a", "grpc", false],
      ["b", "http2", true],
    ]);
    const second = compileMesh({}, {}, allocation);
    expect(second.instances.map(({ id, isLeaving }) => [id, isLeaving])).toEqual([
      ["a", true],
      ["b", true],
    ]);
    expect(engine.load(second.bytes)).toBe(0);
    expect(flagsOf(1)).toBe(abi.INSTANCE_IS_PRESENT | abi.INSTANCE_IS_SIDECAR);
    const settled = settleSnapshot(second);
    expect(settleSnapshot(settled)).toBe(settled);
    allocation.releaseSlots();
    for (const { bytes, instances, services: named } of [settled, compileMesh({}, {}, allocation)]) {
      expect(instances).toEqual([]);
      expect(named).toMatchObject([{ name: "users", isPresent: false }]);
      expect(engine.load(bytes)).toBe(0);
      expect(engine.readText(engine.exports.instanceId(1), engine.exports.nameBytes.value)).toBe("b");
      expect(engine.readText(engine.exports.serviceName(0), engine.exports.nameBytes.value)).toBe("users");
      expect(flagsOf(1)).toBe(0);
    }
  });
});

function flagsOf(slot: number): number {
  return engine.view.getUint8(engine.exports.instanceAt(slot) + abi.INSTANCE_FLAGS);
}

describe("issues and warnings", () => {
  it("a pattern that cannot be compiled leaves its rule out, and only that", () => {
    // A strict or tolerant store refuses it before; a store without a pattern check does not.
    const documents = parseMesh({ routes: { r: { rules: [{ to: [{ service: "a" }] }] } } });
    const [route] = documents.routes.values();
    const bad = {
      ...route!.rules[0]!,
      match: { ...route!.rules[0]!.match, path: { kind: "regex", value: "(a)\\1" } },
    } as const;
    const routes = new Map([["r", { ...route!, rules: [bad, ...route!.rules] }]]);
    const snapshot = compileSnapshot({ ...documents, routes }, { revision: 1 }, new Allocation(new FakeSlots()));
    expect(snapshot.issues).toEqual([
      { document: "routes/r", message: "rules.0: pattern (a)\\1: back references are not supported (at character 4)" },
    ]);
    expect(engine.load(snapshot.bytes)).toBe(0);
    expect(engine.match({ path: "/" }).ruleNumber).toBe(0);
  });

  it("two routes with one host: the first by name has it", () => {
    const documents = parseMesh({ routes: { b: { hosts: ["h"], rules: [{ to: [{ service: "b" }] }] } } });
    const b = documents.routes.get("b")!;
    const routes = new Map([
      ["b", b],
      ["a", { ...b, name: "a" }],
    ]);
    const snapshot = compileSnapshot({ ...documents, routes }, { revision: 1 }, new Allocation(new FakeSlots()));
    expect(snapshot.issues).toEqual([{ document: "routes/b", message: "host h belongs to another route" }]);
  });

  it("instances and services beyond the tables are left out", () => {
    const instances = { users: { a: { address: "10.0.0.1:80" }, b: { address: "10.0.0.2:80" } } };
    const few = compileMesh({ instances }, {}, new Allocation(new FakeSlots(1)));
    expect(few.instances).toHaveLength(1);
    expect(few.issues).toMatchObject([{ document: "services/users" }]);
    const services = { a: {}, b: {} };
    const routes = { r: { rules: [{ to: [{ service: "b" }] }] } };
    const one = compileMesh({ services, routes }, {}, new Allocation(new FakeSlots(), { servicesMax: 1 }));
    expect(one.issues).toMatchObject([{ document: "services/b" }]);
    expect(engine.load(one.bytes)).toBe(0);
    const subsets = [1, 2, 3].map((version) => ({ service: "a", tags: { version: String(version) } }));
    const crowded = compileMesh(
      { routes: { r: { rules: [{ to: subsets }] } } },
      {},
      new Allocation(new FakeSlots(), { setsMax: 2 }),
    );
    expect(crowded.issues).toMatchObject([{ document: "services/a" }]);
  });

  it("what the engine does less of is warned of", () => {
    const { warnings } = compileMesh({
      services: { a: { retry: { attempts: 9 } } },
      routes: {
        r: {
          rules: [
            { match: { headers: { connection: { present: true } } }, to: [{ service: "a" }], retry: { attempts: 7 } },
          ],
        },
      },
    });
    expect(warnings).toEqual([
      { document: "routes/r", message: "rules.0: header connection belongs to one connection only, no route sees it" },
      { document: "routes/r", message: "rules.0: retry.attempts is 7; at most 3 are made" },
      { document: "services/a", message: "retry.attempts is 9; at most 3 are made" },
    ]);
  });
});

describe("names by number", () => {
  it("are those of the engine's list", () => {
    expect(fieldIdOf("x-pillion-unprocessed")).toBe(fieldNames.NAME_X_PILLION_UNPROCESSED);
    expect(fieldIdOf("cookie")).toBe(fieldNames.NAME_COOKIE);
    expect(fieldIdOf("http2-settings")).toBe(fieldNames.NAME_HTTP2_SETTINGS);
    for (const marker of ["other", "pseudo-last", "hop-first", "hop-last", "path", "x-unknown"]) {
      expect(fieldIdOf(marker)).toBe(fieldNames.NAME_OTHER);
    }
    expect(["host", "te", "content-length", ":path", "trailer", "cookie"].map(isCodecField)).toEqual([
      true,
      true,
      true,
      true,
      false,
      false,
    ]);
  });
});
