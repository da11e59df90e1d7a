// What stands on both hosts of the interception tests, and a client that says a word and its FIN.
//
//   peer: instance 9001 · elsewhere 80, 81 (HTTP/2) · echo 7 · a server that speaks first 2525, 3306
//   app:  8080 (loopback only) · metrics 9090
//   talk '<address> <port>' <word>: sends it, half-closes, prints what comes back
//   wait '<address> <port>' <authority>: an HTTP/2 request, said only after the server's SETTINGS; prints the body

import { createServer as createHttpServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { connect, createServer } from "node:net";

const [role, target = "", word = ""] = process.argv.slice(2);
const listen = (server, port, host = "::") => new Promise((resolve) => server.listen(port, host, resolve));
const answer = (name) => async (request, response) => {
  let bytes = 0;
  for await (const chunk of request) bytes += chunk.length;
  response.end(
    request.url === "/size" ? `${bytes}` : `${name} ${request.headers[":authority"] ?? request.headers.host}`,
  );
};
const tcp = (serve) => createServer({ allowHalfOpen: true }, (socket) => serve(socket.on("error", () => {})));
const speakFirst = (socket) => {
  socket.write("220 mail ready\r\n");
  socket.on("data", (bytes) => socket.end(`221 bye ${bytes}`));
};

if (role === "peer") {
  await Promise.all([
    listen(createHttpServer(answer("instance")), 9001),
    listen(createHttpServer(answer("elsewhere")), 80),
    listen(createHttp2Server(answer("elsewhere-h2")), 81),
    listen(
      tcp((socket) => socket.pipe(socket)),
      7,
    ),
    listen(tcp(speakFirst), 2525),
    listen(tcp(speakFirst), 3306),
  ]);
  process.stdout.write("ready\n");
} else if (role === "app") {
  await Promise.all([
    listen(createHttpServer(answer("app")), 8080, "127.0.0.1"),
    listen(createHttpServer(answer("metrics")), 9090),
  ]);
  process.stdout.write("ready\n");
} else if (role === "wait") {
  const [host, port] = target.split(" ");
  const frame = (type, flags, stream, payload = Buffer.alloc(0)) =>
    Buffer.concat([Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, stream]), payload]);
  const socket = connect({ host, port: Number(port) });
  socket.write(Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(4, 0, 0)]));
  // GET http /, and :authority as a literal (RFC 7541 appendix A, §6.2.1).
  const head = Buffer.concat([Buffer.from([0x82, 0x86, 0x84, 0x41, word.length]), Buffer.from(word)]);
  let input = Buffer.alloc(0);
  let hasAsked = false;
  socket.on("data", (bytes) => {
    input = Buffer.concat([input, bytes]);
    while (input.length >= 9 && input.length >= 9 + input.readUIntBE(0, 3)) {
      const end = 9 + input.readUIntBE(0, 3);
      const [type, flags] = [input[3], input[4]];
      if (type === 4 && (flags & 1) === 0) socket.write(frame(4, 1, 0));
      if (type === 4 && !hasAsked) socket.write(frame(1, 5, 1, head));
      if (type === 4) hasAsked = true;
      if (type === 0) process.stdout.write(input.subarray(9, end));
      if (type === 7) process.stdout.write("GOAWAY");
      if ([0, 1].includes(type) && (flags & 1) !== 0) socket.end();
      input = input.subarray(end);
    }
  });
  socket.on("error", ({ code }) => process.stdout.write(code));
} else {
  const [host, port] = target.split(" ");
  const socket = connect({ host, port: Number(port), allowHalfOpen: true });
  // A client of a server that speaks first waits for it.
  if (["2525", "3306"].includes(port)) socket.once("data", () => socket.end(word));
  else socket.end(word);
  socket.on("data", (bytes) => process.stdout.write(bytes));
  socket.on("error", ({ code }) => process.stdout.write(code));
}
