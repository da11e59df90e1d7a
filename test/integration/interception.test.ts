// A pod whose connections are led through its sidecar: foreign clients, foreign servers, two hosts, real rules.

import { join } from "node:path";
import { expect, test } from "vitest";
import { callerOf, requireInterception, startInterceptedPod } from "../support/intercepted-pod.ts";
import { PEER, POD } from "../support/namespaces.ts";
import { projectRoot } from "../support/source.ts";

const SERVERS = join(projectRoot, "test/support/intercepted-servers.mjs");

/** A service of the mesh that answers elsewhere than where the app thinks it is. */
const MESH = { services: { web: { hosts: ["web.example"], instances: [{ id: "a", address: `${PEER.ipv4}:9001` }] } } };

function startPod(driver: string, flags: readonly string[] = []) {
  return startInterceptedPod({
    documents: MESH,
    app: { service: "shop", address: "127.0.0.1:8080" },
    driver,
    flags,
    start: (hosts) =>
      Promise.all([
        hosts.start(hosts.peer, process.execPath, [SERVERS, "peer"]).waitForLine(/^ready$/),
        hosts.start(hosts.pod, process.execPath, [SERVERS, "app"]).waitForLine(/^ready$/),
      ]),
  });
}

test.for(["epoll", "libuv"])("%s: the app's connections", async (driver, context) => {
  requireInterception(context);
  await using pod = await startPod(driver);
  const { hosts } = pod;
  const call = callerOf(hosts, hosts.pod);
  const curl = (...args: string[]) => call("curl", "-sS", "-m", "10", ...args);
  const to = (address: string) => ["--connect-to", `::${address}`];

  // Wherever it was going, a request for a service goes to one of its instances; others arrive where they were going.
  expect(curl(...to(`${PEER.ipv4}:80`), "http://web.example/")).toBe("instance web.example");
  expect(curl(...to(`[${PEER.ipv6}]:80`), "http://web.example/")).toBe("instance web.example");
  expect(curl(...to(`${PEER.ipv4}:80`), "http://elsewhere.example/")).toBe("elsewhere elsewhere.example");
  expect(curl(...to(`[${PEER.ipv6}]:80`), "http://elsewhere.example/")).toBe("elsewhere elsewhere.example");
  const h2 = "--http2-prior-knowledge";
  expect(curl(h2, ...to(`${PEER.ipv4}:80`), "http://web.example/")).toBe("instance web.example");
  expect(curl(h2, ...to(`${PEER.ipv4}:81`), "http://elsewhere.example/")).toBe("elsewhere-h2 elsewhere.example");
  // Behind the first request the connection is the engine's, as any other.
  const url = "http://web.example/";
  const twice = "instance web.example1instance web.example0";
  expect(curl("-w", "%{num_connects}", ...to(`${PEER.ipv4}:80`), url, url)).toBe(twice);
  // A client that says nothing but its preface before the server's SETTINGS, as grpc-go does.
  const wait = (target: string, authority: string) => call(process.execPath, SERVERS, "wait", target, authority);
  expect(wait(`${PEER.ipv4} 80`, "web.example")).toBe("instance web.example");
  expect(wait(`${PEER.ipv4} 81`, "elsewhere.example")).toBe("elsewhere-h2 elsewhere.example");
  // A large body, both ways, unread.
  expect(curl("-d", "x".repeat(100_000), ...to(`${PEER.ipv4}:80`), "http://elsewhere.example/size")).toBe("100000");

  // TCP: the client first, the server first (twice: the second time it is known), a half-close, nobody there.
  const talk = (target: string, word: string) => call(process.execPath, SERVERS, "talk", target, word);
  expect(talk(`${PEER.ipv4} 7`, "\u0001\u0002binary")).toBe("\u0001\u0002binary");
  expect(talk(`${PEER.ipv6} 7`, "hello")).toBe("hello");
  for (const _ of [1, 2]) expect(talk(`${PEER.ipv4} 2525`, "QUIT\r\n")).toBe("220 mail ready\r\n221 bye QUIT\r\n");
  expect(talk(`${PEER.ipv4} 3306`, "login")).toBe("220 mail ready\r\n221 bye login");
  expect(talk(`${PEER.ipv4} 4`, "hello")).toBe("ECONNRESET");
  // What goes to the sidecar by name is answered by it, as ever.
  expect(curl("-x", "http://127.0.0.1:15001", "http://web.example/")).toBe("instance web.example");
});

test.for(["epoll", "libuv"])("%s: the app's callers", async (driver, context) => {
  requireInterception(context);
  await using pod = await startPod(driver);
  const { hosts } = pod;
  const call = callerOf(hosts, hosts.peer);
  const curl = (...args: string[]) => call("curl", "-sS", "-m", "10", ...args);
  expect(curl(`http://${POD.ipv4}:8080/`)).toBe(`app ${POD.ipv4}:8080`);
  expect(curl(`http://[${POD.ipv6}]:8080/`)).toBe(`app [${POD.ipv6}]:8080`);
  expect(curl(`http://${POD.ipv4}:15006/`)).toBe(`app ${POD.ipv4}:15006`);
  // Another port of the pod, HTTP or not, is the app's own.
  expect(curl(`http://${POD.ipv4}:9090/`)).toBe(`metrics ${POD.ipv4}:9090`);
  // The sidecar's own ports are not reached through it.
  expect(call(process.execPath, SERVERS, "talk", `${POD.ipv4} 15001`, "hello")).toBe("ECONNRESET");
  expect(call(process.execPath, SERVERS, "talk", `${POD.ipv4} 15000`, "hello")).toBe("ECONNRESET");
});

test("an inbound listener of both families knows where IPv4 connections were going", async (context) => {
  requireInterception(context);
  await using pod = await startPod("epoll", ["--inbound", "[::]:15006"]);
  const curl = (url: string) => callerOf(pod.hosts, pod.hosts.peer)("curl", "-sS", "-m", "10", url);
  expect(curl(`http://${POD.ipv4}:9090/`)).toBe(`metrics ${POD.ipv4}:9090`);
  expect(curl(`http://[${POD.ipv6}]:9090/`)).toBe(`metrics [${POD.ipv6}]:9090`);
  expect(curl(`http://${POD.ipv4}:8080/`)).toBe(`app ${POD.ipv4}:8080`);
});

test("--unknown deny: what is outside of the mesh is not reached", async (context) => {
  requireInterception(context);
  await using pod = await startPod("epoll", ["--unknown", "deny"]);
  const call = callerOf(pod.hosts, pod.hosts.pod);
  const curl = (...args: string[]) => call("curl", "-sS", "-m", "10", "--connect-to", `::${PEER.ipv4}:80`, ...args);
  expect(curl("http://web.example/")).toBe("instance web.example");
  expect(curl("http://elsewhere.example/")).toContain("no-route");
  expect(call(process.execPath, SERVERS, "talk", `${PEER.ipv4} 7`, "\u0001x")).toBe("ECONNRESET");
  expect(call(process.execPath, SERVERS, "talk", `${PEER.ipv4} 3306`, "x")).toBe("ECONNRESET");
});
