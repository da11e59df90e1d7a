// What a document of TCP may say, and what is refused with a word on why.

import { describe, expect, test } from "vitest";
import { formatIssue, parseMeshFile } from "../../../src/config/index.ts";

function issuesOf(text: string): readonly string[] {
  const parsed = parseMeshFile(text, { fileName: "mesh.yaml", checkPattern: () => undefined });
  return parsed.ok ? [] : parsed.issues.map((issue) => formatIssue("mesh.yaml", issue));
}

function serviceOf(text: string) {
  const parsed = parseMeshFile(text, { fileName: "mesh.yaml", checkPattern: () => undefined });
  if (!parsed.ok) throw new Error(parsed.issues.map((issue) => formatIssue("mesh.yaml", issue)).join("\n"));
  return parsed.documents.services.get("db")!;
}

describe("what asks about requests is refused, by field", () => {
  test.each([
    ["hosts: [db.example]", "hosts", "names no host"],
    ["timeout: {request: 1s}", "timeout.request", "not requests"],
    ["timeout: {attempt: 1s}", "timeout.attempt", "not requests"],
    ["retry: {when: [unprocessed, 503]}", "retry.when", "another instance is tried at once"],
    ["retry: {backoff: {base: 1s, max: 2s}}", "retry.backoff", "another instance is tried at once"],
    ["retry: {budget: {ratio: 0.5}}", "retry.budget", "another instance is tried at once"],
    ["retry: {bodyLimit: 1KiB}", "retry.bodyLimit", "another instance is tried at once"],
    ["hedge: {after: p95}", "hedge", "not requests"],
    ["rateLimit: {requestsPerSecond: 1}", "rateLimit", "limits.connections applies"],
    ["limits: {requests: 1}", "limits.requests", "limits.connections applies"],
    ["limits: {pending: 1}", "limits.pending", "limits.connections applies"],
    ["limits: {pendingTimeout: 1s}", "limits.pendingTimeout", "limits.connections applies"],
    ["balance: {policy: maglev, hash: {header: x}}", "balance.hash", "must be sourceAddress"],
    ["balance: {policy: maglev}", "balance.policy", "sourceAddress"],
  ])("%s", (field, path, reason) => {
    const [issue, ...more] = issuesOf(`services: {db: {protocol: tcp, ${field}}}`);
    expect(more).toEqual([]);
    expect(issue).toContain(`services.db.${path}: `);
    expect(issue).toContain(reason);
  });

  test("what says nothing is left alone", () => {
    const idle = "hosts: [], timeout: {request: none, attempt: auto}, hedge: none, rateLimit: none";
    expect(issuesOf(`services: {db: {protocol: tcp, ${idle}, retry: {when: [unprocessed], attempts: 1}}}`)).toEqual([]);
  });

  test("addresses are TCP's", () => {
    expect(issuesOf("services: {web: {addresses: ['10.0.0.1:80']}}")[0]).toContain(
      "services.web.addresses: belongs to protocol: tcp",
    );
  });

  test("one address is one service's, and routes carry requests", () => {
    const issues = issuesOf(`
services:
  cache: {protocol: tcp, addresses: ["10.0.0.1:6379", "cache.example:6379"]}
  queue: {protocol: tcp, addresses: ["cache.example:6379"]}
  web: {}
routes: {api: {rules: [{to: [{service: cache}, {service: web}], mirror: {service: queue}}]}}
`);
    expect(issues).toEqual([
      expect.stringContaining("services.queue.addresses.0: service cache has cache.example:6379 already"),
      expect.stringContaining("routes.api.rules.0.to.0.service: service cache speaks tcp; routes carry requests"),
      expect.stringContaining("routes.api.rules.0.mirror.service: service queue speaks tcp"),
    ]);
  });
});

describe("defaults for requests do not concern it", () => {
  const balance = "balance: {policy: ring-hash, hash: {header: x}}";
  const defaults = `mesh: {defaults: {${balance}, retry: {when: [503]}, rateLimit: {requestsPerSecond: 9}}}`;

  test("they are no issue, and the fewest connections decide", () => {
    const { policy } = serviceOf(`${defaults}\nservices: {db: {protocol: tcp}}`);
    expect(policy.balance.policy).toBe("least-connections");
  });

  test.each(["round-robin", "weighted-round-robin", "random", "least-connections"])("%s is as written", (name) => {
    expect(serviceOf(`services: {db: {protocol: tcp, balance: {policy: ${name}}}}`).policy.balance.policy).toBe(name);
  });

  test("the source address can be hashed", () => {
    const { policy } = serviceOf(
      "services: {db: {protocol: tcp, balance: {policy: maglev, hash: {sourceAddress: true}}}}",
    );
    expect(policy.balance).toMatchObject({ policy: "maglev", hash: { kind: "source-address" } });
  });
});
