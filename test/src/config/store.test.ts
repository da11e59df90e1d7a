// The store keeps the last good document, lays layers over each other and changes only what a write touches.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DocumentId } from "../../../src/config/keyspace.ts";
import { mergeWritten } from "../../../src/config/merge.ts";
import { createDocumentStore, policyOf } from "../../../src/config/store.ts";

const service = (name: string): DocumentId => ({ kind: "service", name });
const route = (name: string): DocumentId => ({ kind: "route", name });
const instance = (of: string, name: string): DocumentId => ({ kind: "instance", service: of, name });
const MESH: DocumentId = { kind: "mesh" };

function tolerant() {
  return createDocumentStore({ mode: "tolerant" });
}

describe("mirrors in a circle", () => {
  const mirroring = (to: string, mirror: string) => ({
    rules: [{ to: [{ service: to }], mirror: { service: mirror } }],
  });
  const changes = [
    { id: route("a"), value: { hosts: ["a"], ...mirroring("one", "two") } },
    { id: route("b"), value: { hosts: ["b"], ...mirroring("two", "three") } },
    { id: route("c"), value: { hosts: ["c"], ...mirroring("three", "one") } },
  ];
  const words = "mirrors in a circle: three → one → two → three";

  test("are refused by a strict reader, and left out with a warning by a tolerant one", () => {
    const strict = createDocumentStore({ mode: "strict" });
    expect(strict.write(changes).rejected).toMatchObject([
      { id: route("c"), path: ["rules", 0, "mirror", "service"], message: words },
    ]);
    const store = tolerant();
    expect(store.write(changes).rejected).toEqual([]);
    expect(store.warnings().map(({ message }) => message)).toEqual([`${words}; this rule mirrors nothing`]);
    const mirrors = ["a", "b", "c"].map((name) => store.documents.routes.get(name)?.rules[0]?.mirror?.service);
    expect(mirrors).toEqual(["two", "three", undefined]);
    // Without the first there is no circle any more.
    store.write([{ id: route("a"), value: undefined }]);
    expect(store.documents.routes.get("c")?.rules[0]?.mirror?.service).toBe("one");
    expect(store.warnings()).toEqual([]);
  });

  test("of one service with itself, and across the targets of a rule", () => {
    const rejected = (value: object) =>
      createDocumentStore({ mode: "strict" }).write([{ id: route("r"), value }]).rejected;
    expect(rejected(mirroring("one", "one"))[0]?.message).toBe("mirrors in a circle: one → one");
    const to = [{ service: "one" }, { service: "two" }];
    expect(rejected({ rules: [{ to, mirror: { service: "two" } }] })[0]?.message).toBe(
      "mirrors in a circle: two → two",
    );
    expect(rejected({ rules: [{ to, mirror: { service: "three" } }] })).toEqual([]);
  });
});

