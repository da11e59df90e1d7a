// Who is asked when, what follows from the answers; and the three questions put to real servers.

import { createServer } from "node:http";
import { createServer as createServerH2 } from "node:http2";
import { type AddressInfo, createServer as createServerTcp, type Server } from "node:net";
import * as grpc from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { createRandom, silentLog } from "../../../src/base/index.ts";
import { type CheckTarget, HealthChecks } from "../../../src/health/checks.ts";
import { type HealthCheck, type Problem, probe } from "../../../src/health/probe.ts";
import { Streak } from "../../../src/health/streak.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { closedAddress } from "../../support/ports.ts";

const CHECK: HealthCheck = { path: "/healthz", intervalMs: 1_000, timeoutMs: 100, fall: 3, rise: 2 };

function targetOf(slot: number, change: Partial<CheckTarget> = {}): CheckTarget {
  const address = { host: "127.0.0.1", port: 1000 + slot };
  return { slot, generation: 1, id: `i${slot}`, service: "web", address, protocol: "http", check: CHECK, ...change };
}

/** Checks on a clock that the test moves; `answers` says what the instance in a slot answers. */
function setUp() {
  const clock = createFakeClock();
  const answers = new Map<number, Problem>();
  const asked: { slot: number; atMs: number }[] = [];
  const changes: string[] = [];
  const checks = new HealthChecks({
    clock,
    random: createRandom(7),
    log: silentLog,
    changed: ({ id }, isHealthy) => changes.push(`${id} ${isHealthy ? "healthy" : "unhealthy"}`),
    ask: async ({ address }) => {
      const slot = address.port - 1000;
      asked.push({ slot, atMs: clock.nowMs() });
      const answer: unknown = answers.get(slot);
      if (answer instanceof Error) throw answer;
      return answers.get(slot);
    },
  });
  return { clock, answers, asked, changes, checks };
}

test("fall and rise count results in a row", () => {
  const streak = new Streak({ fall: 3, rise: 2 });
  const notes = (results: string) => [...results].map((one) => (streak.note(one === "+") ? "!" : ".")).join("");
  expect(notes("--+--+---")).toBe("........!");
  expect(streak.isHealthy).toBe(false);
  expect(notes("-+-+--++")).toBe(".......!");
  expect(streak.isHealthy).toBe(true);
  expect(notes("--")).toBe("..");
});

test("unhealthy after `fall` failures in a row, healthy after `rise` successes", async () => {
  const { clock, answers, changes, checks } = setUp();
  checks.follow([targetOf(0), targetOf(1)]);
  answers.set(0, "answered 503");
  await clock.pass(2_000);
  expect(changes).toEqual([]);
  expect(checks.stateOf(0)).toMatchObject({ check: "GET /healthz", isHealthy: true, problem: "answered 503" });
  await clock.pass(1_400);
  expect(changes).toEqual(["i0 unhealthy"]);
  answers.delete(0);
  await clock.pass(2_300);
  expect(changes).toEqual(["i0 unhealthy", "i0 healthy"]);
  expect(checks.stateOf(1)).toMatchObject({ isHealthy: true, failed: 0, problem: undefined });
});

test("checks are spread over the interval, once each, and not in step", async () => {
  const { clock, asked, checks } = setUp();
  checks.follow(Array.from({ length: 40 }, (_, slot) => targetOf(slot)));
  await clock.pass(1_000);
  const first = asked.map(({ atMs }) => Math.floor(atMs / 250));
  expect(new Set(asked.map(({ slot }) => slot)).size).toBe(40);
  expect(new Set(first).size).toBeGreaterThanOrEqual(4);
  await clock.pass(9_000);
  for (let slot = 0; slot < 40; slot += 1) {
    const times = asked.filter((one) => one.slot === slot).map(({ atMs }) => atMs);
    const gaps = times.slice(1).map((at, index) => at - times[index]!);
    for (const gap of gaps) expect(Math.abs(gap - 1_000)).toBeLessThanOrEqual(100);
    expect(new Set(gaps).size).toBeGreaterThan(1);
  }
});

test("a question that breaks is a failure, and the next is asked all the same", async () => {
  const { clock, answers, asked, changes, checks } = setUp();
  answers.set(0, new Error("broken") as never);
  checks.follow([targetOf(0)]);
  await clock.pass(4_000);
  expect(asked.length).toBeGreaterThanOrEqual(3);
  expect(changes).toEqual(["i0 unhealthy"]);
  expect(checks.stateOf(0)?.problem).toBe("broken");
});

