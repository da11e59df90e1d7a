// Routes as the documents write them: who answers, and what the app sees.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient, type HttpClient } from "../support/foreign-clients.ts";
import { type ForeignServer, type Inspection, startServer } from "../support/foreign-servers.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";

let servers: ForeignServer[];
let mesh: MeshFolder;
let sidecar: Sidecar;

beforeAll(async () => {
  servers = await Promise.all(["v1", "v2", "other"].map((name) => startServer("http1", name)));
  const [v1, v2, other] = servers.map(({ address }) => address);
  const instances = [
    { id: "v1", address: v1, tags: { version: "v1" } },
    { id: "v2", address: v2, tags: { version: "v2", track: "canary" } },
  ];
  mesh = createMesh({
    services: {
      web: { hosts: ["web.example", "*.web.example"], balance: { policy: "round-robin" }, instances },
      other: { instances: [{ id: "other", address: other }] },
      "shop.cart": { instances: [{ id: "cart", address: other }] },
    },
    routes: {
      api: {
        hosts: ["api.example", "*.api.example"],
        rules: [
          { match: { path: { exact: "/exact" } }, to: [{ service: "other" }] },
          { match: { path: { prefix: "/users" }, method: ["POST", "PUT"] }, to: [{ service: "other" }] },
          { match: { path: { prefix: "/users" } }, to: [{ service: "web", tags: { version: "v1" } }] },
          { match: { path: { regex: "/item/[0-9]+(/edit)?" } }, to: [{ service: "web", tags: { version: "v2" } }] },
          {
            match: { headers: { "x-canary": { exact: "1" } } },
            to: [{ service: "web", tags: { track: "canary" } }],
          },
          { match: { headers: { "x-kind": { prefix: "a" }, "x-on": { present: true } } }, to: [{ service: "other" }] },
          {
            match: { path: { prefix: "/old" } },
            to: [{ service: "web", tags: { version: "v1" } }],
            rewrite: { pathPrefix: "/inspect/new", host: "inside" },
          },
          {
            match: { path: { prefix: "/split" } },
            to: [
              { service: "web", tags: { version: "v1" }, weight: 90 },
              { service: "web", tags: { version: "v2" }, weight: 10 },
            ],
          },
          { match: { query: { v: { exact: "2" } } }, to: [{ service: "web", tags: { version: "v2" } }] },
          {
            match: { path: { prefix: "/edited" } },
            to: [{ service: "other" }],
            rewrite: { pathPrefix: "/inspect" },
            requestHeaders: { set: { "x-set": "new" }, add: { "x-added": "yes" }, remove: ["x-gone"] },
            responseHeaders: { set: { "x-instance": "masked" }, add: { "x-mesh": "1" } },
          },
          {
            match: { path: { prefix: "/moved" } },
            redirect: { scheme: "https", host: "new.example", pathPrefix: "/" },
          },
          { match: { path: { exact: "/robots.txt" } }, directResponse: { status: 404, body: "none" } },
          {
            match: { path: { prefix: "/fault" } },
            to: [{ service: "other" }],
            fault: { delay: { share: 1, duration: "30ms" }, abort: { share: 1, status: 502 } },
          },
          { to: [{ service: "web", tags: { version: "v1" } }] },
        ],
      },
      rest: { hosts: ["*"], rules: [{ match: { path: { prefix: "/rest" } }, to: [{ service: "other" }] }] },
    },
  });
  sidecar = await startSidecar({ mesh });
});

afterAll(async () => {
  await sidecar.stop();
  for (const server of servers) await server.close();
  await mesh[Symbol.asyncDispose]();
});