describe("what is broken does not replace what is good", () => {
  test("a service, an instance and a route keep their last good form, and are listed until mended", () => {
    const store = tolerant();
    const rules = [{ to: [{ service: "a" }] }];
    store.write([
      { id: service("a"), value: { timeout: { connect: "2s" } } },
      { id: instance("a", "i"), value: { address: "1.2.3.4:5" } },
      { id: route("r"), value: { rules } },
    ]);
    const { rejected } = store.write([
      { id: service("a"), value: { timeout: { connect: "soon" } } },
      { id: instance("a", "i"), value: "not json" },
      { id: route("r"), value: { rules: [] } },
    ]);
    expect(rejected.map(({ id }) => id.kind)).toEqual(["service", "instance", "route"]);
    expect(store.documents.services.get("a")?.policy.timeout.connectMs).toBe(2000);
    expect(store.documents.instances.get("a")?.get("i")?.address.port).toBe(5);
    expect(store.documents.routes.get("r")?.rules.length).toBe(1);
    expect(store.warnings().length).toBe(3);
    store.write([
      { id: service("a"), value: {} },
      { id: instance("a", "i"), value: undefined },
      { id: route("r"), value: { rules } },
    ]);
    expect(store.warnings()).toEqual([]);
    expect(store.documents.instances.size).toBe(0);
  });

  test("a broken document that never was good leaves nothing behind", () => {
    const store = tolerant();
    store.write([{ id: service("a"), value: { balance: { policy: "ring-hash" } } }]);
    expect(store.documents.services.size).toBe(0);
    expect(store.warnings()[0]?.message).toContain("needs balance.hash");
  });

  test("defaults that would break a good service are refused, defaults and service that fit together are not", () => {
    const store = tolerant();
    store.write([{ id: service("a"), value: {} }]);
    const ringHash = { defaults: { balance: { policy: "ring-hash" } } };
    expect(store.write([{ id: MESH, value: ringHash }]).rejected[0]?.id).toEqual(MESH);
    expect(store.documents.services.get("a")?.policy.balance.policy).toBe("adaptive");
    const both = [
      { id: MESH, value: ringHash },
      { id: service("a"), value: { balance: { hash: { cookie: "c" } } } },
    ];
    expect(store.write(both).rejected).toEqual([]);
    expect(store.documents.services.get("a")?.policy.balance).toMatchObject({ policy: "ring-hash" });
  });

  test("unknown fields of a newer writer are dropped and counted, the rest is taken", () => {
    const store = tolerant();
    const value = { address: "1.2.3.4:5", shard: 7, weight: 3, schemaVersion: 9 };
    expect(store.write([{ id: instance("a", "i"), value }]).rejected).toEqual([]);
    expect(store.documents.instances.get("a")?.get("i")).toMatchObject({ weight: 3 });
    expect(store.warnings().map(({ message }) => message)).toEqual([
      "unknown field shard",
      expect.stringContaining("newer"),
    ]);
    const nested = { rules: [{ to: [{ service: "a", color: 1 }], match: { path: { prefix: "/", flags: "i" } } }] };
    expect(store.write([{ id: route("r"), value: nested }]).rejected).toEqual([]);
    expect(store.documents.routes.get("r")?.rules[0]?.match.path).toEqual({ kind: "prefix", value: "/" });
  });

  test("a prototype smuggled in as a field is a field that nobody knows", () => {
    const store = tolerant();
    store.write([{ id: service("a"), value: JSON.parse('{"__proto__": {"protocol": "grpc"}}') as unknown }]);
    expect(store.documents.services.get("a")?.protocol).toBe("http");
    expect(({} as { protocol?: string }).protocol).toBeUndefined();
  });
});

describe("layers", () => {
  test("defaults lie under services, services under rules; lists and values replace", () => {
    const store = tolerant();
    store.write([
      {
        id: MESH,
        value: { defaults: { timeout: { connect: "3s", request: "9s" }, retry: { when: ["unprocessed"] } } },
      },
      { id: service("a"), value: { timeout: { request: "5s" }, retry: { when: ["idempotent", 503] } } },
      {
        id: route("r"),
        value: { rules: [{ to: [{ service: "a" }], timeout: { request: "1s" } }, { to: [{ service: "a" }] }] },
      },
    ]);
    const a = store.documents.services.get("a")!;
    const [first, second] = store.documents.routes.get("r")!.rules;
    expect(a.policy.timeout).toMatchObject({ connectMs: 3000, requestMs: 5000 });
    expect(a.policy.retry.when).toMatchObject({ isUnprocessed: false, isIdempotent: true, statuses: [503] });
    expect(policyOf(a, first!.overrides).timeout).toMatchObject({ connectMs: 3000, requestMs: 1000 });
    expect(policyOf(a, first!.overrides)).toBe(policyOf(a, first!.overrides));
    expect(policyOf(a, second!.overrides)).toBe(a.policy);
  });

  test("defaults reach services that have no document", () => {
    const store = tolerant();
    store.write([
      { id: MESH, value: { defaults: { protocol: "grpc" } } },
      { id: instance("a", "i"), value: { address: "1.2.3.4:5" } },
    ]);
    expect(store.documents.services.get("a")).toMatchObject({ protocol: "grpc", isImplicit: true });
    store.write([{ id: MESH, value: undefined }]);
    expect(store.documents.services.get("a")?.protocol).toBe("http");
    store.write([{ id: instance("a", "i"), value: undefined }]);
    expect(store.documents.services.size).toBe(0);
  });

  test("a choice of the upper layer removes that of the lower one", () => {
    const merged = mergeWritten(
      { balance: { hash: { cookie: "c" } }, health: { path: "/", interval: "1s" } },
      { balance: { hash: { header: "h" } }, health: { tcp: true } },
    );
    expect(merged).toEqual({ balance: { hash: { header: "h" } }, health: { tcp: true, interval: "1s" } });
    expect(mergeWritten({ health: { path: "/" } }, { health: "none" })).toEqual({ health: "none" });
    expect(mergeWritten({ health: "none" }, { health: { path: "/" } })).toEqual({ health: { path: "/" } });
  });
});

