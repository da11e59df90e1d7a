// Services of TCP: their connections are balanced, counted, limited and logged, and carried as they are.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { createRandom } from "../../src/base/index.ts";
import { DRIVER_NAMES } from "../support/drivers.ts";
import { type ForeignServer, startTcpServer } from "../support/foreign-servers.ts";
import { closedAddress } from "../support/ports.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type InstanceRow, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";

const MIB = 2 ** 20;

/** A server that speaks first, as mail and databases do, then echoes. */
function startGreeter(name: string): Promise<ForeignServer> {
  return startTcpServer((socket) => {
    socket.write(`hello from ${name}\n`);
    socket.pipe(socket);
  });
}

function dial(address: string): Socket {
  const [host = "", port = ""] = address.split(":");
  const socket = connect({ host, port: Number(port), allowHalfOpen: true });
  socket.on("error", () => undefined);
  return socket;
}

async function greetingOf(socket: Socket): Promise<string> {
  const [bytes] = (await once(socket, "data")) as [Buffer];
  return bytes.toString();
}

/** How a connection ends of which nothing is expected. */
async function endOf(socket: Socket): Promise<string> {
  const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
  return error.code ?? "";
}

interface Mesh {
  readonly mesh: MeshFolder;
  readonly sidecar: Sidecar;
  readonly port: string;
}

async function startMesh(stack: AsyncDisposableStack, service: object, flags: readonly string[] = []): Promise<Mesh> {
  const mesh = stack.use(createMesh({ services: { db: { protocol: "tcp", ...service } } }));
  const listen = ["--listen", "127.0.0.1:0=db", ...flags];
  const sidecar = stack.use(await startSidecar({ mesh, flags: listen }));
  return { mesh, sidecar, port: sidecar.ports["listen db"] ?? "" };
}

async function rowsOf(sidecar: Sidecar): Promise<readonly InstanceRow[]> {
  return (await sidecar.read<{ instances: InstanceRow[] }>("/instances")).instances;
}

