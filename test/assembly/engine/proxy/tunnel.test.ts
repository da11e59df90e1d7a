// Goal: tunnels: Upgrade, CONNECT, and both between two sidecars (RFC 9110 §7.8, §9.3.6; RFC 8441).
// Method: a world of virtual sockets; bytes are compared both ways, half-closes are watched.

import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { LISTENER_INBOUND } from "../../../../assembly/abi/engine-records.ts";
import * as h2 from "../../../support/frames.ts";
import { createWorld, type Wire } from "../../../support/world.ts";

const BARE = "services: {web: {instances: [{id: a, address: 10.0.0.1:80}]}}";
const MESHED = "services: {web: {instances: [{id: a, address: 10.0.0.1:15006, sidecar: true, protocol: http2}]}}";
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const UPGRADE = [
  "GET /chat HTTP/1.1",
  "host: web",
  "connection: Upgrade",
  "upgrade: websocket",
  `sec-websocket-key: ${KEY}`,
  "sec-websocket-version: 13",
  "\r\n",
].join("\r\n");
const SWITCHED = [
  "HTTP/1.1 101 Switching Protocols",
  "connection: Upgrade",
  "upgrade: websocket",
  `sec-websocket-accept: ${ACCEPT}`,
  "\r\n",
].join("\r\n");

/** Joins two wires of two worlds: what one engine writes, the other one reads. */
function join(left: Wire, right: Wire): void {
  const pump = (from: Wire, to: Wire) => {
    from.onBytes = (bytes) => queue.push(() => to.send(bytes));
  };
  pump(left, right);
  pump(right, left);
}
const queue: (() => void)[] = [];
function settle(): void {
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) next();
}

test("an Upgrade is passed on, and after 101 bytes go both ways, with half-close", async () => {
  const world = await createWorld(BARE);
  const client = world.accept().send(`${UPGRADE}early`);
  const server = world.upstreams[0]!;
  const asked = server.text();
  expect(asked).toMatch(/connection: upgrade\r\n/i);
  expect(asked).toMatch(/upgrade: websocket\r\n/);
  expect(asked).not.toContain("early"); // not before the 101
  server.send(`${SWITCHED}hello`);
  expect(server.text()).toBe("early");
  const answer = client.text();
  expect(answer).toMatch(/^HTTP\/1\.1 101 /);
  expect(answer).toContain(`sec-websocket-accept: ${ACCEPT}`);
  expect(answer.endsWith("\r\n\r\nhello")).toBe(true);
  client.send("ping");
  expect(server.text()).toBe("ping");
  client.end();
  expect(server.isEnded).toBe(true);
  server.send("last words");
  expect(client.text()).toBe("last words");
  server.end();
  expect(client.closedBy ?? (client.isEnded ? "end" : undefined)).toBe("end");
  expect(world.engine.exchangeCount()).toBe(0);
});

test("a refused Upgrade is an ordinary response", async () => {
  const world = await createWorld(BARE);
  const client = world.accept().send(UPGRADE);
  world.upstreams[0]!.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
  expect(client.text()).toMatch(/^HTTP\/1\.1 403 [\s\S]*no$/);
  expect(world.engine.exchangeCount()).toBe(0);
});

test("CONNECT to a bare instance opens a raw connection", async () => {
  const world = await createWorld(BARE);
  const client = world.accept().send("CONNECT web:80 HTTP/1.1\r\nhost: web:80\r\n\r\n");
  const server = world.upstreams[0]!;
  expect(client.text()).toMatch(/^HTTP\/1\.1 200 /);
  client.send("raw\0bytes");
  expect(server.text()).toBe("raw\0bytes");
  server.send("and back");
  expect(client.text()).toBe("and back");
  server.end();
  expect(client.isEnded).toBe(true);
  client.send("still open this way");
  expect(server.text()).toBe("still open this way");
  client.end();
  expect(world.engine.exchangeCount()).toBe(0);
});

test("a CONNECT that reaches nobody is answered, not tunnelled", async () => {
  const world = await createWorld(BARE);
  world.onConnect = () => {};
  const client = world.accept().send("CONNECT web:80 HTTP/1.1\r\nhost: web:80\r\n\r\n");
  for (let index = 0; index < world.upstreams.length; index += 1) {
    world.upstreams[index]!.destroy(1);
    world.pass(300);
  }
  expect(client.text()).toMatch(/^HTTP\/1\.1 503 [\s\S]*x-pillion-reason: connect-failed/);
});

test("WebSocket through a pair travels by extended CONNECT and arrives as Upgrade, key and all", async () => {
  const app = { service: "web", id: "a", address: { host: "10.0.0.1", port: 80 }, protocol: "auto" as const };
  const far = await createWorld("services: {web: {}}", { app });
  const near = await createWorld(MESHED);
  const client = near.accept().send(UPGRADE);
  const link = near.upstreams[0]!;
  const arrival = far.accept(LISTENER_INBOUND);
  const written = link.read();
  join(link, arrival);
  arrival.send(written);
  settle();
  const server = far.upstreams[0]!;
  const asked = server.text();
  expect(asked).toMatch(/^GET \/chat HTTP\/1\.1\r\n/);
  expect(asked).toContain(`sec-websocket-key: ${KEY}`);
  server.send(SWITCHED);
  settle();
  expect(client.text()).toMatch(
    new RegExp(`^HTTP/1\\.1 101 [\\s\\S]*sec-websocket-accept: ${ACCEPT.replace("+", "\\+")}`),
  );
  client.send("ping");
  settle();
  expect(server.text()).toBe("ping");
  server.send("pong");
  settle();
  expect(client.text()).toBe("pong");
  client.end();
  settle();
  expect(server.isEnded).toBe(true);
  server.end();
  settle();
  expect([near.engine.exchangeCount(), far.engine.exchangeCount()]).toEqual([0, 0]);
});

