// Small chunks that came together are one event: a flood of them costs what its bytes cost, and nothing is refused.

import { afterEach, beforeAll, expect, test } from "vitest";
import { type Connection, type Event, type H1, loadH1 } from "../../support/h1.ts";

let h1: H1;
const open: Connection[] = [];
beforeAll(async () => {
  h1 = await loadH1();
});
afterEach(() => {
  for (const connection of open.splice(0)) connection.close();
});

const POST = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

function receive(bytes: string): Event[] {
  const connection = h1.connect("downstream");
  open.push(connection);
  return connection.events(POST + bytes);
}
const bodyOf = (events: readonly Event[]) => events.map((event) => (event.kind === "data" ? event.data : "")).join("");
const dataCount = (events: readonly Event[]) => events.filter(({ kind }) => kind === "data").length;

test.each([
  ["one byte each", (byte: string) => `1\r\n${byte}\r\n`],
  ["with leading zeros", (byte: string) => `0000000000001\r\n${byte}\r\n`],
  ["of two bytes", (byte: string) => `2\r\n${byte}${byte}\r\n`],
  ["of 256 bytes", (byte: string) => `100\r\n${byte.repeat(256)}\r\n`],
])("five hundred chunks %s are one event", (_, chunk) => {
  const bytes = Array.from({ length: 500 }, (_unused, index) => String.fromCharCode(97 + (index % 26)));
  const events = receive(`${bytes.map(chunk).join("")}0\r\n\r\n`);
  expect(dataCount(events)).toBe(1);
  const wanted = bytes.map((byte) => chunk(byte).split("\r\n")[1]).join("");
  expect(bodyOf(events)).toBe(wanted);
  expect(events.at(-1)).toMatchObject({ kind: "data", end: true });
});

test.each([
  ["a size that is none", "1\r\na\r\ng\r\nb\r\n"],
  ["a bare LF behind the data", "1\r\na\r\n1\r\nb\n1\r\nc\r\n"],
  ["a bare LF behind the size", "1\r\na\r\n1\nb\r\n"],
  ["a size of fourteen digits", "1\r\na\r\n00000000000001\r\nb\r\n"],
  ["no size", "1\r\na\r\n\r\nb\r\n"],
])("what is wrong among them is found: %s", (_, bytes) => {
  const events = receive(bytes);
  expect(bodyOf(events)).toMatch(/^ab?$/);
  expect(events.at(-1)?.kind).toBe("refuse");
});

test("extensions and large chunks among them are read as ever", () => {
  const large = "x".repeat(300);
  const events = receive(`1\r\na\r\n1;e=1\r\nb\r\n12c\r\n${large}\r\n1\r\nc\r\n0\r\n\r\n`);
  expect(bodyOf(events)).toBe(`ab${large}c`);
});
