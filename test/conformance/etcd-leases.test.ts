// Registrations in etcd: they stand as long as their owner lives, and come back whenever they were lost.

import type { IKeyValue, ILeaseTimeToLiveRequest, ILeaseTimeToLiveResponse } from "etcd3";
import { describe, expect, test } from "vitest";
import type { EtcdClient } from "../../src/discovery/etcd/client.ts";
import { LEASE_GRANT, LEASE_REVOKE, method, RANGE } from "../../src/discovery/etcd/rpc.ts";
import type { RegistrationState, Registry } from "../../src/discovery/index.ts";
import { putKeys, startEtcd } from "../support/etcd.ts";
import { requireProgram } from "../support/programs.ts";
import { openEtcdRegistry, QUICK } from "../support/registries.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";

const LEASE_TIME_TO_LIVE = method<ILeaseTimeToLiveRequest, ILeaseTimeToLiveResponse>("Lease", "LeaseTimeToLive");

const KEY = "/pillion/instances/users/me";
const REQUEST = { service: "users", id: "me", document: { address: "127.0.0.1:1", weight: 7 } } as const;

async function pairOf(client: EtcdClient): Promise<IKeyValue | undefined> {
  const { kvs } = await client.call(RANGE, { key: Buffer.from(KEY) });
  return kvs[0];
}

async function storedOf(client: EtcdClient): Promise<unknown> {
  const pair = await pairOf(client);
  return pair === undefined ? undefined : JSON.parse(pair.value.toString());
}

/** Waits until a lease has run out. */
async function waitForEnd(client: EtcdClient, lease: string): Promise<void> {
  const leftOf = async () => Number((await client.call(LEASE_TIME_TO_LIVE, { ID: lease })).TTL);
  await expect.poll(leftOf, { timeout: 15_000 }).toBe(-1);
}

/** The states that a registration goes through. */
function statesOf(registry: Registry): RegistrationState[] {
  const states: RegistrationState[] = [];
  registry.subscribe((event) => {
    if (event.kind === "registration") states.push(event.state);
  });
  return states;
}

describe("an instance is registered", () => {
  test("on a lease; updates are written; stop takes it out at once", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    const registry = openEtcdRegistry({ endpoints: [etcd.address] });
    const states = statesOf(registry);
    const registration = registry.register(REQUEST);
    await expect.poll(() => registration.state).toBe("registered");
    expect(await storedOf(etcd.client)).toEqual(REQUEST.document);
    expect((await pairOf(etcd.client))?.lease).not.toBe("0");
    expect(await registration.update({ state: "draining" })).toBe(true);
    expect(await storedOf(etcd.client)).toEqual({ ...REQUEST.document, state: "draining" });
    expect((await registry.read({ kind: "instance", service: "users", name: "me" }))?.isLeased).toBe(true);
    await registration.stop();
    expect(await pairOf(etcd.client)).toBeUndefined();
    expect(await registration.update({ state: "ready" })).toBe(false);
    expect(states).toEqual(["registered", "stopped"]);
    await registry.stop();
  });

  test("it outlives its lease's time by far, renewed all along", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    const registry = openEtcdRegistry({ endpoints: [etcd.address] });
    const registration = registry.register(REQUEST);
    await expect.poll(() => registration.state).toBe("registered");
    const first = await pairOf(etcd.client);
    // Two leases that nobody renews, one after the other, each as long as ours: when they are over, ours is not.
    for (let count = 0; count < 2; count += 1) {
      const { ID } = await etcd.client.call(LEASE_GRANT, { TTL: QUICK.lease!.ttlSeconds, ID: 0 });
      await waitForEnd(etcd.client, ID);
    }
    expect(await pairOf(etcd.client)).toEqual(first);
    await registry.stop();
  });

  test("it disappears by itself when its owner is gone without a word", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    await using wire = await startTcpProxy(etcd.address);
    const registry = openEtcdRegistry({ endpoints: [wire.address] });
    const registration = registry.register(REQUEST);
    await expect.poll(() => registration.state).toBe("registered");
    wire.cut();
    await expect.poll(() => pairOf(etcd.client), { timeout: 10_000 }).toBeUndefined();
    // And it is back when the wire is.
    wire.heal();
    await expect.poll(() => storedOf(etcd.client), { timeout: 10_000 }).toEqual(REQUEST.document);
    await registry.stop();
    expect(await pairOf(etcd.client)).toBeUndefined();
  });
});

