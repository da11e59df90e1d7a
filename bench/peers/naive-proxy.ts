// The floor's program: node:http2 on both sides, or node:http in front of undici. Arguments: port, backend port,
// protocol. No limits, no routes, no retries; trailers are carried, because gRPC is nothing without.

import { createServer } from "node:http";
import {
  connect,
  createServer as createServerH2,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { Agent } from "undici";

const [port, backend, protocol] = process.argv.slice(2);

if (protocol === "h2c") forwardH2();
else forwardHttp1();

function forwardH2(): void {
  const upstream = connect(`http://127.0.0.1:${backend}`);
  const server = createServerH2();
  server.on("stream", (incoming: ServerHttp2Stream, head: IncomingHttpHeaders) => {
    const { te, "content-type": type } = head;
    const request: OutgoingHttpHeaders = { ":method": head[":method"], ":path": head[":path"] };
    if (te !== undefined) request.te = String(te);
    if (type !== undefined) request["content-type"] = type;
    const outgoing = upstream.request(request);
    let trailers: OutgoingHttpHeaders = {};
    outgoing.on("trailers", (fields) => {
      trailers = fields as OutgoingHttpHeaders;
    });
    outgoing.on("response", (response) => {
      incoming.respond(response as OutgoingHttpHeaders, { waitForTrailers: response.trailer !== undefined });
      outgoing.pipe(incoming);
    });
    incoming.on("wantTrailers", () => incoming.sendTrailers(trailers));
    incoming.on("error", () => outgoing.close());
    outgoing.on("error", () => incoming.close());
    incoming.pipe(outgoing);
  });
  server.listen(Number(port), "127.0.0.1");
}

function forwardHttp1(): void {
  const agent = new Agent({ connections: 256 });
  const origin = `http://127.0.0.1:${backend}`;
  createServer((incoming, answer) => {
    const { method = "GET", url = "/" } = incoming;
    const hasBody = incoming.headers["content-length"] !== undefined || incoming.headers["transfer-encoding"];
    const { connection: _connection, ...headers } = incoming.headers;
    const request = { origin, path: url, method, headers, body: hasBody ? incoming : null, opaque: answer };
    agent
      .stream(request, ({ statusCode, headers: fields }) => {
        const { connection: _hop, ...rest } = fields;
        return answer.writeHead(statusCode, rest);
      })
      .catch(() => answer.destroy());
  }).listen(Number(port), "127.0.0.1");
}
