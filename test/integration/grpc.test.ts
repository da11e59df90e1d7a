// gRPC between @grpc/grpc-js and @grpc/grpc-js, through an outbound alone and through a pair of sidecars.

import { Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createGrpcClient, type GrpcServer, startGrpcServer } from "../support/foreign-grpc.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";

describe.each(["outbound", "pair"] as const)("through %s", (via) => {
  let server: GrpcServer;
  let mesh: MeshFolder;
  let outbound: Sidecar;
  let inbound: Sidecar | undefined;
  let client: ReturnType<typeof createGrpcClient>;

  beforeAll(async () => {
    server = await startGrpcServer("a");
    mesh = createMesh({ services: { echo: { protocol: "grpc" } } });
    if (via === "pair") {
      const app = { service: "echo", address: server.address, id: "a" };
      inbound = await startSidecar({ mesh, app, flags: ["--outbound", "off"] });
    }
    const address = inbound?.inbound ?? server.address;
    const instances = [{ id: "a", address, sidecar: via === "pair" }];
    mesh.write({
      services: {
        echo: { protocol: "grpc", instances },
        slow: { protocol: "grpc", timeout: { request: "100ms" }, instances },
        empty: { protocol: "grpc" },
      },
    });
    outbound = await startSidecar({ mesh });
    await outbound.waitForInstances("echo", ["a"]);
    client = createGrpcClient(outbound.outbound, "echo");
  });

  afterAll(async () => {
    client.close();
    await outbound.stop();
    await inbound?.stop();
    await server.close();
    await mesh[Symbol.asyncDispose]();
  });

  test("unary: reply, metadata, every status code with its details", async () => {
    const metadata = new Metadata();
    metadata.set("x-mine", "yes");
    metadata.set("x-bytes-bin", Buffer.from([0, 255, 128]));
    expect(await client.unary("hello", metadata)).toMatchObject({ code: status.OK, reply: "a: hello" });
    expect(server.metadata.get("x-mine")).toEqual(["yes"]);
    expect(server.metadata.get("x-bytes-bin")).toEqual([Buffer.from([0, 255, 128])]);
    for (let code = 1; code <= 16; code += 1) {
      expect(await client.unary(`fail ${code}`)).toMatchObject({ code, details: "as asked" });
    }
  });

  test("client streaming and server streaming, thousands of messages", async () => {
    const messages = Array.from({ length: 3000 }, (_, index) => "x".repeat(index % 100));
    const total = messages.reduce((sum, message) => sum + message.length, 0);
    expect(await client.clientStream(messages)).toMatchObject({ code: status.OK, reply: `3000 ${total}` });
    const received: number[] = [];
    for await (const message of client.serverStream("3000")) received.push(Number(message.toString()));
    expect(received).toEqual(Array.from({ length: 3000 }, (_, index) => index + 1));
  });

  test("bidirectional: each answer before the next question", async () => {
    const call = client.bidi();
    const replies = call[Symbol.asyncIterator]();
    for (let round = 0; round < 50; round += 1) {
      call.write(Buffer.from(`round ${round}`));
      expect((await replies.next()).value.toString()).toBe(`round ${round}`);
    }
    call.end();
    expect((await replies.next()).done).toBe(true);
  });

  test("large messages", async () => {
    const body = "x".repeat(3_000_000);
    const { code, reply } = await client.unary(body);
    expect([code, reply?.length]).toEqual([status.OK, body.length + 3]);
  });

  test("hundreds of calls at once on one connection", async () => {
    const outcomes = await Promise.all(Array.from({ length: 500 }, (_, index) => client.unary(`${index}`)));
    expect(outcomes.map(({ reply }) => reply)).toEqual(Array.from({ length: 500 }, (_, index) => `a: ${index}`));
  });

  test("the caller's deadline travels and ends the call on both sides", async () => {
    const { cancelled } = server;
    const startMs = Date.now();
    const outcome = await client.unary("wait", new Metadata(), { deadline: startMs + 300 });
    expect(outcome.code).toBe(status.DEADLINE_EXCEEDED);
    await waitUntil("the server saw it end", () => server.cancelled === cancelled + 1);
    // The server was told the deadline: about the client's, and in any case not none.
    expect(Number(server.deadline)).toBeGreaterThan(startMs);
    expect(Number(server.deadline)).toBeLessThan(startMs + 60_000);
  });

  test("the mesh's deadline ends a call that has none", async () => {
    await using slow = createGrpcClient(outbound.outbound, "slow");
    const { cancelled } = server;
    const outcome = await slow.unary("wait");
    expect(outcome.code).toBe(status.DEADLINE_EXCEEDED);
    expect(outcome.metadata.get("x-pillion-reason")).toEqual(["request-timeout"]);
    await waitUntil("the server saw it end", () => server.cancelled === cancelled + 1);
  });

  test("a cancelled call is cancelled at the server, every time", async () => {
    const { cancelled } = server;
    const rounds = 200;
    for (let round = 1; round <= rounds; round += 1) {
      const { calls } = server;
      const call = client.unary("wait");
      await waitUntil("the server has the call", () => server.calls === calls + 1);
      call.cancel();
      expect((await call).code).toBe(status.CANCELLED);
      await waitUntil("the server saw it end", () => server.cancelled === cancelled + round);
    }
  });

  test("a cancelled stream is cancelled at the server", async () => {
    const { cancelled } = server;
    const call = client.serverStream("forever");
    let messages = 0;
    await expect(async () => {
      for await (const _message of call) {
        messages += 1;
        if (messages === 3) call.cancel();
      }
    }).rejects.toMatchObject({ code: status.CANCELLED });
    await waitUntil("the server saw it end", () => server.cancelled === cancelled + 1);
  });

  test("a stream that the server breaks off is an error at the client", async () => {
    const other = await startGrpcServer("b");
    await using brokenMesh = createMesh({
      services: { echo: { protocol: "grpc", instances: [{ id: "b", address: other.address }] } },
    });
    await using sidecar = await startSidecar({ mesh: brokenMesh });
    await using broken = createGrpcClient(sidecar.outbound, "echo");
    const messages: string[] = [];
    await expect(async () => {
      for await (const message of broken.serverStream("forever")) {
        messages.push(message.toString());
        if (messages.length === 3) await other.close();
      }
    }).rejects.toMatchObject({ code: expect.toSatisfy((code) => code !== status.OK) });
    expect(messages.length).toBeGreaterThanOrEqual(3);
  });

  test("own answers are gRPC's: code, message, reason", async () => {
    await using nobody = createGrpcClient(outbound.outbound, "nobody");
    const outcome = await nobody.unary("x");
    expect(outcome.code).toBe(status.UNIMPLEMENTED);
    expect(outcome.metadata.get("x-pillion-reason")).toEqual(["no-route"]);
    expect(outcome.details).toMatch(/route/);
    await using empty = createGrpcClient(outbound.outbound, "empty");
    const without = await empty.unary("x");
    expect(without.code).toBe(status.UNAVAILABLE);
    expect(without.metadata.get("x-pillion-reason")).toEqual(["no-instance"]);
  });
});