describe.each(["http1", "http2"] as const)("for %s", (version) => {
  let client: HttpClient;
  beforeAll(() => {
    client = createClient(version, sidecar.outbound);
  });
  afterAll(() => client.close());

  /** The instance that answers, or the reason why none does. */
  async function whoAnswers(host: string, path: string, more: Parameters<HttpClient["send"]>[0] | object = {}) {
    const { headers } = await client.send({ host, path, ...more });
    return headers["x-instance"] ?? headers["x-pillion-reason"];
  }

  test("hosts: a service's own names, its aliases, wildcards, the longest first", async () => {
    for (const host of ["other", "other.mesh", "OTHER:8080"]) expect(await whoAnswers(host, "/")).toBe("other");
    for (const host of ["shop.cart", "shop.cart.svc", "shop.cart.svc.cluster.local"]) {
      expect(await whoAnswers(host, "/")).toBe("other");
    }
    for (const host of ["web.example", "a.web.example", "a.b.web.example"]) {
      expect(["v1", "v2"]).toContain(await whoAnswers(host, "/"));
    }
    expect(await whoAnswers("x.api.example", "/")).toBe("v1");
    expect(await whoAnswers("api.example", "/")).toBe("v1");
  });

  test("what nothing claims goes to the route for the rest, or is answered no-route", async () => {
    expect(await whoAnswers("unknown.example", "/rest/1")).toBe("other");
    expect(await whoAnswers("unknown.example", "/else")).toBe("no-route");
  });

  test("paths: exact, prefixes of whole segments, patterns of the whole path", async () => {
    expect(await whoAnswers("api.example", "/exact")).toBe("other");
    expect(await whoAnswers("api.example", "/exact?x=1")).toBe("other");
    expect(await whoAnswers("api.example", "/exact/more")).toBe("v1");
    expect(await whoAnswers("api.example", "/item/42")).toBe("v2");
    expect(await whoAnswers("api.example", "/item/42/edit")).toBe("v2");
    expect(await whoAnswers("api.example", "/item/42/delete")).toBe("v1");
  });

  test("methods", async () => {
    expect(await whoAnswers("api.example", "/users/7", { method: "POST", body: "x" })).toBe("other");
    expect(await whoAnswers("api.example", "/users2", { method: "POST", body: "x" })).toBe("v1");
    expect(await whoAnswers("api.example", "/users/7")).toBe("v1");
  });

  test("header fields: exact, prefix, presence; all must hold", async () => {
    expect(await whoAnswers("api.example", "/", { headers: { "x-canary": "1" } })).toBe("v2");
    expect(await whoAnswers("api.example", "/", { headers: { "x-canary": "2" } })).toBe("v1");
    expect(await whoAnswers("api.example", "/", { headers: { "x-kind": "abc", "x-on": "" } })).toBe("other");
    expect(await whoAnswers("api.example", "/", { headers: { "x-kind": "abc" } })).toBe("v1");
  });

  test("a rewrite changes the path's prefix and the host, and keeps the rest", async () => {
    const { body } = await client.send({ host: "api.example", path: "/old/path?q=1" });
    const seen: Inspection = JSON.parse(body.toString());
    expect(seen.path).toBe("/inspect/new/path?q=1");
    expect(seen.headers.host).toBe("inside");
    expect(seen.headers["x-forwarded-host"]).toBe("api.example");
  });

  test("query parameters", async () => {
    expect(await whoAnswers("api.example", "/?a=b&v=2")).toBe("v2");
    expect(await whoAnswers("api.example", "/?a=b&v=22")).toBe("v1");
  });

  test("fields of the request and of the answer are set, added and removed", async () => {
    const headers = { "x-set": "old", "x-gone": "1" };
    const answer = await client.send({ host: "api.example", path: "/edited/a", headers });
    const seen: Inspection = JSON.parse(answer.body.toString());
    expect(seen.headers).toMatchObject({ "x-set": "new", "x-added": "yes" });
    expect(seen.headers["x-gone"]).toBeUndefined();
    expect([answer.headers["x-instance"], answer.headers["x-mesh"]]).toEqual(["masked", "1"]);
  });

  test("a rule redirects or answers by itself", async () => {
    const moved = await client.send({ host: "api.example", path: "/moved/7?q=1" });
    expect([moved.status, moved.headers.location]).toEqual([302, "https://new.example/7?q=1"]);
    const robots = await client.send({ host: "api.example", path: "/robots.txt" });
    expect([robots.status, robots.body.toString()]).toEqual([404, "none"]);
    expect(robots.headers["content-type"]).toBe("text/plain; charset=utf-8");
  });

  test("a fault delays and aborts", async () => {
    const answer = await client.send({ host: "api.example", path: "/fault" });
    expect([answer.status, answer.headers["x-pillion-reason"]]).toEqual([502, "fault"]);
    const labels = { service: "other", code: "", reason: "fault" };
    await waitUntil(
      "it is counted",
      async () => (await sidecar.metric("pillion_requests_total", labels)) !== undefined,
    );
  });

  test("weighted targets get their shares", async () => {
    const shares: Record<string, number> = {};
    const calls = 1000;
    const answers = await Promise.all(Array.from({ length: calls }, () => whoAnswers("api.example", "/split")));
    for (const instance of answers) shares[`${instance}`] = (shares[`${instance}`] ?? 0) + 1;
    // Drawn, not dealt: five standard deviations around 100.
    const bound = 5 * Math.sqrt(calls * 0.1 * 0.9);
    expect(Math.abs((shares.v2 ?? 0) - calls * 0.1)).toBeLessThan(bound);
    expect((shares.v1 ?? 0) + (shares.v2 ?? 0)).toBe(calls);
  });
});
