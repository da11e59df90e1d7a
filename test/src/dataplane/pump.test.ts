// The pump over real sockets, with an engine whose behaviour each test writes down.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import * as R from "../../../assembly/abi/engine-records.ts";
import { Pump } from "../../../src/dataplane/pump.ts";
import { type Lookup, Upstreams } from "../../../src/dataplane/upstream.ts";
import { type Behaviour, type FakeConnection, FakeEngine } from "../../support/fake-engine.ts";

const open: { close(): void }[] = [];
afterEach(() => {
  for (const thing of open.splice(0)) thing.close();
});

const noLookup: Lookup = (_host, callback) => callback(new Error("no names here"), []);

function setUp(behaviour: Behaviour, lookup = noLookup) {
  const fake = new FakeEngine(behaviour);
  const upstreams = new Upstreams(lookup, () => performance.now());
  const logged: Buffer[] = [];
  const pump = new Pump({
    engine: fake.engine,
    upstreams,
    log: (entry) => logged.push(Buffer.from(entry)),
    turned: () => undefined,
  });
  return { fake, upstreams, pump, logged };
}

async function listen(server: Server): Promise<number> {
  open.push({ close: () => server.close() });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function frontOf(pump: Pump): Promise<number> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
  server.on("connection", (socket) => pump.accept(socket, { kind: R.LISTENER_OUTBOUND, number: 0 }));
  const port = await listen(server);
  return port;
}

function dial(port: number): Socket {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => undefined);
  open.push({ close: () => socket.destroy() });
  return socket;
}

