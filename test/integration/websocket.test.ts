// Upgrades: WebSocket between foreign ends (ws), and what any other upgrade needs of a tunnel.

import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { openRaw } from "../support/foreign-clients.ts";
import {
  type ForeignServer,
  startTcpServer,
  startWebSocketServer,
  startWebSocketServerH2,
} from "../support/foreign-servers.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";

describe.each(["outbound", "pair"] as const)("through %s", (via) => {
  let servers: ForeignServer[];
  let mesh: MeshFolder;
  let outbound: Sidecar;
  const inbounds: Sidecar[] = [];

  beforeAll(async () => {
    // Answers the upgrade by hand and sends back whatever comes, until the other side ends, and then a farewell.
    const echo = await startTcpServer((socket) => {
      let isUpgraded = false;
      socket.on("data", (chunk: Buffer) => {
        if (isUpgraded) socket.write(chunk);
        else {
          isUpgraded = true;
          socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nfirst");
        }
      });
      socket.on("end", () => socket.end("farewell"));
    });
    servers = [await startWebSocketServer(), echo];
    mesh = createMesh({ services: { ws: {}, echo: {} } });
    const services: Record<string, unknown> = {};
    for (const [index, service] of ["ws", "echo"].entries()) {
      let address = servers[index]?.address ?? "";
      if (via === "pair") {
        const app = { service, address, id: "a" };
        const inbound = await startSidecar({ mesh, app, flags: ["--outbound", "off", "--app-protocol", "http1"] });
        inbounds.push(inbound);
        address = inbound.inbound;
      }
      services[service] = { instances: [{ id: "a", address, sidecar: via === "pair" }] };
    }
    mesh.write({ services });
    outbound = await startSidecar({ mesh });
    await outbound.waitForInstances("echo", ["a"]);
  });

  afterAll(async () => {
    await outbound.stop();
    for (const inbound of inbounds) await inbound.stop();
    for (const server of servers) await server.close();
    await mesh[Symbol.asyncDispose]();
  });

  async function openWebSocket(): Promise<WebSocket> {
    const socket = new WebSocket(`ws://${outbound.outbound}/chat`, {
      headers: { host: "ws" },
      perMessageDeflate: false,
    });
    await once(socket, "open");
    return socket;
  }

  test("messages come back: text, binary, large, many", async () => {
    const socket = await openWebSocket();
    const messages = ["hello", Buffer.from([0, 1, 255]), "x".repeat(200_000), ...Array.from({ length: 200 }, String)];
    for (const message of messages) {
      socket.send(message);
      const [data] = (await once(socket, "message")) as [Buffer];
      expect(data.equals(Buffer.from(message))).toBe(true);
    }
    socket.close(4001, "enough");
    const [code, reason] = (await once(socket, "close")) as [number, Buffer];
    expect([code, reason.toString()]).toEqual([4001, "enough"]);
  });

  test("fifty sockets at once, each its own", async () => {
    const sockets = await Promise.all(Array.from({ length: 50 }, openWebSocket));
    const echoes = sockets.map(async (socket, index) => {
      for (let round = 0; round < 20; round += 1) {
        const message = `${index}:${round}:`.padEnd(1024, "x");
        socket.send(message);
        const [data] = (await once(socket, "message")) as [Buffer];
        expect(data.toString()).toBe(message);
      }
      socket.close();
      await once(socket, "close");
    });
    await Promise.all(echoes);
    await waitUntil("the server has none left", () => servers[0]?.open === 0 || via === "pair");
  });

  test("a socket that breaks off is seen by the server", async () => {
    const socket = await openWebSocket();
    const open = servers[0]?.open ?? 0;
    socket.terminate();
    await waitUntil("the server sees it end", () => (servers[0]?.open ?? 0) < open);
  });

  test("a request that does not upgrade is answered as any other", async () => {
    await using raw = await openRaw(outbound.outbound);
    raw.write("GET / HTTP/1.1\r\nhost: ws\r\nconnection: close\r\n\r\n");
    expect(await raw.readUntilEnd()).toMatch(/^HTTP\/1\.1 200 [\s\S]*not a websocket/);
  });

  test("half-close travels: the server still answers after the client has ended its side", async () => {
    await using raw = await openRaw(outbound.outbound);
    raw.write("GET / HTTP/1.1\r\nhost: echo\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
    await raw.waitFor(/^HTTP\/1\.1 101 [\s\S]*\r\n\r\nfirst$/);
    raw.write("ping");
    await raw.waitFor(/firstping$/);
    raw.socket.end();
    expect(await raw.readUntilEnd()).toMatch(/firstpingfarewell$/);
  });
});

describe.each(["outbound", "pair"] as const)("to a server that speaks HTTP/2 alone, through %s", (via) => {
  test("the client's key is accepted, messages come back, and it closes", async () => {
    await using server = await startWebSocketServerH2();
    await using mesh = createMesh({ services: { ws: { protocol: "http2" } } });
    const app = { service: "ws", address: server.address, id: "a" };
    const flags = ["--outbound", "off", "--app-protocol", "http2"];
    await using inbound = via === "pair" ? await startSidecar({ mesh, app, flags }) : undefined;
    const address = inbound?.inbound ?? server.address;
    mesh.write({
      services: { ws: { protocol: "http2", instances: [{ id: "a", address, sidecar: via === "pair" }] } },
    });
    await using outbound = await startSidecar({ mesh });
    await outbound.waitForInstances("ws", ["a"]);
    // `ws` checks the acceptance of its key.
    const socket = new WebSocket(`ws://${outbound.outbound}/chat`, {
      headers: { host: "ws" },
      perMessageDeflate: false,
    });
    await once(socket, "open");
    for (const message of ["hello", "x".repeat(200_000)]) {
      socket.send(message);
      const [data] = (await once(socket, "message")) as [Buffer];
      expect(data.toString() === message).toBe(true);
    }
    socket.close(4001, "enough");
    const [code, reason] = (await once(socket, "close")) as [number, Buffer];
    expect([code, reason.toString()]).toEqual([4001, "enough"]);
  });
});
