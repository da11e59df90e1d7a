// The server name of a TLS ClientHello: of real clients' hellos, in any pieces and records, and of wrong ones never.

import { once } from "node:events";
import { createServer } from "node:net";
import { connect } from "node:tls";
import { beforeAll, describe, expect, test } from "vitest";
import { createRandom } from "../../../src/base/index.ts";
import { ClientHelloReader, type Hello } from "../../../src/dataplane/tcp/client-hello.ts";

/** What node:tls (OpenSSL) sends first. */
async function captureHello(options: object): Promise<Buffer> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const client = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
  client.on("error", () => undefined);
  const [socket] = await once(server, "connection");
  const [bytes] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

function read(...pieces: readonly Uint8Array[]): Hello {
  const reader = new ClientHelloReader();
  let verdict: Hello = { kind: "more" };
  for (const piece of pieces) verdict = reader.read(piece);
  return verdict;
}

const tls = (serverName: string | undefined): Hello => ({ kind: "tls", serverName });

/** The same handshake message in records of at most that many bytes. */
function inRecords(hello: Buffer, most: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += most) {
    const fragment = message.subarray(at, at + most);
    records.push(Buffer.from([22, 3, 1, fragment.length >> 8, fragment.length & 255]), fragment);
  }
  return Buffer.concat(records);
}

const vector = (size: number, ...parts: readonly Uint8Array[]) => {
  const content = Buffer.concat(parts);
  const head = Buffer.alloc(size);
  head.writeUIntBE(content.length, 0, size);
  return Buffer.concat([head, content]);
};
const extension = (type: number, data: Uint8Array) => Buffer.concat([Buffer.from([type >> 8, type]), vector(2, data)]);
const names = (...list: readonly string[]) =>
  extension(0, vector(2, ...list.map((name) => Buffer.concat([Buffer.from([0]), vector(2, Buffer.from(name))]))));

function helloOf(...extensions: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    vector(1),
    vector(2, Buffer.from([0x13, 1])),
    vector(1, Buffer.from([0])),
    vector(2, ...extensions),
  ]);
  return Buffer.concat([Buffer.from([22, 3, 1]), vector(2, Buffer.from([1]), vector(3, body))]);
}

describe("OpenSSL's", () => {
  let hello: Buffer;
  beforeAll(async () => {
    hello = await captureHello({ servername: "Db.Example" });
  });

  test("in one piece, and with more behind it", () => {
    expect(read(hello)).toEqual(tls("db.example"));
    expect(read(Buffer.concat([hello, Buffer.alloc(100)]))).toEqual(tls("db.example"));
  });

  test("cut at every byte, and byte by byte", () => {
    for (let at = 1; at < hello.length; at += 1) {
      expect(read(hello.subarray(0, at)).kind).toBe("more");
      expect(read(hello.subarray(0, at), hello.subarray(at))).toEqual(tls("db.example"));
    }
    expect(read(...Array.from(hello, (byte) => Uint8Array.of(byte)))).toEqual(tls("db.example"));
  });

  test.each([1, 2, 3, 5, 64, 255])("in records of %i bytes", (most) => {
    const split = inRecords(hello, most);
    expect(read(split)).toEqual(tls("db.example"));
    expect(read(...Array.from(split, (byte) => Uint8Array.of(byte)))).toEqual(tls("db.example"));
  });

  test("of TLS 1.2, and without a name", async () => {
    expect(read(await captureHello({ servername: "old.example", maxVersion: "TLSv1.2" }))).toEqual(tls("old.example"));
    expect(read(await captureHello({}))).toEqual(tls(undefined));
  });
});

describe("strict", () => {
  test("what a server would take", () => {
    expect(read(helloOf(names("a.example")))).toEqual(tls("a.example"));
    expect(read(helloOf(extension(16, Buffer.alloc(3)), names("a.example")))).toEqual(tls("a.example"));
    expect(read(helloOf())).toEqual(tls(undefined));
  });

  test.each([
    ["two names", helloOf(names("a.example", "b.example"))],
    ["two server_name extensions", helloOf(names("a.example"), names("a.example"))],
    ["an empty name", helloOf(names(""))],
    ["an empty list", helloOf(extension(0, vector(2)))],
    [
      "bytes behind the list",
      helloOf(extension(0, Buffer.concat([vector(2, Buffer.from([0, 0, 1, 97])), Buffer.of(0)]))),
    ],
    ["a name that forges a line", helloOf(names('a"\n{"msg":"forged"}'))],
    ["an address with a port", helloOf(names("a.example:443"))],
    ["a name that is too long", helloOf(names("a".repeat(254)))],
    ["an extension that is cut", helloOf(Buffer.from([0, 0, 0, 9, 1]))],
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\n")],
    ["an alert", Buffer.from([21, 3, 1, 0, 2, 1, 0])],
    ["another handshake message", Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])],
    ["SSL 2", Buffer.from([0x80, 0x2e, 1, 3, 1])],
    ["an empty record", Buffer.from([22, 3, 1, 0, 0])],
    ["a record that is too long", Buffer.from([22, 3, 1, 0x40, 1])],
    ["a message that is too long", Buffer.from([22, 3, 1, 0, 4, 1, 1, 0, 0])],
    [
      "a record of other data between",
      Buffer.concat([inRecords(helloOf(names("a")), 9).subarray(0, 14), Buffer.of(23, 3, 3)]),
    ],
  ])("%s: no TLS that has a name", (_, bytes) => {
    expect(read(bytes)).toEqual({ kind: "none" });
    expect(read(...Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual({ kind: "none" });
  });
});

test("of 20,000 changed hellos, in any pieces, each has one reading, and no name that is none", async () => {
  const random = createRandom(20_261_121);
  const good = [await captureHello({ servername: "db.example" }), helloOf(names("a.example"))];
  for (let run = 0; run < 20_000; run += 1) {
    const bytes = inRecords(good[run % 2]!, 1 + random.below(600));
    for (let count = random.below(4); count > 0; count -= 1) bytes[random.below(bytes.length)] = random.below(256);
    const whole = read(bytes);
    const at = random.below(bytes.length);
    expect(read(bytes.subarray(0, at), bytes.subarray(at)), `run ${run}`).toEqual(whole);
    if (whole.kind === "tls" && whole.serverName !== undefined)
      expect(whole.serverName).toMatch(/^[a-z0-9_.-]{1,253}$/);
  }
});
