// Clients that know nothing of Pillion: node:http with a keep-alive agent, and one node:http2 session.
//
// Both take the same request and give the same answer, so that a test over versions is written once.

import { once } from "node:events";
import { Agent, type IncomingMessage, request as requestH1 } from "node:http";
import { connect, constants, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { Readable } from "node:stream";
import type { Version } from "./foreign-servers.ts";

export interface ClientRequest {
  readonly method?: string;
  /** The service's name. */
  readonly host: string;
  readonly path?: string;
  readonly headers?: Record<string, string | string[]>;
  /** Sent with content-length when it is text or a buffer, streamed when it is a list or a generator. */
  readonly body?: string | Buffer | Iterable<Buffer | string> | AsyncIterable<Buffer | string>;
  readonly trailers?: Record<string, string>;
  readonly signal?: AbortSignal;
  /** Waits for 100 before the body is sent. */
  readonly isContinueExpected?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
  readonly trailers: Record<string, string>;
  /** Statuses of informational answers, in order. */
  readonly informational: readonly number[];
}

export interface HttpClient extends AsyncDisposable {
  readonly version: Version;
  /** Resolves with the whole answer; rejects when it is cut short, reset or aborted. */
  send(request: ClientRequest): Promise<Answer>;
  close(): Promise<void>;
}

/** Connects by the given version. */
export function createClient(version: Version, address: string): HttpClient {
  return version === "http1" ? createClientH1(address) : createClientH2(address);
}

function bodyOf({ body }: ClientRequest): Readable | undefined {
  if (body === undefined || typeof body === "string" || Buffer.isBuffer(body)) return undefined;
  return Readable.from(body, { objectMode: false });
}

function lengthOf({ body }: ClientRequest): Record<string, string> {
  if (typeof body !== "string" && !Buffer.isBuffer(body)) return {};
  return { "content-length": `${Buffer.byteLength(body)}` };
}

function textsOf(fields: NodeJS.Dict<string | string[]> | IncomingHttpHeaders): Record<string, string> {
  const entries = Object.entries(fields).filter(([field]) => !field.startsWith(":"));
  return Object.fromEntries(entries.map(([field, value]) => [field, String(value)]));
}

function createClientH1(address: string): HttpClient {
  const [host = "", port = ""] = address.split(":");
  const agent = new Agent({ keepAlive: true });
  const close = async () => agent.destroy();
  return {
    version: "http1",
    close,
    [Symbol.asyncDispose]: close,
    send(request) {
      const { promise, resolve, reject } = Promise.withResolvers<Answer>();
      const { method = "GET", path = "/inspect", headers = {}, isContinueExpected = false } = request;
      const stream = bodyOf(request);
      const trailer = request.trailers === undefined ? {} : { trailer: Object.keys(request.trailers).join(", ") };
      const expect = isContinueExpected ? { expect: "100-continue" } : {};
      const chunked = stream === undefined ? {} : { "transfer-encoding": "chunked" };
      const informational: number[] = [];
      const outgoing = requestH1({
        host,
        port,
        agent,
        method,
        path,
        headers: { host: request.host, ...lengthOf(request), ...chunked, ...trailer, ...expect, ...headers },
      });
      // A reset: a mere FIN may as well come from a client that still wants its answer.
      request.signal?.addEventListener("abort", () => outgoing.socket?.resetAndDestroy());
      outgoing.on("error", reject);
      outgoing.on("information", ({ statusCode }) => informational.push(statusCode));
      outgoing.on("response", (response: IncomingMessage) => {
        collect(response).then((body) => {
          const trailers = textsOf(response.trailers);
          resolve({
            status: response.statusCode ?? 0,
            headers: textsOf(response.headers),
            body,
            trailers,
            informational,
          });
        }, reject);
      });
      const sendBody = () => {
        if (request.trailers !== undefined) outgoing.addTrailers(request.trailers);
        if (stream !== undefined) stream.on("error", reject).pipe(outgoing);
        else outgoing.end(request.body);
      };
      if (isContinueExpected) {
        outgoing.on("continue", sendBody);
        outgoing.flushHeaders();
      } else {
        sendBody();
      }
      return promise;
    },
  };
}

function createClientH2(address: string): HttpClient {
  const session = connect(`http://${address}`);
  let failure: Error | undefined;
  session.on("error", (error) => {
    failure = error;
  });
  const close = async () => {
    if (!session.destroyed) session.destroy();
  };
  return {
    version: "http2",
    close,
    [Symbol.asyncDispose]: close,
    send(request) {
      const { promise, resolve, reject } = Promise.withResolvers<Answer>();
      const { method = "GET", path = "/inspect", headers = {}, isContinueExpected = false } = request;
      if (session.destroyed) return Promise.reject(failure ?? new Error("the session is closed"));
      const body = bodyOf(request);
      const head: OutgoingHttpHeaders = {
        ":method": method,
        ":path": path,
        ":authority": request.host,
        ...lengthOf(request),
        ...(isContinueExpected ? { expect: "100-continue" } : {}),
        ...headers,
      };
      const hasTrailers = request.trailers !== undefined;
      const isEnd = request.body === undefined && !hasTrailers;
      const informational: number[] = [];
      const stream = session.request(head, {
        endStream: isEnd,
        waitForTrailers: hasTrailers,
        ...(request.signal === undefined ? {} : { signal: request.signal }),
      });
      let trailers: Record<string, string> = {};
      if (hasTrailers) stream.on("wantTrailers", () => stream.sendTrailers(request.trailers ?? {}));
      stream.on("error", reject);
      stream.on("headers", (fields) => informational.push(Number(fields[":status"])));
      stream.on("trailers", (fields) => {
        trailers = textsOf(fields);
      });
      stream.on("response", (fields) => {
        collect(stream).then((bytes) => {
          if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) return reject(new Error(`reset ${stream.rstCode}`));
          const status = Number(fields[":status"]);
          resolve({ status, headers: textsOf(fields), body: bytes, trailers, informational });
        }, reject);
      });
      stream.on("close", () => reject(failure ?? new Error(`closed without an answer, code ${stream.rstCode}`)));
      const sendBody = () => {
        if (body !== undefined) body.on("error", reject).pipe(stream);
        else if (!isEnd) stream.end(request.body);
      };
      if (isContinueExpected) stream.on("continue", sendBody);
      else sendBody();
      return promise;
    },
  };
}

