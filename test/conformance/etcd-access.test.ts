// Getting in: TLS with certificates on both sides, user and password, and what happens without.

import { readFile, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createServer } from "node:tls";
import { describe, expect, test } from "vitest";
import { formatAddress, silentLog } from "../../src/base/index.ts";
import { parseProcessConfig } from "../../src/config/index.ts";
import type { EtcdClient } from "../../src/discovery/etcd/client.ts";
import { method } from "../../src/discovery/etcd/rpc.ts";
import { createRegistry, type Registry } from "../../src/discovery/index.ts";
import { createCertificates } from "../support/certificates.ts";
import { putKeys, startEtcd } from "../support/etcd.ts";
import { requireProgram } from "../support/programs.ts";
import { nextEvent, openEtcdRegistry } from "../support/registries.ts";

const SEED = { "/pillion/services/users": "{}" };

/** A registry as `pillion run` makes it, from flags and environment. */
async function openByFlags(flags: Record<string, string>, env: Record<string, string> = {}): Promise<Registry> {
  const parsed = parseProcessConfig({ flags, env });
  if (!parsed.ok) throw new Error(parsed.issues.join("\n"));
  return createRegistry(parsed.config, { log: silentLog });
}

describe("TLS", () => {
  test("with the authority's certificate and our own we are let in; registered, read and watched", async (context) => {
    const [program, openssl] = [requireProgram(context, "etcd"), requireProgram(context, "openssl")];
    await using certificates = await createCertificates(openssl);
    const [server, client] = [await certificates.issue("etcd"), await certificates.issue("sidecar")];
    await using etcd = await startEtcd(program, { tls: server });
    await putKeys(etcd.client, SEED);
    const mesh = `etcds://${formatAddress(etcd.address)}`;
    const registry = await openByFlags({
      mesh,
      registryCa: client.ca,
      registryCert: client.cert,
      registryKey: client.key,
    });
    await registry.start();
    expect([...registry.picture!.documents.services.keys()]).toEqual(["users"]);
    const registration = registry.register({ service: "users", id: "me", document: { address: "127.0.0.1:1" } });
    await expect.poll(() => registration.state).toBe("registered");
    await registry.stop();
  });

  test("without a certificate, with another authority, in cleartext: refused with a reason", async (context) => {
    const [program, openssl] = [requireProgram(context, "etcd"), requireProgram(context, "openssl")];
    await using certificates = await createCertificates(openssl);
    await using others = await createCertificates(openssl);
    const [server, client] = [await certificates.issue("etcd"), await others.issue("sidecar")];
    await using etcd = await startEtcd(program, { tls: server });
    const endpoints = [etcd.address];
    for (const tls of [{ ca: server.ca }, client, {}, undefined]) {
      const registry = openEtcdRegistry({ endpoints, tls });
      await expect(registry.list()).rejects.toMatchObject({ code: "PILLION_REGISTRY_UNAVAILABLE" });
      await registry.stop();
    }
    const registry = openEtcdRegistry({ endpoints, tls: { ca: "nowhere.crt" } });
    await expect(registry.list()).rejects.toMatchObject({
      code: "PILLION_FILE_READ",
      details: { path: "nowhere.crt" },
    });
    await registry.stop();
  });
});

test("a certificate of the right authority for another address is refused", async (context) => {
  await using certificates = await createCertificates(requireProgram(context, "openssl"));
  const files = await certificates.issue("etcd", "IP:127.0.0.2,DNS:etcd.invalid");
  const [key, cert] = await Promise.all([readFile(files.key), readFile(files.cert)]);
  const server = createServer({ key, cert, ALPNProtocols: ["h2"] });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const registry = openEtcdRegistry({ endpoints: [{ host: "127.0.0.1", port }], tls: { ca: files.ca } });
  await expect(registry.list()).rejects.toMatchObject({ message: expect.stringContaining("IP: 127.0.0.1 is not in") });
  await registry.stop();
  await new Promise((resolve) => server.close(resolve));
});

interface Permission {
  readonly permType: "Readwrite";
  readonly key: Buffer;
  readonly range_end: Buffer;
}

