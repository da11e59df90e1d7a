// What the data plane is told of services of TCP.

import { expect, test } from "vitest";
import { compileMesh } from "../../support/route-engine.ts";

const instances = {
  cache: {
    a: { address: "10.0.0.1:6379" },
    b: { address: "10.0.0.2:15006", sidecar: true },
    c: { address: "10.0.0.3:6379", state: "draining" },
  },
};

test("where apps connect to: its instances, or what the document says and each instance by itself", () => {
  const plain = compileMesh({ services: { cache: { protocol: "tcp" }, web: {} }, instances });
  const [cache] = plain.tcp.services;
  expect(plain.tcp.services).toHaveLength(1);
  expect(cache).toMatchObject({
    name: "cache",
    direction: "outbound",
    connectMs: 1_000,
    idleMs: 3_600_000,
    retries: 2,
  });
  expect(cache?.addresses.map(({ host }) => host)).toEqual(["10.0.0.1", "10.0.0.3"]);
  expect(cache?.pinned).toEqual([]);
  expect(plain.sets.find(({ id }) => id === cache?.set)).toMatchObject({ policy: "least-connections" });
  const named = compileMesh({ services: { cache: { protocol: "tcp", addresses: ["cache.example:6379"] } }, instances });
  const [other] = named.tcp.services;
  expect(other?.addresses).toEqual([{ host: "cache.example", port: 6379 }]);
  expect(other?.pinned.map(({ address }) => address.host)).toEqual(["10.0.0.1", "10.0.0.3"]);
});

test("a route to it is left out and told, wherever the document came from", () => {
  const routes = { r: { rules: [{ to: [{ service: "cache" }, { service: "web" }] }] } };
  const { issues, tcp } = compileMesh({ services: { cache: { protocol: "tcp" }, web: {} }, instances, routes });
  expect(issues).toEqual([
    { document: "routes/r", message: "rules.0: service cache speaks tcp; routes carry requests of HTTP" },
  ]);
  expect(tcp.hosts).toEqual(["cache", "cache.svc", "cache.svc.cluster.local", "cache.mesh"]);
});
