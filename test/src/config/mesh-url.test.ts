// file:, etcd:// and etcds://, with several endpoints, a prefix, a user; and never a password in print.

import { expect, test } from "vitest";
import { formatMeshUrl, parseMeshUrl } from "../../../src/config/mesh-url.ts";

const plain = { kind: "etcd", isTls: false, user: undefined, password: undefined, prefix: "/pillion" };

test.each([
  ["file:mesh.yaml", { kind: "file", path: "mesh.yaml" }],
  ["file:/etc/mesh.yaml", { kind: "file", path: "/etc/mesh.yaml" }],
  ["file:///etc/mesh.yaml", { kind: "file", path: "/etc/mesh.yaml" }],
  ["etcd://h1", { ...plain, endpoints: [{ host: "h1", port: 2379 }] }],
  [
    "etcd://h1:1,[::1]:2/",
    {
      ...plain,
      endpoints: [
        { host: "h1", port: 1 },
        { host: "::1", port: 2 },
      ],
    },
  ],
  ["etcd://h1/staging/eu/", { ...plain, endpoints: [{ host: "h1", port: 2379 }], prefix: "/staging/eu" }],
  [
    "etcds://me:p%40ss%2F:w@h1:2379",
    { ...plain, isTls: true, endpoints: [{ host: "h1", port: 2379 }], user: "me", password: "p@ss/:w" },
  ],
  // Not encoded, but only one reading makes sense.
  ["etcd://me:p@s/s%@h1", { ...plain, endpoints: [{ host: "h1", port: 2379 }], user: "me", password: "p@s/s%" }],
  ["etcd://me@h1", { ...plain, endpoints: [{ host: "h1", port: 2379 }], user: "me" }],
])("%s", (text, value) => {
  expect(parseMeshUrl(text)).toEqual({ ok: true, value });
});

test.each([
  ["mesh.yaml", "write file:mesh.yaml"],
  ["", "write file:mesh.yaml, etcd://"],
  ["http://h1:2379", "write file:mesh.yaml, etcd://"],
  ["file:", "a path is missing"],
  ["etcd:h1", "write etcd://host:2379/prefix"],
  ["etcd://h1:99999", "not an address"],
  ["etcd://h1,,h2", "not an address"],
  ["etcd://h1/a b", "is not a prefix"],
])("refuses %j", (text, problem) => {
  expect(parseMeshUrl(text)).toMatchObject({ ok: false, problem: expect.stringContaining(problem) });
});

test("what is printed can be read again and holds no secret", () => {
  const parsed = parseMeshUrl("etcds://me:secret@h1:1,h2:2/x");
  expect(parsed.ok && formatMeshUrl(parsed.value)).toBe("etcds://h1:1,h2:2/x");
  const refused = parseMeshUrl("etcd://me:secret@h1/a b");
  expect(JSON.stringify(refused)).not.toContain("secret");
});
