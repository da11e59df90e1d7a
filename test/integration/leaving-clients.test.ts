// Goal: who has left is not worked for, also when nothing is read from its connection any more; and who only said that
// it will send nothing further gets its answers.
// Method: raw HTTP/1.1 clients in front of a real sidecar; what is in flight is read from its metrics.

import { afterAll, beforeAll, expect, test } from "vitest";
import { openRaw } from "../support/foreign-clients.ts";
import { type ForeignServer, startServer } from "../support/foreign-servers.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type Sidecar, startSidecar } from "../support/sidecar.ts";

const stack = new AsyncDisposableStack();
let sidecar: Sidecar;

beforeAll(async () => {
  const web: ForeignServer = stack.use(await startServer("http1"));
  const mesh = stack.use(createMesh({ services: { web: { instances: [{ id: "a", address: web.address }] } } }));
  sidecar = stack.use(await startSidecar({ mesh, flags: ["--workers", "1"] }));
});

afterAll(() => stack.disposeAsync());

const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: web\r\n\r\n`;
const inFlight = async () => (await sidecar.metric("pillion_inflight", { service: "web" })) ?? 0;
const comeTo = (count: number) => waitUntil(`${count} in flight`, async () => (await inFlight()) === count);

/** Asks for what is never answered, and for more behind it than is read ahead: reading is paused. */
async function overfill(): Promise<Awaited<ReturnType<typeof openRaw>>> {
  const raw = await openRaw(sidecar.outbound);
  raw.write(get("/hang"));
  await comeTo(1);
  raw.write(get("/status/200").repeat(400_000));
  await waitUntil("it has to wait", () => raw.socket.bytesWritten > 1_000_000 && raw.socket.writableLength > 0);
  return raw;
}

test("a pipelining client that is not read from resets its connection", async () => {
  await using raw = await overfill();
  raw.socket.resetAndDestroy();
  await comeTo(0);
});

test("one that uploads to somebody who does not take it resets its connection", async () => {
  await using raw = await openRaw(sidecar.outbound);
  raw.write("POST /hang HTTP/1.1\r\nhost: web\r\ncontent-length: 100000000\r\n\r\n");
  raw.socket.write(Buffer.alloc(50_000_000));
  await comeTo(1);
  await waitUntil("it has to wait", () => raw.socket.writableLength > 0);
  raw.socket.resetAndDestroy();
  await comeTo(0);
});

test("a client that closes behind requests that wait for their turn", async () => {
  await using raw = await openRaw(sidecar.outbound);
  raw.write(get("/hang") + get("/status/200"));
  await comeTo(1);
  await new Promise((resolve) => setTimeout(resolve, 300)); // longer than a script's half-close
  raw.socket.end();
  await comeTo(0);
});

test("one that does so while it is not read from", async () => {
  await using raw = await openRaw(sidecar.outbound);
  raw.write(get("/hang"));
  await comeTo(1);
  raw.write(get("/status/200").repeat(3_000)); // above what is read ahead, below what the kernel keeps
  await waitUntil("all was sent", () => raw.socket.writableLength === 0);
  await new Promise((resolve) => setTimeout(resolve, 300));
  raw.socket.end();
  await comeTo(0);
});

test("a script's half-close right behind its requests brings all answers", async () => {
  await using raw = await openRaw(sidecar.outbound);
  raw.socket.end(get("/delay/300") + get("/status/200").repeat(3_000));
  const text = await raw.readUntilEnd();
  expect(text.match(/HTTP\/1.1 200 /g)).toHaveLength(3_001);
});
