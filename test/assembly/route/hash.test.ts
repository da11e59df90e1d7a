// What consistent policies hash, and what they do without it.

import { beforeAll, expect, it } from "vitest";
import { hashText } from "../../../src/wasm/index.ts";
import { compileMesh, loadRouteEngine, type RouteEngine } from "../../support/route-engine.ts";

let engine: RouteEngine;

beforeAll(async () => {
  engine = await loadRouteEngine();
});

const PEER = "10.1.2.3";

/** Hash of a request to a service that hashes `hash`. */
function hashed(
  hash: unknown,
  request: Parameters<RouteEngine["match"]>[0],
  policy = "ring-hash",
  peer = PEER,
): number {
  const { bytes } = compileMesh({ services: { users: { balance: { policy, hash } } } });
  expect(engine.load(bytes)).toBe(0);
  const whole = { authority: "users", ...request };
  const matched = engine.match(whole);
  const head = engine.writeHead(whole);
  const ptr = engine.exports.takeText(head, peer.length);
  engine.bytes.set(new TextEncoder().encode(peer), ptr);
  return engine.exports.hashOf(head, matched.policy, ptr, peer.length) >>> 0;
}

it.each<[string, unknown, Parameters<RouteEngine["match"]>[0], string]>([
  [
    "header",
    { header: "X-User" },
    {
      headers: [
        ["x-other", "no"],
        ["x-user", "ann"],
        ["x-user", "bob"],
      ],
    },
    "ann",
  ],
  ["header with a number", { header: "user-agent" }, { headers: [["user-agent", "curl/8"]] }, "curl/8"],
  ["cookie", { cookie: "id" }, { headers: [["cookie", "a=1; id=ann; b=2"]] }, "ann"],
  [
    "cookie in a later crumb",
    { cookie: "id" },
    {
      headers: [
        ["cookie", "xid=1"],
        ["cookie", "id=ann"],
      ],
    },
    "ann",
  ],
  ["cookie with an equals sign", { cookie: "id" }, { headers: [["cookie", "id=a=b"]] }, "a=b"],
  ["empty cookie", { cookie: "id" }, { headers: [["cookie", "id="]] }, ""],
  ["source address", { sourceAddress: true }, {}, PEER],
  ["path without query", { path: true }, { path: "/a/b?c" }, "/a/b"],
])("%s", (_, hash, request, key) => {
  expect(hashed(hash, request)).toBe(hashText(key));
  expect(hashed(hash, request, "maglev")).toBe(hashText(key));
});

it.each<[string, unknown, Parameters<RouteEngine["match"]>[0], string]>([
  ["no such header", { header: "x-user" }, { headers: [["x-use", "ann"]] }, "ring-hash"],
  [
    "no such cookie",
    { cookie: "id" },
    {
      headers: [
        ["cookie", "idx=1; x=id"],
        ["x", "id=1"],
      ],
    },
    "ring-hash",
  ],
  ["a policy that does not hash", { header: "x-user" }, { headers: [["x-user", "ann"]] }, "random"],
])("%s: anywhere, by the random number", (_, hash, request, policy) => {
  const first = hashed(hash, { ...request, random: 1 }, policy);
  expect(hashed(hash, { ...request, random: 1 }, policy)).toBe(first);
  expect(hashed(hash, { ...request, random: 2 }, policy)).not.toBe(first);
});

it("without a peer's address the random number decides too", () => {
  expect(hashed({ sourceAddress: true }, { random: 1 }, "ring-hash", "")).not.toBe(
    hashed({ sourceAddress: true }, { random: 2 }, "ring-hash", ""),
  );
});
