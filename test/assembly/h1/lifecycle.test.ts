// What the verbs do besides reading and writing: closing, breaking off, half-closing, running out.

import { afterEach, beforeAll, expect, test } from "vitest";
import {
  GLITCH_BAD_MESSAGE,
  GLITCH_HEAD_LIMIT,
  REASON_RESOURCE_EXHAUSTED,
  ROLE_DOWNSTREAM,
} from "../../../assembly/abi/engine-codes.ts";
import { OUTPUT_HIGH_BYTES } from "../../../assembly/abi/limits.ts";
import { CONNECTION_FLAG, type Connection, type H1, loadH1, STREAM_FLAG } from "../../support/h1.ts";

let h1: H1;
const open: Connection[] = [];
beforeAll(async () => {
  h1 = await loadH1();
});
afterEach(() => {
  for (const connection of open.splice(0)) connection.close();
  expect([h1.exports.poolUsedBytes(), h1.exports.streamCount(), h1.exports.connectionCount()]).toEqual([0, 0, 0]);
});

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";

function connect(role: "downstream" | "upstream"): Connection {
  const connection = h1.connect(role);
  open.push(connection);
  return connection;
}

/** A downstream connection that has received `bytes`, and its stream. */
function ask(bytes: string): [Connection, number] {
  const connection = connect("downstream");
  const event = connection.events(bytes)[0];
  if (event === undefined || event.kind === "blocked") throw new Error("no request");
  return [connection, event.stream];
}

/** An upstream connection with a request that was sent. */
function request(method: string, length?: number): [Connection, number] {
  const connection = connect("upstream");
  const stream = connection.open();
  const head = { method, path: "/", authority: "a", ...(length === undefined ? {} : { length }) };
  connection.sendRequest(stream, head, length === undefined);
  return [connection, stream];
}

