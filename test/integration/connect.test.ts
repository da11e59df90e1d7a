// CONNECT: the sidecar as the app's proxy for bytes that are not HTTP (RFC 9110 §9.3.6).

import { once } from "node:events";
import { connect } from "node:http2";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openRaw } from "../support/foreign-clients.ts";
import { type ForeignServer, startTcpServer } from "../support/foreign-servers.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";

let server: ForeignServer;
let mesh: MeshFolder;
let sidecar: Sidecar;

beforeAll(async () => {
  server = await startTcpServer((socket) => {
    socket.write("hello ");
    socket.on("data", (chunk: Buffer) => socket.write(chunk));
    socket.on("end", () => socket.end("bye"));
  });
  mesh = createMesh({ services: { raw: { instances: [{ id: "a", address: server.address }] } } });
  sidecar = await startSidecar({ mesh });
});

afterAll(async () => {
  await sidecar.stop();
  await server.close();
  await mesh[Symbol.asyncDispose]();
});

test("by HTTP/1.1: bytes both ways, half-close", async () => {
  await using raw = await openRaw(sidecar.outbound);
  raw.write("CONNECT raw:443 HTTP/1.1\r\nhost: raw:443\r\n\r\n");
  await raw.waitFor(/^HTTP\/1\.1 200 [\s\S]*\r\n\r\nhello $/);
  expect(raw.received.toString().toLowerCase()).not.toMatch(/content-length|transfer-encoding/);
  raw.write("\x16\x03\x01 not HTTP");
  await raw.waitFor(/not HTTP$/);
  raw.socket.end();
  expect(await raw.readUntilEnd()).toMatch(/not HTTPbye$/);
});

test("by HTTP/1.1: bytes that come with the request are not lost", async () => {
  await using raw = await openRaw(sidecar.outbound);
  raw.write("CONNECT raw:443 HTTP/1.1\r\nhost: raw:443\r\n\r\nearly");
  await raw.waitFor(/hello early$/);
});

test("by HTTP/2: a stream is a tunnel", async () => {
  const session = connect(`http://${sidecar.outbound}`);
  const stream = session.request({ ":method": "CONNECT", ":authority": "raw:443" });
  const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
  expect(headers[":status"]).toBe(200);
  stream.write("over HTTP/2");
  let text = "";
  stream.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  await waitUntil("it came back", () => text === "hello over HTTP/2");
  stream.end();
  await once(stream, "end");
  expect(text).toBe("hello over HTTP/2bye");
  session.close();
});

test("to a host that nothing claims: refused with the reason", async () => {
  await using raw = await openRaw(sidecar.outbound);
  raw.write("CONNECT nobody:443 HTTP/1.1\r\nhost: nobody:443\r\nconnection: close\r\n\r\n");
  await raw.waitFor(/^HTTP\/1\.1 404 [\s\S]*x-pillion-reason: no-route/i);
});

test("the server sees that the client is gone", async () => {
  await using raw = await openRaw(sidecar.outbound);
  raw.write("CONNECT raw:443 HTTP/1.1\r\nhost: raw:443\r\n\r\n");
  await raw.waitFor(/hello $/);
  const { open } = server;
  raw.socket.resetAndDestroy();
  await waitUntil("the server sees it", () => server.open === open - 1);
});

test("an inbound tunnels to its app and nowhere else", async () => {
  const other = await startTcpServer((socket) => void socket.end("the other"));
  await using inbound = await startSidecar({
    mesh,
    app: { service: "raw", address: server.address, id: "a" },
    flags: ["--outbound", "off"],
  });
  await using raw = await openRaw(inbound.inbound);
  raw.write(`CONNECT ${other.address} HTTP/1.1\r\nhost: ${other.address}\r\n\r\n`);
  // Whatever it is asked for: the app answers, or nobody does.
  await raw.waitFor(/hello $|HTTP\/1\.1 [45]/);
  expect(raw.received.toString()).not.toContain("the other");
  expect(other.connections).toBe(0);
  await other.close();
});