const USER_ADD = method<{ name: string; password: string }, object>("Auth", "UserAdd");
const ROLE_ADD = method<{ name: string }, object>("Auth", "RoleAdd");
const USER_GRANT = method<{ user: string; role: string }, object>("Auth", "UserGrantRole");
const ROLE_GRANT = method<{ name: string; perm: Permission }, object>("Auth", "RoleGrantPermission");
const AUTH_ENABLE = method<object, object>("Auth", "AuthEnable");

/** Users root and sidecar; sidecar may read and write one prefix. */
async function enableUsers(client: EtcdClient): Promise<void> {
  await client.call(USER_ADD, { name: "root", password: "root" });
  await client.call(ROLE_ADD, { name: "root" });
  await client.call(USER_GRANT, { user: "root", role: "root" });
  await client.call(USER_ADD, { name: "sidecar", password: "p@ss:word" });
  await client.call(ROLE_ADD, { name: "mesh" });
  const perm: Permission = {
    permType: "Readwrite",
    key: Buffer.from("/pillion/"),
    range_end: Buffer.from("/pillion0"),
  };
  await client.call(ROLE_GRANT, { name: "mesh", perm });
  await client.call(USER_GRANT, { user: "sidecar", role: "mesh" });
  await client.call(AUTH_ENABLE, {});
}

describe("user and password", () => {
  test("from URL, flag, environment or file; a token that etcd forgot is fetched again", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    await putKeys(etcd.client, SEED);
    await enableUsers(etcd.client);
    const address = formatAddress(etcd.address);
    const file = join(etcd.folder, "password");
    await writeFile(file, "p@ss:word\n");
    const ways = [
      openByFlags({ mesh: `etcd://sidecar:p%40ss%3Aword@${address}` }),
      openByFlags({ mesh: `etcd://${address}`, registryUser: "sidecar", registryPasswordFile: file }),
      openByFlags({ mesh: `etcd://sidecar@${address}` }, { PILLION_REGISTRY_PASSWORD: "p@ss:word" }),
    ];
    for (const way of ways) {
      const registry = await way;
      expect((await registry.list()).length).toBe(1);
      await registry.stop();
    }
    const credentials = { user: "sidecar", password: "p@ss:word" };
    const registry = openEtcdRegistry({ endpoints: [etcd.address], credentials });
    await registry.start();
    const registration = registry.register({ service: "users", id: "me", document: { address: "127.0.0.1:1" } });
    await expect.poll(() => registration.state).toBe("registered");
    // etcd keeps tokens in memory: after a restart it knows none of them.
    const disconnected = nextEvent(registry, "disconnected");
    await etcd.kill();
    await disconnected;
    await etcd.start();
    await expect.poll(() => registry.connected, { timeout: 15_000 }).toBe(true);
    await registry.apply([{ id: { kind: "service", name: "orders" }, value: {} }]);
    await expect.poll(() => registry.picture?.documents.services.has("orders")).toBe(true);
    await expect.poll(() => registration.update({ weight: 3 }), { timeout: 15_000 }).toBe(true);
    await registry.stop();
  });

  test("a wrong password, no password and a prefix of somebody else are told as what they are", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    await enableUsers(etcd.client);
    const endpoints = [etcd.address];
    const wrong = openEtcdRegistry({ endpoints, credentials: { user: "sidecar", password: "guess" } });
    const disconnected = nextEvent(wrong, "disconnected");
    wrong.start().catch(() => undefined);
    expect((await disconnected).problem).toContain("authentication failed");
    await wrong.stop();
    const none = openEtcdRegistry({ endpoints });
    await expect(none.list()).rejects.toMatchObject({ code: "PILLION_REGISTRY_AUTH" });
    await none.stop();
    const credentials = { user: "sidecar", password: "p@ss:word" };
    const elsewhere = openEtcdRegistry({ endpoints, credentials }, { prefix: "/staging" });
    await expect(elsewhere.list()).rejects.toMatchObject({
      code: "PILLION_REGISTRY_AUTH",
      message: expect.stringContaining("permission denied"),
    });
    await elsewhere.stop();
  });

  test("a password where etcd asks for none does no harm", async (context) => {
    await using etcd = await startEtcd(requireProgram(context, "etcd"));
    await putKeys(etcd.client, SEED);
    const registry = openEtcdRegistry({ endpoints: [etcd.address], credentials: { user: "a", password: "b" } });
    expect((await registry.list()).length).toBe(1);
    await registry.stop();
  });
});
