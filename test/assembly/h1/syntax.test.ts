// The byte classes against the grammar of RFC 9110 and RFC 3986, the walks against a byte-by-byte reading, and what
// both versions of HTTP share about messages.

import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { type H1, loadH1 } from "../../support/h1.ts";

let h1: H1;
beforeAll(async () => {
  h1 = await loadH1();
});

const isToken = (byte: number): boolean => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]$/.test(String.fromCharCode(byte));
const isValue = (byte: number): boolean => byte === 9 || (byte >= 32 && byte !== 127);
const isTarget = (byte: number): boolean => byte > 32 && byte < 127 && byte !== 0x23 && byte !== 0x5c;

test("every byte is in its classes", () => {
  const e = h1.exports;
  for (let byte = 0; byte < 256; byte += 1) {
    const char = String.fromCharCode(byte);
    const classes = [e.isTokenByte, e.isValueByte, e.isTargetByte, e.isHostByte, e.isDigitByte, e.isHexByte];
    expect([byte, ...classes.map((is) => is(byte) === 1)]).toEqual([
      byte,
      isToken(byte),
      isValue(byte),
      isTarget(byte),
      /^[A-Za-z0-9\-._~]$/.test(char),
      /^[0-9]$/.test(char),
      /^[0-9A-Fa-f]$/.test(char),
    ]);
  }
});

test("the walks stop at the first foreign byte, wherever it is", () => {
  const bytes = fc.uint8Array({ maxLength: 80 });
  const mostlyPlain = fc.array(fc.oneof({ weight: 30, arbitrary: fc.integer({ min: 33, max: 126 }) }, fc.nat(255)), {
    maxLength: 80,
  });
  fc.assert(
    fc.property(fc.oneof(bytes, mostlyPlain), (input) => {
      const text = Buffer.from(input).toString("latin1");
      const at = h1.lay(`${text}x`); // a byte that both walks would take, behind the end
      const end = at + text.length;
      const naive = (is: (byte: number) => boolean): number => {
        const found = [...input].findIndex((byte) => !is(byte));
        return found < 0 ? end : at + found;
      };
      expect(h1.exports.valueEnd(at, end)).toBe(naive(isValue));
      expect(h1.exports.targetEnd(at, end)).toBe(naive(isTarget));
    }),
  );
});

test("the walks work at the end of memory", () => {
  const end = h1.bytes.length;
  h1.put(end - 5, "abcde");
  expect(h1.exports.valueEnd(end - 5, end)).toBe(end);
  expect(h1.exports.targetEnd(end - 5, end)).toBe(end);
  h1.put(end - 2, "\r");
  expect(h1.exports.valueEnd(end - 5, end)).toBe(end - 2);
  expect(h1.exports.targetEnd(end - 5, end)).toBe(end - 2);
});

test("methods are known by their exact text", () => {
  const methods = ["", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
  const idOf = (text: string): number => h1.exports.methodIdOf(h1.lay(text), text.length);
  methods.forEach((method, id) => {
    expect([method, idOf(method)]).toEqual([method, id]);
  });
  for (const other of ["get", "GE", "GETS", "PATCh", "DELETF", "OPTIONX", "CONNECTS", "M-SEARCH"]) {
    expect([other, idOf(other)]).toEqual([other, 0]);
  }
});

test("authorities", () => {
  const is = (text: string): boolean => h1.exports.isAuthority(h1.lay(text), text.length) === 1;
  for (const good of ["a", "A.b-c_d~e", "127.0.0.1", "a:1", "a:65535", "[::1]", "[::1]:80", "[::ffff:1.2.3.4]"]) {
    expect([good, is(good)]).toEqual([good, true]);
  }
  const bad = [
    "",
    ":80",
    "a:",
    "a:65536",
    "a:123456",
    "a:b",
    "a b",
    "u@a",
    "a,b",
    "a/b",
    "a%41",
    "[",
    "[]",
    "[::1",
    "[x]",
  ];
  for (const text of [...bad, "a#b", "a?b", "[::1]x", "a:1:2", "\xe4"]) expect([text, is(text)]).toEqual([text, false]);
});

test("authorities are the same but for case and default port", () => {
  const isSame = (left: string, right: string, port: number): boolean => {
    const at = h1.lay(left + right);
    return h1.exports.isSameAuthority(at, left.length, at + left.length, right.length, port) === 1;
  };
  expect(isSame("A.example", "a.EXAMPLE:80", 80)).toBe(true);
  expect(isSame("a:80", "a", 443)).toBe(false);
  expect(isSame("a:80", "a:080", 80)).toBe(true);
  expect(isSame("[::1]:443", "[::1]", 443)).toBe(true);
  expect(isSame("a", "b", 80)).toBe(false);
  expect(isSame("a:1", "a:2", 80)).toBe(false);
});

test("content types of gRPC", () => {
  const is = (text: string): boolean => h1.exports.isGrpcContentType(h1.lay(text), text.length) === 1;
  for (const good of ["application/grpc", "Application/GRPC+proto", "application/grpc; charset=x"])
    expect(is(good)).toBe(true);
  for (const bad of ["application/grpc-web", "application/grp", "text/plain", ""]) expect(is(bad)).toBe(false);
});

test("every registered status has its phrase", async () => {
  const { STATUS_CODES } = await import("node:http");
  // Where Node keeps names that RFC 9110 has changed, or that were never registered.
  const renamed = new Map([
    ["413", "Content Too Large"],
    ["422", "Unprocessable Content"],
    ["416", "Range Not Satisfiable"],
  ]);
  const unregistered = new Set(["418", "509", "510"]);
  for (const [status, phrase] of Object.entries(STATUS_CODES)) {
    if (unregistered.has(status)) continue;
    const text = h1.text(h1.exports.phrasePtr(Number(status)), h1.exports.phraseLen(Number(status)));
    expect([status, text]).toEqual([status, renamed.get(status) ?? phrase]);
  }
  expect(h1.exports.phraseLen(299)).toBe(0);
});