test("an upstream connection carries one request at a time", () => {
  const [connection, stream] = request("GET");
  expect(connection.open()).toBe(0);
  connection.events("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  expect(connection.open()).toBe(0);
  connection.release(stream);
  expect(connection.isReusable).toBe(true);
  expect(connection.open()).not.toBe(0);
});

test("an upstream connection whose request was not sent completely is not used again", () => {
  const [connection, stream] = request("POST", 5);
  connection.sendData(stream, "he", false);
  expect(connection.events("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")[0]?.kind).toBe("head");
  connection.release(stream);
  expect(connection.isReusable).toBe(false);
  expect(connection.open()).toBe(0);
});

test("bytes on an idle upstream connection are fatal", () => {
  const connection = connect("upstream");
  expect(connection.events("HTTP/1.1 408 Request Timeout\r\n\r\n").map((event) => event.kind)).toEqual(["fatal"]);
  expect(connection.isReusable).toBe(false);
});

test("bytes behind an answer never become the answer to the next request", () => {
  const second = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
  const first = [
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
  ];
  for (const answer of first) {
    const [connection, stream] = request("GET");
    let opened = -1;
    const kinds: string[] = [];
    connection.receive(answer + second, (event) => {
      kinds.push(event.kind);
      const isLast = event.kind === "trailers" || event.kind === "end" || ("end" in event && event.end);
      if (!isLast || opened >= 0) return;
      connection.release(stream); // as early as anybody could
      opened = connection.open();
    });
    expect([answer, opened, kinds.filter((kind) => kind === "head").length]).toEqual([answer, 0, 1]);
  }
});

test("the FIN of an idle connection says nothing, and ends it", () => {
  for (const role of ["upstream", "downstream"] as const) {
    const connection = connect(role);
    expect(connection.end()).toBeUndefined();
    expect(connection.isReusable).toBe(false);
  }
});

test("a client that half-closes behind its request is still answered, with close", () => {
  const [connection, stream] = ask(GET);
  expect(connection.end()).toBeUndefined();
  connection.sendResponse(stream, { status: 200 }, true);
  expect(connection.output()).toBe("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  connection.release(stream);
  expect(connection.isReusable).toBe(false);
});

test("draining: the next answer says close", () => {
  const connection = connect("downstream");
  h1.exports.closeAfterResponseH1(connection.address);
  expect(connection.wantsClose).toBe(true);
  const event = connection.events(GET)[0];
  if (event?.kind !== "head") throw new Error("no request");
  connection.sendResponse(event.stream, { status: 204 }, true);
  expect(connection.output()).toBe("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
  connection.release(event.stream);
  expect(connection.isReusable).toBe(false);
});

test("draining upstream: the request says close", () => {
  const connection = connect("upstream");
  const stream = connection.open();
  h1.exports.closeAfterResponseH1(connection.address);
  connection.sendRequest(stream, { method: "GET", path: "/", authority: "a" }, true);
  expect(connection.output()).toBe("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
  connection.events("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  connection.release(stream);
  expect(connection.isReusable).toBe(false);
});

test("an answer before the end of the request closes, and says so where it is known", () => {
  const [connection, stream] = ask(`${POST}he`);
  connection.sendResponse(stream, { status: 413 }, true);
  expect(connection.output()).toContain("connection: close");
  connection.release(stream);
  expect(connection.isReusable).toBe(false);
  // What still comes of the body is dropped: it must not be taken for a request.
  expect(connection.events(`llo${GET}`)).toEqual([]);
});

test("an answer that outlasts the request does not close", () => {
  const [connection, stream] = ask(`${POST}he`);
  connection.sendResponse(stream, { status: 200, length: 2 }, false);
  expect(connection.events("llo").map((event) => event.kind)).toEqual(["data"]);
  connection.sendData(stream, "ok", true);
  expect(connection.output()).toBe("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  connection.release(stream);
  expect(connection.isReusable).toBe(true);
});

test("a final answer instead of 100 (Continue) closes: nobody knows whether the body comes", () => {
  const head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
  const [refused, first] = ask(head);
  refused.sendResponse(first, { status: 200, length: 2 }, false);
  expect(refused.output()).toContain("connection: close");
  const [told, second] = ask(head);
  told.sendInformational(second, { status: 100 });
  told.events("hello");
  told.sendResponse(second, { status: 200, length: 0 }, true);
  expect(told.output()).toBe("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  told.release(second);
  expect(told.isReusable).toBe(true);
});

test("a response that has begun is broken off with a reset of the socket, never ended", () => {
  const [connection, stream] = ask(GET);
  connection.sendResponse(stream, { status: 200 }, false);
  connection.sendData(stream, "hel", false);
  connection.reset(stream);
  connection.sendData(stream, "lo", true);
  connection.sendEnd(stream);
  expect(connection.output()).toBe("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n");
  expect(connection.flags & CONNECTION_FLAG.abort).not.toBe(0);
  expect(connection.events(GET)).toEqual([]);
});

test("a response that has not begun is broken off with a plain close", () => {
  const [connection, stream] = ask(GET);
  connection.reset(stream);
  connection.sendResponse(stream, { status: 200 }, true);
  expect(connection.output()).toBe("");
  expect(connection.flags & (CONNECTION_FLAG.abort | CONNECTION_FLAG.closeWanted)).toBe(CONNECTION_FLAG.closeWanted);
});

test("cancelling upstream: closed when all was written, else reset", () => {
  const [written, first] = request("GET");
  written.output();
  written.reset(first);
  expect(written.flags & (CONNECTION_FLAG.abort | CONNECTION_FLAG.closeWanted)).toBe(CONNECTION_FLAG.closeWanted);
  const [unwritten, second] = request("POST", 5);
  unwritten.output();
  unwritten.reset(second);
  expect(unwritten.flags & CONNECTION_FLAG.abort).not.toBe(0);
  expect(unwritten.events("HTTP/1.1 200 OK\r\n\r\n")).toEqual([]);
});

test("a body that does not keep to its length aborts", () => {
  for (const data of ["hell", "hello!"]) {
    const [connection, stream] = ask(GET);
    connection.sendResponse(stream, { status: 200, length: 5 }, false);
    connection.sendData(stream, data, true);
    expect(connection.flags & CONNECTION_FLAG.abort).not.toBe(0);
    expect(connection.streamFlags(stream) & STREAM_FLAG.sentEnd).toBe(0);
    expect(connection.output()).not.toContain("!");
  }
  const [connection, stream] = ask(GET);
  connection.sendResponse(stream, { status: 200, length: 5 }, true);
  expect(connection.flags & CONNECTION_FLAG.abort).not.toBe(0);
});

test("a bad chunk behind an answer that has begun is a reset, and aborts", () => {
  const [connection, stream] = ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  connection.sendResponse(stream, { status: 200 }, false);
  const before = h1.exports.glitchCount(ROLE_DOWNSTREAM, GLITCH_BAD_MESSAGE);
  expect(connection.events("x")).toEqual([{ kind: "reset", stream, code: 1, flags: 0 }]);
  expect(h1.exports.glitchCount(ROLE_DOWNSTREAM, GLITCH_BAD_MESSAGE)).toBe(before + 1n);
  expect(connection.flags & CONNECTION_FLAG.abort).not.toBe(0);
});

test("a refusal can be answered, with close, and counts", () => {
  const before = h1.exports.glitchCount(ROLE_DOWNSTREAM, GLITCH_HEAD_LIMIT);
  const [connection, stream] = ask(`HEAD /${"a".repeat(9000)} HTTP/1.1\r\n\r\n${GET}`);
  expect(h1.exports.glitchCount(ROLE_DOWNSTREAM, GLITCH_HEAD_LIMIT)).toBe(before + 1n);
  connection.sendResponse(stream, { status: 414, length: 3 }, false);
  connection.sendData(stream, "no!", true);
  expect(connection.output()).toContain("connection: close");
  connection.release(stream);
  expect(connection.isReusable).toBe(false);
});

test("the refusal of a HEAD request has no body", () => {
  const [connection, stream] = ask("HEAD / HTTP/1.1\r\n\r\n");
  connection.sendResponse(stream, { status: 400, length: 3 }, false);
  connection.sendData(stream, "no!", true);
  expect(connection.output()).toBe("HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\nconnection: close\r\n\r\n");
});

test("each side of a tunnel ends by itself", () => {
  const [connection, stream] = ask("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
  connection.sendResponse(stream, { status: 200 }, false);
  expect(connection.streamFlags(stream) & STREAM_FLAG.tunnel).not.toBe(0);
  expect(connection.events("ping")).toEqual([{ kind: "data", stream, data: "ping", end: false }]);
  expect(connection.end()).toEqual({ kind: "end", stream });
  connection.sendData(stream, "pong", false);
  expect(connection.flags & CONNECTION_FLAG.shutdownWanted).toBe(0);
  connection.sendEnd(stream);
  expect(connection.output()).toBe("HTTP/1.1 200 OK\r\n\r\npong");
  expect(connection.flags & CONNECTION_FLAG.shutdownWanted).not.toBe(0);
  connection.release(stream);
  expect(connection.isReusable).toBe(false);
});

test("a bare TCP connection is a tunnel from its first byte", () => {
  const connection = connect("upstream");
  const stream = connection.open();
  h1.exports.becomeTunnelH1(stream);
  connection.sendData(stream, "hello", false);
  expect(connection.output()).toBe("hello");
  expect(connection.events("SSH-2.0\r\n")).toEqual([{ kind: "data", stream, data: "SSH-2.0\r\n", end: false }]);
  expect(connection.end()).toEqual({ kind: "end", stream });
});

test("room to send is what the output's high mark leaves", () => {
  const [connection, stream] = ask(GET);
  connection.sendResponse(stream, { status: 200, length: OUTPUT_HIGH_BYTES * 2 }, false);
  const held = connection.output().length;
  expect(h1.exports.sendableH1(stream)).toBe(OUTPUT_HIGH_BYTES);
  expect(held).toBeGreaterThan(0);
  connection.sendData(stream, "x".repeat(100000), false);
  expect(h1.exports.sendableH1(stream)).toBe(OUTPUT_HIGH_BYTES - 100000);
  connection.sendData(stream, "x".repeat(100000), false);
  connection.sendData(stream, "x".repeat(100000), false);
  expect(h1.exports.sendableH1(stream)).toBe(0);
  expect(connection.output().length).toBe(300000);
});

test("body bytes and what is owed of them are counted", () => {
  const [connection, stream] = ask(`${POST}he`);
  const e = h1.exports;
  expect(h1.view.getBigUint64(stream + e.S_BODY_BYTES.value, true)).toBe(2n);
  expect(h1.view.getBigInt64(stream + e.S_EXPECTED.value, true)).toBe(3n);
  connection.events("llo");
  expect(h1.view.getBigInt64(stream + e.S_EXPECTED.value, true)).toBe(0n);
  expect(connection.streamFlags(stream) & STREAM_FLAG.receivedEnd).not.toBe(0);
});

test("a gathered head is given back once it was read", () => {
  const connection = connect("downstream");
  connection.events(GET.slice(0, 10));
  expect(h1.exports.poolUsedBytes()).toBeGreaterThan(0);
  const [event] = connection.events(GET.slice(10));
  if (event?.kind !== "head") throw new Error("no request");
  expect(event.head.authority).toBe("a");
  expect(h1.exports.poolUsedBytes()).toBe(0);
});

test("stopping in any state gives everything back", () => {
  const whole = `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n`;
  for (let length = 0; length <= whole.length; length += 1) {
    const connection = h1.connect("downstream");
    connection.events(whole.slice(0, length));
    connection.close();
    expect(h1.exports.poolUsedBytes()).toBe(0);
  }
});

test("without memory a request is refused by the codec itself, an upstream head is fatal", async () => {
  const full = await loadH1();
  const e = full.exports;
  const client = full.connect("downstream");
  const server = full.connect("upstream");
  const stream = server.open();
  server.sendRequest(stream, { method: "GET", path: "/", authority: "a" }, true);
  while (e.allocate(131072) !== 0) {} // the rest of the pool, for good: this instance ends with the test
  expect(server.events("HTTP/1.1 200")).toEqual([{ kind: "fatal", stream, code: REASON_RESOURCE_EXHAUSTED }]);
  expect(client.events("GET / HTTP/1.1\r\n").map((event) => event.kind)).toEqual(["fatal"]);
});

test("without a free stream a request is answered by the codec itself", async () => {
  const full = await loadH1();
  const other = full.connect("downstream");
  while (full.exports.createStream(other.address, 0) !== 0) {}
  const client = full.connect("downstream");
  expect(client.events(GET)).toEqual([{ kind: "fatal", stream: 0, code: REASON_RESOURCE_EXHAUSTED }]);
  expect(client.output()).toMatch(/^HTTP\/1.1 503 .*x-pillion-reason: resource-exhausted.*connection: close\r\n\r\n$/s);
});

test("a refusal carries what was read of its own head, and of no other", () => {
  const refusedHead = (connection: Connection, bytes: string): unknown => {
    const event = connection.events(bytes).at(-1);
    return event?.kind === "refuse" ? [event.head.method, event.head.path, event.head.authority] : undefined;
  };
  ask("GET /secret HTTP/1.1\r\nHost: other\r\n\r\n");
  expect(refusedHead(connect("downstream"), "\n")).toEqual(["", "", ""]);
  expect(refusedHead(connect("downstream"), "GET /mine HTTP/1.1\r\nbad\r\n\r\n")).toEqual(["GET", "/mine", ""]);
  const [connection] = ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  ask("GET /secret HTTP/1.1\r\nHost: other\r\n\r\n");
  expect(refusedHead(connection, "x")).toEqual(["", "", ""]);
});
