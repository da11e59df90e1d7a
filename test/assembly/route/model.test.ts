// The route program against its naive twin, over random meshes and requests.

import fc from "fast-check";
import { beforeAll, expect, it } from "vitest";
import { REASON_NO_ROUTE, REASON_NONE } from "../../../assembly/abi/engine-codes.ts";
import type { Documents } from "../../../src/config/index.ts";
import { Allocation, type CompiledSnapshot, compileSnapshot } from "../../../src/snapshot/index.ts";
import { matchNaively, type RouteOutcome, type RouteRequest } from "../../models/route.ts";
import { FakeSlots, loadRouteEngine, type Matched, parseMesh, type RouteEngine } from "../../support/route-engine.ts";

let engine: RouteEngine;

beforeAll(async () => {
  engine = await loadRouteEngine();
});

const SERVICES = ["users", "users.shop", "cart.shop", "cart", "shop"];
const HOSTS = ["a.b", "b", "users.shop", "users", "*.b", "*.a.b", "*.shop", "*.shop.svc", "cart.mesh", "x.a.b"];
const segment = fc.constantFrom("a", "b", "ab", "", "users", "7", "é");
const path = fc.oneof(
  { weight: 9, arbitrary: fc.array(segment, { maxLength: 4 }).map((segments) => `/${segments.join("/")}`) },
  { weight: 1, arbitrary: fc.constantFrom("*", "", "/users/") },
);
const absolutePath = path.filter((text) => text.startsWith("/"));
const pattern = fc.constantFrom(
  "/a(/.*)?",
  "/a/[ab]+",
  "/(a|b)/7",
  "/users/\\d+",
  "/users",
  "/a/?b*",
  "/.*7",
  "^/ab.*$",
  ".*",
  "/a{2}|/b",
  "(/a)+",
  "/[^/]+/7?",
  "\\*",
);
const name = fc.constantFrom("x-a", "x-b", "user-agent", "cookie", "host");
const value = fc.constantFrom("", "1", "12", "v1", "a.b");
const fieldMatch = fc.oneof(
  value.map((exact) => ({ exact })),
  value.map((prefix) => ({ prefix })),
  fc.constantFrom("\\d*", "v.", "[^1]+").map((regex) => ({ regex })),
  fc.boolean().map((present) => ({ present })),
);
const method = fc.constantFrom("GET", "POST", "PATCH", "PURGE", "LOCK");
const match = fc.record(
  {
    path: fc.oneof(
      absolutePath.map((exact) => ({ exact })),
      absolutePath.map((prefix) => ({ prefix })),
      pattern.map((regex) => ({ regex })),
    ),
    method: fc.uniqueArray(method, { minLength: 1, maxLength: 3 }),
    headers: fc.dictionary(name, fieldMatch, { maxKeys: 2 }),
  },
  { requiredKeys: [] },
);
const target = fc.record({ service: fc.constantFrom(...SERVICES, "ghost"), weight: fc.constantFrom(0, 1, 3, 100) });
const rule = fc.record({
  match,
  to: fc.array(target, { minLength: 1, maxLength: 3 }).filter((to) => to.some(({ weight }) => weight > 0)),
});
const route = fc.record({
  hosts: fc.uniqueArray(fc.constantFrom(...HOSTS, "*"), { maxLength: 3 }),
  rules: fc.array(rule, { minLength: 1, maxLength: 8 }),
});
const mesh = fc.record({
  services: fc.dictionary(
    fc.constantFrom(...SERVICES),
    fc.record({ hosts: fc.uniqueArray(fc.constantFrom(...HOSTS), { maxLength: 2 }) }),
  ),
  routes: fc.dictionary(fc.constantFrom("one", "two", "three", "four"), route),
});
const host = fc.constantFrom(
  ...SERVICES,
  "a.b",
  "b",
  "y.b",
  "y.a.b",
  "x.a.b",
  "users.shop.svc",
  "cart.mesh",
  "no.where",
  ".b",
  "",
);
const authority = fc
  .tuple(host, fc.constantFrom("", "."), fc.constantFrom("", ":80", ":"), fc.boolean())
  .map(([text, dot, port, isUpper]) => (isUpper ? text.toUpperCase() : text) + dot + port);
const request: fc.Arbitrary<RouteRequest> = fc.record({
  authority,
  path: fc.tuple(path, fc.constantFrom("", "?", "?a=/b")).map((parts) => parts.join("")),
  method,
  headers: fc.array(fc.tuple(fc.constantFrom("x-a", "x-b", "user-agent", "cookie"), value), { maxLength: 3 }),
  random: fc.nat({ max: 2 ** 32 - 1 }),
});

/** What the twin's words mean in the snapshot's numbers. */
function numbersOf(outcome: RouteOutcome, documents: Documents, snapshot: CompiledSnapshot) {
  const indexOf = (wanted: string) => snapshot.services.find((service) => service.name === wanted)?.index;
  if (outcome.kind === "no-route") return { reason: REASON_NO_ROUTE, service: undefined, ruleNumber: undefined };
  if (outcome.kind === "service")
    return { reason: REASON_NONE, service: indexOf(outcome.service), ruleNumber: undefined };
  const before = [...documents.routes.values()].filter(({ name: other }) => other < outcome.route);
  const first = before.reduce((sum, { rules }) => sum + rules.length, 0);
  const { service } = documents.routes.get(outcome.route)!.rules[outcome.rule]!.to[outcome.target]!;
  return { reason: REASON_NONE, service: indexOf(service), ruleNumber: first + outcome.rule };
}

function pickNumbers({ reason, service, ruleNumber }: Matched) {
  return { reason, service, ruleNumber };
}

it("both find the same service by the same rule", () => {
  fc.assert(
    fc.property(
      mesh,
      fc.constantFrom(undefined, "shop"),
      fc.array(request, { minLength: 1, maxLength: 40 }),
      (written, namespace, requests) => {
        const documents = parseMesh(written);
        const snapshot = compileSnapshot(documents, { revision: 1, namespace }, new Allocation(new FakeSlots()));
        expect(snapshot.issues).toEqual([]);
        expect(engine.load(snapshot.bytes)).toBe(0);
        for (const one of requests) {
          const expected = numbersOf(matchNaively(documents, namespace, one), documents, snapshot);
          expect({ one, ...pickNumbers(engine.match(one)) }).toEqual({ one, ...expected });
        }
      },
    ),
    { numRuns: 400 },
  );
});
