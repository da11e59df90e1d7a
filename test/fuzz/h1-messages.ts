// HTTP/1.1 messages by dice: mostly right, with the parts that parsers have quarrelled about (reliability.md §2.1), and
// then changed in a few places. Text is latin1.

import type { Asked } from "../support/strict-h1.ts";
import type { Random } from "./random.ts";

const METHODS = [
  "GET",
  "GET",
  "POST",
  "POST",
  "PUT",
  "HEAD",
  "OPTIONS",
  "DELETE",
  "CONNECT",
  "TRACE",
  "M-SEARCH",
  "get",
];
const TARGETS = [
  "/",
  "/a?b=c",
  "/%41%2e",
  "/..;/x",
  "*",
  "http://a/",
  "http://a:80?x",
  "HTTPS://A",
  "a:80",
  "/%00",
  "//a",
  "http://u@a/",
  "/a#b",
  "/[]{}|^`<>",
];
const HOSTS = ["a", "a", "a", "A:80", "[::1]:80", "a:99999", "a,b", "u@a", "", "a:", "a b"];
const LENGTHS = [
  "0",
  "3",
  "5",
  "5",
  "05",
  "+5",
  "-0",
  "0x5",
  "5,5",
  "5 ",
  "",
  "9007199254740992",
  "18446744073709551621",
];
const CODINGS = [
  "chunked",
  "Chunked",
  "chunked",
  "gzip",
  "chunked, chunked",
  "gzip, chunked",
  "xchunked",
  "",
  "identity",
  "chunked;q=1",
  ",chunked",
  "\vchunked",
];
const CONNECTIONS = [
  "close",
  "keep-alive",
  "upgrade",
  "x-a",
  "close, x-a",
  "Host",
  "content-length",
  "te",
  ",,close,",
  "a b",
  "transfer-encoding",
];
const OTHERS = [
  "x-a: 1",
  "X-B:\t2 \t",
  "x-c:",
  "cookie: a=b",
  "cookie: c=d",
  "accept: */*",
  "content-type: application/grpc",
  "te: trailers",
  "upgrade: websocket",
  "upgrade: h2c",
  "upgrade: a/1, b",
  "expect: 100-continue",
  "expect: 200-ok",
  "transfer_encoding: chunked",
  "content_length: 5",
  "keep-alive: x",
  "x-d: \x80\xff~",
  "proxy-connection: close",
  "http2-settings: AAMAAABk",
  "trailer: x-sum",
];
const CHUNK_ENDS = [
  "",
  "",
  "",
  "",
  ";a",
  ";a=b",
  ';a="b;\\"c"',
  ";a;b=c",
  ";",
  ";a=",
  " ;a",
  ";a =b",
  ';a="',
  ";a=\n",
  "\x00",
];
/** What is put somewhere into a message that is right. */
const SPLINTERS = [
  "\r\n",
  "\n",
  "\r",
  " ",
  "\t",
  ":",
  ",",
  ";",
  "\0",
  "\x7f",
  "\xff",
  "0",
  "5",
  "f",
  '"',
  "\\",
  "#",
  "%00",
  "HTTP/1.1",
  "chunked",
  "\r\n\r\n",
  "\r\n ",
  "Content-Length: 3\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Host: b\r\n",
  "GET / HTTP/1.1\r\nHost: z\r\n\r\n",
];

export interface Sample {
  /** A response answers this. */
  readonly asked: Asked | undefined;
  readonly text: string;
}

/** One conversation's input: up to three requests, or the responses to one. */
export function sampleH1(random: Random): Sample {
  const isResponse = random.once(3);
  let text = isResponse
    ? responsesOf(random)
    : Array.from({ length: 1 + random.below(3) }, () => requestOf(random)).join("");
  if (!random.once(3)) for (let left = random.below(4); left > 0; left -= 1) text = changed(text, random);
  if (random.once(12)) text = text.slice(0, random.below(text.length + 1));
  const asked = { method: random.pick(["GET", "GET", "POST", "HEAD", "CONNECT"]), isUpgrade: random.once(8) };
  return { text, asked: isResponse ? (asked.isUpgrade ? { ...asked, method: "GET" } : asked) : undefined };
}