describe.each(DRIVER_NAMES)("%s", (driver) => {
  const flags = ["--socket-driver", driver];

  test("connections go where the fewest are, over both workers, and are counted", async () => {
    await using stack = new AsyncDisposableStack();
    const servers = await Promise.all(["a", "b", "c"].map(startGreeter));
    for (const server of servers) stack.use(server);
    const instances = servers.map(({ address }, index) => ({ id: "abc"[index], address }));
    const { sidecar, port } = await startMesh(stack, { instances }, [...flags, "--workers", "2"]);
    const sockets: Socket[] = [];
    for (let count = 0; count < 12; count += 1) {
      const socket = dial(port);
      sockets.push(socket);
      expect(await greetingOf(socket)).toMatch(/^hello from [abc]\n$/);
    }
    expect(servers.map(({ open }) => open)).toEqual([4, 4, 4]);
    expect((await rowsOf(sidecar)).map(({ inFlight, connections }) => [inFlight, connections])).toEqual([
      [4, 4],
      [4, 4],
      [4, 4],
    ]);
    // Three of one instance's go: the next three are its own.
    const gone = sockets.filter((socket) => socket.localPort !== undefined).slice(0, 3);
    for (const socket of gone) socket.end();
    await waitUntil("they are gone", async () => {
      const rows = await rowsOf(sidecar);
      return rows.reduce((sum, { inFlight }) => sum + inFlight, 0) === 9;
    });
    for (const _ of gone) sockets.push(dial(port));
    await Promise.all(sockets.slice(-3).map(greetingOf));
    expect(servers.map(({ open }) => open)).toEqual([4, 4, 4]);
    const of = { direction: "outbound", service: "db" };
    expect(await sidecar.metric("pillion_tcp_connections_total", of)).toBe(15);
    await waitUntil("12 are open", async () => (await sidecar.metric("pillion_tcp_connections_open", of)) === 12);
    for (const socket of sockets) socket.destroy();
  });

  test("bytes, half-closes and resets are carried as they are", async () => {
    await using stack = new AsyncDisposableStack();
    let paused: Socket | undefined;
    const server = stack.use(
      await startTcpServer((socket) => {
        socket.once("data", (bytes) => {
          if (bytes[0] === 0x72) socket.resetAndDestroy(); // "r"
          if (bytes[0] === 0x70) paused = socket.pause(); // "p"
          if (bytes[0] === 0x65) socket.on("data", (more) => socket.write(more)).write(bytes); // "e"
        });
        socket.on("end", () => socket.end("|bye"));
      }),
    );
    const { sidecar, port } = await startMesh(stack, { instances: [{ id: "a", address: server.address }] }, flags);
    // 16 MiB there and back, while both are read; the client's FIN comes first, the server's answer to it behind.
    const socket = dial(port);
    const payload = Buffer.alloc(16 * MIB, "e0123456789");
    socket.end(payload);
    const parts: Buffer[] = [];
    for await (const part of socket) parts.push(part as Buffer);
    expect(Buffer.compare(Buffer.concat(parts), Buffer.concat([payload, Buffer.from("|bye")]))).toBe(0);
    // Who does not read makes the other wait.
    const writer = dial(port);
    writer.write("p");
    await waitUntil("the server has stopped reading", async () => paused !== undefined);
    let isFull = false;
    for (let sent = 0; sent < 64 * MIB && !isFull; sent += MIB) {
      writer.write(Buffer.alloc(MIB));
      await new Promise((resolve) => setImmediate(resolve));
      isFull = writer.writableLength > 16 * MIB;
    }
    expect(isFull).toBe(true);
    writer.destroy();
    paused?.destroy();
    // A server's reset is the client's, and the client's the server's.
    const reset = dial(port);
    reset.write("r");
    expect(await endOf(reset)).toBe("ECONNRESET");
    const rude = dial(port);
    rude.write("e");
    await once(rude, "data");
    const { open } = server;
    rude.resetAndDestroy();
    await waitUntil("the server's connection is gone", async () => server.open < open);
    const of = { direction: "outbound", service: "db" };
    await waitUntil("all is counted", async () => {
      const ended = await sidecar.metric("pillion_tcp_connections_closed_total", { ...of, reason: "client-gone" });
      return (ended ?? 0) >= 1;
    });
    expect(await sidecar.metric("pillion_tcp_connections_closed_total", { ...of, reason: "closed" })).toBe(1);
    const resets = await sidecar.metric("pillion_tcp_connections_closed_total", { ...of, reason: "upstream-reset" });
    expect(resets).toBeGreaterThanOrEqual(1);
    expect(await sidecar.metric("pillion_tcp_sent_bytes_total", of)).toBe(16 * MIB + 5);
  });

  test("who is not there is stepped over, and then set aside", async () => {
    await using stack = new AsyncDisposableStack();
    const server = stack.use(await startGreeter("b"));
    const instances = [
      { id: "a", address: await closedAddress() },
      { id: "b", address: server.address },
    ];
    const service = { instances, outlier: { consecutiveFailures: 3 } };
    const { sidecar, port } = await startMesh(stack, service, flags);
    const sockets: Socket[] = [];
    for (let count = 0; count < 10; count += 1) {
      const socket = dial(port);
      sockets.push(socket);
      expect(await greetingOf(socket)).toBe("hello from b\n");
    }
    const of = { direction: "outbound", service: "db" };
    expect(await sidecar.metric("pillion_tcp_connect_failures_total", of)).toBeGreaterThanOrEqual(3);
    expect((await rowsOf(sidecar)).find(({ id }) => id === "a")).toMatchObject({ state: "ejected", inFlight: 0 });
    for (const socket of sockets) socket.destroy();
  });

  test("nobody there, too many, too long: reset, with a reason in the log", async () => {
    await using stack = new AsyncDisposableStack();
    const server = stack.use(await startGreeter("a"));
    const limits = { limits: { connections: 2 }, timeout: { idle: "1s" } };
    const service = { ...limits, instances: [{ id: "a", address: server.address }] };
    const { mesh, sidecar, port } = await startMesh(stack, service, flags);
    const two = [dial(port), dial(port)];
    await Promise.all(two.map(greetingOf));
    expect(await endOf(dial(port))).toBe("ECONNRESET");
    const [line = ""] = await sidecar.program.waitForLine(/^.*"reason":"overflow".*$/);
    expect(JSON.parse(line)).toMatchObject({ protocol: "tcp", service: "db", level: "warn" });
    expect(line).toContain("limits.connections");
    // Both are idle, and give their places back.
    expect(await Promise.all(two.map(endOf))).toEqual(["ECONNRESET", "ECONNRESET"]);
    // The sidecar hears of the closes a moment after their resets were sent.
    await waitUntil("a place is free", async () => {
      const next = dial(port);
      const greeting = await greetingOf(next).catch(() => "");
      next.destroy();
      return greeting === "hello from a\n";
    });
    mesh.write({
      services: { db: { protocol: "tcp", ...limits, instances: [{ id: "z", address: await closedAddress() }] } },
    });
    await sidecar.waitForInstances("db", ["z"]);
    expect(await endOf(dial(port))).toBe("ECONNRESET");
    await sidecar.program.waitForLine(/"reason":"connect-failed"/);
    mesh.write({ services: { db: { protocol: "tcp", ...limits } } });
    await sidecar.waitForInstances("db", []);
    expect(await endOf(dial(port))).toBe("ECONNRESET");
    await sidecar.program.waitForLine(/"reason":"no-instance"/);
  });

  test("from sidecar to sidecar, to an app of TCP", async () => {
    await using stack = new AsyncDisposableStack();
    const app = stack.use(await startGreeter("app"));
    const mesh = stack.use(createMesh({ services: { db: { protocol: "tcp" } } }));
    const own = { mesh, app: { service: "db", address: app.address }, flags: [...flags, "--drain", "500ms"] };
    const behind = stack.use(await startSidecar(own));
    const instances = [{ id: "a", address: behind.inbound, sidecar: true }];
    const { port } = await startMesh(stack, { instances }, flags);
    const socket = dial(port);
    expect(await greetingOf(socket)).toBe("hello from app\n");
    socket.end("bytes");
    const rest: Buffer[] = [];
    for await (const part of socket) rest.push(part as Buffer);
    expect(Buffer.concat(rest).toString()).toBe("bytes");
    expect(await behind.metric("pillion_tcp_connections_total", { direction: "inbound", service: "db" })).toBe(1);
  });
});

