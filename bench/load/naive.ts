// The floor: a proxy of Node's own modules, as one writes it in ten minutes. Arguments: port, backend port, protocol.

import { Agent, createServer, request } from "node:http";
import { connect, createServer as createServerH2, type OutgoingHttpHeaders } from "node:http2";

const [port, backend, protocol] = process.argv.slice(2);

if (protocol === "h2c") {
  const upstream = connect(`http://127.0.0.1:${backend}`);
  createServerH2((incoming, answer) => {
    const { te, "content-type": type } = incoming.headers;
    const head: OutgoingHttpHeaders = { ":method": incoming.method, ":path": incoming.url };
    if (te !== undefined) head.te = String(te);
    if (type !== undefined) head["content-type"] = type;
    const outgoing = upstream.request(head);
    outgoing.on("response", ({ ":status": status, ...rest }) => {
      answer.writeHead(status ?? 502, rest as OutgoingHttpHeaders);
      outgoing.pipe(answer);
    });
    outgoing.on("error", () => answer.stream.close());
    incoming.pipe(outgoing);
  }).listen(Number(port), "127.0.0.1");
} else {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  createServer((incoming, answer) => {
    const { method, url: path, headers } = incoming;
    const outgoing = request({ host: "127.0.0.1", port: backend, method, path, headers, agent }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    outgoing.on("error", () => answer.destroy());
    incoming.pipe(outgoing);
  }).listen(Number(port), "127.0.0.1");
}