async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A connection for bytes written by hand. */
export interface RawConnection extends AsyncDisposable {
  readonly socket: Socket;
  /** Everything received so far. */
  readonly received: Buffer;
  write(text: string): void;
  /** The first match in what has been received or will be; rejects when the peer ends before. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray>;
  /** Everything until the peer ended its side. */
  readUntilEnd(): Promise<string>;
}

/** Opens a TCP connection for a request in raw bytes. */
export async function openRaw(address: string): Promise<RawConnection> {
  const [host = "", port = "0"] = address.split(":");
  const socket = connectTcp({ host, port: Number(port), allowHalfOpen: true });
  await once(socket, "connect");
  let received = Buffer.alloc(0);
  let isEnded = false;
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
  });
  for (const event of ["end", "close"]) {
    socket.on(event, () => {
      isEnded = true;
    });
  }
  const change = () =>
    new Promise<void>((resolve) => {
      const wake = () => {
        for (const event of ["data", "end", "close"]) socket.off(event, wake);
        resolve();
      };
      for (const event of ["data", "end", "close"]) socket.on(event, wake);
    });
  return {
    socket,
    get received() {
      return received;
    },
    write: (text) => void socket.write(text, "latin1"),
    async waitFor(pattern) {
      for (;;) {
        const text = received.toString("latin1");
        const match = pattern.exec(text);
        if (match !== null) return match;
        if (isEnded) throw new Error(`ended without ${pattern}: ${JSON.stringify(text)}`);
        await change();
      }
    },
    async readUntilEnd() {
      while (!isEnded) await change();
      return received.toString("latin1");
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
    },
  };
}