test("what lasts longer than --drain is reset, not said to be complete", async () => {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startGreeter("a"));
  const { sidecar, port } = await startMesh(stack, { instances: [{ id: "a", address: server.address }] }, [
    ...["--drain", "300ms"],
  ]);
  const socket = dial(port);
  await greetingOf(socket);
  const end = endOf(socket);
  await waitUntil("it is shown", async () => {
    const { connections } = await sidecar.read<{ connections: readonly object[] }>("/connections?service=db");
    return connections.length === 1;
  });
  const { connections } = await sidecar.read<{ connections: readonly object[] }>("/connections");
  expect(connections).toEqual([expect.objectContaining({ service: "db", instance: "a", bytesSent: 13 })]);
  sidecar.program.signal("SIGTERM");
  expect(await end).toBe("ECONNRESET");
  await sidecar.program.ended;
});

test("a line for each connection in the access log", async () => {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startGreeter("a"));
  const instances = [{ id: "a", address: server.address }];
  const { sidecar, port } = await startMesh(stack, { instances }, ["--access-log", "json"]);
  const socket = dial(port);
  await greetingOf(socket);
  socket.end("123");
  await once(socket.resume(), "close");
  const [line = ""] = await sidecar.program.waitForLine(/^.*"msg":"connection".*$/);
  expect(JSON.parse(line)).toMatchObject({
    ...{ protocol: "tcp", direction: "outbound", peer: "127.0.0.1", service: "db", instance: "a", reason: "closed" },
    ...{ attempts: 1, bytesReceived: 3, bytesSent: 16 },
  });
});

