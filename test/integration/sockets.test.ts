// The core of what a sidecar does with sockets, over each driver: whoever changes one sees that the other still agrees.

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { connect as connectH2 } from "node:http2";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DRIVER_NAMES } from "../support/drivers.ts";
import { createClient, openRaw } from "../support/foreign-clients.ts";
import { type ForeignServer, startServer, startTcpServer } from "../support/foreign-servers.ts";
import { waitUntil } from "../support/process.ts";
import { requireProgram } from "../support/programs.ts";
import { createMesh, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";
import { projectRoot } from "../support/source.ts";

const MIB = 2 ** 20;
const STREAM_BYTES = 128 * MIB;
/** More than an engine's pool, several times: who is read without an end in one turn fills it. */
const FLOOD_BYTES = 1024 * MIB;

describe.each(DRIVER_NAMES)("%s", (driver) => {
  let plain: ForeignServer;
  let web: ForeignServer;
  let rude: ForeignServer;
  let flood: ForeignServer;
  let mesh: MeshFolder;
  let sidecar: Sidecar;

  beforeAll(async () => {
    plain = await startServer("http1");
    web = await startServer("http2");
    rude = await startTcpServer((socket) => socket.once("data", () => socket.resetAndDestroy()));
    flood = await startTcpServer((socket) => {
      const piece = Buffer.alloc(4 * MIB, "x");
      let left = FLOOD_BYTES;
      const send = () => {
        while (left > 0) {
          left -= piece.length;
          if (!socket.write(piece)) return;
        }
      };
      socket.on("drain", send);
      socket.once("data", () => {
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${FLOOD_BYTES}\r\n\r\n`);
        send();
      });
    });
    const closed = await startServer("http1");
    await closed.close();
    mesh = createMesh({
      services: {
        plain: { instances: [{ id: "a", address: plain.address }] },
        web: { protocol: "http2", instances: [{ id: "a", address: web.address }] },
        rude: { instances: [{ id: "a", address: rude.address }] },
        flood: { instances: [{ id: "a", address: flood.address }] },
        closed: { instances: [{ id: "a", address: closed.address }] },
      },
    });
    sidecar = await startSidecar({
      mesh,
      flags: ["--workers", "2", "--socket-driver", driver, "--log-level", "debug"],
      env: { NODE_OPTIONS: `--import=${join(projectRoot, "test/support/break-workers.mjs")}` },
      isTrapExpected: true,
    });
  });

  afterAll(async () => {
    await sidecar.stop();
    for (const server of [plain, web, rude, flood]) await server.close();
    await mesh[Symbol.asyncDispose]();
  });

  /** Sockets that the process has open. */
  const sockets = () => {
    const folder = `/proc/${sidecar.program.pid}/fd`;
    return readdirSync(folder).filter((name) => {
      try {
        return readlinkSync(join(folder, name)).startsWith("socket:");
      } catch {
        return false;
      }
    }).length;
  };

  test("is the one that was asked for", () => {
    const started = sidecar.program.lines.filter((line) => line.includes("a worker has started"));
    expect(started.length).toBe(2);
    for (const line of started) expect(JSON.parse(line).driver).toBe(driver);
  });

  test("a sender that is always ahead of its reader is told to pause: all of it arrives", async () => {
    const [host = "", port = ""] = sidecar.outbound.split(":");
    const socket = connect({ host, port: Number(port) });
    socket.write("GET / HTTP/1.1\r\nhost: flood\r\nconnection: close\r\n\r\n");
    let bytes = 0;
    socket.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    await once(socket, "end");
    expect(bytes).toBeGreaterThan(FLOOD_BYTES);
    socket.destroy();
  });

  test.each(["http1", "http2"] as const)("%s: requests with bodies both ways", async (version) => {
    const client = createClient(version, sidecar.outbound);
    for (const host of ["plain", "web"]) {
      const body = Buffer.alloc(3 * MIB, host);
      const answers = await Promise.all([
        client.send({ host, method: "POST", path: "/echo", body }),
        ...Array.from({ length: 20 }, () => client.send({ host, path: "/bytes/100000" })),
      ]);
      expect(answers.map(({ status }) => status)).toEqual(Array(21).fill(200));
      expect(Buffer.compare(answers[0]!.body, body)).toBe(0);
      for (const { body: bytes } of answers.slice(1)) expect(bytes.length).toBe(100_000);
    }
    await client.close();
  });

  test("a reader that stops holds the sender, and gets everything when it goes on", async () => {
    const session = connectH2(`http://${sidecar.outbound}`);
    await once(session, "connect");
    const stream = session.request({ ":path": `/bytes/${STREAM_BYTES}`, ":authority": "web" });
    const raw = connect({ host: "127.0.0.1", port: Number(sidecar.outbound.split(":")[1]) });
    raw.write(`GET /bytes/${STREAM_BYTES} HTTP/1.1\r\nhost: plain\r\nconnection: close\r\n\r\n`);
    let received = 0;
    let receivedRaw = 0;
    stream.on("data", (part: Buffer) => {
      if (received === 0) stream.pause();
      received += part.length;
    });
    raw.on("data", (part) => {
      if (receivedRaw === 0) raw.pause();
      receivedRaw += part.length;
    });
    await waitUntil("both have begun", () => received > 0 && receivedRaw > 0);
    stream.resume();
    raw.resume();
    await waitUntil("all is there", () => received === STREAM_BYTES && receivedRaw > STREAM_BYTES);
    raw.destroy();
    session.destroy();
  });

  test("a reset server and a closed port are told apart", async () => {
    const client = createClient("http1", sidecar.outbound);
    const reset = await client.send({ host: "rude", method: "POST", path: "/" });
    expect([reset.status, reset.headers["x-pillion-reason"]]).toEqual([502, "upstream-reset"]);
    const refused = await client.send({ host: "closed", path: "/" });
    expect([refused.status, refused.headers["x-pillion-reason"]]).toEqual([503, "connect-failed"]);
    await client.close();
  });

  test("connections that come and go leave no descriptor behind", async () => {
    const before = sockets();
    for (let round = 0; round < 10; round += 1) {
      const clients = await Promise.all(Array.from({ length: 10 }, () => openRaw(sidecar.outbound)));
      for (const client of clients) client.write("GET /bytes/5 HTTP/1.1\r\nhost: plain\r\n\r\n");
      await waitUntil("answers", () => clients.every(({ received }) => received.toString().endsWith("xxxxx")));
      for (const [index, client] of clients.entries()) {
        if (index % 2 === 0) client.socket.resetAndDestroy();
        else client.socket.end();
      }
    }
    // Some for connections to the app that are kept for reuse.
    await waitUntil("they are given back", () => sockets() <= before + 24);
  });

  // libuv accepts and closes at once what it has no descriptor for.
  const testEpoll = driver === "epoll" ? test : () => {};
  testEpoll("at the limit of descriptors connections wait", async (context) => {
    const prlimit = requireProgram(context, "prlimit");
    const limit = (most: number | string) => {
      execFileSync(prlimit, ["--pid", `${sidecar.program.pid}`, `--nofile=${most}:`]);
    };
    const open = readdirSync(`/proc/${sidecar.program.pid}/fd`).length;
    limit(open + 6);
    const ask = "GET /bytes/5 HTTP/1.1\r\nhost: plain\r\n\r\n";
    const clients = await Promise.all(Array.from({ length: 30 }, () => openRaw(sidecar.outbound)));
    try {
      for (const client of clients) client.write(ask);
      await waitUntil("accepting fails", () =>
        sidecar.program.lines.some((line) => line.includes("a connection could not be accepted")),
      );
    } finally {
      limit(4096);
    }
    // Each gets an answer; those whose upstream could not be connected to get one that says so.
    await waitUntil("all are answered", () => clients.every(({ received }) => received.length > 0));
    for (const { socket } of clients) socket.destroy();
    const client = createClient("http1", sidecar.outbound);
    expect((await client.send({ host: "plain", path: "/status/200" })).status).toBe(200);
    await client.close();
  });

  test("a worker that dies takes its connections with it and leaves no descriptor", async () => {
    const before = sockets();
    const open = await Promise.all(Array.from({ length: 20 }, () => openRaw(sidecar.outbound)));
    for (const raw of open) raw.write("GET /hang HTTP/1.1\r\nhost: plain\r\n\r\n");
    await waitUntil("they are in flight", async () => (await sidecar.metric("pillion_inflight")) === 20);
    for (let round = 1; round <= 2; round += 1) {
      const restarts = (await sidecar.metric("pillion_worker_restarts_total")) ?? 0;
      sidecar.program.signal("SIGUSR2");
      await waitUntil("a worker is started again", async () => {
        return (await sidecar.metric("pillion_worker_restarts_total")) === restarts + 1;
      });
    }
    await waitUntil("every client sees it", () => open.every(({ socket }) => socket.readableEnded || socket.destroyed));
    for (const { socket } of open) socket.destroy();
    await waitUntil("nothing is left open", () => sockets() <= before);
    await waitUntil("nothing is in flight", async () => (await sidecar.metric("pillion_inflight")) === 0);
  });
});
