// Ranges and shapes of single documents, and the JSON Schema that must judge as the parser does.

import { describe, expect, test } from "vitest";
import type { DocumentId } from "../../../src/config/keyspace.ts";
import { parseDocument } from "../../../src/config/parse-document.ts";

const ID: Readonly<Record<string, DocumentId>> = {
  service: { kind: "service", name: "a" },
  instance: { kind: "instance", service: "a", name: "i" },
  route: { kind: "route", name: "r" },
  access: { kind: "access", name: "x" },
  mesh: { kind: "mesh" },
};

function issuesOf(kind: string, value: unknown): string[] {
  return parseDocument(ID[kind]!, value, { mode: "strict" }).issues.map(
    ({ path, message }) => `${path.join(".")}: ${message}`,
  );
}

describe("a field at its bounds", () => {
  const route = (rule: object) => ({ rules: [{ to: [{ service: "a" }], ...rule }] });
  test.each<[string, unknown]>([
    ["service", { timeout: { connect: "1ms" } }],
    ["service", { timeout: { request: "596h" } }],
    ["service", { retry: { attempts: 10, when: [400, 599, 500, 501, 502, 503, 504, 505] } }],
    ["service", { retry: { bodyLimit: 0 } }],
    ["service", { retry: { budget: { ratio: 1 } } }],
    ["service", { hosts: ["*", "*.a.b", "A_b.c."] }],
    ["service", { rateLimit: { requestsPerSecond: 0.5, by: "header:x-api-key" } }],
    ["service", { health: { tcp: true } }],
    ["instance", { address: "a:1", weight: 0 }],
    ["instance", { address: "a:1", weight: 65_535 }],
    ["route", route({ match: { headers: { "X-A": { present: false } } } })],
    ["route", route({ match: { query: { v: { exact: "2" }, debug: { present: true } } } })],
    ["route", route({ requestHeaders: { set: { "X-A": "" }, add: { a: "b c" }, remove: ["cookie"] } })],
    ["route", { rules: [{ redirect: { scheme: "https", host: "a.b:8443", status: 308 } }] }],
    ["route", { rules: [{ directResponse: { body: "ok" }, responseHeaders: { set: { a: "b" } } }] }],
    ["access", { from: ["*"], to: ["users"] }],
    ["mesh", { defaults: { protocol: "tcp" } }],
  ])("%s %j is taken", (kind, value) => {
    expect(issuesOf(kind, value)).toEqual([]);
  });

  test.each<[string, unknown, RegExp]>([
    ["service", { timeout: { connect: "0s" } }, /timeout.connect: must be at least 1ms/],
    ["service", { timeout: { request: "597h" } }, /timeout.request: must be at most 24 days/],
    ["service", { retry: { attempts: 11 } }, /retry.attempts: must be at most 10/],
    ["service", { retry: { attempts: 1.5 } }, /retry.attempts: must be a whole number/],
    ["service", { retry: { when: [400, 401, 402, 403, 404, 405, 406, 407, 408] } }, /at most 8 status codes/],
    ["service", { retry: { when: ["ok"] } }, /retry.when.0/],
    ["service", { retry: { budget: { ratio: 1.1 } } }, /retry.budget.ratio: must be at most 1/],
    ["service", { retry: { bodyLimit: "2GiB" } }, /must be at most 1GiB/],
    ["service", { limits: { requests: 0 } }, /limits.requests: must be at least 1/],
    ["service", { hosts: ["a.*"] }, /hosts.0: .* is not a host/],
    ["service", { hosts: "a" }, /hosts: must be a list/],
    ["service", { health: { path: "/a b" } }, /health.path: must begin with \/, and be visible ASCII/],
    ["service", { health: { path: "/", tcp: true } }, /health: has path and tcp, but needs exactly one/],
    ["service", { balance: { hash: {} } }, /balance.hash: needs one of/],
    ["service", { balance: { hash: { header: "x y" } } }, /balance.hash.header: must be a token/],
    ["service", { rateLimit: { requestsPerSecond: 0 } }, /must be at least 0.001/],
    ["service", { rateLimit: { requestsPerSecond: 1, by: "cookie" } }, /must be source or header/],
    ["service", { instances: [] }, /unknown field instances/],
    ["instance", {}, /address: is missing/],
    ["instance", { address: "a:1", weight: -1 }, /weight: must be at least 0/],
    ["instance", { address: "a:1", weight: 65_536 }, /weight: must be at most 65535/],
    ["instance", { address: "a:1", tags: { a: 1 } }, /tags.a: must be a text/],
    ["instance", { address: "a:1", state: "Ready" }, /state: must be one of/],
    ["route", { rules: [] }, /rules: needs at least 1/],
    ["route", { rules: [{ to: [] }] }, /rules.0.to: needs at least 1/],
    ["route", { rules: [{ to: [{ service: "A" }] }] }, /names are lower case/],
    ["route", { rules: [{ to: [{ service: "a" }], match: { path: { prefix: "users" } } }] }, /must begin with \//],
    [
      "route",
      { rules: [{ to: [{ service: "a" }], match: { path: { regex: "/a" } }, rewrite: { pathPrefix: "/" } }] },
      /no prefix/,
    ],
    ["route", { rules: [{}] }, /rules.0.to: is missing/],
    [
      "route",
      route({ match: { query: { "a=b": { exact: "" } } } }),
      /rules.0.match.query.a=b: must be a parameter's name/,
    ],
    ["route", route({ requestHeaders: { set: { "a b": "" } } }), /requestHeaders.set.a b: must be a token/],
    ["route", route({ requestHeaders: { set: { a: "x\r\ny: z" } } }), /requestHeaders.set.a: must be a field value/],
    ["route", route({ requestHeaders: { set: { Host: "b" } } }), /host is changed by rewrite.host/],
    ["route", route({ responseHeaders: { remove: ["Content-Length"] } }), /content-length belongs to one connection/],
    ["route", route({ responseHeaders: { add: { "x-pillion-reason": "a" } } }), /x-pillion-reason is Pillion's own/],
    [
      "route",
      route({ requestHeaders: { add: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`x-${i}`, ""])) } }),
      /requestHeaders: sets and adds at most 32 fields/,
    ],
    ["route", route({ redirect: { host: "b" } }), /rules.0.to: contradicts redirect/],
    ["route", { rules: [{ redirect: {} }] }, /redirect: needs scheme, host, path or pathPrefix/],
    ["route", { rules: [{ redirect: { path: "/a", pathPrefix: "/b" } }] }, /redirect: has path and pathPrefix/],
    ["route", { rules: [{ redirect: { host: "a", status: 304 } }] }, /redirect.status: /],
    ["route", { rules: [{ redirect: { host: "a/b" } }] }, /redirect.host: must be a host/],
    ["route", { rules: [{ redirect: { path: "/a?b" } }] }, /redirect.path: must be a path without a query/],
    ["route", { rules: [{ redirect: { host: "a" }, directResponse: {} }] }, /directResponse: contradicts redirect/],
    ["route", { rules: [{ redirect: { host: "a" }, retry: { attempts: 1 } }] }, /rules.0.retry: contradicts redirect/],
    ["route", { rules: [{ directResponse: { status: 204, body: "x" } }] }, /directResponse.body: an answer of this/],
    ["route", { rules: [{ directResponse: { body: "x".repeat(4097) } }] }, /directResponse.body: must be at most 4096/],
    ["route", { rules: [{ directResponse: {}, fault: { abort: { share: 1, status: 500 } } }] }, /fault: contradicts/],
    ["access", { from: [], to: ["*"] }, /from: needs at least 1/],
    ["access", { from: ["**"], to: ["*"] }, /from.0: must be a service's name/],
    ["mesh", { defaults: { hosts: [] } }, /unknown field hosts/],
    ["mesh", [], /: must be a section, not a list/],
    ["instance", "{", /^: is not a JSON object$/],
  ])("%s %j is refused", (kind, value, problem) => {
    expect(issuesOf(kind, value).join("\n")).toMatch(problem);
  });
});