function requestOf(random: Random): string {
  const isPlain = random.once(2);
  const method = isPlain ? random.pick(["GET", "POST"]) : random.pick(METHODS);
  const target = method === "CONNECT" && !random.once(4) ? "a:80" : isPlain ? "/" : random.pick(TARGETS);
  const version = random.once(12) ? random.pick(["1.0", "1.2", "2.0", "1.", "01.1"]) : "1.1";
  const host = random.once(20) ? "" : `Host: ${random.once(6) ? random.pick(HOSTS) : "a"}\r\n`;
  const start = random.once(15) ? "\r\n" : "";
  const { fields, body } = contentOf(random, method !== "GET" || random.once(3));
  return `${start}${method} ${target} HTTP/${version}\r\n${host}${fields}\r\n${body}`;
}

function responsesOf(random: Random): string {
  let text = "";
  while (random.once(4))
    text += `HTTP/1.1 ${random.pick(["100", "103", "199"])} x\r\n${random.once(2) ? "link: a\r\n" : ""}\r\n`;
  const status = random.pick(["200", "200", "200", "204", "304", "404", "101", "099", "000", "999", "20", "2000"]);
  const reason = random.pick([" OK", " OK", "", " ", " \x80", " a\tb", "  "]);
  const { fields, body } = contentOf(random, !random.once(3));
  text += `HTTP/1.${random.once(8) ? "0" : "1"} ${status}${reason}\r\n${fields}\r\n${body}`;
  return random.once(10) ? `${text}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n` : text;
}

/** Fields in any order, and the body that they announce. */
function contentOf(random: Random, hasBody: boolean): { fields: string; body: string } {
  const lines: string[] = [];
  for (let left = random.below(4); left > 0; left -= 1) lines.push(random.pick(OTHERS));
  if (random.once(6)) lines.push(`Connection: ${random.pick(CONNECTIONS)}`);
  let body = "";
  if (hasBody) {
    const isRight = !random.once(3);
    if (random.once(2)) {
      lines.push(`Content-Length: ${isRight ? "5" : random.pick(LENGTHS)}`);
      body = "hello";
      if (random.once(12)) lines.push(`Content-Length: ${random.pick(["5", "6"])}`);
    } else {
      lines.push(`Transfer-Encoding: ${isRight ? "chunked" : random.pick(CODINGS)}`);
      body = chunksOf(random);
      if (random.once(12)) lines.push("Content-Length: 5");
    }
  }
  for (let at = lines.length - 1; at > 0; at -= 1) {
    const other = random.below(at + 1);
    [lines[at], lines[other]] = [lines[other]!, lines[at]!];
  }
  return { fields: lines.map((line) => `${line}\r\n`).join(""), body };
}

function chunksOf(random: Random): string {
  let text = "";
  for (let left = random.below(3); left > 0; left -= 1) {
    const size = 1 + random.below(20);
    const digits = random.pick([size.toString(16), size.toString(16).toUpperCase(), `0${size.toString(16)}`]);
    text += `${digits}${random.once(3) ? random.pick(CHUNK_ENDS) : ""}\r\n${"x".repeat(size)}\r\n`;
  }
  const last = random.once(6) ? random.pick(["00", "0;a", "0x0", "-0", "0 ", "00000000000000"]) : "0";
  const trailers = random.once(3)
    ? random.pick(["x-sum: 1\r\n", "content-length: 5\r\n", "host: b\r\n", ": x\r\n"])
    : "";
  return `${text}${last}\r\n${trailers}\r\n`;
}

/** Somewhere in a text: half of the time where lines, names and chunks meet. */
function placeIn(text: string, random: Random): number {
  const at = random.below(text.length + 1);
  if (random.once(2)) return at;
  const rest = text.slice(at).search(/[\r\n:,;]/);
  return rest < 0 ? at : at + rest;
}

function changed(text: string, random: Random): string {
  const at = placeIn(text, random);
  switch (random.below(4)) {
    case 0:
      return text.slice(0, at) + text.slice(at + 1 + random.below(4));
    case 1:
      return text.slice(0, at) + String.fromCharCode(random.below(256)) + text.slice(at + 1);
    default:
      return text.slice(0, at) + random.pick(SPLINTERS) + text.slice(at + (random.once(2) ? 0 : random.below(4)));
  }
}
