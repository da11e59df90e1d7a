// A document has one key and a key at most one document.

import fc from "fast-check";
import { expect, test } from "vitest";
import { type DocumentId, formatId, formatKey, parseKey } from "../../../src/config/keyspace.ts";

test.each<[DocumentId, string]>([
  [{ kind: "mesh" }, "/pillion/mesh"],
  [{ kind: "service", name: "users.shop" }, "/pillion/services/users.shop"],
  [{ kind: "instance", service: "users", name: "10.0.0.7-80" }, "/pillion/instances/users/10.0.0.7-80"],
  [{ kind: "route", name: "api" }, "/pillion/routes/api"],
  [{ kind: "access", name: "all" }, "/pillion/access/all"],
])("%j is %s", (id, key) => {
  expect(formatKey("/pillion", id)).toBe(key);
  expect(parseKey("/pillion", key)).toEqual(id);
});

test.each([
  "/pillion",
  "/pillion/",
  "/pillion/meshes",
  "/pillion/mesh/x",
  "/pillion/services",
  "/pillion/services/",
  "/pillion/services/Users",
  "/pillion/services/a/b",
  "/pillion/instances/a",
  "/pillion/instances/a/",
  "/pillion/instances//b",
  "/pillion/instances/a/b/c",
  "/pillion2/mesh",
  "/other/services/a",
  "pillion/services/a",
])("%s is not ours", (key) => {
  expect(parseKey("/pillion", key)).toBeUndefined();
});

test("every document is found again under every prefix", () => {
  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?$/);
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
  const id = fc.oneof(
    fc.constant<DocumentId>({ kind: "mesh" }),
    fc.record({ kind: fc.constantFrom("service" as const, "route" as const, "access" as const), name }),
    fc.record({ kind: fc.constant("instance" as const), service: name, name }),
  );
  const prefix = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => `/${labels.join("/")}`);
  fc.assert(
    fc.property(prefix, id, id, (at, first, second) => {
      expect(parseKey(at, formatKey(at, first))).toEqual(first);
      expect(formatKey(at, first) === formatKey(at, second)).toBe(formatId(first) === formatId(second));
    }),
  );
});