test("who drains or leaves takes nothing new, and keeps what it has", async () => {
  await using stack = new AsyncDisposableStack();
  const [first, second] = [stack.use(await startGreeter("a")), stack.use(await startGreeter("b"))];
  const both = (state: string) => ({
    services: {
      db: {
        protocol: "tcp",
        instances: [
          { id: "a", address: first.address, state },
          { id: "b", address: second.address },
        ],
      },
    },
  });
  const { mesh, sidecar, port } = await startMesh(stack, both("ready").services.db);
  const old = [dial(port), dial(port)];
  expect((await Promise.all(old.map(greetingOf))).sort()).toEqual(["hello from a\n", "hello from b\n"]);
  mesh.write(both("draining"));
  await sidecar.waitForInstances("db", ["b"]);
  const fresh = [dial(port), dial(port)];
  expect(await Promise.all(fresh.map(greetingOf))).toEqual(["hello from b\n", "hello from b\n"]);
  mesh.write({ services: { db: { protocol: "tcp", instances: [{ id: "b", address: second.address }] } } });
  await waitUntil("a is gone", async () => (await rowsOf(sidecar)).length === 1);
  for (const socket of old) {
    socket.end("still here");
    const parts: Buffer[] = [];
    for await (const part of socket) parts.push(part as Buffer);
    expect(Buffer.concat(parts).toString()).toBe("still here");
  }
  for (const socket of fresh) socket.destroy();
});

test("an app that uses its sidecar as a proxy reaches it by CONNECT, and by nothing else", async () => {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startGreeter("a"));
  const { sidecar } = await startMesh(stack, { instances: [{ id: "a", address: server.address }] });
  const ask = async (head: string, until: RegExp): Promise<string> => {
    const socket = dial(sidecar.outbound);
    socket.write(`${head}\r\n\r\n`);
    let text = "";
    for await (const part of socket) {
      text += String(part);
      if (until.test(text)) break;
    }
    return text;
  };
  expect(await ask("CONNECT db:5432 HTTP/1.1\r\nhost: db:5432", /hello from a\n$/)).toMatch(/^HTTP\/1\.1 200 /);
  expect(await ask("GET / HTTP/1.1\r\nhost: db", /\}\s*$/)).toMatch(
    /^HTTP\/1\.1 404 [\s\S]*x-pillion-reason: no-route/,
  );
});

test("whatever ends them, connections give back what they held", async () => {
  await using stack = new AsyncDisposableStack();
  const seed = 20_261_121;
  const random = createRandom(seed);
  const server = stack.use(
    await startTcpServer((socket) => {
      const fate = random.below(4);
      if (fate === 0) socket.resetAndDestroy();
      else if (fate === 1) socket.end("bye");
      else socket.pipe(socket);
    }),
  );
  const instances = [
    { id: "a", address: server.address },
    { id: "b", address: await closedAddress() },
  ];
  const { sidecar, port } = await startMesh(stack, { instances, limits: { connections: 40 } }, ["--workers", "2"]);
  for (let round = 0; round < 10; round += 1) {
    const closes = Array.from({ length: 30 }, () => {
      const socket = dial(port);
      const closed = once(socket, "close").catch(() => undefined);
      socket.resume().write(Buffer.alloc(random.below(200_000)));
      const fate = random.below(3);
      if (fate === 0) socket.end();
      else setImmediate(() => (fate === 1 ? socket.resetAndDestroy() : socket.destroy()));
      socket.on("end", () => socket.end());
      return closed;
    });
    await Promise.all(closes);
  }
  await waitUntil(`nothing is held any more (seed ${seed})`, async () => {
    const rows = await rowsOf(sidecar);
    return rows.every(({ inFlight, connections, pending }) => inFlight + connections + pending === 0);
  });
  await waitUntil("none is open", async () => (await sidecar.metric("pillion_tcp_connections_open")) === 0);
  const taken = await sidecar.metric("pillion_tcp_connections_total", { service: "db" });
  expect(await sidecar.metric("pillion_tcp_connections_closed_total", { service: "db" })).toBe(taken);
  // Every place of the limit is free again: none of 40 is refused for it.
  const sockets = Array.from({ length: 40 }, () => dial(port));
  const before = await sidecar.metric("pillion_tcp_connections_closed_total", { service: "db", reason: "overflow" });
  await waitUntil("all are seen", async () => {
    const seen = await sidecar.metric("pillion_tcp_connections_total", { service: "db" });
    return seen === (taken ?? 0) + 40;
  });
  expect(await sidecar.metric("pillion_tcp_connections_closed_total", { service: "db", reason: "overflow" })).toBe(
    before,
  );
  for (const socket of sockets) socket.destroy();
});
