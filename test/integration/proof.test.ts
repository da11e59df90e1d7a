// Goal: what proves that a request was not executed is acted on, and what was not repeated is counted with its cause;
//       on real sockets (DESIGN §5).
// Method: servers of node:http2 and raw TCP that keep a list of what they executed.

import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createClient, type HttpClient } from "../support/foreign-clients.ts";
import { type ForeignServer, startTcpServer } from "../support/foreign-servers.ts";
import * as h2 from "../support/frames.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, startSidecar } from "../support/sidecar.ts";

const opened: { close(): Promise<unknown> | unknown }[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close();
});

/** One gRPC message of a byte. */
const MESSAGE = Buffer.from([0, 0, 0, 0, 1, 0x41]);

type Serve = (stream: ServerHttp2Stream, headers: Record<string, unknown>, session: ServerHttp2Session) => void;

/** An HTTP/2 server whose every stream is the test's. */
async function openH2(serve: Serve) {
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => {});
    session.on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => {});
    serve(stream, headers, stream.session as ServerHttp2Session);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  opened.push({
    close: () => {
      for (const session of sessions) session.destroy();
      server.close();
    },
  });
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, sessions };
}

/** A sidecar before services whose instances are tried in turns. */
async function openSidecar(services: Record<string, { addresses: readonly string[]; [field: string]: unknown }>) {
  const entries = Object.entries(services).map(([name, { addresses, ...more }]) => {
    const instances = addresses.map((address, index) => ({ id: `i${index}`, address }));
    return [name, { balance: { policy: "round-robin" }, outlier: "none", ...more, instances }];
  });
  const mesh = createMesh({ services: Object.fromEntries(entries) });
  opened.push({ close: () => mesh[Symbol.asyncDispose]() });
  const sidecar = await startSidecar({ mesh });
  opened.push({ close: () => sidecar.stop() });
  const client = createClient("http2", sidecar.outbound);
  opened.push(client);
  return { sidecar, client };
}

async function openServer(server: Promise<ForeignServer>): Promise<string> {
  const one = await server;
  opened.push(one);
  return one.address;
}

/** Reads a request and resets the connection. */
const openResetter = () => openServer(startTcpServer((socket) => socket.once("data", () => socket.resetAndDestroy())));

test("streams above GOAWAY's last id are executed once, by another instance, POSTs too", async () => {
  const executed: string[] = [];
  const execute = (stream: ServerHttp2Stream, headers: Record<string, unknown>) => {
    executed.push(String(headers["x-id"]));
    stream.respond({ ":status": 200 });
    stream.end("done");
  };
  const good = await openH2(execute);
  let goaways = 0;
  let denied = 0;
  const waiting = new WeakMap<ServerHttp2Session, { stream: ServerHttp2Stream; headers: Record<string, unknown> }[]>();
  // Collects what comes in 20 ms; executes one half of it, and denies the other by GOAWAY.
  const leaving = await openH2((stream, headers, session) => {
    const list = waiting.get(session) ?? [];
    waiting.set(session, list);
    list.push({ stream, headers });
    if (list.length > 1) return;
    setTimeout(() => {
      const kept = list.slice(0, Math.ceil(list.length / 2));
      session.goaway(0, kept.at(-1)?.stream.id ?? 0);
      goaways += 1;
      denied += list.length - kept.length;
      for (const one of kept) execute(one.stream, one.headers);
      waiting.delete(session);
    }, 20);
  });
  const { client } = await openSidecar({
    web: {
      addresses: [leaving.address, good.address],
      protocol: "http2",
      retry: { budget: { minimumPerSecond: 1000 } },
    },
  });
  const ids = Array.from({ length: 90 }, (_, index) => `${index}`);
  for (let from = 0; from < ids.length; from += 30) {
    const sent = ids.slice(from, from + 30).map((id) => {
      return client.send({ host: "web", path: "/", method: "POST", body: "x", headers: { "x-id": id } });
    });
    for (const { status } of await Promise.all(sent)) expect(status).toBe(200);
  }
  expect(executed.sort()).toEqual(ids.sort());
  expect(goaways).toBeGreaterThan(0);
  expect(denied).toBeGreaterThan(10);
});

test("a retry that is not made is counted, with its cause", async () => {
  const resetter = await openResetter();
  const { sidecar, client } = await openSidecar({
    class: { addresses: [resetter] },
    body: { addresses: [resetter], retry: { bodyLimit: "1KiB" } },
    attempts: { addresses: [resetter], retry: { attempts: 1 } },
    budget: { addresses: [resetter], retry: { budget: { ratio: 0, minimumPerSecond: 0 } } },
  });
  const send = (host: string, more: Partial<Parameters<HttpClient["send"]>[0]> = {}) =>
    client.send({ host, path: "/", ...more });
  await send("class", { method: "POST", body: "x" });
  await send("body", { method: "PUT", body: Buffer.alloc(100_000) });
  await send("attempts");
  await send("budget");
  for (const cause of ["class", "body", "attempts", "budget"]) {
    const labels = { service: cause, cause };
    await waitUntil(`${cause} is counted`, async () => {
      return (await sidecar.metric("pillion_retries_skipped_total", labels)) === 1;
    });
  }
});

