// Servers that know nothing of Pillion: node:http, node:http2 without TLS, a WebSocket echo, raw TCP.
//
// One handler for both HTTP versions (node:http2 has a compatible request and response), so that a test over versions
// asks for the same things everywhere:
//
//   /inspect          what arrived, in JSON, once the body is whole        /echo         the body as it comes
//   /status/<n>       that status                                         /trailers     a body with trailers
//   /bytes/<n>        n bytes, with content-length (`x` repeated)          /chunks/<n>    n chunks, without it
//   /early            an answer before the body was read                  /hints        103, then 200
//   /delay/<ms>       later                                               /hang         never
//   /reset            half an answer, then a reset                        /drop         a reset instead of an answer

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import {
  createServer as createServerH2,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { type AddressInfo, createServer as createServerTcp, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as pause } from "node:timers/promises";
import { WebSocket, WebSocketServer } from "ws";

/** By default node:http2 refuses streams of a session once the answers of others hold 10 MB. */
const H2_OPTIONS = { maxSessionMemory: 10_000 };

export type Version = "http1" | "http2";

// node:http2's compatible request and response have all that is used here of node:http's.
type AnyRequest = IncomingMessage & { readonly stream?: { close(code: number): void } };
type AnyResponse = ServerResponse;

/** What `/inspect` answers. */
export interface Inspection {
  readonly instance: string;
  readonly version: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly trailers: Record<string, string>;
  readonly bodyBytes: number;
  readonly bodySha256: string;
}

export interface ForeignServer extends AsyncDisposable {
  readonly name: string;
  /** `127.0.0.1:port`. */
  readonly address: string;
  /** Requests that arrived. */
  readonly requests: number;
  /** `/hang` requests whose client went away. */
  readonly aborts: number;
  /** Connections that were ever accepted, and those open now. */
  readonly connections: number;
  readonly open: number;
  /** Closes the listener and every connection. */
  close(): Promise<void>;
}

interface Counters {
  requests: number;
  aborts: number;
  connections: number;
}

/** Starts the inspecting server. */
export async function startServer(version: Version, name = "a", port = 0): Promise<ForeignServer> {
  const counters: Counters = { requests: 0, aborts: 0, connections: 0 };
  const handle = (request: AnyRequest, response: AnyResponse) => {
    counters.requests += 1;
    request.on("error", () => {});
    response.on("error", () => {});
    answer(name, counters, request, response).catch(() => resetStream(request));
  };
  const handleH2 = (request: Http2ServerRequest, response: Http2ServerResponse) =>
    handle(request as unknown as AnyRequest, response as unknown as AnyResponse);
  const server =
    version === "http1" ? createServer({ keepAliveTimeout: 30_000 }, handle) : createServerH2(H2_OPTIONS, handleH2);
  return listen(server as Server, name, counters, port);
}

/** Starts a TCP server for raw bytes: `handle` has the socket for itself. */
export async function startTcpServer(handle: (socket: Socket) => void, name = "raw"): Promise<ForeignServer> {
  const counters: Counters = { requests: 0, aborts: 0, connections: 0 };
  const server = createServerTcp({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    handle(socket);
  });
  return listen(server, name, counters, 0);
}

/** Starts a WebSocket server that sends every message back, on node:http. */
export async function startWebSocketServer(name = "ws"): Promise<ForeignServer> {
  const counters: Counters = { requests: 0, aborts: 0, connections: 0 };
  const server = createServer((_request, response) => {
    counters.requests += 1;
    response.end("not a websocket");
  });
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on("connection", (socket) => {
    counters.requests += 1;
    socket.on("error", () => {});
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  return listen(server, name, counters, 0);
}

/** Starts a WebSocket server that sends every message back, on node:http2 alone (RFC 8441). */
export async function startWebSocketServerH2(name = "ws"): Promise<ForeignServer> {
  const counters: Counters = { requests: 0, aborts: 0, connections: 0 };
  const server = createServerH2({ settings: { enableConnectProtocol: true } });
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    counters.requests += 1;
    stream.on("error", () => {});
    const isForeign = headers["sec-websocket-key"] !== undefined || headers["sec-websocket-version"] !== "13";
    if (headers[":protocol"] !== "websocket" || isForeign) {
      stream.respond({ ":status": 400 }, { endStream: true });
      return;
    }
    stream.respond({ ":status": 200 });
    // What `ws` makes of a socket whose handshake somebody else did.
    const socket = new WebSocket(null as unknown as string, undefined, { autoPong: true }) as WebSocket & {
      setSocket(stream: Duplex, head: Buffer, options: object): void;
    };
    socket.on("error", () => {});
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.setSocket(stream, Buffer.alloc(0), { allowSynchronousEvents: true, maxPayload: 2 ** 20 });
  });
  return listen(server as unknown as Server, name, counters, 0);
}

async function listen(server: Server, name: string, counters: Counters, port: number): Promise<ForeignServer> {
  const open = new Set<Duplex>();
  server.on("connection", (socket: Socket) => {
    counters.connections += 1;
    open.add(socket);
    socket.on("close", () => open.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of open) socket.destroy();
    });
  return {
    name,
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get requests() {
      return counters.requests;
    },
    get aborts() {
      return counters.aborts;
    },
    get connections() {
      return counters.connections;
    },
    get open() {
      return open.size;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function answer(name: string, counters: Counters, request: AnyRequest, response: AnyResponse): Promise<void> {
  const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
  const [, verb = "", argument = ""] = path.split("/");
  const number = Number(argument);
  response.setHeader("x-instance", name);
  switch (verb) {
    case "echo":
      response.writeHead(200, { "content-type": "application/octet-stream" });
      return pipeline(request, response);
    case "status":
      response.writeHead(number);
      return void response.end(number === 204 || number === 304 ? undefined : `status ${number}`);
    case "bytes":
      response.writeHead(200, { "content-length": number });
      return sendBytes(response, number);
    case "chunks":
      response.writeHead(200);
      for (let chunk = 1; chunk <= number; chunk += 1) {
        response.write(`chunk ${chunk}\n`);
        await pause(1);
      }
      return void response.end();
    case "trailers":
      response.writeHead(200, { trailer: "x-sum, x-end" });
      response.write("body, then trailers");
      response.addTrailers({ "x-sum": "42", "x-end": "yes" });
      return void response.end();
    case "early":
      return void response.end("early");
    case "hints":
      response.writeEarlyHints({ link: "</style.css>; rel=preload" });
      return void response.end("hinted");
    case "delay":
      await pause(number);
      return void response.end(`${number}`);
    case "hang":
      return void response.on("close", () => {
        counters.aborts += 1;
      });
    case "reset":
      response.writeHead(200, { "content-length": 1000 });
      response.write("half of it");
      await pause(20);
      return resetStream(request);
    case "drop":
      return resetStream(request);
    default:
      return inspect(name, request, response);
  }
}

async function inspect(name: string, request: AnyRequest, response: AnyResponse): Promise<void> {
  const hash = createHash("sha256");
  let bodyBytes = 0;
  for await (const chunk of request) {
    bodyBytes += (chunk as Buffer).length;
    hash.update(chunk as Buffer);
  }
  const inspection: Inspection = {
    instance: name,
    version: request.httpVersion,
    method: request.method ?? "",
    path: request.url ?? "",
    headers: textsOf(request.headers),
    trailers: textsOf(request.trailers),
    bodyBytes,
    bodySha256: hash.digest("hex"),
  };
  const body = JSON.stringify(inspection);
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}

function textsOf(fields: NodeJS.Dict<string | string[]>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).map(([field, value]) => [field, String(value)]));
}

async function sendBytes(response: AnyResponse, length: number): Promise<void> {
  const block = Buffer.alloc(65_536, "x");
  for (let sent = 0; sent < length && !response.destroyed; sent += block.length) {
    const part = block.subarray(0, Math.min(block.length, length - sent));
    if (!response.write(part)) await waitForRoom(response);
  }
  response.end();
}

function waitForRoom(response: AnyResponse): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      response.off("drain", wake);
      response.off("close", wake);
      resolve();
    };
    response.on("drain", wake);
    response.on("close", wake);
  });
}

/** RST_STREAM on HTTP/2; on HTTP/1.1 the connection ends with it. */
function resetStream(request: AnyRequest): void {
  if (request.stream !== undefined) request.stream.close(2);
  else request.socket.resetAndDestroy();
}
