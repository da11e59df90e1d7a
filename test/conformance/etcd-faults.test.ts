// The etcd registry when etcd is away, dead, silent, compacted or set back: reliability.md §3.2, F1 to F9.
//
// Faults are injected at a wire between registry and etcd, or at etcd's own process; nothing is mocked.

import { describe, expect, test } from "vitest";
import { parseAddress } from "../../src/base/index.ts";
import { RANGE, TXN } from "../../src/discovery/etcd/rpc.ts";
import type { RegistryEvent } from "../../src/discovery/index.ts";
import { putKeys, startEtcd } from "../support/etcd.ts";
import { closedAddress } from "../support/ports.ts";
import { requireProgram } from "../support/programs.ts";
import { idsOf, nextEvent, openEtcdRegistry, pictureWhere, routeTo } from "../support/registries.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";

const USERS = "/pillion/services/users";
const at = (port: number) => JSON.stringify({ address: `127.0.0.1:${port}` });
const instanceKey = (id: string) => `/pillion/instances/users/${id}`;

/** Two instances and a route to them. */
const SEED = {
  [USERS]: "{}",
  [instanceKey("a")]: at(1),
  [instanceKey("b")]: at(2),
  "/pillion/routes/r": JSON.stringify(routeTo("users")),
};

describe("etcd is not there", () => {
  test("at start: the first picture comes when etcd comes", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    await putKeys(etcd.client, SEED);
    await etcd.kill();
    const registry = openEtcdRegistry({ endpoints: [etcd.address] });
    const disconnected = nextEvent(registry, "disconnected");
    const started = registry.start();
    expect((await disconnected).problem).toContain("ECONNREFUSED");
    expect(registry.picture).toBeUndefined();
    await etcd.start();
    await started;
    expect(idsOf(registry.picture, "users")).toEqual(["a", "b"]);
    await registry.stop();
  });

  test("for ever: stop ends the waiting, and commands fail with a reason", async () => {
    const parsed = parseAddress(await closedAddress());
    if (!parsed.ok) throw new Error(parsed.problem);
    const registry = openEtcdRegistry({ endpoints: [parsed.value] });
    const started = registry.start();
    await expect(registry.list()).rejects.toMatchObject({ code: "PILLION_REGISTRY_UNAVAILABLE", retryable: true });
    const registration = registry.register({ service: "users", id: "me", document: { address: "127.0.0.1:1" } });
    await registry.stop();
    await expect(started).rejects.toMatchObject({ code: "PILLION_REGISTRY_STOPPED" });
    expect(registration.state).toBe("stopped");
  });

  test("one of several endpoints is enough, whatever is wrong with the others", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    await putKeys(etcd.client, SEED);
    const dead = parseAddress(await closedAddress());
    if (!dead.ok) throw new Error(dead.problem);
    await using first = await startTcpProxy(etcd.address);
    await using second = await startTcpProxy(etcd.address);
    const registry = openEtcdRegistry({ endpoints: [dead.value, first.address, second.address] });
    await registry.start();
    expect([first.acceptedCount, second.acceptedCount]).toEqual([1, 0]);
    await expect.poll(() => registry.connected).toBe(true);
    first.cut();
    await putKeys(etcd.client, { [instanceKey("b")]: undefined });
    await pictureWhere(registry, (picture) => idsOf(picture, "users").length === 1);
    expect(second.acceptedCount).toBe(1);
    await registry.stop();
  });
});

