// Foreign databases and their clients through an intercepting sidecar: untouched, balanced where the mesh says so.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { callerOf, requireInterception, startInterceptedPod } from "../support/intercepted-pod.ts";
import { type Namespaces, PEER, POD } from "../support/namespaces.ts";
import { waitUntil } from "../support/process.ts";

/** Where apps find the cache; nobody is there. */
const VIRTUAL = "10.99.0.1";
const CACHE = {
  services: {
    cache: {
      protocol: "tcp",
      addresses: [`${VIRTUAL}:6379`],
      instances: ["7001", "7002"].map((port) => ({ id: `r${port}`, address: `${PEER.ipv4}:${port}` })),
    },
  },
};

/** Starts a real Redis there. */
async function startRedis(hosts: Namespaces, where: string, port: string, host = "0.0.0.0"): Promise<void> {
  const flags = ["--port", port, "--bind", host, "--protected-mode", "no", "--save", "", "--appendonly", "no"];
  await hosts.start(where, "redis-server", flags).waitForLine(/Ready to accept connections/);
}

/** Value of a series, 0 where it is not there. */
function readSeries(exposition: string, name: string, ...labels: readonly string[]): number {
  const line = exposition.split("\n").find((each) => {
    return each.startsWith(`${name}{`) && labels.every((label) => each.includes(label));
  });
  return Number(line?.split(" ").at(-1) ?? 0);
}

describe.each(["epoll", "libuv"])("%s: Redis", (driver) => {
  test("on a port of its own, on any port, and as a service of the mesh", async (context) => {
    requireInterception(context, "redis-server", "redis-cli");
    await using pod = await startInterceptedPod({
      documents: CACHE,
      driver,
      start: (hosts) =>
        Promise.all(["6379", "6400", "7001", "7002"].map((port) => startRedis(hosts, hosts.peer, port))),
    });
    const { hosts } = pod;
    const call = callerOf(hosts, hosts.pod);
    const redis =
      (host: string, port: string) =>
      (...args: string[]) =>
        call("redis-cli", "-h", host, "-p", port, ...args).trimEnd();
    for (const port of ["6379", "6400"]) {
      const cli = redis(PEER.ipv4, port);
      expect(cli("ping")).toBe("PONG");
      const value = "x".repeat(100_000);
      expect(cli("set", "key", value)).toBe("OK");
      expect(cli("get", "key")).toBe(value);
      expect(cli("client", "info")).toContain(`addr=${POD.ipv4}:`);
    }
    // A pipeline of 20,000 commands on one connection, at an address where nobody is.
    const load = execFileSync(
      "ip",
      [
        "netns",
        "exec",
        hosts.pod,
        "setpriv",
        "--reuid",
        "65534",
        "--clear-groups",
        "--",
        "redis-cli",
        "-h",
        VIRTUAL,
        "--pipe",
      ],
      {
        input: Array.from({ length: 20_000 }, (_, index) => `SET key-${index} ${"v".repeat(100)}\r\n`).join(""),
        encoding: "utf8",
      },
    );
    expect(load).toContain("errors: 0, replies: 20000");
    // Subscribers stay; each next one goes where fewer are.
    for (let count = 0; count < 6; count += 1) {
      const subscriber = hosts.start(hosts.pod, "setpriv", [
        "--reuid",
        "65534",
        "--clear-groups",
        "--",
        "redis-cli",
        "-h",
        VIRTUAL,
        "subscribe",
        "news",
      ]);
      await subscriber.waitForLine(/^1$/);
    }
    const subscribersAt = (port: string) =>
      hosts.run(hosts.peer, "redis-cli", ["-p", port, "pubsub", "numsub", "news"]).output.trim().split("\n").at(-1);
    expect([subscribersAt("7001"), subscribersAt("7002")]).toEqual(["3", "3"]);
    const ofCache = ['direction="outbound"', 'service="cache"'];
    await waitUntil("the open ones are counted", async () => {
      return readSeries(pod.metrics(), "pillion_tcp_connections_open", ...ofCache) === 6;
    });
    const exposition = pod.metrics();
    expect(readSeries(exposition, "pillion_tcp_connections_total", ...ofCache)).toBe(7);
    expect(readSeries(exposition, "pillion_tcp_received_bytes_total", ...ofCache)).toBeGreaterThan(2_000_000);
    const ofOthers = ['direction="outbound"', 'service="other"'];
    expect(readSeries(exposition, "pillion_tcp_connections_total", ...ofOthers)).toBe(8);
  });

  test("as the app, for its callers and its neighbours", async (context) => {
    requireInterception(context, "redis-server", "redis-cli");
    await using pod = await startInterceptedPod({
      documents: { services: { cache: { protocol: "tcp" } } },
      driver,
      app: { service: "cache", address: "127.0.0.1:6379" },
      start: (hosts) => startRedis(hosts, hosts.pod, "6379", "127.0.0.1"),
    });
    const { hosts } = pod;
    const ask = (port: string, ...args: string[]) =>
      callerOf(hosts, hosts.peer)("redis-cli", "-h", POD.ipv4, "-p", port, ...args).trimEnd();
    expect(ask("6379", "set", "a", "1")).toBe("OK");
    // Another sidecar comes by the inbound's own port.
    expect(ask("15006", "get", "a")).toBe("1");
    const inbound = ['direction="inbound"', 'service="cache"'];
    expect(readSeries(pod.metrics(), "pillion_tcp_connections_total", ...inbound)).toBe(2);
  });
});