test("checks begin and end with the snapshot; who is no longer checked is healthy", async () => {
  const { clock, answers, asked, changes, checks } = setUp();
  answers.set(0, "no");
  answers.set(1, "no");
  checks.follow([targetOf(0), targetOf(1)]);
  await clock.pass(4_000);
  expect(changes.sort()).toEqual(["i0 unhealthy", "i1 unhealthy"]);
  changes.length = 0;
  checks.follow([targetOf(1)]);
  expect(changes).toEqual(["i0 healthy"]);
  expect(checks.stateOf(0)).toBeUndefined();
  // The same slot for another instance: nothing is inherited.
  checks.follow([targetOf(1, { generation: 2, id: "new" })]);
  expect(checks.stateOf(1)?.isHealthy).toBe(true);
  // Another check of the same instance: what is known of it stays.
  await clock.pass(4_000);
  checks.follow([targetOf(1, { generation: 2, id: "new", check: { ...CHECK, path: "/other" } })]);
  expect(checks.stateOf(1)).toMatchObject({ isHealthy: false, check: "GET /other" });
  checks.stop();
  asked.length = 0;
  await clock.pass(10_000);
  expect(asked).toEqual([]);
});

describe("a question to a real server", () => {
  const open: { close(): unknown }[] = [];
  afterEach(() => {
    for (const server of open.splice(0)) server.close();
  });

  async function listen(server: Server): Promise<{ host: string; port: number }> {
    open.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
  }

  const ask = (
    address: { host: string; port: number },
    check: Partial<HealthCheck>,
    protocol: "http" | "http2" = "http",
  ) => {
    const { path: _, ...rest } = CHECK;
    return probe({ service: "web", address, protocol }, { ...rest, timeoutMs: 2_000, ...check });
  };

  test("GET: 200 to 299 passes, with the service's name as host, for HTTP/1.1 and HTTP/2", async () => {
    const hosts: unknown[] = [];
    const h1 = await listen(
      createServer((request, response) => {
        hosts.push(request.headers.host, request.url);
        response.writeHead(request.url === "/bad" ? 503 : 204).end();
      }),
    );
    expect(await ask(h1, { path: "/healthz?deep=1" })).toBeUndefined();
    expect(hosts).toEqual(["web", "/healthz?deep=1"]);
    expect(await ask(h1, { path: "/bad" })).toBe("answered 503");
    const h2 = await listen(
      createServerH2((request, response) => {
        response.writeHead(request.url === "/bad" ? 500 : 200);
        response.end("fine");
      }) as unknown as Server,
    );
    expect(await ask(h2, { path: "/" }, "http2")).toBeUndefined();
    expect(await ask(h2, { path: "/bad" }, "http2")).toBe("answered 500");
  });

  test("silence and a closed port fail, each with words of its own", async () => {
    const silent = await listen(createServerTcp((socket) => socket.on("error", () => {})));
    expect(await ask(silent, { path: "/", timeoutMs: 50 })).toBe("no answer within 50 ms");
    expect(await ask(silent, { grpc: "", timeoutMs: 50 })).toBe("no answer within 50 ms");
    expect(await ask(silent, { tcp: true })).toBeUndefined();
    const [host = "", port] = (await closedAddress()).split(":");
    const closed = { host, port: Number(port) };
    for (const check of [{ path: "/" }, { grpc: "" }, { tcp: true as const }]) {
      expect(await ask(closed, check)).toMatch(/ECONNREFUSED/);
    }
  });

  test("grpc.health.v1: SERVING passes; anything else is named", async () => {
    const seen: Buffer[] = [];
    const bytes = (value: Buffer) => value;
    const path = "/grpc.health.v1.Health/Check";
    const methods = { requestStream: false, responseStream: false } as const;
    const codecs = {
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    };
    let status = 1;
    const server = new grpc.Server();
    server.addService(
      { check: { path, ...methods, ...codecs } },
      {
        check(call: grpc.ServerUnaryCall<Buffer, Buffer>, callback: grpc.sendUnaryData<Buffer>) {
          seen.push(call.request);
          callback(null, status === 0 ? Buffer.alloc(0) : Buffer.from([8, status]));
        },
      },
    );
    const credentials = grpc.ServerCredentials.createInsecure();
    const port = await new Promise<number>((resolve) => {
      server.bindAsync("127.0.0.1:0", credentials, (_, bound) => resolve(bound));
    });
    open.push({ close: () => server.forceShutdown() });
    const address = { host: "127.0.0.1", port };
    expect(await ask(address, { grpc: "shop.Users" })).toBeUndefined();
    expect(seen[0]).toEqual(Buffer.from("\n\nshop.Users"));
    status = 2;
    expect(await ask(address, { grpc: "" })).toBe("says NOT_SERVING");
    expect(seen[1]).toEqual(Buffer.alloc(0));
    status = 0;
    expect(await ask(address, { grpc: "" })).toBe("says UNKNOWN");
    const empty = new grpc.Server();
    const other = await new Promise<number>((resolve) => {
      empty.bindAsync("127.0.0.1:0", credentials, (_, bound) => resolve(bound));
    });
    open.push({ close: () => empty.forceShutdown() });
    expect(await ask({ host: "127.0.0.1", port: other }, { grpc: "" })).toBe("has no grpc.health.v1 service");
  });
});
