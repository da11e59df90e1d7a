// Goal: SHA-1, base64 and the WebSocket acceptance made of both.
// Method: the vectors of RFC 3174 §7.3, RFC 4648 §10 and RFC 6455 §1.3; then node:crypto, every length.

import { createHash } from "node:crypto";
import { beforeAll, expect, test } from "vitest";
import { READ_BUFFER } from "../../../assembly/abi/engine-memory.ts";
import { loadTestingModule, type TestingModule } from "../../support/wasm.ts";

interface Exports {
  digest(length: number): number;
  base64(length: number): number;
  webSocketAccept(): void;
}

let wasm: TestingModule<Exports>;
beforeAll(async () => {
  wasm = await loadTestingModule<Exports>("core");
});

function textAt(at: number, length: number): string {
  return Buffer.from(wasm.bytes.subarray(at, at + length)).toString("latin1");
}

/** The digest in hexadecimal. */
function sha1(bytes: Buffer): string {
  wasm.bytes.set(bytes, READ_BUFFER);
  return Buffer.from(textAt(wasm.exports.digest(bytes.length), 28), "base64").toString("hex");
}

test.each([
  ["abc", "a9993e364706816aba3e25717850c26c9cd0d89d"],
  ["abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"],
  ["01234567".repeat(80), "dea356a2cddd90c7a7ecedc5ebb563934f460452"],
])("SHA-1 of %s", (text, expected) => {
  expect(sha1(Buffer.from(text))).toBe(expected);
});

test("SHA-1 is node:crypto's at every length up to three blocks", () => {
  for (let length = 0; length <= 192; length += 1) {
    const bytes = Buffer.from(Array.from({ length }, (_, index) => (index * 37 + length) & 255));
    expect(sha1(bytes)).toBe(createHash("sha1").update(bytes).digest("hex"));
  }
});

test.each(["", "f", "fo", "foo", "foob", "fooba", "foobar", "\xff\xfe\xfb"])("base64 of %j", (text) => {
  wasm.bytes.set(Buffer.from(text, "latin1"), READ_BUFFER);
  const length = wasm.exports.base64(text.length);
  expect(textAt(READ_BUFFER + text.length, length)).toBe(Buffer.from(text, "latin1").toString("base64"));
});

test("the acceptance of RFC 6455's sample nonce", () => {
  wasm.bytes.set(Buffer.from("dGhlIHNhbXBsZSBub25jZQ=="), READ_BUFFER);
  wasm.exports.webSocketAccept();
  expect(textAt(READ_BUFFER + 24, 28)).toBe("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
});