describe("the watch is lost", () => {
  test("etcd is killed and comes back: the picture stays meanwhile, and no delete is missed", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    await putKeys(etcd.client, SEED);
    await using wire = await startTcpProxy(etcd.address);
    const registry = openEtcdRegistry({ endpoints: [wire.address] });
    await registry.start();
    await expect.poll(() => registry.connected).toBe(true);
    const pictures: number[] = [];
    registry.subscribe((event) => {
      if (event.kind === "picture") pictures.push(idsOf(event.picture, "users").length);
    });
    wire.cut();
    await nextEvent(registry, "disconnected");
    expect(registry.connected).toBe(false);
    await etcd.kill();
    await etcd.start();
    await putKeys(etcd.client, { [instanceKey("a")]: undefined, [instanceKey("c")]: at(3) });
    await putKeys(etcd.client, { [instanceKey("d")]: at(4) });
    expect(idsOf(registry.picture, "users")).toEqual(["a", "b"]);
    wire.heal();
    await pictureWhere(registry, (picture) => idsOf(picture, "users").join() === "b,c,d");
    // Resumed, not begun anew: nobody ever saw less than there was at some moment.
    expect(pictures.every((count) => count >= 2)).toBe(true);
    await registry.stop();
  });

  test("compaction while away: everything is listed again, and what was deleted is gone", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    await putKeys(etcd.client, SEED);
    await using wire = await startTcpProxy(etcd.address);
    const registry = openEtcdRegistry({ endpoints: [wire.address] });
    await registry.start();
    await expect.poll(() => registry.connected).toBe(true);
    wire.cut();
    await nextEvent(registry, "disconnected");
    await putKeys(etcd.client, { [instanceKey("a")]: undefined, "/pillion/routes/r": undefined });
    const revision = await putKeys(etcd.client, { [instanceKey("c")]: at(3) });
    await etcd.compact(revision);
    wire.heal();
    const picture = await pictureWhere(registry, (one) => idsOf(one, "users").join() === "b,c");
    expect(picture.documents.routes.size).toBe(0);
    // And the watch goes on from there.
    await putKeys(etcd.client, { [instanceKey("d")]: at(4) });
    await pictureWhere(registry, (one) => idsOf(one, "users").join() === "b,c,d");
    await registry.stop();
  });

  test("a wire that went dead without a word is noticed", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    await putKeys(etcd.client, SEED);
    await using wire = await startTcpProxy(etcd.address);
    await using spare = await startTcpProxy(etcd.address);
    const registry = openEtcdRegistry({ endpoints: [wire.address, spare.address] });
    await registry.start();
    await expect.poll(() => registry.connected).toBe(true);
    const disconnected = nextEvent(registry, "disconnected");
    wire.hold();
    await putKeys(etcd.client, { [instanceKey("c")]: at(3) });
    expect((await disconnected).problem).toContain("silent");
    await pictureWhere(registry, (picture) => idsOf(picture, "users").length === 3);
    expect(spare.acceptedCount).toBe(1);
    await registry.stop();
  });

  test("an etcd that is stopped in its tracks is left, and found again", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    await putKeys(etcd.client, SEED);
    const registry = openEtcdRegistry({ endpoints: [etcd.address] });
    await registry.start();
    await expect.poll(() => registry.connected).toBe(true);
    etcd.signal("SIGSTOP");
    await nextEvent(registry, "disconnected");
    etcd.signal("SIGCONT");
    await putKeys(etcd.client, { [instanceKey("a")]: undefined });
    await pictureWhere(registry, (picture) => idsOf(picture, "users").join() === "b");
    await registry.stop();
  });

  test("a history larger than a message comes in fragments, and whole", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    await putKeys(etcd.client, SEED);
    await using wire = await startTcpProxy(etcd.address);
    const registry = openEtcdRegistry({ endpoints: [wire.address] });
    await registry.start();
    await expect.poll(() => registry.connected).toBe(true);
    wire.cut();
    await nextEvent(registry, "disconnected");
    const text = "x".repeat(100_000);
    for (let port = 100; port < 200; port += 1) {
      await putKeys(etcd.client, {
        [instanceKey(`n${port}`)]: JSON.stringify({ address: `127.0.0.1:${port}`, tags: { text } }),
      });
    }
    wire.heal();
    await pictureWhere(registry, (picture) => idsOf(picture, "users").length === 102);
    await registry.stop();
  });

  test("an etcd that lost its data is believed, and not the past", async (context) => {
    const program = requireProgram(context, "etcd");
    await using old = await startEtcd(program);
    await using fresh = await startEtcd(program);
    for (let port = 10; port < 40; port += 1) await putKeys(old.client, { ...SEED, [instanceKey("x")]: at(port) });
    await putKeys(fresh.client, { ...SEED, [instanceKey("y")]: at(1) });
    await using wire = await startTcpProxy(old.address);
    await using other = await startTcpProxy(fresh.address);
    const registry = openEtcdRegistry({ endpoints: [wire.address, other.address] });
    await registry.start();
    await pictureWhere(registry, (picture) => idsOf(picture, "users").join() === "a,b,x");
    await expect.poll(() => registry.connected).toBe(true);
    wire.cut();
    await pictureWhere(registry, (picture) => idsOf(picture, "users").join() === "a,b,y");
    await putKeys(fresh.client, { [instanceKey("z")]: at(1) });
    await pictureWhere(registry, (picture) => idsOf(picture, "users").join() === "a,b,y,z");
    await registry.stop();
  });
});

