// An app for tests of the life of a pod: HTTP/1.1, HTTP/2 and gRPC on one port, a process of its own, and it ends as a
// well-made server does. On SIGTERM it stops listening, says `connection: close` and GOAWAY, finishes what it has
// begun, closes what is idle, and exits 0.
//
//   node test/support/polite-app.ts 127.0.0.1:8080 a
//
// Every answer is the body that came (gRPC: the message), some milliseconds later, with `x-instance`.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createServerH2, type Http2Session } from "node:http2";
import { createServer as createServerTcp, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";

/** So that something is under way whenever a signal comes. */
const WORK_MS = 5;
const PREFACE = "PRI ";

const [address = "", name = "app"] = process.argv.slice(2);
const [host = "", port = "0"] = address.split(":");
const sockets = new Map<Socket, { busy: number }>();
const sessions = new Set<Http2Session>();
let isEnding = false;

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const isH1 = request.httpVersionMajor === 1;
  const state = isH1 ? sockets.get(request.socket) : undefined;
  if (state !== undefined) state.busy += 1;
  response.on("close", () => {
    if (state === undefined) return;
    state.busy -= 1;
    if (isEnding && state.busy === 0) request.socket.end();
  });
  const body = await buffer(request);
  await new Promise((resolve) => setTimeout(resolve, WORK_MS));
  const isGrpc = request.headers["content-type"]?.startsWith("application/grpc") === true;
  const type = isGrpc ? "application/grpc" : "application/octet-stream";
  response.writeHead(200, {
    "content-type": type,
    "x-instance": name,
    ...(isEnding && isH1 ? { connection: "close" } : {}),
  });
  if (isGrpc) response.addTrailers({ "grpc-status": "0" });
  response.end(body);
}

const serve = (request: unknown, response: unknown) => {
  answer(request as IncomingMessage, response as ServerResponse).catch(() => undefined);
};
const http1 = createServer({ keepAliveTimeout: 30_000 }, serve);
const http2 = createServerH2(serve);
http2.on("session", (session) => {
  sessions.add(session);
  session.on("error", () => undefined);
  session.on("close", () => sessions.delete(session));
});

const server = createServerTcp((socket) => {
  socket.on("error", () => undefined);
  sockets.set(socket, { busy: 0 });
  socket.on("close", () => sockets.delete(socket));
  socket.once("readable", () => {
    const first: Buffer | null = socket.read();
    if (first === null) return;
    socket.unshift(first);
    const isH2 = first.toString("latin1", 0, PREFACE.length) === PREFACE;
    if (isH2) sockets.delete(socket);
    (isH2 ? http2 : http1).emit("connection", socket);
  });
});
server.listen(Number(port), host, () => process.stdout.write(`listening on ${address}\n`));

process.on("SIGTERM", () => {
  isEnding = true;
  server.close(() => process.exit(0));
  for (const session of sessions) session.close();
  for (const [socket, { busy }] of sockets) if (busy === 0) socket.end();
});
