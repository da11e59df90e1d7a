// The pump over real sockets and each driver, with an engine whose behaviour each test writes down.

import { once } from "node:events";
import { readdirSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import * as R from "../../../assembly/abi/engine-records.ts";
import { monotonicUs } from "../../../src/base/index.ts";
import { encodeEndpoints } from "../../../src/dataplane/endpoints.ts";
import { Pump } from "../../../src/dataplane/pump.ts";
import type { AcceptFailure } from "../../../src/dataplane/sockets.ts";
import { type Lookup, Upstreams } from "../../../src/dataplane/upstream.ts";
import { openListening } from "../../../src/sidecar/listening.ts";
import { createTestDriver, DRIVER_NAMES } from "../../support/drivers.ts";
import { type Behaviour, type FakeConnection, FakeEngine } from "../../support/fake-engine.ts";

const open: { close(): void }[] = [];
afterEach(() => {
  for (const thing of open.splice(0)) thing.close();
});

const noLookup: Lookup = (_host, callback) => callback(new Error("no names here"), []);

async function listen(server: Server): Promise<number> {
  open.push({ close: () => server.close() });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** A port whose connections go to the pump. */
async function frontOf(pump: Pump, failed: (failure: AcceptFailure) => void = () => undefined): Promise<number> {
  const socket = await openListening({ host: "127.0.0.1", port: 0 }, "--outbound");
  open.push({ close: () => socket.close() });
  const listener = await pump.listen({ kind: R.LISTENER_OUTBOUND, number: 0, descriptor: socket.duplicate() }, failed);
  open.push({ close: () => listener.stop() });
  return socket.address.port;
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

describe.each(DRIVER_NAMES)("%s", (name) => {
  function setUp(behaviour: Behaviour, lookup = noLookup) {
    const fake = new FakeEngine(behaviour);
    const upstreams = new Upstreams(lookup, () => performance.now());
    const logged: Buffer[] = [];
    const { chosen, table } = createTestDriver(name);
    const pump = new Pump({
      engine: fake.engine,
      upstreams,
      createDriver: chosen.create,
      log: (entry) => logged.push(Buffer.from(entry)),
      turned: () => undefined,
    });
    open.push({ close: () => pump.stop() });
    return { fake, upstreams, pump, logged, table };
  }

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

  test("close ends cleanly, abort resets", async () => {
    const { pump } = setUp({
      received: (connection, bytes, fake) => {
        if (bytes.toString() === "abort") {
          fake.record(R.RECORD_CLOSE, connection.handle, 1);
          return;
        }
        fake.write(connection, Buffer.alloc(3_000_000, 3));
      },
      written: (connection, fake) => {
        if (connection.owed === 0) fake.record(R.RECORD_CLOSE, connection.handle, 0);
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
    upstreams.replace(encodeEndpoints([{ slot: 3, generation: 9, host: "127.0.0.1", port }]));
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
    upstreams.replace(
      encodeEndpoints([
        { slot: 0, generation: 1, host: "127.0.0.1", port },
        { slot: 1, generation: 1, host: "nowhere.invalid", port },
        // TEST-NET-1 is swallowed or refused, by the kernel or on the way, before or after a timeout of 0.
        { slot: 2, generation: 1, host: "192.0.2.1", port },
      ]),
    );
    const refused = fake.connect(0, 1, 5_000);
    const unknown = fake.connect(1, 1, 5_000);
    const slow = fake.connect(2, 1, 0);
    const stale = fake.connect(0, 2, 5_000);
    const absent = fake.connect(77, 1, 5_000);
    pump.schedule();
    await expect.poll(() => refused.failure).toBe(R.SOCKET_REFUSED);
    await expect.poll(() => unknown.failure).toBe(R.SOCKET_UNREACHABLE);
    const possible = [R.SOCKET_TIMEOUT, R.SOCKET_UNREACHABLE, R.SOCKET_REFUSED];
    await expect.poll(() => possible.includes(slow.failure ?? -1)).toBe(true);
    expect(stale.failure).toBe(R.SOCKET_UNREACHABLE);
    expect(absent.failure).toBe(R.SOCKET_UNREACHABLE);
    expect(pump.socketCount).toBe(0);
  });

  test("a connect that takes too long is given up", async () => {
    const { fake, upstreams, pump } = setUp({}, () => undefined);
    upstreams.replace(encodeEndpoints([{ slot: 0, generation: 1, host: "slow.example", port: 1 }]));
    const connection = fake.connect(0, 1, 20);
    pump.schedule();
    await expect.poll(() => connection.failure).toBe(R.SOCKET_TIMEOUT);
    expect(pump.socketCount).toBe(0);
  });

  test("a close while a name is looked up is kept", async () => {
    let answer: (() => void) | undefined;
    const { fake, upstreams, pump } = setUp({}, (_host, callback) => {
      answer = () => callback(null, ["127.0.0.1"]);
    });
    upstreams.replace(encodeEndpoints([{ slot: 0, generation: 1, host: "slow.example", port: 1 }]));
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
    fake.deadlineUs = monotonicUs() + 20_000;
    pump.schedule();
    await expect.poll(() => logged.map(String)).toEqual(["entry"]);
  });

  test("when both ends have ended the socket is closed, and nothing is left open", async () => {
    const { fake, pump, table } = setUp(echo);
    const port = await frontOf(pump);
    const before = readdirSync("/proc/self/fd").length;
    const kept = table.list().length;
    for (let round = 0; round < 20; round += 1) {
      const client = dial(port);
      client.end("some");
      expect((await readAll(client)).toString()).toBe("some");
    }
    await expect.poll(() => [...fake.connections.values()].every(({ isOpen }) => !isOpen)).toBe(true);
    expect(fake.connections.size).toBe(20);
    expect(pump.socketCount).toBe(0);
    expect(table.list().length).toBe(kept);
    await expect.poll(() => readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(before);
  });

  test("an end behind bytes that came with it is seen, also when reading was paused meanwhile", async () => {
    let connection: FakeConnection | undefined;
    const { fake, pump } = setUp({
      accepted: (accepted, engine) => {
        connection = accepted;
        engine.record(R.RECORD_PAUSE, accepted.handle);
      },
    });
    const client = dial(await frontOf(pump));
    client.end("last words");
    await once(client, "finish");
    await expect.poll(() => connection).toBeDefined();
    expect(connection!.isEnded).toBe(false);
    fake.record(R.RECORD_RESUME, connection!.handle);
    pump.schedule();
    await expect.poll(() => connection!.isEnded).toBe(true);
    expect(Buffer.concat(connection!.received).toString()).toBe("last words");
    expect(connection!.isOpen).toBe(true);
  });

  test("writing goes on after the peer's FIN, and a reset then is told", async () => {
    const failures: number[] = [];
    let connection: FakeConnection | undefined;
    const { fake, pump } = setUp({
      accepted: (accepted) => {
        connection = accepted;
      },
      closed: (_connection, failure) => failures.push(failure),
    });
    const client = dial(await frontOf(pump));
    client.end("question");
    await expect.poll(() => connection?.isEnded).toBe(true);
    fake.write(connection!, Buffer.from("answer"));
    pump.schedule();
    const [part] = (await once(client, "data")) as [Buffer];
    expect(part.toString()).toBe("answer");
    client.resetAndDestroy();
    // The kernel says so once something is written to it.
    await expect
      .poll(() => {
        if (connection!.isOpen && connection!.owed === 0) fake.write(connection!, Buffer.from("more"));
        pump.schedule();
        return failures;
      })
      .toEqual([R.SOCKET_RESET]);
  });

  test("what a connection wrote before it is closed is flushed with the shutdown behind it", async () => {
    const total = 8 * 1024 * 1024;
    const { fake, pump } = setUp({
      received: (connection, _bytes, engine) => {
        for (let index = 0; index < 100; index += 1) engine.write(connection, Buffer.alloc(total / 100, index));
        engine.record(R.RECORD_SHUTDOWN, connection.handle);
      },
    });
    const client = dial(await frontOf(pump));
    client.write("go");
    const all = await readAll(client);
    expect(all.length).toBe(Math.floor(total / 100) * 100);
    expect(all[all.length - 1]).toBe(99);
    const [connection] = fake.connections.values();
    expect(connection!.owed).toBe(0);
  });

  test("an IPv6 peer's address is told, and an IPv6 upstream reached", async () => {
    const server = createServer((socket) => socket.end("six"));
    server.listen(0, "::1");
    open.push({ close: () => server.close() });
    await once(server, "listening");
    const { fake, upstreams, pump } = setUp({});
    const { port } = server.address() as AddressInfo;
    upstreams.replace(encodeEndpoints([{ slot: 1, generation: 1, host: "::1", port }]));
    const upstream = fake.connect(1, 1, 5_000);
    pump.schedule();
    await expect.poll(() => upstream.isEnded).toBe(true);
    expect(Buffer.concat(upstream.received).toString()).toBe("six");
    const socket = await openListening({ host: "::1", port: 0 }, "--outbound");
    open.push({ close: () => socket.close() });
    const offer = { kind: R.LISTENER_OUTBOUND, number: 0, descriptor: socket.duplicate() };
    const listener = await pump.listen(offer, () => undefined);
    open.push({ close: () => listener.stop() });
    const client = connect({ port: socket.address.port, host: "::1" });
    open.push({ close: () => client.destroy() });
    await expect.poll(() => [...fake.connections.values()].some(({ peer }) => peer === "::1")).toBe(true);
  });

  test("timers and messages of the thread are served while sockets are busy", async () => {
    const { pump } = setUp(echo);
    const port = await frontOf(pump);
    const client = dial(port);
    let echoed = 0;
    client.on("data", (part) => {
      echoed += part.length;
      client.write(part);
    });
    client.write("ball");
    let ticks = 0;
    const timer = setInterval(() => {
      ticks += 1;
    }, 5);
    open.push({ close: () => clearInterval(timer) });
    await expect.poll(() => ticks).toBeGreaterThan(20);
    const before = echoed;
    await expect.poll(() => echoed).toBeGreaterThan(before);
  });
});
