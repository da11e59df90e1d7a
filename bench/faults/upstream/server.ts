// One server as a process: a port for each proxy, the same act on all of them. Told what to do by messages (Order).
//
// A process of its own, because some faults are those of processes: stopped, or its queue of connections full.

import { createServer, type Server, type Socket } from "node:net";
import { ACTS, type Act, type Stage } from "./acts.ts";
import type { Conversation, Request } from "./conversation.ts";
import { H2Conversation } from "./h2.ts";
import { Http1Conversation } from "./http1.ts";

/** What the bench says; each is answered by a Reply with the same `turn`. */
export type Order =
  | { readonly turn: number; readonly kind: "open"; readonly ports: number }
  | { readonly turn: number; readonly kind: "act"; readonly act: string; readonly backlog: number }
  | { readonly turn: number; readonly kind: "reset" };

export interface Reply {
  readonly turn: number;
  readonly ports: readonly number[];
  /** Requests with an effect, one entry for each time, in the order of the ports. */
  readonly executed: readonly (readonly number[])[];
}

const BACKLOG = 511;

const servers: Server[] = [];
const ports: number[] = [];
let executed: number[][] = [];
let act: Act = ACTS.none as Act;
let actSinceMs = 0;
let backlog = BACKLOG;
let isListening = true;
const conversations = new Set<Conversation>();
const lanes = new WeakMap<Conversation, number>();
const timers = new Set<NodeJS.Timeout>();

const stage: Stage = {
  conversations,
  elapsedMs: () => performance.now() - actSinceMs,
  execute({ conversation, method, id }: Request) {
    if (method === "POST" && id > 0) executed[lanes.get(conversation) ?? 0]?.push(id);
  },
  after(ms, step) {
    const timer = setTimeout(() => {
      timers.delete(timer);
      step();
    }, ms);
    timers.add(timer);
  },
  setListening: (wanted) => void setListening(wanted),
};

/** Listens on a port for each lane; with 0 on any that is free. */
async function listen(port: number, lane: number): Promise<void> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => accept(socket, lane));
  server.on("error", () => {});
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", backlog, resolve));
  servers[lane] = server;
  const address = server.address();
  if (address !== null && typeof address === "object") ports[lane] = address.port;
}

async function setListening(wanted: boolean): Promise<void> {
  if (wanted === isListening) return;
  isListening = wanted;
  if (wanted) await Promise.all(ports.map((port, lane) => listen(port, lane)));
  else for (const server of servers) server.close();
}

function accept(socket: Socket, lane: number): void {
  let conversation: (Conversation & { receive(bytes: Buffer): void }) | undefined;
  const serve = (request: Request) => act.serve(request, stage);
  const open = (first: Buffer) => {
    const isH2 = first.toString("latin1", 0, 3) === "PRI";
    const opened = isH2 ? new H2Conversation(socket, serve) : new Http1Conversation(socket, serve);
    conversation = opened;
    lanes.set(opened, lane);
    conversations.add(opened);
    act.accept?.(opened, stage);
    return opened;
  };
  if (act === ACTS["reset-accept"]) {
    socket.resetAndDestroy();
    return;
  }
  sockets.add(socket);
  socket.on("error", () => {});
  socket.on("end", () => socket.end());
  socket.on("close", () => {
    sockets.delete(socket);
    if (conversation !== undefined) conversations.delete(conversation);
  });
  socket.on("data", (bytes: Buffer) => {
    try {
      (conversation ?? open(bytes)).receive(bytes);
    } catch {
      socket.destroy(); // what came is not what this server reads
    }
  });
}

const sockets = new Set<Socket>();

async function obey(order: Order): Promise<void> {
  if (order.kind === "open") {
    executed = Array.from({ length: order.ports }, () => []);
    await Promise.all(executed.map((_, lane) => listen(0, lane)));
  } else if (order.kind === "act") {
    act = ACTS[order.act] as Act;
    actSinceMs = performance.now();
    if (order.backlog !== backlog) {
      await setListening(false);
      backlog = order.backlog;
      await setListening(true);
    }
    act.begin?.(stage);
  }
  const done = executed;
  if (order.kind === "reset") {
    for (const timer of timers) clearTimeout(timer);
    timers.clear();
    for (const socket of sockets) socket.destroy();
    act = ACTS.none as Act;
    if (backlog !== BACKLOG) await setListening(false);
    backlog = BACKLOG;
    await setListening(true);
    executed = executed.map(() => []);
  }
  process.send?.({ turn: order.turn, ports, executed: done } satisfies Reply);
}

process.on("message", (order: Order) => void obey(order));
process.on("disconnect", () => process.exit(0));
