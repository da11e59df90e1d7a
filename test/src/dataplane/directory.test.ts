// Whose a connection is, by where it was going.

import { expect, test } from "vitest";
import { LISTENER_INBOUND, LISTENER_OUTBOUND, LISTENER_SERVICE } from "../../../assembly/abi/engine-records.ts";
import { TcpDirectory } from "../../../src/dataplane/tcp/directory.ts";
import type { Lookup } from "../../../src/dataplane/upstream.ts";
import type { CompiledTcpService, PinnedAddress } from "../../../src/snapshot/index.ts";

const at = (host: string, port = 6379) => ({ host, port });

function serviceOf(name: string, index: number, addresses = [at("10.0.0.1")], pinned: PinnedAddress[] = []) {
  const common = { direction: "outbound", metrics: 0, set: 0, connectMs: 1, idleMs: 1, retries: 0 } as const;
  return { ...common, name, index, addresses, pinned } satisfies CompiledTcpService;
}

function directoryOf(services: CompiledTcpService[], lookup: Lookup = (_, done) => done(new Error("none"), [])) {
  const directory = new TcpDirectory(lookup);
  directory.replace({ services, listeners: [undefined, 1], inbound: 2, hosts: ["cache"] });
  return directory;
}

test("by address and port, however an IPv6 address is written", () => {
  const directory = directoryOf([serviceOf("cache", 1, [at("10.0.0.1"), at("FD00:0::0001")])]);
  expect(directory.at(at("10.0.0.1"))?.service.name).toBe("cache");
  expect(directory.at(at("fd00::1"))?.service.name).toBe("cache");
  expect(directory.at(at("10.0.0.1", 6380))).toBeUndefined();
});

test("of two, the first by name; a service's address before an instance's own", () => {
  const pinned = { address: at("10.0.0.1"), slot: 7, generation: 1 };
  const other = { address: at("10.0.0.9"), slot: 8, generation: 1 };
  const directory = directoryOf([serviceOf("b", 2), serviceOf("a", 1, [at("10.0.0.1")], [pinned, other])]);
  expect(directory.at(at("10.0.0.1"))).toMatchObject({ service: { name: "a" }, pinned: undefined });
  expect(directory.at(at("10.0.0.9"))).toMatchObject({ service: { name: "a" }, pinned: { slot: 8 } });
});

test("host names stand for what they are looked up to; the last answer serves when there is none", () => {
  let answer: string[] = ["10.9.9.9", "fd00::9"];
  const lookup: Lookup = (_, done) => done(answer.length === 0 ? new Error("down") : null, answer);
  const services = [serviceOf("cache", 1, [at("cache.example")])];
  const directory = directoryOf(services, lookup);
  expect(directory.at(at("10.9.9.9"))?.service.name).toBe("cache");
  expect(directory.at(at("fd00::9"))?.service.name).toBe("cache");
  const again = () => directory.replace({ services, listeners: [], inbound: undefined, hosts: [] });
  answer = [];
  again();
  expect(directory.at(at("10.9.9.9"))?.service.name).toBe("cache");
  answer = ["10.9.9.8"];
  again();
  expect(directory.at(at("10.9.9.9"))).toBeUndefined();
  expect(directory.at(at("10.9.9.8"))?.service.name).toBe("cache");
});

test("by listener, and by name", () => {
  const directory = directoryOf([serviceOf("cache", 1), serviceOf("app", 2, [])]);
  expect(directory.serviceOf({ kind: LISTENER_SERVICE, number: 1 })?.name).toBe("cache");
  expect(directory.serviceOf({ kind: LISTENER_SERVICE, number: 0 })).toBeUndefined();
  expect(directory.serviceOf({ kind: LISTENER_INBOUND, number: 0 })?.name).toBe("app");
  expect(directory.serviceOf({ kind: LISTENER_OUTBOUND, number: 0 })).toBeUndefined();
  for (const host of ["cache", "Cache", "cache.", "cache:6379"]) expect(directory.hasHost(host)).toBe(true);
  expect(directory.hasHost("cachet")).toBe(false);
});
