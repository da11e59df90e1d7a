// Messages that have smuggled others past proxies: HTTP/2 to HTTP/1.1 (RFC 9113 §8.1 to §8.3, §10.3), HTTP/1.1 requests
// (RFC 9112 §6.3, §11.2; RFC 9110 §5.5), and responses. Each says whether anything of it may reach a backend.

import type { Fields } from "./frames.ts";

export interface H2Vector {
  readonly name: string;
  readonly fields: Fields;
  /** DATA frames; the last one ends the stream, none: HEADERS does. */
  readonly data?: readonly string[];
  readonly trailers?: Fields;
  /** Whether it may arrive, as one well-formed message. */
  readonly arrives: boolean;
}

export interface H1Vector {
  readonly name: string;
  readonly text: string;
  /** Whole messages that may arrive of it, in order, by target; with a body where it matters. */
  readonly arrives: readonly string[];
}

export interface ResponseVector {
  readonly name: string;
  readonly text: string;
}

const EVIL = "GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n";

function get(more: Fields = [], path = "/v"): Fields {
  return [[":method", "GET"], [":scheme", "http"], [":authority", "raw"], [":path", path], ...more];
}

function post(more: Fields = []): Fields {
  return [[":method", "POST"], [":scheme", "http"], [":authority", "raw"], [":path", "/v"], ...more];
}

/** A request with one of its pseudo-header fields changed. */
function pseudo(name: string, value: string): Fields {
  return get().map((one) => (one[0] === name ? ([name, value] as const) : one));
}

function refused(name: string, fields: Fields, data?: readonly string[], trailers?: Fields): H2Vector {
  return { name, fields, arrives: false, ...(data && { data }), ...(trailers && { trailers }) };
}

