// HTTP/1.1 requests over raw sockets, one at a time on each; a request that finds none free waits, and its time counts.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Aim } from "./h2.ts";
import type { Sender } from "./schedule.ts";

const END_OF_HEAD = Buffer.from("\r\n\r\n");

/** Connects; answers must be 200 with a counted body of the size that is expected. */
export async function openHttp1(aim: Aim, done: (dueMs: number) => void): Promise<Sender> {
  const request = Buffer.from(`GET ${aim.path} HTTP/1.1\r\nhost: ${aim.authority}\r\nuser-agent: bench\r\n\r\n`);
  const idle: Socket[] = [];
  const waiting: number[] = [];
  const due = new Map<Socket, number>();
  const send = (socket: Socket, dueMs: number) => {
    due.set(socket, dueMs);
    socket.write(request);
  };
  const receive = (socket: Socket) => {
    let rest: Buffer = Buffer.alloc(0);
    return (chunk: Buffer) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const length = lengthOf(rest, aim.bodyBytes);
      if (length === undefined || rest.length < length) return;
      if (rest.length > length) throw new Error("more bytes than one answer has");
      rest = Buffer.alloc(0);
      done(due.get(socket) ?? Number.NaN);
      const next = waiting.shift();
      if (next === undefined) idle.push(socket);
      else send(socket, next);
    };
  };
  for (let count = 0; count < aim.connections; count += 1) {
    const socket = connect(aim.port, "127.0.0.1");
    await once(socket, "connect");
    socket.setNoDelay(true);
    socket.on("data", receive(socket));
    socket.on("close", () => {
      throw new Error("the proxy closed a connection");
    });
    idle.push(socket);
  }
  return {
    send(dueMs) {
      const socket = idle.shift();
      if (socket === undefined) waiting.push(dueMs);
      else send(socket, dueMs);
    },
    flush() {},
  };
}

/** Bytes of the whole answer once its head is there. */
function lengthOf(bytes: Buffer, bodyBytes: number): number | undefined {
  const end = bytes.indexOf(END_OF_HEAD);
  if (end < 0) return undefined;
  const head = bytes.toString("latin1", 0, end);
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? Number.NaN);
  if (!head.startsWith("HTTP/1.1 200") || length !== bodyBytes) throw new Error(`not the expected answer: ${head}`);
  return end + END_OF_HEAD.length + length;
}
