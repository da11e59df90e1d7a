// Our server and node:http2's client, our client and node:http2's server, over real sockets.

import { once } from "node:events";
import http2 from "node:http2";
import net, { type AddressInfo } from "node:net";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { CLIENT, loadH2, SERVER } from "../../support/h2.ts";
import type { H2Event } from "../../support/h2-print.ts";
import { echo, H2Pump } from "../../support/h2-pump.ts";

const engine = await loadH2();
const base = engine.exports.poolUsedBytes();

describe("our server, node's client", async () => {
  const server = net.createServer((socket) => new H2Pump(socket, engine.connect(SERVER), echo));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let session: http2.ClientHttp2Session | undefined;
  const connect = (options: http2.ClientSessionOptions = {}): http2.ClientHttp2Session => {
    session = http2.connect(origin, options);
    return session;
  };

  afterEach(async () => {
    if (session !== undefined && !session.closed) {
      session.close();
      await once(session, "close");
    }
    session = undefined;
  });
  afterAll(async () => {
    server.close();
    await once(server, "close");
    expect(engine.exports.poolUsedBytes()).toBe(base);
    expect(engine.exports.streamCount()).toBe(0);
  });

  async function exchange(
    client: http2.ClientHttp2Session,
    headers: http2.OutgoingHttpHeaders,
    body?: Buffer,
    trailers?: http2.OutgoingHttpHeaders,
  ): Promise<{ head: http2.IncomingHttpHeaders; body: Buffer; trailers: http2.IncomingHttpHeaders }> {
    const stream = client.request(headers, { endStream: body === undefined, waitForTrailers: trailers !== undefined });
    if (trailers !== undefined) stream.on("wantTrailers", () => stream.sendTrailers(trailers));
    if (body !== undefined) stream.end(body);
    const parts: Buffer[] = [];
    let got: http2.IncomingHttpHeaders = {};
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("trailers", (fields: http2.IncomingHttpHeaders) => (got = fields));
    const [head] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
    await once(stream, "close");
    return { head, body: Buffer.concat(parts), trailers: got };
  }

  test("a request without a body", async () => {
    const { head, body } = await exchange(connect(), { ":path": "/a?b", "x-name": "ä", "x-long": "y".repeat(9000) });
    expect(head[":status"]).toBe(200);
    expect(head["x-path"]).toBe("/a?b");
    expect(head["x-long"]).toBe("y".repeat(9000));
    expect(body).toHaveLength(0);
  });

  test("HEAD", async () => {
    const { head } = await exchange(connect(), { ":method": "HEAD", ":path": "/" });
    expect(head["content-length"]).toBe("5");
  });

  test("two megabytes there and back, through windows of both sides", async () => {
    const sent = Buffer.alloc(2_000_000);
    for (let index = 0; index < sent.length; index += 1) sent[index] = index * 31;
    const { body } = await exchange(connect(), { ":method": "POST", "content-type": "x/y" }, sent);
    expect(body.equals(sent)).toBe(true);
  });

  test("trailers", async () => {
    const answer = await exchange(connect(), { ":method": "POST" }, Buffer.from("m"), { "grpc-status": "0" });
    expect(answer.body.toString()).toBe("m");
    expect(answer.trailers["grpc-status"]).toBe("0");
  });

  test("two hundred streams at once", async () => {
    const client = connect();
    const bodies = Array.from({ length: 200 }, (_, index) => Buffer.alloc(1 + index * 50, index));
    const answers = await Promise.all(bodies.map((body) => exchange(client, { ":method": "POST" }, body)));
    answers.forEach((answer, index) => {
      expect(answer.body.equals(bodies[index]!)).toBe(true);
    });
  });

  test("a client that grants little, and changes its mind", async () => {
    const client = connect({ settings: { initialWindowSize: 10 } });
    const sent = Buffer.alloc(5000, 7);
    const answer = exchange(client, { ":method": "POST" }, sent);
    await once(client, "remoteSettings");
    client.settings({ initialWindowSize: 100_000 });
    expect((await answer).body.equals(sent)).toBe(true);
  });

  test("a head of many kilobytes is cut into CONTINUATION frames, both ways", async () => {
    const fields = Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`x-f${index}`, "é".repeat(2900)]));
    const { head } = await exchange(connect(), fields);
    expect(head).toMatchObject(fields);
  });

  test("a head above the limit is answered", async () => {
    const client = connect({ maxSendHeaderBlockLength: 200_000 });
    const fields = Object.fromEntries(Array.from({ length: 210 }, (_, index) => [`x-f${index}`, "v"]));
    const { head } = await exchange(client, fields);
    expect(head[":status"]).toBe(431);
  });

  test("a cancelled stream leaves the others alone", async () => {
    const client = connect();
    const cancelled = client.request({ ":method": "POST" });
    cancelled.write("x");
    await once(cancelled, "response");
    cancelled.close(http2.constants.NGHTTP2_CANCEL);
    await once(cancelled, "close");
    expect((await exchange(client, { ":path": "/next" })).head["x-path"]).toBe("/next");
  });

  test("PING", async () => {
    const client = connect();
    await once(client, "connect");
    const payload = await new Promise<Buffer>((resolve, reject) => {
      client.ping(Buffer.from("12345678"), (error, _duration, answer) => (error ? reject(error) : resolve(answer)));
    });
    expect(payload.toString()).toBe("12345678");
  });

  test("settings as they were said", async () => {
    const [settings] = (await once(connect(), "remoteSettings")) as [http2.Settings];
    expect(settings).toMatchObject({
      maxConcurrentStreams: 256,
      initialWindowSize: 262144,
      maxHeaderListSize: 61440,
      enableConnectProtocol: true,
    });
  });
});