export const H2_VECTORS: readonly H2Vector[] = [
  { name: "a plain request", fields: get(), arrives: true },
  { name: "a body without a length", fields: post(), data: ["hel", "lo"], arrives: true },
  { name: "a body with its length", fields: post([["content-length", "5"]]), data: ["hello"], arrives: true },
  { name: "a request in the body", fields: post(), data: [EVIL], arrives: true },
  { name: "trailers that frame", fields: post(), data: ["x"], trailers: [["content-length", "0"]], arrives: true },
  { name: "trailers that code", fields: post(), data: ["x"], trailers: [["x-sum", "1"]], arrives: true },
  { name: "a hundred crumbs", fields: get(Array.from({ length: 100 }, () => ["cookie", "a=b"])), arrives: true },
  refused("CR LF in a value", get([["foo", "a\r\nx-evil: y"]])),
  refused("a request in a value", get([["foo", `a\r\n\r\n${EVIL}`]])),
  refused("CR in a value", get([["foo", "a\rx-evil: y"]])),
  refused("LF in a value", get([["foo", "a\nx-evil: y"]])),
  refused("NUL in a value", get([["foo", "a\0b"]])),
  refused("a blank before a value", get([["foo", " a"]])),
  refused("a tab behind a value", get([["foo", "a\t"]])),
  refused("CR LF in a name", get([["foo: a\r\nx-evil", "y"]])),
  refused("a colon in a name", get([["foo:x-evil", "y"]])),
  refused("a blank in a name", get([["foo bar", "y"]])),
  refused("a name in upper case", get([["Foo", "y"]])),
  refused("an empty name", get([["", "y"]])),
  refused("bytes above 127 in a name", get([["f\xf6o", "y"]])),
  refused("transfer-encoding", post([["transfer-encoding", "chunked"]]), [`0\r\n\r\n${EVIL}`]),
  refused("transfer_encoding", post([["transfer_encoding", "chunked"]]), [`0\r\n\r\n${EVIL}`]),
  refused("connection", get([["connection", "close"]])),
  refused("keep-alive", get([["keep-alive", "timeout=5"]])),
  refused("proxy-connection", get([["proxy-connection", "close"]])),
  refused("upgrade", get([["upgrade", "websocket"]])),
  refused("te: chunked", get([["te", "chunked"]])),
  refused("te: trailers, chunked", get([["te", "trailers, chunked"]])),
  refused("more data than the length", post([["content-length", "2"]]), [`xx${EVIL}`]),
  refused("less data than the length", post([["content-length", "50"]]), ["x"]),
  refused("an end on HEADERS against the length", post([["content-length", "5"]])),
  refused("an end on trailers against the length", post([["content-length", "5"]]), ["x"], [["x-sum", "1"]]),
  refused(
    "two lengths that differ",
    post([
      ["content-length", "1"],
      ["content-length", "2"],
    ]),
    ["x"],
  ),
  refused("two lengths in one field", post([["content-length", "1, 1"]]), ["x"]),
  refused("a length with a sign", post([["content-length", "+1"]]), ["x"]),
  refused("a length that overflows", post([["content-length", "18446744073709551617"]]), ["x"]),
  refused("an empty length", post([["content-length", ""]]), ["x"]),
  refused("content_length", post([["content_length", "0"]]), [EVIL]),
  refused("an empty path", pseudo(":path", "")),
  refused("a path without a slash", pseudo(":path", "v")),
  refused("a whole line in a path", pseudo(":path", "/v HTTP/1.1\r\nHost: evil\r\nx: y")),
  refused("a blank in a path", pseudo(":path", "/v /evil")),
  refused("LF in a path", pseudo(":path", "/v\nx-evil: y")),
  refused("NUL in a path", pseudo(":path", "/v\0")),
  refused("an escaped NUL in a path", pseudo(":path", "/v%00")),
  refused("a fragment in a path", pseudo(":path", "/v#x")),
  refused("a backslash in a path", pseudo(":path", "/v\\x")),
  refused("bytes above 127 in a path", pseudo(":path", "/v\xff")),
  refused("an asterisk and GET", pseudo(":path", "*")),
  refused("an absolute path", pseudo(":path", "http://evil/v")),
  refused("a whole line in a method", pseudo(":method", "GET /evil HTTP/1.1\r\nHost: evil\r\n\r\nGET")),
  refused("a blank in a method", pseudo(":method", "GET /evil")),
  refused("a method with a colon", pseudo(":method", "GET:")),
  refused("an empty method", pseudo(":method", "")),
  refused("a scheme that injects", pseudo(":scheme", "http://evil/x?")),
  refused("a scheme with CR LF", pseudo(":scheme", "http\r\nx-evil: y")),
  refused("an unknown scheme", pseudo(":scheme", "file")),
  refused("user information in an authority", pseudo(":authority", "user@raw")),
  refused("a path in an authority", pseudo(":authority", "raw/evil")),
  refused("CR LF in an authority", pseudo(":authority", "raw\r\nx-evil: y")),
  refused("two hosts in an authority", pseudo(":authority", "raw,evil")),
  refused("a blank in an authority", pseudo(":authority", "raw evil")),
  refused("a host that differs", get([["host", "evil"]])),
  refused(
    "two hosts",
    get([
      ["host", "raw"],
      ["host", "raw"],
    ]),
  ),
  refused("a pseudo-header twice", get([[":path", "/evil"]])),
  refused("a pseudo-header behind a field", [["foo", "a"], ...get()]),
  refused("an unknown pseudo-header", [...get(), [":evil", "y"]]),
  refused("a status in a request", [...get(), [":status", "200"]]),
  refused(
    "no method",
    get().filter(([name]) => name !== ":method"),
  ),
  refused(
    "no path",
    get().filter(([name]) => name !== ":path"),
  ),
  refused(
    "no scheme",
    get().filter(([name]) => name !== ":scheme"),
  ),
  refused("a pseudo-header in trailers", post(), ["x"], [[":path", "/evil"]]),
  refused("CR LF in trailers", post(), ["x"], [["x-sum", "1\r\nx-evil: y"]]),
  refused("transfer-encoding in trailers", post(), ["x"], [["transfer-encoding", "chunked"]]),
  refused("TRACE with a body", pseudo(":method", "TRACE"), [EVIL]),
];