describe("what others write", () => {
  test("keys that are not ours, texts that are no JSON, fields of a newer writer", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    await putKeys(etcd.client, {
      ...SEED,
      "/pillion/services/Not-A-Name": "{}",
      "/pillion/notes/x": "hello",
      "/pillion/instances/users/c": "{",
      "/pillion/instances/users/d": JSON.stringify({ address: "127.0.0.1:4", shard: 3 }),
      "/pillionaire/services/x": "{}",
    });
    const registry = openEtcdRegistry({ endpoints: [etcd.address] });
    const events: RegistryEvent[] = [];
    registry.subscribe((event) => events.push(event));
    await registry.start();
    expect(idsOf(registry.picture, "users")).toEqual(["a", "b", "d"]);
    expect([...registry.picture!.documents.services.keys()]).toEqual(["users"]);
    expect(events.filter(({ kind }) => kind === "rejected").length).toBe(1);
    expect(registry.picture!.warnings.map(({ where }) => where).sort()).toEqual([
      "/pillion/instances/users/c",
      "/pillion/instances/users/d",
    ]);
    // A later writer mends it, and both warnings go.
    await putKeys(etcd.client, { "/pillion/instances/users/c": undefined, "/pillion/instances/users/d": at(4) });
    const { warnings } = await pictureWhere(registry, (picture) => picture.warnings.length === 0);
    expect(warnings).toEqual([]);
    await registry.stop();
  });

  test("only the instances of services that are wanted or routed to are asked for", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    await putKeys(etcd.client, { ...SEED, "/pillion/instances/other/a": at(1), "/pillion/instances/third/a": at(1) });
    const registry = openEtcdRegistry({ endpoints: [etcd.address] }, { interest: "wanted" });
    await registry.start();
    expect([...registry.picture!.documents.instances.keys()]).toEqual(["users"]);
    await registry.want("other");
    expect(idsOf(registry.picture, "other")).toEqual(["a"]);
    await putKeys(etcd.client, { "/pillion/instances/other/b": at(2), "/pillion/instances/third/b": at(2) });
    const picture = await pictureWhere(registry, (one) => idsOf(one, "other").length === 2);
    expect(picture.documents.instances.has("third")).toBe(false);
    await registry.stop();
  });

  test("two prefixes of one etcd know nothing of each other", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    await putKeys(etcd.client, { ...SEED, "/staging/services/x": "{}" });
    const registry = openEtcdRegistry({ endpoints: [etcd.address] }, { prefix: "/staging" });
    await registry.start();
    expect([...registry.picture!.documents.services.keys()]).toEqual(["x"]);
    await registry.stop();
  });
});

describe("large writes", () => {
  test("more than a transaction is refused, and written in parts where that is wanted", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    const registry = openEtcdRegistry({ endpoints: [etcd.address] });
    const changes = Array.from({ length: 1500 }, (_, index) => ({
      id: { kind: "instance", service: "users", name: `i${index}` } as const,
      value: { address: `127.0.0.1:${index + 1}` },
    }));
    await expect(registry.apply(changes)).rejects.toMatchObject({ code: "PILLION_REGISTRY_TOO_LARGE" });
    expect(await registry.list()).toEqual([]);
    await registry.apply([{ id: { kind: "route", name: "r" }, value: routeTo("users") }, ...changes], {
      isChunked: true,
    });
    // More than one page of a list.
    expect((await registry.list("instance")).length).toBe(1500);
    const heavy = Array.from({ length: 20 }, (_, index) => ({
      id: { kind: "service", name: `s${index}` } as const,
      value: { hosts: Array.from({ length: 4000 }, (__, host) => `host-${host}.example`) },
    }));
    await expect(registry.apply(heavy)).rejects.toMatchObject({ code: "PILLION_REGISTRY_TOO_LARGE" });
    await registry.apply(heavy, { isChunked: true });
    expect((await registry.list("service")).length).toBe(20);
    // The route became visible after the instances that it leads to.
    const revisionOf = async (key: string) => {
      const { kvs } = await etcd.client.call(RANGE, { key: Buffer.from(key) });
      return Number(kvs[0]?.mod_revision);
    };
    expect(await revisionOf("/pillion/routes/r")).toBeGreaterThan(await revisionOf(instanceKey("i0")));
    await registry.stop();
  });

  test("a transaction is sent once: what etcd refuses is not tried again", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    const key = Buffer.from(USERS);
    const put = { request_put: { key, value: Buffer.from("{}") } };
    await expect(etcd.client.call(TXN, { compare: [], success: [put, put], failure: [] })).rejects.toMatchObject({
      code: "PILLION_REGISTRY_REFUSED",
      message: expect.stringContaining("duplicate key"),
    });
  });
});
