// Endpoints by slot and generation, and host names: asked once, kept while the resolver is down, turned after failures.

import { expect, test } from "vitest";
import { encodeEndpoints } from "../../../src/dataplane/endpoints.ts";
import { type Lookup, Upstreams } from "../../../src/dataplane/upstream.ts";

function setUp() {
  const asked: { host: string; answer: Parameters<Lookup>[1] }[] = [];
  let nowMs = 0;
  const upstreams = new Upstreams(
    (host, answer) => void asked.push({ host, answer }),
    () => nowMs,
  );
  const results: (string | undefined)[] = [];
  return {
    upstreams,
    asked,
    results,
    resolve: (host: string) => upstreams.resolve(host, (address) => results.push(address)),
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

test("a slot is reached only under its generation, and no longer when a snapshot leaves it out", () => {
  const { upstreams } = setUp();
  const endpoint = { slot: 5, generation: 2, host: "10.0.0.1", port: 80 };
  const others = [
    { slot: 0, generation: 0, host: "10.0.0.1", port: 65_535 },
    { slot: 7, generation: 0xffff_ffff, host: "größe.example", port: 1 },
  ];
  expect(upstreams.endpointOf(0, 0)).toBeUndefined();
  upstreams.replace(encodeEndpoints([endpoint, ...others]));
  for (const each of [endpoint, ...others]) expect(upstreams.endpointOf(each.slot, each.generation)).toEqual(each);
  expect(upstreams.endpointOf(5, 1)).toBeUndefined();
  for (const slot of [1, 4, 6, 8, 0x0fff_ffff]) expect(upstreams.endpointOf(slot, 0)).toBeUndefined();
  upstreams.replace(encodeEndpoints([]));
  expect(upstreams.endpointOf(5, 2)).toBeUndefined();
});

test("a block may lie anywhere in a message", () => {
  const { upstreams } = setUp();
  const endpoint = { slot: 1, generation: 3, host: "::1", port: 443 };
  const block = encodeEndpoints([endpoint]);
  const message = new Uint8Array(block.length + 3);
  message.set(block, 3);
  upstreams.replace(message.subarray(3));
  expect(upstreams.endpointOf(1, 3)).toEqual(endpoint);
});

test("a snapshot forgets names that nobody has connected to for an hour", () => {
  const { upstreams, asked, results, resolve, pass } = setUp();
  resolve("old.example");
  asked[0]!.answer(null, ["10.0.0.1"]);
  pass(3_000_000);
  resolve("used.example");
  asked[1]!.answer(null, ["10.0.0.2"]);
  pass(700_000);
  upstreams.replace(encodeEndpoints([]));
  resolve("used.example");
  resolve("old.example");
  // The one that is known answers at once, from memory.
  expect(results).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.2"]);
});

test("IP addresses are never asked about", () => {
  const { asked, results, resolve } = setUp();
  resolve("127.0.0.1");
  resolve("::1");
  expect(results).toEqual(["127.0.0.1", "::1"]);
  expect(asked).toEqual([]);
});

test("a name is asked once for all who wait, then served from memory until it is old", () => {
  const { asked, results, resolve, pass } = setUp();
  resolve("db.example");
  resolve("db.example");
  expect(asked.length).toBe(1);
  asked[0]!.answer(null, ["10.0.0.1"]);
  expect(results).toEqual(["10.0.0.1", "10.0.0.1"]);
  resolve("db.example");
  expect(asked.length).toBe(1);
  pass(6_000);
  resolve("db.example");
  // The old answer serves while the new one is fetched.
  expect(results.length).toBe(4);
  expect(asked.length).toBe(2);
  asked[1]!.answer(null, ["10.0.0.2"]);
  resolve("db.example");
  expect(results.at(-1)).toBe("10.0.0.2");
});

test("a resolver that is down takes nobody with it, and an unknown name is asked again at once", () => {
  const { asked, results, resolve, pass } = setUp();
  resolve("db.example");
  asked[0]!.answer(new Error("EAI_AGAIN"), []);
  expect(results).toEqual([undefined]);
  resolve("db.example");
  expect(asked.length).toBe(2);
  asked[1]!.answer(null, ["10.0.0.1"]);
  pass(6_000);
  resolve("db.example");
  asked[2]!.answer(new Error("EAI_AGAIN"), []);
  resolve("db.example");
  expect(results).toEqual([undefined, "10.0.0.1", "10.0.0.1", "10.0.0.1"]);
});

test("after a failure the next address has its turn, and the name is asked anew", () => {
  const { upstreams, asked, results, resolve } = setUp();
  resolve("db.example");
  asked[0]!.answer(null, ["10.0.0.1", "10.0.0.2"]);
  upstreams.failed("db.example");
  resolve("db.example");
  upstreams.failed("db.example");
  resolve("db.example");
  expect(results).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.1"]);
  expect(asked.length).toBe(2);
});