const HEAD = "POST /v HTTP/1.1\r\nHost: raw\r\n";
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`;

const H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";

function none(name: string, text: string): H1Vector {
  return { name, text, arrives: [] };
}

export const H1_VECTORS: readonly H1Vector[] = [
  { name: "a plain request", text: "GET /v HTTP/1.1\r\nHost: raw\r\n\r\n", arrives: ["/v"] },
  {
    name: "two in a row",
    text: `GET /v HTTP/1.1\r\nHost: raw\r\n\r\nGET /w HTTP/1.1\r\nHost: raw\r\n\r\n`,
    arrives: ["/v", "/w"],
  },
  { name: "a request in a body", text: `${HEAD}Content-Length: ${EVIL.length}\r\n\r\n${EVIL}`, arrives: ["/v"] },
  {
    name: "a request in a chunk",
    text: `${CHUNKED}${EVIL.length.toString(16)}\r\n${EVIL}\r\n0\r\n\r\n`,
    arrives: ["/v"],
  },
  { name: "extensions of chunks", text: `${CHUNKED}1;a="b;\\"";c=d\r\nx\r\n0;e\r\n\r\n`, arrives: ["/v"] },
  {
    name: "trailers that frame",
    text: `${CHUNKED}1\r\nx\r\n0\r\nContent-Length: 9\r\nHost: evil\r\n\r\n`,
    arrives: ["/v"],
  },
  {
    name: "fields that Connection names",
    text: `GET /v HTTP/1.1\r\nHost: raw\r\nConnection: x-evil\r\nx-evil: y\r\n\r\n`,
    arrives: ["/v"],
  },
  {
    name: "h2c",
    text: `GET /v HTTP/1.1\r\nHost: raw\r\n${H2C}\r\n`,
    arrives: ["/v"],
  },
  none("a length beside a coding", `${HEAD}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${EVIL}`),
  none("a coding beside a length", `${HEAD}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${EVIL}`),
  ...[
    "xchunked",
    "chunked, chunked",
    "gzip, chunked",
    "chunked, gzip",
    "chunked;q=1",
    ",chunked",
    "chunked,",
    "\vchunked",
    "\fchunked",
    "chunked\0",
    "identity",
    "",
    '"chunked"',
  ].map((coding) =>
    none(`a coding of ${JSON.stringify(coding)}`, `${HEAD}Transfer-Encoding: ${coding}\r\n\r\n0\r\n\r\n${EVIL}`),
  ),
  none("two codings", `${HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${EVIL}`),
  none("a folded coding", `${HEAD}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n${EVIL}`),
  none("a coding in HTTP/1.0", `POST /v HTTP/1.0\r\nHost: raw\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${EVIL}`),
  none("transfer_encoding", `${HEAD}Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n${EVIL}`),
  none("a blank before the colon", `${HEAD}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${EVIL}`),
  ...["1, 1", "1, 2", "+1", "-1", "-0", "0x1", "01", "1 1", "", "1_0", "18446744073709551617"].map((length) =>
    none(`a length of ${JSON.stringify(length)}`, `${HEAD}Content-Length: ${length}\r\n\r\nx${EVIL}`),
  ),
  none("two lengths", `${HEAD}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx${EVIL}`),
  none("two lengths that differ", `${HEAD}Content-Length: 0\r\nContent-Length: ${EVIL.length}\r\n\r\n${EVIL}`),
  ...["0x1", "1_", "+1", "-1", " 1", "1 ", "", "fffffffffffffffff", "1;", "1;a=", '1;a="', "1;a\n", "1\n", "1\r"].map(
    (size) => none(`a chunk size of ${JSON.stringify(size)}`, `${CHUNKED}${size}\r\nx\r\n0\r\n\r\n${EVIL}`),
  ),
  none("a chunk that is longer than it says", `${CHUNKED}1\r\nxx\r\n0\r\n\r\n${EVIL}`),
  none("a chunk without its end", `${CHUNKED}1\r\nx0\r\n\r\n${EVIL}`),
  none("a chunk that ends with LF", `${CHUNKED}1\r\nx\n0\r\n\r\n${EVIL}`),
  none("a line that ends with LF", `GET /v HTTP/1.1\nHost: raw\n\n`),
  none("a field that ends with LF", `GET /v HTTP/1.1\r\nHost: raw\nx-evil: y\r\n\r\n`),
  none("a bare CR in a value", `GET /v HTTP/1.1\r\nHost: raw\r\nfoo: a\rx-evil: y\r\n\r\n`),
  none("NUL in a value", `GET /v HTTP/1.1\r\nHost: raw\r\nfoo: a\0b\r\n\r\n`),
  none("a folded value", `GET /v HTTP/1.1\r\nHost: raw\r\nfoo: a\r\n x-evil: y\r\n\r\n`),
  none("an empty name", `GET /v HTTP/1.1\r\nHost: raw\r\n: a\r\n\r\n`),
  none("a line without a colon", `GET /v HTTP/1.1\r\nHost: raw\r\nfoo\r\n\r\n`),
  none("a blank before the first field", `GET /v HTTP/1.1\r\n Host: raw\r\n\r\n`),
  none("no host", `GET /v HTTP/1.1\r\n\r\n`),
  none("two hosts", `GET /v HTTP/1.1\r\nHost: raw\r\nHost: raw\r\n\r\n`),
  none("two hosts in one", `GET /v HTTP/1.1\r\nHost: raw, evil\r\n\r\n`),
  none("a host that the target contradicts", `GET http://raw/v HTTP/1.1\r\nHost: evil\r\n\r\n`),
  none("user information", `GET http://user@raw/v HTTP/1.1\r\nHost: raw\r\n\r\n`),
  none("a fragment", `GET /v#x HTTP/1.1\r\nHost: raw\r\n\r\n`),
  none("an escaped NUL", `GET /v%00 HTTP/1.1\r\nHost: raw\r\n\r\n`),
  none("a backslash", `GET /v\\x HTTP/1.1\r\nHost: raw\r\n\r\n`),
  none("a blank in the target", `GET /v /evil HTTP/1.1\r\nHost: raw\r\n\r\n`),
  none("HTTP/0.9", "GET /v\r\n\r\n"),
  none("HTTP/1.2", `GET /v HTTP/1.2\r\nHost: raw\r\n\r\n`),
  none("a version in lower case", `GET /v http/1.1\r\nHost: raw\r\n\r\n`),
  none("an expectation", `${HEAD}Expect: 200-ok\r\nContent-Length: 1\r\n\r\nx`),
  none("an option that frames", `${HEAD}Connection: content-length\r\nContent-Length: 1\r\n\r\nx`),
];