test("the name in a TLS ClientHello is noted, and the connection passed on", async (context) => {
  requireInterception(context, "openssl");
  const folder = mkdtempSync(join(tmpdir(), "pillion-tls-"));
  const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
  const subject = ["-subj", "/CN=db.example", "-days", "2", "-nodes", "-newkey", "ec", "-pkeyopt"];
  const made = [...subject, "ec_paramgen_curve:prime256v1", "-keyout", key, "-out", certificate];
  execFileSync("openssl", ["req", "-x509", ...made], { stdio: "pipe" });
  try {
    await using pod = await startInterceptedPod({
      documents: {},
      driver: "epoll",
      flags: ["--access-log", "json"],
      start: async (hosts) => {
        const flags = ["-accept", "8443", "-www", "-key", key, "-cert", certificate];
        await hosts.start(hosts.peer, "openssl", ["s_server", ...flags]).waitForLine(/^ACCEPT$/);
      },
    });
    const call = callerOf(pod.hosts, pod.hosts.pod);
    const to = ["--connect-to", `::${PEER.ipv4}:8443`];
    expect(call("curl", "-sSk", "-m", "10", ...to, "https://db.example/")).toContain("TLS");
    const [line = ""] = await pod.sidecar.waitForLine(/^.*"msg":"connection".*$/);
    expect(JSON.parse(line)).toMatchObject({
      ...{ protocol: "tcp", direction: "outbound", destination: `${PEER.ipv4}:8443`, serverName: "db.example" },
      ...{ attempts: 1 },
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("ports of one's own are passed on at once, and what may not pass is told", async (context) => {
  requireInterception(context, "redis-server", "redis-cli");
  await using pod = await startInterceptedPod({
    documents: CACHE,
    driver: "epoll",
    flags: ["--opaque-ports", "6400", "--unknown", "deny"],
    start: (hosts) => Promise.all(["6400", "7001", "7002"].map((port) => startRedis(hosts, hosts.peer, port))),
  });
  const call = callerOf(pod.hosts, pod.hosts.pod);
  expect(call("redis-cli", "-h", VIRTUAL, "ping").trimEnd()).toBe("PONG");
  // Who asks for one node gets that one, however many ask.
  const nodeOf = () => call("redis-cli", "-h", PEER.ipv4, "-p", "7002", "config", "get", "port").trimEnd();
  expect([nodeOf(), nodeOf(), nodeOf()]).toEqual(["port\n7002", "port\n7002", "port\n7002"]);
  expect(call("redis-cli", "-h", PEER.ipv4, "-p", "6400", "ping")).not.toContain("PONG");
  const [line = ""] = await pod.sidecar.waitForLine(/^.*"reason":"no-route".*$/);
  expect(JSON.parse(line)).toMatchObject({ destination: `${PEER.ipv4}:6400`, level: "warn" });
});
