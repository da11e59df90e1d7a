// Bytes both ways between a client and its destination, unread: TCP, TLS, HTTP of strangers.
//
// On Node's sockets whichever driver serves HTTP. Each side's FIN is passed on and the other direction goes on (RFC
// 9293 §3.6); a side that is read from no faster than the other takes it; an error of one side resets the other, so
// that nobody takes a part for the whole.

import { connect, type Socket } from "node:net";
import {
  TCP_END_CLIENT_GONE,
  TCP_END_CLOSED,
  TCP_END_IDLE,
  TCP_END_UPSTREAM_RESET,
} from "../../../assembly/abi/tcp-ends.ts";
import type { Address } from "../../base/index.ts";

/** Opens a connection whose errors are heard; one that does not stand in time is destroyed with ETIMEDOUT. */
export function openUpstream({ host, port }: Address, timeoutMs: number): Socket {
  const socket = connect({ host, port, noDelay: true, allowHalfOpen: true, autoSelectFamily: false });
  const timer = setTimeout(() => {
    socket.destroy(Object.assign(new Error("connect timed out"), { code: "ETIMEDOUT" }));
  }, timeoutMs);
  socket.once("connect", () => clearTimeout(timer));
  socket.once("close", () => clearTimeout(timer));
  socket.on("error", () => undefined);
  return socket;
}

export interface RelayOptions {
  readonly client: Socket;
  /** Open; what it said first may lie in its stream already. */
  readonly upstream: Socket;
  /** What was read of the client already. */
  readonly first: readonly Buffer[];
  /** Nothing in either direction for so long; undefined: never. */
  readonly idleMs: number | undefined;
  /** Called once, when both are closed, with TCP_END_*. */
  readonly ended: (end: number) => void;
}

/** Joins two sockets until both have ended. */
export function relay({ client, upstream, first, idleMs, ended }: RelayOptions): void {
  let open = 2;
  let end: number | undefined;
  for (const [socket, other, failure] of [
    [client, upstream, TCP_END_CLIENT_GONE],
    [upstream, client, TCP_END_UPSTREAM_RESET],
  ] as const) {
    if (idleMs !== undefined) {
      socket.setTimeout(idleMs, () => {
        end ??= TCP_END_IDLE;
        reset(socket);
        reset(other);
      });
    }
    socket.once("close", (hadError: boolean) => {
      if (hadError || !socket.readableEnded || !socket.writableFinished) {
        end ??= failure;
        reset(other);
      }
      open -= 1;
      if (open === 0) ended(end ?? TCP_END_CLOSED);
    });
  }
  for (const bytes of first) upstream.write(bytes);
  join(client, upstream);
  join(upstream, client);
}

function join(from: Socket, to: Socket): void {
  // Its end was seen before anybody listened for it.
  if (from.readableEnded) to.end();
  else from.pipe(to);
}

/** Ends with a reset; one that is still connecting has nobody to tell. */
export function reset(socket: Socket): void {
  if (socket.destroyed) return;
  if (socket.connecting) socket.destroy();
  else socket.resetAndDestroy();
}