test("when everything fails, retries stay within their share of the requests", async () => {
  let asked = 0;
  const busy = await openServer(
    startTcpServer((socket) => {
      socket.on("data", () => {
        asked += 1;
        socket.write("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
      });
    }),
  );
  const retry = { budget: { ratio: 0.2, minimumPerSecond: 0 }, backoff: { base: "1ms", max: "1ms" } };
  const { sidecar, client } = await openSidecar({ web: { addresses: [busy, busy], retry } });
  const requests = 300;
  for (let count = 0; count < requests; count += 1) {
    expect((await client.send({ host: "web", path: "/" })).status).toBe(503);
  }
  expect(asked).toBeGreaterThan(requests * 1.1);
  expect(asked).toBeLessThanOrEqual(requests * 1.2);
  const labels = { service: "web", cause: "budget" };
  await waitUntil("the others are counted", async () => {
    return ((await sidecar.metric("pillion_retries_skipped_total", labels)) ?? 0) > requests / 2;
  });
});

/** A gRPC server that writes its whole answer at once: the trailers come with the message, or alone. */
const openGrpc = (code: string, hasMessage: boolean, note: () => void) =>
  openServer(
    startTcpServer((socket) => {
      const reader = new h2.FrameReader(true);
      socket.write(h2.settings());
      socket.on("data", (bytes: Buffer) => {
        for (const { type, flags, id } of reader.read(bytes)) {
          if (type === h2.SETTINGS && (flags & h2.ACK) === 0) socket.write(h2.settings([], h2.ACK));
          if (type !== h2.DATA || (flags & h2.END_STREAM) === 0) continue;
          note();
          const head: h2.Fields = [
            [":status", "200"],
            ["content-type", "application/grpc"],
          ];
          const status: h2.Fields = [["grpc-status", code]];
          const end = h2.END_HEADERS | h2.END_STREAM;
          const whole = [h2.headers(id, head), h2.data(id, MESSAGE), h2.headers(id, status, end)];
          socket.write(hasMessage ? Buffer.concat(whole) : h2.headers(id, [...head, ...status], end));
        }
      });
      socket.on("end", () => socket.end());
    }),
  );

test.each([
  ["alone", false],
  ["behind a message", true],
])("gRPC: a code in the trailers, %s, is retried elsewhere", async (_, hasMessage) => {
  let failed = 0;
  const bad = await openGrpc("14", hasMessage, () => {
    failed += 1;
  });
  const good = await openGrpc("0", true, () => {});
  const retry = { when: ["unprocessed", "unavailable"] };
  const { client } = await openSidecar({ web: { addresses: [bad, good], protocol: "grpc", retry } });
  const headers = { "content-type": "application/grpc", te: "trailers" };
  for (let round = 0; round < 6; round += 1) {
    const answer = await client.send({ host: "web", path: "/a.B/C", method: "POST", body: MESSAGE, headers });
    expect([answer.status, answer.trailers["grpc-status"]]).toEqual([200, "0"]);
    expect(answer.body.equals(MESSAGE)).toBe(true);
  }
  expect(failed).toBeGreaterThanOrEqual(3);
});

test("a deadline is shortened on its way, and the stream that outlived it is reset at once", async () => {
  const timeouts: string[] = [];
  const codes: number[] = [];
  const server = await openH2((stream, headers) => {
    timeouts.push(String(headers["grpc-timeout"]));
    stream.on("close", () => codes.push(stream.rstCode));
  });
  const { client } = await openSidecar({
    own: { addresses: [server.address], protocol: "grpc" },
    mesh: { addresses: [server.address], protocol: "grpc", timeout: { request: "150ms" } },
  });
  const headers = { "content-type": "application/grpc", te: "trailers" };
  const send = (host: string, timeout: string) => {
    const all = { ...headers, "grpc-timeout": timeout };
    return client.send({ host, path: "/a.B/C", method: "POST", body: Buffer.alloc(5), headers: all });
  };
  const answers = [await send("own", "200m"), await send("mesh", "1H")];
  expect(answers.map((answer) => answer.headers["grpc-status"])).toEqual(["4", "4"]);
  expect(answers.map((answer) => answer.headers["x-pillion-reason"])).toEqual(["request-timeout", "request-timeout"]);
  const unitsPerSecond: Record<string, number> = { H: 1 / 3600, M: 1 / 60, S: 1, m: 1e3, u: 1e6, n: 1e9 };
  const secondsOf = (text: string) => Number.parseInt(text, 10) / (unitsPerSecond[text.at(-1) ?? ""] ?? 0);
  expect(secondsOf(timeouts[0] ?? "")).toBeLessThanOrEqual(0.2);
  expect(secondsOf(timeouts[1] ?? "")).toBeLessThanOrEqual(0.15);
  for (const text of timeouts) expect(secondsOf(text)).toBeGreaterThan(0);
  await waitUntil("both streams are reset", () => codes.length === 2);
  expect(codes).toEqual([8, 8]); // CANCEL
  expect(server.sessions.size).toBe(2); // one for each service
});