describe("hosts in dispute", () => {
  test("the route whose name sorts first has it, whatever came first; and gives it back", () => {
    const store = tolerant();
    const value = { hosts: ["x.example"], rules: [{ to: [{ service: "a" }] }] };
    store.write([{ id: route("b"), value }]);
    store.write([{ id: route("a"), value: { ...value, hosts: ["x.example", "y.example"] } }]);
    expect([...store.documents.routes.keys()]).toEqual(["a"]);
    expect(store.warnings()).toMatchObject([
      { id: route("b"), message: expect.stringContaining("route a has x.example") },
    ]);
    store.write([{ id: route("a"), value: undefined }]);
    expect([...store.documents.routes.keys()]).toEqual(["b"]);
    expect(store.warnings()).toEqual([]);
  });
});

describe("cost of a change", () => {
  test("one instance more leaves every other map and document as it was", () => {
    const store = tolerant();
    store.write([
      { id: instance("a", "i"), value: { address: "1.2.3.4:5" } },
      { id: instance("b", "i"), value: { address: "1.2.3.4:5" } },
      { id: route("r"), value: { rules: [{ to: [{ service: "a" }] }] } },
    ]);
    const before = store.documents;
    store.write([{ id: instance("a", "j"), value: { address: "1.2.3.4:6" } }]);
    expect(store.documents.instances.get("b")).toBe(before.instances.get("b"));
    expect(store.documents.services).toBe(before.services);
    expect(store.documents.routes).toBe(before.routes);
    expect(before.instances.get("a")?.size).toBe(1);
    expect(store.documents.instances.get("a")?.get("i")).toBe(before.instances.get("a")?.get("i"));
  });
});

test("any order of writes ends in the picture that one write of the outcome gives", () => {
  const names = fc.constantFrom("a", "b", "c");
  const change = fc.oneof(
    fc.record({ id: names.map(service), value: fc.constantFrom(undefined, {}, { protocol: "grpc" }, { protocol: 1 }) }),
    fc.record({
      id: fc.tuple(names, names).map(([of, id]) => instance(of, id)),
      value: fc.constantFrom(undefined, { address: "1.2.3.4:5" }, { address: "1.2.3.4:6" }),
    }),
    fc.record({
      id: names.map(route),
      value: fc.constantFrom(
        undefined,
        { rules: [{ to: [{ service: "a" }] }] },
        { hosts: ["x"], rules: [{ to: [{ service: "b" }] }] },
        { hosts: ["x", "y"], rules: [{ to: [{ service: "c" }] }] },
      ),
    }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const step = tolerant();
      const last = new Map<string, (typeof changes)[number]>();
      for (const one of changes) {
        step.write([one]);
        const isRefused = JSON.stringify(one.value) === '{"protocol":1}';
        if (!isRefused) last.set(JSON.stringify(one.id), one);
      }
      const whole = tolerant();
      whole.write([...last.values()]);
      expect(sorted(step.documents)).toEqual(sorted(whole.documents));
    }),
  );
});

function sorted(documents: ReturnType<typeof tolerant>["documents"]) {
  const sort = <T>(map: ReadonlyMap<string, T>) => [...map].sort(([left], [right]) => (left < right ? -1 : 1));
  return {
    services: sort(documents.services),
    instances: sort(documents.instances).map(([name, map]) => [name, sort(map)]),
    routes: sort(documents.routes),
  };
}