describe("our client, node's server", async () => {
  const server = http2.createServer();
  server.on("stream", (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
    stream.on("error", () => undefined);
    switch (headers[":path"]) {
      case "/early":
        stream.additionalHeaders({ ":status": 103, link: "x" });
        stream.respond({ ":status": 200 });
        stream.end("late");
        return;
      case "/refuse":
        stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
        return;
      case "/goaway":
        stream.session!.goaway(http2.constants.NGHTTP2_NO_ERROR, 0);
        return;
      default:
        stream.respond({ ":status": 200, "x-path": headers[":path"]! }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "1" }));
        stream.pipe(stream);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const sockets: net.Socket[] = [];

  afterEach(async () => {
    for (const socket of sockets.splice(0)) {
      if (socket.closed) continue;
      socket.end();
      await once(socket, "close");
    }
  });
  afterAll(async () => {
    server.close();
    await once(server, "close");
    expect(engine.exports.poolUsedBytes()).toBe(base);
    expect(engine.exports.streamCount()).toBe(0);
  });

  /** A ready connection; `until` waits for the n-th event of a name. */
  async function connect(): Promise<{
    pump: H2Pump;
    events: H2Event[];
    until: (name: string, count?: number) => Promise<H2Event>;
  }> {
    const socket = net.connect(port, "127.0.0.1");
    sockets.push(socket);
    await once(socket, "connect");
    const events: H2Event[] = [];
    let wake: () => void = () => undefined;
    const pump = new H2Pump(socket, engine.connect(CLIENT), (event) => {
      events.push(event);
      wake();
    });
    const until = async (name: string, count = 1): Promise<H2Event> => {
      for (;;) {
        const found = events.filter((event) => event.name === name)[count - 1];
        if (found !== undefined) return found;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    };
    await until("READY");
    return { pump, events, until };
  }

  test("a body there and back, with trailers", async () => {
    const { pump, events, until } = await connect();
    const sent = Buffer.alloc(500_000);
    for (let index = 0; index < sent.length; index += 1) sent[index] = index * 17;
    const id = pump.connection.request({ method: "POST", path: "/p", contentLength: sent.length }, false);
    pump.send(id, sent, true);
    pump.flush();
    const trailers = await until("TRAILERS");
    const got = Buffer.concat(events.filter((event) => event.name === "DATA").map((event) => event.bytes));
    expect(got.equals(sent)).toBe(true);
    expect(events.find((event) => event.name === "HEAD")!.head!.fields).toContainEqual(["x-path", "/p"]);
    expect(trailers.head!.fields).toEqual([["x-sum", "1"]]);
    pump.connection.release(id);
  });

  test("an informational response", async () => {
    const { pump, events, until } = await connect();
    pump.connection.request({ path: "/early" }, true);
    pump.flush();
    expect((await until("INFORMATIONAL")).head!.status).toBe(103);
    await until("HEAD");
    expect(events.findIndex((event) => event.name === "INFORMATIONAL")).toBeLessThan(
      events.findIndex((event) => event.name === "HEAD"),
    );
  });

  test("a refused stream", async () => {
    const { pump, until } = await connect();
    pump.connection.request({ path: "/refuse" }, true);
    pump.flush();
    const event = await until("RESET");
    expect([event.code, event.flags]).toEqual([7, 3]);
  });

  test("GOAWAY", async () => {
    const { pump, until } = await connect();
    pump.connection.request({ path: "/goaway" }, true);
    pump.flush();
    expect((await until("GOAWAY")).code).toBe(0);
    expect(engine.exports.canOpenH2(pump.connection.address)).toBe(0);
  });

  test("a hundred requests on one connection", async () => {
    const { pump, events, until } = await connect();
    for (let index = 0; index < 100; index += 1) {
      pump.connection.request({ path: `/${index}`, fields: [["x-n", String(index)]] }, true);
    }
    pump.flush();
    await until("TRAILERS", 100);
    const paths = events.filter((event) => event.name === "HEAD").map((event) => event.head!.fields[0]![1]);
    expect(new Set(paths).size).toBe(100);
  });
});
