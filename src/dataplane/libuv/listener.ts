// The worker's end of the listening sockets: each is a duplicate of the descriptor that the main thread owns.
//
// Closing it here (or dying) closes the duplicate only: the socket goes on listening, connections wait in its backlog
// for the next worker. Accepted sockets come paused, so that not a byte is read before the engine's buffer is theirs.

import { createServer, type Server, type Socket } from "node:net";
import { firstReservedDescriptor } from "../descriptor-limit.ts";
import type { ListenerOffer } from "../messages.ts";
import type { AcceptFailure, Listener } from "../sockets.ts";

/** Takes a paused socket over; false: the engine has no room, the socket was destroyed. */
export type TakeSocket = (socket: Socket) => boolean;

/** Accepts connections of one descriptor; resolves when it listens. */
export function startListener(
  offer: ListenerOffer,
  take: TakeSocket,
  failed: (failure: AcceptFailure) => void,
): Promise<Listener> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
  const reserved = firstReservedDescriptor();
  server.on("connection", (socket) => {
    if (descriptorOf(socket) >= reserved) {
      socket.destroy();
      failed({ kind: "full", problem: `clients' share of this process' descriptors (${reserved}) is in use` });
      return;
    }
    if (!take(socket)) failed({ kind: "full", problem: "the engine's connection table is full" });
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ fd: offer.descriptor }, () => {
      server.off("error", reject);
      // EMFILE and its like: the connection is lost, the listener is not. Without a listener here it would be thrown.
      server.on("error", (error) => failed({ kind: "accept", problem: error.message }));
      resolve({ kind: offer.kind, stop: () => stop(server) });
    });
  });
}

/** Node's types do not know it. */
function descriptorOf(socket: Socket): number {
  return (socket as unknown as { _handle: { fd: number } | null })._handle?.fd ?? -1;
}

/** net.Server counts connections whose handle was taken as open for ever: its callback never comes, none is given. */
function stop(server: Server): void {
  if (server.listening) server.close();
}
