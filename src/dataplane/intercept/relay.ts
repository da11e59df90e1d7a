// Bytes both ways between an intercepted connection and its destination, unread: TCP, TLS, HTTP of strangers.
//
// On Node's sockets whichever driver serves HTTP. Each side's FIN is passed on and the other direction goes on (RFC
// 9293 §3.6); an error of one side resets the other, so that nobody takes a part for the whole.

import { connect, type Socket } from "node:net";
import type { Address } from "../../base/index.ts";

/** Nothing in either direction for so long: DESIGN §3, `idle` of TCP. */
const IDLE_MS = 60 * 60 * 1_000;
/** A destination that does not answer; the kernel would try for two minutes. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Opens a connection whose errors are heard. */
export function openUpstream({ host, port }: Address): Socket {
  const socket = connect({ host, port, noDelay: true, allowHalfOpen: true });
  const timer = setTimeout(() => socket.destroy(new Error("connect timed out")), CONNECT_TIMEOUT_MS);
  socket.once("connect", () => clearTimeout(timer));
  socket.once("close", () => clearTimeout(timer));
  socket.on("error", () => undefined);
  return socket;
}

/** Joins two sockets until both have ended; `first` are bytes that the client has sent already. */
export function relay(client: Socket, upstream: Socket, first: readonly Buffer[], ended: () => void): void {
  let open = 2;
  for (const [socket, other] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    socket.setTimeout(IDLE_MS, () => socket.destroy(new Error("idle")));
    socket.once("close", (hadError: boolean) => {
      if (hadError || !socket.readableEnded || !socket.writableFinished) reset(other);
      open -= 1;
      if (open === 0) ended();
    });
  }
  for (const bytes of first) upstream.write(bytes);
  client.pipe(upstream);
  upstream.pipe(client);
}

/** Ends with a reset; one that is still connecting has nobody to tell. */
export function reset(socket: Socket): void {
  if (socket.destroyed) return;
  if (socket.connecting) socket.destroy();
  else socket.resetAndDestroy();
}