const STOLEN = "HTTP/1.1 200 OK\r\nx-stolen: 1\r\nContent-Length: 6\r\n\r\nstolen";

export const RESPONSE_VECTORS: readonly ResponseVector[] = [
  { name: "no HTTP at all", text: "hello\r\n\r\n" },
  {
    name: "a length beside a coding",
    text: `HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${STOLEN}`,
  },
  { name: "another coding", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" },
  { name: "a coding in HTTP/1.0", text: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
  { name: "two lengths", text: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx" },
  { name: "a length in a list", text: "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx" },
  { name: "a length with a sign", text: "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx" },
  { name: "a blank before a colon", text: "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx" },
  { name: "a folded value", text: "HTTP/1.1 200 OK\r\nfoo: a\r\n x-evil: y\r\nContent-Length: 0\r\n\r\n" },
  { name: "a bare CR in a value", text: "HTTP/1.1 200 OK\r\nfoo: a\rx-evil: y\r\nContent-Length: 0\r\n\r\n" },
  { name: "LF for CR LF", text: "HTTP/1.1 200 OK\nContent-Length: 0\n\n" },
  { name: "NUL in a value", text: "HTTP/1.1 200 OK\r\nfoo: a\0b\r\nContent-Length: 0\r\n\r\n" },
  { name: "an empty name", text: "HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n" },
  { name: "an unknown version", text: "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n" },
  { name: "a status of two digits", text: "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n" },
  { name: "a status of letters", text: "HTTP/1.1 2OO OK\r\nContent-Length: 0\r\n\r\n" },
  {
    name: "101 that nobody asked for",
    text: "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
  },
  { name: "endless informational responses", text: "HTTP/1.1 100 Continue\r\n\r\n".repeat(40) },
  { name: "a FIN in the head", text: "HTTP/1.1 200 OK\r\nContent-Le" },
];

/** Right as far as they go, with another response behind: it must not answer the next request. */
export const SPLIT_VECTORS: readonly ResponseVector[] = [
  { name: "behind a length", text: `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok${STOLEN}` },
  {
    name: "behind the last chunk",
    text: `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n${STOLEN}`,
  },
  { name: "behind 204", text: `HTTP/1.1 204 No Content\r\n\r\n${STOLEN}` },
  { name: "behind 304", text: `HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n${STOLEN}` },
];
