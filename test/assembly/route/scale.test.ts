// Ten thousand rules, hosts and patterns: each is found, and the program fits. Times are printed, never asserted.

import { beforeAll, expect, it } from "vitest";
import { REASON_NO_ROUTE, REASON_NONE } from "../../../assembly/abi/engine-codes.ts";
import { SNAPSHOT_BYTES_MAX } from "../../../assembly/abi/engine-memory.ts";
import { isPillionError } from "../../../src/base/index.ts";
import { Allocation, compileSnapshot } from "../../../src/snapshot/index.ts";
import { compileMesh, FakeSlots, loadRouteEngine, parseMesh, type RouteEngine } from "../../support/route-engine.ts";

const COUNT = 10_000;
const numbers = Array.from({ length: COUNT }, (_, index) => index);
const to = (index: number) => [{ service: `s${index % 100}` }];

let engine: RouteEngine;

beforeAll(async () => {
  engine = await loadRouteEngine();
});

/** One virtual host with these paths. */
function oneRoute(pathOf: (index: number) => unknown) {
  return { r: { rules: numbers.map((index) => ({ match: { path: pathOf(index) }, to: to(index) })) } };
}

it.each([
  ["prefixes", oneRoute((index) => ({ prefix: `/v1/r${index}` })), (index: number) => ({ path: `/v1/r${index}/x?y` })],
  ["exact paths", oneRoute((index) => ({ exact: `/v1/r${index}` })), (index: number) => ({ path: `/v1/r${index}` })],
  [
    "patterns",
    oneRoute((index) => ({ regex: `/v1/r${index}/\\d+` })),
    (index: number) => ({ path: `/v1/r${index}/42` }),
  ],
  [
    "hosts",
    Object.fromEntries(numbers.map((index) => [`r${index}`, { hosts: [`h${index}.x`], rules: [{ to: to(index) }] }])),
    (index: number) => ({ authority: `h${index}.x` }),
  ],
  [
    "wildcards",
    Object.fromEntries(numbers.map((index) => [`r${index}`, { hosts: [`*.h${index}.x`], rules: [{ to: to(index) }] }])),
    (index: number) => ({ authority: `a.b.h${index}.x:80` }),
  ],
])("%s", (name, routes, requestOf) => {
  const documents = parseMesh({ routes });
  const started = performance.now();
  const snapshot = compileSnapshot(documents, { revision: 1 }, new Allocation(new FakeSlots()));
  const compileMs = performance.now() - started;
  expect(engine.load(snapshot.bytes)).toBe(0);
  process.stdout.write(`${COUNT} ${name}: ${compileMs.toFixed(0)} ms to compile, ${snapshot.bytes.length} bytes\n`);
  for (const index of [...numbers.filter((number) => number % 97 === 0), COUNT - 1]) {
    const { reason, service } = engine.match(requestOf(index));
    expect({ index, reason, service: snapshot.services[service!]?.name }).toEqual({
      index,
      reason: REASON_NONE,
      service: `s${index % 100}`,
    });
  }
  expect(engine.match(requestOf(COUNT)).reason).toBe(REASON_NO_ROUTE);
});

it("ten thousand instances", () => {
  const users = Object.fromEntries(
    numbers.map((index) => [`i${index}`, { address: `10.0.${index >> 8}.${index & 255}:80` }]),
  );
  const snapshot = compileMesh({ instances: { users } });
  expect(engine.load(snapshot.bytes)).toBe(0);
  expect(snapshot.sets[0]!.members).toHaveLength(COUNT);
  expect(engine.readText(engine.exports.instanceId(COUNT - 1), engine.exports.nameBytes.value)).toBe(`i${COUNT - 1}`);
});

it("more than an engine holds is refused as a whole", () => {
  const text = "x".repeat(1000);
  const routes = oneRoute((index) => ({ exact: `/${index}/${text}${text}` }));
  expect(COUNT * 2 * text.length).toBeGreaterThan(SNAPSHOT_BYTES_MAX);
  const compile = () => compileSnapshot(parseMesh({ routes }), { revision: 1 }, new Allocation(new FakeSlots()));
  expect(compile).toThrow(expect.toSatisfy((error) => isPillionError(error, "PILLION_CONFIG_INVALID")));
});
