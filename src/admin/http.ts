// The little HTTP that the admin and probe servers share: a table of paths, JSON answers, and what is refused.
//
// Reads are GET (and HEAD), changes are POST; anything else is 405 with `allow`. Both come from people and scrapers on
// a trusted port, yet a browser on the same host can be made to call it: so no answer allows another origin, every
// answer is `nosniff`, and the admin server checks Host (see server.ts).

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Address, messageOf } from "../base/index.ts";

export interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** For 405 (RFC 9110 §15.5.6). */
  readonly allow?: string;
}

export interface Question {
  readonly url: URL;
  /** Of a POST, at most BODY_BYTES_MAX. */
  readonly body: string;
}

export type Answer = (question: Question) => Reply | Promise<Reply>;

/** One path: what GET reads, what POST changes. */
export interface Resource {
  readonly path: string;
  readonly help: string;
  readonly read?: Answer;
  readonly change?: Answer;
}

export interface HttpServer {
  /** Where it listens, with the port that the system chose for `:0`. */
  readonly address: Address;
  stop(): Promise<void>;
}

export interface HttpOptions {
  readonly address: Address;
  /** The flag that chose the address, for the message when it is taken. */
  readonly flag: string;
  readonly resources: readonly Resource[];
  /** Refuses a request before its resource sees it. */
  readonly refuse?: (request: IncomingMessage) => Reply | undefined;
  /** Makes the error of an address that cannot be had. */
  readonly explain: ExplainListen;
}

export type ExplainListen = (address: Address, flag: string, error: Error) => Error;

/**
 * The server of node:http without the rest of it: whoever imports node:http gets its WebSocket client too, and with it
 * undici, HTTP/2, zlib and web streams, 16 MB of an idle sidecar. A Node that lacks the inner module gives us them all.
 */
const { Server: HttpListener } = (process.getBuiltinModule("node:_http_server") ??
  process.getBuiltinModule("node:http")) as typeof import("node:http");

/** The largest POST is a log level. */
const BODY_BYTES_MAX = 4_096;

export function replyJson(value: unknown, status = 200): Reply {
  return { status, contentType: "application/json; charset=utf-8", body: `${JSON.stringify(value, undefined, 2)}\n` };
}

export function replyText(body: string, status = 200, contentType = "text/plain; charset=utf-8"): Reply {
  return { status, contentType, body };
}

/** Listens and answers; throws PILLION_LISTEN when the address cannot be had. */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const server = new HttpListener((request, response) => {
    answer(options, request).then(
      (reply) => send(response, reply, request.method === "HEAD"),
      (error: unknown) => send(response, replyJson({ error: messageOf(error) }, 500), false),
    );
  });
  // A scraper's idle connection must not keep the process.
  server.keepAliveTimeout = 5_000;
  await listen(server, options);
  const { address, port } = server.address() as AddressInfo;
  return {
    address: { host: address, port },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, { address, flag, explain }: HttpOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(explain(address, flag, error)));
    server.listen(address.port, address.host, () => {
      server.removeAllListeners("error");
      server.on("error", () => undefined);
      resolve();
    });
  });
}

async function answer(options: HttpOptions, request: IncomingMessage): Promise<Reply> {
  const refusal = options.refuse?.(request);
  if (refusal !== undefined) return refusal;
  // The base only makes the URL absolute; the target's path and query are what counts.
  const url = new URL(request.url ?? "/", "http://localhost");
  const resource = options.resources.find(({ path }) => path === url.pathname);
  if (resource === undefined) return replyIndex(options.resources, url.pathname === "/" ? 200 : 404);
  const isRead = request.method === "GET" || request.method === "HEAD";
  const handler = isRead ? resource.read : request.method === "POST" ? resource.change : undefined;
  if (handler === undefined) {
    const allow = [resource.read && "GET, HEAD", resource.change && "POST"]
      .filter((method) => method !== undefined)
      .join(", ");
    return { ...replyJson({ error: `${resource.path} answers ${allow} only` }, 405), allow };
  }
  const body = isRead ? "" : await readBody(request);
  if (body === undefined) return replyJson({ error: `the body is longer than ${BODY_BYTES_MAX} bytes` }, 413);
  return handler({ url, body });
}

function replyIndex(resources: readonly Resource[], status: number): Reply {
  const paths = Object.fromEntries(resources.map(({ path, help }) => [path, help]));
  return replyJson(status === 200 ? { paths } : { error: "no such path", paths }, status);
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request) {
    length += (part as Buffer).length;
    if (length > BODY_BYTES_MAX) return undefined;
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts).toString("utf8");
}

function send(response: ServerResponse, reply: Reply, isHead: boolean): void {
  response.writeHead(reply.status, {
    "content-type": reply.contentType,
    "content-length": Buffer.byteLength(reply.body),
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    ...(reply.allow === undefined ? {} : { allow: reply.allow }),
  });
  response.end(isHead ? undefined : reply.body);
}