describe("a registration is lost", () => {
  test("the lease is revoked by somebody: it is granted and written again", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    const registry = openEtcdRegistry({ endpoints: [etcd.address] });
    const states = statesOf(registry);
    const registration = registry.register(REQUEST);
    await expect.poll(() => registration.state).toBe("registered");
    await registration.update({ weight: 8 });
    const { lease } = (await pairOf(etcd.client))!;
    await etcd.client.call(LEASE_REVOKE, { ID: lease });
    await expect.poll(() => storedOf(etcd.client), { timeout: 10_000 }).toEqual({ ...REQUEST.document, weight: 8 });
    expect((await pairOf(etcd.client))?.lease).not.toBe(lease);
    expect(states).toEqual(["registered", "pending", "registered"]);
    await registry.stop();
  });

  test("the key is deleted by somebody while the lease lives: it is written again", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    const registry = openEtcdRegistry({ endpoints: [etcd.address] });
    const registration = registry.register(REQUEST);
    await expect.poll(() => registration.state).toBe("registered");
    const { lease } = (await pairOf(etcd.client))!;
    await putKeys(etcd.client, { [KEY]: undefined });
    await expect.poll(() => storedOf(etcd.client), { timeout: 10_000 }).toEqual(REQUEST.document);
    expect((await pairOf(etcd.client))?.lease).toBe(lease);
    await registry.stop();
  });

  test("etcd is away at first, then killed: it is registered when etcd is there", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    await etcd.kill();
    const registry = openEtcdRegistry({ endpoints: [etcd.address] });
    const registration = registry.register(REQUEST);
    expect(await registration.update({ weight: 9 })).toBe(false);
    await etcd.start();
    await expect.poll(() => storedOf(etcd.client), { timeout: 15_000 }).toMatchObject({ weight: 9 });
    await etcd.kill();
    await etcd.start();
    await expect.poll(() => registration.state, { timeout: 15_000 }).toBe("registered");
    expect(await registration.update({ weight: 10 })).toBe(true);
    expect(await storedOf(etcd.client)).toMatchObject({ weight: 10 });
    await registry.stop();
  });

  test("our own process stood still for longer than the lease: it is registered again", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    const registry = openEtcdRegistry({ endpoints: [etcd.address] });
    const registration = registry.register(REQUEST);
    await expect.poll(() => registration.state).toBe("registered");
    const { lease } = (await pairOf(etcd.client))!;
    // Nothing of ours runs meanwhile, timers and sockets included: as in a long collection or a suspended machine.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
    await expect.poll(async () => (await pairOf(etcd.client))?.lease ?? lease, { timeout: 10_000 }).not.toBe(lease);
    expect(await storedOf(etcd.client)).toEqual(REQUEST.document);
    await registry.stop();
  });
});

describe("somebody has the id", () => {
  test("another address on a lease: taken, and ours as soon as the lease is over", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    const [first, second] = [0, 1].map(() => openEtcdRegistry({ endpoints: [etcd.address] }));
    const older = first!.register(REQUEST);
    await expect.poll(() => older.state).toBe("registered");
    const states = statesOf(second!);
    const newer = second!.register({ ...REQUEST, document: { address: "127.0.0.1:2" } });
    await expect.poll(() => newer.state).toBe("taken");
    expect(await storedOf(etcd.client)).toEqual(REQUEST.document);
    await first!.stop();
    await expect.poll(() => newer.state, { timeout: 10_000 }).toBe("registered");
    expect(states).toEqual(["taken", "registered"]);
    await second!.stop();
  });

  test("the same address on another lease: that was us, before a restart", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    await using wire = await startTcpProxy(etcd.address);
    const [before, after] = [
      openEtcdRegistry({ endpoints: [wire.address] }),
      openEtcdRegistry({ endpoints: [etcd.address] }),
    ];
    const older = before.register(REQUEST);
    await expect.poll(() => older.state).toBe("registered");
    const old = (await pairOf(etcd.client))!;
    wire.cut();
    const newer = after.register(REQUEST);
    await expect.poll(() => newer.state).toBe("registered");
    // The old lease runs out, and takes nothing with it.
    const { lease } = (await pairOf(etcd.client))!;
    expect(lease).not.toBe(old.lease);
    await waitForEnd(etcd.client, old.lease);
    expect((await pairOf(etcd.client))?.lease).toBe(lease);
    await Promise.all([before.stop(), after.stop()]);
  });

  test("an operator wrote it without a lease: it is the operator's", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    const written = JSON.stringify(REQUEST.document);
    await putKeys(etcd.client, { [KEY]: written });
    const registry = openEtcdRegistry({ endpoints: [etcd.address] });
    const registration = registry.register({ ...REQUEST, document: { ...REQUEST.document, weight: 1 } });
    await expect.poll(() => registration.state).toBe("taken");
    await registry.stop();
    expect((await pairOf(etcd.client))?.value.toString()).toBe(written);
  });
});