async function readAll(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

const echo: Behaviour = {
  received: (connection, bytes, fake) => fake.write(connection, bytes),
  ended: (connection, fake) => fake.record(R.RECORD_SHUTDOWN, connection.handle),
};

test("bytes go in and out, the half-close is carried, and both ends learn of the end", async () => {
  const closes: number[] = [];
  const { fake, pump } = setUp({ ...echo, closed: (_connection, failure) => closes.push(failure) });
  const client = dial(await frontOf(pump));
  const payload = Buffer.alloc(1_500_000, "pillion ");
  client.end(payload);
  expect(Buffer.compare(await readAll(client), payload)).toBe(0);
  await expect.poll(() => closes).toEqual([R.SOCKET_CLOSED]);
  const [connection] = fake.connections.values();
  expect(connection!.peer).toBe("127.0.0.1");
  expect(connection!.isEnded).toBe(true);
  expect(connection!.writtenBytes).toBe(payload.length);
  expect(pump.socketCount).toBe(0);
});

test("several writes in a row arrive in order", async () => {
  const { pump } = setUp({
    accepted: (connection, fake) => {
      for (let index = 0; index < 100; index += 1) fake.write(connection, Buffer.from(`${index},`));
      fake.record(R.RECORD_SHUTDOWN, connection.handle);
    },
  });
  const client = dial(await frontOf(pump));
  const text = (await readAll(client)).toString();
  expect(text).toBe(Array.from({ length: 100 }, (_, index) => `${index},`).join(""));
  client.end();
});

test("bytes count as written only when the peer's kernel has room for them", async () => {
  let connection: FakeConnection | undefined;
  const { fake, pump } = setUp({
    accepted: (accepted) => {
      connection = accepted;
    },
  });
  const client = dial(await frontOf(pump));
  client.once("readable", () => undefined);
  await expect.poll(() => connection).toBeDefined();
  const total = 64 * 1024 * 1024;
  fake.write(connection!, Buffer.alloc(total / 2, 1));
  fake.write(connection!, Buffer.alloc(total / 2, 2));
  pump.schedule();
  // Loopback takes some MiB; the rest waits, and none of it is reported before the write as a whole is done.
  await expect.poll(() => client.readableLength).toBeGreaterThan(0);
  expect(connection!.writtenBytes).toBeLessThan(total);
  let read = 0;
  client.on("data", (part) => {
    read += part.length;
  });
  await expect.poll(() => read, { timeout: 20_000 }).toBe(total);
  await expect.poll(() => connection!.owed).toBe(0);
  expect(connection!.writtenBytes).toBe(total);
});

test("a paused connection is not read, and goes on where it stopped", async () => {
  let connection: FakeConnection | undefined;
  const { fake, pump } = setUp({
    accepted: (accepted, engine) => {
      connection = accepted;
      engine.record(R.RECORD_PAUSE, accepted.handle);
    },
  });
  const client = dial(await frontOf(pump));
  await expect.poll(() => connection).toBeDefined();
  const total = 32 * 1024 * 1024;
  client.end(Buffer.alloc(total, 7));
  const receivedBytes = () => connection!.received.reduce((sum, part) => sum + part.length, 0);
  // The client's kernel and ours fill up, then nothing moves: the client cannot have sent all of it.
  await expect.poll(() => client.writableLength).toBeGreaterThan(0);
  const before = receivedBytes();
  expect(before).toBeLessThan(total / 2);
  expect(connection!.isEnded).toBe(false);
  fake.record(R.RECORD_RESUME, connection!.handle);
  pump.schedule();
  await expect.poll(receivedBytes, { timeout: 20_000 }).toBe(total);
  await expect.poll(() => connection!.isEnded).toBe(true);
});

test("close flushes, abort resets", async () => {
  const { pump } = setUp({
    received: (connection, bytes, fake) => {
      if (bytes.toString() === "abort") {
        fake.record(R.RECORD_CLOSE, connection.handle, 1);
        return;
      }
      fake.write(connection, Buffer.alloc(3_000_000, 3));
      fake.record(R.RECORD_CLOSE, connection.handle, 0);
    },
  });
  const port = await frontOf(pump);
  const polite = dial(port);
  polite.write("close");
  expect((await readAll(polite)).length).toBe(3_000_000);
  polite.end();
  const rude = dial(port);
  rude.write("abort");
  const [error] = (await once(rude, "error")) as [NodeJS.ErrnoException];
  expect(error.code).toBe("ECONNRESET");
  expect(pump.socketCount).toBe(0);
});

test("a peer's reset is told as such", async () => {
  const failures: number[] = [];
  const { fake, pump } = setUp({ ...echo, closed: (_connection, failure) => failures.push(failure) });
  const client = dial(await frontOf(pump));
  client.write("x");
  await expect.poll(() => fake.connections.size).toBe(1);
  client.resetAndDestroy();
  await expect.poll(() => failures).toEqual([R.SOCKET_RESET]);
});

test("a full engine's socket is closed and leaves nothing behind", async () => {
  const { fake, pump } = setUp(echo);
  fake.isFull = true;
  const client = dial(await frontOf(pump));
  expect((await readAll(client)).length).toBe(0);
  expect(pump.socketCount).toBe(0);
});

test("an upstream is connected, written to and read", async () => {
  const server = createServer((socket) => socket.pipe(socket));
  const port = await listen(server);
  const { fake, upstreams, pump } = setUp({
    connected: (connection, engine) => {
      engine.write(connection, Buffer.from("ping"));
      engine.record(R.RECORD_SHUTDOWN, connection.handle);
    },
  });
  upstreams.replace([{ slot: 3, generation: 9, host: "127.0.0.1", port }]);
  const connection = fake.connect(3, 9, 1_000);
  pump.schedule();
  await expect.poll(() => connection.failure).toBe(R.SOCKET_CLOSED);
  expect(Buffer.concat(connection.received).toString()).toBe("ping");
  expect(connection.isEnded).toBe(true);
});

test("a connect that fails says how", async () => {
  const server = createServer();
  const port = await listen(server);
  server.close();
  const { fake, upstreams, pump } = setUp({});
  upstreams.replace([
    { slot: 0, generation: 1, host: "127.0.0.1", port },
    { slot: 1, generation: 1, host: "nowhere.invalid", port },
    // TEST-NET-1 over loopback is refused by the kernel or swallowed; a timeout of 0 comes first either way.
    { slot: 2, generation: 1, host: "192.0.2.1", port },
  ]);
  const refused = fake.connect(0, 1, 5_000);
  const unknown = fake.connect(1, 1, 5_000);
  const slow = fake.connect(2, 1, 0);
  const stale = fake.connect(0, 2, 5_000);
  const absent = fake.connect(77, 1, 5_000);
  pump.schedule();
  await expect.poll(() => refused.failure).toBe(R.SOCKET_REFUSED);
  await expect.poll(() => unknown.failure).toBe(R.SOCKET_UNREACHABLE);
  await expect.poll(() => [R.SOCKET_TIMEOUT, R.SOCKET_UNREACHABLE].includes(slow.failure ?? -1)).toBe(true);
  expect(stale.failure).toBe(R.SOCKET_UNREACHABLE);
  expect(absent.failure).toBe(R.SOCKET_UNREACHABLE);
  expect(pump.socketCount).toBe(0);
});

test("a close while a name is looked up is kept", async () => {
  let answer: (() => void) | undefined;
  const { fake, upstreams, pump } = setUp({}, (_host, callback) => {
    answer = () => callback(null, ["127.0.0.1"]);
  });
  upstreams.replace([{ slot: 0, generation: 1, host: "slow.example", port: 1 }]);
  const connection = fake.connect(0, 1, 5_000);
  pump.schedule();
  await expect.poll(() => answer).toBeDefined();
  fake.record(R.RECORD_CLOSE, connection.handle, 1);
  pump.schedule();
  await expect.poll(() => pump.socketCount).toBe(0);
  answer!();
  expect(pump.socketCount).toBe(0);
});

test("the engine's deadline brings an advance, and log entries are handed on", async () => {
  const { fake, pump, logged } = setUp({
    advanced: (_nowUs, engine) => {
      engine.engine.bytes.write("entry", 4096, "latin1");
      engine.record(R.RECORD_LOG, 0, 4096, 5);
    },
  });
  fake.deadlineUs = performance.now() * 1_000 + 20_000;
  pump.schedule();
  await expect.poll(() => logged.map(String)).toEqual(["entry"]);
});
