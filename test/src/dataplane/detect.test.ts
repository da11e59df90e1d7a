// What first bytes are taken for, whole and in every two parts.

import { describe, expect, test } from "vitest";
import { withoutAcknowledgement } from "../../../src/dataplane/intercept/authority.ts";
import { DETECT_BYTES_MAX, detectProtocol } from "../../../src/dataplane/intercept/detect.ts";

const detect = (text: string) => detectProtocol(Buffer.from(text, "latin1"));
const http1 = (host: string | undefined) => ({ kind: "http1", host });
const TCP = { kind: "tcp" };
const MORE = { kind: "more" };

test.each([
  ["GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", http1("a.example")],
  ["GET / HTTP/1.1\r\nAccept: */*\r\nhost:\ta.example:80 \r\n\r\n", http1("a.example:80")],
  ["POST /x HTTP/1.1\nHost: a\n\nghost: b", http1("a")],
  ["GET http://b/ HTTP/1.0\r\nA: b\r\n\r\n", http1(undefined)],
  ["GET / HTTP/1.1\r\n\r\nHost: body\r\n", http1(undefined)],
  ["VERSION-CONTROL /x HTTP/1.1\r\nHost: dav\r\n\r\n", http1("dav")],
  ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0", { kind: "http2" }],
  ["PRI * HTTP/2.1\r\n\r\n", TCP],
  ["\x16\x03\x01\x02\x00\x01", TCP],
  ["EHLO mail.example\r\n", TCP],
  ["GET key\r\n", TCP],
  ["*1\r\n$4\r\nPING\r\n", TCP],
  ["SSH-2.0-OpenSSH_9\r\n", TCP],
  ["ABCDEFGHIJKLMNOPQRSTUVWXYZ / HTTP/1.1\r\n", TCP],
])("%j", (text, verdict) => {
  expect(detect(text)).toEqual(verdict);
  // A part says the same, or that it does not know: never something else.
  for (let at = 0; at < text.length; at += 1) expect([verdict, MORE]).toContainEqual(detect(text.slice(0, at)));
});

describe("bounds", () => {
  test("nothing is not known", () => expect(detect("")).toEqual(MORE));
  test("a line without an end is none", () => expect(detect(`GET /${"x".repeat(20_000)}`)).toEqual(TCP));
  test("a head that never names its host is passed on", () => {
    const head = `GET / HTTP/1.1\r\n${"A: b\r\n".repeat(DETECT_BYTES_MAX / 6)}`;
    expect(detect(head.slice(0, 1_000))).toEqual(MORE);
    expect(detect(head)).toEqual(http1(undefined));
  });
});

test("the acknowledgement of our SETTINGS is taken out, and nothing else", () => {
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const settings = Buffer.from([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1]);
  const acknowledgement = Buffer.from([0, 0, 0, 4, 1, 0, 0, 0, 0]);
  const headers = Buffer.from([0, 0, 1, 1, 5, 0, 0, 0, 1, 0x82]);
  const before = Buffer.concat([preface, settings]);
  expect(withoutAcknowledgement(Buffer.concat([before, headers]))).toBeUndefined();
  expect(withoutAcknowledgement(Buffer.concat([before, acknowledgement, headers]))).toEqual(
    Buffer.concat([before, headers]),
  );
  expect(withoutAcknowledgement(Buffer.concat([before, headers, acknowledgement]))).toEqual(
    Buffer.concat([before, headers]),
  );
});