const CONNECT: h2.Fields = [
  [":method", "CONNECT"],
  [":protocol", "websocket"],
  [":scheme", "http"],
  [":path", "/chat"],
  [":authority", "web"],
  ["sec-websocket-version", "13"],
];

function printed(wire: Wire, hasPreface = false): string[] {
  return new h2.FramePrinter().print(new h2.FrameReader(hasPreface).read(wire.read()));
}

/** What a server answers to a key, by node:crypto. */
function acceptanceOf(key: string): string {
  return createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}

test("an HTTP/2 client's extended CONNECT reaches an HTTP/1.1 app as an Upgrade with a key", async () => {
  const world = await createWorld(BARE);
  const wire = world.accept();
  wire.send(Buffer.concat([h2.PREFACE, h2.settings(), h2.headers(1, CONNECT)]));
  const server = world.upstreams[0]!;
  const asked = server.text();
  expect(asked).toMatch(/^GET \/chat HTTP\/1\.1\r\n/);
  const key = /sec-websocket-key: ([A-Za-z0-9+/]{22}==)\r\n/.exec(asked)?.[1] ?? "";
  server.send(`${SWITCHED.replace(ACCEPT, acceptanceOf(key))}hi`);
  const lines = printed(wire);
  const answer = lines.find((line) => line.startsWith("HEADERS"));
  expect(answer).toContain(":status 200");
  expect(answer).not.toContain("sec-websocket-accept");
  expect(lines.at(-1)).toBe('DATA 1 "hi"');
});

test.each([
  ["of another key", SWITCHED],
  ["that is missing", SWITCHED.replace(/sec-websocket-accept.*\r\n/, "")],
])("an acceptance %s is not believed: 502", async (_what, answer) => {
  const world = await createWorld(BARE);
  const wire = world.accept();
  wire.send(Buffer.concat([h2.PREFACE, h2.settings(), h2.headers(1, CONNECT)]));
  world.upstreams[0]!.read();
  world.upstreams[0]!.send(answer);
  const head = printed(wire).find((line) => line.startsWith("HEADERS"));
  expect(head).toContain(":status 502");
  expect(head).toContain("x-pillion-reason upstream-protocol");
  expect(world.engine.exchangeCount()).toBe(0);
});

const FOREIGN_H2 = "services: {web: {protocol: http2, instances: [{id: a, address: 10.0.0.1:80}]}}";
/** SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 §3). */
const CONNECTS = h2.settings([[8, 1]]);

test("an HTTP/1.1 client's WebSocket to a foreign HTTP/2 server: the acceptance is ours", async () => {
  const world = await createWorld(FOREIGN_H2);
  const client = world.accept().send(UPGRADE);
  const server = world.upstreams[0]!;
  server.send(CONNECTS);
  const asked = printed(server, true).find((line) => line.startsWith("HEADERS"));
  expect(asked).toContain(":protocol websocket");
  expect(asked).not.toContain("sec-websocket-key");
  server.send(
    Buffer.concat([
      h2.headers(1, [
        [":status", "200"],
        ["sec-websocket-accept", "whatever"],
      ]),
      h2.data(1, "hi"),
    ]),
  );
  const answer = client.text();
  expect(answer).toMatch(/^HTTP\/1\.1 101 /);
  expect(answer.match(/sec-websocket-accept: .*(?=\r\n)/g)).toEqual([`sec-websocket-accept: ${ACCEPT}`]);
  expect(answer.endsWith("\r\n\r\nhi")).toBe(true);
});

test.each([
  ["no key", UPGRADE.replace(/sec-websocket-key.*\r\n/, "")],
  ["a key of another length", UPGRADE.replace(KEY, "c2hvcnQ=")],
  ["two keys", UPGRADE.replace("upgrade: websocket", `upgrade: websocket\r\nsec-websocket-key: ${KEY}`)],
  ["a key that is not base64", UPGRADE.replace(KEY, KEY.replace("G", "!"))],
  ["another version", UPGRADE.replace("version: 13", "version: 8")],
  ["no version", UPGRADE.replace(/sec-websocket-version.*\r\n/, "")],
])("a handshake with %s cannot be converted: 400, with the version that we speak", async (_what, upgrade) => {
  const world = await createWorld(FOREIGN_H2);
  const answer = world.accept().send(upgrade).text();
  expect(answer).toMatch(/^HTTP\/1\.1 400 [\s\S]*x-pillion-reason: bad-request/);
  expect(answer).toMatch(/sec-websocket-version: 13\r\n/);
  expect(world.upstreams).toEqual([]);
  expect(world.engine.exchangeCount()).toBe(0);
});
