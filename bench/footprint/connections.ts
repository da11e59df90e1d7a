// What an idle connection costs: many HTTP/2 connections that had one answer each, held open.
//
// Each is a socket that writes the bytes of one request and reads the answer: the client's own memory is not counted,
// so it need not be clever. Holders are processes of their own, because a process may have only so many descriptors.

import { once } from "node:events";
import { connect, type Socket } from "node:net";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const FRAME_SETTINGS = 4;
const FRAME_HEADERS = 1;
const FRAME_DATA = 0;
const FLAG_END_STREAM = 1;
const FLAG_ACK = 1;
const FLAG_END_HEADERS = 4;
const FRAME_HEAD_BYTES = 9;
/** At once: more would wait in the sidecar's backlog of connections. */
const LANES = 64;

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** GET /100 for a host: three fields of HPACK's static table, two literals without indexing (RFC 7541 §6). */
function requestOf(host: string): Buffer {
  const [path, authority] = [Buffer.from("/100"), Buffer.from(host)];
  const literals = [Buffer.from([0x04, path.length]), path, Buffer.from([0x01, authority.length]), authority];
  const block = Buffer.concat([Buffer.from([0x82, 0x86]), ...literals]);
  const settings = frame(FRAME_SETTINGS, 0, 0, Buffer.alloc(0));
  return Buffer.concat([PREFACE, settings, frame(FRAME_HEADERS, FLAG_END_STREAM | FLAG_END_HEADERS, 1, block)]);
}

/** Opens a connection and resolves when stream 1 has ended with a 200. */
async function openOne(port: number, request: Buffer): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.write(request);
  let rest = Buffer.alloc(0);
  await new Promise<void>((resolve, reject) => {
    socket.on("error", reject).on("close", () => reject(new Error("the sidecar closed a connection")));
    socket.on("data", (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      for (;;) {
        const end = FRAME_HEAD_BYTES + (rest.length < FRAME_HEAD_BYTES ? 0 : rest.readUIntBE(0, 3));
        if (rest.length < end) return;
        const [type, flags] = [rest[3] ?? 0, rest[4] ?? 0];
        if (type === FRAME_SETTINGS && (flags & FLAG_ACK) === 0) {
          socket.write(frame(FRAME_SETTINGS, FLAG_ACK, 0, Buffer.alloc(0)));
        }
        // 0x88 is `:status: 200` of the static table; anything else first is another status.
        if (type === FRAME_HEADERS && rest[FRAME_HEAD_BYTES] !== 0x88) reject(new Error("an answer was no 200"));
        const isEnd = (type === FRAME_HEADERS || type === FRAME_DATA) && (flags & FLAG_END_STREAM) !== 0;
        rest = rest.subarray(end);
        if (isEnd) resolve();
      }
    });
  });
  socket
    .removeAllListeners("close")
    .removeAllListeners("error")
    .on("error", () => undefined);
  return socket;
}

/** The program of a holder: opens `count` connections to `port`, says so, and holds them until its stdin ends. */
async function hold(port: number, host: string, count: number): Promise<void> {
  const request = requestOf(host);
  let left = count;
  const lane = async () => {
    while (left > 0) {
      left -= 1;
      await openOne(port, request);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  process.stdout.write("open\n");
  process.stdin.resume().once("end", () => process.exit(0));
}

if (import.meta.main) {
  const [port, host = "", count] = process.argv.slice(2);
  await hold(Number(port), host, Number(count));
}
