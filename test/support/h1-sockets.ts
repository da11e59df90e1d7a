// A socket for the HTTP/1.1 codec: what dataplane and connection layer do, in fifty lines, so that foreign clients and
// servers can talk to the codec alone.

import { connect as connectSocket, createServer, type Server, type Socket } from "node:net";
import { CONNECTION_FLAG, type Connection, type Event, type H1 } from "./h1.ts";

/** Joins a socket and a connection: bytes in, `onEvent`, bytes out, close when the codec is done with it. */
export function pump(socket: Socket, connection: Connection, onEvent: (event: Event) => void): () => void {
  let isOver = false;
  const flush = (): void => {
    if (isOver) return;
    const output = connection.output();
    if (output !== "") socket.write(output, "latin1");
    if ((connection.flags & CONNECTION_FLAG.abort) !== 0) socket.resetAndDestroy();
    else if ((connection.flags & (CONNECTION_FLAG.closeWanted | CONNECTION_FLAG.shutdownWanted)) !== 0) socket.end();
  };
  const receive = (bytes: string): void => {
    connection.receive(bytes, onEvent);
    // A released stream lets the next pipelined request in.
    while (connection.hasBacklog && connection.isReusable) connection.receive("", onEvent);
    flush();
  };
  socket.on("data", (chunk) => receive(chunk.toString("latin1")));
  socket.on("end", () => {
    const event = connection.end();
    if (event !== undefined) onEvent(event);
    flush();
    if (event === undefined) socket.end(); // idle: our side of an allowHalfOpen socket
  });
  socket.on("error", () => undefined); // "close" follows
  socket.on("close", () => {
    isOver = true;
    connection.close();
  });
  return flush;
}

export interface Request {
  readonly stream: number;
  readonly method: string;
  readonly path: string;
  readonly flags: number;
  readonly protocol: string;
  body: string;
  trailers: readonly (readonly [string, string])[];
}

export interface Answering {
  readonly connection: Connection;
  /** Answers are complete: the stream is released, the connection goes on or closes. */
  finish(): void;
}

/** Serves with our downstream codec; `answer` is called at each request's head and again at its end. */
export async function serveH1(
  h1: H1,
  answer: (request: Request, answering: Answering, isComplete: boolean) => void,
): Promise<{ port: number; server: Server }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const connection = h1.connect("downstream");
    let request: Request | undefined;
    const finish = (): void => {
      if (request === undefined) return;
      connection.release(request.stream);
      request = undefined;
      if (connection.isReusable) return;
      const output = connection.output();
      if (output !== "") socket.write(output, "latin1");
      socket.end();
    };
    const flush = pump(socket, connection, (event) => {
      if (event.kind === "head") {
        const { method, path, flags, protocol } = event.head;
        request = { stream: event.stream, method, path, flags, protocol, body: "", trailers: [] };
        answer(request, { connection, finish }, false);
        if (event.end && request !== undefined) answer(request, { connection, finish }, true);
      } else if (request !== undefined && event.kind === "data") {
        request.body += event.data;
        if (event.end) answer(request, { connection, finish }, true);
      } else if (request !== undefined && (event.kind === "end" || event.kind === "trailers")) {
        if (event.kind === "trailers") request.trailers = event.fields;
        answer(request, { connection, finish }, true);
      } else if (event.kind === "refuse") {
        connection.sendResponse(event.stream, { status: 400 }, true);
        connection.release(event.stream);
        socket.write(connection.output(), "latin1");
        socket.end();
      }
      flush();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { port: address.port, server };
}

/** Connects our upstream codec to a foreign server. */
export async function dialH1(
  h1: H1,
  port: number,
  onEvent: (event: Event) => void,
): Promise<{ connection: Connection; flush: () => void; socket: Socket }> {
  const socket = connectSocket({ port, host: "127.0.0.1", allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  const connection = h1.connect("upstream");
  const flush = pump(socket, connection, onEvent);
  return { connection, flush, socket };
}
