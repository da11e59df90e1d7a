// Servers that greet everybody with a word and close; and a client that says who has greeted it.
//
//   greeters.mjs serve '{"127.0.0.1 15001": "outbound"}'     greeters.mjs ask <uid> '10.90.0.1 80' …

import { connect, createServer } from "node:net";

const [verb, ...args] = process.argv.slice(2);
const endpointOf = (text) => {
  const [host, port] = text.split(" ");
  return { host, port: Number(port) };
};

if (verb === "serve") {
  const listening = Object.entries(JSON.parse(args[0])).map(([where, greeting]) => {
    const server = createServer((socket) => socket.on("error", () => {}).end(greeting));
    return new Promise((resolve) => server.listen({ ...endpointOf(where), ipv6Only: true }, resolve));
  });
  await Promise.all(listening);
  process.stdout.write("ready\n");
} else {
  const [uid, ...targets] = args;
  process.setuid(Number(uid));
  const ask = (target) =>
    new Promise((resolve) => {
      let text = "";
      const socket = connect({ ...endpointOf(target), timeout: 10_000 });
      socket.on("data", (bytes) => {
        text += bytes;
      });
      socket.on("end", () => resolve(text));
      socket.on("error", ({ code }) => resolve(code));
      socket.on("timeout", () => resolve("timeout"));
    });
  process.stdout.write(JSON.stringify(await Promise.all(targets.map(ask))));
}
